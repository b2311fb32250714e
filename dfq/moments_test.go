package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// Moments of parts, joined, are those of the whole, for means far larger than
// the deviation as well.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, offset := range []float64{0, 1000, -1e5} {
		const channels, rows = 3, 400
		v := make([]float32, channels*rows)
		for i := range v {
			v[i] = float32(offset*float64(i%channels) + r.NormFloat64())
		}
		var joined [channels]moments
		for at := 0; at < rows; {
			n := min(1+r.IntN(90), rows-at)
			for c, m := range channelMoments(v[at*channels:(at+n)*channels], channels) {
				joined[c] = joined[c].join(m)
			}
			at += n
		}
		for c, m := range joined {
			lo, hi, sum := math.Inf(1), math.Inf(-1), 0.0
			for i := c; i < len(v); i += channels {
				x := float64(v[i])
				lo, hi, sum = math.Min(lo, x), math.Max(hi, x), sum+x
			}
			mean, square := sum/rows, 0.0
			for i := c; i < len(v); i += channels {
				square += (float64(v[i]) - mean) * (float64(v[i]) - mean)
			}
			if m.n != rows || m.lo != lo || m.hi != hi {
				t.Errorf("offset %g, channel %d: %d values from %g to %g, want %g to %g", offset, c, int(m.n), m.lo, m.hi, lo, hi)
			}
			if !(math.Abs(m.mean-mean) <= 1e-6 && math.Abs(m.deviation()/math.Sqrt(square/rows)-1) <= 1e-6) {
				t.Errorf("offset %g, channel %d: mean %g, deviation %g, want %g, %g", offset, c, m.mean, m.deviation(), mean, math.Sqrt(square/rows))
			}
		}
	}
	if m := (moments{}).join(moments{}); m != (moments{}) {
		t.Errorf("nothing and nothing is %v", m)
	}
}

// The integers of floats have the order of the floats, with what is not a number at the
// ends.
func TestOrderOf(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	sorted := []float32{-nan, -inf, -math.MaxFloat32, -1.5, -1, -math.SmallestNonzeroFloat32, 0, math.SmallestNonzeroFloat32, 1, 1.5, math.MaxFloat32, inf, nan}
	for i, x := range sorted {
		if back := valueOf(orderOf(x)); math.Float32bits(back) != math.Float32bits(x) {
			t.Errorf("%g is %g when it comes back", x, back)
		}
		if i > 0 && orderOf(sorted[i-1]) >= orderOf(x) {
			t.Errorf("%g is not below %g", sorted[i-1], x)
		}
	}
}

// What is gathered of a sample are the bounds of all its values and the moments of
// some rows of them, before the activation and behind it.
func TestGather(t *testing.T) {
	const channels, rows = 3, 40 * 40
	r := rand.New(rand.NewPCG(2, 2))
	for _, act := range []schema.ActivationFunctionType{schema.ActivationFunctionTypeNONE, schema.ActivationFunctionTypeRELU, schema.ActivationFunctionTypeRELU6, schema.ActivationFunctionTypeRELU_N1_TO_1} {
		tensor := &tflite.Tensor{Shape: []int{1, 40, 40, channels}}
		v := make([]float32, rows*channels)
		for i := range v {
			v[i] = float32(float64(1+i%channels) * r.NormFloat64())
		}
		v[777], v[1001] = 14, -15 // one each, wherever the rows lie
		before := slices.Clone(v)
		g := gatherer{observed: []observation{{tensor, tensor, act}}, n: 1}
		s := g.gather(0, [][]float32{v})
		if !slices.Equal(v, before) {
			t.Errorf("%v: the values themselves were changed", act)
		}
		lo, hi := tflite.Clamp(act)
		through := slices.Clone(v)
		for i, x := range v {
			through[i] = float32(math.Max(lo, math.Min(hi, float64(x))))
		}
		if act == schema.ActivationFunctionTypeNONE && s.pre[0] != nil {
			t.Errorf("%v: has moments of its own before the activation", act)
		}
		for name, of := range map[string]struct {
			got []moments
			all []float32
		}{"before": {s.pre[0], v}, "behind": {s.values[0], through}} {
			for c, want := range channelMoments(of.all, channels) {
				if len(of.got) == 0 {
					continue
				}
				m := of.got[c]
				if m.lo != want.lo || m.hi != want.hi {
					t.Errorf("%s %v, channel %d: from %g to %g, want %g to %g", name, act, c, m.lo, m.hi, want.lo, want.hi)
				}
				if m.n != momentRows || !(math.Abs(m.mean-want.mean) <= 0.2*want.deviation()) || !(math.Abs(m.deviation()/want.deviation()-1) <= 0.3) {
					t.Errorf("%s %v, channel %d: %+v, all: %+v", name, act, c, m, want)
				}
			}
		}
		v[4000] = float32(math.NaN())
		s = g.gather(0, [][]float32{v})
		if m := s.values[0][4000%channels]; !math.IsNaN(m.lo + m.hi) {
			t.Errorf("%v: not a number among them, and the bounds are %g and %g", act, m.lo, m.hi)
		}
	}
}
