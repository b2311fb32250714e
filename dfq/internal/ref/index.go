package ref

import (
	"math"
	"slices"

	"dfq/schema"
)

// indexed checks that i is an index of an axis of size n.
func indexed(i, n int) int {
	need(0 <= i && i < n, "index %d of %d", i, n)
	return i
}

// copyElements copies n elements between tensors of one type.
func copyElements(dst *value, to int, src *value, from, n int) {
	if src.real() {
		copy(dst.f[to:to+n], src.f[from:from+n])
	} else {
		copy(dst.i[to:to+n], src.i[from:from+n])
	}
}

// gather picks slices along an axis; the first batch axes of input and indices
// go together.
func gather(c *call) {
	x, at, index := c.arg(0), c.intArg(1), c.ints(1)
	o := options[schema.GatherOptionsT](c)
	a := axis(int(o.Axis), len(x.shape))
	batch := int(o.BatchDims)
	if batch < 0 {
		batch += len(at.shape)
	}
	need(0 <= batch && batch <= a && batch <= len(at.shape) && slices.Equal(x.shape[:batch], at.shape[:batch]),
		"%d batch axes of shapes %v and %v, axis %d", batch, x.shape, at.shape, a)
	y := c.like(0, x, slices.Concat(x.shape[:a], at.shape[batch:], x.shape[a+1:])...)
	if y.len() == 0 {
		return
	}
	outer, n, inner := around(x.shape, a)
	groups, _ := size(x.shape[:batch])
	count := len(index) / groups
	for k := range outer {
		group := index[k/(outer/groups)*count:][:count]
		for j, i := range group {
			copyElements(y, (k*count+j)*inner, x, (k*n+indexed(i, n))*inner, inner)
		}
	}
}

// embeddingLookup is a gather of rows, its inputs the other way round.
func embeddingLookup(c *call) {
	index, x := c.ints(0), c.arg(1)
	need(len(x.shape) > 0, "the table is a scalar")
	y := c.like(0, x, append([]int{len(index)}, x.shape[1:]...)...)
	_, n, inner := around(x.shape, 0)
	for j, i := range index {
		copyElements(y, j*inner, x, indexed(i, n)*inner, inner)
	}
}

// coordinates turns an index tensor whose last axis holds coordinates into
// offsets of slices of a tensor of that shape.
func (c *call) coordinates(i int, shape []int) (lead []int, offsets []int, slice []int) {
	at, list := c.intArg(i), c.ints(i)
	r := len(at.shape) - 1
	need(r >= 0 && at.shape[r] <= len(shape), "index shape %v for shape %v", at.shape, shape)
	lead, slice = at.shape[:r], shape[at.shape[r]:]
	depth := at.shape[r]
	count, err := size(lead)
	need(err == nil, "%v", err)
	strides := dense(shape).strides
	offsets = make([]int, count)
	for k := range offsets {
		for a, i := range list[k*depth : (k+1)*depth] {
			offsets[k] += indexed(i, shape[a]) * strides[a]
		}
	}
	return lead, offsets, slice
}

func gatherND(c *call) {
	x := c.arg(0)
	lead, offsets, part := c.coordinates(1, x.shape)
	y := c.like(0, x, slices.Concat(lead, part)...)
	n, _ := size(part)
	for k, from := range offsets {
		copyElements(y, k*n, x, from, n)
	}
}

// scatterND adds up updates that go to the same place.
func scatterND(c *call) {
	updates, shape := c.arg(1), c.ints(2)
	y := c.like(0, updates, shape...)
	clear(y.f)
	_, offsets, part := c.coordinates(0, shape)
	n, _ := size(part)
	need(len(offsets)*n == updates.len(), "%d updates for %d slices of %v", updates.len(), len(offsets), part)
	for k, to := range offsets {
		for i := range n {
			if updates.real() {
				y.f[to+i] += updates.f[k*n+i]
			} else {
				y.i[to+i] = wrap(y.typ, y.i[to+i]+updates.i[k*n+i])
			}
		}
	}
}

// sparseToDense writes values to the given places and a default elsewhere. A
// vector of indices is one of places along the only axis.
func sparseToDense(c *call) {
	at, shape, values := c.intArg(0), c.ints(1), c.arg(2)
	y := c.like(0, values, shape...)
	y.fillWith(c.arg(3))
	var offsets []int
	if len(at.shape) < 2 {
		need(len(shape) == 1, "indices of shape %v for shape %v", at.shape, shape)
		for _, i := range c.ints(0) {
			offsets = append(offsets, indexed(i, shape[0]))
		}
	} else {
		var part []int
		_, offsets, part = c.coordinates(0, shape)
		need(len(part) == 0, "indices of shape %v for shape %v", at.shape, shape)
	}
	need(values.len() == 1 || values.len() == len(offsets), "%d values for %d places", values.len(), len(offsets))
	for k, to := range offsets {
		copyElements(y, to, values, k%values.len(), 1)
	}
}

// matrixDiag makes matrices with rows of the input on their diagonals and zeros
// elsewhere.
func matrixDiag(c *call) {
	x := c.arg(0)
	need(len(x.shape) > 0, "the diagonal is a scalar")
	n := x.shape[len(x.shape)-1]
	y := c.like(0, x, append(slices.Clone(x.shape), n)...)
	clear(y.f)
	for k := range x.len() {
		copyElements(y, k*n+k%n, x, k, 1)
	}
}

