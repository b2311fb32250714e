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
		"tokens, those below 0 from the end": {func(b *Builder) *tflite.Tensor {
			id := integerInput(b, i32, 1, 24)
			below, other, chosen := b.Tensor("below", schema.TensorTypeBOOL, 1, 24), b.Tensor("other", i32, 1, 24), b.Tensor("chosen", i32, 1, 24)
			b.Add(schema.BuiltinOperatorLESS, nil, list(id, b.Ints(nil, 0)), below)
			b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(id, b.Ints(nil, 50)), other)
			b.Add(schema.BuiltinOperatorSELECT_V2, nil, list(below, other, id), chosen)
			return Dense(4)(b, b.Op("rows", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{1, 24, 6}, b.Random(0, 1, 50, 6), chosen))
		}, 0, 49, 40, false},
		"tokens within bounds": {func(b *Builder) *tflite.Tensor {
			bounded := b.Tensor("bounded", i32, 1, 24)
			b.Add(schema.BuiltinOperatorMINIMUM, nil, list(integerInput(b, i32, 1, 24), b.Ints(nil, 49)), bounded)
			return Dense(4)(b, b.Op("rows", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{1, 24, 6}, b.Random(0, 1, 50, 6), bounded))
		}, 0, 49, 40, false},
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
		"pixels, whose batch the graph adds": {func(b *Builder) *tflite.Tensor {
			image := b.Tensor("image", i32, 1, 16, 16, 3)
			b.Add(schema.BuiltinOperatorEXPAND_DIMS, nil, list(integerInput(b, i32, 16, 16, 3), b.Ints(nil, 0)), image)
			return Conv(4, 3)(b, castTo(b, image, schema.TensorTypeFLOAT32))
		}, 0, 255, 200, false},
		"pixels in a row": {func(b *Builder) *tflite.Tensor {
			return Dense(4)(b, castTo(b, integerInput(b, schema.TensorTypeUINT8, 1, 784), schema.TensorTypeFLOAT32))
		}, 0, 255, 200, false},
		"a sound": {func(b *Builder) *tflite.Tensor {
			return Dense(4)(b, castTo(b, integerInput(b, schema.TensorTypeINT16, 1, 800), schema.TensorTypeFLOAT32))
		}, -32768, 32767, 1000, false},
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
	// Half at least of a mask, and of a sentence, is there, and what is not is at the end.
	for _, is := range []integers{{mask: true}, {rows: 1 << 20}} {
		padded := 0
		for i := range 50 {
			v := make([]float32, 9)
			is.fill(v, rand.New(rand.NewPCG(uint64(i), 1)))
			n := slices.Index(v, 0)
			if n >= 0 && (n < 5 || slices.ContainsFunc(v[n:], func(x float32) bool { return x != 0 })) {
				t.Errorf("%v: %v", is, v)
			}
			if n >= 0 {
				padded++
			}
		}
		if padded < 25 {
			t.Errorf("%v: %d of 50 are padded", is, padded)
		}
	}
}

// A UINT8 image that a CAST makes real costs no op: the INT8 model takes the same bytes,
// and is INT8 as a whole. Where nothing INT8 reads it, or its type is asked for, it is as
// it was or as asked.
func TestPixels(t *testing.T) {
	u8, f32 := schema.TensorTypeUINT8, schema.TensorTypeFLOAT32
	model := func(layer Layer) *tflite.Model {
		b := New(1)
		x := castTo(b, integerInput(b, u8, 1, 16, 16, 3), f32)
		scaled := b.Op("scaled", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats(nil, 1./255))
		return b.Model(layer(b, scaled))
	}
	conv := Sequence(Conv(4, 3, ReLU), Conv(3, 1))
	for name, test := range map[string]struct {
		m     *tflite.Model
		io    IOType
		typ   schema.TensorType
		casts bool
	}{
		"as in the file": {model(conv), Inner, u8, false},
		"float outputs":  {model(conv), Float32, u8, false},
		"int8":           {model(conv), Int8, schema.TensorTypeINT8, false},
		"float readers":  {model(Sequence(Unary(schema.BuiltinOperatorCOS, nil), conv)), Inner, u8, false}, // MUL is INT8
	} {
		samples := Inputs(test.m, 1, 12, 127.5)
		for _, s := range samples {
			for k, x := range s[0] {
				s[0][k] = float32(math.Round(float64(x) + 127.5))
			}
		}
		q, r := quantize(t, test.m, &Options{AllowFloat: true, IO: test.io, Calibration: samples})
		in := q.Graphs[0].Inputs[0]
		casts := slices.ContainsFunc(q.Graphs[0].Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorCAST })
		if in.Type != test.typ || in.Name != "input" || casts != test.casts || scaleOf(in) != 1 {
			t.Errorf("%s: input %q is %s with a scale of %g; CAST: %v\n%v", name, in.Name, in.Type, scaleOf(in), casts, q)
		}
		if got := r.Inputs[0]; got.Range != (Range{0, 255}) || got.Source != "pixels" {
			t.Errorf("%s: %+v", name, got)
		}
		if db := sqnrOf(t, test.m, q, evaluate, samples); db < 25 {
			t.Errorf("%s: %.1f dB", name, db)
		}
		for _, err := range CheckRules(q) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := New(1)
	x := castTo(b, integerInput(b, u8, 1, 16, 16, 3), f32)
	m := b.Model(Sequence(Unary(schema.BuiltinOperatorCOS, nil), conv)(b, x))
	q, _ := quantize(t, m, &Options{AllowFloat: true, Samples: 4})
	if op := q.Graphs[0].Ops[0]; op.Code != schema.BuiltinOperatorCAST || op.Inputs[0] != q.Graphs[0].Inputs[0] || op.Inputs[0].Type != u8 {
		t.Errorf("a float op reads what is made of the pixels by %v\n%v", op.Code, q)
	}
	q, _ = quantize(t, model(conv), &Options{AllowFloat: true, Activations: Int16, Samples: 4})
	if q.Graphs[0].Inputs[0].Type != u8 || q.Graphs[0].Ops[0].Code != schema.BuiltinOperatorCAST {
		t.Errorf("with int16 activations\n%v", q)
	}
}
