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

// Activation is op's fused activation, NONE where it has none.
func (op *Op) Activation() schema.ActivationFunctionType {
	if a := FusedActivation(op.Options); a != nil {
		return *a
	}
	return schema.ActivationFunctionTypeNONE
}

// FusedActivation points at the fused activation inside an options struct; nil if that
// has none.
func FusedActivation(options any) *schema.ActivationFunctionType {
	switch o := options.(type) {
	case *schema.Conv2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.DepthwiseConv2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.FullyConnectedOptionsT:
		return &o.FusedActivationFunction
	case *schema.TransposeConvOptionsT:
		return &o.FusedActivationFunction
	case *schema.AddOptionsT:
		return &o.FusedActivationFunction
	case *schema.SubOptionsT:
		return &o.FusedActivationFunction
	case *schema.MulOptionsT:
		return &o.FusedActivationFunction
	case *schema.DivOptionsT:
		return &o.FusedActivationFunction
	case *schema.Pool2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.ConcatenationOptionsT:
		return &o.FusedActivationFunction
	case *schema.L2NormOptionsT:
		return &o.FusedActivationFunction
	}
	return nil
}
