package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// unfuse makes the activation of each TRANSPOSE_CONV an op of its own, where TensorFlow's
// converter puts one since 2.13: no runtime before that has a kernel for it, in float or
// INT8, and some plugins drop it.
func (j *job) unfuse(g *tflite.Graph) {
	var all []*tflite.Op
	for _, op := range g.Ops {
		all = append(all, op)
		if op.Code != schema.BuiltinOperatorTRANSPOSE_CONV {
			continue
		}
		if act := splitActivation(op); act != nil {
			all, j.index[act] = append(all, act), j.index[op]
		}
		if op.Activation() == schema.ActivationFunctionTypeNONE { // a converter gives all of a file the version of the highest
			op.Version = min(op.Version, 3)
		}
	}
	g.Ops = all
}
