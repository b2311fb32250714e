package dfq

import (
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// squares is a network whose inner values go with the square of its input.
func squares(last ...Layer) *tflite.Model {
	b := New(1)
	x := Conv(4, 3, ReLU, NoBias)(b, b.Input(1, 8, 8, 3))
	y := b.Op("square", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, []int{1, 8, 8, 4}, x, x)
	return b.Model(Sequence(last...)(b, y))
}

// someReach1 are n inputs, of which few reach 1 and all others less.
func someReach1(m *tflite.Model, n, few int, others float32) [][][]float32 {
	samples := Inputs(m, 3, n, 1)
	for i, s := range samples {
		if i%(n/few) == 0 {
			continue
		}
		for k := range s[0] {
			s[0][k] *= others
		}
	}
	return samples
}

// Ranges hold what few samples reach where the others can bear it: a tenth that reaches
// 4 times as far, but not a 25th at 256 times, beside which all others would be zeros.
func TestOutliersThatOthersBear(t *testing.T) {
	m := squares(Conv(2, 1, NoBias))
	for _, c := range []struct {
		few    int
		others float32
		want   string
	}{
		{10, 1. / 2, "least and largest value"},
		{4, 1. / 16, "least expected error"},
	} {
		for _, perTensor := range []bool{false, true} {
			o := stated()
			o.Calibration, o.PerTensor = someReach1(m, 100, c.few, c.others), perTensor
			_, r := quantize(t, m, o)
			i := slices.IndexFunc(r.Tensors, func(t TensorReport) bool { return t.Name == "square" })
			if r.Tensors[i].Rule != c.want {
				t.Errorf("%d of 100 go %g times as far: range by %s, want %s", c.few, 1/c.others/c.others, r.Tensors[i].Rule, c.want)
			}
			if holds := r.Tensors[i].Range.Hi > 0.95*r.Tensors[i].Seen.Hi; holds != strings.HasPrefix(c.want, "least and") {
				t.Errorf("%d of 100: up to %g of %g", c.few, r.Tensors[i].Range.Hi, r.Tensors[i].Seen.Hi)
			}
		}
	}
}

func TestWhereOutliersAreWeighed(t *testing.T) {
	maps, classes := squares(Conv(2, 1, NoBias)), squares(Mean(), Dense(2))
	for name, c := range map[string]struct {
		model  *tflite.Model
		change func(*Options)
		want   bool
	}{
		"a map":          {maps, func(*Options) {}, true},
		"few inputs":     {maps, func(o *Options) { o.Calibration = o.Calibration[:31] }, false},
		"a classifier":   {classes, func(*Options) {}, false},
		"another rule":   {maps, func(o *Options) { o.Ranges = SixDeviations }, false},
		"int16":          {maps, func(o *Options) { o.Activations = Int16 }, false},
		"no corrections": {maps, func(o *Options) { o.NoCorrect, o.NoEqualize = true, true }, true},
	} {
		o := stated()
		o.Calibration = someReach1(c.model, 100, 10, 1./2)
		c.change(o)
		if j := jobAfter(t, c.model, o, "assign ranges"); (j.ranges == MinMax) != c.want {
			t.Errorf("%s: ranges by rule %d", name, j.ranges)
		}
	}
}

// What few samples reach is told by these few: they are all run, and the others stand for
// more of their kind.
func TestOutliersFirst(t *testing.T) {
	x := &tflite.Tensor{Name: "x", Shape: []int{1, 4, 4, 1}}
	s := newTensorStats(1, false)
	far := []int{38, 5, 17}
	for i := range 40 {
		hi := 1 + float64(i%7)/10
		if slices.Contains(far, i) {
			hi = 50
		}
		s.join([]moments{{n: 16, hi: hi}}, nil, nil, 40)
	}
	j := &job{graph: &tflite.Graph{Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{x}}, sampleCount: 40, stats: map[*tflite.Tensor]*tensorStats{x: s}}
	which, counts := j.outliersFirst(16)
	all := 0.0
	for i := range which {
		all += counts[i]
		if slices.Contains(far, which[i]) && counts[i] != 1 {
			t.Errorf("sample %d counts for %g", which[i], counts[i])
		}
	}
	if all != 40 {
		t.Errorf("samples count for %g, want 40", all)
	}
	for _, i := range far {
		if !slices.Contains(which, i) {
			t.Errorf("sample %d is not among %v", i, which)
		}
	}
	slices.Sort(which)
	if len(slices.Compact(which)) != 16 {
		t.Errorf("%v: want 16 different ones", which)
	}
}

func TestShareLost(t *testing.T) {
	for _, c := range []struct {
		want, got []float32
		share     float64
	}{
		{[]float32{3, 4}, []float32{3, 4}, 0},
		{[]float32{3, 4}, []float32{3, 3}, 0.04},
		{[]float32{3, 4}, []float32{30, 4}, 1},
		{[]float32{0, 0}, []float32{0, 0}, 0},
		{[]float32{0, 0}, []float32{0, 1}, 1},
		{[]float32{3, 4}, []float32{3}, 1},
	} {
		if got := shareLost(c.want, c.got); got != c.share {
			t.Errorf("%v for %v: %g, want %g", c.got, c.want, got, c.share)
		}
	}
}
