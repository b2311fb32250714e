package stimulus

import (
	"math"
	"math/rand/v2"
	"testing"
)

// testFigure stands upright in the middle of an empty scene of 200 × 200 and
// looks straight ahead.
func testFigure(unit float64) *figure {
	s := newScene(200, 200, rand.New(rand.NewPCG(1, 2)), dialsAt(1, 1))
	return &figure{scene: s, cx: 100, cy: 100, unit: unit, c: 1, skin: rgb{lum: 0.2}, hair: rgb{lum: -0.4}}
}

// brightness is the luminance at (u, v).
func (f *figure) brightness(u, v float64) float64 {
	return f.pix[int(f.cy+f.unit*v)*f.w+int(f.cx+f.unit*u)].lum
}

// A face has dark pupils in white eyes and brows of the colour of its hair half
// way down, and a mouth that stands out, dark or with teeth, above its chin.
func TestFace(t *testing.T) {
	f := testFigure(60)
	f.face()
	f.head()
	skin := f.skin.lum
	for _, side := range []float64{-1, 1} {
		pupil, eye := f.brightness(0.3*side, -0.04), f.brightness(0.3*side+0.09, -0.05)
		brow, cheek := f.brightness(0.3*side, -0.26), f.brightness(0.45*side, 0.3)
		if pupil > -0.5 || eye < 0.3 {
			t.Errorf("side %g: pupil %.2f, white of the eye %.2f", side, pupil, eye)
		}
		if brow > skin-0.3 || cheek < skin-0.4 {
			t.Errorf("side %g: brow %.2f, cheek %.2f on skin of %.2f", side, brow, cheek, skin)
		}
	}
	if mouth, chin := f.brightness(0, 0.62), f.brightness(0, 0.9); math.Abs(mouth-chin) < 0.2 {
		t.Errorf("mouth %.2f, chin %.2f", mouth, chin)
	}
}

// Parts of one side are mirrored onto the other, tilted or not.
func TestBoth(t *testing.T) {
	f := testFigure(40)
	f.both(0, part{outline: box, u: 0.6, v: 0.3, a: 0.5, b: 0.1, turn: 0.1, paint: white})
	drawn := 0
	for y := range f.h {
		for x := 1; x < f.w; x++ { // the middle is the edge between 99 and 100
			// Pixels are taken at their left edge: 100 is the axis.
			a, b := f.clear[y*f.w+x], f.clear[y*f.w+f.w-x]
			if d := a - b; d > 1e-9 || d < -1e-9 {
				t.Fatalf("(%d, %d) covers %.3f, its mirror image %.3f", x, y, 1-a, 1-b)
			}
			if a < 0.5 {
				drawn++
			}
		}
	}
	// Two boxes of 1 × 0.2 units; what a box reaches beyond 200 × 200 is nothing.
	if want := 2 * 40 * 8; drawn < want*9/10 || drawn > want*11/10 {
		t.Errorf("%d pixels drawn, want about %d", drawn, want)
	}
	g := testFigure(40)
	g.c, g.n = cos(0.25), sin(0.25) // lying
	g.add(part{outline: ellipse, v: 1, a: 0.2, b: 0.2, paint: white})
	if k := g.clear[100*g.w+60]; k > 0.01 {
		t.Errorf("a quarter turn does not bring what is below to the left: %.2f clear", k)
	}
}
