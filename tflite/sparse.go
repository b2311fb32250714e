package tflite

import (
	"errors"
	"fmt"
	"slices"

	"dfq/schema"
)

// Sparse reports whether t's data holds only the elements that sparsity names.
func (t *Tensor) Sparse() bool { return t.rest != nil && t.rest.Sparsity != nil }

// Densify gives every constant that is stored sparse all of its elements. An op
// DENSIFY of such a constant goes; its output is a constant then.
//
// The storage is that of TACO (Kjolstad et al., 2017) as schema.fbs has it: the
// dimensions of a tensor, and of the blocks that it may be cut into, stand in
// an order of traversal. Each is dense, with a number of steps, or compressed:
// segments[p] … segments[p+1] are the places in indices that belong to step p
// of the dimension before. The data are the elements reached, in that order.
//
// The error names the first tensor whose sparsity contradicts its shape or
// data, or that would take the model's dense constants beyond 256 MB.
func (m *Model) Densify() error {
	room := maxDense
	for i, g := range m.Graphs {
		for _, t := range g.Tensors() {
			if !t.Sparse() || !t.Constant() {
				continue
			}
			data, err := t.dense(room)
			if err != nil {
				return fmt.Errorf("graph %d %q: tensor %q: sparsity: %w", i, g.Name, t.Name, err)
			}
			room -= len(data)
			rest := *t.rest // which clones share
			rest.Sparsity = nil
			t.Data, t.rest = data, &rest
		}
		g.Ops = slices.DeleteFunc(slices.Clone(g.Ops), densified)
	}
	return nil
}

// maxDense bounds the bytes of all constants that Densify makes: a few bytes of
// a file can stand for any number of zeros.
const maxDense = 1 << 28

// densified hands the data of a constant through a DENSIFY op and reports
// whether that was possible.
func densified(op *Op) bool {
	if op.Code != schema.BuiltinOperatorDENSIFY || len(op.Inputs) != 1 || len(op.Outputs) != 1 {
		return false
	}
	in, out := op.Inputs[0], op.Outputs[0]
	if in == nil || out == nil || !in.Constant() || in.Type != out.Type || !slices.Equal(in.Shape, out.Shape) {
		return false
	}
	out.Data = in.Data
	return true
}

// dense returns all elements of a sparse constant.
func (t *Tensor) dense(room int) ([]byte, error) {
	n, err := t.byteSize()
	if err != nil {
		return nil, err
	}
	size := elementBits[t.Type] / 8
	if size == 0 || len(t.Data)%size != 0 {
		return nil, fmt.Errorf("%d bytes of type %s", len(t.Data), t.Type)
	}
	if n > room {
		return nil, fmt.Errorf("shape %v takes more than is left of %d bytes for dense constants", t.Shape, maxDense)
	}
	levels, err := t.levels()
	if err != nil {
		return nil, err
	}
	if err := checkLevels(levels, len(t.Data)/size, n/size); err != nil {
		return nil, err
	}
	data := make([]byte, n)
	for k, at := range places(levels) {
		copy(data[at*size:(at+1)*size], t.Data[k*size:])
	}
	return data, nil
}

// A level is one dimension in the order of traversal.
type level struct {
	steps, stride     int   // of the dimension, in elements of the dense tensor
	segments, indices []int // of a compressed one, else nil
}

