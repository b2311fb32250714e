package dfq

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// wideModel has weights, a sum, a fixed scale, an op that stays float, and a
// concatenation of two scales, with int16 activations.
func wideModel(t *testing.T) *tflite.Model {
	t.Helper()
	b := New(1)
	x := b.Input(1, 4, 4, 3)
	y := Sequence(Conv(4, 3, ReLU), Depthwise(3))(b, x)
	tanh := Unary(schema.BuiltinOperatorTANH, nil)(b, y)
	sum := b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, []int{1, 4, 4, 4}, y, tanh)
	both := b.Op("both", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, []int{1, 4, 4, 8}, sum, tanh)
	swish := Unary(schema.BuiltinOperatorHARD_SWISH, nil)(b, both)
	q, _ := quantize(t, b.Model(Conv(2, 1, ReLU)(b, swish)), &Options{Activations: Int16, AllowFloat: true, Samples: 4, IO: Float32, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	return q
}

// What 16x8 is: int16 activations around zero, int8 weights, int64 biases.
func TestInt16Types(t *testing.T) {
	q := wideModel(t)
	types := map[schema.TensorType]int{}
	for _, x := range q.Graphs[0].Tensors() {
		types[x.Type]++
		if x.Type == schema.TensorTypeINT16 && x.Quant.Zero[0] != 0 {
			t.Errorf("%q has zero point %d", x.Name, x.Quant.Zero[0])
		}
	}
	for _, op := range q.Graphs[0].Ops {
		if o, ok := op.Options.(*schema.AddOptionsT); ok && o.PotScaleInt16 {
			t.Error("ADD asks for powers of two")
		}
		if f := spec(op).filter; f != nil && (op.Inputs[f.weights].Type != schema.TensorTypeINT8 || op.Inputs[f.bias].Type != schema.TensorTypeINT64) {
			t.Errorf("%s has weights of %s and a bias of %s", op.Code, op.Inputs[f.weights].Type, op.Inputs[f.bias].Type)
		}
	}
	if types[schema.TensorTypeINT8] != 3 || types[schema.TensorTypeINT64] != 3 || types[schema.TensorTypeFLOAT32] != 4 || types[schema.TensorTypeINT16] == 0 {
		t.Errorf("types %v\n%v", types, q)
	}
}

// Each rule of int16 ops, broken by itself, is the one thing that CheckRules says.
func TestCheckInt16Rules(t *testing.T) {
	find := func(m *tflite.Model, code schema.BuiltinOperator) *tflite.Op {
		for _, op := range m.Graphs[0].Ops {
			if op.Code == code {
				return op
			}
		}
		return nil
	}
	tests := []struct {
		name  string
		spoil func(m *tflite.Model)
		want  []string
	}{
		{"nothing", func(m *tflite.Model) {}, nil},
		{"zero point", func(m *tflite.Model) { find(m, schema.BuiltinOperatorTANH).Outputs[0].Quant.Zero[0] = 1 },
			[]string{"zero point 1 is outside [0, 0]", "the kernel demands 3.0517578e-05, 0"}},
		{"version", func(m *tflite.Model) { find(m, schema.BuiltinOperatorCONV_2D).Version = 3 }, []string{"version 3, int16 needs 4"}},
		{"QUANTIZE version", func(m *tflite.Model) { find(m, schema.BuiltinOperatorQUANTIZE).Version = 1 }, []string{"version 1, int16 needs 2"}},
		{"DEQUANTIZE version", func(m *tflite.Model) { find(m, schema.BuiltinOperatorDEQUANTIZE).Version = 2 }, []string{"version 2, int16 needs 3"}},
		{"scales of powers of two", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorADD).Options = &schema.AddOptionsT{PotScaleInt16: true}
		}, []string{"pot_scale_int16"}},
		{"int32 bias", func(m *tflite.Model) { find(m, schema.BuiltinOperatorCONV_2D).Inputs[2].SetInt32s(make([]int32, 4)) }, []string{"is not INT64 with as many scales"}},
		{"int8 output", func(m *tflite.Model) { find(m, schema.BuiltinOperatorADD).Inputs[1].Type = schema.TensorTypeINT8 }, []string{"works on int8 tensors and on int16 ones"}},
		{"no such kernel", func(m *tflite.Model) { find(m, schema.BuiltinOperatorTANH).Code = schema.BuiltinOperatorELU }, []string{"has no int16 form"}},
		{"rescaling factor", func(m *tflite.Model) { find(m, schema.BuiltinOperatorCONV_2D).Outputs[0].Quant.Scale[0] = 1e-9 }, []string{"beyond the kernel's shifts"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := wideModel(t)
			test.spoil(m)
			got := CheckRules(m)
			if len(got) < len(test.want) || len(test.want) == 0 && len(got) > 0 {
				t.Fatalf("%v\n%v", errors.Join(got...), m)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("error %d is %q, want one with %q", i, got[i], want)
				}
			}
		})
	}
}

