package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dfq/dfq"
	"dfq/tflite"
)

// samples are the inputs that a verification runs.
type samples struct {
	n     int
	what  string                           // for people
	names []string                         // the file of each sample, without its folder; nil for made-up ones
	load  func(i int) ([][]float32, error) // of all inputs, real domain; from several goroutines
}

func (f *verifyFlags) source(stderr io.Writer, m *tflite.Model) (*samples, error) {
	stated, err := f.ranges.inputs(m)
	if err != nil {
		return nil, err
	}
	opts := &dfq.Options{Inputs: stated, Seed: f.seed, Interpreter: fastest()}
	switch {
	case f.images != "":
		return f.imageSamples(stderr, m, opts)
	case f.inputs != "":
		return numberSamples(f.inputs, m.Graphs[0].Inputs)
	}
	return f.madeUpSamples(m, opts)
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
		return nil, explainEncoding(err)
	}
	return &samples{
		n:    len(inputs),
		what: fmt.Sprintf("%d made-up inputs", len(inputs)),
		load: func(i int) ([][]float32, error) { return inputs[i], nil },
	}, nil
}

func (f *verifyFlags) imageSamples(stderr io.Writer, m *tflite.Model, opts *dfq.Options) (*samples, error) {
	inputs := m.Graphs[0].Inputs
	if len(inputs) != 1 {
		return nil, fmt.Errorf("--images: the model has %d inputs; save them as numbers for --inputs", len(inputs))
	}
	frame, err := frameOf(inputs[0])
	if err != nil {
		return nil, err
	}
	names, err := filesIn(f.images, ".jpg", ".jpeg", ".png")
	if err != nil {
		return nil, err
	}
	reports, err := dfq.InputEncodings(m, opts)
	if err != nil {
		return nil, explainEncoding(err)
	}
	found := reports[0]
	e := found.Encodings[0]
	if len(found.Encodings) > 1 && !f.quiet {
		fmt.Fprintf(stderr, "dfq: pixels may be any of %d encodings for this model, taking %s\n", len(found.Encodings), e.Name)
		fmt.Fprint(stderr, "dfq: hint: state the right one with --input-range or --mean and --std\n")
	}
	return &samples{
		n:     len(names),
		what:  fmt.Sprintf("%d images of %s, pixels as %s (%s)", len(names), f.images, e.Name, foundHow(found)),
		names: names,
		load: func(i int) ([][]float32, error) {
			pixels, err := frame.load(filepath.Join(f.images, names[i]), f.crop)
			if err != nil {
				return nil, err
			}
			return [][]float32{encodePixels(pixels, frame.channels, e)}, nil
		},
	}, nil
}

// encodePixels turns pixels into what a model reads.
func encodePixels(pixels []byte, channels int, e dfq.Encoding) []float32 {
	values := make([]float32, len(pixels))
	for i, p := range pixels {
		c := i % channels
		lo, hi := e.Lo[min(c, len(e.Lo)-1)], e.Hi[min(c, len(e.Hi)-1)]
		values[i] = float32(lo + float64((hi-lo)*float64(p)/255))
	}
	return values
}

// explainEncoding adds what to do where no range can be found.
func explainEncoding(err error) error {
	if errors.Is(err, dfq.ErrQuantized) {
		return hintedError{fmt.Errorf("the first model is not float: %w", err), "the order is FLOAT.tflite INT8.tflite"}
	}
	return err
}

// filesIn lists the files of a folder that have one of the extensions, in the
// order of their names.
func filesIn(dir string, extensions ...string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
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
