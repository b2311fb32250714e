package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

func TestSomeRows(t *testing.T) {
	v := make([]float32, 10*3)
	for i := range v {
		v[i] = float32(i / 3) // the row's number
	}
	for _, test := range []struct {
		n    int
		want []float32 // rows; nil: those of places
	}{{30, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, {1000, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, {29, nil}, {7, nil}, {1, nil}} {
		random := rand.NewPCG(1, 1)
		if test.want == nil {
			for _, r := range places(10, max(1, test.n/3), rand.NewPCG(1, 1)) {
				test.want = append(test.want, float32(r))
			}
		}
		got := someRows(v, 3, test.n, random)
		if len(got) != 3*len(test.want) {
			t.Fatalf("%d values asked for, %d given", test.n, len(got))
		}
		for i, x := range got {
			if x != test.want[i/3] {
				t.Errorf("%d values asked for: row %d is row %v, want %v", test.n, i/3, x, test.want[i/3])
			}
		}
	}
	if got := someRows(nil, 3, 10, rand.NewPCG(1, 1)); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// Places lie one in each part of an image, and in all columns alike, whatever its width.
func TestPlaces(t *testing.T) {
	for width := 4; width <= 512; width++ {
		for _, n := range []int{1, 16, 64, 256} {
			all := width * width
			if all <= n {
				continue
			}
			left, odd, samples := 0.0, 0.0, 1024/n
			for s := range samples {
				for k, i := range places(all, n, rand.NewPCG(uint64(s), 0)) {
					if i < k*all/n || i > (k+1)*all/n || i >= all {
						t.Fatalf("%d columns: place %d of %d is %d of %d", width, k, n, i, all)
					}
					x := i % width
					if 2*x < width {
						left++
					}
					odd += float64(x % 2)
				}
			}
			left, odd = left/float64(n*samples), odd/float64(n*samples)
			if !(math.Abs(left-float64((width+1)/2)/float64(width)) <= 0.08) || !(math.Abs(odd-float64(width/2)/float64(width)) <= 0.08) {
				t.Errorf("%d columns: %.2f of %d places in each of %d samples are in the left half, %.2f in odd columns", width, left, n, samples, odd)
			}
		}
	}
	if at := places(5, 9, rand.NewPCG(1, 1)); !slices.Equal(at, []int{0, 1, 2, 3, 4}) {
		t.Errorf("of few, all: %v", at)
	}
}

// A probe shows every wanted tensor as the model computes it, and the value
// before a filter's activation.
func TestProbeModel(t *testing.T) {
	m := Chain(Input(1, 6, 6, 3), Conv(4, 3, ReLU6), Scale(9), Depthwise(3, fused("RELU_N1_TO_1")), Conv(3, 1, ReLU), Conv(2, 1),
		Unary(schema.BuiltinOperatorRELU, nil))
	before := m.String()
	var want []*tflite.Tensor
	for _, op := range m.Graphs[0].Ops {
		want = append(want, op.Outputs[0])
	}
	probe, observed := probeModel(m, want)
	if m.String() != before {
		t.Error("the model itself changed")
	}
	in := Inputs(m, 1, 1, 1)[0]
	got, err := mustOpen(t, evaluate, probe)(in)
	if err != nil {
		t.Fatal(err)
	}
	plain := m.Clone()
	plain.Graphs[0].Outputs = nil
	for _, op := range plain.Graphs[0].Ops {
		plain.Graphs[0].Outputs = append(plain.Graphs[0].Outputs, op.Outputs[0])
	}
	values, err := mustOpen(t, evaluate, plain)(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(observed) != len(want) {
		t.Fatalf("%d observations of %d tensors", len(observed), len(want))
	}
	splits := 0
	for k, o := range observed {
		if o.tensor != want[k] {
			t.Fatalf("observation %d is of %q", k, o.tensor.Name)
		}
		lo, hi := tflite.Clamp(o.fused)
		cut := false
		for e, x := range got[k] {
			y := math.Max(lo, math.Min(hi, float64(x)))
			cut = cut || y != float64(x)
			if float32(y) != values[k][e] {
				t.Fatalf("%q, before %v: element %d is %v, the model computes %v", o.tensor.Name, o.fused, e, x, values[k][e])
			}
		}
		if o.splits() {
			splits++
			if !cut {
				t.Errorf("%q: its activation cuts nothing: what is tested?", o.tensor.Name)
			}
		}
	}
	if splits != 3 {
		t.Errorf("%d tensors are seen before their activation, want 3", splits)
	}
}

// Statistics are of the graph's own values: bounds and means over all samples.
// What no input mends is not blamed on the inputs.
func TestConstantsThatAreNotFinite(t *testing.T) {
	m := Chain(Input(1, 6, 6, 3), Conv(4, 3, ReLU), Conv(4, 3), Conv(2, 1))
	bias := m.Graphs[0].Ops[1].Inputs[2]
	set(bias, 2, math.Inf(1))
	opts := stated()
	opts.AllowFloat = true
	_, _, err := Quantize(m, opts)
	if want := `op 1 CONV_2D "conv_1": a constant of it holds NaN or infinity`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// What is infinite inside, and not in the answers, stays float where that is allowed.
func TestInfiniteInside(t *testing.T) {
	mish := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		unary := func(code schema.BuiltinOperator, x *tflite.Tensor) *tflite.Tensor { return Unary(code, nil)(b, x) }
		more := b.Op("more", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, unary(schema.BuiltinOperatorEXP, x), b.Floats(nil, 1))
		gate := unary(schema.BuiltinOperatorTANH, unary(schema.BuiltinOperatorLOG, more))
		return b.Op("mish", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, gate)
	}
	m := ChainSeed(2, Input(1, 8, 8, 3), Conv(8, 3), Scale(100), mish, Conv(4, 1))
	opts := Options{Calibration: Inputs(m, 5, 16, 1), Inputs: stated().Inputs}
	if _, _, err := Quantize(m, &opts); err == nil {
		t.Error("an infinity has become INT8")
	}
	opts.AllowFloat = true
	if got := quantizedSQNR(t, m, opts, evaluate, opts.Calibration); got < 25 {
		t.Errorf("%.1f dB", got)
	}
	_, r := quantize(t, m, &opts)
	if n := r.Ops - r.OpsInt8; n < 3 || n > 5 { // EXP, ADD, LOG, and what changes types
		t.Errorf("%d ops stay float: %+v", n, r.Float)
	}
	if _, _, err := Quantize(m, &Options{Target: "tflite", Inputs: stated().Inputs}); err == nil || !strings.Contains(err.Error(), "(--allow-float), as the model's answers are finite") {
		t.Errorf("what may stay float is not said: %v", err)
	}
	over := func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return Unary(schema.BuiltinOperatorEXP, nil)(b, x) }
	m = ChainSeed(2, Input(1, 8, 8, 3), Conv(8, 3), Scale(100), over)
	opts.Calibration = Inputs(m, 5, 16, 1)
	if _, _, err := Quantize(m, &opts); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("infinite answers: %v", err)
	}
	if _, _, err := Quantize(m, &Options{Target: "tflite", Inputs: stated().Inputs}); err == nil || strings.Contains(err.Error(), "--allow-float") {
		t.Errorf("infinite answers cannot be helped by float: %v", err)
	}
}

func TestEstimate(t *testing.T) {
	m := Chain(Input(1, 6, 6, 3), Conv(4, 3, ReLU), Depthwise(3))
	samples := Inputs(m, 1, 5, 1)
	j := jobAfter(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
	run := mustOpen(t, evaluate, m)
	lo, hi, sum, n := math.Inf(1), math.Inf(-1), make([]float64, 4), 0.0
	for _, in := range samples {
		out, err := run(in)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range out[0] {
			lo, hi = math.Min(lo, float64(x)), math.Max(hi, float64(x))
			sum[i%4] += float64(x)
		}
		n += float64(len(out[0]) / 4)
	}
	s := j.stats[j.graph.Outputs[0]]
	if s.Lo != lo || s.Hi != hi {
		t.Errorf("from %g to %g, want %g to %g", s.Lo, s.Hi, lo, hi)
	}
	for c, m := range s.channels {
		if m.n != n || !(math.Abs(m.mean-sum[c]/n) <= 1e-6) {
			t.Errorf("channel %d: %g values of mean %g, want %g of %g", c, m.n, m.mean, n, sum[c]/n)
		}
	}
	relu := j.stats[j.graph.Ops[0].Outputs[0]]
	if relu.Lo < 0 || relu.pre[0].lo >= 0 && relu.pre[1].lo >= 0 {
		t.Errorf("behind the RELU from %g, before it from %g and %g", relu.Lo, relu.pre[0].lo, relu.pre[1].lo)
	}
}

// A patch is what a filter sees: its product with the weights is the filter's
// answer.
func TestPatches(t *testing.T) {
	dilated := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := Conv(1, 3)(b, x)
		o := b.Graph.Ops[0].Options.(*schema.Conv2DOptionsT)
		o.DilationHFactor, o.DilationWFactor = 2, 3
		return y
	}
	for _, layer := range []Layer{Conv(1, 3), Conv(1, 3, Stride(2)), Conv(1, 2, Valid), dilated, Depthwise(3), Depthwise(3, Stride(2), Valid)} {
		m := Chain(Input(1, 7, 9, 3), layer)
		op := m.Graphs[0].Ops[0]
		p, ok := windowOf(op)
		if !ok {
			t.Fatalf("no window of\n%v", m)
		}
		in := Inputs(m, 1, 1, 1)[0]
		out, err := mustOpen(t, evaluate, m)(in)
		if err != nil {
			t.Fatal(err)
		}
		w, b := op.Inputs[1].Floats(), op.Inputs[2].Floats()
		n := p.out[0] * p.out[1]
		patches := p.somePatches(in[0], n, rand.NewPCG(1, 1))
		size := p.Kernel[0] * p.Kernel[1] * p.channels
		for i := range n {
			want := make([]float64, len(b))
			for k, x := range patches[i*size : (i+1)*size] {
				c := 0
				if op.Code == schema.BuiltinOperatorDEPTHWISE_CONV_2D {
					c = k % 3
				}
				want[c] += float64(x) * float64(w[k])
			}
			for c := range b {
				if got := float64(out[0][i*len(b)+c]); !(math.Abs(got-want[c]-float64(b[c])) <= 1e-4) {
					t.Fatalf("output %d of channel %d is %g, its patch gives %g\n%v", i, c, got, want[c]+float64(b[c]), m)
				}
			}
		}
	}
}
