package dfq

import (
	"math"
	"slices"
)

// RangeRule says how the range of an int8 activation is chosen. Answers, which
// need room, and constants have rules of their own.
type RangeRule int

const (
	// LeastError takes, of what is usual among the samples, the range of least
	// expected error. It measures best. Where the model answers with maps or boxes,
	// MinMax is taken if the samples lose clearly less by it.
	LeastError RangeRule = iota
	// MinMax takes the least and largest value of all samples.
	MinMax
	// SixDeviations takes β ± 6γ over channels: mean and deviation before the fused
	// activation, which then cuts it, in place of a batch norm's shift and scale
	// (the paper's section 5).
	SixDeviations
)

// choose returns the range of a tensor before its fused activation cuts it, and
// the rule's name for the report.
func (r RangeRule) choose(s *tensorStats) chosenRange {
	switch r {
	case MinMax:
		return chosenRange{s.Range, "least and largest value"}
	case SixDeviations:
		lo, hi := 0.0, 0.0
		for _, m := range s.preActivation() {
			far := float64(6 * m.deviation())
			lo, hi = math.Min(lo, m.mean-far), math.Max(hi, m.mean+far)
		}
		return chosenRange{Range{lo, hi}, "mean ± 6 deviations"}
	}
	return chosenRange{leastErrorRange(some(s.rows, len(s.channels), rangeValues), s.usual()), "least expected error"}
}

// rangeValues are enough to choose a range from.
const rangeValues = 1 << 15

// some picks about n of v, evenly, at a stride that has no factor in common with the
// number of channels, so that it meets every channel.
func some(v []float32, channels, n int) []float32 {
	stride := max(1, len(v)/n)
	for gcd(stride, channels) > 1 {
		stride++
	}
	out := make([]float32, 0, len(v)/stride+1)
	for i := 0; i < len(v); i += stride {
		out = append(out, v[i])
	}
	return out
}

// gcd is the greatest common divisor.
func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// leastErrorRange is the part of a range, cut by an eighth at most on
// either side, at which int8 has the least expected squared error on the given
// values: what clipping loses against what a smaller step gains. It is cut no
// further since made-up inputs show too little of what is rare and matters.
func leastErrorRange(values []float32, r Range) Range {
	v := slices.Clone(values)
	slices.Sort(v)
	n := len(v)
	// Prefix sums of x and x² give the error of clipping at any bound.
	sum, square := make([]float64, n+1), make([]float64, n+1)
	for i, x := range v {
		sum[i+1] = sum[i] + float64(x)
		square[i+1] = square[i] + float64(float64(x)*float64(x))
	}
	cost := func(r Range) float64 {
		lo, hi := r.Lo, r.Hi
		step := (math.Max(hi, 0) - math.Min(lo, 0)) / 255
		a, _ := slices.BinarySearch(v, float32(lo))
		b, _ := slices.BinarySearch(v, float32(hi))
		below := square[a] - float64(2*lo*sum[a]) + float64(float64(a)*lo*lo)
		above := square[n] - square[b] - float64(2*hi*(sum[n]-sum[b])) + float64(float64(n-b)*hi*hi)
		return below + above + float64(b-a)*step*step/12
	}
	best, least := r, cost(r)
	for i := 28; i <= 32; i++ {
		for k := 28; k <= 32; k++ {
			part := Range{r.Lo * float64(i) / 32, r.Hi * float64(k) / 32}
			if c := cost(part); c < least {
				best, least = part, c
			}
		}
	}
	return best
}
