package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// mostAxes is what kernels of TRANSPOSE have taken since 2.3, int8 ones too; those of six
// axes came with 2.12, and NPUs have none.
const mostAxes = 5

// narrowTransposes lets a TRANSPOSE of more than five axes, as windows of attention are cut
// out by, move those that stay side by side as one:
//
//	[1, h, 8, w, 8, c] to [1, h, w, 8, 8, c]  is  [h, 8, w, 8·c] to [h, w, 8, 8·c]
//
// A RESHAPE before and behind it, which are there as a rule, makes these axes in place of
// the others.
func (j *job) narrowTransposes(g *tflite.Graph) {
	links := linksOf(g)
	var all []*tflite.Op
	reshape := func(op *tflite.Op, from, to *tflite.Tensor, axes []axis) {
		r := &tflite.Op{Inputs: []*tflite.Tensor{from}, Outputs: []*tflite.Tensor{to}}
		setShape(to, axes)
		toReshape(r)
		all, j.index[r] = append(all, r), j.index[op]
	}
	for _, op := range g.Ops {
		shape, order := mergedAxes(op)
		if shape == nil {
			all = append(all, op)
			continue
		}
		in, out := op.Inputs[0], op.Outputs[0]
		whole := inOrderOf(permutation(op), openAxes(in))
		if before := links.maker(in); before != nil && before.Code == schema.BuiltinOperatorRESHAPE {
			setShape(in, shape)
			toReshape(before)
		} else {
			merged := in.Clone()
			merged.Name, merged.Data = out.Name+"_merged", nil
			reshape(op, in, merged, shape)
			op.Inputs[0] = merged
		}
		op.Inputs[1], op.Version = integerList(out.Name+"_order", cast[int32](order)), min(op.Version, 4)
		all = append(all, op)
		reshaped := func(u tflite.Use) bool {
			return u.Op.Code == schema.BuiltinOperatorRESHAPE && len(u.Op.Inputs) == 2 && u.Op.Inputs[1].Constant()
		}
		moved := inOrderOf(order, shape)
		if uses := links.uses[out]; !slices.Contains(g.Outputs, out) && !slices.ContainsFunc(uses, func(u tflite.Use) bool { return !reshaped(u) }) {
			setShape(out, moved)
			continue
		}
		inner := out.Clone()
		inner.Name = out.Name + "_moved"
		setShape(inner, moved)
		op.Outputs = []*tflite.Tensor{inner}
		reshape(op, inner, out, whole)
	}
	g.Ops = all
}

// An axis is how many elements it has, and whether that is open.
type axis struct {
	size int
	open bool
}

// openAxes are the axes of t.
func openAxes(t *tflite.Tensor) []axis {
	axes := make([]axis, len(t.Shape))
	for i, n := range t.Shape {
		axes[i] = axis{n, i < len(t.Signature) && t.Signature[i] < 0}
	}
	return axes
}

func inOrderOf(order []int, axes []axis) []axis {
	moved := make([]axis, len(order))
	for i, a := range order {
		moved[i] = axes[a]
	}
	return moved
}

// mergedAxes are the axes of what a TRANSPOSE of too many reads, those merged that it
// leaves side by side, and their order behind it; nil if that is not to be done. One that
// is open stays by itself: RESHAPE can make one of unknown size.
func mergedAxes(op *tflite.Op) (shape []axis, order []int) {
	p := axesMoved(op)
	if len(p) <= mostAxes {
		return nil, nil
	}
	in := openAxes(op.Inputs[0])
	p = slices.DeleteFunc(p, func(a int) bool { return in[a] == axis{size: 1} })
	live := slices.Sorted(slices.Values(p)) // axes that may have more than one element
	var first []int                         // of each run of axes in p: place of its first among live
	var runs []axis
	last, open := -2, 0
	for _, a := range p {
		at := slices.Index(live, a)
		if in[a].open {
			open++
		}
		if at == last+1 && !in[a].open && !runs[len(runs)-1].open {
			runs[len(runs)-1].size *= in[a].size
		} else {
			first, runs = append(first, at), append(runs, in[a])
		}
		last = at
	}
	if len(first) > mostAxes || len(first) == 0 || open > 1 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(first))
	shape = make([]axis, len(first))
	for i, f := range first {
		order = append(order, slices.Index(sorted, f))
		shape[order[i]] = runs[i]
	}
	return shape, order
}

// setShape makes t one of the given axes, one of which may be open.
func setShape(t *tflite.Tensor, axes []axis) {
	t.Shape, t.Signature = make([]int, len(axes)), nil
	for i, a := range axes {
		t.Shape[i] = a.size
	}
	if i := slices.IndexFunc(axes, func(a axis) bool { return a.open }); i >= 0 {
		t.Signature = slices.Clone(t.Shape)
		t.Signature[i] = -1
	}
}
