package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// mixedPrelu has slopes of either sign, above and below 1.
func mixedPrelu(channels int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("prelu", schema.BuiltinOperatorPRELU, nil, x.Shape, x, b.Random(0.3, 0.6, 1, 1, channels))
	}
}

// A target without PRELU gets its two halves, in all that is known of channels and at about
// the same precision; others, and slopes that differ from place to place, stay.
func TestPreluInHalves(t *testing.T) {
	count := func(m *tflite.Model, code schema.BuiltinOperator) (n int) {
		for _, op := range m.Graphs[0].Ops {
			if op.Code == code {
				n++
			}
		}
		return n
	}
	for _, perTensor := range []bool{false, true} {
		m := Chain(Input(1, 16, 16, 3), Conv(16, 3), mixedPrelu(16), Depthwise(3), mixedPrelu(16), Conv(8, 1), mixedPrelu(8), Mean(), Dense(5))
		opts := Options{PerTensor: perTensor, Calibration: Inputs(m, 1, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		whole, _ := quantize(t, m, &opts)
		opts.Target = "exynos"
		halves, r := quantize(t, m, &opts)
		if count(whole, schema.BuiltinOperatorPRELU) != 3 || count(halves, schema.BuiltinOperatorPRELU) != 0 || count(halves, schema.BuiltinOperatorMINIMUM) != 3 {
			t.Errorf("per tensor %t: %d PRELU for any target, %d for Exynos", perTensor, count(whole, schema.BuiltinOperatorPRELU), count(halves, schema.BuiltinOperatorPRELU))
		}
		if len(r.Lint) > 0 {
			t.Errorf("per tensor %t: %v", perTensor, r.Lint)
		}
		a, b := sqnrOf(t, m, whole, evaluate, opts.Calibration), sqnrOf(t, m, halves, evaluate, opts.Calibration)
		t.Logf("per tensor %t: PRELU %.1f dB, halves %.1f dB", perTensor, a, b)
		if b < a-3 || b < 20 {
			t.Errorf("per tensor %t: PRELU %.1f dB, halves %.1f dB", perTensor, a, b)
		}
		if i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == deadChannels.name && f.Op != "CONV_2D" }); i >= 0 {
			t.Errorf("per tensor %t: %v", perTensor, r.Findings[i])
		}
	}
	for _, shape := range [][]int{{1}, {1, 1, 1}, {}} { // one slope for all
		b := New(1)
		x := Conv(8, 3)(b, b.Input(1, 8, 8, 3))
		m := b.Model(b.Op("prelu", schema.BuiltinOperatorPRELU, nil, x.Shape, x, b.Floats(shape, 0.25)))
		opts := Options{Target: "exynos", Calibration: Inputs(m, 1, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		q, _ := quantize(t, m, &opts)
		if sqnr := sqnrOf(t, m, q, evaluate, opts.Calibration); count(q, schema.BuiltinOperatorPRELU) > 0 || sqnr < 25 {
			t.Errorf("slope of shape %v: %d PRELU, %.1f dB", shape, count(q, schema.BuiltinOperatorPRELU), sqnr)
		}
	}
	b := New(1)
	x := Conv(4, 3)(b, b.Input(1, 8, 8, 3))
	m := b.Model(b.Op("prelu", schema.BuiltinOperatorPRELU, nil, x.Shape, x, b.Random(0.3, 0.6, 8, 8, 4)))
	q, _ := quantize(t, m, &Options{Target: "exynos", Inputs: []InputRange{{Range: Range{-1, 1}}}})
	if count(q, schema.BuiltinOperatorPRELU) != 1 {
		t.Error("a PRELU of another slope at each place is gone")
	}
}
