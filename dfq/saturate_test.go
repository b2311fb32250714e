package dfq

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Values beyond what the table calls saturated may be clipped: the answer, computed
// here, stays the same to half a step of the output, and wherever there is no such
// step, exactly.
func TestSaturatedValuesMayBeClipped(t *testing.T) {
	each := func(f func(x float64) float64) func([]float64) []float64 {
		return func(row []float64) []float64 {
			out := make([]float64, len(row))
			for i, x := range row {
				out[i] = f(x)
			}
			return out
		}
	}
	logSoftmax := func(row []float64) []float64 {
		sum := 0.0
		for _, x := range row {
			sum += math.Exp(x)
		}
		return each(func(x float64) float64 { return math.Max(x-math.Log(sum), -16) })(row)
	}
	functions := map[schema.BuiltinOperator]func([]float64) []float64{
		schema.BuiltinOperatorRELU:         each(func(x float64) float64 { return math.Max(0, x) }),
		schema.BuiltinOperatorRELU6:        each(func(x float64) float64 { return math.Min(6, math.Max(0, x)) }),
		schema.BuiltinOperatorRELU_N1_TO_1: each(func(x float64) float64 { return math.Min(1, math.Max(-1, x)) }),
		schema.BuiltinOperatorRELU_0_TO_1:  each(func(x float64) float64 { return math.Min(1, math.Max(0, x)) }),
		schema.BuiltinOperatorHARD_SWISH:   each(func(x float64) float64 { return x * math.Min(6, math.Max(0, x+3)) / 6 }),
		schema.BuiltinOperatorLOGISTIC:     each(func(x float64) float64 { return math.Min(255./256, 1/(1+math.Exp(-x))) }),
		schema.BuiltinOperatorTANH:         each(func(x float64) float64 { return math.Min(127./128, math.Tanh(x)) }),
		schema.BuiltinOperatorLOG_SOFTMAX:  logSoftmax,
		schema.BuiltinOperatorSOFTMAX: func(row []float64) []float64 {
			return each(func(x float64) float64 { return math.Min(255./256, math.Exp(x)) })(logSoftmax(row))
		},
	}
	moves := map[schema.BuiltinOperator]bool{
		schema.BuiltinOperatorRESHAPE: true, schema.BuiltinOperatorSQUEEZE: true,
		schema.BuiltinOperatorEXPAND_DIMS: true, schema.BuiltinOperatorTRANSPOSE: true,
		schema.BuiltinOperatorSELECT: true, schema.BuiltinOperatorSELECT_V2: true,
		schema.BuiltinOperatorSPACE_TO_DEPTH: true, schema.BuiltinOperatorDEPTH_TO_SPACE: true,
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for code, s := range ops {
		code := schema.BuiltinOperator(code)
		f := functions[code]
		switch {
		case s.saturates == nil && f == nil, code == schema.BuiltinOperatorADD, code == schema.BuiltinOperatorSUB, code == schema.BuiltinOperatorMUL,
			code == schema.BuiltinOperatorMINIMUM, code == schema.BuiltinOperatorMAXIMUM:
			continue // these: TestSummandsMayBeClipped, TestSiLUMayBeClipped, TestOperandsOfConstantsMayBeClipped
		case moves[code]:
			out := &tflite.Tensor{}
			looked := &saturated{of: map[*tflite.Tensor]Range{out: {-2, 3}}}
			if r := s.saturates(looked, &tflite.Op{Outputs: list(out)}, 0); r != (Range{-2, 3}) {
				t.Errorf("%v, which moves values, is looked at within %v, its output within [-2, 3]", code, r)
			}
			continue
		case s.saturates == nil || f == nil:
			t.Errorf("%v is in the table or in this test, not in both", code)
			continue
		}
		const n = 10
		b := New(1)
		x := b.Input(1, n)
		op := &tflite.Op{Code: code, Options: &schema.SoftmaxOptionsT{Beta: 1}, Inputs: list(x)}
		rows := make([][]float64, 300)
		stats := &tensorStats{channels: make([]moments, n)}
		for i := range rows {
			at, size := 10*rng.Float64()-7, 0.1+12*rng.Float64() // some rows are below 0 all over
			for range n {
				v := float32(at + size*rng.NormFloat64())
				rows[i], stats.rows = append(rows[i], float64(v)), append(stats.rows, v)
			}
		}
		j := &job{stats: map[*tflite.Tensor]*tensorStats{x: stats}}
		within := s.saturates(&saturated{j: j}, op, 0)
		clipped, half := 0, s.scale.params.Scale/2
		for _, row := range rows {
			cut := make([]float64, n)
			for i, x := range row {
				cut[i] = math.Min(within.Hi, math.Max(within.Lo, x))
				if cut[i] != x {
					clipped++
				}
			}
			before, after := f(row), f(cut)
			for i := range row {
				if d := math.Abs(before[i] - after[i]); d > float64(half) {
					t.Errorf("%v within %v: %g became %g, and the answer %g became %g", code, within, row[i], cut[i], before[i], after[i])
				}
			}
		}
		if clipped == 0 {
			t.Errorf("%v within %v: nothing was clipped, what is tested?", code, within)
		}
	}
}

// Summands may be clipped, both at once, beyond what the table says of them: sums and
// differences behind every fused activation, or where readers look no further, stay
// what they were.
func TestSummandsMayBeClipped(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	clip := func(x float64, r Range) float64 { return math.Min(r.Hi, math.Max(r.Lo, x)) }
	for code, sign := range map[schema.BuiltinOperator]float64{schema.BuiltinOperatorADD: 1, schema.BuiltinOperatorSUB: -1} {
		for _, act := range []schema.ActivationFunctionType{
			schema.ActivationFunctionTypeNONE, schema.ActivationFunctionTypeRELU,
			schema.ActivationFunctionTypeRELU6, schema.ActivationFunctionTypeRELU_N1_TO_1,
		} {
			for _, readers := range []Range{everything, {-3, math.Inf(1)}, {-6.5, 5.5}} {
				clipped := 0
				for range 200 {
					var ranges [2]Range
					for k := range ranges {
						at, size := rng.NormFloat64(), 10*rng.Float64() // some lie on one side of 0
						ranges[k] = Range{at - size, at + size}
					}
					b := New(1)
					op := &tflite.Op{Code: code, Options: withActivation(&schema.AddOptionsT{}, act), Inputs: list(b.Input(1), b.Input(1)), Outputs: list(b.Input(1))}
					if code == schema.BuiltinOperatorSUB {
						op.Options = withActivation(&schema.SubOptionsT{}, act)
					}
					g := &groups{of: map[*tflite.Tensor]*group{}}
					for k, r := range ranges {
						g.of[op.Inputs[k]] = &group{chosenRange: chosenRange{Range: r}}
					}
					s := &saturated{groups: g, of: map[*tflite.Tensor]Range{op.Outputs[0]: readers}}
					lo, hi := tflite.Clamp(act)
					answer := func(x, y float64) float64 { return clip(clip(x+sign*y, Range{lo, hi}), readers) }
					first, second := spec(op).saturates(s, op, 0), spec(op).saturates(s, op, 1)
					for range 50 {
						x := ranges[0].Lo + (ranges[0].Hi-ranges[0].Lo)*rng.Float64()
						y := ranges[1].Lo + (ranges[1].Hi-ranges[1].Lo)*rng.Float64()
						cx, cy := clip(x, first), clip(y, second)
						if cx != x || cy != y {
							clipped++
						}
						if d := math.Abs(answer(x, y) - answer(cx, cy)); d > 1e-9 {
							t.Fatalf("%v %v within %v of %v, read within %v: %g and %g cut to %g and %g change the answer by %g", code, act, ranges, []Range{first, second}, readers, x, y, cx, cy, d)
						}
					}
				}
				if unlimited := act == schema.ActivationFunctionTypeNONE && readers == everything; (clipped == 0) != unlimited {
					t.Errorf("%v %v, read within %v: %d values were clipped", code, act, readers, clipped)
				}
			}
		}
	}
}

// What SiLU makes of values below its end is within 0.003 of what it makes of the end,
// and above it nothing is cut.
func TestSiLUMayBeClipped(t *testing.T) {
	m := Chain(Input(1, 2, 2, 1), Conv(1, 1), swish)
	g := m.Graphs[0]
	s := &saturated{j: &job{}, producers: g.Producers()}
	mul := g.Ops[len(g.Ops)-1]
	r := spec(mul).saturates(s, mul, 0)
	if gate := spec(mul).saturates(s, mul, 1); !math.IsInf(r.Hi, 1) || gate != everything {
		t.Errorf("x is looked at in %v, its sigmoid in %v", r, gate)
	}
	other := Chain(Input(1, 2, 2, 1), Conv(1, 1), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := Unary(schema.BuiltinOperatorLOGISTIC, nil)(b, Conv(1, 1)(b, x))
		return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
	}).Graphs[0]
	s.producers = other.Producers()
	if r := spec(mul).saturates(s, other.Ops[len(other.Ops)-1], 0); r != everything {
		t.Errorf("x times the sigmoid of something else is looked at in %v", r)
	}
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	for x := r.Lo; x > -100; x -= 0.1 {
		if d := math.Abs(silu(x) - silu(r.Lo)); d > 0.003 {
			t.Fatalf("SiLU of %g is %g from that of %g", x, d, r.Lo)
		}
	}
	if silu(r.Lo) > -0.002 {
		t.Errorf("%v spends steps on what is next to 0", r)
	}
}

