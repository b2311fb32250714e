package tflite

import (
	"reflect"
	"slices"
	"testing"

	"dfq/schema"
)

func TestConstants(t *testing.T) {
	var c Tensor
	c.SetInt8s([]int8{-128, 127})
	if c.Type != schema.TensorTypeINT8 || !reflect.DeepEqual(c.Data, []byte{0x80, 0x7f}) || c.Ints() != nil {
		t.Errorf("int8: %+v", c)
	}
	c.SetInt32s([]int32{-2, 1 << 30})
	if got := c.Ints(); c.Type != schema.TensorTypeINT32 || !reflect.DeepEqual(got, []int{-2, 1 << 30}) {
		t.Errorf("int32: %v", got)
	}
	c.Type, c.Data = schema.TensorTypeINT64, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if got := c.Ints(); !reflect.DeepEqual(got, []int{-2}) {
		t.Errorf("int64: %v", got)
	}
	c.SetFloats([]float32{1, -0.5})
	if got := c.Floats(); c.Type != schema.TensorTypeFLOAT32 || !reflect.DeepEqual(got, []float32{1, -0.5}) || !c.Constant() {
		t.Errorf("float32: %v", got)
	}
	if n := (&Tensor{Shape: []int{2, 3, 4}}).Len(); n != 24 {
		t.Errorf("length %d", n)
	}
}

func TestUses(t *testing.T) {
	g := decode(t, everything(t)).Graphs[0]
	conv := g.Ops[0].Outputs[0]
	uses := g.Uses()
	if want := []Use{{g.Ops[1], 0}, {g.Ops[2], 0}}; !reflect.DeepEqual(uses[conv], want) {
		t.Errorf("uses of conv: %v", uses[conv])
	}
	if _, ok := uses[nil]; ok {
		t.Error("an optional input left out has uses")
	}
	if g.Producers()[conv] != g.Ops[0] {
		t.Error("producer of conv")
	}
}

// TestCloneIsApart edits a clone in every way passes do.
func TestCloneIsApart(t *testing.T) {
	m := decode(t, everything(t))
	before := m.String()
	for _, g := range m.Clone().Graphs {
		for _, tensor := range g.Tensors() {
			tensor.Name = "changed"
			tensor.SetInt8s([]int8{1})
			for i := range tensor.Shape {
				tensor.Shape[i] = 9
			}
			if q := tensor.Quant; q != nil {
				for i := range q.Scale {
					q.Scale[i], q.Zero[i] = 9, 9
				}
				q.Axis = 9
			}
		}
		for _, op := range g.Ops {
			op.Version, op.Options = 99, nil
			clear(op.Inputs)
			clear(op.Outputs)
		}
		clear(g.Inputs)
		clear(g.Outputs)
	}
	if after := m.String(); after != before {
		t.Errorf("the original changed:\n%s", after)
	}
}

// TestSwapGraphs: options name the graphs that they named before, under their new
// numbers, and a clone keeps its own.
func TestSwapGraphs(t *testing.T) {
	m := &Model{}
	for _, name := range []string{"main", "then", "otherwise", "decode"} {
		m.Graphs = append(m.Graphs, &Graph{Name: name})
	}
	run := func(code schema.BuiltinOperator, options any) *Op { return &Op{Code: code, Options: options} }
	m.Graphs[0].Ops = []*Op{
		run(schema.BuiltinOperatorRELU, nil),
		run(schema.BuiltinOperatorIF, &schema.IfOptionsT{ThenSubgraphIndex: 1, ElseSubgraphIndex: 2}),
		run(schema.BuiltinOperatorSTABLEHLO_CASE, &schema.StablehloCaseOptionsT{BranchSubgraphIndices: []int32{3, 1, 3}}),
	}
	m.Graphs[3].Ops = []*Op{run(schema.BuiltinOperatorWHILE, &schema.WhileOptionsT{CondSubgraphIndex: 2, BodySubgraphIndex: 1})}
	named := func(m *Model) (list []string) {
		for _, g := range m.Graphs {
			for _, op := range g.Ops {
				for _, k := range op.Callees() {
					list = append(list, g.Name+" runs "+m.Graphs[k].Name)
				}
			}
		}
		slices.Sort(list)
		return list
	}
	want := []string{"decode runs otherwise", "decode runs then", "main runs decode", "main runs decode", "main runs otherwise", "main runs then", "main runs then"}
	if got := named(m); !slices.Equal(got, want) {
		t.Fatalf("before: %v", got)
	}
	for _, pair := range [][2]int{{0, 3}, {1, 3}, {2, 0}} {
		c := m.Clone()
		c.SwapGraphs(pair[0], pair[1])
		if a, b := c.Graphs[pair[0]].Name, m.Graphs[pair[1]].Name; a != b {
			t.Errorf("%v: graph %q, want %q", pair, a, b)
		}
		if got := named(c); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", pair, got, want)
		}
		if got := named(m); !slices.Equal(got, want) {
			t.Errorf("%v: a swap in a clone changed the original: %v", pair, got)
		}
	}
}
