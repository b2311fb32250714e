package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// best ends a graph with the index of the largest channel.
func best(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	n := len(x.Shape) - 1
	y := b.Tensor("best", schema.TensorTypeINT32, x.Shape[:n]...)
	b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(x, b.Ints(nil, n)), y)
	return y
}

// int64s makes 64 bits of integers.
func int64s(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := b.Tensor("wide", schema.TensorTypeINT64, x.Shape...)
	b.Add(schema.BuiltinOperatorCAST, &schema.CastOptionsT{InDataType: schema.TensorTypeINT32, OutDataType: schema.TensorTypeINT64}, list(x), y)
	return y
}

// unknown is a custom op.
func unknown(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := b.Op("unknown", schema.BuiltinOperatorCUSTOM, nil, x.Shape, x)
	b.Graph.Ops[len(b.Graph.Ops)-1].Custom = "Unknown"
	return y
}

// A graph is made INT8 alike whether its last values are its outputs or are read by what
// cannot be followed: indices of them, or custom ops. And it is proved alike.
func TestAnswersThatAreNotSeen(t *testing.T) {
	body := Sequence(Conv(8, 1, ReLU), spread(), Depthwise(3, ReLU), spread(), Conv(8, 3, ReLU), spread(), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	for _, perTensor := range []bool{false, true} {
		after := func(end Layer) (weights [][]float32, r *Report, room int) {
			m := ChainSeed(1, Input(1, 16, 16, 3), body, end)
			opts := &Options{PerTensor: perTensor, AllowFloat: true, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}}
			j := jobAfter(t, m, opts, "measure room")
			for _, op := range j.graph.Ops {
				if f := spec(op).filter; f != nil {
					weights = append(weights, op.Inputs[f.weights].Floats())
				}
			}
			return weights, j.report, len(j.room)
		}
		want, report, rooms := after(Identity())
		if len(report.Equalized) == 0 {
			t.Fatal("nothing was scaled: what is tested?")
		}
		for name, end := range map[string]Layer{
			"indices": best, "indices, 64 bits": Sequence(best, int64s), "a custom op": unknown, "two custom ops": Sequence(unknown, unknown),
		} {
			got, r, room := after(end)
			if !slices.EqualFunc(want, got, slices.Equal) {
				t.Errorf("%s, per-tensor %v: weights are scaled otherwise", name, perTensor)
			}
			if len(r.Equalized) != len(report.Equalized) || len(r.Doubled) != len(report.Doubled) || room < rooms {
				t.Errorf("%s, per-tensor %v: %d blocks, %d layers with copies, room for %d tensors, without %d, %d and %d", name, perTensor,
					len(r.Equalized), len(r.Doubled), room, len(report.Equalized), len(report.Doubled), rooms)
			}
			if !slices.Equal(r.FloatSQNR, report.FloatSQNR) {
				t.Errorf("%s, per-tensor %v: proved to %v dB, without to %v", name, perTensor, r.FloatSQNR, report.FloatSQNR)
			}
		}
	}
}

// What only asks for a shape sees no values.
func TestLastSeen(t *testing.T) {
	b := New(1)
	x := Conv(4, 3)(b, b.Input(1, 8, 8, 3))
	y := Conv(4, 3)(b, x)
	shape := b.Tensor("shape", schema.TensorTypeINT32, 4)
	b.Add(schema.BuiltinOperatorSHAPE, &schema.ShapeOptionsT{OutType: schema.TensorTypeINT32}, list(x), shape)
	j := jobAfter(t, b.Model(best(b, y), shape), stated(), "estimate")
	if seen := j.lastSeen(); len(seen) != 1 || seen[0].Name != y.Name {
		t.Errorf("%d tensors are last seen, want %q alone", len(seen), y.Name)
	}
}