// Beside a constant, what is beyond makes no difference to what readers look at.
func TestOperandsOfConstantsMayBeClipped(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	clip := func(x float64, r Range) float64 { return math.Min(r.Hi, math.Max(r.Lo, x)) }
	for code, f := range map[schema.BuiltinOperator]func(x, c float64) float64{
		schema.BuiltinOperatorMUL: func(x, c float64) float64 { return x * c }, schema.BuiltinOperatorMINIMUM: math.Min, schema.BuiltinOperatorMAXIMUM: math.Max,
	} {
		for _, readers := range []Range{everything, {-3, math.Inf(1)}, {0, 5.5}, {-6.5, 0}} {
			clipped := 0
			for i := range 200 {
				b := New(1)
				c := b.Floats([]int{3}, float32(rng.NormFloat64()), float32(4*rng.NormFloat64()), float32(i%20)) // now and then 0
				op := &tflite.Op{Code: code, Options: &schema.MulOptionsT{}, Inputs: list(b.Input(1, 3), c), Outputs: list(b.Input(1, 3))}
				if code != schema.BuiltinOperatorMUL {
					op.Options = nil
				}
				s := &saturated{of: map[*tflite.Tensor]Range{op.Outputs[0]: readers}}
				r := spec(op).saturates(s, op, 0)
				if !(r.Lo <= 0 && 0 <= r.Hi) {
					t.Fatalf("%v by %v, read within %v: looked at within %v, without 0", code, c.Floats(), readers, r)
				}
				for range 50 {
					x := 30 * rng.NormFloat64()
					if clip(x, r) != x {
						clipped++
					}
					for _, by := range c.Floats() {
						if d := math.Abs(clip(f(x, float64(by)), readers) - clip(f(clip(x, r), float64(by)), readers)); d > 1e-9 {
							t.Fatalf("%v of %g by %g, read within %v: cut to %v it is off by %g", code, x, by, readers, r, d)
						}
					}
				}
			}
			if bounds := code != schema.BuiltinOperatorMUL; clipped == 0 && (bounds || readers != everything) {
				t.Errorf("%v, read within %v: nothing is ever cut", code, readers)
			}
		}
	}
}

