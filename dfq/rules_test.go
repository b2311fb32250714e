package dfq

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// ruleModel has an op for each kind of rule: weights and bias, fixed scale, same
// scale, least scale, a range that must hold, comparison, and conversions.
func ruleModel(t *testing.T) *tflite.Model {
	t.Helper()
	b := New(1)
	x := b.Input(1, 4, 4, 3)
	y := Sequence(Conv(4, 3, ReLU), Depthwise(3), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2))(b, x)
	y = Unary(schema.BuiltinOperatorLOGISTIC, nil)(b, y)
	y = b.Op("sum", schema.BuiltinOperatorSUM, &schema.ReducerOptionsT{}, []int{1, 4}, y, b.Ints([]int{2}, 1, 2))
	y = Sequence(Unary(schema.BuiltinOperatorHARD_SWISH, nil), Dense(2), Softmax())(b, y)
	less := b.Tensor("less", schema.TensorTypeBOOL, 1, 2)
	b.Add(schema.BuiltinOperatorLESS, nil, list(y, b.Floats(nil, 0.5)), less)
	scattered := b.Op("scattered", schema.BuiltinOperatorSCATTER_ND, nil, []int{4, 2}, b.Ints([]int{1, 1}, 2), y, b.Ints([]int{2}, 4, 2))
	cos := Unary(schema.BuiltinOperatorCOS, nil)(b, y)
	q, _, err := Quantize(b.Model(less, scattered, cos), &Options{AllowFloat: true, Samples: 4, IO: Float32, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Each rule, broken by itself, is the one thing that CheckRules says.
func TestCheckRules(t *testing.T) {
	find := func(m *tflite.Model, code schema.BuiltinOperator) *tflite.Op {
		i := slices.IndexFunc(m.Graphs[0].Ops, func(op *tflite.Op) bool { return op.Code == code })
		return m.Graphs[0].Ops[i]
	}
	conv := func(m *tflite.Model) *tflite.Op { return find(m, schema.BuiltinOperatorCONV_2D) }
	weights := func(m *tflite.Model) *tflite.Tensor { return conv(m).Inputs[1] }
	bias := func(m *tflite.Model) *tflite.Tensor { return conv(m).Inputs[2] }
	first := func(m *tflite.Model) *tflite.Op { return m.Graphs[0].Ops[0] }
	last := func(m *tflite.Model) *tflite.Op { return find(m, schema.BuiltinOperatorDEQUANTIZE) }
	tests := []struct {
		name  string
		spoil func(m *tflite.Model)
		want  []string // a part of each error, in order
	}{
		{"nothing", func(m *tflite.Model) {}, nil},
		{"INT8 without scale", func(m *tflite.Model) { weights(m).Quant = nil }, []string{`"conv_weights" is INT8 without scale`, "are not INT8 with scales"}},
		{"scale 0", func(m *tflite.Model) { weights(m).Quant.Scale[1] = 0 }, []string{"scale 1 is 0, not a positive", "channel 1: scale"}},
		{"subnormal scale", func(m *tflite.Model) { weights(m).Quant.Scale[1] = 1e-40 }, []string{"scale 1 is 1e-40", "channel 1: scale"}},
		{"zero points missing", func(m *tflite.Model) { weights(m).Quant.Zero = nil }, []string{"4 scales but 0 zero points", "scales and zero points"}},
		{"zero point out of range", func(m *tflite.Model) { conv(m).Outputs[0].Quant.Zero[0] = 128 }, []string{"zero point 128 is outside [-128, 127]"}},
		{"per-channel zero point", func(m *tflite.Model) { weights(m).Quant.Zero[2] = 1 }, []string{"per-channel zero point 1 is not 0", "have zero point 1"}},
		{"scales on a short axis", func(m *tflite.Model) { weights(m).Quant.Axis = 3 }, []string{"4 scales along axis 3", "have scales along axis 3, the kernel wants 0"}},
		{"version", func(m *tflite.Model) { conv(m).Version = 1 }, []string{"version 1, int8 needs 3"}},
		{"no int8 form", func(m *tflite.Model) { find(m, schema.BuiltinOperatorHARD_SWISH).Code = schema.BuiltinOperatorSIN }, []string{"has no int8 form"}},
		{"float operand", func(m *tflite.Model) {
			out := conv(m).Outputs[0]
			out.Type, out.Quant = schema.TensorTypeFLOAT32, nil
		}, []string{"CONV_2D \"conv\": works on int8 tensors and on FLOAT32", "DEPTHWISE_CONV_2D \"depthwise\": works on int8 tensors and on FLOAT32"}},
		{"fused activation", func(m *tflite.Model) {
			conv(m).Options = withActivation(conv(m).Options, schema.ActivationFunctionTypeTANH)
		}, []string{"fused TANH has no int8 kernel"}},
		{"missing operand", func(m *tflite.Model) { conv(m).Inputs = conv(m).Inputs[:1] }, []string{"input 1 is missing"}},
		{"missing options", func(m *tflite.Model) { conv(m).Options = nil }, []string{"its options are missing"}},
		{"per-channel activation", func(m *tflite.Model) {
			out := conv(m).Outputs[0]
			out.Quant = &tflite.Quantization{Scale: []float32{1, 1, 1, 1}, Zero: make([]int64, 4), Axis: 3}
		}, []string{`CONV_2D "conv": activation "conv" is not quantized per tensor`, `DEPTHWISE_CONV_2D "depthwise": activation "conv" is not`}},
		{"float weights of an int8 op", func(m *tflite.Model) { weights(m).Type = schema.TensorTypeUINT8 }, []string{"are not INT8 with scales"}},
		{"filter of another shape", func(m *tflite.Model) { weights(m).Shape = []int{4, 9, 3, 1} }, []string{"needs 6", "do not fit"}}, // 3 groups of 4 filters
		{"−128 in weights", func(m *tflite.Model) {
			w := weights(m)
			w.Data = bytes.Clone(w.Data)
			w.Data[7] = 128
		}, []string{"hold −128"}},
		{"scale per channel of a dense layer", func(m *tflite.Model) {
			w := find(m, schema.BuiltinOperatorFULLY_CONNECTED).Inputs[1]
			w.Quant = &tflite.Quantization{Scale: []float32{1, 1}, Zero: make([]int64, 2)}
		}, []string{"have a scale per channel, the kernel reads one", "as many scales as the weights"}},
		{"no bias", func(m *tflite.Model) { conv(m).Inputs[2] = nil }, []string{"has no bias"}},
		{"int8 bias", func(m *tflite.Model) { bias(m).Quant = nil }, []string{"is not INT32 with as many scales"}},
		{"short bias", func(m *tflite.Model) {
			b := find(m, schema.BuiltinOperatorFULLY_CONNECTED).Inputs[2]
			b.Shape, b.Data = []int{1}, b.Data[:4]
		}, []string{"does not fit 2 filters"}},
		{"bias scale", func(m *tflite.Model) { bias(m).Quant.Scale[3] *= 2 }, []string{"channel 3: scale"}},
		{"bias zero point", func(m *tflite.Model) { bias(m).Quant.Zero[3] = 1 }, []string{"per-channel zero point 1", "channel 3: scale"}},
		{"saturated bias", func(m *tflite.Model) { bias(m).SetInt32s([]int32{1, 2, 1<<31 - 1, 4}) }, []string{"is saturated"}},
		{"rescaling factor", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorDEPTHWISE_CONV_2D).Outputs[0].Quant.Scale[0] = 1e-25
		}, []string{"beyond the kernel's shifts", "differ in scale"}},
		{"fixed scale", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorSOFTMAX).Outputs[0].Quant.Scale[0] = 1. / 255
		}, []string{"the kernel demands 0.00390625, -128"}},
		{"same scale", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorMAX_POOL_2D).Outputs[0].Quant.Zero[0]--
		}, []string{`"depthwise" and output "pool" differ`}},
		{"least scale", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorHARD_SWISH).Outputs[0].Quant.Scale[0] = 1e-9
		}, []string{"is below", "bias"}},
		{"a sum that would wrap", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorMEAN).Code = schema.BuiltinOperatorSUM // as it was, with the range of a mean
		}, []string{"the kernel does not saturate"}},
		{"comparison of small steps", func(m *tflite.Model) {
			find(m, schema.BuiltinOperatorLESS).Inputs[1].Quant.Scale[0] = 0.001
		}, []string{"has scale 0.001, the kernel takes"}},
		{"scattered between others than zeros", func(m *tflite.Model) {
			op := find(m, schema.BuiltinOperatorSCATTER_ND)
			op.Inputs[1].Quant.Zero[0], op.Outputs[0].Quant.Zero[0] = 1, 1
		}, []string{"the kernel writes zeros"}},
		{"QUANTIZE of nothing", func(m *tflite.Model) { first(m).Inputs = nil }, []string{"0 inputs and 1 outputs"}},
		{"QUANTIZE version", func(m *tflite.Model) { first(m).Version = 2 }, []string{"version 2, int8 needs 1"}},
		{"DEQUANTIZE to integers", func(m *tflite.Model) { last(m).Outputs[0].Type = schema.TensorTypeINT32 }, []string{"is INT32, not FLOAT32"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := ruleModel(t)
			test.spoil(m)
			got := CheckRules(m)
			if len(got) != len(test.want) {
				t.Fatalf("%d errors, want %d:\n%v\n%v", len(got), len(test.want), errors.Join(got...), m)
			}
			for i, err := range got {
				if !strings.Contains(err.Error(), test.want[i]) {
					t.Errorf("error %d is %q, want one with %q", i, err, test.want[i])
				}
			}
		})
	}
}

// Rules are those of other graphs as well.
func TestCheckRulesOfEveryGraph(t *testing.T) {
	m := ruleModel(t)
	m.Graphs = append(m.Graphs, ruleModel(t).Graphs[0])
	m.Graphs[1].Ops[1].Version = 99
	if got := CheckRules(m); len(got) != 1 || !strings.Contains(got[0].Error(), "version 99") {
		t.Errorf("%v", got)
	}
}

// What the makers of the format themselves quantized breaks none of the rules.
func TestSharedReferencesKeepTheRules(t *testing.T) {
	for _, name := range []string{"kws_int8ref", "resnet8_cifar10_int8ref"} {
		t.Run(name, func(t *testing.T) {
			for _, err := range CheckRules(sharedModel(t, name)) {
				t.Error(err)
			}
		})
	}
}

// sharedModel is a real model that lies beside the repository.
func sharedModel(t testing.TB, name string) *tflite.Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "models", name+".tflite"))
	if err != nil {
		t.Skipf("real model not here: %v", err)
	}
	m, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
