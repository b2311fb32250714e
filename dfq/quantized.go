package dfq

import (
	"slices"
	"strings"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// What a tensor is once it is quantized: on which grid, with which parameters.

// elementType is the type of tensors on a grid.
func elementType(g affine.Grid) schema.TensorType {
	if g == affine.Int16 {
		return schema.TensorTypeINT16
	}
	return schema.TensorTypeINT8
}

// gridOf is the grid of a quantized activation.
func gridOf(t *tflite.Tensor) affine.Grid {
	if t.Type == schema.TensorTypeINT16 {
		return affine.Int16
	}
	return affine.Int8
}

// kernelName names the kernels that work on a grid in messages.
func kernelName(g affine.Grid) string { return strings.ToLower(elementType(g).String()) }

// quantized reports whether op touches an int8 tensor, or an int16 one with a
// scale.
func quantized(op *tflite.Op) bool {
	return slices.ContainsFunc(slices.Concat(op.Inputs, op.Outputs), isQuantized)
}

// isQuantized reports whether t is of a type that activations can be quantized
// to, with a scale.
func isQuantized(t *tflite.Tensor) bool {
	return t != nil && t.Quant != nil && (t.Type == schema.TensorTypeINT8 || t.Type == schema.TensorTypeINT16)
}

// scaleOf is the scale of a tensor that has one, else 0.
func scaleOf(t *tflite.Tensor) float32 {
	if t.Quant == nil || len(t.Quant.Scale) != 1 {
		return 0
	}
	return t.Quant.Scale[0]
}

// params returns per-tensor parameters.
func params(q *tflite.Quantization) affine.Params {
	return affine.Params{Scale: q.Scale[0], Zero: int32(q.Zero[0])}
}

// quantization is the per-tensor form of p.
func quantization(p affine.Params) *tflite.Quantization {
	return &tflite.Quantization{Scale: []float32{p.Scale}, Zero: []int64{int64(p.Zero)}}
}