// GELU as converters write it keeps its precision: x³ is looked at where TANH still moves.
func TestGELUByTANH(t *testing.T) {
	gelu := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		mul := func(x, y *tflite.Tensor) *tflite.Tensor {
			return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
		}
		add := func(x, y *tflite.Tensor) *tflite.Tensor {
			return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, y)
		}
		inner := mul(add(x, mul(mul(mul(x, x), x), b.Floats(nil, 0.044715))), b.Floats(nil, 0.7978846))
		one := add(b.Op("tanh", schema.BuiltinOperatorTANH, nil, x.Shape, inner), b.Floats(nil, 1))
		return mul(mul(x, one), b.Floats(nil, 0.5))
	}
	m := ChainSeed(2, Input(1, 8, 8, 3), Conv(8, 3), Scale(4), gelu, Conv(4, 1))
	opts := Options{Calibration: Inputs(m, 5, 16, 1), Inputs: stated().Inputs}
	if got := quantizedSQNR(t, m, opts, evaluate, opts.Calibration); got < 20 {
		t.Errorf("%.1f dB", got)
	}
}

// A clip at the end leaves nothing beyond it to hold, for all that has the scale of the answer.
func TestClippedAnswers(t *testing.T) {
	clip := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		x = b.Op("low", schema.BuiltinOperatorMINIMUM, nil, x.Shape, x, b.Floats(nil, 2))
		return b.Op("high", schema.BuiltinOperatorMAXIMUM, nil, x.Shape, x, b.Floats(nil, 0))
	}
	shuffle := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("space", schema.BuiltinOperatorDEPTH_TO_SPACE, &schema.DepthToSpaceOptionsT{BlockSize: 2}, []int{1, 16, 16, 1}, x)
	}
	j := jobAfter(t, ChainSeed(2, Input(1, 8, 8, 3), Conv(4, 3), Scale(4), shuffle, clip), stated(), "assign ranges")
	for _, op := range j.graph.Ops[1:] {
		if lo, hi := affine.Int8.Range(params(op.Outputs[0].Quant)); lo < -0.05 || hi > 2.05 {
			t.Errorf("%q holds [%g, %g], is clipped to [0, 2]", op.Outputs[0].Name, lo, hi)
		}
	}
}

