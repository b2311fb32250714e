package ref

import "dfq/schema"

// depthwiseConv2D filters every input channel on its own; with a multiplier m,
// input channel i makes output channels i·m to i·m+m-1.
func depthwiseConv2D(c *call) {
	x, filter := c.realRank(0, 4), c.realRank(1, 4)
	in, channels := x.shape[3], filter.shape[3]
	need(filter.shape[0] == 1 && in > 0 && channels%in == 0, "filter shape %v for %d input channels", filter.shape, in)
	o := options[schema.DepthwiseConv2DOptionsT](c)
	d := depthwise{x: x.f, w: filter.f, in: in, channels: channels,
		rows: newWindow(x.shape[1], filter.shape[1], o.StrideH, o.DilationHFactor, o.Padding),
		cols: newWindow(x.shape[2], filter.shape[2], o.StrideW, o.DilationWFactor, o.Padding)}
	bias, activate := c.bias(2, channels), c.activation()
	y := c.sums(x.shape[0], d.rows.out, d.cols.out, channels)
	if y == nil {
		return
	}
	setBias(y, bias)
	line := d.cols.out * channels
	for i := range x.shape[0] * d.rows.out {
		d.line(y[i*line:(i+1)*line], i/d.rows.out, i%d.rows.out)
		activate(y[i*line : (i+1)*line])
	}
}

type depthwise struct {
	x, w         []float32
	in, channels int
	rows, cols   window
}

// line adds to one line of output pixels.
func (d *depthwise) line(y []float32, image, row int) {
	y0, y1, iy := d.rows.taps(row)
	for k := y0; k < y1; k++ {
		x := d.x[(image*d.rows.in+iy)*d.cols.in*d.in:][:d.cols.in*d.in]
		w := d.w[k*d.cols.filter*d.channels:][:d.cols.filter*d.channels]
		iy += d.rows.dilation
		for p := range d.cols.out {
			first, end, ix := d.cols.taps(p)
			d.pixel(y[p*d.channels:(p+1)*d.channels], x[min(ix*d.in, len(x)):], w[first*d.channels:end*d.channels])
		}
	}
}

// pixel adds one filter line's taps to an output pixel.
func (d *depthwise) pixel(y, x, w []float32) {
	n, step := d.channels, d.cols.dilation*d.in
	if n != d.in {
		for ; len(w) > 0; w = w[n:] {
			multiplied(y, x[:d.in], w[:n])
			x = x[min(step, len(x)):]
		}
		return
	}
	for ; len(w) >= 3*n; w = w[3*n:] {
		threeTaps(y, x, x[step:], x[2*step:], w)
		x = x[min(3*step, len(x)):]
	}
	for ; len(w) > 0; w = w[n:] {
		oneTap(y, x, w)
		x = x[min(step, len(x)):]
	}
}

func oneTap(y, x, w []float32) {
	x, w = x[:len(y)], w[:len(y)]
	for c := range y {
		y[c] += float32(x[c] * w[c])
	}
}

// threeTaps is oneTap three times, with y in a register.
func threeTaps(y, x0, x1, x2, w []float32) {
	n := len(y)
	x0, x1, x2 = x0[:n], x1[:n], x2[:n]
	w0, w1, w2 := w[:n], w[n:][:n], w[2*n:][:n]
	for c := range y {
		s := y[c] + float32(x0[c]*w0[c])
		s += float32(x1[c] * w1[c])
		y[c] = s + float32(x2[c]*w2[c])
	}
}

// multiplied is oneTap where every x has several outputs.
func multiplied(y, x, w []float32) {
	m := len(y) / len(x)
	for i, v := range x {
		part, weights := y[i*m:(i+1)*m], w[i*m:(i+1)*m]
		for k, f := range weights {
			part[k] += float32(v * f)
		}
	}
}
