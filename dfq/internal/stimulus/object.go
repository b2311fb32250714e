package stimulus

// thing draws one object, more often than not near the middle.
func (s *scene) thing() {
	rng := s.rng
	r := mul(s.side, between(rng, 0.08, 0.6))
	cx, cy := s.anywhere()
	if chance(rng, 0.5) {
		cx, cy = mul(float64(s.w), between(rng, 0.3, 0.7)), mul(float64(s.h), between(rng, 0.3, 0.7))
	}
	s.object(cx, cy, r, 2)
}

// object draws a body of radius r with its parts on it: what deep layers
// answer to is not single shapes but their arrangement. Some bodies cast a
// shadow.
func (s *scene) object(cx, cy, r float64, depth int) {
	rng := s.rng
	if depth > 0 && r > 2 {
		switch rng.IntN(5) {
		case 0:
			s.ring(cx, cy, r)
		case 1:
			s.pairs(cx, cy, r)
		case 2:
			s.grid(cx, cy, r)
		case 3:
			s.nested(cx, cy, r)
		case 4:
			for range 1 + rng.IntN(4) {
				x, y := cx+mul(r, between(rng, -0.8, 0.8)), cy+mul(r, between(rng, -0.8, 0.8))
				s.object(x, y, mul(r, between(rng, 0.15, 0.6)), depth-1)
			}
		}
	}
	body := s.leaf(rng.IntN(outlines), cx, cy, r)
	s.draw(&body)
	if chance(rng, 0.15) {
		s.shadow(body, r)
	}
}

// ring repeats a leaf around the centre: petals, spokes, teeth.
func (s *scene) ring(cx, cy, r float64) {
	rng := s.rng
	n, size, at := 3+rng.IntN(10), between(rng, 0.08, 0.4), mul(r, between(rng, 0.3, 1))
	l := s.leaf(rng.IntN(outlines), 0, 0, mul(size, r))
	for i := range n {
		turn := float64(i) / float64(n)
		m := l.turned(turn)
		m.cx, m.cy = cx+mul(at, cos(turn)), cy+mul(at, sin(turn))
		s.draw(&m)
	}
}

// pairs mirrors leaves about the upright axis: eyes, ears, limbs.
func (s *scene) pairs(cx, cy, r float64) {
	rng := s.rng
	for range 1 + rng.IntN(4) {
		x, y := cx+mul(r, between(rng, 0.1, 0.9)), cy+mul(r, between(rng, -1, 1))
		size := mul(r, between(rng, 0.06, 0.4))
		if chance(rng, 0.5) {
			s.eyes(cx, x, y, size/2)
			continue
		}
		l := s.leaf(rng.IntN(outlines), x, y, size)
		m := l.mirrored(cx)
		s.draw(&l)
		s.draw(&m)
	}
}

// eyes draws glint, pupil, iris and lid at (x, y) and mirrored at cx.
func (s *scene) eyes(cx, x, y, r float64) {
	for i, q := range [...]float64{0.2, 0.5, 1, 1.4} {
		size := mul(q, r)
		l := s.leaf(ellipse, x, y, size)
		l.ux, l.uy, l.vx, l.vy = 1/size, 0, 0, 1/size
		l.paint.pattern = plain
		switch i {
		case 0:
			l.paint.base.lum = 0.6
		case 1:
			l.paint.base.lum = -0.6
		}
		m := l.mirrored(cx)
		s.draw(&l)
		s.draw(&m)
	}
}

// grid repeats a leaf in rows and columns: windows, keys, letters.
func (s *scene) grid(cx, cy, r float64) {
	rng := s.rng
	nx, ny := 1+rng.IntN(7), 1+rng.IntN(5)
	step := 2 * r / float64(max(nx, ny))
	l := s.leaf(rng.IntN(outlines), 0, 0, mul(step, between(rng, 0.15, 0.45)))
	for i := range nx {
		for j := range ny {
			m := l
			m.cx = cx + mul(step, float64(i)-mul(0.5, float64(nx-1)))
			m.cy = cy + mul(step, float64(j)-mul(0.5, float64(ny-1)))
			s.draw(&m)
		}
	}
}

// nested draws one outline within the other: wheels, dishes, targets.
func (s *scene) nested(cx, cy, r float64) {
	rng := s.rng
	l := s.leaf(rng.IntN(outlines), cx, cy, r)
	for q := between(rng, 0.1, 0.4); q < 0.95; q += between(rng, 0.1, 0.4) {
		m := l.scaled(q)
		m.paint = s.newPaint(mul(q, r))
		s.draw(&m)
	}
}

// shadow draws a dark, soft and translucent copy of a body, aside and below.
func (s *scene) shadow(l leaf, r float64) {
	rng := s.rng
	l.cx += mul(r, between(rng, -0.2, 0.2))
	l.cy += mul(r, between(rng, 0, 0.3))
	l.soft = max(1, mul(r, between(rng, 0.05, 0.5)))
	l.alpha = between(rng, 0.2, 0.6)
	l.paint = paint{base: rgb{lum: -0.6}}
	s.draw(&l)
}
