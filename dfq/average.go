package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// averageByMean writes an AVERAGE_POOL_2D over a whole image as the MEAN that it is,
// where averages need half of the image's range at most. The pool's kernel demands
// one scale for both, MEAN's does not: averages that are far from the extremes get a
// step of their own size, before the classifier that reads them.
func averageByMean(j *job) error {
	if !j.limits.Takes(schema.BuiltinOperatorMEAN) || j.limits.SameScale(schema.BuiltinOperatorMEAN) {
		return nil
	}
	for _, op := range j.graph.Ops {
		if op.Code != schema.BuiltinOperatorAVERAGE_POOL_2D || j.float[op] != "" || !poolsAll(op) {
			continue
		}
		in, out := op.Inputs[0], op.Outputs[0]
		if j.stats[in] == nil || j.stats[out] == nil || 2*j.usualStep(out) > j.usualStep(in) {
			continue
		}
		op.Code, op.Options = schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}
		op.Inputs = []*tflite.Tensor{in, integerList(out.Name+"/axes", []int32{1, 2})}
	}
	return nil
}

// poolsAll reports whether every output of a pool is the average over all positions
// of its channel.
func poolsAll(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.Pool2DOptionsT)
	in, out := op.Inputs[0].Shape, op.Outputs[0].Shape
	return ok && o.FusedActivationFunction == schema.ActivationFunctionTypeNONE &&
		len(in) == 4 && len(out) == 4 && out[1] == 1 && out[2] == 1 &&
		int(o.FilterHeight) >= in[1] && int(o.FilterWidth) >= in[2]
}
