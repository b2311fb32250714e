package ref

import (
	"math"

	"dfq/schema"
)

// A sampler maps output positions along one axis to input positions.
type sampler struct {
	in, out     int
	scale       float32
	half        bool // positions are those of pixel centres
	alignCorner bool
}

func newSampler(in, out int, alignCorners, halfPixelCenters bool) sampler {
	need(in > 0 && out > 0, "resize from %d to %d", in, out)
	s := sampler{in: in, out: out, half: halfPixelCenters, alignCorner: alignCorners}
	s.scale = float32(in) / float32(out)
	if alignCorners && out > 1 {
		s.scale = float32(in-1) / float32(out-1)
	}
	return s
}

// linear is the two input positions that output o lies between, and the weight
// of the second.
func (s *sampler) linear(o int) (lower, upper int, weight float32) {
	x := float32(float32(o) * s.scale)
	if s.half {
		x = float32((float32(o)+0.5)*s.scale) - 0.5
	}
	floor := math.Floor(float64(x))
	lower = min(max(int(floor), 0), s.in-1)
	upper = min(max(int(math.Ceil(float64(x))), 0), s.in-1)
	return lower, upper, x - float32(lower)
}

// nearest is the input position for output o.
func (s *sampler) nearest(o int) int {
	x := float32(float32(o) * s.scale)
	if s.half {
		x = float32((float32(o) + 0.5) * s.scale)
	}
	i := int(math.Floor(float64(x)))
	if s.alignCorner {
		i = int(math.Round(float64(x)))
	}
	return min(max(i, 0), s.in-1)
}

// samplers are those of the height and the width of input 0, the output size
// taken from input 1.
func (c *call) samplers(alignCorners, halfPixelCenters bool) (rows, cols sampler) {
	x, size := c.arg(0), c.ints(1)
	need(len(x.shape) == 4 && len(size) == 2, "shape %v and size %v", x.shape, size)
	return newSampler(x.shape[1], size[0], alignCorners, halfPixelCenters),
		newSampler(x.shape[2], size[1], alignCorners, halfPixelCenters)
}

func resizeBilinear(c *call) {
	o := options[schema.ResizeBilinearOptionsT](c)
	rows, cols := c.samplers(o.AlignCorners, o.HalfPixelCenters)
	x := c.realArg(0)
	n := x.shape[3]
	y := c.reals(0, x.shape[0], rows.out, cols.out, n)
	line := cols.in * n
	for p := 0; p*n < len(y); p++ {
		image := x.f[p/(rows.out*cols.out)*rows.in*line:]
		y0, y1, dy := rows.linear(p / cols.out % rows.out)
		x0, x1, dx := cols.linear(p % cols.out)
		corners := [4][]float32{image[y0*line+x0*n:], image[y0*line+x1*n:], image[y1*line+x0*n:], image[y1*line+x1*n:]}
		weights := [4]float32{(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx}
		blend(y[p*n:(p+1)*n], &corners, &weights)
	}
}

// blend is the weighted sum of four pixels.
func blend(dst []float32, corners *[4][]float32, weights *[4]float32) {
	n := len(dst)
	a, b, c, d := corners[0][:n], corners[1][:n], corners[2][:n], corners[3][:n]
	wa, wb, wc, wd := weights[0], weights[1], weights[2], weights[3]
	for i := range dst {
		s := float32(a[i]*wa) + float32(b[i]*wb)
		s += float32(c[i] * wc)
		dst[i] = s + float32(d[i]*wd)
	}
}

func resizeNearest(c *call) {
	o := options[schema.ResizeNearestNeighborOptionsT](c)
	rows, cols := c.samplers(o.AlignCorners, o.HalfPixelCenters)
	x := c.arg(0)
	n := x.shape[3]
	y := c.like(0, x, x.shape[0], rows.out, cols.out, n)
	if n == 0 {
		return
	}
	for p := range y.len() / n {
		image := p / (rows.out * cols.out)
		iy, ix := rows.nearest(p/cols.out%rows.out), cols.nearest(p%cols.out)
		copyElements(y, p*n, x, ((image*rows.in+iy)*cols.in+ix)*n, n)
	}
}
