package dfq

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// tensorStats are the statistics of a tensor over all samples, real domain: bounds of
// all values, means and deviations of momentRows rows of each sample, of all of a
// graph input. Channels are as channelCount has them, side by side in a row.
type tensorStats struct {
	Range              // over everything
	channels []moments // one per channel
	rows     []float32 // some positions' channels, from all samples: what the distribution is like
	pre      []moments // of the value before the fused activation; nil where there is none
	early    []moments // of channels, over the first half of the samples: whether the others agree
	seen     extremes  // of each sample
	given    bool      // samples are real ones: none of them drives the network where no real one does
	kinds    bool      // given samples are of features: those of a rare kind, such as silence among words, count
	kept     *Range    // "fill ranges": the usual range, if it no longer follows from seen
	uncut    []float64 // see uncut; nil: not counted so far
}

// finite reports whether every value was a number. Comparisons pass over NaN, so
// the means are asked too.
func (s *tensorStats) finite() bool {
	for _, ms := range [][]moments{s.channels, s.pre} {
		for _, m := range ms {
			if x := m.mean + m.lo + m.hi; math.IsNaN(x) || math.IsInf(x, 0) {
				return false
			}
		}
	}
	return true
}

func newTensorStats(channels int, splits bool) *tensorStats {
	s := &tensorStats{channels: make([]moments, channels)}
	if splits {
		s.pre = make([]moments, channels)
	}
	return s
}

// preActivation are the moments of the value before the fused activation, if there is one.
func (s *tensorStats) preActivation() []moments {
	if s.pre == nil {
		return s.channels
	}
	return s.pre
}

// join adds one of n samples.
func (s *tensorStats) join(values, pre []moments, rows []float32, n int) {
	if s.rows == nil {
		s.rows = make([]float32, 0, n*len(rows))
	}
	if len(s.seen.lows) == n/2*len(s.channels) {
		s.early = slices.Clone(s.channels)
	}
	s.rows = append(s.rows, rows...)
	s.seen.add(values)
	for c, m := range values {
		s.channels[c] = s.channels[c].join(m)
	}
	for c, m := range pre {
		s.pre[c] = s.pre[c].join(m)
	}
}

// change maps the moments of each channel, also those before the activation.
func (s *tensorStats) change(f func(c int, m moments) moments) {
	for _, set := range [][]moments{s.channels, s.pre, s.early} {
		for c, m := range set {
			set[c] = f(c, m)
		}
	}
	s.Range = bounds(s.channels)
}

func (s *tensorStats) clone() *tensorStats {
	c := *s
	c.channels, c.pre, c.early, c.rows = slices.Clone(s.channels), slices.Clone(s.pre), slices.Clone(s.early), slices.Clone(s.rows)
	c.seen = extremes{slices.Clone(s.seen.lows), slices.Clone(s.seen.highs)}
	return &c
}

// share is, per channel, how many of some values meet a condition.
func (s *tensorStats) share(meets func(x float64) bool) []float64 {
	n := len(s.channels)
	out := make([]float64, n)
	one := float64(n) / float64(len(s.rows))
	for at := 0; at < len(s.rows); at += n {
		for c, x := range s.rows[at : at+n] {
			if meets(float64(x)) {
				out[c] += one
			}
		}
	}
	return out
}

const (
	// momentRows is how many rows of a sample say its mean and deviation, which more
	// say no better: rows of an image are alike, and samples are not.
	momentRows = 256

	rowValues = 1 << 15 // values of a tensor that are kept, over all samples
	leastRows = 512     // rows at least where a filter of one tap reads them
)

// someRows copies rows of v from random places, about n values in all and at least one
// row.
func someRows(v []float32, channels, n int, random *rand.PCG) []float32 {
	at := places(len(v)/channels, max(1, n/channels), random)
	out := make([]float32, 0, len(at)*channels)
	for _, r := range at {
		out = append(out, v[r*channels:][:channels]...)
	}
	return out
}

// places are n of the numbers below all, or all of them: one anywhere in each of n equal
// parts. Places at equal distances would lie in one column of an image as wide as that.
func places(all, n int, random *rand.PCG) []int {
	at := make([]int, min(n, all))
	for k := range at {
		at[k] = k
		if n < all {
			in, _ := bits.Mul64(random.Uint64(), uint64(all)) // the part that it lies in has a width of all
			at[k] = int((uint64(k)*uint64(all) + in) / uint64(n))
		}
	}
	return at
}
