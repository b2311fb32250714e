package dfq

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// open is a chain whose input leaves its batch and other axes open.
func open(signature []int, layers ...Layer) *tflite.Model {
	shape := slices.Clone(signature)
	for d, n := range shape {
		if n < 0 {
			shape[d] = 1
		}
	}
	m := Chain(append([]Layer{Input(shape...)}, layers...)...)
	m.Graphs[0].Inputs[0].Signature = signature
	for _, t := range m.Graphs[0].Tensors() {
		for d, n := range t.Shape {
			t.Shape[d] = max(n, 1) // as converters write them, whether or not they fit each other
		}
	}
	return m
}

// picture is a network for images of any size, whose file says no more of it
// than that the input is open: its last layers compute a shape.
func picture() *tflite.Model {
	return open([]int{-1, -1, -1, 3}, Conv(4, 3, Valid, ReLU), Depthwise(3, Stride(2)), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape, batch, target := b.Tensor("shape", i32, 4), b.Tensor("batch", i32), b.Tensor("target", i32, 2)
		b.Add(schema.BuiltinOperatorSHAPE, &schema.ShapeOptionsT{OutType: i32}, list(x), shape)
		b.Add(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{ShrinkAxisMask: 1}, list(shape, b.Ints([]int{1}, 0), b.Ints([]int{1}, 1), b.Ints([]int{1}, 1)), batch)
		b.Add(schema.BuiltinOperatorPACK, &schema.PackOptionsT{ValuesCount: 2}, list(batch, b.Ints(nil, 4)), target)
		y := b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, []int{1, 1, 1, 4}, x, b.Ints([]int{2}, 1, 2))
		y = b.Op("flat", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, []int{1, 4}, y, target)
		return evenDense(b, 3, y)
	})
}

// Dimensions that the input leaves open are open in all that follows from it,
// also where the file forgot to say so; the statistics come from a usual size.
func TestOpenDimensions(t *testing.T) {
	m := picture()
	for _, io := range []IOType{Int8, Uint8, Float32} {
		q, r := quantize(t, m, &Options{IO: io, Samples: 16, Inputs: []InputRange{{Range: Range{-1, 1}}}, Interpreter: interpreter})
		again, err := tflite.Decode(encode(t, q))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range CheckRules(again) {
			t.Error(err)
		}
		if !slices.Equal(r.Inputs[0].Shape, []int{1, 224, 224, 3}) || !strings.Contains(fmt.Sprint(r.Warnings), "statistics are drawn at [1 224 224 3]") {
			t.Errorf("the report has input %v and says %v", r.Inputs[0].Shape, r.Warnings)
		}
		g := again.Graphs[0]
		if !slices.Equal(g.Inputs[0].Shape, []int{1, 1, 1, 3}) {
			t.Errorf("the input's shape is %v", g.Inputs[0].Shape)
		}
		want := map[int][]int{4: {-1, -1, -1}, 2: {-1}}
		for _, op := range g.Ops {
			for _, x := range op.Outputs {
				if x.Type == i32 {
					continue
				}
				signature := slices.Clone(x.Signature)
				if strings.HasPrefix(x.Name, "mean") {
					signature = []int{-1, -1, -1, 4} // height and width are 1
				}
				if len(signature) != len(x.Shape) || !slices.Equal(signature[:len(x.Shape)-1], want[len(x.Shape)]) {
					t.Errorf("io %v: %q has signature %v", io, x.Name, x.Signature)
				}
			}
		}
		for _, size := range [][]int{{1, 20, 30, 3}, {3, 9, 9, 3}} {
			sameAnswers(t, resized(m, size...), resized(again, size...), 12)
		}
	}
}

// resized is what an interpreter makes of m at another size of its input.
func resized(m *tflite.Model, shape ...int) *tflite.Model {
	c := m.Clone()
	c.Graphs[0].Inputs[0].Shape = shape
	return c
}

func TestSized(t *testing.T) {
	even := func(units, depth int) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("dense", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, units}, x, b.Random(0, 0.5, units, depth))
		}
	}
	flat := func(n int) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("flat", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, []int{1, n}, x, b.Ints([]int{2}, -1, n))
		}
	}
	tests := []struct {
		name  string
		model *tflite.Model
		want  []int
	}{
		{"nothing is open", small(), []int{1, 16, 16, 3}},
		{"the batch", open([]int{-1, 16, 16, 3}, Conv(4, 3)), []int{1, 16, 16, 3}},
		{"an image", open([]int{1, -1, -1, 3}, Conv(4, 3)), []int{1, 224, 224, 3}},
		{"only its width", open([]int{1, 32, -1, 3}, Conv(4, 3)), []int{1, 32, 224, 3}},
		{"an image that must be 96 x 96", open([]int{-1, -1, -1, 3}, Conv(1, 1), flat(96*96), even(3, 96*96)), []int{1, 96, 96, 3}},
		{"one that fits no usual size", open([]int{-1, -1, -1, 3}, Conv(1, 1), flat(97*89), even(3, 97*89)), []int{1, 224, 224, 3}},
		{"a sequence", open([]int{-1, -1, 8}, func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return Unary(schema.BuiltinOperatorTANH, nil)(b, x)
		}), []int{1, 64, 8}},
		{"a signal", open([]int{-1}, Unary(schema.BuiltinOperatorTANH, nil)), []int{16000}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := encode(t, test.model)
			if got := Sized(test.model).Graphs[0].Inputs[0].Shape; !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			if again := Sized(Sized(test.model)).Graphs[0].Inputs[0].Shape; !slices.Equal(again, test.want) {
				t.Errorf("the second time %v", again)
			}
			if string(encode(t, test.model)) != string(before) {
				t.Error("the model is another one afterwards")
			}
		})
	}
}

// A SUM over an open dimension has no bound, and its int8 kernel wraps around.
func TestOpenSum(t *testing.T) {
	sum := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("sum", schema.BuiltinOperatorSUM, &schema.ReducerOptionsT{}, []int{1, 4}, x, b.Ints([]int{2}, 1, 2))
	}
	_, r := quantize(t, open([]int{-1, -1, -1, 3}, Conv(4, 3), sum), &Options{Samples: 1, AllowFloat: true})
	if len(r.Float) != 1 || !strings.Contains(r.Float[0].Reason, "a dimension that is left open") {
		t.Errorf("float are %v", r.Float)
	}
	if _, r := quantize(t, open([]int{-1, 8, 8, 3}, Conv(4, 3), sum), &Options{Samples: 1, AllowFloat: true}); len(r.Float) != 0 {
		t.Errorf("with an open batch float are %v", r.Float)
	}
}
