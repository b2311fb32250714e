package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// moments are the statistics of one channel.
type moments struct {
	n            float64
	lo, hi       float64
	mean, square float64 // mean, and sum of squared distances from it
}

// deviation is the standard deviation.
func (m moments) deviation() float64 { return math.Sqrt(m.variance()) }

func (m moments) variance() float64 { return m.square / math.Max(m.n, 1) }

// join returns the moments of both sets of values together: the pairwise
// update of Chan, Golub and LeVeque (1979).
func (m moments) join(o moments) moments {
	if m.n == 0 {
		return o
	}
	if o.n == 0 {
		return m
	}
	n, d := m.n+o.n, o.mean-m.mean
	return moments{
		n:      n,
		lo:     math.Min(m.lo, o.lo),
		hi:     math.Max(m.hi, o.hi),
		mean:   m.mean + d*o.n/n,
		square: m.square + o.square + d*d*m.n*o.n/n,
	}
}

// channelMoments returns the moments of each channel of v, channels along the
// last axis.
func channelMoments(v []float32, channels int) []moments {
	return momentsBehind(v, channels, schema.ActivationFunctionTypeNONE)
}

// momentsBehind is channelMoments of v behind an activation.
func momentsBehind(v []float32, channels int, act schema.ActivationFunctionType) []moments {
	v = v[:len(v)/channels*channels]
	if len(v) == 0 {
		return make([]moments, channels)
	}
	some := make([]float32, 4*channels)
	t := newTally(behind(v[:channels], act, some))
	for len(v) > 0 {
		n := min(len(v), len(some))
		t.add(behind(v[:n], act, some))
		v = v[n:]
	}
	return t.moments()
}

// behind returns v, or a copy of it in dst that is cut by an activation.
func behind(v []float32, act schema.ActivationFunctionType, dst []float32) []float32 {
	if act == schema.ActivationFunctionTypeNONE {
		return v
	}
	dst = dst[:copy(dst, v)]
	cut(dst, act)
	return dst
}

// cut applies an activation to v in place.
func cut(v []float32, act schema.ActivationFunctionType) {
	if act == schema.ActivationFunctionTypeNONE {
		return
	}
	l, h := tflite.Clamp(act)
	lo, hi := float32(l), float32(h)
	for i, x := range v {
		v[i] = max(lo, min(hi, x)) // without branches, which nothing could foresee here
	}
}

// tally gathers the moments of channels. It sums in float64 around each channel's
// first value, so that a large mean costs no digits.
type tally struct {
	rows          int
	first, lo, hi []float32
	sum, square   []float64
}

func newTally(first []float32) *tally {
	n := len(first)
	return &tally{
		first: slices.Clone(first), lo: slices.Clone(first), hi: slices.Clone(first),
		sum: make([]float64, n), square: make([]float64, n),
	}
}

// add adds up to four rows of channels.
func (t *tally) add(v []float32) {
	n := len(t.first)
	t.rows += len(v) / n
	if len(v) == 4*n {
		t.addFour(v[:n], v[n:2*n], v[2*n:3*n], v[3*n:])
		return
	}
	for i, x := range v {
		c := i % n
		d := float64(x - t.first[c])
		t.sum[c] += d
		t.square[c] += float64(d * d)
		t.reach(c, x)
	}
}

// addFour is add for four rows, which reads and writes each sum but once.
func (t *tally) addFour(r0, r1, r2, r3 []float32) {
	r1, r2, r3 = r1[:len(r0)], r2[:len(r0)], r3[:len(r0)]
	first, lo, hi, sum, square := t.first[:len(r0)], t.lo[:len(r0)], t.hi[:len(r0)], t.sum[:len(r0)], t.square[:len(r0)]
	for c, x0 := range r0 {
		x1, x2, x3, f := r1[c], r2[c], r3[c], first[c]
		d0, d1, d2, d3 := float64(x0-f), float64(x1-f), float64(x2-f), float64(x3-f)
		sum[c] = sum[c] + d0 + d1 + d2 + d3
		square[c] = square[c] + float64(d0*d0) + float64(d1*d1) + float64(d2*d2) + float64(d3*d3)
		if l, h := lo[c], hi[c]; x0 < l || x1 < l || x2 < l || x3 < l || x0 > h || x1 > h || x2 > h || x3 > h { // rare
			for _, x := range [...]float32{x0, x1, x2, x3} {
				t.reach(c, x)
			}
		}
	}
}

// reach widens the bounds of channel c to x.
func (t *tally) reach(c int, x float32) {
	if x < t.lo[c] {
		t.lo[c] = x
	}
	if x > t.hi[c] {
		t.hi[c] = x
	}
}

func (t *tally) moments() []moments {
	out, n := make([]moments, len(t.first)), float64(t.rows)
	for c := range out {
		mean := t.sum[c] / n
		out[c] = moments{
			n: n, lo: float64(t.lo[c]), hi: float64(t.hi[c]),
			mean:   float64(t.first[c]) + mean,
			square: math.Max(0, t.square[c]-mean*t.sum[c]),
		}
	}
	return out
}

// bounds are the least and largest value of all channels.
func bounds(channels []moments) (lo, hi float64) {
	if len(channels) == 0 {
		return 0, 0
	}
	lo, hi = channels[0].lo, channels[0].hi
	for _, m := range channels {
		lo, hi = math.Min(lo, m.lo), math.Max(hi, m.hi)
	}
	return lo, hi
}
