package stimulus

import (
	"math"
	"math/rand/v2"
)

// grainSide is the side of the tile that textures are cut from.
const grainSide = 128

// tile is a square of fractal noise that repeats at its edges, with mean about
// 0 and deviation about 1. Its side is a power of two.
type tile struct {
	side int
	at   []float64
}

// newTile adds octaves of noise from 4 × 4 points up to side × side, each with
// keep times the deviation of the one before. keep = 1 gives every octave the
// same power, which is the 1/f² power spectrum of photographs (Field 1987);
// less is smoother.
func newTile(side int, keep float64, rng *rand.Rand) tile {
	t := tile{4, make([]float64, 16)}
	gain, power := 1.0, 1.0
	for i := range t.at {
		t.at[i] = normal(rng)
	}
	for t.side < side {
		t = t.double()
		gain = mul(gain, keep)
		power += mul(gain, gain)
		for i := range t.at {
			t.at[i] += mul(gain, normal(rng))
		}
	}
	// Interpolation averages neighbours and so loses about a third of the
	// deviation of every octave but the last.
	norm := 1.4 / math.Sqrt(power)
	for i := range t.at {
		t.at[i] = mul(t.at[i], norm)
	}
	return t
}

// double is the tile at twice the side, interpolated with weights 1/4, 3/4.
func (t tile) double() tile {
	n := 2 * t.side
	d := tile{n, make([]float64, n*n)}
	for y := range n {
		r0, r1 := (y/2)*t.side, ((y/2+(y&1)*2-1)&(t.side-1))*t.side
		for x := range n {
			x0, x1 := x/2, (x/2+(x&1)*2-1)&(t.side-1)
			d.at[y*n+x] = mix(mix(t.at[r1+x1], t.at[r1+x0], 0.75), mix(t.at[r0+x1], t.at[r0+x0], 0.75), 0.75)
		}
	}
	return d
}

// sample is the noise at a point in units of the grid, interpolated.
func (t tile) sample(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	m := t.side - 1
	x0, y0 := int(fx)&m, int(fy)&m
	x1, r0, r1 := (x0+1)&m, y0*t.side, ((y0+1)&m)*t.side
	x, y = x-fx, y-fy
	return mix(mix(t.at[r0+x0], t.at[r0+x1], x), mix(t.at[r1+x0], t.at[r1+x1], x), y)
}
