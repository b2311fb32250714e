//go:build !tflite

package interp

// Available reports whether this program can run models.
const Available = false

// Interpreter runs one model. It keeps memory of the C library until Close.
// Several may be alive at once, each used by one goroutine at a time. Without the
// tag tflite there is none.
type Interpreter struct{}

// New makes an interpreter for the bytes of a .tflite file, which it copies. The
// threads are those of one Run. Without the tag tflite it returns ErrUnavailable.
func New(model []byte, threads int) (*Interpreter, error) { return nil, ErrUnavailable }

// Run computes the outputs of one invocation, in the order of the model's outputs.
// Both sides are in the real domain, whatever the tensors' types; inputs[i] holds
// exactly the elements of input i, row by row. The outputs are the caller's to keep.
func (*Interpreter) Run(inputs [][]float32) ([][]float32, error) { return nil, ErrUnavailable }

// RunInPlace is Run, but outputs may be the C library's own memory: they are to be
// read before the next call or Close, and never written to.
func (*Interpreter) RunInPlace(inputs [][]float32) ([][]float32, error) { return nil, ErrUnavailable }

// Close frees the memory of the C library. Closing twice does no harm.
func (*Interpreter) Close() {}

// Version is the version of the C library: without the tag tflite, "none".
func Version() string { return "none" }
