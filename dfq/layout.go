package dfq

import (
	"iter"
	"math"

	"dfq/schema"
	"dfq/tflite"
)

// layout says where the channels of an axis run in a constant: element i belongs to
// channel i / inner % channels.
type layout struct{ channels, inner int }

func layoutOf(w *tflite.Tensor, axis int) layout {
	return layout{channels: w.Shape[axis], inner: elements(w.Shape[axis+1:])}
}

// elements is how many values a shape holds.
func elements(shape []int) int {
	n := 1
	for _, size := range shape {
		n *= size
	}
	return n
}

type number interface {
	int | int8 | int16 | int32 | int64 | float32 | float64
}

// cast changes the type of numbers.
func cast[To, From number](v []From) []To {
	out := make([]To, len(v))
	for i, x := range v {
		out[i] = To(x)
	}
	return out
}

func (l layout) channel(i int) int { return i / l.inner % l.channels }

// weightAt says which channels a weight connects.
type weightAt struct{ in, out int }

// eachWeight goes over a filter's weights as they are stored. It and what it returns are
// small enough to be inlined, so that a weight costs no call.
func eachWeight(op *tflite.Op, f *filter) iter.Seq2[int, weightAt] { return rowsOf(op, f).each() }

// weightRows are a filter's weights as rows along their last axis, which is that of the
// input channels, or of a depthwise filter that of the outputs.
type weightRows struct {
	rows, taps int // how many rows, of which so many in succession have the same outputs
	next, step int // by how much the output goes up from these to the next, and within a row
	outputs    int
	in         [][]int // by group of outputs: the channels that a row reads
}

func rowsOf(op *tflite.Op, f *filter) *weightRows {
	w, channels := op.Inputs[f.weights], channelCount(op.Inputs[f.input])
	r := &weightRows{outputs: w.Shape[f.out]}
	if w.Len() == 0 {
		return r
	}
	if f.in < 0 {
		r.rows = w.Len() / r.outputs
		r.taps, r.step = r.rows, 1
		in := make([]int, r.outputs)
		for o := range in {
			in[o] = o * channels / r.outputs // depth multiplier: output o reads o / multiplier
		}
		r.in = [][]int{in}
		return r
	}
	reads := w.Shape[f.in]
	r.rows = w.Len() / reads
	r.taps, r.next = r.rows/r.outputs, 1
	for g := range max(1, channels/reads) { // groups of a convolution
		in := make([]int, reads)
		for c := range in {
			in[c] = g*reads + c%channels // a dense layer may read several axes at once
		}
		r.in = append(r.in, in)
	}
	return r
}

func (r *weightRows) each() iter.Seq2[int, weightAt] {
	return func(yield func(int, weightAt) bool) {
		i := 0
		for row := range r.rows {
			o := row / r.taps * r.next
			for k, c := range r.in[o*len(r.in)/r.outputs] {
				if !yield(i, weightAt{in: c, out: o + k*r.step}) {
					return
				}
				i++
			}
		}
	}
}

// scaleAt is the scale of an output channel's weights: there is one for each, or one for all.
func scaleAt(scales []float32, channel int) float32 { return scales[min(channel, len(scales)-1)] }

// channelMax returns the largest magnitude of each output channel.
func channelMax(w []float32, l layout) []float64 {
	bound := make([]float64, l.channels)
	for c := 0; len(w) > 0; c = (c + 1) % l.channels {
		for _, x := range w[:l.inner] {
			bound[c] = max(bound[c], math.Abs(float64(x)))
		}
		w = w[l.inner:]
	}
	return bound
}

// tapShare is the share of a filter's taps under which an output lies, in the mean over
// its positions: all, but of a TRANSPOSE_CONV one in each stride.
func tapShare(op *tflite.Op) float64 {
	if o, ok := op.Options.(*schema.TransposeConvOptionsT); ok {
		return 1 / (float64(o.StrideH) * float64(o.StrideW))
	}
	return 1
}
