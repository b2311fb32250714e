package ref

import (
	"slices"

	"dfq/schema"
)

// recast makes output 0 the elements of x in another shape.
func (c *call) recast(x *value, shape ...int) {
	y := c.like(0, x, shape...)
	need(y.len() == x.len(), "%d elements do not fit shape %v", x.len(), shape)
	copy(y.f, x.f)
	copy(y.i, x.i)
}

// reshape takes its shape from the second input or, in older files, from the
// options. One dimension may be -1; [0] stands for a scalar.
func reshape(c *call) {
	x := c.arg(0)
	var shape []int
	if s := c.optional(1); s != nil && len(s.shape) == 1 {
		shape = c.ints(1)
	} else {
		for _, d := range options[schema.ReshapeOptionsT](c).NewShape {
			shape = append(shape, int(d))
		}
	}
	if len(shape) == 1 && shape[0] == 0 && x.len() == 1 {
		shape = nil
	}
	if open := slices.Index(shape, -1); open >= 0 {
		shape[open] = 1
		n, err := size(shape)
		need(err == nil && n > 0 && x.len()%n == 0, "%d elements do not fit shape %v", x.len(), shape)
		shape[open] = x.len() / n
	}
	c.recast(x, shape...)
}

func squeeze(c *call) {
	x := c.arg(0)
	dims := options[schema.SqueezeOptionsT](c).SqueezeDims
	drop := make([]bool, len(x.shape))
	for _, d := range dims {
		a := axis(int(d), len(x.shape))
		need(x.shape[a] == 1, "axis %d of shape %v is squeezed", a, x.shape)
		drop[a] = true
	}
	var shape []int
	for a, n := range x.shape {
		if !drop[a] && (n != 1 || len(dims) > 0) {
			shape = append(shape, n)
		}
	}
	c.recast(x, shape...)
}

func expandDims(c *call) {
	x := c.arg(0)
	a := axis(c.scalar(1), len(x.shape)+1)
	c.recast(x, slices.Insert(slices.Clone(x.shape), a, 1)...)
}

func transpose(c *call) {
	x, perm := c.arg(0), c.ints(1)
	need(len(perm) == len(x.shape), "permutation %v of shape %v", perm, x.shape)
	strides := dense(x.shape).strides
	shape, from := make([]int, len(perm)), view{strides: make([]int, len(perm))}
	seen := make([]bool, len(perm))
	for i, p := range perm {
		a := axis(p, len(perm))
		need(!seen[a], "permutation %v names axis %d twice", perm, a)
		seen[a] = true
		shape[i], from.strides[i] = x.shape[a], strides[a]
	}
	move(c.like(0, x, shape...), dense(shape), x, from, shape)
}

func reverse(c *call) {
	x := c.arg(0)
	from := dense(x.shape)
	for _, a := range c.ints(1) {
		a = axis(a, len(x.shape))
		need(from.strides[a] >= 0, "axis %d is reversed twice", a)
		from.off += max(x.shape[a]-1, 0) * from.strides[a]
		from.strides[a] = -from.strides[a]
	}
	move(c.like(0, x, x.shape...), dense(x.shape), x, from, x.shape)
}

// reverseSequence reverses, for each batch, as many elements along the
// sequence axis as the second input says.
func reverseSequence(c *call) {
	x, lengths := c.arg(0), c.ints(1)
	o := options[schema.ReverseSequenceOptionsT](c)
	seq, batch := axis(int(o.SeqDim), len(x.shape)), axis(int(o.BatchDim), len(x.shape))
	need(seq != batch && len(lengths) == x.shape[batch], "%d lengths along axes %d and %d of shape %v", len(lengths), batch, seq, x.shape)
	y, all := c.like(0, x, x.shape...), dense(x.shape)
	move(y, all, x, all, x.shape)
	for b, n := range lengths {
		need(0 <= n && n <= x.shape[seq], "length %d of axis %d of shape %v", n, seq, x.shape)
		if n == 0 {
			continue
		}
		part := slices.Clone(x.shape)
		part[batch], part[seq] = 1, n
		to, from := dense(x.shape), dense(x.shape)
		to.off = b * to.strides[batch]
		from.off = to.off + (n-1)*from.strides[seq]
		from.strides[seq] = -from.strides[seq]
		move(y, to, x, from, part)
	}
}

// pairs is input i as one pair of numbers, neither negative, for each of n axes.
func (c *call) pairs(i, n int) [][2]int {
	v := c.ints(i)
	need(len(v) == 2*n, "input %d has %d elements, want 2 for each of %d axes", i, len(v), n)
	list := make([][2]int, n)
	for a := range list {
		list[a] = [2]int{v[2*a], v[2*a+1]}
		need(0 <= v[2*a] && v[2*a] <= maxElements && 0 <= v[2*a+1] && v[2*a+1] <= maxElements, "input %d: padding %v", i, list[a])
	}
	return list
}

