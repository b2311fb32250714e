package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
)

// samples are the inputs that a verification runs.
type samples struct {
	n     int
	what  string                           // for people
	names []string                         // the file of each sample, without its folder; nil for made-up ones
	load  func(i int) ([][]float32, error) // of all inputs, real domain; from several goroutines
}

// source makes the inputs on which the float model m is compared with got.
func (f *verifyFlags) source(stderr io.Writer, m, got *tflite.Model) (*samples, error) {
	stated, err := f.ranges.inputs(m)
	if err != nil {
		return nil, err
	}
	if f.inputs != "" {
		return numberSamples(f.inputs, m.Graphs[0].Inputs, m.Signatures)
	}
	opts := &dfq.Options{Inputs: stated, Seed: f.seed, Interpreter: fastest()}
	found, err := dfq.InputEncodings(m, opts)
	if err != nil {
		return nil, explainEncoding(err)
	}
	f.chooseEncodings(stderr, found, asQuantized(got.Graphs[0]))
	if f.images != "" {
		return f.verifyImages(m.Graphs[0].Inputs[0], found)
	}
	opts.Inputs = nil
	for _, in := range found {
		opts.Inputs = append(opts.Inputs, dfq.InputRange{Encodings: in.Encodings})
	}
	return f.madeUpSamples(m, opts)
}

// asQuantized are the tensors that show what a graph's inputs hold: themselves, or what a
// QUANTIZE makes of those that stayed float.
func asQuantized(g *tflite.Graph) []*tflite.Tensor {
	inputs := slices.Clone(g.Inputs)
	for _, op := range g.Ops {
		if op.Code != schema.BuiltinOperatorQUANTIZE {
			continue
		}
		if i := slices.Index(inputs, op.Inputs[0]); i >= 0 && op.Inputs[0].Type == schema.TensorTypeFLOAT32 {
			inputs[i] = op.Outputs[0]
		}
	}
	return inputs
}

// chooseEncodings leaves, of several encodings that the float model does not tell apart,
// the one that the other model's input was quantized for. Where that is not to be seen
// images take the first, and made-up inputs all of them in turn. In place of a guess it
// takes what the other model's input holds: somebody stated that.
func (f *verifyFlags) chooseEncodings(stderr io.Writer, found []dfq.InputReport, quantized []*tflite.Tensor) {
	for i := range found {
		in := &found[i]
		if e, ok := heldEncoding(quantized[i]); ok && in.Source == "guessed" {
			in.Encodings = []dfq.Encoding{e}
			if !f.quiet {
				fmt.Fprintf(stderr, "dfq: input %q is made up within %s, which the INT8 model's input holds\n", in.Name, e.Name)
			}
			continue
		}
		if len(in.Encodings) < 2 {
			continue
		}
		e, ok := nearestEncoding(in.Encodings, quantized[i])
		if !ok && f.images == "" {
			continue
		}
		if !f.quiet {
			fmt.Fprintf(stderr, "dfq: input %q may hold any of %d ranges by this model, taking %s\n", in.Name, len(in.Encodings), encodingName(e))
			fmt.Fprint(stderr, "dfq: hint: state the right one with --input-range or --mean and --std\n")
		}
		in.Encodings = []dfq.Encoding{e}
	}
}

// maxMadeUp bounds the memory that made-up inputs take, in numbers.
const maxMadeUp = 1 << 29

func (f *verifyFlags) madeUpSamples(m *tflite.Model, opts *dfq.Options) (*samples, error) {
	size := 1
	for _, t := range m.Graphs[0].Inputs {
		size += t.Len()
	}
	if f.samples > maxMadeUp/size {
		return nil, usagef("--samples %d: at most %d for this model", f.samples, maxMadeUp/size)
	}
	inputs, err := dfq.MadeUpInputs(m, opts, f.samples)
	if err != nil {
		return nil, err
	}
	return &samples{
		n:    len(inputs),
		what: fmt.Sprintf("%d made-up inputs", len(inputs)),
		load: func(i int) ([][]float32, error) { return inputs[i], nil },
	}, nil
}

func (f *verifyFlags) verifyImages(input *tflite.Tensor, found []dfq.InputReport) (*samples, error) {
	image, err := onlyImage(found)
	if err != nil {
		return nil, err
	}
	s, err := imageSamples(f.images, f.crop, input)
	if err != nil {
		return nil, err
	}
	s.encode(input, image.Encodings)
	s.what += fmt.Sprintf(", pixels as %s (%s)", encodingName(image.Encodings[0]), foundHow(image))
	return s, nil
}

// nearestEncoding is the encoding whose values fill best what an input can hold; the first
// one, and false, for an input that is not quantized. One of 16 bits has no zero point, and
// tells only how far its values go.
func nearestEncoding(encodings []dfq.Encoding, input *tflite.Tensor) (dfq.Encoding, bool) {
	lo, hi, quantized := held(input)
	if !quantized {
		return encodings[0], false
	}
	away := func(e dfq.Encoding) float64 {
		least, most := slices.Min(e.Lo), slices.Max(e.Hi)
		if input.Type == schema.TensorTypeINT16 {
			return math.Abs(math.Max(-least, most) - hi)
		}
		return math.Abs(least-lo) + math.Abs(most-hi)
	}
	return slices.MinFunc(encodings, func(a, b dfq.Encoding) int { return cmp.Compare(away(a), away(b)) }), true
}

