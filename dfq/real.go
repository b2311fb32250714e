package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// What passes ask of a tensor of real values.

// real reports whether t carries real values: in a float graph these are the
// FLOAT32 tensors; shapes, axes and indices are integers.
func real(t *tflite.Tensor) bool { return t != nil && t.Type == schema.TensorTypeFLOAT32 }

// touchesReal reports whether op reads or writes real values.
func touchesReal(op *tflite.Op) bool {
	return slices.ContainsFunc(slices.Concat(op.Inputs, op.Outputs), real)
}

// finiteConstant reports whether t holds real numbers, all of them in the file.
func finiteConstant(t *tflite.Tensor) bool {
	return real(t) && t.Constant() && len(t.Data) == 4*t.Len() && !slices.ContainsFunc(t.Floats(), notFinite)
}

func notFinite(x float32) bool { return x-x != 0 }

// channelCount is the length of the last axis, or of those of a shuffle.
func channelCount(t *tflite.Tensor) int {
	switch {
	case t.Channels > 0:
		return t.Channels
	case len(t.Shape) == 0:
		return 1
	}
	return max(t.Shape[len(t.Shape)-1], 1)
}