// fillWith sets all elements of v to the one of a scalar of the same type.
func (v *value) fillWith(scalar *value) {
	need(scalar.typ == v.typ && scalar.len() == 1, "a scalar %v is wanted", v.typ)
	for i := range v.f {
		v.f[i] = scalar.f[0]
	}
	for i := range v.i {
		v.i[i] = scalar.i[0]
	}
}

// pad is the kernel of PAD and PADV2, which names the value to pad with.
func pad(c *call) {
	x := c.arg(0)
	shape, start := slices.Clone(x.shape), make([]int, len(x.shape))
	for a, p := range c.pairs(1, len(x.shape)) {
		shape[a] += p[0] + p[1]
		start[a] = p[0]
	}
	y := c.like(0, x, shape...)
	if v := c.optional(2); v != nil {
		y.fillWith(v)
	} else {
		clear(y.f)
	}
	move(y, dense(shape).from(start), x, dense(x.shape), x.shape)
}

// mirrorPad pads one axis after the other. SYMMETRIC repeats the border
// element, REFLECT does not.
func mirrorPad(c *call) {
	x := *c.arg(0)
	border := 0
	if options[schema.MirrorPadOptionsT](c).Mode == schema.MirrorPadModeREFLECT {
		border = 1
	}
	for a, p := range c.pairs(1, len(x.shape)) {
		n := x.shape[a]
		need(p == [2]int{} || max(p[0], p[1]) <= n-border, "padding %v of axis %d of shape %v", p, a, x.shape)
		index := make([]int, 0, n+p[0]+p[1])
		for i := p[0]; i > 0; i-- {
			index = append(index, i-1+border)
		}
		for i := range n {
			index = append(index, i)
		}
		for i := range p[1] {
			index = append(index, n-1-border-i)
		}
		x = c.take(&x, a, index)
	}
	c.recast(&x, x.shape...)
}

// take picks slices of x along an axis.
func (c *call) take(x *value, a int, index []int) value {
	shape := slices.Clone(x.shape)
	shape[a] = len(index)
	n, err := size(shape)
	need(err == nil, "%v", err)
	y := value{typ: x.typ, shape: shape}
	if x.real() {
		y.f = make([]float32, n)
	} else {
		y.i = make([]int64, n)
	}
	part := slices.Clone(shape)
	part[a] = 1
	to, from := dense(shape), dense(x.shape)
	for _, k := range index {
		src := from
		src.off = k * from.strides[a]
		move(&y, to, x, src, part)
		to.off += to.strides[a]
	}
	return y
}

func concatenation(c *call) {
	need(len(c.in) > 0, "no inputs")
	first := c.arg(0)
	a := axis(int(options[schema.ConcatenationOptionsT](c).Axis), len(first.shape))
	shape := slices.Clone(first.shape)
	shape[a] = 0
	for i := range c.in {
		x := c.arg(i)
		need(x.typ == first.typ && len(x.shape) == len(shape), "input %d is %v %v, input 0 is %v %v", i, x.typ, x.shape, first.typ, first.shape)
		for k, n := range x.shape {
			need(k == a || n == shape[k], "shapes %v and %v differ off axis %d", first.shape, x.shape, a)
		}
		shape[a] += x.shape[a]
	}
	activate := c.activation()
	y := c.like(0, first, shape...)
	to := dense(shape)
	for _, x := range c.in {
		move(y, to, x, dense(x.shape), x.shape)
		to.off += x.shape[a] * to.strides[a]
	}
	activate(y.f)
}

func pack(c *call) {
	first := c.arg(0)
	a := axis(int(options[schema.PackOptionsT](c).Axis), len(first.shape)+1)
	shape := slices.Insert(slices.Clone(first.shape), a, len(c.in))
	y := c.like(0, first, shape...)
	to := dense(shape)
	part := view{strides: slices.Delete(slices.Clone(to.strides), a, a+1)}
	for i := range c.in {
		x := c.arg(i)
		need(x.typ == first.typ && slices.Equal(x.shape, first.shape), "inputs 0 and %d differ in type or shape", i)
		move(y, part, x, dense(x.shape), x.shape)
		part.off += to.strides[a]
	}
}

