package dfq

import (
	"math"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// biasShift is what an input that is always its mean shows: the filter with
// rounded weights, less the filter with real ones.
func TestBiasShift(t *testing.T) {
	layers := map[string]Layer{
		"conv":             Conv(6, 3, Valid),
		"depthwise":        Depthwise(3, Valid),
		"depth multiplier": Depthwise(3, Valid, Multiplier(3)),
		"dense":            Dense(5),
		"transposed": func(b *Builder, x *tflite.Tensor) *tflite.Tensor { // without overlap: each output lies under one tap of four
			return b.Op("up", schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2}, []int{1, 12, 12, 6},
				b.Ints([]int{4}, 1, 12, 12, 6), b.Random(0, 0.3, 6, 2, 2, 4), x)
		},
	}
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) {
			m := Chain(Input(1, 6, 6, 4), layer)
			j := jobAfter(t, m, stated(), "quantize weights")
			op := j.graph.Ops[0]
			f := spec(op).filter
			w, input := op.Inputs[f.weights], j.stats[op.Inputs[f.input]].channels
			got := biasShift(op, f, j.weights[w], input)

			real := j.model.Clone()
			rounded := j.model.Clone()
			c := rounded.Graphs[0].Ops[0].Inputs[f.weights]
			lay, q, v := layoutOf(w, f.out), j.weights[w], w.Floats()
			for i := range v {
				v[i] = w.Quant.Scale[min(lay.channel(i), len(w.Quant.Scale)-1)] * float32(q[i])
			}
			c.SetFloats(v)
			for _, m := range []*tflite.Model{real, rounded} {
				for _, x := range m.Graphs[0].Tensors() {
					x.Quant = nil
				}
			}
			in := make([]float32, 6*6*4)
			for i := range in {
				in[i] = float32(input[i%4].mean)
			}
			a, err := mustOpen(t, evaluate, real)([][]float32{in})
			if err != nil {
				t.Fatal(err)
			}
			b, err := mustOpen(t, evaluate, rounded)([][]float32{in})
			if err != nil {
				t.Fatal(err)
			}
			largest := 0.0
			places := float64(len(a[0]) / len(got))
			for o := range got {
				want := 0.0
				for i := o; i < len(a[0]); i += len(got) {
					want += (float64(b[0][i]) - float64(a[0][i])) / places
				}
				largest = math.Max(largest, math.Abs(want))
				if !(math.Abs(got[o]-want) <= 1e-5) {
					t.Errorf("output %d: shift %g, want %g", o, got[o], want)
				}
			}
			if largest < 1e-6 {
				t.Error("rounding shifts nothing: what is tested?")
			}
		})
	}
}

// A bias is rounded to its scale, halves away from zero, and stays within
// int32.
func TestQuantizeBias(t *testing.T) {
	got := quantizeBias([]float32{1, -0.25, 1e30, -1e30, 0.5}, []float32{0.5, 0.5, 1e-9, 1e-9, 1})
	for i, want := range []int32{2, -1, math.MaxInt32, -math.MaxInt32, 1} {
		if got[i] != want {
			t.Errorf("bias %d is %d, want %d", i, got[i], want)
		}
	}
	if got := quantizeBias([]float32{3, -3}, []float32{1.5}); got[0] != 2 || got[1] != -2 {
		t.Errorf("one scale for all: %v", got)
	}
}
