package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// An activation stays an op of its own where the op before is an output as well, has no
// place for it or an int8 kernel that refuses it, or where no one activation is both.
func TestActivationsThatStay(t *testing.T) {
	const relu = schema.BuiltinOperatorRELU
	bare := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("add", schema.BuiltinOperatorADD, nil, x.Shape, x, x)
	}
	for name, test := range map[string]struct {
		layers        Layer
		then          schema.BuiltinOperator
		output, stays bool
	}{
		"conv":                        {Conv(4, 3), relu, false, false},
		"an output":                   {Conv(4, 3), relu, true, true},
		"concatenation":               {Concat(Conv(4, 3), Conv(2, 3)), relu, false, true},
		"no options":                  {bare, relu, false, true},
		"0 to 6, then 0 and above":    {Conv(4, 3, ReLU6), relu, false, false},
		"−1 to 1, then 0 and above":   {Conv(4, 3, Activation(schema.ActivationFunctionTypeRELU_N1_TO_1)), relu, false, true},
		"−1 to 1, then 0 to 6":        {Conv(4, 3, Activation(schema.ActivationFunctionTypeRELU_N1_TO_1)), schema.BuiltinOperatorRELU6, false, true},
		"a tanh, then what is over 0": {Conv(4, 3, Activation(schema.ActivationFunctionTypeTANH)), relu, false, true},
	} {
		m := Chain(Input(1, 8, 8, 3), test.layers, Unary(test.then, nil))
		if g := m.Graphs[0]; test.output {
			g.Outputs = append(g.Outputs, g.Ops[0].Outputs[0])
		}
		j := jobAfter(t, m, stated(), "fuse activations")
		stays := false
		for _, op := range j.graph.Ops {
			stays = stays || op.Code == test.then
		}
		if stays != test.stays {
			t.Errorf("%s: a %s: %v, want %v\n%v", name, test.then, stays, test.stays, j.model)
		}
		if fused := j.report.Fused == 1; fused == test.stays {
			t.Errorf("%s: the report has %d fused", name, j.report.Fused)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 0 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}
