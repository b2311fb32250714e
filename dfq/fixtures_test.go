package dfq

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// halfFloats is a convolution and a dense layer whose weights are stored as
// float16 behind DEQUANTIZE, the convolution's for both of its readers.
func halfFloats() *tflite.Model {
	b := New(1)
	stored := b.Tensor("w16", schema.TensorTypeFLOAT16, 2, 1, 1, 2)
	stored.Data = float16s(1, -0.5, 0, 65504)
	w := b.Op("w", schema.BuiltinOperatorDEQUANTIZE, nil, []int{2, 1, 1, 2}, stored)
	o := &schema.Conv2DOptionsT{Padding: schema.PaddingSAME, StrideW: 1, StrideH: 1, DilationWFactor: 1, DilationHFactor: 1}
	x := b.Input(1, 2, 2, 2)
	y := b.Op("y", schema.BuiltinOperatorCONV_2D, o, []int{1, 2, 2, 2}, x, w, b.Floats([]int{2}, 1, 2))
	z := b.Op("z", schema.BuiltinOperatorCONV_2D, o, []int{1, 2, 2, 2}, y, w)
	return b.Model(z)
}

// quantizedSQNR is how close m quantized with opts comes to m on samples, in dB, by its first output.
func quantizedSQNR(t *testing.T, m *tflite.Model, opts Options, open Interpreter, samples [][][]float32) float64 {
	t.Helper()
	q, _ := quantize(t, m, &opts)
	return sqnrOf(t, m, q, open, samples)
}

// sqnrOf is how close q comes to m on samples, in dB, by its first output.
func sqnrOf(t *testing.T, m, q *tflite.Model, open Interpreter, samples [][][]float32) float64 {
	t.Helper()
	d, err := Compare(m, q, open, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Outputs[0].SQNR
}

// float16s encodes numbers that float16 can hold exactly and that are normal,
// or zero.
func float16s(values ...float64) []byte {
	var data []byte
	for _, x := range values {
		h := uint16(0)
		if x != 0 {
			fraction, exponent := math.Frexp(math.Abs(x))
			h = uint16(exponent+14)<<10 | uint16(fraction*2048)&1023
		}
		if x < 0 {
			h |= 1 << 15
		}
		data = binary.LittleEndian.AppendUint16(data, h)
	}
	return data
}

// hybrid is a dense layer whose weights are int8, per channel, between float
// tensors.
func hybrid() *tflite.Model {
	b := New(1)
	x := b.Input(1, 3)
	w := b.Tensor("w", schema.TensorTypeINT8, 2, 3)
	w.SetInt8s([]int8{1, 2, -3, 100, 0, -127})
	w.Quant = &tflite.Quantization{Scale: []float32{0.5, 0.25}, Zero: []int64{0, 0}, Axis: 0}
	y := b.Op("y", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, 2}, x, w)
	b.Graph.Ops[0].Version = 3
	return b.Model(y)
}

// jobAfter runs the passes up to and with the named one.
func jobAfter(t testing.TB, m *tflite.Model, opts *Options, last string) *job {
	t.Helper()
	j, err := newJob(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(Passes(), last) {
		t.Fatalf("there is no pass %q", last)
	}
	if err := j.run(last); err != nil {
		t.Fatal(err)
	}
	return j
}
