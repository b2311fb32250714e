package dfq

import (
	"fmt"
	"math"

	"dfq/schema"
	"dfq/tflite"
)

// Diff says how far one model's outputs are from another's on the same inputs.
type Diff struct {
	Samples int          `json:"samples"`
	Outputs []OutputDiff `json:"outputs"`
}

// OutputDiff is the difference of one output, over all samples, real domain.
type OutputDiff struct {
	Name      string  `json:"name"`
	SQNR      float64 `json:"sqnr_db"`    // 10·log10(Σ want² / Σ (want−got)²); 200 for equal outputs
	MeanError float64 `json:"mean_error"` // mean |want−got|
	MaxError  float64 `json:"max_error"`  // largest |want−got|

	// NotFinite counts the values that are NaN or infinite on one side only, or
	// not alike. If there are any, the SQNR is −200 and the errors are the
	// largest float64.
	NotFinite int `json:"not_finite"`

	// Agreement is the share of positions whose largest entry along the last
	// axis is the same: of images for a classifier, of pixels for a
	// segmentation. It is −1 for an output whose last axis has one entry. Of an output
	// of integers or truth values it is the share that is equal.
	Agreement float64 `json:"agreement"`
}

// equalSQNR stands for the infinite SQNR of equal outputs, which JSON lacks.
const equalSQNR = 200

// errorSums are the sums behind an OutputDiff.
type errorSums struct {
	signal, noise, abs, max float64
	n, positions, agreed    int
	notFinite               int
}

// Compare runs n samples through both models, in parallel, and measures how far
// got's outputs are from want's. Both must have the same inputs and outputs by
// number and size. open must run both, so it is not nil: dfq's own evaluator knows
// no INT8. sample makes the inputs of sample i; visit, if not nil, sees both models'
// outputs, which are to be read during the call. Both are called from several
// goroutines.
func Compare(want, got *tflite.Model, open Interpreter, n int, sample func(i int) ([][]float32, error), visit func(i int, want, got [][]float32)) (*Diff, error) {
	outputs := want.Graphs[0].Outputs
	if len(got.Graphs[0].Outputs) != len(outputs) {
		return nil, fmt.Errorf("the models have %d and %d outputs", len(outputs), len(got.Graphs[0].Outputs))
	}
	perSample := make([][]errorSums, n)
	err := eachRun(open, []*tflite.Model{want, got}, n, func(i int, run []Runner) error {
		inputs, err := sample(i)
		if err != nil {
			return err
		}
		a, err := run[0](inputs)
		if err != nil {
			return err
		}
		b, err := run[1](inputs)
		if err != nil {
			return err
		}
		perSample[i] = make([]errorSums, len(outputs))
		for k := range outputs {
			if len(a[k]) != len(b[k]) {
				return fmt.Errorf("output %q has %d and %d elements", outputs[k].Name, len(a[k]), len(b[k]))
			}
			if s := &perSample[i][k]; isCounted(outputs[k]) {
				s.add(a[k], b[k], 1)
				s.addEqual(a[k], b[k])
			} else {
				s.add(a[k], b[k], channelCount(outputs[k]))
			}
		}
		if visit != nil {
			visit(i, a, b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d := &Diff{Samples: n}
	for k, t := range outputs {
		var sum errorSums
		for i := range perSample {
			sum.join(perSample[i][k])
		}
		d.Outputs = append(d.Outputs, sum.diff(t.Name))
	}
	return d, nil
}

func (s *errorSums) add(want, got []float32, channels int) {
	s.n += len(want)
	for i, x := range want {
		if same, finite := alike(x, got[i]); same && !finite {
			continue
		} else if !finite {
			s.notFinite++
			continue
		}
		e := float64(x) - float64(got[i])
		s.signal += float64(float64(x) * float64(x))
		s.noise += float64(e * e)
		s.abs += math.Abs(e)
		s.max = math.Max(s.max, math.Abs(e))
	}
	if channels < 2 {
		return
	}
	for p := 0; p+channels <= len(want); p += channels {
		s.positions++
		if agrees(want[p:p+channels], got[p:p+channels]) {
			s.agreed++
		}
	}
}

// isCounted reports whether t holds indices, counts or truth values.
func isCounted(t *tflite.Tensor) bool {
	switch t.Type {
	case schema.TensorTypeFLOAT32, schema.TensorTypeFLOAT16, schema.TensorTypeFLOAT64:
		return false
	}
	return t.Quant == nil || len(t.Quant.Scale) == 0
}

func (s *errorSums) addEqual(want, got []float32) {
	s.positions += len(want)
	for i, x := range want {
		if x == got[i] {
			s.agreed++
		}
	}
}

// alike reports whether two numbers are the same, NaN being the same as NaN,
// and whether both are finite.
func alike(x, y float32) (same, finite bool) {
	return x == y || x != x && y != y, !notFinite(x) && !notFinite(y)
}

// agrees reports whether two rows have their largest entry at one place. A NaN
// on one side only is no agreement.
func agrees(want, got []float32) bool {
	for i, x := range want {
		if (x != x) != (got[i] != got[i]) {
			return false
		}
	}
	return ArgMax(want) == ArgMax(got)
}

func (s *errorSums) join(o errorSums) {
	s.signal += o.signal
	s.noise += o.noise
	s.abs += o.abs
	s.max = math.Max(s.max, o.max)
	s.n += o.n
	s.positions += o.positions
	s.agreed += o.agreed
	s.notFinite += o.notFinite
}

func (s *errorSums) diff(name string) OutputDiff {
	d := OutputDiff{Name: name, SQNR: sqnr(s.signal, s.noise), MaxError: s.max, Agreement: -1, NotFinite: s.notFinite}
	if s.n > 0 {
		d.MeanError = s.abs / float64(s.n)
	}
	if s.positions > 0 {
		d.Agreement = float64(s.agreed) / float64(s.positions)
	}
	if s.notFinite > 0 {
		d.SQNR, d.MeanError, d.MaxError = -equalSQNR, math.MaxFloat64, math.MaxFloat64
	}
	return d
}

// sqnr is the signal-to-quantization-noise ratio in dB, within ±equalSQNR.
func sqnr(signal, noise float64) float64 {
	switch {
	case noise == 0:
		return equalSQNR
	case signal == 0:
		return -equalSQNR
	}
	return math.Max(-equalSQNR, math.Min(equalSQNR, 10*math.Log10(signal/noise)))
}

// ArgMax is the index of the first largest entry, 0 if there is none. NaN is
// less than any number.
func ArgMax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] || v[best] != v[best] && x == x {
			best = i
		}
	}
	return best
}
