package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/metadata"
	. "dfq/tflite/tflitetest"
)

func TestEncodings(t *testing.T) {
	// Black, grey and white in one pixel of three channels each.
	unit := []float32{0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1}
	tests := []struct {
		e      Encoding
		want   []float64
		lo, hi float64
	}{
		{interval(-1, 1), []float64{-1, -1, -1, 0, 0, 0, 1, 1, 1}, -1, 1},
		{normalized("", []float64{127.5}, []float64{127.5}), []float64{-1, -1, -1, 0, 0, 0, 1, 1, 1}, -1, 1},
		{normalized("", []float64{0, 51, 102}, []float64{1, 51, 102}), []float64{0, -1, -1, 127.5, 1.5, 0.25, 255, 4, 1.5}, -1, 255},
		// (x/255 − mean)/deviation, the published numbers.
		{imageNet(), []float64{-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225, 0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225, 0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225}, -2.1179, 2.64},
	}
	for _, test := range tests {
		got := make([]float32, len(unit))
		test.e.apply(got, unit, 3, 1)
		for i, x := range got {
			if !(math.Abs(float64(x)-test.want[i]) <= 1e-5) {
				t.Errorf("%s: %v becomes %v, want %v", test.e.Name, unit[i], x, test.want[i])
			}
		}
		if r := hull([]Encoding{test.e}); !(math.Abs(r.Lo-test.lo) <= 1e-4) || !(math.Abs(r.Hi-test.hi) <= 1e-4) {
			t.Errorf("%s: from %g to %g, want %g to %g", test.e.Name, r.Lo, r.Hi, test.lo, test.hi)
		}
	}
	if r := hull([]Encoding{interval(0, 1), interval(-1, 0.5)}); r != (Range{-1, 1}) {
		t.Errorf("both together are %v", r)
	}
}

// The slope of biases against −Σw is the mean input that they were trained for.
func TestBiasSlope(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, mean := range []float64{0.45, 128, -0.5, 0} {
		m := Chain(Input(1, 8, 8, 3), Conv(32, 3))
		op := m.Graphs[0].Ops[0]
		w, b := op.Inputs[1].Floats(), op.Inputs[2].Floats()
		for c := range b {
			sum, size := 0.0, 0.0
			for _, x := range w[c*27 : (c+1)*27] {
				sum += float64(x)
				size += float64(x) * float64(x)
			}
			b[c] = float32(-mean*sum + 0.02*math.Sqrt(size)*r.NormFloat64()*(1+math.Abs(mean)))
		}
		op.Inputs[2].SetFloats(b)
		slope, sure := biasSlope(op)
		if sure != (mean != 0) {
			t.Errorf("mean %g: slope %g, sure %v", mean, slope, sure)
		}
		if !(math.Abs(slope-mean) <= 0.1*math.Abs(mean)+0.02) {
			t.Errorf("mean %g: slope %g", mean, slope)
		}
	}
	if _, sure := biasSlope(nil); sure {
		t.Error("sure of no filter")
	}
}

// trained is a network whose first biases were trained for an input of a mean
// and deviation.
func trained(seed uint64, mean, deviation float64, layers ...Layer) *tflite.Model {
	m := ChainSeed(seed, layers...)
	op := m.Graphs[0].Ops[0]
	r := rand.New(rand.NewPCG(seed, 7))
	w, b := op.Inputs[1].Floats(), op.Inputs[2].Floats()
	n := len(w) / len(b)
	for c := range b {
		// Batch norm: answers of deviation 0.5 or so, and of a mean of that size.
		sum, square := 0.0, 0.0
		for _, x := range w[c*n : (c+1)*n] {
			sum += float64(x)
			square += float64(x) * float64(x)
		}
		// Neighbouring pixels go together, so answers follow the sum of weights.
		size := deviation * math.Max(math.Abs(sum), math.Sqrt(square))
		gain := 0.5 / size
		for i := range n {
			w[c*n+i] *= float32(gain)
		}
		b[c] = float32(-mean*sum*gain + r.NormFloat64())
	}
	op.Inputs[1].SetFloats(w)
	op.Inputs[2].SetFloats(b)
	return m
}

