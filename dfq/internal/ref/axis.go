package ref

import (
	"math"
	"slices"

	"dfq/schema"
)

// around splits a shape at an axis: the sizes before it, of it and after it.
func around(shape []int, axis int) (outer, n, inner int) {
	outer, inner = 1, 1
	for _, d := range shape[:axis] {
		outer *= d
	}
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	return outer, shape[axis], inner
}

// lastAxis is the kernel of an op that treats each row of the last axis on its
// own.
func lastAxis(c *call, f func(dst, src []float32)) {
	x := c.realArg(0)
	need(len(x.shape) > 0, "input is a scalar")
	y := c.reals(0, x.shape...)
	n := x.shape[len(x.shape)-1]
	for i := 0; i < len(y); i += n {
		f(y[i:i+n], x.f[i:i+n])
	}
}

func softmax(c *call) {
	beta := float64(options[schema.SoftmaxOptionsT](c).Beta)
	lastAxis(c, func(dst, src []float32) {
		top, sum := float64(slices.Max(src)), 0.0
		for i, x := range src {
			e := math.Exp((float64(x) - top) * beta)
			dst[i] = float32(e)
			sum += e
		}
		for i, e := range dst {
			dst[i] = float32(float64(e) / sum)
		}
	})
}

func logSoftmax(c *call) {
	lastAxis(c, func(dst, src []float32) {
		top, sum := float64(slices.Max(src)), 0.0
		for _, x := range src {
			sum += math.Exp(float64(x) - top)
		}
		for i, x := range src {
			dst[i] = float32(float64(x) - top - math.Log(sum))
		}
	})
}

// l2Normalization divides by the Euclidean norm, but by no less than 10⁻⁶.
func l2Normalization(c *call) {
	activate := c.activation()
	lastAxis(c, func(dst, src []float32) {
		sum := 0.0
		for _, x := range src {
			sum += float64(float64(x) * float64(x))
		}
		norm := max(math.Sqrt(sum), 1e-6)
		for i, x := range src {
			dst[i] = float32(float64(x) / norm)
		}
		activate(dst)
	})
}

// localResponseNormalization divides by a power of the energy of the channels
// up to radius away.
func localResponseNormalization(c *call) {
	o := options[schema.LocalResponseNormalizationOptionsT](c)
	r := int(o.Radius)
	need(r >= 0, "radius %d", r)
	lastAxis(c, func(dst, src []float32) {
		for i, x := range src {
			sum := 0.0
			for _, v := range src[max(i-r, 0) : min(i+r, len(src)-1)+1] {
				sum += float64(float64(v) * float64(v))
			}
			base := float64(o.Bias) + float64(float64(o.Alpha)*sum)
			dst[i] = float32(float64(x) * math.Pow(base, -float64(o.Beta)))
		}
	})
}

func cumSum(c *call) {
	x, o := c.arg(0), options[schema.CumsumOptionsT](c)
	a := axis(c.scalar(1), len(x.shape))
	y := c.like(0, x, x.shape...)
	if x.real() {
		accumulate(y.f, x.f, x.shape, a, o)
		return
	}
	accumulate(y.i, x.i, x.shape, a, o)
	for i, v := range y.i {
		y.i[i] = wrap(x.typ, v)
	}
}

func accumulate[T int64 | float32](y, x []T, shape []int, a int, o *schema.CumsumOptionsT) {
	if len(x) == 0 {
		return
	}
	outer, n, inner := around(shape, a)
	for i := range outer * inner {
		at, step := i/inner*n*inner+i%inner, inner
		if o.Reverse {
			at, step = at+(n-1)*inner, -inner
		}
		var sum T
		for range n {
			if o.Exclusive {
				y[at] = sum
			}
			sum += x[at]
			if !o.Exclusive {
				y[at] = sum
			}
			at += step
		}
	}
}

// argBest is the kernel of ARG_MAX and ARG_MIN: the first index along an axis
// with no better value.
func argBest(real func(a, b float32) bool, integer func(a, b int64) bool) kernel {
	return func(c *call) {
		x := c.arg(0)
		a := axis(c.scalar(1), len(x.shape))
		need(x.shape[a] > 0, "axis %d of shape %v is empty", a, x.shape)
		y := c.integers(0, c.indexType(0), slices.Delete(slices.Clone(x.shape), a, a+1)...)
		if x.real() {
			bestIndex(y, x.f, x.shape, a, real)
		} else {
			bestIndex(y, x.i, x.shape, a, integer)
		}
	}
}

