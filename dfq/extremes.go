package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// extremes are the least and largest value of each channel in each sample.
type extremes struct {
	lows, highs []float32 // [sample][channel]
}

func (e *extremes) add(channels []moments) {
	for _, m := range channels {
		e.lows, e.highs = append(e.lows, float32(m.lo)), append(e.highs, float32(m.hi))
	}
}

// apply maps the values of each of n channels, in order: f rises.
func (e *extremes) apply(n int, f func(c int, x float64) float64) {
	for i := range e.lows {
		e.lows[i], e.highs[i] = float32(f(i%n, float64(e.lows[i]))), float32(f(i%n, float64(e.highs[i])))
	}
}

// bySample is the range of each sample over its n channels.
func (e *extremes) bySample(n int) []Range {
	var out []Range
	for i := 0; i < len(e.lows); i += n {
		out = append(out, Range{float64(slices.Min(e.lows[i : i+n])), float64(slices.Max(e.highs[i : i+n]))})
	}
	return out
}

// usual is the range of a tensor over all samples but outliers: a made-up input
// now and then drives a network where no real one does, and its extremes, many
// times those of all others, would cost every other value its precision. A real
// input may be one as well. With few samples it is the range of all, and with few
// positions in each nearly so: see farthestOfFew; of given samples, which may show rarely
// what the network looks for, it is the range of all there.
func (s *tensorStats) usual() Range {
	if s.kept != nil {
		return *s.kept
	}
	n := len(s.channels)
	if n == 0 || len(s.seen.lows) < fewSamples*n {
		return s.Range
	}
	largest, samples := largestUsual, len(s.seen.lows)/n
	if s.channels[0].n < float64(fewPositions*samples) {
		if samples < oneIn || s.given {
			return s.Range
		}
		largest = farthestOfFew
	}
	var lows, highs []float64
	for _, r := range s.seen.bySample(n) {
		lows, highs = append(lows, -r.Lo), append(highs, r.Hi)
	}
	if s.kinds {
		return Range{-atLeastMost(lows, largest), atLeastMost(highs, largest)}
	}
	return Range{-largest(lows), largest(highs)}
}

// atLeastMost is largest, or what all but one in mostOneIn reach. It sorts v.
func atLeastMost(v []float64, largest func([]float64) float64) float64 {
	return math.Max(largest(v), v[len(v)-1-len(v)/mostOneIn])
}

const mostOneIn = 50

// fewSamples are too few to tell an outlier.
const fewSamples = 8

// largestUsual is the largest of v that is no outlier: above the upper quartile
// by no more than 1.5 times the distance between the quartiles, the inner fence
// of Tukey (Exploratory Data Analysis, 1977), or by no larger factor than the one
// between the quartiles: where these are 1 : 2 or 1 : 3, as in deep layers that
// answer to some samples only, differences are the wrong measure. It sorts v.
func largestUsual(v []float64) float64 {
	slices.Sort(v)
	lower, upper := v[len(v)/4], v[len(v)*3/4]
	fence := upper + float64(1.5*(upper-lower))
	if lower > 0 {
		fence = math.Max(fence, upper*upper/lower)
	}
	return largestWithin(v, fence)
}

// farthestOfFew is largestUsual for a tensor of few positions. What a sample has there
// are means or answers, and its extremes are what it is, not what is rare in it. So one
// sample in a hundred is left out at most, where it goes half as far again as all others:
// of many made-up inputs the farthest would say by itself how wide the range is. It
// sorts v.
func farthestOfFew(v []float64) float64 {
	slices.Sort(v)
	others := v[len(v)-1-len(v)/oneIn]
	if others <= 0 {
		return v[len(v)-1]
	}
	return largestWithin(v, 1.5*others)
}

const oneIn = 100

// largestWithin is the largest of v, which is sorted, up to the fence.
func largestWithin(v []float64, fence float64) float64 {
	largest := math.Inf(-1)
	for _, x := range v {
		if x <= fence {
			largest = x
		}
	}
	return largest
}

// usualStep is that of an activation's usual range.
func (j *job) usualStep(t *tflite.Tensor) float64 {
	r := j.stats[t].usual()
	if j.grid() == affine.Int16 {
		r = j.stats[t].rangeInt16()
	}
	return float64(j.grid().Params(r.Lo, r.Hi).Scale)
}
