package ref

import (
	"math"

	"dfq/schema"
)

// poolWindows are the windows of a 2-D pooling op over its input.
func (c *call) poolWindows() (x *value, rows, cols window) {
	x = c.realRank(0, 4)
	o := options[schema.Pool2DOptionsT](c)
	return x, newWindow(x.shape[1], int(o.FilterHeight), o.StrideH, 1, o.Padding),
		newWindow(x.shape[2], int(o.FilterWidth), o.StrideW, 1, o.Padding)
}

// pool2D gathers into each output pixel, which starts at start, every input
// pixel of its window, and finishes with their number. Padding takes no part.
func pool2D(c *call, start float32, gather func(dst, src []float32), finish func(dst []float32, count int)) {
	x, rows, cols := c.poolWindows()
	depth := x.shape[3]
	activate := c.activation()
	y := c.reals(0, x.shape[0], rows.out, cols.out, depth)
	for p := 0; p*depth < len(y); p++ {
		dst := y[p*depth : (p+1)*depth]
		for i := range dst {
			dst[i] = start
		}
		image := p / (rows.out * cols.out)
		y0, y1, iy := rows.taps(p / cols.out % rows.out)
		x0, x1, ix := cols.taps(p % cols.out)
		for ky := range y1 - y0 {
			line := x.f[((image*rows.in+iy+ky)*cols.in+ix)*depth:]
			for kx := range x1 - x0 {
				gather(dst, line[kx*depth:(kx+1)*depth])
			}
		}
		finish(dst, (y1-y0)*(x1-x0))
		activate(dst)
	}
}

func averagePool(c *call) {
	pool2D(c, 0, func(dst, src []float32) { addRow(dst, dst, src) }, func(dst []float32, count int) {
		for i := range dst {
			dst[i] /= float32(count)
		}
	})
}

func l2Pool(c *call) {
	pool2D(c, 0, func(dst, src []float32) { oneTap(dst, src, src) }, func(dst []float32, count int) {
		for i, s := range dst {
			dst[i] = float32(math.Sqrt(float64(s / float32(count))))
		}
	})
}

func maxPool(c *call) {
	pool2D(c, -inf, func(dst, src []float32) {
		dst = dst[:len(src)]
		for i, v := range src {
			dst[i] = max(dst[i], v)
		}
	}, func([]float32, int) {})
}
