package dfq

import (
	"cmp"
	"reflect"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// What passes know of activations, fused into an op or an op by themselves.

func fusedActivation(op *tflite.Op) bool {
	return op.Activation() != schema.ActivationFunctionTypeNONE
}

// int8Activation reports whether int8 kernels know a fused activation.
func int8Activation(a schema.ActivationFunctionType) bool {
	return a != schema.ActivationFunctionTypeTANH && a != schema.ActivationFunctionTypeSIGN_BIT
}

// takesActivation reports whether op can have a fused activation, in float and in int8.
func takesActivation(op *tflite.Op, act schema.ActivationFunctionType) bool {
	return act == schema.ActivationFunctionTypeNONE || spec(op).fuses && tflite.FusedActivation(op.Options) != nil
}

// splitActivation takes the fused activation out of op and returns the op that computes it
// behind; nil, and op as it was, if there is no such op.
func splitActivation(op *tflite.Op) *tflite.Op {
	code, ok := standaloneOf(op.Activation())
	if !ok {
		return nil
	}
	out := op.Outputs[0]
	before := out.Clone()
	before.Name, before.Quant = out.Name+"_before_activation", nil
	op.Options, op.Outputs = withActivation(op.Options, schema.ActivationFunctionTypeNONE), []*tflite.Tensor{before}
	return &tflite.Op{Code: code, Version: 1, Inputs: []*tflite.Tensor{before}, Outputs: []*tflite.Tensor{out}}
}

// standaloneOf is the op that computes an activation, if there is one.
func standaloneOf(act schema.ActivationFunctionType) (schema.BuiltinOperator, bool) {
	code := slices.IndexFunc(ops[:], func(s opSpec) bool { return s.activation == act })
	return schema.BuiltinOperator(code), act != schema.ActivationFunctionTypeNONE && code >= 0
}

// withActivation returns a copy of an options struct with another fused
// activation. Options are shared between clones, so they are never written to.
func withActivation(options any, act schema.ActivationFunctionType) any {
	c := reflect.New(reflect.TypeOf(options).Elem())
	c.Elem().Set(reflect.ValueOf(options).Elem())
	*tflite.FusedActivation(c.Interface()) = act
	return c.Interface()
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

// clampOf is the interval that op's activation, fused or the op itself, lets
// through.
func clampOf(op *tflite.Op) Range { return clampBy(cmp.Or(spec(op).activation, op.Activation())) }

func clampBy(act schema.ActivationFunctionType) Range {
	lo, hi := tflite.Clamp(act)
	return Range{lo, hi}
}

// rectified reports whether op's output has no value below 0.
func rectified(op *tflite.Op) bool {
	return op != nil && clampOf(op).Lo == 0
}
