package dfq

// Ops in other forms, which int8 kernels know, or know better: the same in float.

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
		return len(op.Inputs) == 2 && finiteConstant(op.Inputs[1]) && op.Inputs[0].Len() == op.Outputs[0].Len() &&
			!slices.ContainsFunc(op.Inputs[1].Floats(), func(power float32) bool { return power != 2 })
	}
	return false
}

// averageSums writes SUM as n times the MEAN of n values, where n is known. Its int8 kernel
// wraps around, and so the range of a sum would have to hold n times that of what is summed.
func averageSums(j *job) {
	if !j.limits.Takes(schema.BuiltinOperatorMEAN) {
		return
	}
	var ops []*tflite.Op
	for _, op := range j.graph.Ops {
		ops = append(ops, op)
		if op.Code != schema.BuiltinOperatorSUM || len(op.Inputs) != 2 || len(op.Outputs) != 1 || !real(op.Inputs[0]) || !op.Inputs[1].Constant() {
			continue
		}
		y := op.Outputs[0]
		if y.Len() == 0 || openCount(op.Inputs[0]) > openCount(y) {
			continue
		}
		mean := &tflite.Tensor{Name: y.Name + "_mean", Type: y.Type, Shape: y.Shape, Signature: y.Signature}
		n := &tflite.Tensor{Name: y.Name + "_count"}
		n.SetFloats([]float32{float32(op.Inputs[0].Len() / y.Len())})
		op.Code, op.Version, op.Outputs = schema.BuiltinOperatorMEAN, 1, []*tflite.Tensor{mean}
		times := &tflite.Op{Code: schema.BuiltinOperatorMUL, Version: 1, Options: &schema.MulOptionsT{}, Inputs: []*tflite.Tensor{mean, n}, Outputs: []*tflite.Tensor{y}}
		j.index[times] = j.index[op]
		ops = append(ops, times)
	}
	j.graph.Ops = ops
}
