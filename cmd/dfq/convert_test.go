package main

import (
	"math"
	"testing"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	build "dfq/tflite/tflitetest"
)

// TestIntegerOps: ops on shapes are told from those on real and on quantized numbers.
func TestIntegerOps(t *testing.T) {
	b := build.New(1)
	x := b.Input(1, 2)
	shape, sum := b.Tensor("shape", schema.TensorTypeINT32, 2), b.Tensor("sum", schema.TensorTypeINT32, 2)
	b.Add(schema.BuiltinOperatorSHAPE, nil, []*tflite.Tensor{x}, shape)
	b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, []*tflite.Tensor{shape, shape}, sum)
	y := b.Op("y", schema.BuiltinOperatorRESHAPE, nil, []int{1, 2}, x, sum)
	g := b.Model(y).Graphs[0]
	if got, want := integerOps(g), ", 1 on integers such as shapes and indices"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	for _, t := range []*tflite.Tensor{x, y} {
		t.Type, t.Quant = schema.TensorTypeINT8, &tflite.Quantization{Scale: []float32{1}, Zero: []int64{0}}
	}
	if got, want := integerOps(g), ", 1 on integers such as shapes and indices"; got != want {
		t.Errorf("quantized: %q, not %q", got, want)
	}
	g.Ops = g.Ops[:1]
	if got := integerOps(g); got != "" {
		t.Errorf("of SHAPE alone: %q", got)
	}
}

func TestNamesOfRanges(t *testing.T) {
	for want, e := range map[string]dfq.Encoding{
		"[0, 1]":          {Name: "[-0, 1]", Lo: []float64{math.Copysign(0, -1)}, Hi: []float64{1}},
		"[-136.6, 30.86]": {Name: "[-136.55880090912137, 30.860040260666402]", Lo: []float64{-136.55880090912137}, Hi: []float64{30.860040260666402}},
		"ImageNet":        {Name: "ImageNet", Lo: []float64{-2}, Hi: []float64{2}},
	} {
		if got := encodingName(e); got != want {
			t.Errorf("%q is written as %q, not %q", e.Name, got, want)
		}
	}
}
