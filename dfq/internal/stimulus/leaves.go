package stimulus

import (
	"math"
	"math/rand/v2"
)

// scene is an image while it is composed, from front to back.
type scene struct {
	h, w    int
	pix     []rgb     // colour gathered so far
	clear   []float64 // share of each pixel that nothing covers yet
	side    float64   // the shorter one, in pixels: the unit of length
	soft    float64   // width of edges, in pixels
	palette [6]rgb
	noise   tile       // the 1/f noise that all textures of the scene share
	dials   dials      // properties of the whole
	rng     *rand.Rand // geometry
	tint    *rand.Rand // colour and texture
}

// leaves makes a dead-leaves image as interleaved red, green and blue: sharp
// objects in front, then people, then clutter, which may be out of focus, then
// what is left of the background.
func leaves(h, w int, rng *rand.Rand, u dials) []float64 {
	s := newScene(h, w, rng, u)
	if chance(rng, 0.1) {
		s.clutter()
	}
	if u[3] < 0.8 {
		for range 1 + rng.IntN(5) {
			s.thing()
		}
	}
	if u[9] < peopled {
		s.people()
	}
	s.soft = mul(s.soft, exp2(mul(3, mul(u[8], u[8]))))
	s.clutter()
	s.background()
	return s.develop()
}

// peopled is the share of scenes with people in them.
const peopled = 0.5

// newScene picks what a whole image shares. Its colours lie around a cast of
// its own, warm more often than not: daylight is yellow, as is most ground,
// foliage and skin. Saturation varies from gray to gaudy.
func newScene(h, w int, rng *rand.Rand, u dials) *scene {
	s := &scene{
		h: h, w: w, pix: make([]rgb, h*w), clear: make([]float64, h*w),
		side: float64(min(h, w)), soft: 1.3, dials: u,
		rng: rng, tint: rand.New(rand.NewPCG(rng.Uint64(), 1)),
	}
	s.noise = newTile(grainSide, between(rng, 0.7, 1), rng)
	for i := range s.clear {
		s.clear[i] = 1
	}
	chroma := mul(0.06, exp2(bell(u[0])))
	rg, by := mul(0.02, bell(u[1])), mul(0.05, bell(u[2]))-0.045
	for i := range s.palette {
		s.palette[i] = rgb{
			lum: mul(0.35, normal(rng)),
			rg:  rg + mul(mul(0.5, chroma), normal(rng)),
			by:  by + mul(chroma, normal(rng)),
		}
	}
	return s
}

// clutter scatters single leaves, 8 to 90 of them. Mostly they are of
// a few sorts, as foliage, pebbles and crowds are.
func (s *scene) clutter() {
	rng := s.rng
	n := int(exp2(mix(3, 6.5, s.dials[4])))
	least := mul(s.side, mix(0.01, 0.04, s.dials[5]))
	var sorts []leaf
	if chance(rng, 0.75) {
		for range 1 + rng.IntN(4) {
			sorts = append(sorts, s.leaf(rng.IntN(outlines), 0, 0, 1))
		}
	}
	for range n {
		r := powerLaw(rng, least, mul(0.9, s.side))
		x, y := s.anywhere()
		l := s.leaf(rng.IntN(outlines), x, y, r)
		if sorts != nil {
			sort := sorts[rng.IntN(len(sorts))]
			l.outline = sort.outline
			l.paint.resemble(&sort.paint, mul(0.1, normal(rng)))
		}
		s.draw(&l)
	}
}

func (s *scene) anywhere() (x, y float64) {
	return between(s.rng, 0, float64(s.w)), between(s.rng, 0, float64(s.h))
}

// powerLaw draws a radius with density ~ r^-3 between lo and hi, which makes
// dead leaves scale invariant (Lee, Mumford and Huang 2001).
func powerLaw(rng *rand.Rand, lo, hi float64) float64 {
	q := lo / hi
	return lo / math.Sqrt(1-mul(rng.Float64(), 1-mul(q, q)))
}

// background fills what is left: often a smooth sky that darkens downwards,
// often with ground up to a slanted horizon.
func (s *scene) background() {
	rng := s.rng
	w, h := float64(s.w), float64(s.h)
	sky := s.leaf(box, w/2, h/2, w+h)
	sky.ux, sky.uy, sky.vx, sky.vy = 1/w, 0, 0, 1/h
	sky.paint.ball = 0
	if chance(rng, 0.5) {
		sky.paint.pattern = plain
		sky.paint.sy = -between(rng, 0, 0.4)
		sky.paint.grain = mul(0.3, sky.paint.grain)
	}
	if chance(rng, 0.5) {
		ground := s.leaf(box, w/2, mul(h, between(rng, 1.2, 1.8)), 2*(w+h))
		slant := between(rng, -0.1, 0.1)
		ground.ux, ground.uy, ground.vx, ground.vy = 1/w, 0, slant/w, 1/h
		s.draw(&ground)
	}
	s.draw(&sky)
}