// Bytes and unit ranges are told apart on networks whose biases fit them.
func TestInferredScale(t *testing.T) {
	for seed := range uint64(10) {
		layers := []Layer{Input(1, 32, 32, 3), Conv(16, 3, ReLU), Conv(8, 3, ReLU), Conv(4, 1)}
		for _, test := range []struct{ mean, deviation, lo, hi float64 }{{128, 60, 0, 255}, {0.5, 0.24, 0, 1}, {0, 0.5, -1, 1}} {
			in, err := InputEncodings(trained(seed, test.mean, test.deviation, layers...), nil)
			if err != nil {
				t.Fatal(err)
			}
			// Whether a range lies around zero shows less surely: one in fifty of
			// these is taken for [0, 1].
			if test.mean == 0 && in[0].Range == (Range{0, 1}) {
				continue
			}
			if r := in[0].Range; r.Lo > test.lo || r.Hi < test.hi-1 || r.Hi-r.Lo > 10*(test.hi-test.lo) {
				t.Errorf("seed %d: trained for [%g, %g], taken for [%g, %g]: %s", seed, test.lo, test.hi, r.Lo, r.Hi, in[0].Why)
			}
		}
	}
}

// Of two towers, each shows the scale of its own input.
func TestInferredScaleOfSeveralInputs(t *testing.T) {
	b := New(1)
	x, y := b.Input(1, 32, 32, 3), b.Input(1, 32, 32, 3)
	bytes, units := Conv(16, 3, ReLU)(b, x), Conv(16, 3, ReLU)(b, y)
	m := b.Model(Conv(4, 1)(b, bytes), Conv(4, 1)(b, units))
	for k, mean := range []float64{128, 0.5} {
		one := trained(1, mean, mean/2, Input(1, 32, 32, 3), Conv(16, 3, ReLU))
		copy(m.Graphs[0].Ops[k].Inputs[1:], one.Graphs[0].Ops[0].Inputs[1:])
	}
	in, err := InputEncodings(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first, second := in[0].Range, in[1].Range; first.Hi < 100 || second.Hi > 3 {
		t.Errorf("trained for [0, 255] and [0, 1], taken for %v and %v", first, second)
	}
}

// A convolution along time reads all features of each step; one over a plane its height and width.
func TestKernelOverFeatures(t *testing.T) {
	for _, c := range []struct {
		input, weights []int
		want           [2]int
	}{
		{[]int{1, 49, 10}, []int{16, 1, 3, 10}, [2]int{3, 10}},
		{[]int{1, 49, 10, 1}, []int{64, 10, 4, 1}, [2]int{10, 4}},
		{[]int{1, 32, 129}, []int{96, 129}, [2]int{1, 129}},
		{[]int{1, 10}, []int{16, 10}, [2]int{1, 1}},
	} {
		if got := kernelOver(c.input, c.weights); got != c.want {
			t.Errorf("filter %v on %v: %v, want %v", c.weights, c.input, got, c.want)
		}
	}
}

// Features whose range has 0 about its middle were normalized one by one: each has its mean there and a
// deviation of an eighth of the range. Others are as loud as they are made.
func TestNormalizedFeatures(t *testing.T) {
	m := Chain(Input(1, 49, 10, 1), Unary(schema.BuiltinOperatorTANH, nil))
	for _, c := range []struct {
		r          Range
		normalized bool
	}{{Range{-5, 5}, true}, {Range{-4, 8}, true}, {Range{-120, 25}, false}, {Range{0, 1}, false}} {
		inputs, err := MadeUpInputs(m, &Options{Inputs: []InputRange{{Range: c.r}}}, 48)
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for feature := range 10 {
			mean, square, n := 0.0, 0.0, 0.0
			for _, in := range inputs {
				for i := feature; i < len(in[0]); i += 10 {
					mean, square, n = mean+float64(in[0][i]), square+float64(in[0][i])*float64(in[0][i]), n+1
				}
			}
			mean /= n
			width := c.r.Hi - c.r.Lo
			worst = max(worst, math.Abs(mean)/width, math.Abs(math.Sqrt(square/n-mean*mean)/width-0.125))
		}
		if (worst < 0.05) != c.normalized {
			t.Errorf("%v: means and deviations are up to %.3f of the range off", c.r, worst)
		}
	}
}

// Where channels come first, each has the mean and deviation of its own.
func TestMadeUpPlanes(t *testing.T) {
	m := Chain(Input(1, 3, 32, 32), Unary(schema.BuiltinOperatorTANH, nil))
	inputs, err := MadeUpInputs(m, &Options{Inputs: []InputRange{{Mean: []float64{0, 1000, 2000}, Std: []float64{1, 1, 1}}}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for c := range 3 {
		plane := inputs[1][0][c*32*32:][:32*32]
		if lo, hi := slices.Min(plane), slices.Max(plane); lo < float32(-1000*c) || hi > float32(255-1000*c) {
			t.Errorf("channel %d is from %g to %g", c, lo, hi)
		}
	}
}

// What is stated comes before metadata, and that before what is inferred; what
// is no range of numbers is not taken.
func TestRangeSources(t *testing.T) {
	m := small()
	nan := math.NaN()
	for _, r := range []InputRange{{Range: Range{0, math.Inf(1)}}, {Std: []float64{1}}, {Mean: []float64{0}, Std: []float64{0}}, {Mean: []float64{nan}, Std: []float64{1}}, {Mean: []float64{1}, Std: []float64{-1}}, {Mean: []float64{127.5}}, {Range: Range{255, 0}}, {Range: Range{1, 1}}} {
		_, _, err := Quantize(m, &Options{Inputs: []InputRange{r}})
		if err == nil || !strings.Contains(err.Error(), `input "input"`) || !strings.Contains(err.Error(), "no range") {
			t.Errorf("stated %v: error %v", r, err)
		}
	}
	_, _, err := Quantize(m, &Options{Inputs: []InputRange{{Mean: []float64{1, 2}, Std: []float64{1}}}})
	if err == nil || !strings.Contains(err.Error(), "one for each of its 3 channels") {
		t.Errorf("two means for three channels: error %v", err)
	}
	in, err := InputEncodings(m, &Options{Inputs: []InputRange{{Mean: []float64{127}, Std: []float64{128}}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := in[0]; r.Source != "stated" || r.Range != (Range{-127. / 128, 1}) {
		t.Errorf("stated mean 127 and deviation 128: %+v", r)
	}
	if in, err = InputEncodings(m, nil); err != nil || in[0].Source != "inferred" || in[0].Why == "" {
		t.Errorf("nothing stated: %+v, %v", in[0], err)
	}
	for _, test := range []struct {
		t    metadata.Tensor
		want bool
	}{
		{metadata.Tensor{Mean: []float32{127.5}, Std: []float32{127.5}}, true},
		{metadata.Tensor{Mean: []float32{127.5}, Std: []float32{0}}, false},
		{metadata.Tensor{Mean: []float32{float32(nan)}, Std: []float32{1}}, false},
		{metadata.Tensor{Min: []float32{0}, Max: []float32{1}}, true},
		{metadata.Tensor{Min: []float32{0}, Max: []float32{float32(math.Inf(1))}}, false},
		{metadata.Tensor{Min: []float32{1}, Max: []float32{1}}, false},
		{metadata.Tensor{}, false},
	} {
		if e, why := fromMetadata(test.t); (why != "" && e.Usable()) != test.want {
			t.Errorf("%+v: %+v, %q", test.t, e, why)
		}
	}
	for _, half := range []Encoding{{Lo: []float64{0}}, {Hi: []float64{1}}} {
		if half.Usable() {
			t.Errorf("%+v, which has one end, is usable", half)
		}
		if _, _, err := Quantize(m, &Options{Inputs: []InputRange{{Encodings: []Encoding{half}}}}); err == nil {
			t.Errorf("%+v, which has one end, makes inputs", half)
		}
	}
}

// Made-up inputs are the same for the same seed, in range, and of every encoding
// in turn.
func TestMadeUpInputs(t *testing.T) {
	m := small()
	opts := &Options{Inputs: []InputRange{{Range: Range{-2, 3}}}}
	a, err := MadeUpInputs(m, opts, 6)
	if err != nil {
		t.Fatal(err)
	}
	b, err := MadeUpInputs(m, opts, 6)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := float32(math.Inf(1)), float32(math.Inf(-1))
	for i := range a {
		if !slices.Equal(a[i][0], b[i][0]) {
			t.Errorf("input %d is another one the second time", i)
		}
		if i > 0 && slices.Equal(a[i][0], a[0][0]) {
			t.Errorf("inputs 0 and %d are the same", i)
		}
		lo, hi = min(lo, slices.Min(a[i][0])), max(hi, slices.Max(a[i][0]))
	}
	if lo < -2 || hi > 3 || lo > -1.5 || hi < 2.5 {
		t.Errorf("from %g to %g, stated are −2 and 3", lo, hi)
	}
	if none, err := MadeUpInputs(m, opts, 0); err != nil || len(none) > 0 {
		t.Errorf("asked for none: %d, %v", len(none), err)
	}
	opts.Seed = 1
	if c, err := MadeUpInputs(m, opts, 6); err != nil || slices.Equal(c[0][0], a[0][0]) {
		t.Errorf("another seed makes the same input: %v", err)
	}
	j := &job{graph: m.Graphs[0]}
	for i := range 4 {
		s := j.makeInput([][]Encoding{{interval(0, 1), interval(10, 11)}}, i, 0)
		if base := float32(10 * (i % 2)); slices.Min(s[0]) < base || slices.Max(s[0]) > base+1 {
			t.Errorf("sample %d is from %g to %g", i, slices.Min(s[0]), slices.Max(s[0]))
		}
	}
}

// A strided filter that pads by itself is TensorFlow's, one behind a PAD is not.
func TestPadsLikeTensorFlow(t *testing.T) {
	for _, test := range []struct {
		name  string
		model *tflite.Model
		want  bool
	}{
		{"stride 2, SAME", Chain(Input(1, 8, 8, 3), Conv(4, 3, Stride(2))), true},
		{"both", Chain(Input(1, 8, 8, 3), Conv(4, 3, Stride(2)), Pad(1), Conv(4, 3, Stride(2), Valid)), false},
		{"stride 2, padded before", Chain(Input(1, 8, 8, 3), Pad(1), Conv(4, 3, Stride(2), Valid)), false},
		{"stride 1", Chain(Input(1, 8, 8, 3), Conv(4, 3)), false},
		{"depthwise", Chain(Input(1, 8, 8, 3), Depthwise(3, Stride(2))), true},
	} {
		if got := padsLikeTensorFlow(test.model.Graphs[0]); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// A first filter is found behind ops that only move values.
func TestFirstFilter(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Pad(1), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), Conv(4, 3), Conv(5, 3))
	j := &job{graph: m.Graphs[0]}
	if op := j.firstFilter(m.Graphs[0].Inputs[0]); op != m.Graphs[0].Ops[2] {
		t.Errorf("%v", op)
	}
	m = Chain(Input(1, 8, 8, 3), Unary(schema.BuiltinOperatorLOGISTIC, nil), Conv(4, 3))
	j = &job{graph: m.Graphs[0]}
	if op := j.firstFilter(m.Graphs[0].Inputs[0]); op != nil {
		t.Errorf("behind LOGISTIC: %v", op)
	}
}
