package dfq

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// graph makes a subgraph of what f does with its inputs.
func graph(name string, shapes [][]int, types []schema.TensorType, f func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor) *tflite.Graph {
	b := New(uint64(len(name)))
	b.Graph.Name = name
	for i, s := range shapes {
		b.Graph.Inputs = append(b.Graph.Inputs, b.Tensor("arg", types[i], s...))
	}
	b.Graph.Outputs = f(b, b.Graph.Inputs)
	return b.Graph
}

var f32, i32, boolean = schema.TensorTypeFLOAT32, schema.TensorTypeINT32, schema.TensorTypeBOOL

// branches is a graph with an IF between two dense layers.
func branches() *tflite.Model {
	b := New(1)
	y := evenDense(b, 4, b.Input(1, 4))
	flag := b.Tensor("flag", boolean, 1)
	sum := b.Op("sum", schema.BuiltinOperatorSUM, &schema.ReducerOptionsT{}, []int{1}, y, b.Ints([]int{1}, 1))
	b.Add(schema.BuiltinOperatorGREATER, &schema.GreaterOptionsT{}, list(sum, b.Floats([]int{1}, 0)), flag)
	z := b.Op("chosen", schema.BuiltinOperatorIF, &schema.IfOptionsT{ThenSubgraphIndex: 1, ElseSubgraphIndex: 2}, []int{1, 4}, flag, y)
	m := b.Model(evenDense(b, 3, z))
	one := func(name string, factor float32) *tflite.Graph {
		return graph(name, [][]int{{1, 4}}, []schema.TensorType{f32}, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
			return list(product(b, in[0], b.Floats([]int{1, 4}, factor, 1)))
		})
	}
	m.Graphs = append(m.Graphs, one("then", 2), one("otherwise", -0.5))
	return m
}

// loop is a graph with a WHILE of three rounds between two dense layers.
func loop() *tflite.Model {
	b := New(1)
	y := evenDense(b, 4, b.Input(1, 4))
	count, z := b.Tensor("count", i32, 1), b.Tensor("z", f32, 1, 4)
	b.Add(schema.BuiltinOperatorWHILE, &schema.WhileOptionsT{CondSubgraphIndex: 1, BodySubgraphIndex: 2}, list(b.Ints([]int{1}, 0), y), count, z)
	m := b.Model(evenDense(b, 3, z), count)
	shapes, types := [][]int{{1}, {1, 4}}, []schema.TensorType{i32, f32}
	m.Graphs = append(m.Graphs,
		graph("cond", shapes, types, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
			more := b.Tensor("more", boolean, 1)
			b.Add(schema.BuiltinOperatorLESS, &schema.LessOptionsT{}, list(in[0], b.Ints([]int{1}, 3)), more)
			return list(more)
		}),
		graph("body", shapes, types, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
			next := b.Tensor("next", i32, 1)
			b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(in[0], b.Ints([]int{1}, 1)), next)
			return list(next, evenDense(b, 4, in[1]))
		}))
	return m
}

// Ops that run subgraphs are named with the reason, or stay float where that is
// allowed; so do the subgraphs, and the answers are right.
func TestControlFlow(t *testing.T) {
	for name, make := range map[string]func() *tflite.Model{"IF": branches, "WHILE": loop} {
		t.Run(name, func(t *testing.T) {
			m := make()
			_, _, err := Quantize(m, stated())
			var u *UnsupportedError
			if !errors.As(err, &u) || !strings.Contains(u.Ops[0].Reason, "it runs subgraphs [1 2], which stay float") {
				t.Fatalf("error %v, want one that says why %s is not INT8", err, name)
			}
			c := structureCase{name: name, model: make, float: "it runs subgraphs [1 2], which stay float"}
			for _, io := range []IOType{Int8, Uint8, Float32} {
				c.check(t, io)
			}
			q, r := quantize(t, m, &Options{AllowFloat: true, Samples: 4, Interpreter: interpreter})
			if len(r.Subgraphs) != 2 {
				t.Fatalf("the report says %v of the subgraphs", r.Subgraphs)
			}
			for i, s := range r.Subgraphs {
				want := fmt.Sprintf("%s %q of subgraph 0 runs it", name, m.Graphs[0].Ops[u.Ops[0].Index].Outputs[0].Name)
				if s.Index != i+1 || s.Name != m.Graphs[i+1].Name || s.Report != nil || !strings.Contains(s.Kept, want) {
					t.Errorf("subgraph %d: %+v, want %s", i+1, s, want)
				}
				if was, is := onlyGraph(m, i+1), onlyGraph(q, i+1); was != is {
					t.Errorf("subgraph %d was\n%s\nand is\n%s", i+1, was, is)
				}
			}
			if w := fmt.Sprint(r.Warnings); !strings.Contains(w, "subgraph 1") || !strings.Contains(w, "stays as it is") {
				t.Errorf("warnings %s do not say which graphs stay float", w)
			}
			// The layer before is INT8 whatever can be run here.
			if op := q.Graphs[0].Ops[0]; op.Code != schema.BuiltinOperatorFULLY_CONNECTED || !quantized(op) {
				t.Errorf("the first layer is not INT8\n%v", q)
			}
		})
	}
}

