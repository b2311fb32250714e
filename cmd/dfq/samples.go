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
	f.chooseEncodings(stderr, found, got.Graphs[0].Inputs)
	if f.images != "" {
		return f.verifyImages(m.Graphs[0].Inputs[0], found)
	}
	opts.Inputs = nil
	for _, in := range found {
		opts.Inputs = append(opts.Inputs, dfq.InputRange{Encodings: in.Encodings})
	}
	return f.madeUpSamples(m, opts)
}

// chooseEncodings leaves, of several encodings that the float model does not tell apart,
// the one that the other model's input was quantized for. Where that is not to be seen
// images take the first, and made-up inputs all of them in turn.
func (f *verifyFlags) chooseEncodings(stderr io.Writer, found []dfq.InputReport, quantized []*tflite.Tensor) {
	for i := range found {
		in := &found[i]
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
	least := map[schema.TensorType]float64{schema.TensorTypeINT8: -128, schema.TensorTypeUINT8: 0, schema.TensorTypeINT16: math.MinInt16}
	q, quantized := least[input.Type]
	if !quantized || input.Quant == nil || len(input.Quant.Scale) != 1 {
		return encodings[0], false
	}
	step := float64(input.Quant.Scale[0])
	lo := float64(step * (q - float64(input.Quant.Zero[0])))
	hi := lo + float64(step*255)
	away := func(e dfq.Encoding) float64 {
		if input.Type == schema.TensorTypeINT16 {
			return math.Abs(math.Max(-slices.Min(e.Lo), slices.Max(e.Hi)) + lo)
		}
		return math.Abs(slices.Min(e.Lo)-lo) + math.Abs(slices.Max(e.Hi)-hi)
	}
	return slices.MinFunc(encodings, func(a, b dfq.Encoding) int { return cmp.Compare(away(a), away(b)) }), true
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
