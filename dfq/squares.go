package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// multiplySquares writes SQUARE, and POW by 2, as the MUL of a tensor by itself, which is
// the same in float; neither has an int8 kernel.
func multiplySquares(g *tflite.Graph) {
	for _, op := range g.Ops {
		if isSquare(op) {
			x := op.Inputs[0]
			op.Code, op.Version, op.Options, op.Inputs = schema.BuiltinOperatorMUL, 1, &schema.MulOptionsT{}, []*tflite.Tensor{x, x}
		}
	}
}

func isSquare(op *tflite.Op) bool {
	if len(op.Inputs) == 0 || len(op.Outputs) != 1 || !real(op.Inputs[0]) || op.Inputs[0].Constant() {
		return false
	}
	switch op.Code {
	case schema.BuiltinOperatorSQUARE:
		return len(op.Inputs) == 1
	case schema.BuiltinOperatorPOW:
		return len(op.Inputs) == 2 && finiteConstant(op.Inputs[1]) && slices.Equal(op.Inputs[0].Shape, op.Outputs[0].Shape) &&
			!slices.ContainsFunc(op.Inputs[1].Floats(), func(power float32) bool { return power != 2 })
	}
	return false
}
