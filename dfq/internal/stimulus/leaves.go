package stimulus

import (
	"math"
	"math/rand/v2"
)

// scene is an image while it is being composed from front to back.
type scene struct {
	h, w  int
	pix   []rgb     // colour gathered so far
	clear []float64 // share of each pixel that nothing covers yet
	noise tile      // the 1/f noise that all textures of the scene share
	dim   float64   // shorter side: the unit of length
	soft  float64
	rng   *rand.Rand
	u     dials
	pal   [6]rgb
}

// leaves makes a dead-leaves image as interleaved red, green and blue.
func leaves(h, w int, rng *rand.Rand, u dials) []float64 {
	s := &scene{u: u, h: h, w: w, rng: rng, dim: float64(min(h, w)),
		pix: make([]rgb, h*w), clear: make([]float64, h*w), noise: newTile(128, between(rng, 0.7, 1), rng)}
	for i := range s.clear {
		s.clear[i] = 1
	}
	s.soft = 1.3
	if chance(rng, 0.1) {
		s.clutter()
	}
	chroma := mul(0.05, exp2(mul(1, bell(u[0]))))
	cast := rgb{0, mul(0.02, bell(u[1])), mul(0.05, bell(u[2])) - 0.04}
	for i := range s.pal {
		s.pal[i] = rgb{mul(0.35, normal(rng)), cast.rg + mul(0.5*chroma, normal(rng)), cast.by + mul(chroma, normal(rng))}
	}
	if u[3] < 0.8 {
		for range 1 + rng.IntN(int(3)) {
			s.thing()
		}
	}
	s.soft = mul(1.3, exp2(mul(3, mul(s.u[8], s.u[8]))))
	s.clutter()
	s.background()
	return s.develop()
}

// clutter scatters single leaves, radii by a power law.
func (s *scene) clutter() {
	rng := s.rng
	n := int(exp2(mix(3, 8, s.u[4])))
	rmin := mul(s.dim, mix(0.01, 0.06, s.u[5]))
	rmax := mul(s.dim, 0.9)
	var proto []leaf
	if chance(rng, 0.5) {
		for range 1 + rng.IntN(4) {
			proto = append(proto, s.leaf(rng.IntN(outlines), 0, 0, 1))
		}
	}
	for range n {
		r := powerLaw(rng, rmin, rmax)
		x, y := between(rng, 0, float64(s.w)), between(rng, 0, float64(s.h))
		l := s.leaf(rng.IntN(outlines), x, y, r)
		if proto != nil {
			m := proto[rng.IntN(len(proto))]
			l.outline = m.outline
			f, g := mul(l.paint.fx, l.paint.fx)+mul(l.paint.fy, l.paint.fy), mul(m.paint.fx, m.paint.fx)+mul(m.paint.fy, m.paint.fy)
			q := math.Sqrt(f / g)
			l.paint.kind, l.paint.fx, l.paint.fy = m.paint.kind, mul(q, m.paint.fx), mul(q, m.paint.fy)
			v := mul(0.1, normal(rng))
			l.paint.base, l.paint.other = m.paint.base, m.paint.other
			l.paint.base.lum += v
			l.paint.other.lum += v
			l.paint.grain, l.paint.gx, l.paint.gy, l.paint.hx, l.paint.hy = m.paint.grain, m.paint.gx, m.paint.gy, m.paint.hx, m.paint.hy
		}
		s.draw(&l)
	}
}

// powerLaw draws a radius with density ~ r^-3 between lo and hi, which makes
// dead leaves scale invariant (Lee, Mumford and Huang 2001).
func powerLaw(rng *rand.Rand, lo, hi float64) float64 {
	q := lo / hi
	return lo / math.Sqrt(1-mul(rng.Float64(), 1-mul(q, q)))
}

func (s *scene) background() {
	l := s.leaf(box, float64(s.w)/2, float64(s.h)/2, 2*float64(s.h+s.w))
	l.ux, l.uy, l.vx, l.vy = 1/float64(s.w), 0, 0, 1/float64(s.h)
	l.paint.ball = 0
	if chance(s.rng, 0.5) {
		l.paint.kind = plain
		l.paint.sy = -between(s.rng, 0, 0.4)
		l.paint.grain = mul(l.paint.grain, 0.3)
	}
	if chance(s.rng, 0.5) {
		g := s.leaf(box, float64(s.w)/2, 0, 2*float64(s.h+s.w))
		g.ux, g.uy, g.vx, g.vy = 1/float64(s.w), between(s.rng, -0.1, 0.1)/float64(s.w), between(s.rng, -0.1, 0.1)/float64(s.h), 1/float64(s.h)
		g.cy = mul(float64(s.h), between(s.rng, 1.2, 1.8))
		s.draw(&g)
	}
	s.draw(&l)
}

// thing draws an object: parts that repeat one shape around a centre, in a row,
// or mirrored, over a body that holds them together.
func (s *scene) thing() {
	rng := s.rng
	r := mul(s.dim, between(rng, 0.08, 0.45))
	cx, cy := between(rng, 0, float64(s.w)), between(rng, 0, float64(s.h))
	if chance(rng, 0.5) {
		cx, cy = float64(s.w)*between(rng, .3, .7), float64(s.h)*between(rng, .3, .7)
	}
	s.object(cx, cy, r, 2)
}

