package dfq

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// by is x and a constant in one op; constantFirst: the other way round.
func by(code schema.BuiltinOperator, constantFirst bool, act schema.ActivationFunctionType, shape []int, values ...float32) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		operands := list(x, b.Floats(shape, values...))
		if constantFirst {
			slices.Reverse(operands)
		}
		var o any
		switch code {
		case schema.BuiltinOperatorADD:
			o = &schema.AddOptionsT{PotScaleInt16: true, FusedActivationFunction: act}
		case schema.BuiltinOperatorSUB:
			o = &schema.SubOptionsT{PotScaleInt16: true, FusedActivationFunction: act}
		case schema.BuiltinOperatorMUL:
			o = &schema.MulOptionsT{FusedActivationFunction: act}
		case schema.BuiltinOperatorDIV:
			o = &schema.DivOptionsT{FusedActivationFunction: act}
		}
		return b.Op("by", code, o, x.Shape, operands...)
	}
}

// mul and add are by one number per channel.
func mul(values ...float32) Layer {
	return by(schema.BuiltinOperatorMUL, false, schema.ActivationFunctionTypeNONE, []int{len(values)}, values...)
}

func add(values ...float32) Layer {
	return by(schema.BuiltinOperatorADD, false, schema.ActivationFunctionTypeNONE, []int{len(values)}, values...)
}

// deconv is a TRANSPOSE_CONV that doubles height and width.
func deconv(filters int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape := []int{1, 2 * x.Shape[1], 2 * x.Shape[2], filters}
		return b.Op("deconv", schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: schema.PaddingSAME, StrideW: 2, StrideH: 2},
			shape, b.Ints([]int{4}, shape...), b.Filter("deconv_weights", 9*x.Shape[3], 0, filters, 3, 3, x.Shape[3]), x, b.Random(0, 0.3, filters))
	}
}

// randomBy is arithmetic with a constant in any of its forms.
func randomBy(r *rand.Rand, channels int) Layer {
	codes := []schema.BuiltinOperator{schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB, schema.BuiltinOperatorMUL, schema.BuiltinOperatorDIV}
	code := codes[r.IntN(4)]
	shape := [][]int{{channels}, {1, 1, 1, channels}, {1, channels}, {1}, nil}[r.IntN(5)]
	values := make([]float32, channels)
	for i := range values {
		values[i] = float32(0.4 + r.Float64())
		if r.IntN(3) == 0 {
			values[i] = -values[i]
		}
	}
	act := schema.ActivationFunctionTypeNONE
	if r.IntN(4) == 0 {
		act = schema.ActivationFunctionType(r.IntN(4))
	}
	return by(code, r.IntN(4) == 0 && code != schema.BuiltinOperatorDIV, act, shape, values...)
}

// randomLayers is a network of filters and other layers with arithmetic between.
func randomLayers(r *rand.Rand) Layer {
	set := func() []Setting {
		s := []Setting{Activation(schema.ActivationFunctionType(r.IntN(4) * r.IntN(2)))}
		if r.IntN(2) == 0 {
			s = append(s, Valid)
		}
		return s
	}
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		for range 2 {
			for range r.IntN(4) {
				x = randomBy(r, x.Shape[3])(b, x)
			}
			x = []Layer{
				Conv(1+r.IntN(5), 1+r.IntN(3), set()...),
				Depthwise(1+r.IntN(3), append(set(), Multiplier(1+r.IntN(2)))...),
				deconv(1 + r.IntN(4)),
				Pad(1),
				Pool(schema.BuiltinOperatorMAX_POOL_2D, 2),
				Unary(schema.BuiltinOperatorRELU, nil),
				Residual(randomBy(r, x.Shape[3])),
				Concat(Conv(3, 1), Sequence(randomBy(r, x.Shape[3]), Conv(2, 2))),
			}[r.IntN(8)](b, x)
		}
		x = Sequence(randomBy(r, x.Shape[3]), Dense(3), randomBy(r, 3))(b, x)
		return x
	}
}

