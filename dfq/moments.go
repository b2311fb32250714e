package dfq

import (
	"math"

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
	lo, hi := channelBounds(v, channels)
	return withBounds(lo, hi, channelMeans(v, channels))
}

// withBounds gives moments, of some of the values, the bounds of all.
func withBounds(lo, hi []float32, m []moments) []moments {
	for c := range m {
		m[c].lo, m[c].hi = float64(lo[c]), float64(hi[c])
	}
	return m
}

// channelMeans is channelMoments without bounds. It sums in float64 around each
// channel's first value, so that a large mean costs no digits.
func channelMeans(v []float32, channels int) []moments {
	out, rows := make([]moments, channels), len(v)/channels
	if rows == 0 {
		return out
	}
	first, sum, square := v[:channels], make([]float64, channels), make([]float64, channels)
	for r := range rows {
		row := v[r*channels:][:channels]
		first, sum, square := first[:len(row)], sum[:len(row)], square[:len(row)] // so that the compiler sees that c is within
		for c, x := range row {
			d := float64(x - first[c])
			sum[c] += d
			square[c] += float64(d * d)
		}
	}
	for c := range out {
		mean := sum[c] / float64(rows)
		out[c] = moments{
			n:      float64(rows),
			mean:   float64(first[c]) + mean,
			square: math.Max(0, square[c]-float64(mean*sum[c])),
		}
	}
	return out
}

// channelBounds returns the least and the largest value of each channel of v, NaN where
// there is one; 0 where there is no value. All values that a model computes pass here.
func channelBounds(v []float32, channels int) (lo, hi []float32) {
	lo, hi = make([]float32, channels), make([]float32, channels)
	if len(v) < channels {
		return lo, hi
	}
	least, most := make([]int32, channels), make([]int32, channels)
	for c, x := range v[:channels] {
		least[c], most[c] = orderOf(x), orderOf(x)
	}
	for len(v) >= 4*channels {
		widen(least, most, v[:channels], v[channels:], v[2*channels:], v[3*channels:])
		v = v[4*channels:]
	}
	for ; len(v) >= channels; v = v[channels:] {
		widen(least, most, v[:channels], v, v, v)
	}
	for c := range lo {
		lo[c], hi[c] = valueOf(least[c]), valueOf(most[c])
	}
	return lo, hi
}

// widen widens bounds to four rows at once, so that each bound is read and written but
// once for them.
func widen(least, most []int32, r0, r1, r2, r3 []float32) {
	n := len(r0) // here the compiler sees that every c is within all
	least, most, r1, r2, r3 = least[:n], most[:n], r1[:n], r2[:n], r3[:n]
	for c, x := range r0 {
		i0, i1, i2, i3 := orderOf(x), orderOf(r1[c]), orderOf(r2[c]), orderOf(r3[c])
		least[c] = min(least[c], min(min(i0, i1), min(i2, i3)))
		most[c] = max(most[c], max(max(i0, i1), max(i2, i3)))
	}
}

// orderOf maps floats to integers of the same order, whose least and largest need no
// branches. Those of NaN are beyond those of all numbers.
func orderOf(x float32) int32 {
	i := int32(math.Float32bits(x))
	return i ^ int32(uint32(i>>31)>>1)
}

// valueOf is the float that has an order.
func valueOf(i int32) float32 { return math.Float32frombits(uint32(i ^ int32(uint32(i>>31)>>1))) }

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

// bounds is the range of all channels.
func bounds(channels []moments) Range {
	if len(channels) == 0 {
		return Range{}
	}
	r := Range{channels[0].lo, channels[0].hi}
	for _, m := range channels {
		r = r.hull(Range{m.lo, m.hi})
	}
	return r
}
