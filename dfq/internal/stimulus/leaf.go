package stimulus

import "math"

// Outlines of a leaf.
const (
	ellipse = iota
	box
	blob // an ellipse with a wavy edge
	triangle
	limb // a thin ellipse
	outlines
)

// leaf is one object: an outline and what is painted within.
type leaf struct {
	outline        int
	cx, cy         float64 // centre in pixels
	ux, uy, vx, vy float64 // u = ux·dx + uy·dy: pixels from the centre to local units
	radius         float64 // of the circle that holds it, in pixels
	soft           float64 // width of its edge in pixels
	alpha          float64 // opacity
	wave           float64
	paint          paint
}

func (s *scene) leaf(outline int, cx, cy, r float64) leaf {
	rng := s.rng
	long := mul(r, exp2(mul(0.5, rng.Float64())))
	short := r * r / long
	switch outline {
	case limb:
		long, short = r*1.5, mul(r, between(rng, 0.08, 0.35))
	}
	t := rng.Float64()
	if chance(rng, 0.5) { // upright things are common
		t = math.Floor(4*t) / 4
	}
	c, n := cos(t), sin(t)
	return leaf{
		outline: outline, cx: cx, cy: cy,
		ux: c / long, uy: n / long, vx: -n / short, vy: c / short,
		radius: mul(1.5, max(long, short)), soft: s.soft, alpha: 1,
		wave: between(rng, 0.1, 0.35), paint: s.newPaint(r),
	}
}

func (l *leaf) turn(turns float64) {
	c, n := cos(turns), sin(turns)
	l.ux, l.uy = mul(c, l.ux)-mul(n, l.uy), mul(n, l.ux)+mul(c, l.uy)
	l.vx, l.vy = mul(c, l.vx)-mul(n, l.vy), mul(n, l.vx)+mul(c, l.vy)
}

// mirror is the leaf seen in an upright mirror at x.
func (l leaf) mirror(x float64) leaf {
	l.cx = 2*x - l.cx
	l.ux, l.vx = -l.ux, -l.vx
	return l
}

func (l *leaf) grow(q float64) {
	l.ux, l.uy, l.vx, l.vy = l.ux/q, l.uy/q, l.vx/q, l.vy/q
	l.radius = mul(q, l.radius)
}

// outside is how far (u, v) lies from the centre, 1 on the outline.
func (l *leaf) outside(s *scene, u, v float64) float64 {
	au, av := math.Abs(u), math.Abs(v)
	switch l.outline {
	case box:
		return max(au, av)
	case triangle:
		return max(-v, mul(0.5, v)+mul(0.866, au)) * 2
	case blob:
		return math.Sqrt(mul(u, u)+mul(v, v)) + mul(l.wave, s.noise.sample(mul(6, u)+l.paint.ox, mul(6, v)+l.paint.oy))
	}
	return math.Sqrt(mul(u, u) + mul(v, v))
}

// draw adds the leaf behind all that is drawn already.
func (s *scene) draw(l *leaf) {
	reach := l.radius + l.soft
	x0, x1 := max(0, int(l.cx-reach)), min(s.w, int(l.cx+reach)+2)
	y0, y1 := max(0, int(l.cy-reach)), min(s.h, int(l.cy+reach)+2)
	// Local units per pixel across the outline: the shorter axis' are the most.
	per := 1 / mul(l.soft, math.Sqrt(max(mul(l.ux, l.ux)+mul(l.uy, l.uy), mul(l.vx, l.vx)+mul(l.vy, l.vy))))
	for y := y0; y < y1; y++ {
		dy := float64(y) - l.cy
		for x := x0; x < x1; x++ {
			p := y*s.w + x
			if s.clear[p] < 0.004 {
				continue
			}
			dx := float64(x) - l.cx
			u, v := mul(l.ux, dx)+mul(l.uy, dy), mul(l.vx, dx)+mul(l.vy, dy)
			if max(math.Abs(u), math.Abs(v)) > 1.6 {
				continue
			}
			d := l.outside(s, u, v)
			a := mul(clamp(mul(1-d, per)+0.5), l.alpha)
			if a <= 0 {
				continue
			}
			c := l.paint.at(s, u, v, dx, dy)
			k := mul(a, s.clear[p])
			q := &s.pix[p]
			q.lum += mul(k, c.lum)
			q.rg += mul(k, c.rg)
			q.by += mul(k, c.by)
			s.clear[p] -= k
		}
	}
}
