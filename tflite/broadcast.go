package tflite

import (
	"fmt"
	"slices"

	"dfq/schema"
)

// broadcastLimit is over how many dimensions a kernel broadcasts; trailing: a number, or
// what has the last axis alone, fits any.
type broadcastLimit struct {
	dims     int
	trailing bool
}

// broadcastLimits are those of kernels that end the process beyond them, by what they
// compute with. Measured with TensorFlow Lite 2.9, each with a program of its own.
var broadcastLimits = map[schema.BuiltinOperator]struct{ float, int8, int16 broadcastLimit }{
	schema.BuiltinOperatorADD:                {upTo6, broadcastLimit{4, true}, broadcastLimit{4, false}},
	schema.BuiltinOperatorMUL:                {upTo6, broadcastLimit{4, true}, broadcastLimit{4, false}},
	schema.BuiltinOperatorSUB:                {upTo6, broadcastLimit{5, false}, broadcastLimit{5, true}},
	schema.BuiltinOperatorMAXIMUM:            {upTo6, broadcastLimit{5, true}, broadcastLimit{5, false}},
	schema.BuiltinOperatorMINIMUM:            {upTo6, broadcastLimit{5, true}, broadcastLimit{5, false}},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {upTo6, upTo4, upTo4},
	schema.BuiltinOperatorDIV:                {upTo6, upTo4, upTo4},
	schema.BuiltinOperatorPRELU:              {broadcastLimit{4, true}, upTo4, upTo4},
	schema.BuiltinOperatorSELECT_V2:          {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorEQUAL:              {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorNOT_EQUAL:          {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorGREATER:            {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorGREATER_EQUAL:      {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorLESS:               {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorLESS_EQUAL:         {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorLOGICAL_AND:        {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorLOGICAL_OR:         {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorPOW:                {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorFLOOR_DIV:          {upTo4, upTo4, upTo4},
	schema.BuiltinOperatorFLOOR_MOD:          {upTo4, upTo4, upTo4},
}

var upTo4, upTo6 = broadcastLimit{4, false}, broadcastLimit{6, false}

// BroadcastsTooFar says why no kernel that computes with values of type of broadcasts op's
// inputs to one shape; empty if one does.
func (op *Op) BroadcastsTooFar(of schema.TensorType) string {
	limits, ok := broadcastLimits[op.Code]
	dims, trailing := op.broadcast()
	if !ok || dims == 0 {
		return ""
	}
	l := limits.float
	switch of {
	case schema.TensorTypeINT8, schema.TensorTypeUINT8:
		l = limits.int8
	case schema.TensorTypeINT16:
		l = limits.int16
	}
	if dims <= l.dims || trailing && l.trailing {
		return ""
	}
	return fmt.Sprintf("its kernel for %s broadcasts over %d dimensions at most, these are %d", of, l.dims, dims)
}

// broadcast is over how many dimensions op broadcasts its inputs: those of the largest,
// 0 where all have one shape. It is trailing where one of two inputs is a number, or has
// the last axis of the other alone.
func (op *Op) broadcast() (dims int, trailing bool) {
	inputs := slices.DeleteFunc(slices.Clone(op.Inputs), func(t *Tensor) bool { return t == nil })
	if len(inputs) < 2 || !slices.ContainsFunc(inputs, func(t *Tensor) bool { return !slices.Equal(t.Shape, inputs[0].Shape) }) {
		return 0, false
	}
	slices.SortStableFunc(inputs, func(a, b *Tensor) int { return len(a.Shape) - len(b.Shape) })
	wide, other := inputs[len(inputs)-1], inputs[0]
	if len(wide.Shape) == len(other.Shape) && wide.Len() < other.Len() {
		wide, other = other, wide
	}
	n := other.Len()
	ofLast := len(other.Shape) > 0 && other.Shape[len(other.Shape)-1] == n && wide.Shape[len(wide.Shape)-1] == n
	return len(wide.Shape), len(inputs) == 2 && (n == 1 || ofLast)
}
