package dfq

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// A structureCase is a small graph of a form that is rare but right.
type structureCase struct {
	name  string
	model func() *tflite.Model
	float string  // what the report says of an op that stays float; "" if none does
	least float64 // SQNR in dB of every real output; 0: 25
}

var structureCases = []structureCase{
	{name: "an input straight to an output", model: func() *tflite.Model {
		b := New(1)
		x, y := b.Input(1, 4), b.Input(1, 4)
		return b.Model(y, evenDense(b, 3, x))
	}},
	{name: "an input that is read and an output", model: func() *tflite.Model {
		b := New(1)
		x := b.Input(1, 4)
		return b.Model(x, evenDense(b, 3, x), x)
	}},
	{name: "several inputs and outputs", model: func() *tflite.Model {
		b := New(1)
		x, y, z := b.Input(1, 4), b.Input(1, 4), b.Input(1, 6)
		s := sum(b, evenDense(b, 4, x), y)
		return b.Model(s, evenDense(b, 2, z), product(b, s, y))
	}},
	{name: "a constant that needs several scales", model: func() *tflite.Model {
		b := New(1)
		x := b.Input(1, 8)
		c := b.Floats([]int{1, 8}, 0.5, -0.25, 1, 0)
		small, large := b.Op("small", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{1}, 0.01)), evenDense(b, 8, x)
		return b.Model(concat(b, 0, small, c), concat(b, 0, large, c), product(b, c, x))
	}},
	{name: "weights that two layers share", model: func() *tflite.Model {
		b := New(1)
		x, y := b.Input(1, 6), b.Input(1, 6)
		w := b.Random(0, 0.5, 6, 6)
		first := b.Op("first", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, 6}, x, w)
		return b.Model(b.Op("second", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, 6}, product(b, first, y), w))
	}},
	{name: "an output that is read again inside", model: func() *tflite.Model {
		b := New(1)
		y := evenDense(b, 6, b.Input(1, 4))
		return b.Model(y, evenDense(b, 3, y), Unary(schema.BuiltinOperatorTANH, nil)(b, y))
	}},
	{name: "one tensor in two same-scale groups", model: func() *tflite.Model {
		b := New(1)
		x, y := b.Input(1, 8), b.Input(1, 8)
		wide := b.Op("wide", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{1}, 40))
		middle := sum(b, x, y)
		narrow := b.Op("narrow", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, y.Shape, y, b.Floats([]int{1}, 0.02))
		return b.Model(concat(b, 1, wide, middle), concat(b, 1, middle, narrow), concat(b, 1, middle, y), Unary(schema.BuiltinOperatorTANH, nil)(b, middle))
	}},
	{name: "a fixed scale and an input in one group", model: func() *tflite.Model {
		b := New(1)
		x := b.Input(1, 8)
		p := Softmax()(b, x)
		return b.Model(concat(b, 1, p, x), Reshape(8)(b, p))
	}},
	{name: "zero elements", model: func() *tflite.Model {
		b := New(1)
		x := b.Input(1, 4)
		none := b.Op("none", schema.BuiltinOperatorSLICE, nil, []int{0, 4}, x, b.Ints([]int{2}, 0, 0), b.Ints([]int{2}, 0, 4))
		empty := b.Tensor("empty", schema.TensorTypeFLOAT32, 0, 4)
		empty.Data = []byte{}
		return b.Model(concat(b, 0, none, x), concat(b, 0, x, empty))
	}},
	{name: "zero channels", model: func() *tflite.Model {
		b := New(1)
		x, column := b.Input(1, 4, 4, 2), b.Input(2, 1)
		empty := b.Tensor("empty", schema.TensorTypeFLOAT32, 1, 4, 4, 0)
		empty.Data = []byte{}
		nothing := b.Tensor("nothing", schema.TensorTypeFLOAT32, 0)
		nothing.Data = []byte{}
		none := b.Op("none", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, []int{2, 0}, column, nothing)
		return b.Model(Sequence(Conv(8, 3), Conv(8, 1))(b, concat(b, 3, empty, Conv(2, 1)(b, x))), none)
	}},
	{name: "rank 5", model: func() *tflite.Model { return ranks(1, 2, 3, 2, 4) }},
	{name: "rank 6", model: func() *tflite.Model { return ranks(1, 2, 1, 3, 2, 4) }},
	{name: "int64 beside", model: func() *tflite.Model {
		b := New(1)
		y := evenDense(b, 4, b.Input(3, 4))
		row := input(b, schema.TensorTypeINT64, 2)
		next := b.Tensor("next", schema.TensorTypeINT64, 2)
		one := b.Tensor("one", schema.TensorTypeINT64)
		one.Data = []byte{1, 0, 0, 0, 0, 0, 0, 0}
		b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(row, one), next)
		b.Graph.Ops[len(b.Graph.Ops)-1].Version = 4 // int64 came with it
		best := b.Tensor("best", schema.TensorTypeINT64, 3)
		b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT64}, list(y, b.Ints([]int{1}, 1)), best)
		return b.Model(b.Op("rows", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{2, 4}, y, row), next, row)
	}},
	{name: "bool beside", model: func() *tflite.Model {
		b := New(1)
		x, y := b.Input(1, 16), b.Input(1, 16)
		greater, mask := b.Tensor("greater", schema.TensorTypeBOOL, 1, 16), input(b, schema.TensorTypeBOOL, 1, 16)
		both := b.Tensor("both", schema.TensorTypeBOOL, 1, 16)
		b.Add(schema.BuiltinOperatorGREATER, &schema.GreaterOptionsT{}, list(b.Op("wide", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{1}, 3)), y), greater)
		b.Add(schema.BuiltinOperatorLOGICAL_AND, &schema.LogicalAndOptionsT{}, list(mask, mask), both)
		return b.Model(b.Op("either", schema.BuiltinOperatorSELECT_V2, &schema.SelectV2OptionsT{}, x.Shape, mask, x, y), both)
	}},
	{name: "text beside", model: func() *tflite.Model {
		b := New(1)
		x, text := b.Input(1, 4), input(b, schema.TensorTypeSTRING, 1)
		label := b.Tensor("label", schema.TensorTypeSTRING, 1)
		label.Data = []byte{1, 0, 0, 0, 12, 0, 0, 0, 15, 0, 0, 0, 'c', 'a', 't'}
		both := b.Tensor("both", schema.TensorTypeSTRING, 2)
		b.Add(schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{}, list(text, label), both)
		return b.Model(text, evenDense(b, 3, x), both, label)
	}},
	{name: "numbers made of text", float: "makes with STRING tensors", model: func() *tflite.Model {
		b := New(1)
		x, text := b.Input(1, 4), input(b, schema.TensorTypeSTRING, 1)
		score := b.Op("score", schema.BuiltinOperatorHASHTABLE_FIND, nil, []int{1, 4}, text, text, x)
		return b.Model(evenDense(b, 3, x), evenDense(b, 3, score))
	}},
}

