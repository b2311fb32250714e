package stimulus

import (
	"math"
	"math/rand/v2"
)

// inked is the share of images of one channel that show writing: digits and letters are most
// of what such images are, and no photograph has strokes of full contrast on plain paper.
const inked = 0.5

// ink makes an image of written signs, one or a row or some rows of them, light on dark.
func ink(h, w int, rng *rand.Rand) []float64 {
	cover := make([]float64, h*w)
	high := mul(float64(h), between(rng, 0.5, 1))
	if chance(rng, 0.5) && w < 2*h {
		high = mul(high, between(rng, 0.3, 1))
	}
	high = max(min(high, float64(h)), 6)
	pen := max(1.2, mul(high, between(rng, 0.05, 0.15)))
	wide := mul(high, between(rng, 0.5, 0.9))
	rows, columns := max(1, int(float64(h)/high)), max(1, int(float64(w)/mul(1.1, wide)))
	top, left := mul(0.5, float64(h)-mul(high, float64(rows))), mul(0.5, float64(w)-mul(mul(1.1, wide), float64(columns)))
	for r := range rows {
		for c := range columns {
			if chance(rng, 0.1) {
				continue // a blank
			}
			x, y := left+mul(mul(1.1, wide), float64(c)), top+mul(high, float64(r))
			for range 1 + rng.IntN(3) {
				stroke(cover, h, w, x, y, wide, high, pen, rng)
			}
		}
	}
	ground, line := 0.0, 1.0
	if chance(rng, 0.3) {
		ground, line = between(rng, 0, 0.3), between(rng, 0.6, 1)
	}
	for p, k := range cover {
		cover[p] = mix(ground, line, k)
	}
	return cover
}

// stroke draws a line that bends, within a box at (x, y), with a round pen: dots, a third of its radius
// or a pixel apart.
func stroke(cover []float64, h, w int, x, y, wide, high, pen float64, rng *rand.Rand) {
	half := mul(0.5, pen)
	step := max(1, half/3)
	px, py := between(rng, half, wide-half), between(rng, half, high-half)
	turn, bend := rng.Float64(), 0.0
	if chance(rng, 0.7) {
		bend = mul(0.4, normal(rng)) / high // turns per pixel
	}
	for range int(mul(high, between(rng, 0.5, 1.8)) / step) {
		if px < half || px > wide-half || py < half || py > high-half {
			turn += 0.25 // back from the edge, around a corner
			px, py = max(half, min(px, wide-half)), max(half, min(py, high-half))
		}
		spot(cover, h, w, x+px, y+py, half)
		px, py, turn = px+mul(step, cos(turn)), py+mul(step, sin(turn)), turn+mul(step, bend)
	}
}

// spot is a dot of ink of radius r.
func spot(cover []float64, h, w int, cx, cy, r float64) {
	for y := max(0, int(cy-r-1)); y < min(h, int(cy+r)+2); y++ {
		for x := max(0, int(cx-r-1)); x < min(w, int(cx+r)+2); x++ {
			dx, dy := float64(x)+0.5-cx, float64(y)+0.5-cy
			p := y*w + x
			cover[p] = max(cover[p], clamp(r-math.Sqrt(mul(dx, dx)+mul(dy, dy))+0.5))
		}
	}
}
