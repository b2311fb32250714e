package tflite

import (
	"math"

	"dfq/schema"
)

// Clamp returns the interval of a fused activation, ±Inf where it has no bound.
func Clamp(act schema.ActivationFunctionType) (lo, hi float64) {
	switch act {
	case schema.ActivationFunctionTypeRELU:
		return 0, math.Inf(1)
	case schema.ActivationFunctionTypeRELU6:
		return 0, 6
	case schema.ActivationFunctionTypeRELU_N1_TO_1:
		return -1, 1
	}
	return math.Inf(-1), math.Inf(1)
}
