package dfq

import (
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// normBy divides each position by what root makes of the sum or mean of its squares.
func normBy(reduce schema.BuiltinOperator, root func(f formula, x, sum *tflite.Tensor) *tflite.Tensor) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		f, over := formula{b}, slices.Clone(x.Shape)
		over[len(over)-1] = 1
		sum := b.Op("sum", reduce, &schema.ReducerOptionsT{KeepDims: true}, over, f.times(x, x), b.Ints([]int{1}, len(over)-1))
		return root(f, x, sum)
	}
}

// Quotients by roots become products with RSQRT where nothing else reads the root and the target has no INT8
// form of them: the float graph answers as before, and nothing stays float.
func TestWriteReciprocalRoots(t *testing.T) {
	sqrt := func(f formula, s *tflite.Tensor) *tflite.Tensor { return f.of(schema.BuiltinOperatorSQRT, s, nil) }
	power := func(f formula, s *tflite.Tensor, p float32) *tflite.Tensor {
		return f.of(schema.BuiltinOperatorPOW, s, p)
	}
	for name, test := range map[string]struct {
		norm Layer
		want string // the ops behind MEAN
	}{
		"root":     {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor { return f.over(x, sqrt(f, s)) }), "RSQRT MUL"},
		"power":    {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor { return f.over(x, power(f, s, 0.5)) }), "RSQRT MUL"},
		"by power": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor { return f.times(x, power(f, s, -0.5)) }), "RSQRT MUL"},
		"cube":     {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor { return f.times(x, power(f, s, -1.5)) }), "POW MUL"},
		"bounded below": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.over(x, f.maximum(sqrt(f, s), float32(1.5)))
		}), "RSQRT MINIMUM MUL"},
		"bounded above": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.over(x, f.minimum(sqrt(f, s), float32(1.5)))
		}), "RSQRT MAXIMUM MUL"},
		"bounded by 0": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.over(x, f.maximum(sqrt(f, s), float32(0)))
		}), "SQRT MAXIMUM DIV"},
		"reciprocal first": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.times(x, f.over(float32(1), sqrt(f, s)))
		}), "RSQRT MUL"},
		"half of the reciprocal": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.times(x, f.over(float32(0.5), sqrt(f, s)))
		}), "RSQRT MUL MUL"},
		"clipped": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.Op("clipped", schema.BuiltinOperatorDIV, &schema.DivOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU}, x.Shape, x, sqrt(f, s))
		}), "RSQRT MUL"},
		"repeated": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			return f.over(x, f.Op("repeated", schema.BuiltinOperatorBROADCAST_TO, nil, x.Shape, sqrt(f, s), f.Ints([]int{4}, x.Shape...)))
		}), "RSQRT BROADCAST_TO MUL"},
		"the root read elsewhere": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
			root := sqrt(f, s)
			return f.plus(f.over(x, root), root)
		}), "SQRT DIV ADD"},
		"no root": {normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor { return f.over(x, s) }), "DIV"},
	} {
		m := Chain(Input(1, 4, 4, 3), Conv(8, 3), test.norm, Conv(3, 3))
		opts := stated()
		opts.AllowFloat = true
		j := jobAfter(t, m, opts, "normalize")
		if got, want := codes(j.graph), "CONV_2D MUL MEAN "+test.want+" CONV_2D"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-5 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}

// Targets that have both in INT8 get what the file has.
func TestRootsOfTargets(t *testing.T) {
	m := Chain(Input(1, 4, 4, 3), Conv(8, 3), normBy(schema.BuiltinOperatorMEAN, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		return f.over(x, f.of(schema.BuiltinOperatorSQRT, s, nil))
	}), Conv(3, 3))
	for target, want := range map[string]string{"": "RSQRT MUL", "tflite-2.16": "RSQRT MUL", "tflite-2.21": "SQRT DIV"} {
		opts := stated()
		opts.Target, opts.AllowFloat = target, true
		if got, want := codes(jobAfter(t, m, opts, "normalize").graph), "CONV_2D MUL MEAN "+want+" CONV_2D"; got != want {
			t.Errorf("target %q: %s, want %s", target, got, want)
		}
	}
}

// codes lists what ops a graph has.
func codes(g *tflite.Graph) string {
	var codes []string
	for _, op := range g.Ops {
		codes = append(codes, op.Code.String())
	}
	return strings.Join(codes, " ")
}
