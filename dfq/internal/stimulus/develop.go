package stimulus

import "math"

// develop turns the composed scene into red, green and blue: light that falls
// off across the image, a brightness and contrast of its own, lens blur, and
// sensor noise. The limits of 8 bits come later, and cut hard.
func (s *scene) develop() []float64 {
	rng := s.rng
	s.blur(between(rng, 0, 0.2))
	s.light(mul(0.3, normal(rng)), mul(0.3, normal(rng)))
	mean, dev := s.contrast()
	gain := mul(0.21, exp2(mul(0.35, bell(s.dials[6])))) / max(dev, 0.01)
	level := 0.46 + mul(0.12, bell(s.dials[7]))
	grain := mul(0.05, mul(rng.Float64(), rng.Float64()))
	img := make([]float64, 3*len(s.pix))
	for p, c := range s.pix {
		c.lum = level + mul(gain, c.lum-mean)
		// Neither black nor white has a colour.
		k := mul(min(gain, 1.5), clamp(2*min(c.lum+0.2, 1.2-c.lum)))
		c.rg, c.by = mul(c.rg, k), mul(c.by, k)
		q := img[3*p : 3*p+3]
		c.put(q)
		for i := range q {
			q[i] += mul(grain, normal(rng))
		}
	}
	return img
}

// light adds a linear gradient, gx and gy from edge to edge.
func (s *scene) light(gx, gy float64) {
	for p := range s.pix {
		x, y := float64(p%s.w)/float64(s.w)-0.5, float64(p/s.w)/float64(s.h)-0.5
		s.pix[p].lum += mul(gx, x) + mul(gy, y)
	}
}

// contrast is the mean and deviation of the luminance.
func (s *scene) contrast() (mean, dev float64) {
	n := float64(len(s.pix))
	for _, c := range s.pix {
		mean += c.lum / n
	}
	for _, c := range s.pix {
		dev += mul(c.lum-mean, c.lum-mean) / n
	}
	return mean, math.Sqrt(dev)
}

// blur weighs each pixel and its neighbours by b, 1-2b, b, both ways.
func (s *scene) blur(b float64) {
	for y := range s.h {
		s.blurLine(b, y*s.w, 1, s.w)
	}
	for x := range s.w {
		s.blurLine(b, x, s.w, s.h)
	}
}

func (s *scene) blurLine(b float64, start, step, n int) {
	prev := s.pix[start]
	for i := range n {
		p := start + i*step
		c, next := s.pix[p], s.pix[p]
		if i+1 < n {
			next = s.pix[p+step]
		}
		s.pix[p] = rgb{
			lum: c.lum + mul(b, prev.lum+next.lum-2*c.lum),
			rg:  c.rg + mul(b, prev.rg+next.rg-2*c.rg),
			by:  c.by + mul(b, prev.by+next.by-2*c.by),
		}
		prev = c
	}
}