// evenDense is a dense layer whose channels are alike, so that one scale suits them.
func evenDense(b *Builder, units int, x *tflite.Tensor) *tflite.Tensor {
	depth := x.Len() / x.Shape[0]
	return b.Op("dense", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{x.Shape[0], units},
		x, b.Random(0, 1/math.Sqrt(float64(depth)), units, depth), b.Random(0, 0.1, units))
}

func sum(b *Builder, x, y *tflite.Tensor) *tflite.Tensor {
	return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, x, y)
}

func product(b *Builder, x, y *tflite.Tensor) *tflite.Tensor {
	return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
}

func concat(b *Builder, axis int, parts ...*tflite.Tensor) *tflite.Tensor {
	shape := slices.Clone(parts[0].Shape)
	for _, p := range parts[1:] {
		shape[axis] += p.Shape[axis]
	}
	return b.Op("concat", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: int32(axis)}, shape, parts...)
}

// input adds an input that holds no real values.
func input(b *Builder, typ schema.TensorType, shape ...int) *tflite.Tensor {
	t := b.Tensor("side", typ, shape...)
	b.Graph.Inputs = append(b.Graph.Inputs, t)
	return t
}

// ranks works on tensors of the given shape, of more than four dimensions.
func ranks(shape ...int) *tflite.Model {
	b := New(1)
	x, y := b.Input(shape...), b.Input(shape...)
	z := concat(b, 1, sum(b, x, y), y)
	start, size := make([]int, len(shape)), slices.Clone(z.Shape)
	if len(shape) == 5 { // SLICE takes no more
		start[1], size[1] = 1, 2
		z = b.Op("slice", schema.BuiltinOperatorSLICE, nil, size, z, b.Ints([]int{len(shape)}, start...), b.Ints([]int{len(shape)}, size...))
	}
	z = Unary(schema.BuiltinOperatorTANH, nil)(b, z)
	last := len(shape) - 1
	z = b.Op("largest", schema.BuiltinOperatorREDUCE_MAX, &schema.ReducerOptionsT{}, size[:last], z, b.Ints([]int{1}, last))
	return b.Model(z, evenDense(b, 5, Reshape(1, x.Len())(b, sum(b, x, y))))
}

