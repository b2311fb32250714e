package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// partPrelus writes PRELU, for a target that does not take it, as the sum of its two halves:
//
//	y = max(x, 0) + α · min(x, 0)
//
// with the slopes α, of whatever sign, as a depthwise convolution of one tap. min(x, 0) has
// the scale of x, so that nothing is lost before the slope. It comes after channels were
// scaled, which pass PRELU as it was.
func partPrelus(j *job) error {
	for _, code := range []schema.BuiltinOperator{schema.BuiltinOperatorRELU, schema.BuiltinOperatorMINIMUM,
		schema.BuiltinOperatorDEPTHWISE_CONV_2D, schema.BuiltinOperatorADD} {
		if !j.limits.Takes(code) {
			return nil
		}
	}
	if j.limits.Takes(schema.BuiltinOperatorPRELU) {
		return nil
	}
	var ops []*tflite.Op
	var made []*tflite.Tensor
	for _, op := range j.graph.Ops {
		if op.Code != schema.BuiltinOperatorPRELU || j.float[op] != "" || !slopedByChannel(op) {
			ops = append(ops, op)
			continue
		}
		halves, between := preluHalves(op)
		ops, made = append(ops, j.insteadOf(op, halves...)...), append(made, between...)
	}
	if len(made) == 0 {
		return nil
	}
	j.graph.Ops = ops
	return j.observe(made, j.input)
}

// slopedByChannel reports whether a PRELU of an image has one constant slope per channel, or
// one for all.
func slopedByChannel(op *tflite.Op) bool {
	x, slopes := op.Inputs[0], op.Inputs[1]
	return len(x.Shape) == 4 && perChannel(slopes, x)
}

// preluHalves are the ops of which the last makes the output of a PRELU, and the tensors
// between them.
func preluHalves(op *tflite.Op) (ops []*tflite.Op, between []*tflite.Tensor) {
	x, y := op.Inputs[0], op.Outputs[0]
	like := func(suffix string) *tflite.Tensor {
		t := &tflite.Tensor{Name: y.Name + suffix, Type: y.Type, Shape: slices.Clone(y.Shape), Signature: slices.Clone(y.Signature)}
		between = append(between, t)
		return t
	}
	above, below, sloped := like("_above"), like("_below"), like("_sloped")
	zero := &tflite.Tensor{Name: y.Name + "_zero"}
	zero.SetFloats([]float32{0})
	line := &channelLine{x: below, shift: make([]float64, channelCount(x))}
	slopes := op.Inputs[1].Floats()
	for c := range line.shift {
		line.scale = append(line.scale, float64(slopes[c%len(slopes)]))
	}
	slope := &tflite.Op{Outputs: []*tflite.Tensor{sloped}}
	becomeDepthwise(slope, line)
	return []*tflite.Op{
		{Code: schema.BuiltinOperatorRELU, Version: 1, Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{above}},
		{Code: schema.BuiltinOperatorMINIMUM, Version: 1, Options: &schema.MaximumMinimumOptionsT{}, Inputs: []*tflite.Tensor{x, zero}, Outputs: []*tflite.Tensor{below}},
		slope,
		{Code: schema.BuiltinOperatorADD, Version: 1, Options: &schema.AddOptionsT{PotScaleInt16: true}, Inputs: []*tflite.Tensor{above, sloped}, Outputs: []*tflite.Tensor{y}},
	}, between
}
