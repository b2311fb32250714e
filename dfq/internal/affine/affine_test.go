package affine

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantizeInvertsDequantize(t *testing.T) {
	for _, p := range []Params{{1, 0}, {0.5847029, 83}, {6.0 / 255, -128}, {1e-6, 127}} {
		for q := Int8.Min; q <= Int8.Max; q++ {
			if got := Int8.Quantize(p, p.Dequantize(q)); got != q {
				t.Fatalf("%v: %d came back as %d", p, q, got)
			}
		}
	}
}

func TestParamsHoldRangeWithinHalfAStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		g := []Grid{Int8, Int16}[i%2]
		lo, hi := rng.NormFloat64()*math.Exp(4*rng.NormFloat64()), rng.NormFloat64()*math.Exp(4*rng.NormFloat64())
		if lo > hi {
			lo, hi = hi, lo
		}
		p := g.Params(lo, hi)
		if got := p.Dequantize(p.Zero); got != 0 || g.Symmetric && p.Zero != 0 {
			t.Fatalf("[%g, %g]: zero point %d stands for %g", lo, hi, p.Zero, got)
		}
		// The zero point is rounded, so the ends may move by half a step, and a
		// value rounds by another half.
		for _, x := range []float64{math.Min(lo, 0), math.Max(hi, 0), (lo + hi) / 2} {
			if e := math.Abs(float64(p.Dequantize(g.Quantize(p, float32(x)))) - x); e > 1.01*float64(p.Scale) {
				t.Fatalf("[%g, %g]: %g is off by %g steps", lo, hi, x, e/float64(p.Scale))
			}
		}
	}
}

func TestDegenerateRangesGetUsableScales(t *testing.T) {
	for _, s := range []float32{Int8.Params(0, 0).Scale, Int8.Params(-1e-40, 1e-40).Scale, Int16.Params(0, 0).Scale, Int16.Params(-1e-40, 1e-40).Scale, Symmetric(0), Symmetric(1e-40)} {
		if !(s > 1.2e-38) || math.IsInf(float64(s), 0) {
			t.Errorf("scale %g is not a positive normal number", s)
		}
	}
}
