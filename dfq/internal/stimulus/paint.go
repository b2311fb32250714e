package stimulus

import (
	"math"
)

// Patterns of a paint.
const (
	plain = iota
	stripes
	checks
	dots
	rings
	zebra // wavy stripes
	spots
	patterns
)

// paint is the texture of a leaf: two colours and a pattern that mixes them,
// shading, and grain of 1/f noise, drawn out like fur or wood at times.
type paint struct {
	base, other    rgb
	pattern        int
	fx, fy         float64 // direction of the pattern, in cycles per pixel
	sx, sy         float64 // shading across the leaf
	ball           float64 // shading towards its rim
	grain          float64 // deviation of the noise
	gx, gy, hx, hy float64 // pixels to points of the noise tile
	ox, oy         float64 // where on the tile
}

func (s *scene) newPaint(r float64) paint {
	rng := s.tint
	p := paint{base: s.colour(), other: s.colour()}
	if chance(rng, 0.25) {
		p.pattern = 1 + rng.IntN(patterns-1)
	}
	turn, period := rng.Float64(), max(3, mul(r, between(rng, 0.1, 0.8)))
	p.fx, p.fy = cos(turn)/period, sin(turn)/period
	p.other = p.base.mix(p.other, mul(0.8, rng.Float64()))
	p.sx, p.sy = mul(0.1, normal(rng)), mul(0.1, normal(rng))
	if chance(rng, 0.5) {
		p.ball = mul(0.25, rng.Float64())
	}
	p.grain = mul(0.44, mul(rng.Float64(), rng.Float64()))
	turn = rng.Float64()
	zoom := exp2(between(rng, -1, 1))
	stretch := exp2(mul(3, mul(rng.Float64(), rng.Float64())))
	p.gx, p.gy = mul(zoom, cos(turn)), mul(zoom, sin(turn))
	p.hx, p.hy = -p.gy/stretch, p.gx/stretch
	p.ox, p.oy = between(rng, 0, grainSide), between(rng, 0, grainSide)
	return p
}

// colour is one of the palette's, with a brightness of its own.
func (s *scene) colour() rgb {
	rng := s.tint
	c := s.palette[rng.IntN(len(s.palette))]
	c.lum += mul(0.2, normal(rng))
	c.rg += mul(0.02, normal(rng))
	c.by += mul(0.04, normal(rng))
	return c
}

// resemble takes over what q looks like, brighter by lum. The pattern keeps
// its own scale.
func (p *paint) resemble(q *paint, lum float64) {
	own, other := mul(p.fx, p.fx)+mul(p.fy, p.fy), mul(q.fx, q.fx)+mul(q.fy, q.fy)
	scale := math.Sqrt(own / other)
	ox, oy, sx, sy, ball := p.ox, p.oy, p.sx, p.sy, p.ball
	*p = *q
	p.fx, p.fy = mul(scale, q.fx), mul(scale, q.fy)
	p.ox, p.oy, p.sx, p.sy, p.ball = ox, oy, sx, sy, ball
	p.base.lum += lum
	p.other.lum += lum
}

// at is the colour at the local point (u, v), dx, dy pixels from the centre.
func (p *paint) at(s *scene, u, v, dx, dy float64) rgb {
	n := 0.0
	if p.grain > 0.004 || p.pattern >= zebra { // a step of 8 bits
		n = s.noise.sample(mul(p.gx, dx)+mul(p.gy, dy)+p.ox, mul(p.hx, dx)+mul(p.hy, dy)+p.oy)
	}
	c := p.base
	if p.pattern != plain {
		a, b := mul(p.fx, dx)+mul(p.fy, dy), mul(p.fx, dy)-mul(p.fy, dx)
		c = c.mix(p.other, clamp(0.5+mul(1.5, p.value(a, b, u, v, n))))
	}
	c.lum += mul(p.grain, n) + mul(p.sx, u) + mul(p.sy, v)
	if p.ball != 0 {
		c.lum -= mul(p.ball, mul(u, u)+mul(v, v))
	}
	return c
}

// value of the pattern, about -1 … 1: (a, b) are periods along and across it,
// n is the noise.
func (p *paint) value(a, b, u, v, n float64) float64 {
	switch p.pattern {
	case stripes:
		return sin(a)
	case checks:
		return 2 * mul(sin(a), sin(b))
	case dots:
		return sin(a) + sin(b) - 0.8
	case rings:
		return sin(mul(3, math.Sqrt(mul(u, u)+mul(v, v))))
	case zebra:
		return sin(a + mul(0.2, n))
	}
	return n - 0.3 // spots
}
