//go:build tflite

package interp

import (
	"math"
	"slices"
	"strings"
	"testing"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	build "dfq/tflite/tflitetest"

	ctflite "github.com/mattn/go-tflite"
)

// bare runs a model without what New does around the C library: nothing is
// refused, and variables go on from one invocation to the next.
func bare(t *testing.T, m *tflite.Model) *Interpreter {
	t.Helper()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(data)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Delete()
	in, err := create(c, 1)
	if err != nil {
		t.Fatalf("%v\n%v", err, m)
	}
	t.Cleanup(in.Close)
	return in
}

func (in *Interpreter) goOn(t *testing.T, x []float32) []float32 {
	t.Helper()
	if err := view(in.c.GetInputTensor(0)).setReal(x); err != nil {
		t.Fatal(err)
	}
	if in.c.Invoke() != ctflite.OK {
		t.Fatal(in.error("run"))
	}
	out, err := collect(in, tensor.real)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func quantized(t *testing.T, m *tflite.Model) *tflite.Model {
	t.Helper()
	q, _, err := dfq.Quantize(m, &dfq.Options{AllowFloat: true, Calibration: build.Inputs(m, 5, 40, 2), Inputs: []dfq.InputRange{{Range: dfq.Range{Lo: -2, Hi: 2}}}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// within fails unless the answers are equal to a share of their size.
func within(t *testing.T, got, want []float32, share float64, format string, args ...any) {
	t.Helper()
	signal, noise := 0.0, 0.0
	for i, x := range want {
		signal += float64(x) * float64(x)
		noise += math.Pow(float64(x-got[i]), 2)
	}
	if len(got) != len(want) || noise > share*share*signal {
		t.Errorf(format+": %v, want %v", append(args, got, want)...)
	}
}

// resource is a model whose answers add up in a variable.
func resource() *tflite.Model { return variable(1, 4) }

// variable is resource with a first value of any shape.
func variable(shape ...int) *tflite.Model {
	handle := func(b *build.Builder) *tflite.Tensor {
		h := b.Tensor("handle", schema.TensorTypeRESOURCE, 1)
		b.Add(schema.BuiltinOperatorVAR_HANDLE, &schema.VarHandleOptionsT{SharedName: "sum"}, nil, h)
		return h
	}
	m := build.Chain(build.Input(1, 4), build.Dense(4), func(b *build.Builder, x *tflite.Tensor) *tflite.Tensor {
		old := b.Op("old", schema.BuiltinOperatorREAD_VARIABLE, &schema.ReadVariableOptionsT{}, []int{1, 4}, handle(b))
		sum := b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, []int{1, 4}, x, old)
		b.Add(schema.BuiltinOperatorASSIGN_VARIABLE, &schema.AssignVariableOptionsT{}, []*tflite.Tensor{handle(b), sum})
		return sum
	})
	first := build.New(1)
	first.Add(schema.BuiltinOperatorCALL_ONCE, &schema.CallOnceOptionsT{InitSubgraphIndex: 1}, nil)
	m.Graphs[0].Ops = append(first.Graph.Ops, m.Graphs[0].Ops...)
	init := build.New(2)
	init.Add(schema.BuiltinOperatorASSIGN_VARIABLE, &schema.AssignVariableOptionsT{}, []*tflite.Tensor{handle(init), init.Floats(shape, 0)})
	m.Graphs = append(m.Graphs, init.Graph)
	return m
}

// A graph that two WHILEs run, a SOFTMAX of nothing, and a variable shorter than its readers
// take it to be end the process in the C library.
func TestRefusedBeforeItCrashes(t *testing.T) {
	b := build.New(1)
	x := b.Input(1, 0)
	nothing := b.Model(b.Op("softmax", schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 1}, []int{1, 0}, x))
	loops := func(second int32) *tflite.Model {
		b := build.New(1)
		y := b.Input(1, 4)
		for _, cond := range []int32{1, second} {
			next := b.Tensor("next", schema.TensorTypeFLOAT32, 1, 4)
			b.Add(schema.BuiltinOperatorWHILE, &schema.WhileOptionsT{CondSubgraphIndex: cond, BodySubgraphIndex: cond + 1}, []*tflite.Tensor{y}, next)
			y = next
		}
		m := b.Model(y)
		for range 2 {
			cond, body := build.New(2), build.New(3)
			cond.Input(1, 4)
			never := cond.Tensor("never", schema.TensorTypeBOOL, 1)
			never.Data = []byte{0}
			more := cond.Tensor("more", schema.TensorTypeBOOL, 1)
			cond.Add(schema.BuiltinOperatorLOGICAL_AND, nil, []*tflite.Tensor{never, never}, more)
			cond.Model(more)
			body.Model(body.Op("same", schema.BuiltinOperatorRELU, nil, []int{1, 4}, body.Input(1, 4)))
			m.Graphs = append(m.Graphs, cond.Graph, body.Graph)
		}
		return m
	}
	for name, test := range map[string]struct {
		m    *tflite.Model
		fail string
	}{
		"variable of no values":   {variable(1, 0), `op 1 ASSIGN_VARIABLE: variable "sum" of shape [1 0], elsewhere of [1 4]`},
		"softmax of nothing":      {nothing, `op 0 SOFTMAX "softmax": a shape of [1 0]`},
		"two loops, one graph":    {loops(1), `op 1 WHILE "next_1": it runs subgraph 1, as another WHILE does`},
		"two loops, graphs apart": {loops(3), ""},
	} {
		data, err := tflite.Encode(test.m)
		if err != nil {
			t.Fatal(err)
		}
		in, err := New(data, 1)
		if err == nil {
			run(t, in, make([]float32, test.m.Graphs[0].Inputs[0].Len()))
			in.Close()
		}
		if (err == nil) != (test.fail == "") || err != nil && !strings.Contains(err.Error(), test.fail) {
			t.Errorf("%s: error %v, want %q", name, err, test.fail)
		}
	}
}

// Each run of a model with variables starts from their first values, and a handle that
// something else touches is refused.
func TestVariablesStartAfresh(t *testing.T) {
	m := resource()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(data, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close() }()
	x := [][]float32{{1, -1, 0.5, 2}}
	first := run(t, in, x...)
	for range 2 {
		equal(t, run(t, in, x...), first...)
	}
	if next := bare(t, m); slices.Equal(next.goOn(t, x[0]), next.goOn(t, x[0])) {
		t.Error("the model does not remember anything")
	}
	for _, op := range m.Graphs[0].Ops {
		if op.Code == schema.BuiltinOperatorVAR_HANDLE {
			m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, op.Outputs[0])
		}
	}
	if data, err = tflite.Encode(m); err != nil {
		t.Fatal(err)
	}
	if in, err := New(data, 1); err == nil {
		in.Close()
		t.Error("a handle among the outputs is taken")
	}
}

// A quantized model with variables follows the float one over many invocations.
func TestQuantizedState(t *testing.T) {
	models := map[string]*tflite.Model{
		"variable": build.Chain(build.Input(1, 4), build.Dense(4), func(b *build.Builder, x *tflite.Tensor) *tflite.Tensor {
			memory := b.Tensor("memory", schema.TensorTypeFLOAT32, 1, 12)
			memory.Variable = true
			return b.Op("svdf", schema.BuiltinOperatorSVDF, &schema.SVDFOptionsT{Rank: 1}, []int{1, 4},
				x, b.Random(0, 0.5, 4, 4), b.Random(0, 0.5, 4, 3), nil, memory)
		}, build.Dense(3)),
		"resource": resource(),
	}
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			q := quantized(t, m)
			float, int8 := bare(t, m), bare(t, q)
			var last []float32
			for k, in := range build.Inputs(m, 5, 20, 2) {
				want, got := float.goOn(t, in[0]), int8.goOn(t, in[0])
				within(t, got, want, 0.15, "invocation %d", k)
				last = want
			}
			fresh := bare(t, m).goOn(t, build.Inputs(m, 5, 20, 2)[19][0])
			same := true
			for i, x := range fresh {
				same = same && x == last[i]
			}
			if same {
				t.Error("the model does not remember anything")
			}
		})
	}
}