func bestIndex[T any](y []int64, x []T, shape []int, a int, better func(a, b T) bool) {
	_, n, inner := around(shape, a)
	for i := range y {
		row := x[i/inner*n*inner+i%inner:]
		best := 0
		for k := 1; k < n; k++ {
			if better(row[k*inner], row[best*inner]) {
				best = k
			}
		}
		y[i] = int64(best)
	}
}

// topK gives the k largest values of each row of the last axis and their
// indices. Of equal values the first comes first.
func topK(c *call) {
	x, k := c.arg(0), c.scalar(1)
	last := len(x.shape) - 1
	need(last >= 0 && 0 <= k && k <= x.shape[last], "%d largest of shape %v", k, x.shape)
	shape := append(slices.Clone(x.shape[:last]), k)
	y := c.like(0, x, shape...)
	index := c.integers(1, c.indexType(1), shape...)
	if x.real() {
		largest(y.f, index, x.f, k, x.shape[last])
	} else {
		largest(y.i, index, x.i, k, x.shape[last])
	}
}

func largest[T int64 | float32](y []T, index []int64, x []T, k, n int) {
	order := make([]int, n)
	for ; len(y) > 0; x, y, index = x[n:], y[k:], index[k:] {
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int {
			switch {
			case x[i] > x[j]:
				return -1
			case x[i] < x[j]:
				return 1
			}
			return 0
		})
		for i, o := range order[:k] {
			y[i], index[i] = x[o], int64(o)
		}
	}
}

// reduction is where the elements of an input go when some axes are reduced.
type reduction struct {
	x     *value
	shape []int // of the result
	to    view  // into the result; reduced axes have stride 0
	count int   // elements per result
}

func (c *call) reduction() reduction {
	x := c.arg(0)
	reduced := make([]bool, len(x.shape))
	for _, a := range c.ints(1) {
		reduced[axis(a, len(x.shape))] = true
	}
	r := reduction{x: x, shape: []int{}, to: view{strides: make([]int, len(x.shape))}, count: 1}
	n := 1
	for a := len(x.shape) - 1; a >= 0; a-- {
		if reduced[a] {
			r.count *= x.shape[a]
			continue
		}
		r.to.strides[a] = n
		n *= x.shape[a]
	}
	keep := options[schema.ReducerOptionsT](c).KeepDims
	for a, n := range x.shape {
		switch {
		case !reduced[a]:
			r.shape = append(r.shape, n)
		case keep:
			r.shape = append(r.shape, 1)
		}
	}
	return r
}

// fold reduces the elements x of r into as many numbers as the result has.
func fold[A, T any](r *reduction, x []T, start A, f func(A, A) A, convert func(T) A) []A {
	n, err := size(r.shape)
	need(err == nil, "%v", err)
	sums := make([]A, n)
	for i := range sums {
		sums[i] = start
	}
	if len(x) == 0 {
		return sums
	}
	shape, strides := collapse(r.x.shape, r.to.strides, dense(r.x.shape).strides)
	last := len(shape) - 1
	step := strides[0][last]
	walk(shape[:last], view{strides: strides[0]}, view{strides: strides[1]}, func(to, from int) {
		for _, v := range x[from : from+shape[last]] {
			sums[to] = f(sums[to], convert(v))
			to += step
		}
	})
	return sums
}

// reduce is the kernel of a reduction. Either function may be nil.
func reduce(realStart float64, real func(a, x float64) float64, start int64, integer func(a, x int64) int64) kernel {
	return func(c *call) {
		r := c.reduction()
		if r.x.real() {
			need(real != nil, "no kernel for real values")
			c.setReals(r.shape, fold(&r, r.x.f, realStart, real, toDouble))
			return
		}
		need(integer != nil, "no kernel for %v", r.x.typ)
		y := c.integers(0, r.x.typ, r.shape...)
		for i, s := range fold(&r, r.x.i, start, integer, same) {
			y[i] = wrap(r.x.typ, s)
		}
	}
}

func toDouble(x float32) float64 { return float64(x) }
func same(x int64) int64         { return x }

func sum[T int64 | float64](a, x T) T     { return a + x }
func product[T int64 | float64](a, x T) T { return a * x }

func (c *call) setReals(shape []int, x []float64) {
	y := c.reals(0, shape...)
	for i, v := range x {
		y[i] = float32(v)
	}
}

// mean divides integers as C does: towards zero.
func mean(c *call) {
	r := c.reduction()
	if r.x.real() {
		sums := fold(&r, r.x.f, 0, sum[float64], toDouble)
		for i := range sums {
			sums[i] /= float64(r.count)
		}
		c.setReals(r.shape, sums)
		return
	}
	y := c.integers(0, r.x.typ, r.shape...)
	for i, s := range fold(&r, r.x.i, 0, sum[int64], same) {
		y[i] = quotient(s, int64(r.count))
	}
}
