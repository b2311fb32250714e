package dfq

import "math"

// RangeRule says how the range of an int8 activation is chosen. Answers, which
// need room, and constants have rules of their own.
type RangeRule int

const (
	// LeastError takes, of what is usual among the samples, the range of least
	// expected error. It measures best.
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
func (r RangeRule) choose(s *tensorStats) (lo, hi float64, rule string) {
	switch r {
	case MinMax:
		return s.lo, s.hi, "least and largest value"
	case SixDeviations:
		for _, m := range s.pre {
			lo, hi = math.Min(lo, m.mean-6*m.deviation()), math.Max(hi, m.mean+6*m.deviation())
		}
		return lo, hi, "mean ± 6 deviations"
	}
	lo, hi = s.usual()
	lo, hi = leastErrorRange(some(s.rows, rangeValues), lo, hi)
	return lo, hi, "least expected error"
}
