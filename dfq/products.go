package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// writeProducts writes SQUARE, POW by 2 and NEG as the MUL by x or by -1 that they are in
// float; none has an int8 kernel that knows scales.
func writeProducts(g *tflite.Graph) {
	for _, op := range g.Ops {
		if by := factorOf(op); by != nil {
			op.Code, op.Version, op.Options, op.Inputs = schema.BuiltinOperatorMUL, 1, &schema.MulOptionsT{}, []*tflite.Tensor{op.Inputs[0], by}
		}
	}
}

// factorOf is by what such an op multiplies its input; nil if it is another op.
func factorOf(op *tflite.Op) *tflite.Tensor {
	if len(op.Inputs) == 0 || len(op.Outputs) != 1 || op.Outputs[0] == nil || !real(op.Inputs[0]) || op.Inputs[0].Constant() {
		return nil
	}
	x, y := op.Inputs[0], op.Outputs[0]
	switch op.Code {
	case schema.BuiltinOperatorSQUARE:
		if len(op.Inputs) == 1 {
			return x
		}
	case schema.BuiltinOperatorPOW:
		if isPower(op, 2) {
			return x
		}
	case schema.BuiltinOperatorNEG:
		if len(op.Inputs) == 1 && slices.Equal(x.Shape, y.Shape) && x.Len() > 0 {
			by := &tflite.Tensor{Name: y.Name + "_factor"}
			by.SetFloats([]float32{-1})
			return by
		}
	}
	return nil
}