// What ops of a known reach make is no wider in the file, in lines and moved as well.
func TestBoundedAnswers(t *testing.T) {
	arithmetic := func(code schema.BuiltinOperator, options any, by float32) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("line", code, options, x.Shape, x, b.Floats(nil, by))
		}
	}
	times := func(by float32) Layer { return arithmetic(schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, by) }
	plus := func(by float32) Layer { return arithmetic(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, by) }
	sigmoid, tanh := Unary(schema.BuiltinOperatorLOGISTIC, nil), Unary(schema.BuiltinOperatorTANH, nil)
	for name, c := range map[string]struct {
		end  Layer
		want Range
	}{
		"pixels":               {Sequence(sigmoid, times(255)), Range{0, 255}},
		"pixels of a tanh":     {Sequence(tanh, times(-127.5), plus(127.5)), Range{0, 255}},
		"moved":                {Sequence(sigmoid, times(255), Reshape(1, 16, 16)), Range{0, 255}},
		"moved before":         {Sequence(tanh, Reshape(1, 16, 16), times(2)), Range{-2, 2}},
		"joined":               {Sequence(Concat(Sequence(sigmoid, times(10)), Sequence(tanh, times(20))), Reshape(1, 16, 32)), Range{-20, 20}},
		"of one scale with 0":  {Sequence(sigmoid, plus(3)), Range{0, 4}},
		"joined with anything": {Concat(Sequence(sigmoid, times(10)), Identity()), Range{math.Inf(-1), math.Inf(1)}},
		"a line of anything":   {times(255), Range{math.Inf(-1), math.Inf(1)}},
	} {
		j := jobAfter(t, ChainSeed(2, Input(1, 8, 8, 3), Conv(4, 3), Scale(8), c.end), stated(), "assign ranges")
		out := j.graph.Outputs[0]
		lo, hi := affine.Int8.Range(params(out.Quant))
		seen, step := j.stats[out], float64(scaleOf(out))
		if lo < c.want.Lo-1.5*step || hi > c.want.Hi+1.5*step {
			t.Errorf("%s: it holds [%g, %g], and no value is outside of %v", name, lo, hi, c.want)
		}
		if lo > seen.Lo+1.5*step || hi < seen.Hi-1.5*step {
			t.Errorf("%s: it holds [%g, %g], seen was %v", name, lo, hi, seen.Range)
		}
	}
}

