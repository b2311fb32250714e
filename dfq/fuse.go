package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// fuseActivations moves RELU, RELU6 and RELU_N1_TO_1 ops into the op before
// where it is their only input's producer and has none yet, and drops those
// that cut nothing any more. An int8 tensor then need not spend half its range
// on values that are cut away next.
func fuseActivations(j *job) error {
	links, fused := linksOf(j.graph), map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		act := spec(op).activation
		if act == schema.ActivationFunctionTypeNONE || !real(op.Inputs[0]) {
			continue
		}
		before := links.maker(op.Inputs[0])
		if before == nil || !takesActivation(before, act) {
			continue
		}
		both, ok := composed(before.Activation(), act)
		if !ok {
			continue
		}
		before.Options = withActivation(before.Options, both)
		before.Outputs[0] = op.Outputs[0]
		links.producers[op.Outputs[0]] = before
		fused[op] = true
	}
	removeOps(j.graph, fused)
	j.report.Fused = len(fused)
	return nil
}

// takesActivation reports whether op can have a fused activation, in float and in int8.
func takesActivation(op *tflite.Op, act schema.ActivationFunctionType) bool {
	return act == schema.ActivationFunctionTypeNONE || spec(op).fuses && tflite.FusedActivation(op.Options) != nil
}

// standaloneOf is the op that computes an activation, if there is one.
func standaloneOf(act schema.ActivationFunctionType) (schema.BuiltinOperator, bool) {
	code := slices.IndexFunc(ops[:], func(s opSpec) bool { return s.activation == act })
	return schema.BuiltinOperator(code), act != schema.ActivationFunctionTypeNONE && code >= 0
}

// composed is the activation that equals first, then second, if there is one.
func composed(first, second schema.ActivationFunctionType) (schema.ActivationFunctionType, bool) {
	if first == schema.ActivationFunctionTypeNONE || first == second {
		return second, true
	}
	relu, relu6 := schema.ActivationFunctionTypeRELU, schema.ActivationFunctionTypeRELU6
	if first == relu && second == relu6 || first == relu6 && second == relu {
		return relu6, true
	}
	return 0, false
}
