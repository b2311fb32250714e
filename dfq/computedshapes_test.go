package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
	. "dfq/tflite/tflitetest"
)

// shapeOf asks for a tensor's shape as the graph runs.
func shapeOf(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	s := b.Tensor("shape", i32, len(x.Shape))
	b.Add(schema.BuiltinOperatorSHAPE, &schema.ShapeOptionsT{OutType: i32}, list(x), s)
	return s
}

// lengthOf is one of the lengths of a shape.
func lengthOf(b *Builder, s *tflite.Tensor, axis int) *tflite.Tensor {
	n, one := b.Tensor("length", i32), []int{1}
	b.Add(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{ShrinkAxisMask: 1}, list(s, b.Ints(one, axis), b.Ints(one, axis+1), b.Ints(one, 1)), n)
	return n
}

func packedList(b *Builder, parts ...*tflite.Tensor) *tflite.Tensor {
	p := b.Tensor("packed", i32, len(parts))
	b.Add(schema.BuiltinOperatorPACK, &schema.PackOptionsT{ValuesCount: int32(len(parts))}, parts, p)
	return p
}

func reshapedTo(b *Builder, x, computed *tflite.Tensor, shape ...int) *tflite.Tensor {
	return b.Op("reshaped", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, shape, x, computed)
}

// kerasFlatten is what Keras makes of Flatten: a RESHAPE to the batch and the rest.
func kerasFlatten(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	return reshapedTo(b, x, packedList(b, lengthOf(b, shapeOf(b, x), 0), b.Ints(nil, 256)), 1, 256)
}

// kerasDense is what Keras makes of Dense on an image: products of lengths, and the
// lengths again.
func kerasDense(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	s, first, last := shapeOf(b, x), b.Tensor("first", i32, 3), b.Tensor("last", i32, 1)
	b.Add(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, list(s, b.Ints([]int{3}, 0, 1, 2)), first)
	b.Add(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, list(s, b.Ints([]int{1}, 3)), last)
	product := func(v *tflite.Tensor) *tflite.Tensor {
		p := b.Tensor("product", i32)
		b.Add(schema.BuiltinOperatorREDUCE_PROD, &schema.ReducerOptionsT{}, list(v, b.Ints([]int{1}, 0)), p)
		return p
	}
	rows := reshapedTo(b, x, packedList(b, product(first), product(last)), 64, 4)
	y := evenDense(b, 6, rows)
	shape := b.Tensor("whole", i32, 4)
	b.Add(schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{}, list(first, b.Ints([]int{1}, 6)), shape)
	return reshapedTo(b, y, shape, 1, 8, 8, 6)
}

// resizedLike resizes to the height and width of x.
func resizedLike(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	size, one := b.Tensor("size", i32, 2), []int{1}
	b.Add(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{}, list(shapeOf(b, x), b.Ints(one, 1), b.Ints(one, 3), b.Ints(one, 1)), size)
	small := Conv(4, 3, Stride(2))(b, x)
	return b.Op("resized", schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{}, x.Shape, small, size)
}

// kerasTranspose is a TRANSPOSE_CONV whose output shape has the batch of its input.
func kerasTranspose(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	shape := packedList(b, lengthOf(b, shapeOf(b, x), 0), b.Ints(nil, 16), b.Ints(nil, 16), b.Ints(nil, 3))
	return b.Op("transposed", schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{StrideW: 2, StrideH: 2}, []int{1, 16, 16, 3}, shape, b.Random(0, 0.2, 3, 3, 3, 4), x)
}

// inGroupsOf has a list of a length that is the same for one and for two samples, and another for
// five: a quarter of them, rounded up.
func inGroupsOf(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	more, quarter := b.Tensor("more", i32), b.Tensor("quarter", i32)
	b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(lengthOf(b, shapeOf(b, x), 0), b.Ints(nil, 3)), more)
	b.Add(schema.BuiltinOperatorFLOOR_DIV, &schema.FloorDivOptionsT{}, list(more, b.Ints(nil, 4)), quarter)
	return reshapedTo(b, x, packedList(b, quarter, b.Ints(nil, -1), b.Ints(nil, 4)), 1, 64, 4)
}