func onlyGraph(m *tflite.Model, k int) string {
	return (&tflite.Model{Graphs: []*tflite.Graph{m.Graphs[k]}}).String()
}

// A graph that stays keeps what stands in it, also hybrid ops, whose weights are INT8 and
// whose values are not: rules of INT8 are for the graphs that became it.
func TestHybridGraphThatStays(t *testing.T) {
	m := loop()
	w := m.Graphs[2].Ops[1].Inputs[1]
	codes := make([]int8, w.Len())
	for i := range codes {
		codes[i] = int8(8*i - 60)
	}
	w.SetInt8s(codes)
	w.Quant = &tflite.Quantization{Scale: []float32{0.01}, Zero: []int64{0}}
	q, _ := quantize(t, m, &Options{AllowFloat: true, Samples: 4, Interpreter: interpreter})
	for k := range m.Graphs[1:] {
		if was, is := onlyGraph(m, k+1), onlyGraph(q, k+1); was != is {
			t.Errorf("subgraph %d was\n%s\nand is\n%s", k+1, was, is)
		}
	}
	if op := q.Graphs[0].Ops[0]; op.Code != schema.BuiltinOperatorFULLY_CONNECTED || !quantized(op) {
		t.Errorf("the first layer is not INT8\n%v", q)
	}
}

// twoSignatures is a file of two graphs that know nothing of each other, and a
// third that no one runs.
func twoSignatures() *tflite.Model {
	m := Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), Mean())
	decode, idle := New(2), New(3)
	decode.Graph.Name, idle.Graph.Name = "decode", "idle"
	x, y := decode.Input(1, 4), decode.Input(1, 4)
	decode.Model(sum(decode, evenDense(decode, 4, x), y))
	idle.Model(evenDense(idle, 2, idle.Input(1, 4)))
	m.Graphs = append(m.Graphs, idle.Graph, decode.Graph)
	for _, g := range []*tflite.Graph{m.Graphs[0], decode.Graph} {
		m.Signatures = append(m.Signatures, &tflite.Signature{Key: g.Name, Graph: g,
			Inputs:  []tflite.NamedTensor{{Name: "x", Tensor: g.Inputs[0]}},
			Outputs: []tflite.NamedTensor{{Name: "y", Tensor: g.Outputs[0]}}})
	}
	return m
}

