package ref

import (
	"dfq/dfq/internal/gemm"
	"dfq/schema"
)

// A window is a filter's way along one axis of its input.
type window struct {
	in, filter, stride, dilation int
	before                       int // padding in front
	out                          int
}

// newWindow computes output size and padding as TensorFlow does: SAME gives
// ⌈in/stride⌉ outputs and puts an odd padding element at the end.
func newWindow(in, filter int, stride, dilation int32, p schema.Padding) window {
	w := window{in: in, filter: filter, stride: int(stride), dilation: max(int(dilation), 1)}
	need(stride > 0 && filter > 0, "filter size %d and stride %d", filter, stride)
	span := (filter-1)*w.dilation + 1
	if p == schema.PaddingVALID {
		need(in >= span, "input size %d is smaller than the window of %d", in, span)
		w.out = (in-span)/w.stride + 1
		return w
	}
	w.out = (in + w.stride - 1) / w.stride
	w.before = max((w.out-1)*w.stride+span-in, 0) / 2
	return w
}

// taps is the range of filter positions that lie inside the input for output
// o, and the input position of the first.
func (w *window) taps(o int) (first, end, start int) {
	start = o*w.stride - w.before
	end = w.filter
	if start < 0 {
		first = min((-start+w.dilation-1)/w.dilation, w.filter)
	}
	if room := w.in - start; room < (w.filter-1)*w.dilation+1 {
		end = max((room+w.dilation-1)/w.dilation, first)
	}
	return first, end, start + first*w.dilation
}

// bias is input i as real values for n channels, or nil. Integer biases have
// the scale of their tensor.
func (c *call) bias(i, n int) []float32 {
	v := c.optional(i)
	if v == nil {
		return nil
	}
	need(v.len() == n, "bias of %d values for %d channels", v.len(), n)
	if v.real() {
		return v.f
	}
	t := c.op.Inputs[i]
	need(quantized(t), "bias is %v without a scale", t.Type)
	f, err := dequantize(t, v.i)
	need(err == nil, "bias: %v", err)
	return f
}

// setBias starts every row of y with the bias, or with zero.
func setBias(y, bias []float32) {
	if bias == nil {
		clear(y)
		return
	}
	for ; len(y) > 0; y = y[len(bias):] {
		copy(y, bias)
	}
}

// prepareDense transposes a constant filter of input 1 from output channels ×
// rest to rest × output channels.
func prepareDense(constants []*value) any {
	if len(constants) < 2 || constants[1] == nil || !constants[1].real() {
		return nil
	}
	return columns(constants[1])
}

func columns(w *value) []float32 {
	if len(w.shape) == 0 || len(w.f) == 0 {
		return nil
	}
	n := w.shape[0]
	k := len(w.f) / n
	t := value{typ: w.typ, f: make([]float32, len(w.f))}
	move(&t, view{strides: []int{1, n}}, w, dense([]int{n, k}), []int{n, k})
	return t.f
}

// filterColumns is the transposed filter of input 1.
func (c *call) filterColumns() []float32 {
	if f, _ := c.prepared.([]float32); f != nil {
		return f
	}
	return columns(c.realArg(1))
}

// conv2D gathers the inputs of some output pixels into the rows of a matrix
// and multiplies it by the filter. Filters of fewer channels than the input
// make a grouped convolution.
func conv2D(c *call) {
	x, filter := c.realRank(0, 4), c.realRank(1, 4)
	channels, depth, in := filter.shape[0], filter.shape[3], x.shape[3]
	need(depth > 0 && in%depth == 0, "filter depth %d for %d input channels", depth, in)
	groups := in / depth
	need(groups > 0 && channels%groups == 0, "%d output channels in %d groups", channels, groups)
	o := options[schema.Conv2DOptionsT](c)
	g := patches{x: x, depth: depth,
		rows: newWindow(x.shape[1], filter.shape[1], o.StrideH, o.DilationHFactor, o.Padding),
		cols: newWindow(x.shape[2], filter.shape[2], o.StrideW, o.DilationWFactor, o.Padding)}
	bias, weights, activate := c.bias(2, channels), c.filterColumns(), c.activation()
	y := c.sums(x.shape[0], g.rows.out, g.cols.out, channels)
	if y == nil {
		return
	}
	setBias(y, bias)
	k, n := g.len(), channels/groups
	c.eachPatch(&g, func(p, count int) {
		part := y[p*channels : (p+count)*channels]
		for i := range groups {
			gemm.AddProduct(gemm.Panel{Data: part[i*n:], Stride: channels}, g.matrix(p, count, i), gemm.Panel{Data: weights[i*n:], Stride: channels}, count, n, k)
		}
		activate(part)
	})
}

// patches are the input elements that each output pixel of a convolution sees.
type patches struct {
	x          *value
	depth      int // channels of one group
	rows, cols window
	buffer     []float32
}

// len is the number of elements of one patch.
func (g *patches) len() int { return g.rows.filter * g.cols.filter * g.depth }

// trivial reports whether patches are input pixels, so that nothing needs to
// be gathered.
func (g *patches) trivial() bool {
	return g.len() == g.depth && g.rows.stride == 1 && g.cols.stride == 1
}