// A model whose batch, height and width are open can be resized after it was
// quantized as before.
func TestQuantizedResize(t *testing.T) {
	m := build.Chain(build.Input(1, 1, 1, 3), build.Conv(4, 3, build.ReLU, build.Stride(2)), build.Residual(build.Depthwise(3, build.ReLU)), build.Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2), build.Mean(), build.Dense(3))
	m.Graphs[0].Inputs[0].Signature = []int{-1, -1, -1, 3}
	q, _, err := dfq.Quantize(m, &dfq.Options{Samples: 8, Inputs: []dfq.InputRange{{Range: dfq.Range{Lo: -1, Hi: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][]int32{{1, 32, 48, 3}, {3, 20, 20, 3}, {2, 65, 33, 3}} {
		var answers [2][]float32
		image := build.Chain(build.Input(int(shape[0]), int(shape[1]), int(shape[2]), 3))
		for k, model := range []*tflite.Model{m, q} {
			in := bare(t, model)
			if in.c.ResizeInputTensor(0, shape) != ctflite.OK || in.c.AllocateTensors() != ctflite.OK {
				t.Fatalf("%v: %v\n%v", shape, in.error("resize"), model)
			}
			answers[k] = in.goOn(t, build.Inputs(image, 7, 1, 1)[0][0])
		}
		if len(answers[0]) != 3*int(shape[0]) {
			t.Errorf("%v: %d answers", shape, len(answers[0]))
		}
		within(t, answers[1], answers[0], 0.1, "%v", shape)
	}
}

// The kernel that reads sparse weights by itself answers as New, for which they
// are made dense.
func TestSparse(t *testing.T) {
	m, dense := build.Pruned()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(data, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	kernel := bare(t, m)
	for k, x := range build.Inputs(dense, 5, 4, 2) {
		got, err := in.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		within(t, got[0], kernel.goOn(t, x[0]), 1e-6, "sample %d", k)
	}
}