func TestStructures(t *testing.T) {
	for _, c := range structureCases {
		t.Run(c.name, func(t *testing.T) {
			for _, io := range []IOType{Int8, Uint8, Float32} {
				c.check(t, io)
			}
		})
	}
}

func (c structureCase) check(t *testing.T, io IOType) {
	t.Helper()
	m := c.model()
	opts := &Options{AllowFloat: c.float != "", IO: io, Calibration: madeUp(m), Interpreter: interpreter}
	for range m.Graphs[0].Inputs {
		opts.Inputs = append(opts.Inputs, InputRange{Range: Range{-2, 2}})
	}
	q, r := quantize(t, m, opts)
	if got := fmt.Sprint(r.Float); (c.float == "") != (len(r.Float) == 0) || !strings.Contains(got, c.float) {
		t.Errorf("float are %s, want %q", got, c.float)
	}
	again, err := tflite.Decode(encode(t, q))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range CheckRules(again) {
		t.Error(err)
	}
	least := c.least
	if least == 0 {
		least = 25
	}
	sameAnswers(t, m, again, least)
}

// sameAnswers runs both models on made-up inputs, in the evaluator and, where
// it is built in, in the interpreter.
func sameAnswers(t *testing.T, want, got *tflite.Model, least float64) {
	t.Helper()
	if len(got.Graphs[0].Inputs) != len(want.Graphs[0].Inputs) || len(got.Graphs[0].Outputs) != len(want.Graphs[0].Outputs) {
		t.Fatalf("inputs or outputs are missing\n%v", got)
	}
	for i, x := range want.Graphs[0].Outputs {
		if y := got.Graphs[0].Outputs[i]; !real(x) && (y.Type != x.Type || y.Quant != nil || y.Name != x.Name || !slices.Equal(y.Data, x.Data)) {
			t.Errorf("output %d was %s %q and is %s %q", i, x.Type, x.Name, y.Type, y.Name)
		}
	}
	for k, open := range []Interpreter{evaluate, interpreter} {
		if open == nil {
			continue
		}
		a, pick := numbersOnly(want)
		b, _ := numbersOnly(got)
		u := unknowns{got, true, map[int]string{}}
		if k == 0 && slices.ContainsFunc(b.Graphs[0].Ops, func(op *tflite.Op) bool { return u.op(op) != "" }) {
			t.Log("not run in Go, which lacks an op")
			continue
		}
		samples := madeUp(want)
		d, err := Compare(a, b, open, len(samples), func(i int) ([][]float32, error) { return pick(samples[i]), nil }, nil)
		if err != nil {
			t.Fatalf("%v\n%v", err, got)
		}
		for i, o := range d.Outputs {
			bar := least
			if !real(a.Graphs[0].Outputs[i]) {
				bar = equalSQNR
			}
			if o.SQNR < bar {
				t.Errorf("output %d %q: %.1f dB, want %g\n%v", i, o.Name, o.SQNR, bar, got)
			}
		}
	}
}

// numbersOnly is m without outputs that hold no numbers, made runnable.
func numbersOnly(m *tflite.Model) (*tflite.Model, func([][]float32) [][]float32) {
	c := m.Clone()
	g := c.Graphs[0]
	behind := behindUnknown(c, false)
	g.Outputs = slices.DeleteFunc(g.Outputs, func(t *tflite.Tensor) bool { return !numeric(t) || behind[t] != "" })
	return runnable(c)
}

// madeUp are inputs of m within ±2, whole where they have to be.
func madeUp(m *tflite.Model) [][][]float32 {
	samples := Inputs(m, 3, 40, 2)
	for _, s := range samples {
		for i, t := range m.Graphs[0].Inputs {
			whole(t, s[i])
		}
	}
	return samples
}

// whole makes the values of an input of integers or truth values such ones.
func whole(t *tflite.Tensor, v []float32) {
	for i, x := range v {
		switch t.Type {
		case schema.TensorTypeINT64, schema.TensorTypeINT32:
			v[i] = float32(int(x*x) % 3)
		case schema.TensorTypeBOOL:
			v[i] = 0
			if x > 0 {
				v[i] = 1
			}
		}
	}
}
