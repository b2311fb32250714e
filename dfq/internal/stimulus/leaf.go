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

// leaf is one shape and what is painted within. Its local coordinates (u, v)
// are 0 at the centre and about 1 on the outline.
type leaf struct {
	outline        int
	cx, cy         float64 // centre, in pixels
	ux, uy, vx, vy float64 // u = ux·dx + uy·dy, v alike, for dx, dy pixels from the centre
	reach          float64 // radius of a circle that holds it, in pixels
	soft           float64 // width of its edge, in pixels
	alpha          float64 // opacity
	wave           float64 // height of a blob's waves
	paint          paint
}

// leaf makes a leaf of radius r, somewhat elongated, upright half the time.
func (s *scene) leaf(outline int, cx, cy, r float64) leaf {
	rng := s.rng
	long := mul(r, exp2(mul(0.5, rng.Float64())))
	short := mul(r, r) / long
	if outline == limb {
		long, short = mul(1.5, r), mul(r, between(rng, 0.08, 0.35))
	}
	turn := rng.Float64()
	if chance(rng, 0.5) {
		turn = math.Floor(4*turn) / 4
	}
	c, n := cos(turn), sin(turn)
	return leaf{
		outline: outline, cx: cx, cy: cy,
		ux: c / long, uy: n / long, vx: -n / short, vy: c / short,
		reach: mul(1.5, max(long, short)), soft: s.soft, alpha: 1,
		wave: between(rng, 0.1, 0.35), paint: s.newPaint(r),
	}
}

// turned is the leaf rotated about its centre.
func (l leaf) turned(turns float64) leaf {
	c, n := cos(turns), sin(turns)
	l.ux, l.uy = mul(c, l.ux)-mul(n, l.uy), mul(n, l.ux)+mul(c, l.uy)
	l.vx, l.vy = mul(c, l.vx)-mul(n, l.vy), mul(n, l.vx)+mul(c, l.vy)
	return l
}

// mirrored is the leaf in an upright mirror at x.
func (l leaf) mirrored(x float64) leaf {
	l.cx = 2*x - l.cx
	l.ux, l.vx = -l.ux, -l.vx
	return l
}

// scaled is the leaf at q times its size.
func (l leaf) scaled(q float64) leaf {
	l.ux, l.uy, l.vx, l.vy = l.ux/q, l.uy/q, l.vx/q, l.vy/q
	l.reach = mul(q, l.reach)
	return l
}

// distance of (u, v) from the centre, 1 on the outline.
func (l *leaf) distance(s *scene, u, v float64) float64 {
	switch l.outline {
	case box:
		return max(math.Abs(u), math.Abs(v))
	case triangle:
		return 2 * max(-v, mul(0.5, v)+mul(0.866, math.Abs(u)))
	case blob:
		waves := s.noise.sample(mul(6, u)+l.paint.ox, mul(6, v)+l.paint.oy)
		return math.Sqrt(mul(u, u)+mul(v, v)) + mul(l.wave, waves)
	}
	return math.Sqrt(mul(u, u) + mul(v, v))
}

// draw adds the leaf behind all that is drawn already.
func (s *scene) draw(l *leaf) {
	reach := l.reach + l.soft
	x0, x1 := max(0, int(l.cx-reach)), min(s.w, int(l.cx+reach)+2)
	y0, y1 := max(0, int(l.cy-reach)), min(s.h, int(l.cy+reach)+2)
	// How fast distance changes per pixel, at most, is how steep the edge is.
	steep := math.Sqrt(max(mul(l.ux, l.ux)+mul(l.uy, l.uy), mul(l.vx, l.vx)+mul(l.vy, l.vy)))
	for y := y0; y < y1; y++ {
		dy := float64(y) - l.cy
		for x := x0; x < x1; x++ {
			p := y*s.w + x
			if s.clear[p] < 0.004 { // a step of 8 bits
				continue
			}
			dx := float64(x) - l.cx
			u, v := mul(l.ux, dx)+mul(l.uy, dy), mul(l.vx, dx)+mul(l.vy, dy)
			if max(math.Abs(u), math.Abs(v)) > 1.6 {
				continue
			}
			cover := clamp((1-l.distance(s, u, v))/mul(l.soft, steep) + 0.5)
			if k := mul(mul(cover, l.alpha), s.clear[p]); k > 0 {
				s.pix[p].add(k, l.paint.at(s, u, v, dx, dy))
				s.clear[p] -= k
			}
		}
	}
}