// Every graph that a signature names is quantized, with the ranges that are
// stated for its inputs.
func TestSeveralSignatures(t *testing.T) {
	m := twoSignatures()
	before := encode(t, m)
	unit, four := InputRange{Range: Range{-1, 1}}, InputRange{Range: Range{-4, 4}}
	for _, io := range []IOType{Int8, Uint8, Float32} {
		q, r := quantize(t, m, &Options{IO: io, Samples: 8, Inputs: []InputRange{unit, four, four}, Interpreter: interpreter})
		again, err := tflite.Decode(encode(t, q))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range CheckRules(again) {
			t.Error(err)
		}
		if len(r.Subgraphs) != 2 || r.Subgraphs[0].Kept != "no op runs it and no signature names it" || r.Subgraphs[1].Report == nil {
			t.Fatalf("the report says %+v of the subgraphs", r.Subgraphs)
		}
		in := r.Subgraphs[1].Report.Inputs
		if len(in) != 2 || in[0].Range != four.Range || in[1].Range != four.Range || r.Inputs[0].Range != unit.Range {
			t.Errorf("input ranges are %v and %v", r.Inputs, in)
		}
		for k, s := range again.Signatures {
			if s.Graph != again.Graphs[2*k] || s.Inputs[0].Tensor != s.Graph.Inputs[0] || s.Outputs[0].Tensor != s.Graph.Outputs[0] {
				t.Errorf("signature %q does not fit its graph\n%v", s.Key, again)
			}
		}
		for _, op := range again.Graphs[2].Ops {
			if !quantized(op) {
				t.Errorf("%s is not INT8\n%v", again.Graphs[2].Place(op), again)
			}
		}
		want := m.Clone()
		want.SwapGraphs(0, 2)
		again.SwapGraphs(0, 2)
		sameAnswers(t, want, again, 20) // with room above made-up answers
	}
	if string(encode(t, m)) != string(before) {
		t.Error("the model is another one afterwards")
	}
}

// A graph that a signature names stays as it is where there is nothing to quantize, or
// where that has been done.
func TestSignaturesThatStay(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), Mean())
	step := graph("step", [][]int{{1}}, []schema.TensorType{i32}, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
		next := b.Tensor("next", i32, 1)
		b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(in[0], b.Ints([]int{1}, 1)), next)
		return list(next)
	})
	ready := graph("ready", [][]int{{1, 4}}, []schema.TensorType{schema.TensorTypeINT8}, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
		in[0].Quant = &tflite.Quantization{Scale: []float32{0.5}, Zero: []int64{3}}
		y := b.Op("real", schema.BuiltinOperatorDEQUANTIZE, &schema.DequantizeOptionsT{}, []int{1, 4}, in[0])
		b.Graph.Ops[0].Version = 2
		return list(y)
	})
	m.Graphs = append(m.Graphs, step, ready)
	for _, g := range m.Graphs {
		m.Signatures = append(m.Signatures, &tflite.Signature{Key: g.Name, Graph: g,
			Inputs:  []tflite.NamedTensor{{Name: "x", Tensor: g.Inputs[0]}},
			Outputs: []tflite.NamedTensor{{Name: "y", Tensor: g.Outputs[0]}}})
	}
	q, r := quantize(t, m, stated())
	if len(r.Subgraphs) != 2 || !strings.Contains(r.Subgraphs[0].Kept, errNothing.Error()) || !strings.Contains(r.Subgraphs[1].Kept, ErrQuantized.Error()) {
		t.Errorf("the report says %+v of the subgraphs", r.Subgraphs)
	}
	for k := range m.Graphs {
		if was, is := onlyGraph(m, k), onlyGraph(q, k); (was == is) != (k > 0) {
			t.Errorf("subgraph %d was\n%s\nand is\n%s", k, was, is)
		}
	}
}

// A further graph takes the place of the main one for a while: afterwards each is where it
// was, and ops run those that they ran. Samples are the main graph's alone.
func TestSignatureBesideBranches(t *testing.T) {
	m := branches()
	m.Graphs = append(m.Graphs, graph("decode", [][]int{{1, 6}}, []schema.TensorType{f32}, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
		return list(evenDense(b, 2, in[0]))
	}))
	for _, g := range []*tflite.Graph{m.Graphs[0], m.Graphs[3]} {
		m.Signatures = append(m.Signatures, &tflite.Signature{Key: g.Name, Graph: g,
			Inputs:  []tflite.NamedTensor{{Name: "x", Tensor: g.Inputs[0]}},
			Outputs: []tflite.NamedTensor{{Name: "y", Tensor: g.Outputs[0]}}})
	}
	before := encode(t, m)
	q, r := quantize(t, m, &Options{AllowFloat: true, Samples: 4, Calibration: Inputs(m, 9, 4, 1), Interpreter: interpreter})
	if len(r.Subgraphs) != 3 || r.Subgraphs[2].Report == nil || !quantized(q.Graphs[3].Ops[0]) {
		t.Errorf("the report says %+v of the subgraphs\n%v", r.Subgraphs, q)
	}
	for k, g := range m.Graphs {
		if is := q.Graphs[k]; is.Name != g.Name || !slices.Equal(is.Inputs[0].Shape, g.Inputs[0].Shape) {
			t.Errorf("graph %d was %q and is %q", k, g.Name, is.Name)
		}
	}
	for _, op := range q.Graphs[0].Ops {
		if o, ok := op.Options.(*schema.IfOptionsT); ok && (o.ThenSubgraphIndex != 1 || o.ElseSubgraphIndex != 2) {
			t.Errorf("%s runs %v\n%v", q.Graphs[0].Place(op), op.Callees(), q)
		}
	}
	if string(encode(t, m)) != string(before) {
		t.Error("the model is another one afterwards")
	}
}

