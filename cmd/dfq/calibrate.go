package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"dfq/dfq"
	"dfq/tflite"
)

// Real data is limited: more of it changes little, and all is held in memory.
const (
	maxCalibration        = 200     // samples
	maxCalibrationNumbers = 1 << 27 // of all samples together
)

// calibration is real data in place of made-up inputs.
type calibration struct {
	what   string // for people
	ranged []bool // by input: whether its range is that of the data
	doubts []string
}

// newCalibration loads the data that --calibrate names into the options. Images
// become what the model reads as was stated, else found. Numbers are taken as
// they are, and an input whose range nothing states gets theirs.
func (f *convertFlags) newCalibration(m *tflite.Model, opts *dfq.Options) (*calibration, error) {
	m = dfq.Sized(m)
	found, err := dfq.InputEncodings(m, opts)
	if err != nil {
		return nil, err
	}
	s, images, err := f.calibrationSamples(m, found)
	if err != nil {
		return nil, fmt.Errorf("--calibrate: %w", err)
	}
	size := 1
	for _, t := range m.Graphs[0].Inputs {
		size += t.Len()
	}
	s = s.pick(max(1, min(maxCalibration, maxCalibrationNumbers/size)))
	if images {
		s.encode(m.Graphs[0].Inputs[0], found[0].Encodings)
	}
	if opts.Calibration, err = loadAll(s); err != nil {
		return nil, fmt.Errorf("--calibrate: %w", err)
	}
	c := &calibration{what: s.what, ranged: make([]bool, len(found))}
	if !images {
		c.takeRanges(opts, found)
	}
	return c, nil
}

func (f *convertFlags) calibrationSamples(m *tflite.Model, found []dfq.InputReport) (s *samples, images bool, err error) {
	if images, err = hasImages(f.calibrate); err != nil || !images {
		if err == nil {
			s, err = numberSamples(f.calibrate, m.Graphs[0].Inputs, m.Signatures)
		}
		return s, false, err
	}
	if _, err := onlyImage(found); err != nil {
		return nil, true, err
	}
	s, err = imageSamples(f.calibrate, f.crop, m.Graphs[0].Inputs[0])
	return s, true, err
}

// hasImages reports whether a path is a folder with images in it. A folder
// without data of any kind is an error.
func hasImages(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false, err
	}
	files, err := filesIn(path, dataFiles...)
	return slices.ContainsFunc(files, func(file string) bool { return hasExtension(file, imageFiles) }), err
}

// isNumbers reports whether the data of a path is there and no images.
func isNumbers(path string) bool {
	images, err := hasImages(path)
	return err == nil && !images
}

// isData reports whether a file is the calibration data of a path, or one of the
// files of such a folder, under whatever name.
func isData(path, name string) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	files, _ := filesIn(path, dataFiles...) // none if the path is no folder
	return sameFile(info, path) || slices.ContainsFunc(files, func(file string) bool {
		return sameFile(info, filepath.Join(path, file))
	})
}

// loadAll loads every sample, as many at a time as there are processors.
func loadAll(s *samples) ([][][]float32, error) {
	loaded, errs := make([][][]float32, s.n), make([]error, s.n)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), s.n) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := int(next.Add(1)) - 1; i < s.n; i = int(next.Add(1)) - 1 {
				if loaded[i], errs[i] = s.load(i); errs[i] != nil {
					return
				}
			}
		}()
	}
	wait.Wait()
	for _, err := range errs { // the first by number, whoever met it first
		if err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

// takeRanges states the range of the data for the inputs that state none.
func (c *calibration) takeRanges(opts *dfq.Options, found []dfq.InputReport) {
	opts.Inputs = append(slices.Clone(opts.Inputs), make([]dfq.InputRange, max(0, len(found)-len(opts.Inputs)))...)
	for i, in := range found {
		if in.Source == "" {
			continue
		}
		r := dfq.Range{Lo: math.Inf(1), Hi: math.Inf(-1)}
		for _, sample := range opts.Calibration {
			r.Lo = math.Min(r.Lo, float64(slices.Min(sample[i])))
			r.Hi = math.Max(r.Hi, float64(slices.Max(sample[i])))
		}
		if r.Lo == r.Hi {
			c.doubts = append(c.doubts, fmt.Sprintf("all numbers given for input %q are %g: they show nothing of what the model computes", in.Name, r.Lo))
		} else if in.Source == "inferred" || in.Source == "guessed" {
			opts.Inputs[i].Range, c.ranged[i] = r, true
		}
	}
}

// note corrects in a report who stated the ranges.
func (c *calibration) note(r *dfq.Report) {
	if c == nil {
		return
	}
	r.Warnings = append(r.Warnings, c.doubts...)
	for i, ranged := range c.ranged {
		if ranged {
			r.Inputs[i].Source, r.Inputs[i].Why = "calibration", "least and largest number of the data"
		}
	}
}
