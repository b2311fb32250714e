package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Made-up inputs say too little of few positions, and of what leads to those that answer,
// two layers back, unless another way there is long, as it is past many skips. Few
// positions that only weigh the channels of many have nothing before them left alone, nor
// has an output of many.
func TestTooFewToKnow(t *testing.T) {
	global := Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 16, Valid)
	excite := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := Sequence(global, Conv(4, 1, ReLU), Conv(x.Shape[3], 1), Unary(schema.BuiltinOperatorLOGISTIC, nil))(b, x)
		return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
	}
	body := Sequence(Conv(6, 3, ReLU), Conv(6, 3, ReLU), Conv(6, 3, ReLU))
	block := Residual(Conv(6, 3, ReLU), Conv(6, 3))
	skips := Sequence(Conv(6, 3), block, block, block)
	classifier := Sequence(body, global, Reshape(1, 6), Dense(4))
	for name, test := range map[string]struct {
		layers Layer
		few    []bool // of the first three
	}{
		"classifier":         {classifier, []bool{true, true, true}},
		"its best":           {Sequence(classifier, best), []bool{true, true, true}},
		"its best, 64 bits":  {Sequence(classifier, best, int64s), []bool{true, true, true}},
		"a custom answer":    {Sequence(classifier, unknown), []bool{true, true, true}},
		"deeper classifier":  {Sequence(body, Conv(6, 3, ReLU), global, Conv(4, 1)), []bool{false, true, true}},
		"excitation":         {Sequence(body, excite, Conv(6, 3, ReLU), Conv(6, 3), Conv(4, 1)), []bool{false, false, false}},
		"excitation, a head": {Sequence(body, excite, global, Conv(4, 1)), []bool{true, true, true}},
		"few skips":          {Sequence(skips, global, Conv(4, 1)), []bool{true, true, true}},
		"many skips":         {Sequence(skips, block, block, block, block, block, block, global, Conv(4, 1)), []bool{false, false, true}},
		"answers of many":    {Sequence(body, Conv(4, 1)), []bool{false, false, false}},
	} {
		j := jobAfter(t, ChainSeed(1, Input(1, 16, 16, 3), test.layers), &Options{Samples: 1, AllowFloat: true}, "estimate")
		g, few := j.graph, j.tooFewToKnow()
		for i, want := range test.few {
			if x := g.Ops[i].Outputs[0]; few[x] != want {
				t.Errorf("%s: layer %d is left alone: %v, want %v", name, i, few[x], want)
			}
		}
		for _, op := range g.Ops {
			if x := op.Outputs[0]; real(x) && x.Len() < 16*channelCount(x) && !few[x] {
				t.Errorf("%s: %q has %v alone and is scaled", name, x.Name, x.Shape)
			}
		}
	}
}