// fromTable looks a length up by the batch, in a table that has the same for one and for two samples.
func fromTable(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	n := b.Tensor("looked up", i32)
	b.Add(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, list(b.Ints([]int{6}, 1, 1, 1, 4, 4, 4), lengthOf(b, shapeOf(b, x), 0)), n)
	return reshapedTo(b, x, packedList(b, n, b.Ints(nil, -1), b.Ints(nil, 4)), 1, 64, 4)
}

// Shapes that an open batch has the graph compute become lists, one length of them -1, and the
// graph answers as before for any batch.
func TestComputedShapes(t *testing.T) {
	for name, test := range map[string]struct {
		layer   Layer
		lists   [][]int // that ops on real values read
		remains bool    // a computed one
	}{
		"flattened":                 {kerasFlatten, [][]int{{-1, 256}}, false},
		"dense over pixels":         {kerasDense, [][]int{{-1, 4}, {-1, 8, 8, 6}}, false},
		"resized like another":      {resizedLike, [][]int{{8, 8}}, false},
		"transposed":                {kerasTranspose, nil, true},
		"the same at two sizes":     {inGroupsOf, nil, true},
		"looked up in a table":      {fromTable, nil, true},
		"a batch of several copies": {Sequence(kerasFlatten, Reshape(-1, 64), Unary(schema.BuiltinOperatorRELU, nil)), [][]int{{-1, 256}, {-1, 64}}, false},
	} {
		m := open([]int{-1, 8, 8, 3}, Conv(4, 3), test.layer)
		j := jobAfter(t, m, stated(), "normalize")
		var lists [][]int
		computed := false
		for _, op := range j.graph.Ops {
			for _, x := range op.Inputs {
				switch {
				case x.Type != i32 || !slices.ContainsFunc(op.Outputs, real):
				case x.Constant():
					lists = append(lists, x.Ints())
				default:
					computed = true
				}
			}
			if op.Code == schema.BuiltinOperatorSHAPE && !test.remains {
				t.Errorf("%s: a SHAPE is left\n%v", name, j.model)
			}
		}
		if !slices.EqualFunc(lists, test.lists, slices.Equal) || computed != test.remains {
			t.Errorf("%s: lists %v, computed ones %v; want %v, %v", name, lists, computed, test.lists, test.remains)
		}
		for _, batch := range []int{1, 3, 5} {
			if d := relativeChange(t, evaluate, resized(m, batch, 8, 8, 3), resized(j.model, batch, 8, 8, 3), 0); d > 0 {
				t.Errorf("%s: outputs for %d samples changed by %g", name, batch, d)
			}
		}
	}
}

// A target that cannot compute shapes gets a batch of one where a shape would be computed from it,
// others do not.
func TestBatchForTarget(t *testing.T) {
	for _, test := range []struct {
		target string
		layer  Layer
		fixed  bool
	}{
		{"", kerasTranspose, false}, {"tflite", kerasTranspose, false}, {"xnnpack", kerasTranspose, true}, {"nnapi-1.3", kerasTranspose, true}, {"hexagon-htp", kerasTranspose, true}, {"mediatek", kerasTranspose, true},
		{"hexagon-htp", kerasFlatten, false}, {"xnnpack", kerasFlatten, false}, {"mediatek", kerasFlatten, true},
	} {
		m := open([]int{-1, 8, 8, 3}, Conv(4, 3), test.layer)
		q, r := quantize(t, m, &Options{Target: test.target, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}})
		g := q.Graphs[0]
		asks := slices.ContainsFunc(g.Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorSHAPE })
		for _, x := range append(slices.Clone(g.Inputs), g.Outputs...) {
			if x.IsOpen(0) == test.fixed {
				t.Errorf("target %q: %q has shape %v of %v", test.target, x.Name, x.Shape, x.Signature)
			}
		}
		if test.fixed && (asks || slices.ContainsFunc(r.Lint, func(f target.Finding) bool { return f.Severity == target.Error })) {
			t.Errorf("target %q: a shape is computed: %v\n%v", test.target, r.Lint, q)
		}
	}
}
