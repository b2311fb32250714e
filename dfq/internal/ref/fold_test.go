package ref

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// computedShape is RELU → RESHAPE to [SHAPE(x)[0], -1, 4], as old converters
// wrote it, with a wrong shape recorded for the result.
func computedShape() (*tflite.Graph, *tflite.Tensor) {
	x, relu := real(2, 3, 8), real(2, 3, 8)
	shape, batch, whole := typed(schema.TensorTypeINT32, 3), typed(schema.TensorTypeINT32), typed(schema.TensorTypeINT32, 3)
	y, z := real(1, 1, 4), real(1, 1, 4)
	y.Name, z.Name = "y", "z"
	op := func(code schema.BuiltinOperator, options any, out *tflite.Tensor, in ...*tflite.Tensor) *tflite.Op {
		return &tflite.Op{Code: code, Options: options, Inputs: in, Outputs: []*tflite.Tensor{out}}
	}
	return &tflite.Graph{Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{z}, Ops: []*tflite.Op{
		op(schema.BuiltinOperatorRELU, nil, relu, x),
		op(schema.BuiltinOperatorSHAPE, nil, shape, relu),
		op(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{ShrinkAxisMask: 1}, batch, shape, integers(0), integers(1), integers(1)),
		op(schema.BuiltinOperatorPACK, &schema.PackOptionsT{}, whole, batch, scalar(-1), scalar(4)),
		op(schema.BuiltinOperatorRESHAPE, nil, y, relu, whole),
		op(schema.BuiltinOperatorTANH, nil, z, y),
	}}, y
}

func codes(g *tflite.Graph) (list []schema.BuiltinOperator) {
	for _, op := range g.Ops {
		list = append(list, op.Code)
	}
	return list
}

func TestFoldShapes(t *testing.T) {
	g, y := computedShape()
	inputs := noise(g, 1, -1, 1)
	m := &tflite.Model{Graphs: []*tflite.Graph{g}}
	want := mustRun(t, mustNew(t, m), inputs)[0]
	if !Fold(g) {
		t.Error("nothing changed")
	}
	if got := codes(g); !slices.Equal(got, []schema.BuiltinOperator{schema.BuiltinOperatorRELU, schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorTANH}) {
		t.Errorf("ops left: %v", got)
	}
	if got := g.Ops[1].Inputs[1].Ints(); !slices.Equal(got, []int{2, -1, 4}) {
		t.Errorf("folded shape is %v", got)
	}
	if !slices.Equal(y.Shape, []int{2, 6, 4}) || !slices.Equal(g.Outputs[0].Shape, []int{2, 6, 4}) {
		t.Errorf("recorded shapes are %v and %v, want [2 6 4]", y.Shape, g.Outputs[0].Shape)
	}
	if got := mustRun(t, mustNew(t, m), inputs)[0]; !slices.Equal(got, want) {
		t.Error("the graph computes something else")
	}
	if Fold(g) {
		t.Error("a second fold changed something")
	}
}

// What depends on an open dimension, or on values, stays.
func TestFoldKeeps(t *testing.T) {
	g, _ := computedShape()
	g.Inputs[0].Signature = []int{-1, 3, 8}
	before := codes(g)
	if Fold(g) || !slices.Equal(codes(g), before) {
		t.Errorf("folded with an open batch: %v", codes(g))
	}

	// SHAPE of a slice whose length is an input.
	n, x, part, shape := typed(schema.TensorTypeINT32, 1), real(5), real(1), typed(schema.TensorTypeINT32, 1)
	g = &tflite.Graph{Inputs: []*tflite.Tensor{x, n}, Outputs: []*tflite.Tensor{shape}, Ops: []*tflite.Op{
		{Code: schema.BuiltinOperatorSLICE, Inputs: []*tflite.Tensor{x, integers(0), n}, Outputs: []*tflite.Tensor{part}},
		{Code: schema.BuiltinOperatorSHAPE, Inputs: []*tflite.Tensor{part}, Outputs: []*tflite.Tensor{shape}},
	}}
	if Fold(g) || len(g.Ops) != 2 {
		t.Errorf("folded a shape that depends on values: %v", codes(g))
	}

	for name, m := range map[string]*tflite.Model{
		"large result": single(schema.BuiltinOperatorFILL, nil, 1, integers(100, 100), constant(nil, 1)),
		"bad op":       single(schema.BuiltinOperatorADD, nil, 1, constant([]int{2}, 1, 2), constant([]int{3}, 1, 2, 3)),
		"unsupported":  single(schema.BuiltinOperatorUNIQUE, nil, 1, integers(1)),
		"input":        single(schema.BuiltinOperatorRELU, nil, 1, real(1)),
	} {
		m.Graphs[0].Outputs = nil
		if Fold(m.Graphs[0]) {
			t.Errorf("%s: folded", name)
		}
	}
	m := single(schema.BuiltinOperatorRELU, nil, 1, constant([]int{1}, -1))
	if Fold(m.Graphs[0]) {
		t.Error("folded a graph output")
	}
}

func TestFoldConstants(t *testing.T) {
	half := float16Constant(0x3c00, 0xc000)
	m := single(schema.BuiltinOperatorDEQUANTIZE, nil, 1, half)
	w := m.Graphs[0].Outputs[0]
	m.Graphs[0].Outputs = nil
	if !Fold(m.Graphs[0]) || len(m.Graphs[0].Ops) != 0 {
		t.Fatal("not folded")
	}
	if !slices.Equal(w.Floats(), []float32{1, -2}) || !slices.Equal(w.Shape, []int{2}) {
		t.Errorf("constant %v of shape %v", w.Floats(), w.Shape)
	}
}

// Real models compute the same after Fold, with their batch fixed.
func TestSharedFold(t *testing.T) {
	for _, name := range []string{"ulfd_rfb_320", "palm_detection_full"} {
		t.Run(name, func(t *testing.T) {
			m := sharedModel(t, name)
			g := m.Graphs[0]
			g.Inputs[0].Signature = nil
			inputs := waves(g)
			want := mustRun(t, mustNew(t, m), inputs)
			before := len(g.Ops)
			if !Fold(g) {
				t.Error("nothing changed")
			}
			t.Logf("%d of %d ops left", len(g.Ops), before)
			for _, op := range g.Ops {
				if asksShape(op) || op.Code == schema.BuiltinOperatorDEQUANTIZE || op.Code == schema.BuiltinOperatorPACK {
					t.Errorf("%s is left", g.Place(op))
				}
			}
			for i, got := range mustRun(t, mustNew(t, m), inputs) {
				if !slices.Equal(got, want[i]) {
					t.Errorf("output %d differs", i)
				}
				if g.Outputs[i].Len() != len(got) {
					t.Errorf("output %d has recorded shape %v and %d values", i, g.Outputs[i].Shape, len(got))
				}
			}
		})
	}
}