// What is wrong with a further graph is said with its number.
func TestFurtherGraphRefused(t *testing.T) {
	m := twoSignatures()
	b := New(4)
	b.Graph = m.Graphs[2]
	b.Graph.Outputs = append(b.Graph.Outputs, Unary(schema.BuiltinOperatorCOS, nil)(b, b.Graph.Outputs[0]))
	for _, main := range []int{0, 1} { // ops of the main graph that are refused as well
		if main > 0 {
			b.Graph = m.Graphs[0]
			b.Graph.Outputs[0] = Unary(schema.BuiltinOperatorSIN, nil)(b, b.Graph.Outputs[0])
			m.Signatures[0].Outputs[0].Tensor = b.Graph.Outputs[0]
		}
		_, _, err := Quantize(m, &Options{Samples: 1})
		var u *UnsupportedError
		if !errors.As(err, &u) || len(u.Ops) != main+1 || u.Ops[main].Name != "COS" || !strings.Contains(err.Error(), "subgraph 2, op 2 COS") {
			t.Errorf("error %v, want one for COS of subgraph 2 beside %d of the main graph", err, main)
		}
	}
}

// stateful adds an SVDF of rank 1, whose memory is a variable.
func stateful(b *Builder, units int, x *tflite.Tensor) *tflite.Tensor {
	const steps = 3
	depth := x.Shape[1]
	memory := b.Tensor("memory", f32, 1, units*steps)
	memory.Variable = true
	return b.Op("svdf", schema.BuiltinOperatorSVDF, &schema.SVDFOptionsT{Rank: 1}, []int{1, units},
		x, b.Random(0, 0.5, units, depth), b.Random(0, 0.5, units, steps), nil, memory)
}

// remembering is a dense layer, an op with a variable, and a dense layer.
func remembering() *tflite.Model {
	b := New(1)
	return b.Model(evenDense(b, 3, stateful(b, 4, evenDense(b, 4, b.Input(1, 4)))))
}

// resources is a dense layer whose answers add up in a resource variable that
// another graph sets to zero once.
func resources() *tflite.Model {
	handle := func(b *Builder) *tflite.Tensor {
		h := b.Tensor("handle", schema.TensorTypeRESOURCE, 1)
		b.Add(schema.BuiltinOperatorVAR_HANDLE, &schema.VarHandleOptionsT{SharedName: "sum"}, nil, h)
		return h
	}
	b := New(1)
	b.Add(schema.BuiltinOperatorCALL_ONCE, &schema.CallOnceOptionsT{InitSubgraphIndex: 1}, nil)
	h := handle(b)
	y := evenDense(b, 4, b.Input(1, 4))
	old := b.Op("old", schema.BuiltinOperatorREAD_VARIABLE, &schema.ReadVariableOptionsT{}, []int{1, 4}, h)
	total := sum(b, y, old)
	b.Add(schema.BuiltinOperatorASSIGN_VARIABLE, &schema.AssignVariableOptionsT{}, list(h, total))
	m := b.Model(total)
	m.Graphs = append(m.Graphs, graph("init", nil, nil, func(b *Builder, _ []*tflite.Tensor) []*tflite.Tensor {
		b.Add(schema.BuiltinOperatorASSIGN_VARIABLE, &schema.AssignVariableOptionsT{}, list(handle(b), b.Floats([]int{1, 4}, 0)))
		return nil
	}))
	return m
}

