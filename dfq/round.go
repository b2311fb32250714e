package dfq

import (
	"cmp"
	"math"
	"slices"

	"dfq/dfq/internal/affine"
)

// roundNearest rounds a filter to int8, every weight to its nearest integer.
func roundNearest(w []float32, l layout, scales []float32) []int8 {
	q := make([]int8, len(w))
	for i, x := range w {
		v := float64(x) / float64(scaleAt(scales, l.channel(i)))
		q[i] = int8(math.Max(-affine.QMaxWeight, math.Min(affine.QMaxWeight, math.Round(v))))
	}
	return q
}

// preserveSums changes a rounding to nearest so that the rounding errors of each
// kernel, and then of each output channel, sum to about 0: rounding then shifts
// no output by a constant part of its input. It needs no statistics.
//
// Source: Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal
// Hessian Approximation", ICLR 2022, its kernel-wise and channel-wise steps.
// What is flipped are the weights that were nearest to the other integer.
//
// kernels has the number of each element's kernel: the taps that one output
// channel has on one input channel; nil where each has one tap.
func preserveSums(nearest []int8, w []float32, l layout, scales []float32, kernels []int) []int8 {
	q := slices.Clone(nearest)
	e := make([]float64, len(w)) // q − w in steps
	byOutput := make([][]int, l.channels)
	for i, x := range w {
		o := l.channel(i)
		e[i] = float64(q[i]) - float64(x)/float64(scaleAt(scales, o))
		byOutput[o] = append(byOutput[o], i)
	}
	for _, elements := range byOutput {
		if kernels == nil {
			balance(q, e, elements)
			continue
		}
		members := map[int][]int{}
		var order []int
		for _, i := range elements {
			k := kernels[i]
			if members[k] == nil {
				order = append(order, k)
			}
			members[k] = append(members[k], i)
		}
		if len(order) < len(elements) {
			for _, k := range order {
				balance(q, e, members[k])
			}
		}
		if len(order) > 1 {
			balance(q, e, elements)
		}
	}
	return q
}

// balance flips the roundings among elements that cost least until their errors
// sum to within half a step. A weight is flipped once at most, and only towards
// its other neighbour.
func balance(q []int8, e []float64, elements []int) {
	sum := 0.0
	for _, i := range elements {
		sum += e[i]
	}
	flips := int(math.Round(math.Abs(sum)))
	if flips == 0 {
		return
	}
	sign := 1.0 // of the errors to flip
	if sum < 0 {
		sign = -1
	}
	var candidates []int
	for _, i := range elements {
		if e[i]*sign > 0 && math.Abs(e[i]) <= 0.5 && math.Abs(float64(q[i])-sign) <= affine.QMaxWeight {
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(a, b int) int { return cmp.Compare(math.Abs(e[b]), math.Abs(e[a])) })
	for _, i := range candidates[:min(flips, len(candidates))] {
		q[i] -= int8(sign)
		e[i] -= sign
	}
}