// eachPatch calls f for runs of output pixels whose patches fit the buffer.
func (c *call) eachPatch(g *patches, f func(p, count int)) {
	total := g.x.shape[0] * g.rows.out * g.cols.out
	if total == 0 || g.len() == 0 {
		return
	}
	count := min(total, max(64, (1<<18)/g.len()&^63))
	n := count * g.len()
	if g.trivial() {
		n = 0
	}
	c.scratch(n, func(buffer []float32) {
		g.buffer = buffer
		for p := 0; p < total; p += count {
			f(p, min(count, total-p))
		}
	})
}

// matrix has the patches of output pixels p… in one group as its rows.
func (g *patches) matrix(p, count, group int) gemm.Panel {
	if g.trivial() {
		in := g.x.shape[3]
		return gemm.Panel{Data: g.x.f[p*in+group*g.depth:], Stride: in}
	}
	k := g.len()
	for i := range count {
		g.gather(g.buffer[i*k:(i+1)*k], p+i, group)
	}
	return gemm.Panel{Data: g.buffer, Stride: k}
}

// gather copies the patch of output pixel p; what lies in the padding is zero.
func (g *patches) gather(dst []float32, p, group int) {
	image := p / (g.rows.out * g.cols.out)
	y0, y1, iy := g.rows.taps(p / g.cols.out % g.rows.out)
	x0, x1, ix := g.cols.taps(p % g.cols.out)
	in := g.x.shape[3]
	line := g.cols.filter * g.depth
	if x0 == x1 {
		y0 = y1
	}
	if y0 > 0 || x0 > 0 || y1 < g.rows.filter || x1 < g.cols.filter {
		clear(dst)
	}
	for y := y0; y < y1; y++ {
		src := g.x.f[((image*g.rows.in+iy)*g.cols.in+ix)*in+group*g.depth:]
		row := dst[y*line+x0*g.depth : y*line+x1*g.depth]
		iy += g.rows.dilation
		if g.cols.dilation == 1 && g.depth == in {
			copy(row, src)
			continue
		}
		for ; len(row) > 0; row = row[g.depth:] {
			copy(row[:g.depth], src)
			src = src[min(g.cols.dilation*in, len(src)):]
		}
	}
}

// transposeConv adds every input pixel's filter response to the output. The
// output size is given; padding is that of the convolution it is the gradient
// of.
func transposeConv(c *call) {
	size, filter, x := c.ints(0), c.realRank(1, 4), c.realRank(2, 4)
	need(len(size) == 4 && size[0] == x.shape[0], "output shape %v for input shape %v", size, x.shape)
	channels, in := filter.shape[0], x.shape[3]
	need(filter.shape[3] == in && size[3] == channels, "filter shape %v for %d input and %d output channels", filter.shape, in, size[3])
	o := options[schema.TransposeConvOptionsT](c)
	rows := newWindow(size[1], filter.shape[1], o.StrideH, 1, o.Padding)
	cols := newWindow(size[2], filter.shape[2], o.StrideW, 1, o.Padding)
	bias, weights, activate := c.bias(3, channels), c.deconvColumns(), c.activation()
	y := c.sums(size...)
	if y == nil {
		return
	}
	setBias(y, bias)
	n := filter.shape[1] * filter.shape[2] * channels
	height, width := x.shape[1], x.shape[2]
	c.scratch(width*n, func(response []float32) {
		for line := range x.shape[0] * height {
			clear(response)
			gemm.AddProduct(gemm.Panel{Data: response, Stride: n}, gemm.Panel{Data: x.f[line*width*in:], Stride: in}, gemm.Panel{Data: weights, Stride: n}, width, n, in)
			image := y[line/height*size[1]*size[2]*channels:]
			scatterLine(image, response, rows, cols, line%height, channels)
		}
	})
	activate(y)
}

// scatterLine adds the responses to one line of input pixels, each a filter's
// size of pixels, to an output image.
func scatterLine(image, response []float32, rows, cols window, line, channels int) {
	patch := rows.filter * cols.filter * channels
	ky0, ky1, oy0 := rows.taps(line)
	for px := range len(response) / patch {
		kx0, kx1, ox := cols.taps(px)
		oy := oy0
		if kx0 == kx1 {
			continue
		}
		for ky := ky0; ky < ky1; ky++ {
			at := px*patch + (ky*cols.filter+kx0)*channels
			n := (kx1 - kx0) * channels
			dst := image[(oy*cols.in+ox)*channels:][:n]
			addRow(dst, dst, response[at:at+n])
			oy++
		}
	}
}

// prepareDeconv makes a constant OHWI filter input channels × HWO.
func prepareDeconv(constants []*value) any {
	if len(constants) < 2 || constants[1] == nil || !constants[1].real() {
		return nil
	}
	return deconvColumns(constants[1])
}

func deconvColumns(w *value) []float32 {
	if len(w.shape) != 4 || len(w.f) == 0 {
		return nil
	}
	o, hw, i := w.shape[0], w.shape[1]*w.shape[2], w.shape[3]
	t := value{typ: w.typ, f: make([]float32, len(w.f))}
	move(&t, view{strides: []int{1, o, hw * o}}, w, dense([]int{o, hw, i}), []int{o, hw, i})
	return t.f
}

func (c *call) deconvColumns() []float32 {
	if f, _ := c.prepared.([]float32); f != nil {
		return f
	}
	return deconvColumns(c.realArg(1))
}