// levels reads what the file says of each dimension and checks it against the
// shape.
func (t *Tensor) levels() ([]level, error) {
	s, rank := t.rest.Sparsity, len(t.Shape)
	order, blocks := ints(s.TraversalOrder), ints(s.BlockMap)
	n := rank + len(blocks)
	if len(blocks) > rank || len(order) != n || len(s.DimMetadata) != n {
		return nil, fmt.Errorf("%d dimensions in order, %d described and %d blocks for shape %v", len(order), len(s.DimMetadata), len(blocks), t.Shape)
	}
	byDim := make([]*schema.DimensionMetadataT, n)
	for i, d := range order {
		if d < 0 || d >= n || byDim[d] != nil || s.DimMetadata[i] == nil {
			return nil, fmt.Errorf("the order of traversal %v", order)
		}
		byDim[d] = s.DimMetadata[i]
	}
	all := make([]level, n) // by dimension
	stride := 1
	for d := rank - 1; d >= 0; d-- {
		all[d] = level{steps: t.Shape[d], stride: stride}
		stride *= max(t.Shape[d], 1)
	}
	for i, d := range blocks {
		if d < 0 || d >= rank || slices.Contains(blocks[:i], d) {
			return nil, fmt.Errorf("the dimensions in blocks %v", blocks)
		}
		size := int(byDim[rank+i].DenseSize)
		if size < 1 || t.Shape[d]%size != 0 {
			return nil, fmt.Errorf("blocks of %d along dimension %d of shape %v", size, d, t.Shape)
		}
		all[rank+i] = level{steps: size, stride: all[d].stride}
		all[d].steps, all[d].stride = all[d].steps/size, all[d].stride*size
	}
	ordered := make([]level, n)
	for i, d := range order {
		ordered[i] = all[d]
		if err := ordered[i].read(byDim[d]); err != nil {
			return nil, fmt.Errorf("dimension %d: %w", d, err)
		}
	}
	return ordered, nil
}

// read adds what the file says of one dimension.
func (l *level) read(s *schema.DimensionMetadataT) error {
	if s.Format == schema.DimensionTypeDENSE {
		if int(s.DenseSize) != l.steps {
			return fmt.Errorf("%d steps, its shape has %d", s.DenseSize, l.steps)
		}
		return nil
	}
	if s.Format != schema.DimensionTypeSPARSE_CSR {
		return fmt.Errorf("format %d", s.Format)
	}
	l.segments, l.indices = sparseInts(s.ArraySegments), sparseInts(s.ArrayIndices)
	if l.segments == nil {
		return errors.New("no segments")
	}
	for _, i := range l.indices {
		if i < 0 || i >= l.steps {
			return fmt.Errorf("index %d of %d", i, l.steps)
		}
	}
	return nil
}

// sparseInts reads a vector of whichever width.
func sparseInts(v *schema.SparseIndexVectorT) []int {
	if v == nil {
		return nil
	}
	switch v := v.Value.(type) {
	case *schema.Int32VectorT:
		return widened(v.Values)
	case *schema.Uint16VectorT:
		return widened(v.Values)
	case *schema.Uint8VectorT:
		return widened(v.Values)
	}
	return nil
}

func widened[T int32 | uint16 | uint8](v []T) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// checkLevels makes sure that the levels lead to as many elements as are stored,
// before anything is made of them, and on the way to no more than the tensor has.
func checkLevels(levels []level, stored, elements int) error {
	n := 1
	for i, l := range levels {
		if l.segments == nil {
			if l.steps > 0 && n > elements/l.steps {
				return fmt.Errorf("level %d leads to more elements than the %d of the shape", i, elements)
			}
			n *= l.steps
			continue
		}
		if len(l.segments) != n+1 || l.segments[0] != 0 || l.segments[n] != len(l.indices) || !slices.IsSorted(l.segments) {
			return fmt.Errorf("level %d: %d segments for %d indices below %d steps", i, len(l.segments), len(l.indices), n)
		}
		if n = len(l.indices); n > elements {
			return fmt.Errorf("level %d leads to more elements than the %d of the shape", i, elements)
		}
	}
	if n != stored {
		return fmt.Errorf("%d elements are stored, it leads to %d", stored, n)
	}
	return nil
}

// places lists where in the dense tensor each stored element goes.
func places(levels []level) []int {
	at := []int{0}
	for _, l := range levels {
		var next []int
		for p, base := range at {
			if l.segments == nil {
				for i := range l.steps {
					next = append(next, base+i*l.stride)
				}
				continue
			}
			for _, i := range l.indices[l.segments[p]:l.segments[p+1]] {
				next = append(next, base+i*l.stride)
			}
		}
		at = next
	}
	return at
}
