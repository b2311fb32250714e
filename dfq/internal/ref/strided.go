package ref

import (
	"math/bits"

	"dfq/schema"
)

// stridedSlice cuts out a block as Python's x[begin:end:stride, …] does. Bit i
// of a mask speaks of entry i of begin, end and strides, which is one axis of
// the input unless it is the ellipsis (all axes that have no entry of their
// own) or a new axis (of size 1, of no input axis).
func stridedSlice(c *call) {
	x, begin, end, stride := c.arg(0), c.ints(1), c.ints(2), c.ints(3)
	need(len(begin) == len(end) && len(end) == len(stride) && len(begin) <= 32, "begin, end and strides have %d, %d and %d elements", len(begin), len(end), len(stride))
	o := options[schema.StridedSliceOptionsT](c)
	s := slicer{x: x, strides: dense(x.shape).strides, shape: []int{}}
	entries := uint32(1<<len(begin) - 1)
	need(bits.OnesCount32(uint32(o.EllipsisMask)&entries) <= 1, "more than one ellipsis")
	for i := range begin {
		bit := int32(1) << i
		switch {
		case o.EllipsisMask&bit != 0:
			later := entries &^ (1<<(i+1) - 1) &^ uint32(o.NewAxisMask)
			for len(x.shape)-s.axis > bits.OnesCount32(later) {
				s.keep()
			}
		case o.NewAxisMask&bit != 0:
			s.shape = append(s.shape, 1)
			s.from.strides = append(s.from.strides, 0)
		case o.ShrinkAxisMask&bit != 0:
			s.pick(begin[i])
		default:
			stop := end[i]
			if o.Offset {
				stop += begin[i]
			}
			s.cut(begin[i], stop, stride[i], o.BeginMask&bit != 0, o.EndMask&bit != 0)
		}
	}
	for s.axis < len(x.shape) {
		s.keep()
	}
	move(c.like(0, x, s.shape...), dense(s.shape), x, s.from, s.shape)
}

// A slicer builds the view of a slice axis by axis.
type slicer struct {
	x       *value
	strides []int // of x
	axis    int   // next of x
	shape   []int // of the result so far
	from    view
}

// next is the size and stride of the next input axis.
func (s *slicer) next() (n, stride int) {
	need(s.axis < len(s.x.shape), "more entries than axes of shape %v", s.x.shape)
	n, stride = s.x.shape[s.axis], s.strides[s.axis]
	s.axis++
	return n, stride
}

// keep takes a whole axis.
func (s *slicer) keep() { s.cut(0, 0, 1, true, true) }

// pick takes one index of an axis, which is dropped.
func (s *slicer) pick(i int) {
	n, stride := s.next()
	if i < 0 {
		i += n
	}
	need(0 <= i && i < n, "index %d of axis %d of shape %v", i, s.axis-1, s.x.shape)
	s.from.off += i * stride
}

// cut takes every step-th index from begin to before end. Limits outside of
// the axis are moved to its border.
func (s *slicer) cut(begin, end, step int, beginOpen, endOpen bool) {
	n, stride := s.next()
	need(step != 0 && -maxElements < step && step < maxElements, "stride %d", step)
	lo, hi := 0, n // the borders in walking direction
	if step < 0 {
		lo, hi = -1, n-1
	}
	border := func(i int, open bool, atOpen int) int {
		if open {
			return atOpen
		}
		if i < 0 {
			i += n
		}
		return min(max(i, lo), hi)
	}
	count := 0
	if step > 0 {
		begin, end = border(begin, beginOpen, lo), border(end, endOpen, hi)
		count = (end - begin + step - 1) / step
	} else {
		begin, end = border(begin, beginOpen, hi), border(end, endOpen, lo)
		count = (begin - end - step - 1) / -step
	}
	count = max(count, 0)
	if count > 0 {
		s.from.off += begin * stride
	}
	s.shape = append(s.shape, count)
	s.from.strides = append(s.from.strides, step*stride)
}
