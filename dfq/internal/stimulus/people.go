package stimulus

// figure is someone to draw. Its lengths are in units of half the height of its
// head, whose centre is the origin; u points aside and v down.
type figure struct {
	*scene
	cx, cy, unit float64 // the centre, and one unit, in pixels
	c, n         float64 // cosine and sine of its tilt
	look         float64 // how far aside the face looks
	skin, hair   rgb
}

// part is a leaf on a figure, with half-axes a and b.
type part struct {
	outline    int
	u, v, a, b float64
	turn       float64
	paint      paint
}

// people draws one large figure or several small ones: much of what phones look
// for is people, and what deep layers answer to is faces and hands as such.
func (s *scene) people() {
	rng := s.rng
	unit := mul(mul(0.02, s.side), exp2(mul(4.8, s.dials[10]))) // up to 0.56 sides
	n := 1
	if room := int(mul(0.4, s.side) / unit); room > 2 && chance(rng, 0.6) {
		n += rng.IntN(min(room, 15))
	}
	for range n {
		tilt := mul(0.03, normal(rng))
		f := &figure{
			scene: s, c: cos(tilt), n: sin(tilt), look: mul(0.12, normal(rng)),
			cx:   mul(float64(s.w), between(rng, 0.15, 0.85)),
			cy:   mul(float64(s.h), between(rng, 0.15, 0.7)),
			unit: mul(unit, exp2(mul(0.2, normal(rng)))),
			skin: rgb{between(rng, -0.35, 0.45), between(rng, 0.015, 0.045), between(rng, -0.14, -0.06)},
			hair: rgb{between(rng, -0.7, -0.1), between(rng, 0, 0.02), between(rng, -0.08, 0)},
		}
		f.person()
	}
}

// person draws a figure from front to back.
func (f *figure) person() {
	rng := f.rng
	clothes, trousers := f.newPaint(2*f.unit), f.newPaint(2*f.unit)
	sleeves := clothes
	if chance(rng, 0.4) {
		sleeves = shaded(f.skin, 0)
	}
	for _, p := range f.arm(sleeves) {
		f.add(p.mirrored())
	}
	for _, p := range f.arm(sleeves) {
		f.add(p)
	}
	f.face()
	f.head()
	f.add(part{outline: ellipse, v: 2.2, a: between(rng, 1.7, 2.2), b: 0.9, paint: clothes})
	f.add(part{outline: box, v: 4.2, a: between(rng, 1.3, 1.8), b: 2.4, paint: clothes})
	f.both(0, part{outline: box, u: 0.75, v: 10, a: 0.65, b: 4, paint: trousers})
}

// add draws a part behind all that is drawn already.
func (f *figure) add(p part) {
	c, n := cos(p.turn), sin(p.turn)
	c, n = mul(c, f.c)-mul(n, f.n), mul(n, f.c)+mul(c, f.n)
	a, b := mul(p.a, f.unit), mul(p.b, f.unit)
	f.draw(&leaf{
		outline: p.outline,
		cx:      f.cx + mul(f.unit, mul(f.c, p.u)-mul(f.n, p.v)),
		cy:      f.cy + mul(f.unit, mul(f.n, p.u)+mul(f.c, p.v)),
		ux:      c / a, uy: n / a, vx: -n / b, vy: c / b,
		reach: mul(1.5, max(a, b)), soft: f.soft, alpha: 1, wave: 0.12, paint: p.paint,
	})
}

// mirrored is the part on the other side of the figure.
func (p part) mirrored() part {
	p.u, p.turn = -p.u, -p.turn
	return p
}

// both draws a part on either side of the upright line at u.
func (f *figure) both(u float64, p part) {
	m := p.mirrored()
	p.u += u
	m.u += u
	f.add(p)
	f.add(m)
}

// shaded is a plain paint, brighter by lum.
func shaded(c rgb, lum float64) paint {
	c.lum += lum
	return paint{base: c, ball: 0.1, grain: 0.03, gx: 1, hy: 1}
}

var (
	black = shaded(rgb{}, -0.7)
	white = shaded(rgb{}, 0.5)
)

// face draws what lies on the skin of the head.
func (f *figure) face() {
	rng := f.rng
	shade := shaded(f.skin, -between(rng, 0.05, 0.25))
	f.eyesAndBrows(shade)
	nose := mul(1.4, f.look)
	f.both(nose, part{outline: ellipse, u: 0.07, v: 0.36, a: 0.035, b: 0.02, paint: black})
	f.add(part{outline: ellipse, u: nose, v: 0.15, a: 0.05, b: 0.2, paint: shaded(f.skin, between(rng, 0.05, 0.2))})
	f.add(part{outline: ellipse, u: nose, v: 0.36, a: 0.14, b: 0.05, paint: shade})
	wide, open, within := between(rng, 0.16, 0.28), 0.012, black
	if chance(rng, 0.4) {
		open = between(rng, 0.02, 0.1)
		if chance(rng, 0.6) { // teeth
			within = white
		}
	}
	lips := shaded(f.skin, -between(rng, 0.1, 0.3))
	lips.base.rg += between(rng, 0, 0.06)
	f.add(part{outline: ellipse, u: f.look, v: 0.62, a: wide, b: open, paint: within})
	f.add(part{outline: ellipse, u: f.look, v: 0.62, a: wide + 0.04, b: open + 0.05, paint: lips})
	f.add(part{outline: ellipse, u: f.look, v: 0.76, a: 0.16, b: 0.03, paint: shade})
	if chance(rng, 0.2) { // a beard
		f.add(part{outline: blob, u: f.look, v: 0.75, a: 0.5, b: 0.35, paint: shaded(f.hair, 0)})
	}
}

