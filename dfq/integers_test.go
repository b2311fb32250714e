package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// integerInput adds an input of integers.
func integerInput(b *Builder, typ schema.TensorType, shape ...int) *tflite.Tensor {
	t := b.Input(shape...)
	t.Type = typ
	return t
}

func castTo(b *Builder, x *tflite.Tensor, typ schema.TensorType) *tflite.Tensor {
	y := b.Tensor("cast", typ, x.Shape...)
	b.Add(schema.BuiltinOperatorCAST, &schema.CastOptionsT{InDataType: x.Type, OutDataType: typ}, list(x), y)
	return y
}

// Inputs of integers are made up by what reads them: rows of a table, masks, pixels.
// Zeros would show nothing of what the model computes, and verify would not see it.
func TestIntegerInputs(t *testing.T) {
	i32, i64 := schema.TensorTypeINT32, schema.TensorTypeINT64
	for name, test := range map[string]struct {
		model  func(b *Builder) *tflite.Tensor
		lo, hi float64 // of all samples
		values int     // that differ, at least
		warns  bool
	}{
		"tokens": {func(b *Builder) *tflite.Tensor {
			rows := b.Op("rows", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{1, 24, 6}, b.Random(0, 1, 50, 6), integerInput(b, i32, 1, 24))
			return Dense(4)(b, rows)
		}, 0, 49, 40, false},
		"tokens of two tables, reshaped": {func(b *Builder) *tflite.Tensor {
			id := integerInput(b, i64, 1, 24)
			flat := b.Tensor("flat", i64, 24)
			b.Add(schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, list(id, b.Ints([]int{1}, 24)), flat)
			p := b.Op("p", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: -2}, []int{24, 6}, b.Random(0, 1, 50, 6), castTo(b, flat, i32))
			q := b.Op("q", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{24, 6}, b.Random(0, 1, 20, 6), flat)
			return Dense(4)(b, sum(b, p, q))
		}, 0, 19, 15, false},
		"embedding": {func(b *Builder) *tflite.Tensor {
			rows := b.Op("rows", schema.BuiltinOperatorEMBEDDING_LOOKUP, nil, []int{24, 6}, integerInput(b, i32, 24), b.Random(0, 1, 30, 6))
			return Dense(4)(b, rows)
		}, 0, 29, 25, false},
		"mask": {func(b *Builder) *tflite.Tensor {
			return Dense(4)(b, castTo(b, integerInput(b, i32, 1, 24), schema.TensorTypeFLOAT32))
		}, 0, 1, 2, false},
		"a number of steps": {func(b *Builder) *tflite.Tensor {
			n := integerInput(b, i32, 1)
			x := Dense(4)(b, b.Input(1, 24))
			return b.Op("moved", schema.BuiltinOperatorREVERSE_V2, nil, []int{1, 4}, x, n)
		}, 0, 0, 1, true},
		"pixels": {func(b *Builder) *tflite.Tensor {
			return Conv(4, 3)(b, castTo(b, integerInput(b, schema.TensorTypeUINT8, 1, 16, 16, 3), schema.TensorTypeFLOAT32))
		}, 0, 255, 200, false},
	} {
		b := New(1)
		y := test.model(b)
		m := b.Model(y)
		j := jobAfter(t, m, &Options{Samples: 16, AllowFloat: true}, "find input range")
		seen := map[float32]bool{}
		for i := range 16 {
			for _, x := range j.input(i)[0] {
				seen[x] = true
				if float64(x) < test.lo || float64(x) > test.hi || math.Trunc(float64(x)) != float64(x) {
					t.Fatalf("%s: %g", name, x)
				}
			}
		}
		if len(seen) < test.values || (len(j.report.Warnings) > 0) != test.warns {
			t.Errorf("%s: %d values; warnings %q", name, len(seen), j.report.Warnings)
		}
	}
	mask := integers{mask: true}
	for i := range 50 {
		v := make([]float32, 9)
		mask.fill(v, rand.New(rand.NewPCG(uint64(i), 1)))
		if n := slices.Index(v, 0); n >= 0 && (n < 5 || slices.Contains(v[n:], 1)) {
			t.Errorf("a mask of %v", v)
		}
	}
}