// A range ends where all readers saturate, also behind ops that move values, but not
// where the tensor is an answer itself or has another reader.
func TestRangesEndWhereReadersSaturate(t *testing.T) {
	const marked = "no further than its readers tell apart"
	gate := Unary(schema.BuiltinOperatorLOGISTIC, nil)
	wide := Scale(40, 40, 40, 40)
	far := Sequence(Depthwise(1), wide)
	tests := []struct {
		name   string
		layers Layer
		cut    bool
	}{
		{"read by LOGISTIC", Sequence(wide, gate), true},
		{"moved first", Sequence(wide, Reshape(1, 16, 16), gate), true},
		{"an answer", wide, false},
		{"moved, an answer", Sequence(wide, Reshape(1, 16, 16)), false},
		{"another reader", Sequence(wide, func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("both", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, gate(b, x))
		}), false},
		{"SiLU", Sequence(wide, swish), true},
		{"SiLU, an answer", Sequence(wide, func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return Concat(Identity(), swish)(b, x)
		}), false},
		{"added before a ReLU", func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			options := &schema.AddOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU}
			return b.Op("sum", schema.BuiltinOperatorADD, options, x.Shape, far(b, x), x)
		}, true},
		{"added", func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, far(b, x), x)
		}, false},
		{"of less reach", Sequence(Scale(0.5, 0.5, 0.5, 0.5), gate), false},
	}
	for _, test := range tests {
		m := ChainSeed(1, Input(1, 8, 8, 4), Depthwise(1), test.layers)
		j := jobAfter(t, m, &Options{Inputs: []InputRange{{Range: Range{-1, 1}}}}, "assign ranges")
		cut := false
		for _, r := range j.report.Tensors {
			if strings.Contains(r.Rule, marked) {
				cut = true
				if r.Range.Lo < -8.2 || r.Range.Lo < -6.7 && test.name != "SiLU" || r.Range.Hi > 5.7 && test.name != "added before a ReLU" && test.name != "SiLU" {
					t.Errorf("%s: %q has the range %v", test.name, r.Name, r.Range)
				}
			}
		}
		if cut != test.cut {
			t.Errorf("%s: a range ends where its readers saturate: %v, want %v; %+v", test.name, cut, test.cut, j.report.Tensors)
		}
	}
}

// The kernels do with such ranges what the table says of them: over inputs that reach
// ten times as far as they look, answers stay as exact as int8 allows. Ranges of all
// inputs would leave LOGISTIC 36.5 dB, TANH 31.1, SOFTMAX 33.5 and HARD_SWISH, which has room as
// an answer, 37.0.
func TestKernelsAtSaturatedRanges(t *testing.T) {
	if interpreter == nil {
		t.Skip("needs the interpreter: build with -tags tflite")
	}
	for code, least := range map[schema.BuiltinOperator]float64{
		schema.BuiltinOperatorLOGISTIC: 40, schema.BuiltinOperatorTANH: 36, schema.BuiltinOperatorSOFTMAX: 35,
		schema.BuiltinOperatorHARD_SWISH: 39.5, schema.BuiltinOperatorRELU6: 40, schema.BuiltinOperatorRELU_N1_TO_1: 35,
	} {
		m := Chain(Input(1, 8, 8, 4), Depthwise(1), Scale(30, 30, 30, 30), Unary(code, &schema.SoftmaxOptionsT{Beta: 1}))
		if code != schema.BuiltinOperatorSOFTMAX {
			ops := m.Graphs[0].Ops
			ops[len(ops)-1].Options = nil
		}
		samples := Inputs(m, 5, 32, 1)
		q, _, err := Quantize(m, &Options{Calibration: samples[:16], Inputs: []InputRange{{Range: Range{-1, 1}}}, Interpreter: interpreter})
		if err != nil {
			t.Errorf("%v: %v", code, err)
			continue
		}
		d, err := Compare(m, q, interpreter, 16, func(i int) ([][]float32, error) { return samples[16+i], nil }, nil)
		if err != nil {
			t.Errorf("%v: %v", code, err)
		} else if d.Outputs[0].SQNR < least {
			t.Errorf("%v: %.1f dB, want %g", code, d.Outputs[0].SQNR, least)
		}
	}
}
