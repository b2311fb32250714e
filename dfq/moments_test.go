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
			if math.Abs(m.mean-mean) > 1e-6 || math.Abs(m.deviation()/math.Sqrt(square/rows)-1) > 1e-6 {
				t.Errorf("offset %g, channel %d: mean %g, deviation %g, want %g, %g", offset, c, m.mean, m.deviation(), mean, math.Sqrt(square/rows))
			}
		}
	}
	if m := (moments{}).join(moments{}); m != (moments{}) {
		t.Errorf("nothing and nothing is %v", m)
	}
}

// Moments behind an activation are those of the values that it lets through.
func TestMomentsBehind(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, act := range []schema.ActivationFunctionType{schema.ActivationFunctionTypeNONE, schema.ActivationFunctionTypeRELU, schema.ActivationFunctionTypeRELU6, schema.ActivationFunctionTypeRELU_N1_TO_1} {
		v, through := make([]float32, 5*7), make([]float32, 5*7)
		lo, hi := tflite.Clamp(act)
		for i := range v {
			v[i] = float32(4 * r.NormFloat64())
			through[i] = float32(math.Max(lo, math.Min(hi, float64(v[i]))))
		}
		before := slices.Clone(v)
		if got, want := momentsBehind(v, 5, act), channelMoments(through, 5); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", act, got, want)
		}
		if !slices.Equal(v, before) {
			t.Errorf("%v: the values themselves were changed", act)
		}
	}
}
