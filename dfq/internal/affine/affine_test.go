package affine

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantizeInvertsDequantize(t *testing.T) {
	for _, p := range []Params{{1, 0}, {0.5847029, 83}, {6.0 / 255, -128}, {1e-6, 127}} {
		for q := QMin; q <= QMax; q++ {
			if got := p.Quantize(p.Dequantize(int8(q))); got != int8(q) {
				t.Fatalf("%v: %d came back as %d", p, q, got)
			}
		}
	}
}

func TestAsymmetricHoldsRangeWithinHalfAStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		lo, hi := rng.NormFloat64()*math.Exp(4*rng.NormFloat64()), rng.NormFloat64()*math.Exp(4*rng.NormFloat64())
		if lo > hi {
			lo, hi = hi, lo
		}
		p := Asymmetric(lo, hi)
		if got := p.Dequantize(int8(p.Zero)); got != 0 {
			t.Fatalf("[%g, %g]: zero point stands for %g", lo, hi, got)
		}
		// The zero point is rounded, so the ends may move by half a step, and a
		// value rounds by another half.
		for _, x := range []float64{math.Min(lo, 0), math.Max(hi, 0), (lo + hi) / 2} {
			if e := math.Abs(float64(p.Dequantize(p.Quantize(float32(x)))) - x); e > 1.01*float64(p.Scale) {
				t.Fatalf("[%g, %g]: %g is off by %g steps", lo, hi, x, e/float64(p.Scale))
			}
		}
	}
}

func TestDegenerateRangesGetUsableScales(t *testing.T) {
	for _, s := range []float32{Asymmetric(0, 0).Scale, Asymmetric(-1e-40, 1e-40).Scale, Symmetric(0), Symmetric(1e-40)} {
		if !(s > 1.2e-38) || math.IsInf(float64(s), 0) {
			t.Errorf("scale %g is not a positive normal number", s)
		}
	}
}
