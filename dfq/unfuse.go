package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// unfuse makes the activations of TRANSPOSE_CONV ops of their own.
func unfuse(j *job) {
	unfuseActivations(j.graph, func(act, op *tflite.Op) { j.index[act] = j.index[op] })
}

// unfuseActivations takes the activation out of each TRANSPOSE_CONV, where TensorFlow's
// converter puts one since 2.13: no runtime before that has a kernel for it, in float or
// INT8, and some plugins drop it. part, if not nil, is told of each new op.
func unfuseActivations(g *tflite.Graph, part func(act, op *tflite.Op)) {
	var all []*tflite.Op
	for _, op := range g.Ops {
		all = append(all, op)
		code, ok := standaloneOf(op.Activation())
		if op.Code != schema.BuiltinOperatorTRANSPOSE_CONV || !ok {
			continue
		}
		out := op.Outputs[0]
		sum := out.Clone()
		sum.Name = out.Name + "_before_activation"
		act := &tflite.Op{Code: code, Version: 1, Inputs: []*tflite.Tensor{sum}, Outputs: []*tflite.Tensor{out}}
		op.Options, op.Outputs = withActivation(op.Options, schema.ActivationFunctionTypeNONE), []*tflite.Tensor{sum}
		op.Version = min(op.Version, 3)
		all = append(all, act)
		if part != nil {
			part(act, op)
		}
	}
	g.Ops = all
}