func (s *scene) object(cx, cy, r float64, depth int) {
	rng := s.rng
	if depth > 0 && r > 2 {
		switch rng.IntN(5) {
		case 0: // ring: petals, spokes, teeth
			n, q, at := 3+rng.IntN(10), between(rng, 0.08, 0.4), between(rng, 0.3, 1)
			l := s.leaf(rng.IntN(outlines), 0, 0, mul(q, r))
			for i := range n {
				t := float64(i) / float64(n)
				m := l
				m.turn(t)
				m.cx, m.cy = cx+mul(mul(at, r), cos(t)), cy+mul(mul(at, r), sin(t))
				s.draw(&m)
			}
		case 1: // mirrored pairs: eyes, ears, limbs
			for range 1 + rng.IntN(4) {
				dx, dy, q := between(rng, 0.1, 0.9), between(rng, -1, 1), between(rng, 0.06, 0.4)
				if chance(rng, 0.5) {
					s.eye(cx, cy, mul(dx, r), mul(dy, r), mul(q, r)/2)
					continue
				}
				l := s.leaf(rng.IntN(outlines), cx+mul(dx, r), cy+mul(dy, r), mul(q, r))
				m := l.mirror(cx)
				s.draw(&l)
				s.draw(&m)
			}
		case 2: // grid or row: windows, keys, letters
			nx, ny := 1+rng.IntN(7), 1+rng.IntN(5)
			step := 2 * r / float64(max(nx, ny))
			l := s.leaf(rng.IntN(outlines), 0, 0, mul(step, between(rng, 0.15, 0.45)))
			for i := range nx {
				for j := range ny {
					m := l
					m.cx = cx + mul(step, float64(i)-float64(nx-1)/2)
					m.cy = cy + mul(step, float64(j)-float64(ny-1)/2)
					s.draw(&m)
				}
			}
		case 3: // concentric: wheels, eyes, targets
			k := rng.IntN(outlines)
			l := s.leaf(k, cx, cy, r)
			for q := between(rng, 0.1, 0.4); q < 0.95; q += between(rng, 0.1, 0.4) {
				m := l
				m.paint = s.newPaint(mul(q, r))
				m.grow(q)
				s.draw(&m)
			}
		case 4: // smaller objects on it
			for range 1 + rng.IntN(4) {
				s.object(cx+mul(r, between(rng, -0.8, 0.8)), cy+mul(r, between(rng, -0.8, 0.8)), mul(r, between(rng, 0.15, 0.6)), depth-1)
			}
		}
	}
	l := s.leaf(rng.IntN(outlines), cx, cy, r)
	s.draw(&l)
	if chance(rng, 0.15) { // cast shadow
		l.cx += mul(r, between(rng, -0.2, 0.2))
		l.cy += mul(r, between(rng, 0, 0.3))
		l.soft = max(1, mul(r, between(rng, 0.05, 0.5)))
		l.alpha = between(rng, 0.2, 0.6)
		l.paint = paint{base: rgb{lum: -0.6}, ground: true}
		s.draw(&l)
	}
}

func (s *scene) eye(cx, cy, dx, dy, r float64) {
	for _, q := range [...]float64{0.2, 0.5, 1, 1.4} {
		l := s.leaf(ellipse, cx+dx, cy+dy, mul(q, r))
		l.ux, l.uy, l.vx, l.vy = 1/mul(q, r), 0, 0, 1/mul(q, r)
		l.paint.scale, l.paint.kind = r, plain
		switch q {
		case 0.2:
			l.paint.base.lum = 0.6
		case 0.5:
			l.paint.base.lum = -0.6
		}
		m := l.mirror(cx)
		s.draw(&l)
		s.draw(&m)
	}
}

// develop turns the composed scene into red, green and blue with a brightness
// and contrast of its own, noise, and the hard limits of 8 bits.
func (s *scene) develop() []float64 {
	rng := s.rng
	s.blur(between(rng, 0, 0.2))
	gx, gy := mul(0.5, normal(rng)), mul(0.5, normal(rng))
	var sum, sq float64
	for p := range s.pix {
		x, y := float64(p%s.w)/float64(s.w)-0.5, float64(p/s.w)/float64(s.h)-0.5
		s.pix[p].lum = s.pix[p].lum + mul(0.4, mul(gx, x)+mul(gy, y))
		sum += s.pix[p].lum
		sq += mul(s.pix[p].lum, s.pix[p].lum)
	}
	n := float64(len(s.pix))
	mean := sum / n
	dev := math.Sqrt(max(sq/n-mul(mean, mean), 1e-4))
	want := mul(0.23, exp2(mul(0.35, bell(s.u[6]))))
	level := 0.46 + mul(0.12, bell(s.u[7]))
	gain := want / dev
	img := make([]float64, 3*len(s.pix))
	grain := mul(0.05, mul(rng.Float64(), rng.Float64()))
	cg := min(gain, 1.5)
	for p, c := range s.pix {
		c.lum = level + mul(gain, c.lum-mean)
		k := mul(cg, clamp(mul(2, min(c.lum+0.2, 1.2-c.lum))))
		c.rg, c.by = mul(c.rg, k), mul(c.by, k)
		q := img[3*p : 3*p+3]
		c.put(q)
		for i := range q {
			q[i] += mul(grain, normal(rng))
		}
	}
	return img
}

// blur is a separable 3 × 3 filter with weights b, 1-2b, b.
func (s *scene) blur(b float64) {
	pass := func(n, step, lines, stride int) {
		for l := range lines {
			prev := s.pix[l*stride]
			for i := range n {
				p := l*stride + i*step
				c, next := s.pix[p], s.pix[p]
				if i+1 < n {
					next = s.pix[p+step]
				}
				s.pix[p] = rgb{c.lum + mul(b, prev.lum+next.lum-2*c.lum), c.rg + mul(b, prev.rg+next.rg-2*c.rg), c.by + mul(b, prev.by+next.by-2*c.by)}
				prev = c
			}
		}
	}
	pass(s.w, 1, s.h, s.w)
	pass(s.h, s.w, s.w, 1)
}
