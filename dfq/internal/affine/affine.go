// Package affine is the arithmetic of quantized numbers: real = scale·(q − zero).
// It chooses scales and zero points, quantizes and dequantizes. It knows no graph.
//
// Source of all rules: the TensorFlow Lite 8-bit quantization specification, and
// for int16 the kernels of its 16x8 mode.
package affine

import "math"

// QMaxWeight bounds the narrow domain of weights, which leaves −128 out so that
// kernels may negate a weight.
const QMaxWeight = 127

// Grid is the integers that activations of one type are kept in.
type Grid struct {
	Min, Max  int32
	Symmetric bool // the zero point is 0
}

// The grids of the two types that activations can have.
var (
	Int8  = Grid{Min: -128, Max: 127}
	Int16 = Grid{Min: -32768, Max: 32767, Symmetric: true}
)

// minScale keeps scales and their products normal float32 numbers, which
// XNNPACK demands and without which a kernel divides by zero.
const minScale = 1e-18

// Params are the scale (> 0) and zero point of one tensor.
type Params struct {
	Scale float32
	Zero  int32
}

// Params returns the parameters of the real range [lo, hi], which is widened to
// hold zero, and on a symmetric grid to be symmetric. An empty range gets scale 1:
// every value is zero then.
func (g Grid) Params(lo, hi float64) Params {
	lo, hi = math.Min(lo, 0), math.Max(hi, 0)
	step, qmin, qmax := g.Step(lo, hi), float64(g.Min), float64(g.Max)
	switch {
	case g.Symmetric && step < minScale:
		return Params{Scale: 1}
	case g.Symmetric:
		return Params{Scale: float32(step)}
	case hi-lo < minScale*(qmax-qmin):
		return Params{Scale: 1, Zero: g.Min}
	}
	scale := float32(step)
	zero := math.Round(qmin - lo/float64(scale))
	return Params{scale, int32(math.Max(qmin, math.Min(qmax, zero)))}
}

// Step is the distance of two neighbours on the grid of the real range [lo, hi],
// which holds zero.
func (g Grid) Step(lo, hi float64) float64 {
	if g.Symmetric {
		return math.Max(-lo, hi) / float64(g.Max)
	}
	return (hi - lo) / float64(g.Max-g.Min)
}

// Symmetric returns the scale of weights whose largest magnitude is bound.
func Symmetric(bound float64) float32 {
	return float32(math.Max(bound/QMaxWeight, minScale))
}

// Range returns the smallest and largest real value that the grid holds at p.
func (g Grid) Range(p Params) (lo, hi float64) {
	return float64(float64(p.Scale) * float64(g.Min-p.Zero)), float64(float64(p.Scale) * float64(g.Max-p.Zero))
}

// Quantize returns the integer nearest to the real x at p, halves away from zero,
// saturated.
func (g Grid) Quantize(p Params, x float32) int32 {
	q := math.Round(float64(x)/float64(p.Scale)) + float64(p.Zero)
	return int32(math.Max(float64(g.Min), math.Min(float64(g.Max), q)))
}

// Dequantize returns the real value of q.
func (p Params) Dequantize(q int32) float32 {
	return p.Scale * float32(q-p.Zero)
}