// Folding changes no output, whatever stands between the filters.
func TestBatchNormsKeepTheFunction(t *testing.T) {
	folded, depthwise, left := 0, 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		b := New(seed)
		y := randomLayers(r)(b, b.Input(1, 6, 5, 3))
		outputs := list(y)
		if r.IntN(3) == 0 { // an inner tensor is an output too
			outputs = append(outputs, b.Graph.Ops[r.IntN(len(b.Graph.Ops)-1)].Outputs[0])
		}
		m := b.Model(outputs...)
		j := jobAfter(t, m, &Options{}, "fuse activations")
		folded, depthwise = folded+j.report.Folded, depthwise+j.report.Depthwise
		for _, op := range j.graph.Ops {
			if lineOf(op) != nil {
				left++
			}
		}
		for i, out := range j.graph.Outputs {
			if out.Name != outputs[i].Name {
				t.Errorf("seed %d: output %q is %q now", seed, outputs[i].Name, out.Name)
			}
		}
		size := largestInside(t, m)
		if d := relativeChange(t, evaluate, m, j.model, size); d > 1e-5 {
			t.Errorf("seed %d: outputs changed by %.2g of the largest value\n%v%v", seed, d, m, j.model)
		}
		if interpreter == nil {
			continue
		}
		if d := relativeChange(t, interpreter, m, j.model, size); d > 1e-5 {
			t.Errorf("seed %d: outputs changed by %.2g of the largest value in the interpreter\n%v%v", seed, d, m, j.model)
		}
	}
	t.Logf("%d ops folded, %d depthwise convolutions made, %d ops left", folded, depthwise, left)
	if folded < 300 || depthwise < 100 || left < 50 {
		t.Error("too few to show anything")
	}
}

// largestInside is the largest magnitude of any activation: float32 rounds sums
// that cancel out in steps of what they are sums of.
func largestInside(t *testing.T, m *tflite.Model) float64 {
	t.Helper()
	all := m.Clone()
	g := all.Graphs[0]
	g.Outputs = nil
	for _, op := range g.Ops {
		g.Outputs = append(g.Outputs, op.Outputs...)
	}
	run, most := mustOpen(t, evaluate, all), 0.0
	for _, in := range Inputs(m, 9, 4, 1) {
		values, err := run(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			most = math.Max(most, largest(v))
		}
	}
	return most
}

