package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// toReshape makes op, which changes nothing but the shape of its first input, a RESHAPE
// whose shape is an operand, if at most one of its output's dimensions can vary.
func toReshape(op *tflite.Op) {
	y := op.Outputs[0]
	dims := make([]int32, len(y.Shape))
	unknown := 0
	for i, d := range y.Shape {
		dims[i] = int32(d)
		if i < len(y.Signature) && y.Signature[i] < 0 {
			dims[i] = -1
			unknown++
		}
	}
	if unknown > 1 {
		return
	}
	op.Code, op.Version, op.Options = schema.BuiltinOperatorRESHAPE, 1, &schema.ReshapeOptionsT{NewShape: dims}
	op.Inputs = []*tflite.Tensor{op.Inputs[0], integerList(y.Name+"_shape", dims)}
}

// integerList is an INT32 constant of one axis.
func integerList(name string, v []int32) *tflite.Tensor {
	t := &tflite.Tensor{Name: name, Shape: []int{len(v)}}
	t.SetInt32s(v)
	return t
}