// Ops without an int16 kernel are named at once.
func TestInt16Unsupported(t *testing.T) {
	b := New(1)
	y := Unary(schema.BuiltinOperatorHARD_SWISH, nil)(b, Conv(4, 3, ReLU)(b, b.Input(1, 4, 4, 3)))
	_, _, err := Quantize(b.Model(Unary(schema.BuiltinOperatorEXP, nil)(b, y)), &Options{Activations: Int16, Samples: 2})
	want := `2 ops cannot be INT16:
  op 1 HARD_SWISH "unary": it has no int16 kernel
  op 2 EXP "unary_1": its int16 kernel came with TensorFlow Lite 2.12.0, this file is for 2.9`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// Sixteen bits leave the noise of the weights alone: with weights that int8 holds
// exactly, the model is the float one to 60 dB and more, and 30 above int8.
func TestInt16IsPrecise(t *testing.T) {
	b := New(1)
	x := b.Input(1, 8, 8, 3)
	w := b.Floats([]int{4, 1, 1, 3}, 127, -64, 3, 1, 127, -127, 0, 55, 127, -127, 9, 8)
	y := b.Op("y", schema.BuiltinOperatorCONV_2D, &schema.Conv2DOptionsT{StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1}, []int{1, 8, 8, 4}, x, w, b.Random(0, 30, 4))
	m := b.Model(Unary(schema.BuiltinOperatorLOGISTIC, nil)(b, Unary(schema.BuiltinOperatorLEAKY_RELU, &schema.LeakyReluOptionsT{Alpha: 0.1})(b, y)))
	var by []float64
	for _, activations := range []IOType{Int8, Int16} {
		o := Options{Activations: activations, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}}
		by = append(by, quantizedSQNR(t, m, o, evaluate, Inputs(m, 4, 4, 1)))
	}
	if !(by[1] >= 60) || by[0] > by[1]-30 {
		t.Errorf("%.1f dB with int8, %.1f with int16", by[0], by[1])
	}
}

// Types that no kernel brings together are refused.
func TestTypesThatDoNotGoTogether(t *testing.T) {
	for _, test := range []struct {
		activations, io IOType
		want            string
	}{
		{Inner, Inner, ""}, {Int8, Int8, ""}, {Int8, Uint8, ""}, {Inner, Float32, ""}, {Int16, Inner, ""}, {Int16, Int16, ""}, {Int16, Float32, ""},
		{Int16, Int8, "from 8-bit inputs to int16"}, {Int16, Uint8, "from 8-bit inputs to int16"},
		{Inner, Int16, "from int8 activations to int16"}, {Int8, Int16, "from int8 activations to int16"},
		{Float32, Inner, "they are Int8 or Int16"}, {Int8, 9, "no such type"}, {-1, Inner, "they are"},
	} {
		_, _, err := Quantize(small(), &Options{Activations: test.activations, IO: test.io, Samples: 1})
		if (err == nil) != (test.want == "") || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%d inside, %d outside: %v, want %q", test.activations, test.io, err, test.want)
		}
	}
}