// What is folded, what becomes a depthwise convolution, and what stays.
func TestBatchNormsFolded(t *testing.T) {
	scale, shift := mul(2, -3, 0.5, 1), add(1, 2, -3, 0)
	relu := Unary(schema.BuiltinOperatorRELU, nil)
	integers := func(b *Builder, x *tflite.Tensor) *tflite.Tensor { // arithmetic on integers beside it
		top := b.Tensor("top", schema.TensorTypeINT32, 1, 8, 8)
		b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(x, b.Ints(nil, 3)), top)
		twice := b.Tensor("twice", schema.TensorTypeINT32, 1, 8, 8)
		b.Add(schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, list(top, b.Ints(nil, 2)), twice)
		return b.Op("float", schema.BuiltinOperatorCAST, nil, twice.Shape, twice)
	}
	tests := []struct {
		name                    string
		layer                   Layer
		folded, depthwise, left int
	}{
		{"behind a convolution", Sequence(Conv(4, 3), scale, shift, relu), 2, 0, 0},
		{"behind a depthwise convolution", Sequence(Depthwise(3), mul(1, 2, 3), add(1, 2, 3)), 2, 0, 0},
		{"behind a dense layer", Sequence(Dense(4), scale, shift), 2, 0, 0},
		{"behind a transposed convolution", Sequence(deconv(4), scale, shift), 2, 0, 0},
		{"activation into a transposed convolution", Sequence(deconv(4), by(schema.BuiltinOperatorADD, false, schema.ActivationFunctionTypeRELU, []int{4}, 1, 2, 3, 4)), 0, 1, 0},
		{"behind an activation, before padding", Sequence(Conv(4, 3, ReLU), scale, shift, Conv(4, 3)), 0, 1, 0},
		{"a scale before padding", Sequence(Conv(4, 3, ReLU), scale, Conv(4, 3)), 1, 0, 0},
		{"before a filter that does not pad", Sequence(Conv(4, 3, ReLU), scale, shift, Conv(4, 3, Valid)), 2, 0, 0},
		{"before a 1×1 filter", Sequence(Conv(4, 3, ReLU), scale, shift, Conv(4, 1)), 2, 0, 0},
		{"before a dense layer", Sequence(Conv(4, 3, ReLU), scale, shift, Dense(4)), 2, 0, 0},
		{"before a transposed convolution", Sequence(Conv(4, 3, ReLU), scale, deconv(2)), 1, 0, 0},
		{"a shift before a transposed convolution", Sequence(Conv(4, 3, ReLU), shift, deconv(2)), 0, 1, 0},
		{"a scale before PAD", Sequence(Conv(4, 3, ReLU), scale, Pad(1), Conv(4, 3, Valid)), 1, 0, 0},
		{"a shift before PAD", Sequence(Conv(4, 3, ReLU), shift, Pad(1), Conv(4, 3, Valid)), 0, 1, 0},
		{"before two filters", Sequence(Conv(4, 3, ReLU), scale, shift, Concat(Conv(4, 1), Conv(3, 1))), 2, 0, 0},
		{"before a filter and another reader", Sequence(Conv(4, 3, ReLU), scale, shift, Concat(Conv(4, 1), Identity())), 0, 1, 0},
		{"behind a filter with another reader", Sequence(Conv(4, 3), Residual(scale, shift)), 0, 1, 0},
		{"an input's scale", Sequence(by(schema.BuiltinOperatorDIV, false, 0, nil, 255), Conv(4, 3)), 1, 0, 0},
		{"an input's scale and offset", Sequence(by(schema.BuiltinOperatorDIV, false, 0, nil, 127.5), by(schema.BuiltinOperatorSUB, false, 0, nil, 1), Conv(4, 3)), 0, 1, 0},
		{"one number between activations", Sequence(Conv(4, 3, ReLU), by(schema.BuiltinOperatorMUL, false, 0, nil, 2), relu), 0, 0, 1},
		{"no images", Sequence(Reshape(64, 3), mul(1, 2, 3), add(1, 2, 3), Reshape(1, 8, 8, 3)), 0, 0, 2},
		{"an activation within", Sequence(Conv(4, 3, ReLU), by(schema.BuiltinOperatorMUL, false, schema.ActivationFunctionTypeRELU, []int{4}, 1, 2, 3, 4), shift, Conv(2, 3)), 0, 2, 0},
		{"a negation", Sequence(Unary(schema.BuiltinOperatorNEG, nil), Conv(4, 3)), 1, 0, 0},
		{"a constant by x", by(schema.BuiltinOperatorDIV, true, 0, []int{3}, 1, 2, 3), 0, 0, 0},
		{"a division by zero", Sequence(Conv(3, 1), by(schema.BuiltinOperatorDIV, false, 0, []int{3}, 1, 0, 3)), 0, 0, 0},
		{"beyond float32", Sequence(Conv(3, 1), mul(1, 1e30, 1), mul(1, 1e30, 1)), 1, 1, 0},
		{"integers", integers, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := jobAfter(t, Chain(Input(1, 8, 8, 3), test.layer), &Options{}, "fuse activations")
			left := 0
			for _, op := range j.graph.Ops {
				if lineOf(op) != nil {
					left++
				}
			}
			if r := j.report; r.Folded != test.folded || r.Depthwise != test.depthwise || left != test.left {
				t.Errorf("%d folded, %d depthwise, %d left; want %d, %d, %d\n%v", r.Folded, r.Depthwise, left, test.folded, test.depthwise, test.left, j.model)
			}
		})
	}
}

