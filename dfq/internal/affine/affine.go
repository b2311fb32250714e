// Package affine is int8 affine arithmetic: real = scale·(q − zero). It chooses
// scales and zero points, quantizes and dequantizes. It knows no graph.
//
// Source of all rules: the TensorFlow Lite 8-bit quantization specification.
package affine

import "math"

// The int8 domain of activations, and the narrow one of weights, which leaves
// −128 out so that kernels may negate a weight.
const (
	QMin       = -128
	QMax       = 127
	QMaxWeight = 127
)

// minScale keeps scales and their products normal float32 numbers, which
// XNNPACK demands and without which a kernel divides by zero.
const minScale = 1e-18

// Params are the scale (> 0) and zero point of one tensor.
type Params struct {
	Scale float32
	Zero  int32
}

// Asymmetric returns the int8 parameters of the real range [lo, hi], which is
// widened to hold zero. An empty range gets scale 1: every value is zero then.
func Asymmetric(lo, hi float64) Params {
	lo, hi = math.Min(lo, 0), math.Max(hi, 0)
	if hi-lo < minScale*(QMax-QMin) {
		return Params{Scale: 1, Zero: QMin}
	}
	scale := float32((hi - lo) / (QMax - QMin))
	zero := math.Round(QMin - lo/float64(scale))
	return Params{scale, int32(math.Max(QMin, math.Min(QMax, zero)))}
}

// Symmetric returns the scale of weights whose largest magnitude is bound.
func Symmetric(bound float64) float32 {
	return float32(math.Max(bound/QMaxWeight, minScale))
}

// Range returns the smallest and largest real value that p can hold.
func (p Params) Range() (lo, hi float64) {
	return float64(p.Scale) * float64(QMin-p.Zero), float64(p.Scale) * float64(QMax-p.Zero)
}

// Quantize returns the int8 value nearest to the real x, halves away from
// zero, saturated.
func (p Params) Quantize(x float32) int8 {
	q := math.Round(float64(x)/float64(p.Scale)) + float64(p.Zero)
	return int8(math.Max(QMin, math.Min(QMax, q)))
}

// Dequantize returns the real value of q.
func (p Params) Dequantize(q int8) float32 {
	return p.Scale * float32(int32(q)-p.Zero)
}
