package stimulus

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestApproximations(t *testing.T) {
	for i := -4000; i <= 4000; i++ {
		x := float64(i) / 1000
		if d := math.Abs(sin(x) - math.Sin(2*math.Pi*x)); d > 0.0012 {
			t.Fatalf("sin(%v turns) is off by %v", x, d)
		}
		if d := math.Abs(exp2(x)/math.Exp2(x) - 1); d > 0.0003 {
			t.Fatalf("exp2(%v) is off by %v of its value", x, d)
		}
	}
}

func TestNormalMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, 200000)
	for i := range x {
		x[i] = normal(rng)
	}
	if m, d := meanDev(x); !(math.Abs(m) <= 0.01) || !(math.Abs(d-1) <= 0.01) {
		t.Errorf("mean %.3f, deviation %.3f, want 0 and 1", m, d)
	}
}

// The shares within 1 and 2 deviations are those of the normal distribution.
func TestBellQuantiles(t *testing.T) {
	for dev, share := range map[float64]float64{0: 0, 1: 0.6827, 2: 0.9545} {
		if got := bell((1 + share) / 2); !(math.Abs(got-dev) <= 0.01) {
			t.Errorf("bell at share %v is %.3f, want %v", share, got, dev)
		}
	}
}

// Any 32 samples in a row spread evenly: halves hold 16 ± 2, and pairs of
// dials do not move together.
func TestDialsSpreadEvenly(t *testing.T) {
	for start := uint64(0); start < 1000; start += 97 {
		var low [12]int
		for i := range uint64(32) {
			for k, u := range dialsAt(7, start+i) {
				if u < 0 || u >= 1 {
					t.Fatalf("dial %d is %v", k, u)
				}
				if u < 0.5 {
					low[k]++
				}
			}
		}
		for k, n := range low {
			if n < 13 || n > 19 {
				t.Errorf("dial %d: %d of 32 samples from %d are low", k, n, start)
			}
		}
	}
}

func TestTileIsStandardAndPeriodic(t *testing.T) {
	for _, keep := range []float64{0.7, 1} {
		mean, dev := 0.0, 0.0
		for seed := range uint64(20) {
			tile := newTile(64, keep, rand.New(rand.NewPCG(seed, 0)))
			m, d := meanDev(tile.at)
			mean, dev = mean+m/20, dev+d/20
			if a, b := tile.sample(3.25, -7.5), tile.sample(3.25+64, -7.5+128); a != b {
				t.Fatalf("values %v and %v one period apart", a, b)
			}
		}
		if !(math.Abs(mean) <= 0.2) || dev < 0.7 || dev > 1.2 {
			t.Errorf("keep %v: mean %.2f, deviation %.2f, want about 0 and 1", keep, mean, dev)
		}
	}
}