// What the graph does to its input first says what it holds.
func TestInputOfNormalizedImages(t *testing.T) {
	data, err := os.ReadFile("../testdata/digits.tflite") // trained on [−1, 1]
	if err != nil {
		t.Fatal(err)
	}
	none := schema.ActivationFunctionTypeNONE
	for name, test := range map[string]struct {
		layer Layer
		want  Range
	}{
		"pixels, scaled":             {by(schema.BuiltinOperatorDIV, false, none, nil, 127.5), Range{-128, 127}},
		"pixels, scaled and shifted": {Sequence(by(schema.BuiltinOperatorMUL, false, none, nil, 1/127.5), by(schema.BuiltinOperatorSUB, false, none, nil, 1)), Range{0, 255}},
		"pixels, shifted and scaled": {Sequence(by(schema.BuiltinOperatorSUB, false, none, nil, 127.5), by(schema.BuiltinOperatorDIV, false, none, nil, 127.5)), Range{0, 255}},
		"unit range, shifted":        {Sequence(by(schema.BuiltinOperatorSUB, false, none, nil, 0.5), by(schema.BuiltinOperatorMUL, false, none, nil, 2)), Range{0, 1}},
	} {
		m, err := tflite.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		g := m.Graphs[0]
		m.Signatures, m.Metadata = nil, nil
		b := New(1)
		old := g.Inputs[0]
		y := test.layer(b, b.Input(old.Shape...))
		for _, op := range g.Ops {
			for i, x := range op.Inputs {
				if x == old {
					op.Inputs[i] = y
				}
			}
		}
		g.Ops, g.Inputs = append(b.Graph.Ops, g.Ops...), b.Graph.Inputs
		in, err := InputEncodings(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if in[0].Range != test.want {
			t.Errorf("%s: [%g, %g], want %v: %s", name, in[0].Range.Lo, in[0].Range.Hi, test.want, in[0].Why)
		}
	}
}

// The int8 kernel of DIV is newer than that of MUL, and NEG's knows no scales:
// what is left of them is multiplication.
func TestDivisionBecomesMultiplication(t *testing.T) {
	half := by(schema.BuiltinOperatorDIV, false, schema.ActivationFunctionTypeRELU, nil, 2)
	some := by(schema.BuiltinOperatorDIV, false, schema.ActivationFunctionTypeNONE, []int{3}, 2, 3, -4)
	m := Chain(Input(1, 8, 8, 3), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), Unary(schema.BuiltinOperatorNEG, nil), half, Reshape(64, 3), some)
	m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, m.Graphs[0].Ops[1].Outputs[0])
	q, r := quantize(t, m, stated())
	for i, want := range []schema.ActivationFunctionType{1: schema.ActivationFunctionTypeNONE, 2: schema.ActivationFunctionTypeRELU, 4: schema.ActivationFunctionTypeNONE} {
		if op := q.Graphs[0].Ops[i]; i%3 > 0 && (op.Code != schema.BuiltinOperatorMUL || op.Activation() != want) {
			t.Errorf("op %d is %s", i, op.Code)
		}
	}
	if d := relativeChange(t, evaluate, m, r.FloatTwin, 0); d > 1e-6 {
		t.Errorf("outputs changed by %.2g of their largest", d)
	}
}

// A batch norm whose channels are a hundred times apart, written as MUL and ADD:
// INT8 constants and two roundings lose its small channels; folded, they are
// scaled and equalized as any filter's.
func TestBatchNormsGain(t *testing.T) {
	norm := Sequence(mul(1, 0.01, 30, 0.3, 5, 0.05, 0.5, 10), add(0.5, 0.02, -10, 0.1, 1, 0.03, -0.2, 2))
	undo := mul(1, 100, 1./30, 3, 0.2, 20, 2, 0.1)
	tests := map[string]struct {
		layer Layer
		least float64 // dB that are gained
	}{
		"behind a filter": {Sequence(Conv(8, 3), norm, Unary(schema.BuiltinOperatorRELU, nil), undo), 10},
		"between others":  {Sequence(Conv(8, 3, ReLU), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), norm, Unary(schema.BuiltinOperatorRELU, nil), undo), 5},
		"before a 1×1":    {Sequence(Conv(8, 3, ReLU), norm, undo), 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := Chain(Input(1, 16, 16, 3), test.layer, Conv(8, 3, ReLU), Conv(8, 3, ReLU), Conv(8, 1))
			opts := &Options{PerTensor: true, Calibration: Inputs(m, 4, 40, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
			before, after := sqnrWithout(t, m, opts, "fold batch norms"), sqnrWithout(t, m, opts, "")
			t.Logf("%.1f dB as it is, %.1f dB folded", before, after)
			if after < before+test.least {
				t.Errorf("%.1f dB as it is, %.1f dB folded, want %.0f more", before, after, test.least)
			}
		})
	}
}

// sqnrWithout converts m without one pass and compares.
func sqnrWithout(t *testing.T, m *tflite.Model, opts *Options, without string) float64 {
	t.Helper()
	j, err := newJob(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range passes {
		if p.name == without || !p.runs(opts) {
			continue
		}
		if err := j.runPass(p); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
	return sqnrOf(t, m, j.model, evaluate, Inputs(m, 3, 40, 1))
}
