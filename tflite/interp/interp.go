//go:build tflite

package interp

// #include "clib.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"dfq/tflite"

	ctflite "github.com/mattn/go-tflite"
)

// Available reports whether this program can run models.
const Available = true

// Version is the version of the C library, such as "2.9.0".
func Version() string { return C.GoString(C.TfLiteVersion()) }

// Interpreter runs one model. It keeps memory of the C library until Close.
//
// Several may be alive at once, each used by one goroutine at a time.
type Interpreter struct {
	c       *ctflite.Interpreter // nil once closed
	xnnpack *C.TfLiteDelegate    // nil: not used
	said    *C.messages
	indices []givenIndices // inputs that the C library trusts to be within bounds

	afresh func() (*Interpreter, error) // of a model with variables, which the C library cannot reset; else nil
	ran    bool
}

// New makes an interpreter for the bytes of a .tflite file, which it copies.
// The threads are those of one Run.
//
// Float operators run on XNNPACK, with which they are many times as fast;
// quantized ones always on the library's own kernels, which are the
// specification of their arithmetic.
//
// Sparse constants get all of their elements first: XNNPACK and most of the
// library's own kernels would read beyond what is stored of them.
//
// Shapes are those of the file: a dimension that was unknown when the file was
// made is what the file holds in its place, mostly 1.
//
// Errors carry what the C library said.
func New(model []byte, threads int) (*Interpreter, error) {
	if threads < 1 {
		return nil, fmt.Errorf("interpreter: %d threads: at least 1 is needed", threads)
	}
	decoded, err := tflite.Decode(model)
	if err == nil && sparse(decoded) {
		if err = decoded.Densify(); err == nil {
			model, err = tflite.Encode(decoded)
		}
	}
	if err == nil {
		err = check(decoded)
	}
	if err != nil {
		return nil, fmt.Errorf("interpreter: %w", err)
	}
	m, err := load(model)
	if err != nil {
		return nil, fmt.Errorf("interpreter: %w", err)
	}
	defer m.Delete() // the C interpreter holds a reference of its own
	in, err := create(m, threads)
	if err == nil && plain(decoded) && !in.accelerate(threads) {
		in.Close()
		in, err = create(m, threads)
	}
	if err != nil {
		return nil, err
	}
	in.indices = indexInputs(decoded.Graphs[0])
	if remembers(decoded) {
		own := slices.Clone(model)
		in.afresh = func() (*Interpreter, error) { return New(own, threads) }
	}
	return in, nil
}

// create makes an interpreter that runs on the library's own kernels.
func create(m *ctflite.Model, threads int) (*Interpreter, error) {
	options := ctflite.NewInterpreterOptions()
	defer options.Delete()
	options.SetNumThread(threads)
	// go-tflite's own error reporter hands the arguments of a message to the
	// wrong printf, which then reads memory it does not own; so the options'
	// only field, the C pointer, is taken from under it.
	in := &Interpreter{said: C.listen(*(**C.TfLiteInterpreterOptions)(unsafe.Pointer(options)))}
	in.c = ctflite.NewInterpreter(m, options)
	if in.c == nil {
		defer in.Close()
		return nil, in.error("create")
	}
	if in.c.AllocateTensors() != ctflite.OK {
		defer in.Close()
		return nil, in.error("allocate tensors")
	}
	return in, nil
}

// accelerate moves what it can to XNNPACK. It comes after the library's own
// kernels have checked the graph and found every shape, since XNNPACK takes both
// on trust. XNNPACK declines some graphs as a whole, such as ones with tensors
// whose shapes depend on data: then in is of no more use.
func (in *Interpreter) accelerate(threads int) bool {
	muteXNNPACK()
	in.xnnpack = C.new_xnnpack(C.int(threads))
	if in.xnnpack == nil {
		return true // a library without it
	}
	c := *(**C.TfLiteInterpreter)(unsafe.Pointer(in.c)) // its only field, as above
	return C.TfLiteInterpreterModifyGraphWithDelegate(c, in.xnnpack) == C.kTfLiteOk &&
		in.c.AllocateTensors() == ctflite.OK
}

// muteXNNPACK lets XNNPACK announce itself, which it does on stderr once in the
// life of a process, where nobody hears it.
var muteXNNPACK = sync.OnceFunc(func() { C.mute_xnnpack() })

