package dfq

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

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
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for code, s := range ops {
		code := schema.BuiltinOperator(code)
		f := functions[code]
		switch {
		case s.saturates == nil && f == nil:
			continue
		case moves[code]:
			if r := s.saturates(nil, nil, Range{-2, 3}); r != (Range{-2, 3}) {
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
		within := s.saturates(&job{stats: map[*tflite.Tensor]*tensorStats{x: stats}}, op, everything)
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

// A range ends where all readers saturate, also behind ops that move values, but not
// where the tensor is an answer itself or has another reader.
func TestRangesEndWhereReadersSaturate(t *testing.T) {
	const marked = "no further than its readers tell apart"
	gate := Unary(schema.BuiltinOperatorLOGISTIC, nil)
	wide := Scale(40, 40, 40, 40)
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
			return b.Op("both", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, gate(b, x))
		}), false},
		{"of less reach", Sequence(Scale(0.5, 0.5, 0.5, 0.5), gate), false},
	}
	for _, test := range tests {
		m := ChainSeed(1, Input(1, 8, 8, 4), Depthwise(1), test.layers)
		j := jobAfter(t, m, &Options{Inputs: []InputRange{{Range: Range{-1, 1}}}}, "assign ranges")
		cut := false
		for _, r := range j.report.Tensors {
			if strings.Contains(r.Rule, marked) {
				cut = true
				if r.Range.Lo < -6.7 || r.Range.Hi > 5.7 {
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
// inputs would leave LOGISTIC 36.5 dB, TANH 31.1, SOFTMAX 33.5 and HARD_SWISH 38.7.
func TestKernelsAtSaturatedRanges(t *testing.T) {
	if interpreter == nil {
		t.Skip("needs the interpreter: build with -tags tflite")
	}
	for code, least := range map[schema.BuiltinOperator]float64{
		schema.BuiltinOperatorLOGISTIC: 40, schema.BuiltinOperatorTANH: 36, schema.BuiltinOperatorSOFTMAX: 35,
		schema.BuiltinOperatorHARD_SWISH: 40, schema.BuiltinOperatorRELU6: 40, schema.BuiltinOperatorRELU_N1_TO_1: 35,
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
