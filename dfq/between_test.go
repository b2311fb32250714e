package dfq

import (
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// What stands between ops that stay float stays float as well, unless something else
// reads it, or it has weights: log(1 + eˣ) loses all that is small beside eˣ else.
func TestKeptBetween(t *testing.T) {
	exp, log := Unary(schema.BuiltinOperatorEXP, nil), Unary(schema.BuiltinOperatorLOG, nil)
	plusOne := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("one_more", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, b.Floats([]int{1}, 1))
	}
	softplus := Sequence(exp, plusOne, log)
	for name, test := range map[string]struct {
		layer Layer
		float []string
	}{
		"softplus":      {softplus, []string{"1 EXP", "2 ADD", "3 LOG"}},
		"two between":   {Sequence(exp, plusOne, Reshape(64, 4), log, Reshape(1, 8, 8, 4)), []string{"1 EXP", "2 ADD", "3 RESHAPE", "4 LOG"}},
		"read besides":  {Sequence(exp, plusOne, Residual(log)), []string{"1 EXP", "3 LOG"}},
		"a filter":      {Sequence(exp, Conv(4, 1), log), []string{"1 EXP", "3 LOG"}},
		"at the end":    {Sequence(log, plusOne), []string{"1 LOG"}},
		"an INT8 input": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return log(b, sum(b, exp(b, x), x)) }, []string{"1 EXP", "3 LOG"}},
	} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 1, ReLU), test.layer, Conv(3, 1))
		opts := Options{AllowFloat: true, Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		j := jobAfter(t, m, &opts, "check support")
		if got := floatOps(j.report); !slices.Equal(got, test.float) {
			t.Errorf("%s: %q stay float, want %q", name, got, test.float)
		}
		if db := 0.0; name == "softplus" {
			if db = quantizedSQNR(t, m, opts, evaluate, opts.Calibration); db < 25 {
				t.Errorf("%s: %.1f dB", name, db)
			}
		}
	}
}

// A dense layer with weights that the model computes stays float, and nothing stumbles
// over it.
func TestComputedWeights(t *testing.T) {
	for _, perTensor := range []bool{false, true} {
		b := New(1)
		x := Conv(8, 3, ReLU)(b, b.Input(1, 8, 8, 3))
		rows := Reshape(64, 8)(b, x)
		y := b.Op("product", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{64, 64}, rows, Reshape(64, 8)(b, Conv(8, 1)(b, x)))
		m := b.Model(y)
		opts := Options{AllowFloat: true, PerTensor: perTensor, Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if db := quantizedSQNR(t, m, opts, evaluate, opts.Calibration); db < 25 {
			t.Errorf("per tensor %v: %.1f dB", perTensor, db)
		}
	}
}

// Layer by layer, a float op's variables stay its own.
func TestThoroughWithVariables(t *testing.T) {
	b := New(1)
	x := Reshape(1, 8, 24)(b, Conv(3, 1, ReLU)(b, b.Input(1, 8, 8, 3)))
	state := b.Tensor("state", schema.TensorTypeFLOAT32, 1, 6)
	state.Variable = true
	y := b.Op("sequence", schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_RNN, &schema.SequenceRNNOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeTANH}, []int{1, 8, 6},
		x, b.Random(0, 0.3, 6, 24), b.Random(0, 0.3, 6, 6), b.Random(0, 0.1, 6), state)
	m := b.Model(Dense(4)(b, Reshape(8, 6)(b, y)))
	quantize(t, m, &Options{AllowFloat: true, Thorough: true, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}, Interpreter: interpreter})
}

// A model of which nothing becomes INT8 is written on request, with a word about it.
func TestAllFloat(t *testing.T) {
	cos := Unary(schema.BuiltinOperatorCOS, nil)
	for name, test := range map[string]struct {
		layer Layer
		warns bool
	}{"all": {Sequence(cos, cos), true}, "all but one": {Sequence(Conv(4, 1), cos), false}} {
		j := jobAfter(t, Chain(Input(1, 8, 8, 3), test.layer), &Options{AllowFloat: true}, "assign ranges")
		if warned := slices.ContainsFunc(j.report.Warnings, func(s string) bool { return strings.Contains(s, "all ops stay float") }); warned != test.warns {
			t.Errorf("%s: warnings %q", name, j.report.Warnings)
		}
	}
}
