package ref

import (
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// subgraph is a graph of one op on its inputs, of which the last may be
// constants.
func subgraph(inputs int, op *tflite.Op) *tflite.Graph {
	return &tflite.Graph{Inputs: op.Inputs[:inputs], Outputs: op.Outputs, Ops: []*tflite.Op{op}}
}

func scalarOf(name string, typ schema.TensorType, data ...byte) *tflite.Tensor {
	t := &tflite.Tensor{Name: name, Type: typ, Shape: []int{1}}
	if len(data) > 0 {
		t.Data = data
	}
	return t
}

// factorial multiplies x with 1, 2, … n: WHILE on a counter and a product.
func factorial() *tflite.Model {
	i32, f32, boolean := schema.TensorTypeINT32, schema.TensorTypeFLOAT32, schema.TensorTypeBOOL
	one := scalarOf("one", i32, 1, 0, 0, 0)
	n, x := scalarOf("n", i32), scalarOf("x", f32)
	count, product, unused := scalarOf("count", i32), scalarOf("product", f32), scalarOf("limit", i32)
	main := &tflite.Graph{Inputs: []*tflite.Tensor{n, x}, Outputs: []*tflite.Tensor{product, count}, Ops: []*tflite.Op{{
		Code: schema.BuiltinOperatorWHILE, Options: &schema.WhileOptionsT{CondSubgraphIndex: 1, BodySubgraphIndex: 2},
		Inputs: []*tflite.Tensor{one, x, n}, Outputs: []*tflite.Tensor{count, product, unused}}}}

	i, limit := scalarOf("i", i32), scalarOf("limit", i32)
	cond := &tflite.Graph{Inputs: []*tflite.Tensor{i, scalarOf("p", f32), limit}, Ops: []*tflite.Op{{Code: schema.BuiltinOperatorLESS_EQUAL,
		Inputs: []*tflite.Tensor{i, limit}, Outputs: []*tflite.Tensor{scalarOf("more", boolean)}}}}
	cond.Outputs = cond.Ops[0].Outputs

	i, p, limit := scalarOf("i", i32), scalarOf("p", f32), scalarOf("limit", i32)
	step, real, next := scalarOf("step", i32, 1, 0, 0, 0), scalarOf("real", f32), scalarOf("next", i32)
	body := &tflite.Graph{Inputs: []*tflite.Tensor{i, p, limit}, Ops: []*tflite.Op{
		{Code: schema.BuiltinOperatorCAST, Inputs: []*tflite.Tensor{i}, Outputs: []*tflite.Tensor{real}},
		{Code: schema.BuiltinOperatorMUL, Inputs: []*tflite.Tensor{p, real}, Outputs: []*tflite.Tensor{scalarOf("q", f32)}},
		{Code: schema.BuiltinOperatorADD, Inputs: []*tflite.Tensor{i, step}, Outputs: []*tflite.Tensor{next}}}}
	body.Outputs = []*tflite.Tensor{next, body.Ops[1].Outputs[0], limit}
	return &tflite.Model{Graphs: []*tflite.Graph{main, cond, body}}
}

func TestWhile(t *testing.T) {
	e, err := New(factorial())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[float32]float32{0: 3, 1: 3, 4: 72, 6: 2160} { // 3 · n!
		for range 2 { // a run leaves nothing behind
			got, err := e.Run([][]float32{{n}, {3}})
			if err != nil {
				t.Fatal(err)
			}
			if got[0][0] != want || got[1][0] != n+1 && n > 0 {
				t.Errorf("%g rounds: %v, want %g", n, got, want)
			}
		}
	}
	if _, err := e.Run([][]float32{{1 << 20}, {1}}); err == nil || !strings.Contains(err.Error(), "more than 16384 times") {
		t.Errorf("a million rounds: error %v", err)
	}
}

func TestIf(t *testing.T) {
	f32 := schema.TensorTypeFLOAT32
	flag, x, y := scalarOf("flag", schema.TensorTypeBOOL), scalarOf("x", f32), scalarOf("y", f32)
	pass := scalarOf("x", f32)
	m := &tflite.Model{Graphs: []*tflite.Graph{
		{Inputs: []*tflite.Tensor{flag, x}, Outputs: []*tflite.Tensor{y, x}, Ops: []*tflite.Op{{Code: schema.BuiltinOperatorIF,
			Options: &schema.IfOptionsT{ThenSubgraphIndex: 1, ElseSubgraphIndex: 2}, Inputs: []*tflite.Tensor{flag, x}, Outputs: []*tflite.Tensor{y}}}},
		subgraph(1, &tflite.Op{Code: schema.BuiltinOperatorNEG, Inputs: []*tflite.Tensor{scalarOf("x", f32)}, Outputs: []*tflite.Tensor{scalarOf("y", f32)}}),
		{Inputs: []*tflite.Tensor{pass}, Outputs: []*tflite.Tensor{pass}},
	}}
	e, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[float32]float32{0: 5, 1: -5} {
		got, err := e.Run([][]float32{{flag}, {5}})
		if err != nil {
			t.Fatal(err)
		}
		if got[0][0] != want || got[1][0] != 5 {
			t.Errorf("flag %g: %v", flag, got)
		}
	}
}

// Graphs that do not fit the op that runs them are errors, and so are those that
// run themselves.
func TestControlRefused(t *testing.T) {
	tests := map[string]struct {
		spoil func(m *tflite.Model)
		want  string
	}{
		"itself":          {func(m *tflite.Model) { m.Graphs[2].Ops = slices.Clone(m.Graphs[0].Ops) }, "graph 2 runs itself"},
		"the main graph":  {func(m *tflite.Model) { m.Graphs[0].Ops[0].Options = &schema.WhileOptionsT{CondSubgraphIndex: 1} }, "graph 0 runs itself"},
		"an unknown op":   {func(m *tflite.Model) { m.Graphs[2].Ops[0].Code = schema.BuiltinOperatorSVDF }, "graph 2: op 0 SVDF"},
		"fewer inputs":    {func(m *tflite.Model) { m.Graphs[1].Inputs = m.Graphs[1].Inputs[:2] }, "limit"},
		"more inputs":     {func(m *tflite.Model) { m.Graphs[1].Inputs = append(m.Graphs[1].Inputs, scalarOf("z", 0)) }, "3 inputs for a graph with 4"},
		"fewer outputs":   {func(m *tflite.Model) { m.Graphs[2].Outputs = m.Graphs[2].Outputs[:2] }, "2 inputs for a graph with 3"},
		"no condition":    {func(m *tflite.Model) { m.Graphs[1].Outputs = m.Graphs[1].Inputs[:1] }, "a condition of type INT32"},
		"two conditions":  {func(m *tflite.Model) { m.Graphs[1].Outputs = append(m.Graphs[1].Outputs, m.Graphs[1].Outputs[0]) }, "a condition with 2 outputs"},
		"no graph at all": {func(m *tflite.Model) { m.Graphs[0].Ops[0].Options = nil }, "it runs 2 graphs, 0 are known"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := factorial()
			test.spoil(m)
			e, err := New(m)
			if err == nil {
				_, err = e.Run([][]float32{{3}, {1}})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
