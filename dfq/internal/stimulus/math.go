package stimulus

import (
	"math"
	"math/rand/v2"
)

// mul is a product rounded to float64. The conversion forbids the fused
// multiply-add that some architectures would use, with other last bits.
func mul(a, b float64) float64 { return float64(a * b) }

// mix goes from a to b as t goes from 0 to 1.
func mix(a, b, t float64) float64 { return a + mul(b-a, t) }

// clamp limits x to [0, 1].
func clamp(x float64) float64 { return min(max(x, 0), 1) }

// sin is the sine of a number of full turns, to 0.001: Bhaskara's parabola
// with one correction. Exactness is no aim here, equal bits everywhere are.
func sin(turns float64) float64 {
	turns = float64(turns)               // rounded, where a caller gives a product and this is inlined
	t := turns - math.Floor(turns) - 0.5 // sin(2πturns) = -sin(2πt)
	y := mul(8*t, 1-mul(2, math.Abs(t)))
	return -y - mul(0.225, mul(y, math.Abs(y))-y)
}

func cos(turns float64) float64 { return sin(float64(turns) + 0.25) }

// exp2 is 2 to the power x, to 0.0002, for |x| < 1000.
func exp2(x float64) float64 {
	n := math.Floor(x)
	f := x - n
	p := 1 + mul(f, 0.695556856+mul(f, 0.226173572+mul(f, 0.078145582)))
	return math.Ldexp(p, int(n))
}

// normal is a standard normal number, cut at 3.5 deviations: the sum of four
// uniform ones out of a single draw.
func normal(rng *rand.Rand) float64 {
	u := rng.Uint64()
	s := int(u&0xffff) + int(u>>16&0xffff) + int(u>>32&0xffff) + int(u>>48)
	return float64(s-131070) / 37837.2 // 65536·sqrt(4/12)
}

// between is uniform on [a, b).
func between(rng *rand.Rand, a, b float64) float64 { return mix(a, b, rng.Float64()) }

// chance is true with probability p.
func chance(rng *rand.Rand, p float64) bool { return rng.Float64() < p }

// dials are the properties of a whole sample, each uniform on [0, 1).
type dials [12]float64

// dialsAt sets the dials of sample index. Each dial walks through [0, 1) by an
// irrational step, so that few samples already spread evenly over brightness,
// contrast, colour and clutter: a low-discrepancy sequence, whose averages
// scatter far less than those of independent draws.
func dialsAt(seed, index uint64) dials {
	var d dials
	rng := rand.New(rand.NewPCG(seed, 0xd1a1))
	for i := range d {
		offset, step := rng.Uint64(), steps[i]
		d[i] = float64((offset+(index+1)*step)>>11) / (1 << 53)
	}
	return d
}

// steps are the fractional parts of the square roots of the first primes.
var steps = func() (s dials64) {
	for i, p := range [...]float64{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37} {
		r := math.Sqrt(p)
		s[i] = uint64(mul(r-math.Floor(r), 1<<53)) << 11
	}
	return s
}()

type dials64 [12]uint64

// bell turns a uniform number into about a normal one, cut at 2.36 deviations:
// the rational form meets the normal quantiles at 1 and 2.
func bell(u float64) float64 {
	v := 2*u - 1
	return mul(v, math.Sqrt(1.868/(1.3366-mul(v, v))))
}
