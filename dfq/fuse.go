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
	g := j.graph
	producers, uses := g.Producers(), g.Uses()
	var ops []*tflite.Op
	for _, op := range g.Ops {
		act, ok := standalone[op.Code]
		if !ok || !real(op.Inputs[0]) {
			ops = append(ops, op)
			continue
		}
		in := op.Inputs[0]
		before := producers[in]
		if before == nil || !fusable[before.Code] || tflite.FusedActivation(before.Options) == nil ||
			len(uses[in]) != 1 || slices.Contains(g.Outputs, in) {
			ops = append(ops, op)
			continue
		}
		both, ok := composed(before.Activation(), act)
		if !ok {
			ops = append(ops, op)
			continue
		}
		before.Options = withActivation(before.Options, both)
		before.Outputs[0] = op.Outputs[0]
		producers[op.Outputs[0]] = before
		j.report.Fused++
	}
	g.Ops = ops
	return nil
}

// standalone are the ops that are an activation.
var standalone = map[schema.BuiltinOperator]schema.ActivationFunctionType{
	schema.BuiltinOperatorRELU:         schema.ActivationFunctionTypeRELU,
	schema.BuiltinOperatorRELU6:        schema.ActivationFunctionTypeRELU6,
	schema.BuiltinOperatorRELU_N1_TO_1: schema.ActivationFunctionTypeRELU_N1_TO_1,
}

// standaloneOf is the op that computes an activation, if there is one.
func standaloneOf(act schema.ActivationFunctionType) (schema.BuiltinOperator, bool) {
	for code, a := range standalone {
		if a == act {
			return code, true
		}
	}
	return 0, false
}

// fusable are the ops whose int8 kernels all know a fused activation.
var fusable = map[schema.BuiltinOperator]bool{
	schema.BuiltinOperatorCONV_2D:           true,
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: true,
	schema.BuiltinOperatorFULLY_CONNECTED:   true,
	schema.BuiltinOperatorADD:               true,
	schema.BuiltinOperatorSUB:               true,
	schema.BuiltinOperatorMUL:               true,
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