// eyesAndBrows draws them, with glasses at times.
func (f *figure) eyesAndBrows(shade paint) {
	rng := f.rng
	open := between(rng, 0.04, 0.1)
	iris := shaded(f.hair, 0.1)
	iris.base.by += mul(0.06, normal(rng))
	lid := shade
	lid.base.lum -= 0.2
	eye := func(v, a, b float64, p paint) {
		f.both(f.look, part{outline: ellipse, u: 0.3, v: v, a: a, b: b, paint: p})
	}
	eye(-0.08, 0.015, 0.015, white)
	eye(-0.05, 0.035, 0.035, black)
	eye(-0.05, 0.07, min(0.07, open), iris)
	eye(-0.05, 0.14, open, white)
	eye(-0.07, 0.17, open+0.03, lid)
	f.both(f.look, part{outline: limb, u: 0.3, v: -0.26, a: 0.2, b: 0.04, turn: 0.03, paint: shaded(f.hair, 0)})
	if chance(rng, 0.2) {
		eye(-0.05, 0.22, 0.18, shade)
		eye(-0.05, 0.25, 0.21, black)
	}
	eye(-0.08, 0.22, 0.15, shade)
}

// head draws a fringe, the skin, ears, neck, and the hair behind.
func (f *figure) head() {
	rng := f.rng
	hair := f.newPaint(f.unit)
	hair.pattern, hair.base, hair.ball = plain, f.hair, 0.1
	bald := chance(rng, 0.15)
	if !bald {
		f.add(part{outline: blob, u: f.look, v: -0.85, a: 0.75, b: between(rng, 0.2, 0.42), paint: hair})
	}
	skin := shaded(f.skin, 0)
	skin.ball, skin.sx = between(rng, 0, 0.25), mul(0.15, normal(rng))
	f.add(part{outline: ellipse, a: between(rng, 0.66, 0.78), b: 1, paint: skin})
	f.both(0, part{outline: ellipse, u: 0.76, v: 0.05, a: 0.1, b: 0.2, paint: skin})
	f.add(part{outline: box, v: 1.1, a: between(rng, 0.3, 0.45), b: 0.6, paint: shaded(f.skin, -0.15)})
	if bald {
		return
	}
	if chance(rng, 0.4) { // long
		f.add(part{outline: blob, v: 0.4, a: between(rng, 0.85, 1.2), b: 1.5, paint: hair})
		return
	}
	f.add(part{outline: blob, v: -0.25, a: between(rng, 0.8, 0.95), b: between(rng, 0.85, 1.05), paint: hair})
}

// arm is one arm, which hangs or is raised from the elbow, from front to back.
func (f *figure) arm(sleeve paint) []part {
	rng := f.rng
	upper := between(rng, 0.2, 0.3) // of a turn: 0 points aside, 0.25 down
	lower := upper + mul(0.05, normal(rng))
	if chance(rng, 0.5) {
		lower = between(rng, -0.3, 0.5)
	}
	along := func(u, v, turn, length float64) (float64, float64) {
		return u + mul(length, cos(turn)), v + mul(length, sin(turn))
	}
	const shoulder, height = 1.75, 2.2
	elbowU, elbowV := along(shoulder, height, upper, 2.6)
	handU, handV := along(elbowU, elbowV, lower, 2.8)
	lowerU, lowerV := along(elbowU, elbowV, lower, 1.1)
	upperU, upperV := along(shoulder, height, upper, 1.3)
	return append(f.hand(handU, handV, lower),
		part{outline: ellipse, u: lowerU, v: lowerV, a: 1.5, b: 0.4, turn: lower, paint: sleeve},
		part{outline: ellipse, u: upperU, v: upperV, a: 1.6, b: 0.5, turn: upper, paint: sleeve})
}

// hand is a palm at (u, v), and fingers, stretched or bent, that point about where
// the arm does.
func (f *figure) hand(u, v, turn float64) []part {
	rng := f.rng
	skin := shaded(f.skin, mul(0.08, normal(rng)))
	gap := shaded(skin.base, -0.25)
	var parts []part
	for i := range 5 {
		at, long := turn+mul(0.055, float64(i)-1.5)+mul(0.01, normal(rng)), 0.45
		if i == 4 { // the thumb
			at, long = turn+0.17, 0.35
		}
		if chance(rng, 0.3) {
			long = 0.2
		}
		finger := part{outline: ellipse, u: u + mul(0.4+long, cos(at)), v: v + mul(0.4+long, sin(at)), a: long, b: 0.12, turn: at, paint: skin}
		behind := finger
		behind.a, behind.b, behind.paint = long+0.03, 0.15, gap
		parts = append(parts, finger, behind)
	}
	return append(parts, part{outline: ellipse, u: u, v: v, a: 0.5, b: 0.45, turn: turn, paint: skin})
}