// heldEncoding is what an input of 8 bits can hold, as an encoding.
func heldEncoding(t *tflite.Tensor) (dfq.Encoding, bool) {
	lo, hi, quantized := held(t)
	e := dfq.Encoding{Name: interval(lo, hi), Lo: []float64{lo}, Hi: []float64{hi}}
	return e, quantized && t.Type != schema.TensorTypeINT16 && e.Usable()
}

// held are the least and largest real number that a quantized activation can hold.
func held(t *tflite.Tensor) (lo, hi float64, quantized bool) {
	ends := map[schema.TensorType][2]float64{schema.TensorTypeINT8: {-128, 127}, schema.TensorTypeUINT8: {0, 255}, schema.TensorTypeINT16: {-32767, 32767}}
	q, ok := ends[t.Type]
	if !ok || t.Quant == nil || len(t.Quant.Scale) != 1 {
		return 0, 0, false
	}
	scale, zero := float64(t.Quant.Scale[0]), float64(t.Quant.Zero[0])
	return scale * (q[0] - zero), scale * (q[1] - zero), true
}

// encodingName is an encoding's name; a range as name has all its digits.
func encodingName(e dfq.Encoding) string {
	if strings.HasPrefix(e.Name, "[") {
		return interval(e.Lo[0], e.Hi[0])
	}
	return e.Name
}

// onlyImage checks that a model takes one image and nothing else.
func onlyImage(inputs []dfq.InputReport) (dfq.InputReport, error) {
	if len(inputs) != 1 {
		return dfq.InputReport{}, fmt.Errorf("images are for models with one input, this one has %d; save inputs as numbers", len(inputs))
	}
	if len(inputs[0].Encodings) == 0 {
		return dfq.InputReport{}, fmt.Errorf("input %q does not take real numbers", inputs[0].Name)
	}
	return inputs[0], nil
}

// imageSamples are the images of a folder, as pixels of 0 to 255.
func imageSamples(dir string, crop float64, input *tflite.Tensor) (*samples, error) {
	frame, err := frameOf(input)
	if err != nil {
		return nil, err
	}
	names, err := filesIn(dir, imageFiles...)
	if err != nil {
		return nil, err
	}
	return &samples{
		n:     len(names),
		what:  fmt.Sprintf("%d images of %s", len(names), dir),
		names: names,
		load: func(i int) ([][]float32, error) {
			pixels, err := frame.load(filepath.Join(dir, names[i]), crop)
			if err != nil {
				return nil, err
			}
			values := make([]float32, len(pixels))
			for k, p := range pixels {
				values[k] = float32(p)
			}
			return [][]float32{values}, nil
		},
	}, nil
}

// encode turns the pixels of all samples into what the input reads. Where several
// encodings are given they take turns, so it comes after pick.
func (s *samples) encode(input *tflite.Tensor, encodings []dfq.Encoding) {
	load, channels := s.load, input.Shape[3]
	s.load = func(i int) ([][]float32, error) {
		values, err := load(i)
		if err == nil {
			encodePixels(values[0], channels, encodings[i%len(encodings)])
		}
		return values, err
	}
}

// pick keeps at most so many samples, evenly spaced.
func (s *samples) pick(limit int) *samples {
	if s.n <= limit {
		return s
	}
	// The middles of limit equal parts.
	at := func(k int) int { return (2*k + 1) * s.n / (2 * limit) }
	few := &samples{n: limit, what: fmt.Sprintf("%d of %s, evenly picked", limit, s.what)}
	if s.names != nil {
		for k := range limit {
			few.names = append(few.names, s.names[at(k)])
		}
	}
	few.load = func(k int) ([][]float32, error) { return s.load(at(k)) }
	return few
}

// encodePixels turns pixels into what a model reads, in place.
func encodePixels(pixels []float32, channels int, e dfq.Encoding) {
	for i, p := range pixels {
		c := i % channels
		lo, hi := e.Lo[min(c, len(e.Lo)-1)], e.Hi[min(c, len(e.Hi)-1)]
		pixels[i] = float32(lo + float64((hi-lo)*float64(p)/255))
	}
}

// explainEncoding adds what to do where no range can be found.
func explainEncoding(err error) error {
	if errors.Is(err, dfq.ErrQuantized) {
		return hintedError{fmt.Errorf("the first model is not float: %w", err), "the order is FLOAT.tflite INT8.tflite"}
	}
	return err
}

// The extensions of files that can be read.
var (
	imageFiles  = []string{".jpg", ".jpeg", ".png"}
	numberFiles = []string{".npy", ".bin"} // in a folder
	dataFiles   = slices.Concat(imageFiles, numberFiles)
)

func hasExtension(file string, extensions []string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(file)))
}

// filesIn lists the files of a folder that have one of the extensions, in the
// order of their names, but for hidden ones; pipes and the like are no files.
func filesIn(dir string, extensions ...string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type()&^fs.ModeSymlink == 0 && e.Name()[0] != '.' && hasExtension(e.Name(), extensions) { // macOS puts "._a.jpg" beside a.jpg
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no %s file in it", dir, strings.Join(extensions, ", "))
	}
	return names, nil
}

// counter returns a function that counts its calls, from any goroutine.
func counter(report func(done int)) func() {
	var mu sync.Mutex
	done := 0
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		report(done)
	}
}
