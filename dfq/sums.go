package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// averageSums writes SUM as n times the MEAN of n values, where n is known. The int8 kernel
// of SUM wraps around, and so its range would have to hold n times that of what is summed.
func averageSums(j *job) error {
	if !j.limits.Takes(schema.BuiltinOperatorMEAN) {
		return nil
	}
	var ops []*tflite.Op
	for _, op := range j.graph.Ops {
		ops = append(ops, op)
		if op.Code != schema.BuiltinOperatorSUM || j.float[op] != "" || !real(op.Inputs[0]) || !op.Inputs[1].Constant() {
			continue
		}
		y := op.Outputs[0]
		if y.Len() == 0 || op.Inputs[0].Len() == 0 || openCount(op.Inputs[0]) > openCount(y) {
			continue
		}
		mean := &tflite.Tensor{Name: y.Name + "_mean", Type: y.Type, Shape: y.Shape, Signature: y.Signature}
		n := &tflite.Tensor{Name: y.Name + "_count"}
		n.SetFloats([]float32{float32(op.Inputs[0].Len() / y.Len())})
		times := &tflite.Op{Code: schema.BuiltinOperatorMUL, Version: 1, Options: &schema.MulOptionsT{}, Inputs: []*tflite.Tensor{mean, n}, Outputs: []*tflite.Tensor{y}}
		if times.BroadcastsTooFar(y.Type) != "" || times.BroadcastsTooFar(elementType(j.grid())) != "" {
			continue
		}
		op.Code, op.Version, op.Outputs = schema.BuiltinOperatorMEAN, 1, []*tflite.Tensor{mean}
		j.index[times] = j.index[op]
		ops = append(ops, times)
	}
	j.graph.Ops = ops
	return nil
}
