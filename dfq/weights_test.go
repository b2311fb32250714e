package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// A weight connects the channels that eachWeight says: with all others 0 and c + 1
// in all of input channel c, the evaluator's outputs are 0 but for one channel, and
// that one shows the number of the other.
func TestEachWeightConnects(t *testing.T) {
	grouped := func(b *Builder, x *tflite.Tensor) *tflite.Tensor { // 3 groups of 2 channels
		w := b.Filter("grouped_weights", 4, 0, 6, 2, 2, 2)
		o := &schema.Conv2DOptionsT{StrideW: 1, StrideH: 1, DilationWFactor: 1, DilationHFactor: 1}
		return b.Op("grouped", schema.BuiltinOperatorCONV_2D, o, []int{1, 4, 4, 6}, x, w, b.Random(0, 1, 6))
	}
	for name, layer := range map[string]Layer{
		"convolution": Conv(3, 2),
		"grouped":     grouped,
		"depthwise":   Depthwise(2),
		"multiplier":  Depthwise(2, Multiplier(3)),
		"transposed":  deconv(5),
		"dense":       Sequence(Reshape(1, 96), Dense(3)),
		"axes":        Dense(3), // reads height, width and channels at once
	} {
		t.Run(name, func(t *testing.T) {
			m := Chain(Input(1, 4, 4, 6), layer)
			ops := m.Graphs[0].Ops
			op := ops[len(ops)-1]
			f := spec(op).filter
			w, channels := op.Inputs[f.weights], channelCount(op.Inputs[f.input])
			if f.bias < len(op.Inputs) && op.Inputs[f.bias] != nil {
				op.Inputs[f.bias].SetFloats(make([]float32, op.Inputs[f.bias].Len()))
			}
			in := make([]float32, m.Graphs[0].Inputs[0].Len())
			for i := range in {
				in[i] = float32(i%channels + 1)
			}
			seen := 0
			for i, at := range eachWeight(op, f) {
				if i != seen {
					t.Fatalf("element %d came in place of %d", i, seen)
				}
				seen++
				values := make([]float32, w.Len())
				values[i] = 1
				w.SetFloats(values)
				out, err := mustOpen(t, evaluate, m)([][]float32{in})
				if err != nil {
					t.Fatal(err)
				}
				largest := make([]float32, channelCount(op.Outputs[0]))
				for k, x := range out[0] {
					largest[k%len(largest)] = max(largest[k%len(largest)], x)
				}
				for o, x := range largest {
					want := float32(0)
					if o == at.out {
						want = float32(at.in + 1)
					}
					if x != want {
						t.Fatalf("weight %d, said to lead from channel %d to %d, brings %g to channel %d", i, at.in, at.out, x, o)
					}
				}
			}
			if seen != w.Len() {
				t.Errorf("%d of %d weights", seen, w.Len())
			}
		})
	}
}

// Weights lie on their grid where rounding moves none by more than floats err, whether
// each output has a scale or all have one.
func TestExact(t *testing.T) {
	lay := layout{channels: 2, inner: 2} // [output][2]
	for _, scales := range [][]float32{{0.013}, {0.013, 7}} {
		for _, test := range []struct {
			off  float64 // of one weight, in steps
			want bool
		}{{0, true}, {1e-6, true}, {-1e-3, false}, {0.5, false}} {
			w, q := make([]float32, 4), []int8{127, -3, 0, 64}
			for i, x := range q {
				w[i] = scales[min(i/2, len(scales)-1)] * float32(x)
			}
			w[3] += float32(test.off) * scales[len(scales)-1]
			if got := exact(q, w, lay, scales); got != test.want {
				t.Errorf("scales %v, a weight %g steps off: %v", scales, test.off, got)
			}
		}
	}
}
