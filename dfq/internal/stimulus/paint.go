package stimulus

import "math"

// Patterns of a paint.
const (
	plain = iota
	stripes
	checks
	dots
	rings
	zebra
	spots
	patterns
)

// paint is the texture of a leaf: two colours and a pattern that mixes them,
// shading, and grain of 1/f noise.
type paint struct {
	base, other    rgb
	kind           int
	scale          float64 // of the pattern, in pixels
	fx, fy         float64 // direction of the pattern, cycles a pixel
	sx, sy         float64 // shading across the leaf
	ball           float64 // shading towards the rim
	grain          float64
	gx, gy, hx, hy float64 // pixels to the noise tile
	ox, oy         float64
	ground         bool
}

func (s *scene) colour() rgb {
	rng := s.rng
	c := s.pal[rng.IntN(len(s.pal))]
	c.lum += mul(0.2, normal(rng))
	c.rg += mul(0.02, normal(rng))
	c.by += mul(0.04, normal(rng))
	return c
}

func (s *scene) newPaint(r float64) paint {
	rng := s.rng
	p := paint{base: s.colour(), other: s.colour(), scale: r}
	if chance(rng, 0.4) {
		p.kind = 1 + rng.IntN(patterns-1)
	}
	t := rng.Float64()
	period := max(3, mul(r, between(rng, 0.1, 0.8)))
	p.fx, p.fy = cos(t)/period, sin(t)/period
	k := mul(0.8, rng.Float64())
	p.other = rgb{mix(p.base.lum, p.other.lum, k), mix(p.base.rg, p.other.rg, k), mix(p.base.by, p.other.by, k)}
	p.sx, p.sy = mul(0.1, normal(rng)), mul(0.1, normal(rng))
	if chance(rng, 0.5) {
		p.ball = mul(0.25, rng.Float64())
	}
	p.grain = mul(0.22, mul(rng.Float64(), rng.Float64())) * 2
	t = rng.Float64()
	zoom := exp2(between(rng, -1, 1))
	stretch := exp2(mul(3, mul(rng.Float64(), rng.Float64())))
	p.gx, p.gy = mul(zoom, cos(t)), mul(zoom, sin(t))
	p.hx, p.hy = -p.gy/stretch, p.gx/stretch
	p.ox, p.oy = between(rng, 0, 128), between(rng, 0, 128)
	return p
}

// at is the colour at the local point (u, v), dx, dy pixels from the centre.
func (p *paint) at(s *scene, u, v, dx, dy float64) rgb {
	if p.ground {
		return p.base
	}
	n := 0.0
	if p.grain > 0.005 || p.kind >= zebra {
		n = s.noise.sample(mul(p.gx, dx)+mul(p.gy, dy)+p.ox, mul(p.hx, dx)+mul(p.hy, dy)+p.oy)
	}
	c := p.base
	if p.kind != plain {
		m := clamp(0.5 + mul(1.5, p.pattern(u, v, dx, dy, n)))
		c = rgb{mix(c.lum, p.other.lum, m), mix(c.rg, p.other.rg, m), mix(c.by, p.other.by, m)}
	}
	c.lum += mul(p.grain, n) + mul(p.sx, u) + mul(p.sy, v)
	if p.ball != 0 {
		c.lum -= mul(p.ball, mul(u, u)+mul(v, v))
	}
	return c
}

// pattern is about -1 … 1.
func (p *paint) pattern(u, v, dx, dy, n float64) float64 {
	a, b := mul(p.fx, dx)+mul(p.fy, dy), mul(p.fx, dy)-mul(p.fy, dx)
	switch p.kind {
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
