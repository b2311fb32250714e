package dfq

import (
	"iter"

	"dfq/dfq/internal/gemm"
	"dfq/tflite"
)

// filterInput is some of what a filter reads: one row for each of some places, values of
// the real domain, the samples in order.
type filterInput struct {
	rows  []float32 // [row][width]
	width int
	// channels is 0 where every output reads whole rows; of a depthwise filter, whose
	// rows are [tap][channel], the number of channels.
	channels int
}

// filterInputOf returns what op's filter reads, if that was kept.
func (j *job) filterInputOf(op *tflite.Op, f *filter) (filterInput, bool) {
	in, w := op.Inputs[f.input], op.Inputs[f.weights]
	channels, outputs := channelCount(in), w.Shape[f.out]
	k := w.Len() / outputs
	patches := j.patches[op]
	_, spatial := windowOf(op)
	switch {
	case f == depthwise && len(patches) > 0:
		return filterInput{patches, k * channels, channels}, true
	case f != depthwise && k > largestPatch:
		return filterInput{}, false
	case f == conv && len(patches) > 0 && k == w.Shape[1]*w.Shape[2]*channels:
		return filterInput{rows: patches, width: k}, true
	case (f == conv || f == dense) && !spatial && k == channels && len(j.stats[in].rows) > 0:
		return filterInput{rows: j.stats[in].rows, width: k}, true
	}
	return filterInput{}, false
}

// holdBack holds the rows of the last samples back from the others: a quarter.
func (s filterInput) holdBack() (fit, held filterInput) {
	at := len(s.rows) / s.width * 3 / 4 * s.width
	fit, held = s, s
	fit.rows, held.rows = s.rows[:at], s.rows[at:]
	return fit, held
}

// descend improves a rounding q of weights w by what the filter reads.
func (s filterInput) descend(w []float32, q []int8, scales []float32) {
	for p := range s.parts(w, q, scales) {
		descend(p.w, p.q, p.scales, secondMoments(p.rows, p.k), p.k)
	}
}

// squaredError is what a rounding adds to the outputs, squared and summed over them.
func (s filterInput) squaredError(w []float32, q []int8, scales []float32) float64 {
	sum := 0.0
	for p := range s.parts(w, q, scales) {
		sum += p.squaredError()
	}
	return sum
}

// filterPart is a filter whose outputs all read whole rows of k values, and its rounding.
type filterPart struct {
	rows, w []float32 // [row][k], [output][k]
	q       []int8
	scales  []float32 // one for each output, or one for all
	k       int
}

// parts yields a filter whose outputs all read whole rows. A depthwise one, whose w is
// [tap][output], it cuts into one such filter for each input channel, [output][tap], and
// what that reads. Changes to q are kept.
func (s filterInput) parts(w []float32, q []int8, scales []float32) iter.Seq[filterPart] {
	return func(yield func(filterPart) bool) {
		if s.channels == 0 {
			yield(filterPart{s.rows, w, q, scales, s.width})
			return
		}
		taps := s.width / s.channels
		outputs := len(w) / taps
		each := outputs / s.channels // depth multiplier
		p := filterPart{make([]float32, len(s.rows)/s.channels), make([]float32, each*taps), make([]int8, each*taps), scales, taps}
		for c := range s.channels {
			for i := range p.rows {
				p.rows[i] = s.rows[i*s.channels+c]
			}
			for m := range each {
				for t := range taps {
					p.w[m*taps+t], p.q[m*taps+t] = w[t*outputs+c*each+m], q[t*outputs+c*each+m]
				}
			}
			if len(scales) > 1 {
				p.scales = scales[c*each:][:each]
			}
			if !yield(p) {
				return
			}
			for m := range each {
				for t := range taps {
					q[t*outputs+c*each+m] = p.q[m*taps+t]
				}
			}
		}
	}
}

// squaredError is the expected square of (s·q − w)·x over the rows x, all but
// keepMean of its squared mean left out, summed over outputs.
// Products are rounded before they are summed, on every processor.
func (p filterPart) squaredError() float64 {
	outputs, n := len(p.w)/p.k, len(p.rows)/p.k
	e := make([]float32, len(p.w))
	for i, x := range p.w {
		e[i] = float32(scaleAt(p.scales, i/p.k)*float32(p.q[i])) - x
	}
	y := matrixProduct(e, columnsOf(gemm.Panel{Data: p.rows, Stride: p.k}, n, p.k), outputs, n, p.k)
	total := 0.0
	for o := range outputs {
		sum, square := 0.0, 0.0
		for _, v := range y[o*n:][:n] {
			sum += float64(v)
			square += float64(float64(v) * float64(v))
		}
		total += (square - float64((1-keepMean)*sum*sum)/float64(n)) / float64(n)
	}
	return total
}

// matrixProduct is a (m×k) times b (k×n), some rows of a at a time.
func matrixProduct(a, b []float32, m, n, k int) []float32 {
	const rows = 64
	c := make([]float32, m*n)
	eachInParallel((m+rows-1)/rows, 0, func(p int) {
		i := p * rows
		gemm.AddProduct(gemm.Panel{Data: c[i*n:], Stride: n}, gemm.Panel{Data: a[i*k:], Stride: k}, gemm.Panel{Data: b, Stride: n}, min(rows, m-i), n, k)
	})
	return c
}

// columnsOf returns the columns of a (rows×columns) as rows.
func columnsOf(a gemm.Panel, rows, columns int) []float32 {
	out := make([]float32, rows*columns)
	for i := range rows {
		for j, x := range a.Data[i*a.Stride:][:columns] {
			out[j*rows+i] = x
		}
	}
	return out
}
