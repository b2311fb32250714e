package dfq

import (
	"math"

	"gonum.org/v1/gonum/blas/blas32"

	"dfq/dfq/internal/affine"
	"dfq/dfq/internal/gemm"
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
		e[i] = float32(q[i]) - x/scaleAt(scales, i/k)
	}
	// g = H·e for every output at once.
	g := matrixProduct(e, h, outputs, k, k)
	eachInParallel(outputs, 0, func(o int) {
		at := o * k
		descendOne(q[at:at+k], e[at:at+k], g[at:at+k], h, k)
	})
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
		// d is 1 or -1: no product here is rounded, fused or not.
		blas32.Axpy(d, blas32.Vector{N: k, Data: h[i*k : i*k+k], Inc: 1}, blas32.Vector{N: k, Data: g, Inc: 1})
	}
	for range descentSweeps {
		flipped := false
		for i := range k {
			d := flip(i)
			if d == 0 {
				continue
			}
			gain := float32(2*d*g[i]) + h[i*k+i]
			if gain < 0 {
				apply(i, d)
				flipped = true
				continue
			}
			for m := 0; k <= fewTaps && m < i; m++ {
				if b := flip(m); b != 0 && gain+float32(2*b*g[m])+h[m*k+m]+float32(2*d*b*h[i*k+m]) < 0 {
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
	eachInParallel((k+panelRows-1)/panelRows, 4*n*panelRows, func(p int) { // H is symmetric: on and above its diagonal, in panels of rows
		i := p * panelRows
		values := gemm.Panel{Data: centred[i:], Stride: k}
		shares := columnsOf(values, n, min(panelRows, k-i))
		for at := range shares {
			shares[at] *= 1 / float32(n)
		}
		gemm.AddProduct(gemm.Panel{Data: h[i*k+i:], Stride: k}, gemm.Panel{Data: shares, Stride: n}, values, min(panelRows, k-i), k-i, n)
	})
	for i := range k {
		for m := range i {
			h[i*k+m] = h[m*k+i]
		}
	}
	own := make([]float32, k) // H's diagonal
	for i := range own {
		own[i] = h[i*k+i]
	}
	for i := range own {
		row, one := h[i*k:i*k+k], oneValue*own[i]
		for m, x := range row {
			if x*x < one*own[m] {
				row[m] = x * (1 - shrink)
			}
		}
	}
	return h
}

const (
	panelRows = 128 // rows of H that are worked out at once

	// keepMean is how much of the squared mean stays in H, although the bias
	// correction takes the mean error out: made-up means are not quite right.
	keepMean = 0.25
	// shrink is taken off what is off H's diagonal. On rows held out, filters of 100
	// and more inputs gain most near a half, those of fewer lose little by it.
	shrink = 0.5
	// oneValue is the squared correlation from which on two inputs are one, see "double
	// channels": nothing is taken off.
	oneValue = 0.9999
)