// What keeps values from run to run, and what follows from them, stays float
// and is named with the reason; what comes before is INT8.
func TestState(t *testing.T) {
	for _, test := range []struct {
		name  string
		model *tflite.Model
		want  []string
	}{
		{"variable", remembering(), []string{
			`op 1 SVDF "svdf": its int8 kernel has a 16-bit state`,
			`op 2 FULLY_CONNECTED "dense_1": it reads what depends on earlier runs`,
		}},
		{"a variable that a known op reads", func() *tflite.Model {
			b := New(1)
			y := evenDense(b, 4, b.Input(1, 4))
			v := b.Tensor("v", f32, 1, 4)
			v.Variable = true
			return b.Model(sum(b, y, v))
		}(), []string{`op 1 ADD "add": its operand "v" keeps values from run to run`}},
		{"resource", resources(), []string{
			`op 3 READ_VARIABLE "old": "handle" keeps values from run to run`,
			`op 4 ADD "add": it reads what READ_VARIABLE makes with RESOURCE tensors`,
			`op 5 ASSIGN_VARIABLE "": "handle" keeps values from run to run`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := encode(t, test.model)
			for _, io := range []IOType{Int8, Uint8, Float32} {
				q, r := quantize(t, test.model, &Options{AllowFloat: true, IO: io, Samples: 4, Interpreter: interpreter})
				if len(r.Float) != len(test.want) {
					t.Errorf("float are %v", r.Float)
				}
				for i, op := range r.Float {
					if got := fmt.Sprintf("op %d %s %q: %s", op.Index, op.Name, op.Output, op.Reason); i < len(test.want) && !strings.HasPrefix(got, test.want[i]) {
						t.Errorf("%s, want %s", got, test.want[i])
					}
				}
				again, err := tflite.Decode(encode(t, q))
				if err != nil {
					t.Fatal(err)
				}
				for _, err := range CheckRules(again) {
					t.Error(err)
				}
				for _, op := range again.Graphs[0].Ops {
					if op.Code == schema.BuiltinOperatorFULLY_CONNECTED && op.Outputs[0].Name != "dense_1" && !quantized(op) {
						t.Errorf("%s is not INT8", again.Graphs[0].Place(op))
					}
				}
			}
			if string(encode(t, test.model)) != string(before) {
				t.Error("the model is another one afterwards")
			}
		})
	}
}

// Graphs that run themselves are refused; those that run each other many times
// over are looked at once.
func TestNestedGraphs(t *testing.T) {
	nest := func(depth int, next func(k int) int) *tflite.Model {
		b := New(1)
		y := evenDense(b, 4, b.Input(1, 4))
		run := func(b *Builder, x *tflite.Tensor, k int) *tflite.Tensor {
			flag := b.Tensor("flag", boolean, 1)
			flag.Data = []byte{1}
			return b.Op("z", schema.BuiltinOperatorIF, &schema.IfOptionsT{ThenSubgraphIndex: int32(k), ElseSubgraphIndex: int32(k)}, []int{1, 4}, flag, x)
		}
		m := b.Model(run(b, y, 1))
		for k := 1; k <= depth; k++ {
			m.Graphs = append(m.Graphs, graph(fmt.Sprint(k), [][]int{{1, 4}}, []schema.TensorType{f32}, func(b *Builder, in []*tflite.Tensor) []*tflite.Tensor {
				if next(k) < 0 {
					return list(product(b, in[0], in[0]))
				}
				return list(run(b, run(b, in[0], next(k)), next(k)))
			}))
		}
		return m
	}
	for name, m := range map[string]*tflite.Model{
		"itself":     nest(1, func(int) int { return 1 }),
		"the main":   nest(1, func(int) int { return 0 }),
		"in a round": nest(3, func(k int) int { return k%3 + 1 }),
	} {
		if _, _, err := Quantize(m, &Options{AllowFloat: true, Samples: 1}); err == nil || !strings.Contains(err.Error(), "no graph may run itself") {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := nest(60, func(k int) int {
		if k == 60 {
			return -1
		}
		return k + 1
	})
	u := unknowns{deep, false, map[int]string{}}
	if why := u.op(deep.Graphs[0].Ops[1]); why != "" {
		t.Errorf("sixty deep: %q", why)
	}
}
