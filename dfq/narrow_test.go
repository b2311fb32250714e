package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// axesTo puts axes in another order.
func axesTo(order ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return inOrder(x, b, order...) }
}

// A TRANSPOSE of six axes becomes one of fewer, whatever stands around it, where axes stay
// side by side.
func TestNarrowTransposes(t *testing.T) {
	twice := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return Concat(Sequence(axesTo(0, 1, 3, 2, 4, 5), Unary(schema.BuiltinOperatorRELU, nil)), Sequence(axesTo(0, 1, 3, 2, 4, 5), Unary(schema.BuiltinOperatorABS, nil)))(b, x)
	}
	for name, test := range map[string]struct {
		layers Layer
		shapes [][]int // that are transposed
		ops    int
	}{
		"windows":              {Sequence(Reshape(1, 4, 2, 4, 2, 3), axesTo(0, 1, 3, 2, 4, 5), Reshape(16, 4, 3)), [][]int{{4, 2, 4, 6}}, 3},
		"no neighbours":        {Sequence(Reshape(1, 4, 2, 4, 2, 3), Unary(schema.BuiltinOperatorRELU, nil), axesTo(0, 1, 3, 2, 4, 5)), [][]int{{4, 2, 4, 6}}, 5},
		"read by two":          {Sequence(Reshape(1, 4, 2, 4, 2, 3), twice), [][]int{{4, 2, 4, 6}, {4, 2, 4, 6}}, 10},
		"reversed":             {Sequence(Reshape(2, 2, 2, 2, 4, 3), axesTo(5, 4, 3, 2, 1, 0), Reshape(192)), [][]int{{2, 2, 2, 2, 4, 3}}, 3},
		"two axes":             {Sequence(Reshape(1, 4, 2, 1, 8, 3), axesTo(3, 4, 5, 0, 1, 2), Reshape(24, 8)), [][]int{{8, 24}}, 3},
		"five axes":            {Sequence(Reshape(4, 2, 4, 2, 3), axesTo(0, 2, 1, 3, 4), Reshape(16, 4, 3)), [][]int{{4, 2, 4, 2, 3}}, 3},
		"what moves is single": {Sequence(Reshape(1, 4, 2, 1, 8, 3), axesTo(0, 1, 3, 2, 4, 5), Reshape(24, 8)), [][]int{{192}}, 3},
	} {
		m := Chain(Input(1, 8, 8, 3), test.layers)
		c := m.Clone()
		(&job{index: map[*tflite.Op]int{}}).narrowTransposes(c.Graphs[0])
		if err := c.Validate(); err != nil {
			t.Fatal(name, err)
		}
		var shapes [][]int
		for _, op := range c.Graphs[0].Ops {
			if op.Code == schema.BuiltinOperatorTRANSPOSE {
				shapes = append(shapes, op.Inputs[0].Shape)
			}
		}
		if !slices.EqualFunc(shapes, test.shapes, slices.Equal) || len(c.Graphs[0].Ops) != test.ops {
			t.Errorf("%s: %d ops, TRANSPOSE of %v; want %d and %v", name, len(c.Graphs[0].Ops), shapes, test.ops, test.shapes)
		}
		if d := relativeChange(t, evaluate, m, c, 0); d > 0 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}

// What the record says of an op that stands beside a TRANSPOSE now, it says of that.
func TestPlaceOfNarrowed(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(3, 3), Reshape(1, 4, 2, 4, 2, 3), Unary(schema.BuiltinOperatorRELU, nil), axesTo(0, 1, 3, 2, 4, 5))
	j := jobAfter(t, m, stated(), "normalize")
	for _, op := range j.graph.Ops {
		if out := op.Outputs[0].Name; op.Code == schema.BuiltinOperatorRESHAPE && out != "reshape" && j.index[op] != 3 {
			t.Errorf("%q is said to be op %d, want 3", out, j.index[op])
		}
	}
	if len(j.graph.Ops) != 6 {
		t.Errorf("%d ops, want 6", len(j.graph.Ops))
	}
}

// An open batch is an axis by itself, also at another size.
func TestNarrowOpenBatch(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(3, 3), Reshape(1, 4, 2, 4, 2, 3), axesTo(0, 1, 3, 2, 4, 5), Reshape(16, 4, 3))
	for _, x := range m.Graphs[0].Tensors() {
		if !x.Constant() {
			x.Signature = slices.Clone(x.Shape)
			x.Signature[0] = -1
		}
	}
	for _, op := range m.Graphs[0].Ops {
		if op.Code == schema.BuiltinOperatorRESHAPE {
			op.Inputs[1] = integerList("shape", cast[int32](op.Outputs[0].Signature))
		}
	}
	for _, target := range []string{"", "hexagon-htp"} {
		opts := stated()
		opts.Target, opts.Interpreter = target, interpreter
		q, r, err := Quantize(m, opts)
		if err != nil {
			t.Fatal(err)
		}
		if in := q.Graphs[0].Ops[2].Inputs[0]; len(in.Shape) != 5 || target == "" && !slices.Equal(in.Signature, []int{-1, 4, 2, 4, 6}) {
			t.Errorf("%q: %v %v is transposed", target, in.Shape, in.Signature)
		}
		if r.FloatSQNR[0] < 100 {
			t.Errorf("the float graph is %v dB from the file's", r.FloatSQNR)
		}
	}
	for batch := range 3 {
		want, got := m.Clone(), m.Clone()
		(&job{index: map[*tflite.Op]int{}}).narrowTransposes(got.Graphs[0])
		want.Graphs[0].Inputs[0].Shape[0], got.Graphs[0].Inputs[0].Shape[0] = batch+1, batch+1
		if d := relativeChange(t, evaluate, want, got, 0); d > 0 {
			t.Errorf("batch %d: outputs changed by %g", batch+1, d)
		}
	}
}