// load hands the bytes to the C library through a file that loses its name at
// once. go-tflite's way from memory keeps a copy of the bytes forever; a file is
// mapped instead, and the mapping outlives the name.
func load(model []byte) (*ctflite.Model, error) {
	f, err := os.CreateTemp("", "dfq-*.tflite")
	if err != nil {
		return nil, fmt.Errorf("%w; models are handed to the library in a temporary file: let TMPDIR name a folder that can be written to", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(model)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	m := ctflite.NewModelFromFile(f.Name())
	if m == nil {
		return nil, errors.New("the C library does not take the file for a model")
	}
	return m, nil
}

// Close frees the memory of the C library. Closing twice does no harm.
func (in *Interpreter) Close() {
	in.c.Delete()
	C.delete_xnnpack(in.xnnpack)
	C.free(unsafe.Pointer(in.said))
	*in = Interpreter{}
}

// Run computes the outputs of one invocation, in the order of the model's
// outputs. Both sides are in the real domain: a quantized input is quantized
// with its tensor's own scale and zero point (half away from zero, clamped), a
// quantized output dequantized; integers without a scale are taken as they are,
// booleans are 0 and 1.
//
// inputs[i] holds exactly the elements of input i; the outputs are the caller's
// to keep. An output whose shape depends on the data has the length of this
// invocation. Variable tensors start afresh, so a call depends on its inputs
// alone.
func (in *Interpreter) Run(inputs [][]float32) ([][]float32, error) {
	err := in.invoke(len(inputs), func(i int, t tensor) error { return t.setReal(inputs[i]) })
	if err != nil {
		return nil, err
	}
	return collect(in, tensor.real)
}

// RunInPlace is Run, but outputs may be the C library's own memory: they are to
// be read before the next call or Close, and never written to. Where a model
// shows all of its inner tensors, the copies of Run take as much memory as all
// else.
func (in *Interpreter) RunInPlace(inputs [][]float32) ([][]float32, error) {
	err := in.invoke(len(inputs), func(i int, t tensor) error { return t.setReal(inputs[i]) })
	if err != nil {
		return nil, err
	}
	return collect(in, tensor.realInPlace)
}

// invoke fills each of n inputs with set and runs the model.
func (in *Interpreter) invoke(n int, set func(i int, t tensor) error) error {
	if in.c == nil {
		return errors.New("interpreter: run after close")
	}
	if want := in.c.GetInputTensorCount(); n != want {
		return fmt.Errorf("interpreter: %d inputs, the model has %d", n, want)
	}
	if in.afresh != nil && in.ran {
		fresh, err := in.afresh()
		if err != nil {
			return err
		}
		in.Close()
		*in = *fresh
	}
	in.ran = true
	in.said.len = 0
	if in.c.ResetVariableTensors() != ctflite.OK {
		return in.error("reset variables")
	}
	for i := range n {
		t := view(in.c.GetInputTensor(i))
		if err := set(i, t); err != nil {
			return fmt.Errorf("interpreter: input %d %q: %w", i, t.name, err)
		}
	}
	for _, x := range in.indices {
		t := view(in.c.GetInputTensor(x.input))
		v, err := t.real()
		if err == nil {
			err = inBounds(t.name, v, x.depth, x.bounds)
		}
		if err != nil {
			return fmt.Errorf("interpreter: input %d, of which %s makes indices: %w", x.input, x.place, err)
		}
	}
	if in.c.Invoke() != ctflite.OK {
		return in.error("run")
	}
	return nil
}

// collect reads every output after an invocation. Tensors are looked up each
// time, since an invocation may have moved and resized them.
func collect[T any](in *Interpreter, read func(tensor) (T, error)) ([]T, error) {
	outputs := make([]T, in.c.GetOutputTensorCount())
	for i := range outputs {
		t := view(in.c.GetOutputTensor(i))
		v, err := read(t)
		if err != nil {
			return nil, fmt.Errorf("interpreter: output %d %q: %w", i, t.name, err)
		}
		outputs[i] = v
	}
	return outputs, nil
}

// view looks at a tensor of the C library. Its bytes are C memory, which the
// garbage collector does not know; they are good until the next invocation.
func view(c *ctflite.Tensor) tensor {
	q := c.QuantizationParams()
	t := tensor{name: c.Name(), kind: c.Type(), scale: float32(q.Scale), zero: int64(q.ZeroPoint)}
	if data := c.Data(); data != nil {
		t.bytes = unsafe.Slice((*byte)(data), c.ByteSize())
	}
	return t
}

// error says which step failed and what the C library said of it.
func (in *Interpreter) error(step string) error {
	said := strings.Join(strings.Fields(C.GoStringN(&in.said.text[0], in.said.len)), " ")
	if said == "" {
		said = "the C library gives no reason"
	}
	return &LibraryError{step, said}
}
