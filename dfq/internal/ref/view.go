package ref

import (
	"slices"
)

// A view addresses elements of a flat array: the one at index (i₀, i₁, …) is
// at off + Σ iₐ·strides[a]. A stride of 0 repeats, a negative one reverses.
// Ops that only move data around are two views and one move.
type view struct {
	off     int
	strides []int
}

// dense is the view of a whole row-major array.
func dense(shape []int) view {
	strides := make([]int, len(shape))
	n := 1
	for a := len(shape) - 1; a >= 0; a-- {
		strides[a] = n
		n *= shape[a]
	}
	return view{strides: strides}
}

// from is v moved by an index.
func (v view) from(index []int) view {
	for a, i := range index {
		v.off += i * v.strides[a]
	}
	return v
}

// stretched is the view of an array of one shape broadcast to another: axes
// are aligned at the end, axes of size 1 repeat.
func stretched(shape, to []int) view {
	need(len(shape) <= len(to), "shape %v does not broadcast to %v", shape, to)
	v := view{strides: make([]int, len(to))}
	lead := len(to) - len(shape)
	for a, stride := range dense(shape).strides {
		need(shape[a] == to[lead+a] || shape[a] == 1, "shape %v does not broadcast to %v", shape, to)
		if shape[a] != 1 {
			v.strides[lead+a] = stride
		}
	}
	return v
}

// move copies the elements of a block of that shape from one view to another.
// dst and src are of the same type.
func move(dst *value, dv view, src *value, sv view, shape []int) {
	if slices.Contains(shape, 0) {
		return
	}
	shape, strides := collapse(shape, dv.strides, sv.strides)
	dv.strides, sv.strides = strides[0], strides[1]
	if src.real() {
		copyBlock(dst.f, dv, src.f, sv, shape)
	} else {
		copyBlock(dst.i, dv, src.i, sv, shape)
	}
}

// collapse drops axes of size 1 and joins neighbouring axes that every operand
// walks as one. The result has at least one axis.
func collapse(shape []int, operands ...[]int) ([]int, [][]int) {
	var joined []int
	strides := make([][]int, len(operands))
	for a, n := range shape {
		if n == 1 {
			continue
		}
		last := len(joined) - 1
		joins := last >= 0
		for k, o := range operands {
			joins = joins && strides[k][last] == o[a]*n
		}
		if joins {
			joined[last] *= n
		} else {
			joined = append(joined, n)
			last++
		}
		for k, o := range operands {
			strides[k] = append(strides[k][:last], o[a])
		}
	}
	if len(joined) == 0 {
		joined = []int{1}
		for k := range strides {
			strides[k] = []int{1}
		}
	}
	return joined, strides
}

func copyBlock[T any](dst []T, dv view, src []T, sv view, shape []int) {
	if len(shape) == 1 {
		copyRow(dst[dv.off:], dv.strides[0], src, sv.off, sv.strides[0], shape[0])
		return
	}
	ds, ss := dv.strides[0], sv.strides[0]
	dv.strides, sv.strides = dv.strides[1:], sv.strides[1:]
	for range shape[0] {
		copyBlock(dst, dv, src, sv, shape[1:])
		dv.off += ds
		sv.off += ss
	}
}

// copyRow copies n elements; the source stride may be negative.
func copyRow[T any](dst []T, ds int, src []T, off, ss, n int) {
	if ds == 1 && ss == 1 {
		copy(dst[:n], src[off:off+n])
		return
	}
	for i := range n {
		dst[i*ds] = src[off]
		off += ss
	}
}

// broadcastShape is the shape of an elementwise result.
func broadcastShape(a, b []int) []int {
	if len(a) < len(b) {
		a, b = b, a
	}
	shape := slices.Clone(a)
	lead := len(a) - len(b)
	for i, n := range b {
		switch m := &shape[lead+i]; {
		case *m == 1:
			*m = n
		default:
			need(n == *m || n == 1, "shapes %v and %v do not broadcast", a, b)
		}
	}
	return append([]int{}, shape...)
}

// rowLen is how many elements elementwise kernels get at a time.
const rowLen = 1024

// eachRow calls f for rows of the broadcast operands a and b, and of the dense
// result dst. All three slices have the same length.
func eachRow[R, T any](dst []R, shape []int, a []T, av view, b []T, bv view, f func(dst []R, a, b []T)) {
	if len(dst) == 0 {
		return
	}
	shape, strides := collapse(shape, av.strides, bv.strides)
	av.strides, bv.strides = strides[0], strides[1]
	last := len(shape) - 1
	ra := row[T]{src: a, stride: av.strides[last]}
	rb := row[T]{src: b, stride: bv.strides[last]}
	walk(shape[:last], av, bv, func(ao, bo int) {
		for i := 0; i < shape[last]; i += rowLen {
			n := min(rowLen, shape[last]-i)
			f(dst[:n], ra.at(ao, i, n), rb.at(bo, i, n))
			dst = dst[n:]
		}
	})
}

// A row is one operand's innermost axis, of stride 1 or 0.
type row[T any] struct {
	src    []T
	stride int
	repeat []T // of stride 0: copies of one element
}

func (r *row[T]) at(off, i, n int) []T {
	if r.stride == 1 {
		return r.src[off+i : off+i+n]
	}
	if r.repeat == nil {
		r.repeat = make([]T, rowLen)
	}
	for k := range r.repeat[:n] {
		r.repeat[k] = r.src[off]
	}
	return r.repeat[:n]
}

// walk calls f with the offsets of both views for every index of a shape.
func walk(shape []int, a, b view, f func(a, b int)) {
	if len(shape) == 0 {
		f(a.off, b.off)
		return
	}
	as, bs := a.strides[0], b.strides[0]
	a.strides, b.strides = a.strides[1:], b.strides[1:]
	for range shape[0] {
		walk(shape[1:], a, b, f)
		a.off += as
		b.off += bs
	}
}
