package dfq

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// fixedOutputs are runners that give the same outputs for any input; a model is
// told by its description.
func fixedOutputs(outputs map[string][][]float32) Interpreter {
	return func(m *tflite.Model) (Runner, func(), error) {
		return func([][]float32) ([][]float32, error) { return outputs[m.Description], nil }, func() {}, nil
	}
}

// differences compares two outputs of rows of three.
func differences(t *testing.T, want, got []float32) OutputDiff {
	t.Helper()
	a := Chain(Input(1, 4), Dense(3))
	a.Description = "want"
	b := a.Clone()
	b.Description = "got"
	d, err := Compare(a, b, fixedOutputs(map[string][][]float32{"want": {want}, "got": {got}}), 2, func(int) ([][]float32, error) { return nil, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Errorf("not to be written as JSON: %v", err)
	}
	if d.Samples != 2 || len(d.Outputs) != 1 {
		t.Fatalf("%d samples, %d outputs", d.Samples, len(d.Outputs))
	}
	return d.Outputs[0]
}

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	worst := OutputDiff{SQNR: -200, MeanError: math.MaxFloat64, MaxError: math.MaxFloat64}
	tests := []struct {
		name      string
		want, got []float32
		diff      OutputDiff
	}{
		{"equal", []float32{1, 2, 3, 4, 5, 6}, []float32{1, 2, 3, 4, 5, 6}, OutputDiff{SQNR: 200, Agreement: 1}},
		// Signal 3·10² = 300, noise 3·1²: a hundredth.
		{"20 dB", []float32{10, 10, 10}, []float32{9, 11, 10 - 1}, OutputDiff{SQNR: 20, MeanError: 1, MaxError: 1, Agreement: 0}},
		{"half agree", []float32{0, 1, 0, 0, 0, 1}, []float32{0, 1, 0, 1, 0, 0}, OutputDiff{SQNR: 0, MeanError: 2. / 6, MaxError: 1, Agreement: 0.5}},
		{"noise alone", []float32{0, 0, 0}, []float32{0, 0, 1}, OutputDiff{SQNR: -200, MeanError: 1. / 3, MaxError: 1, Agreement: 0}},
		{"NaN", []float32{1, 2, 3}, []float32{1, nan, 3}, with(worst, 2, 0)},
		{"NaN in both", []float32{1, nan, 3}, []float32{1, nan, 3}, OutputDiff{SQNR: 200, Agreement: 1}},
		{"NaN that was wanted", []float32{1, nan, 3}, []float32{1, 2, 3}, with(worst, 2, 0)},
		{"infinity", []float32{1, 2, 3}, []float32{1, 2, inf}, with(worst, 2, 1)},
		{"another infinity", []float32{1, 2, inf}, []float32{1, 2, -inf}, with(worst, 2, 0)},
		{"large", []float32{3e38, 0, 0}, []float32{-3e38, 0, 0}, OutputDiff{SQNR: -6.02, MeanError: 2e38, MaxError: 6e38, Agreement: 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := differences(t, test.want, test.got)
			close := func(x, y float64) bool { return math.Abs(x-y) <= 1e-3*math.Max(1, math.Abs(y)) }
			w := test.diff
			if !close(got.SQNR, w.SQNR) || !close(got.MeanError, w.MeanError) || !close(got.MaxError, w.MaxError) || got.Agreement != w.Agreement || got.NotFinite != w.NotFinite {
				t.Errorf("%+v, want %+v", got, w)
			}
		})
	}
}

// Indices agree where they are equal, whatever their largest is.
func TestCompareIndices(t *testing.T) {
	m := Chain(Input(1, 2, 2, 3), Conv(4, 1), best)
	q := m.Clone()
	filter := q.Graphs[0].Ops[0].Inputs[1]
	v := filter.Floats()
	copy(v[:3], v[3:6]) // classes 0 and 1 are one
	filter.SetFloats(v)
	biases := q.Graphs[0].Ops[0].Inputs[2]
	b := biases.Floats()
	b[0] = b[1]
	biases.SetFloats(b)
	samples := Inputs(m, 1, 20, 1)
	var together sync.Mutex
	want, equal := 0.0, 0.0
	d, err := Compare(m, q, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, func(_ int, a, b [][]float32) {
		together.Lock()
		defer together.Unlock()
		for i := range a[0] {
			want++
			if a[0][i] == b[0][i] {
				equal++
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Outputs[0].Agreement; got != equal/want || equal == 0 || equal == want {
		t.Errorf("agreement %g, %g of %g are equal", got, equal, want)
	}
}

func with(d OutputDiff, notFinite int, agreement float64) OutputDiff {
	d.NotFinite, d.Agreement = notFinite, agreement
	return d
}

func TestCompareRefuses(t *testing.T) {
	a := Chain(Input(1, 4), Dense(3))
	b := a.Clone()
	b.Graphs[0].Outputs = append(b.Graphs[0].Outputs, b.Graphs[0].Outputs[0])
	samples := Inputs(a, 1, 3, 1)
	sample := func(i int) ([][]float32, error) { return samples[i], nil }
	failure := errors.New("no such picture")
	tests := []struct {
		name   string
		got    *tflite.Model
		open   Interpreter
		sample func(int) ([][]float32, error)
		want   string
	}{
		{"outputs", b, evaluate, sample, "1 and 2 outputs"},
		{"sizes", Chain(Input(1, 4), Dense(5)), evaluate, sample, `"dense" has 3 and 5 elements`},
		{"inputs", Chain(Input(1, 5), Dense(3)), evaluate, sample, "4 values for shape [1 5]"},
		{"a sample", a, evaluate, func(int) ([][]float32, error) { return nil, failure }, "no such picture"},
		{"no runner", a, func(*tflite.Model) (Runner, func(), error) { return nil, nil, failure }, sample, "no such picture"},
	}
	for _, test := range tests {
		if _, err := Compare(a, test.got, test.open, 3, test.sample, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

// Each sample is seen once, with both models' outputs.
func TestCompareVisits(t *testing.T) {
	a := Chain(Input(1, 4), Dense(3))
	q, _ := quantize(t, a, stated())
	samples := Inputs(a, 1, 20, 1)
	seen := make([]int, len(samples))
	_, err := Compare(a, q, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, func(i int, want, got [][]float32) {
		seen[i]++
		if len(want[0]) != 3 || slices.Equal(want[0], got[0]) {
			t.Errorf("sample %d: %v and %v", i, want, got)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Min(seen) != 1 || slices.Max(seen) != 1 {
		t.Errorf("seen %v times", seen)
	}
}

func TestArgMax(t *testing.T) {
	nan := float32(math.NaN())
	for _, test := range []struct {
		v    []float32
		want int
	}{{nil, 0}, {[]float32{1}, 0}, {[]float32{1, 3, 2}, 1}, {[]float32{2, 2}, 0}, {[]float32{nan, -1, -2}, 1}, {[]float32{nan, nan}, 0}} {
		if got := ArgMax(test.v); got != test.want {
			t.Errorf("ArgMax(%v) is %d, want %d", test.v, got, test.want)
		}
	}
}
