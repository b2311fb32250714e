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
