package ref

import (
	"slices"

	"dfq/schema"
)

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
