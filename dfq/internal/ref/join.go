package ref

import (
	"slices"

	"dfq/schema"
)

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
