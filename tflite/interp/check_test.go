//go:build tflite

package interp

import (
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// convGraph is a 3×3 convolution, with stride 2 and VALID padding, of 7×7 values.
func convGraph() *tflite.Graph {
	x, y, w, b := float("x", 1, 7, 7, 1), float("y", 1, 3, 3, 1), float("w", 1, 3, 3, 1), float("b", 1)
	w.SetFloats([]float32{0, 0, 0, 0, 1, 0, 0, 0, 0})
	b.SetFloats([]float32{100})
	return &tflite.Graph{
		Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{y},
		Ops: []*tflite.Op{{Code: schema.BuiltinOperatorCONV_2D, Version: 1,
			Inputs: []*tflite.Tensor{x, w, b}, Outputs: []*tflite.Tensor{y},
			Options: &schema.Conv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2, DilationHFactor: 1, DilationWFactor: 1}}},
	}
}

// Each of these ends the process if the C library sees it.
func TestRefused(t *testing.T) {
	int8s := func(t *tflite.Tensor, scale float32) {
		t.Type, t.Data = schema.TensorTypeINT8, nil
		t.Quant = &tflite.Quantization{Scale: []float32{scale}, Zero: []int64{0}}
	}
	for _, c := range []struct {
		name string
		g    *tflite.Graph
		edit func(op *tflite.Op)
		want string
	}{
		{"scale 0", reluGraph(), func(op *tflite.Op) { int8s(op.Inputs[0], 0) }, "scale"},
		{"scale -1", reluGraph(), func(op *tflite.Op) { int8s(op.Inputs[0], -1) }, "scale"},
		{"string", reluGraph(), func(op *tflite.Op) { op.Outputs[0].Type = schema.TensorTypeSTRING }, "numbers"},
		{"stride 0", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).StrideH = 0 }, "window"},
		{"stride huge", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).StrideW = 1 << 20 }, "window"},
		{"padding 7", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).Padding = 7 }, "padding 7"},
		{"no options", convGraph(), func(op *tflite.Op) { op.Options = nil }, "window"},
		{"pooling without options", convGraph(), func(op *tflite.Op) {
			op.Code, op.Options, op.Inputs = schema.BuiltinOperatorMAX_POOL_2D, nil, op.Inputs[:1]
		}, "window"},
		{"depthwise without bias", convGraph(), func(op *tflite.Op) {
			op.Code, op.Inputs = schema.BuiltinOperatorDEPTHWISE_CONV_2D, op.Inputs[:2]
			op.Options = &schema.DepthwiseConv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2,
				DepthMultiplier: 1, DilationHFactor: 1, DilationWFactor: 1}
		}, "bias"},
		{"input left out", reluGraph(), func(op *tflite.Op) { op.Inputs[1] = nil }, "input 1 is left out"},
		{"reshape of another type", reluGraph(), func(op *tflite.Op) {
			op.Code, op.Options, op.Inputs = schema.BuiltinOperatorRESHAPE, nil, op.Inputs[:1]
			op.Outputs[0].Type = schema.TensorTypeUINT8
		}, "it makes UINT8 of FLOAT32"},
		{"sum of too small a scale", reluGraph(), func(op *tflite.Op) {
			int8s(op.Inputs[0], 1)
			int8s(op.Outputs[0], 1e-9)
		}, "too small"},
		{"comparison of a large scale", reluGraph(), func(op *tflite.Op) {
			op.Code, op.Options = schema.BuiltinOperatorLESS, nil
			int8s(op.Inputs[0], 1.5)
		}, "not below 1"},
	} {
		c.edit(c.g.Ops[0])
		data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{c.g}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in, err := New(data, 1)
		if err == nil {
			in.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
	}
}

// What XNNPACK does not survive runs without it, to the same result.
func TestWithoutXNNPACK(t *testing.T) {
	x := make([]float32, 49)
	for i := range x {
		x[i] = float32(i)
	}
	want := []float32{108, 110, 112, 122, 124, 126, 136, 138, 140}
	good := open(t, convGraph())
	if good.xnnpack == nil {
		t.Error("XNNPACK is not used at all")
	}
	equal(t, run(t, good, x), want)

	dead := convGraph()
	nobody := float("nobody", 1, 3, 3, 1)
	dead.Ops = append(dead.Ops, &tflite.Op{Code: schema.BuiltinOperatorRELU, Version: 1,
		Inputs: dead.Outputs, Outputs: []*tflite.Tensor{nobody}})
	wrong := convGraph()
	wrong.Outputs[0].Shape = []int{1, 7, 7, 1}
	for _, g := range []*tflite.Graph{dead, wrong} {
		in := open(t, g)
		if in.xnnpack != nil {
			t.Error("XNNPACK is used where it cannot be")
		}
		equal(t, run(t, in, x), want)
	}
}
