package dfq

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// descend improves a rounding by what is known of the filter's input: it flips
// weights to their other neighbour while that lowers the expected squared error
// of the output, eᵀ·H·e for each output channel, e the rounding errors and H the
// second moments of the patch the filter sees. Errors that the input's
// correlations cancel cost nothing; rounding to nearest knows nothing of that.
//
// w and q are [outputs][K], scales one per output or one for all; h is K × K.
// The idea is that of AdaRound (Nagel et al., ICML 2020) and of second-order
// pruning before it; the search is plain coordinate descent.
func descend(w []float32, q []int8, scales []float32, h []float32, k int) {
	outputs := len(w) / k
	e := make([]float32, len(w)) // in steps
	for i, x := range w {
		e[i] = float32(q[i]) - x/scales[min(i/k, len(scales)-1)]
	}
	// g = H·e for every output at once.
	g := make([]float32, len(w))
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1,
		blas32.General{Rows: outputs, Cols: k, Stride: k, Data: e},
		blas32.General{Rows: k, Cols: k, Stride: k, Data: h}, 0,
		blas32.General{Rows: outputs, Cols: k, Stride: k, Data: g})
	for o := range outputs {
		at := o * k
		descendOne(q[at:at+k], e[at:at+k], g[at:at+k], h, k)
	}
}

// descendOp improves the rounding of one op's weights where it is known what
// they see.
func (j *job) descendOp(op *tflite.Op, f *filter, w []float32, q []int8, scales []float32) {
	in, shape := op.Inputs[f.input], op.Inputs[f.weights].Shape
	channels, outputs := channelCount(in), shape[f.out]
	patches := j.patches[op]
	k := len(w) / outputs
	if f != depthwise && k > largestPatch {
		return // H would have k² entries
	}
	switch {
	case f == depthwise && len(patches) > 0:
		descendDepthwise(w, q, scales, patches, channels, outputs)
	case f == conv && len(patches) > 0 && k == shape[1]*shape[2]*channels:
		descend(w, q, scales, secondMoments(patches, k), k)
	case (f == conv || f == dense) && k == channels:
		descend(w, q, scales, secondMoments(j.stats[in].rows, k), k)
	}
}

// descendDepthwise is descend for a depthwise filter, w [tap][output]: each
// output has its own small H over the taps of one input channel. Patches are
// [patch][tap][channel].
func descendDepthwise(w []float32, q []int8, scales []float32, patches []float32, channels, outputs int) {
	taps := len(w) / outputs
	n := len(patches) / (taps * channels)
	rows, tw, tq := make([]float32, n*taps), make([]float32, taps), make([]int8, taps)
	var h []float32
	for o := range outputs {
		c := o * channels / outputs
		if c*outputs == o*channels { // the first output of its channel
			for i := range rows {
				rows[i] = patches[i*channels+c]
			}
			h = secondMoments(rows, taps)
		}
		for t := range taps {
			tw[t], tq[t] = w[t*outputs+o], q[t*outputs+o]
		}
		descend(tw, tq, scales[min(o, len(scales)-1):][:1], h, taps)
		for t := range taps {
			q[t*outputs+o] = tq[t]
		}
	}
}

// descendOne flips weights of one output, one at a time and, where they are
// few, two at a time, while that helps.
func descendOne(q []int8, e, g, h []float32, k int) {
	flip := func(i int) float32 { // what flipping would add to e_i; 0: not allowed
		d := float32(1)
		if e[i] > 0 {
			d = -1
		}
		if math.Abs(float64(e[i])) > 1 || math.Abs(float64(q[i])+float64(d)) > affine.QMaxWeight {
			return 0
		}
		return d
	}
	apply := func(i int, d float32) {
		q[i] += int8(d)
		e[i] += d
		blas32.Axpy(d, blas32.Vector{N: k, Data: h[i*k : i*k+k], Inc: 1}, blas32.Vector{N: k, Data: g, Inc: 1})
	}
	for range descentSweeps {
		flipped := false
		for i := range k {
			d := flip(i)
			if d == 0 {
				continue
			}
			gain := 2*d*g[i] + h[i*k+i]
			if gain < 0 {
				apply(i, d)
				flipped = true
				continue
			}
			for m := 0; k <= fewTaps && m < i; m++ {
				if b := flip(m); b != 0 && gain+2*b*g[m]+h[m*k+m]+2*d*b*h[i*k+m] < 0 {
					apply(i, d)
					apply(m, b)
					flipped = true
					break
				}
			}
		}
		if !flipped {
			return
		}
	}
}

const fewTaps = 25

// largestPatch bounds the memory that H takes, and the time to walk it.
const largestPatch = 4608

const descentSweeps = 4

// secondMoments returns H = Cov + keepMean·μμᵀ of rows of k values, shrunk
// towards its diagonal, since there are about as many rows as values and they
// are made up.
func secondMoments(rows []float32, k int) []float32 {
	n := len(rows) / k
	mean := make([]float64, k)
	for i, x := range rows {
		mean[i%k] += float64(x) / float64(n)
	}
	centred := make([]float32, len(rows))
	keep := 1 - math.Sqrt(keepMean)
	for i, x := range rows {
		centred[i] = x - float32(keep*mean[i%k])
	}
	h := make([]float32, k*k)
	c := blas32.General{Rows: n, Cols: k, Stride: k, Data: centred}
	blas32.Gemm(blas.Trans, blas.NoTrans, 1/float32(n), c, c, 0, blas32.General{Rows: k, Cols: k, Stride: k, Data: h})
	for i := range h {
		if i%(k+1) != 0 {
			h[i] *= 1 - shrink
		}
	}
	return h
}

const (
	// keepMean is how much of the squared mean stays in H, although the bias
	// correction takes the mean error out: made-up means are not quite right.
	keepMean = 0.25
	shrink   = 0.1 // of what is off H's diagonal
)
