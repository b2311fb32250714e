package ref

import (
	"slices"

	"dfq/schema"
)

// blocks is input 1 of the batch and space ops: a block size for each of the
// axes after the batch.
func (c *call) blocks(x *value) (block []int, total int) {
	block = c.ints(1)
	need(len(block) < len(x.shape), "block %v for shape %v", block, x.shape)
	for _, n := range block {
		need(n > 0, "block %v", block)
	}
	total, err := size(block)
	need(err == nil, "block %v: %v", block, err)
	return block, total
}

// eachOffset calls f for every position in a block, in row-major order.
func eachOffset(block []int, total int, f func(i int, offset []int)) {
	offset := make([]int, len(block))
	for i := range total {
		rest := i
		for a := len(block) - 1; a >= 0; a-- {
			offset[a] = rest % block[a]
			rest /= block[a]
		}
		f(i, offset)
	}
}

// spaceToBatch deals out the pixels of each block to different batches.
func spaceToBatch(c *call) {
	x := c.arg(0)
	block, total := c.blocks(x)
	pads := c.pairs(2, len(block))
	shape := slices.Clone(x.shape)
	shape[0] *= total
	for a, p := range pads {
		padded := x.shape[a+1] + p[0] + p[1]
		need(padded%block[a] == 0, "padded size %d of axis %d in blocks of %d", padded, a+1, block[a])
		shape[a+1] = padded / block[a]
	}
	y := c.like(0, x, shape...)
	clear(y.f)
	if y.len() == 0 || x.len() == 0 {
		return
	}
	eachOffset(block, total, func(i int, offset []int) {
		d := dealt{spread: dense(x.shape), packed: dense(shape), shape: slices.Clone(x.shape)}
		d.packed.off = i * x.shape[0] * d.packed.strides[0]
		for a := range block {
			d.axis(a+1, offset[a]-pads[a][0], block[a], shape[a+1], x.shape[a+1])
		}
		move(y, d.packed, x, d.spread, d.shape)
	})
}

// batchToSpace is the inverse; what lies in the crops is dropped.
func batchToSpace(c *call) {
	x := c.arg(0)
	block, total := c.blocks(x)
	crops := c.pairs(2, len(block))
	need(x.shape[0]%total == 0, "batch %d in blocks of %d", x.shape[0], total)
	shape := slices.Clone(x.shape)
	shape[0] /= total
	for a, p := range crops {
		need(x.shape[a+1] <= maxElements/block[a], "shape %v in blocks %v", x.shape, block)
		shape[a+1] = x.shape[a+1]*block[a] - p[0] - p[1]
	}
	y := c.like(0, x, shape...)
	if y.len() == 0 {
		return
	}
	eachOffset(block, total, func(i int, offset []int) {
		d := dealt{spread: dense(shape), packed: dense(x.shape), shape: slices.Clone(shape)}
		d.packed.off = i * shape[0] * d.packed.strides[0]
		for a := range block {
			d.axis(a+1, offset[a]-crops[a][0], block[a], x.shape[a+1], shape[a+1])
		}
		move(y, d.spread, x, d.packed, d.shape)
	})
}

// dealt pairs the pixels at one offset of the blocks: spread lie a block
// apart, packed side by side.
type dealt struct {
	spread, packed view
	shape          []int
}

// axis restricts axis a to those of packed positions 0…packed-1 whose spread
// position, start + block·i, is one of 0…spread-1.
func (d *dealt) axis(a, start, block, packed, spread int) {
	first := 0
	if start < 0 {
		first = (-start + block - 1) / block
	}
	end := 0
	if start < spread {
		end = (spread - start + block - 1) / block
	}
	first, end = min(first, packed), min(end, packed)
	d.shape[a] = max(end-first, 0)
	d.packed.off += first * d.packed.strides[a]
	d.spread.off += (start + first*block) * d.spread.strides[a]
	d.spread.strides[a] *= block
}

// depthBlock is the input and block size of the depth and space ops.
func (c *call) depthBlock(size int32) (x *value, block int) {
	x = c.arg(0)
	need(len(x.shape) == 4 && 0 < size && size <= 1<<12, "block size %d for shape %v", size, x.shape)
	return x, int(size)
}

func spaceToDepth(c *call) {
	x, b := c.depthBlock(options[schema.SpaceToDepthOptionsT](c).BlockSize)
	n, h, w, d := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	need(h%b == 0 && w%b == 0, "block size %d for shape %v", b, x.shape)
	s := dense([]int{n, h / b, b, w / b, b, d}).strides
	from := view{strides: []int{s[0], s[1], s[3], s[2], s[4], s[5]}}
	shape := []int{n, h / b, w / b, b, b, d}
	move(c.like(0, x, n, h/b, w/b, b*b*d), dense(shape), x, from, shape)
}

func depthToSpace(c *call) {
	x, b := c.depthBlock(options[schema.DepthToSpaceOptionsT](c).BlockSize)
	n, h, w, d := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	need(d%(b*b) == 0, "block size %d for shape %v", b, x.shape)
	s := dense([]int{n, h, b, w, b, d / (b * b)}).strides
	to := view{strides: []int{s[0], s[1], s[3], s[2], s[4], s[5]}}
	shape := []int{n, h, w, b, b, d / (b * b)}
	move(c.like(0, x, n, h*b, w*b, d/(b*b)), to, x, dense(shape), shape)
}