func unpack(c *call) {
	x := c.arg(0)
	a := axis(int(options[schema.UnpackOptionsT](c).Axis), len(x.shape))
	need(len(c.out) == x.shape[a], "%d outputs for axis %d of shape %v", len(c.out), a, x.shape)
	shape := slices.Delete(slices.Clone(x.shape), a, a+1)
	all := dense(x.shape)
	from := view{strides: slices.Delete(slices.Clone(all.strides), a, a+1)}
	for i := range c.out {
		move(c.like(i, x, shape...), dense(shape), x, from, shape)
		from.off += all.strides[a]
	}
}

func split(c *call) {
	x := c.arg(1)
	a := axis(c.scalar(0), len(x.shape))
	n := len(c.out)
	need(n > 0 && x.shape[a]%n == 0, "axis %d of shape %v in %d parts", a, x.shape, n)
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = x.shape[a] / n
	}
	c.parts(x, a, sizes)
}

// splitV takes the sizes of the parts from its second input; one may be -1.
func splitV(c *call) {
	x, sizes := c.arg(0), c.ints(1)
	a := axis(c.scalar(2), len(x.shape))
	need(len(sizes) == len(c.out), "%d sizes for %d outputs", len(sizes), len(c.out))
	rest, open := x.shape[a], -1
	for i, n := range sizes {
		need(n >= -1 && (n >= 0 || open < 0), "sizes %v", sizes)
		if n < 0 {
			open = i
		} else {
			rest -= n
		}
	}
	if open >= 0 {
		sizes[open], rest = rest, 0
	}
	need(rest == 0, "sizes %v of axis %d of shape %v", sizes, a, x.shape)
	c.parts(x, a, sizes)
}

// parts sets the outputs to consecutive parts of x along an axis.
func (c *call) parts(x *value, a int, sizes []int) {
	from := dense(x.shape)
	for i, n := range sizes {
		shape := slices.Clone(x.shape)
		shape[a] = n
		move(c.like(i, x, shape...), dense(shape), x, from, shape)
		from.off += n * from.strides[a]
	}
}

func slice(c *call) {
	x, begin, count := c.arg(0), c.ints(1), c.ints(2)
	need(len(begin) == len(x.shape) && len(count) == len(x.shape), "begin %v and size %v for shape %v", begin, count, x.shape)
	for a, n := range x.shape {
		need(0 <= begin[a] && begin[a] <= n, "begin %v for shape %v", begin, x.shape)
		if count[a] == -1 {
			count[a] = n - begin[a]
		}
		need(0 <= count[a] && count[a] <= n-begin[a], "begin %v and size %v for shape %v", begin, count, x.shape)
	}
	move(c.like(0, x, count...), dense(count), x, dense(x.shape).from(begin), count)
}

// dynamicUpdateSlice writes the second input over a part of the first; the
// start is moved so that the part lies inside.
func dynamicUpdateSlice(c *call) {
	x, update, start := c.arg(0), c.arg(1), c.ints(2)
	need(x.typ == update.typ && len(start) == len(x.shape) && len(update.shape) == len(x.shape), "update %v at %v of shape %v", update.shape, start, x.shape)
	for a, n := range x.shape {
		need(update.shape[a] <= n, "update %v of shape %v", update.shape, x.shape)
		start[a] = min(max(start[a], 0), n-update.shape[a])
	}
	y, all := c.like(0, x, x.shape...), dense(x.shape)
	move(y, all, x, all, x.shape)
	move(y, all.from(start), update, dense(update.shape), update.shape)
}

func tile(c *call) {
	x, times := c.arg(0), c.ints(1)
	need(len(times) == len(x.shape), "multiples %v for shape %v", times, x.shape)
	var shape, block []int
	var from view
	for a, stride := range dense(x.shape).strides {
		n, m := x.shape[a], times[a]
		need(0 <= m && m <= maxElements, "multiples %v", times)
		shape = append(shape, n*m)
		block = append(block, m, n)
		from.strides = append(from.strides, 0, stride)
	}
	move(c.like(0, x, shape...), dense(block), x, from, block)
}

func broadcastTo(c *call) {
	x, shape := c.arg(0), c.ints(1)
	move(c.like(0, x, shape...), dense(shape), x, stretched(x.shape, shape), shape)
}

func broadcastArgs(c *call) {
	shape := broadcastShape(c.ints(0), c.ints(1))
	y := c.integers(0, c.intArg(0).typ, len(shape))
	for i, n := range shape {
		y[i] = int64(n)
	}
}

// shape and rank describe their input.
func shape(c *call) {
	x := c.arg(0)
	y := c.integers(0, c.indexType(0), len(x.shape))
	for i, n := range x.shape {
		y[i] = int64(n)
	}
}

func rank(c *call) {
	c.integers(0, schema.TensorTypeINT32)[0] = int64(len(c.arg(0).shape))
}
