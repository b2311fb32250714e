package ref

import (
	"math"

	"dfq/schema"
)

var inf = float32(math.Inf(1))

// activation applies the op's fused activation in place.
func (c *call) activation() func(x []float32) {
	switch a := c.op.Activation(); a {
	case schema.ActivationFunctionTypeNONE:
		return func([]float32) {}
	case schema.ActivationFunctionTypeRELU:
		return reluRow
	case schema.ActivationFunctionTypeRELU6:
		return func(x []float32) { clampRow(x, x, 0, 6) }
	case schema.ActivationFunctionTypeRELU_N1_TO_1:
		return func(x []float32) { clampRow(x, x, -1, 1) }
	case schema.ActivationFunctionTypeTANH:
		return func(x []float32) {
			for i, v := range x {
				x[i] = float32(math.Tanh(float64(v)))
			}
		}
	default:
		need(false, "fused activation %v is not supported", a)
		return nil
	}
}

func reluRow(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

func clampRow(dst, x []float32, lo, hi float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = min(max(v, lo), hi)
	}
}

// clamp is the kernel of the RELU family.
func clamp(lo, hi float32) kernel {
	return func(c *call) {
		x := c.realArg(0)
		clampRow(c.reals(0, x.shape...), x.f, lo, hi)
	}
}