// matrixSetDiag is input 0 with the rows of input 1 on the diagonals.
func matrixSetDiag(c *call) {
	x, diagonal := c.arg(0), c.arg(1)
	r := len(x.shape)
	need(r >= 2 && x.typ == diagonal.typ, "a matrix of shape %v and %v, a diagonal of %v", x.shape, x.typ, diagonal.typ)
	rows, columns := x.shape[r-2], x.shape[r-1]
	n := min(rows, columns)
	need(slices.Equal(diagonal.shape, append(slices.Clone(x.shape[:r-2]), n)), "a diagonal of shape %v for shape %v", diagonal.shape, x.shape)
	y := c.like(0, x, x.shape...)
	copyElements(y, 0, x, 0, x.len())
	for k := range diagonal.len() {
		copyElements(y, k/n*rows*columns+k%n*(columns+1), diagonal, k, 1)
	}
}

// oneHot writes the on value where the index along the new axis is the input's,
// the off value elsewhere.
func oneHot(c *call) {
	at, index, depth := c.intArg(0), c.ints(0), c.scalar(1)
	on, off := c.arg(2), c.arg(3)
	need(on.typ == off.typ && on.len() == 1, "on and off values differ in type or are no scalars")
	a := axis(int(options[schema.OneHotOptionsT](c).Axis), len(at.shape)+1)
	y := c.like(0, on, slices.Insert(slices.Clone(at.shape), a, depth)...)
	y.fillWith(off)
	inner, _ := size(at.shape[a:])
	for k, i := range index {
		if 0 <= i && i < depth {
			copyElements(y, (k/inner*depth+i)*inner+k%inner, on, 0, 1)
		}
	}
}

// selectV1 picks by element, or whole slices of the first axis if the
// condition is a vector, or one whole input if it is a scalar.
func selectV1(c *call) {
	condition, x, y := c.intArg(0), c.arg(1), c.arg(2)
	need(x.typ == y.typ && slices.Equal(x.shape, y.shape), "inputs 1 and 2 differ in type or shape")
	n := condition.len()
	whole := n == 1 && len(condition.shape) <= 1
	rows := len(condition.shape) == 1 && len(x.shape) > 0 && n == x.shape[0]
	need(whole || rows || slices.Equal(condition.shape, x.shape), "condition %v for shape %v", condition.shape, x.shape)
	z := c.like(0, x, x.shape...)
	for k, t := range condition.i {
		from := y
		if t != 0 {
			from = x
		}
		copyElements(z, k*(x.len()/n), from, k*(x.len()/n), x.len()/n)
	}
}

// selectV2 broadcasts all three inputs.
func selectV2(c *call) {
	condition, x, y := c.intArg(0), c.arg(1), c.arg(2)
	need(x.typ == y.typ, "inputs 1 and 2 are %v and %v", x.typ, y.typ)
	shape := broadcastShape(condition.shape, broadcastShape(x.shape, y.shape))
	z := c.like(0, x, shape...)
	if z.len() == 0 {
		return
	}
	cv, xv, yv := stretched(condition.shape, shape), stretched(x.shape, shape), stretched(y.shape, shape)
	move(z, dense(shape), y, yv, shape)
	k := 0
	walk(shape, cv, xv, func(ci, xi int) {
		if condition.i[ci] != 0 {
			copyElements(z, k, x, xi, 1)
		}
		k++
	})
}

// where lists the coordinates of all elements that are not zero.
func where(c *call) {
	x := c.arg(0)
	r := len(x.shape)
	var found []int
	for i, t := range x.i {
		if t != 0 {
			found = append(found, i)
		}
	}
	for i, t := range x.f {
		if t != 0 {
			found = append(found, i)
		}
	}
	y := c.integers(0, schema.TensorTypeINT64, len(found), r)
	strides := dense(x.shape).strides
	for k, i := range found {
		for a, stride := range strides {
			y[k*r+a] = int64(i / stride)
			i %= stride
		}
	}
}

// segmentSum adds up the rows that have the same segment id. Ids do not
// descend.
func segmentSum(c *call) {
	x, ids := c.arg(0), c.ints(1)
	need(len(x.shape) > 0 && len(ids) == x.shape[0], "%d segment ids for shape %v", len(ids), x.shape)
	need(slices.IsSorted(ids) && (len(ids) == 0 || ids[0] >= 0 && ids[len(ids)-1] < maxElements), "segment ids are negative or descend")
	shape := slices.Clone(x.shape)
	shape[0] = 0
	if len(ids) > 0 {
		shape[0] = ids[len(ids)-1] + 1
	}
	y := c.like(0, x, shape...)
	clear(y.f)
	_, _, n := around(x.shape, 0)
	for k, id := range ids {
		for i := range n {
			if x.real() {
				y.f[id*n+i] += x.f[k*n+i]
			} else {
				y.i[id*n+i] = wrap(x.typ, y.i[id*n+i]+x.i[k*n+i])
			}
		}
	}
}

func fill(c *call) {
	v := c.arg(1)
	c.like(0, v, c.ints(0)...).fillWith(v)
}

// rangeOf counts from start to before limit.
func rangeOf(c *call) {
	start, limit, delta := c.arg(0), c.arg(1), c.arg(2)
	for _, v := range []*value{start, limit, delta} {
		need(v.len() == 1 && v.typ == start.typ, "start, limit and delta are no scalars of one type")
	}
	if !start.real() {
		from, to, by := start.i[0], limit.i[0], delta.i[0]
		n := rangeLen(float64(from), float64(to), float64(by))
		for i := range c.integers(0, start.typ, n) {
			c.out[0].i[i] = from + int64(i)*by
		}
		return
	}
	x, by := start.f[0], delta.f[0]
	y := c.reals(0, rangeLen(float64(x), float64(limit.f[0]), float64(by)))
	for i := range y {
		y[i] = x
		x += by
	}
}

func rangeLen(from, to, by float64) int {
	n := math.Ceil((to - from) / by)
	need(from == to && by != 0 || 0 <= n && n <= maxElements, "range from %v to %v by %v", from, to, by)
	return int(n)
}
