package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// mostAxes is what kernels of TRANSPOSE have taken since 2.3, int8 ones too; those of six
// axes came with 2.12, and NPUs have none.
const mostAxes = 5

// narrowTransposes gives TRANSPOSE ops no more axes than they need.
func narrowTransposes(j *job) {
	narrowAxes(j.graph, func(reshape, op *tflite.Op) { j.index[reshape] = j.index[op] })
}

// narrowAxes lets a TRANSPOSE of more than five axes, as windows of attention are cut
// out by, move those that stay side by side as one:
//
//	[1, h, 8, w, 8, c] to [1, h, w, 8, 8, c]  is  [h, 8, w, 8·c] to [h, w, 8, 8·c]
//
// A RESHAPE before and behind it, which are there as a rule, makes these axes in place of
// the others. part, if not nil, is told of each new op.
func narrowAxes(g *tflite.Graph, part func(reshape, op *tflite.Op)) {
	links := linksOf(g)
	var all []*tflite.Op
	reshape := func(op *tflite.Op, from, to *tflite.Tensor, shape []int) {
		r := &tflite.Op{Code: schema.BuiltinOperatorRESHAPE, Version: 1, Inputs: []*tflite.Tensor{from}, Outputs: []*tflite.Tensor{to}}
		all = append(all, setReshape(r, shape))
		if part != nil {
			part(r, op)
		}
	}
	for _, op := range g.Ops {
		shape, order := mergedAxes(op)
		if shape == nil {
			all = append(all, op)
			continue
		}
		in, out := op.Inputs[0], op.Outputs[0]
		if before := links.maker(in); before != nil && before.Code == schema.BuiltinOperatorRESHAPE {
			setReshape(before, shape)
		} else {
			merged := in.Clone()
			merged.Name, merged.Data = out.Name+"_merged", nil
			reshape(op, in, merged, shape)
			op.Inputs[0] = merged
		}
		op.Inputs[1], op.Version = constantInts(out.Name+"_order", order), min(op.Version, 4)
		moved := make([]int, len(order))
		for i, a := range order {
			moved[i] = shape[a]
		}
		all = append(all, op)
		reshaped := func(u tflite.Use) bool {
			return u.Op.Code == schema.BuiltinOperatorRESHAPE && len(u.Op.Inputs) == 2 && u.Op.Inputs[1].Constant()
		}
		if uses := links.uses[out]; !slices.Contains(g.Outputs, out) && !slices.ContainsFunc(uses, func(u tflite.Use) bool { return !reshaped(u) }) {
			out.Shape = moved
			continue
		}
		inner := out.Clone()
		inner.Name, inner.Shape = out.Name+"_moved", moved
		op.Outputs = []*tflite.Tensor{inner}
		reshape(op, inner, out, out.Shape)
	}
	g.Ops = all
}

// mergedAxes are the axes of what a TRANSPOSE of too many reads, those merged that it
// leaves side by side, and their order behind it; nil if that is not to be done.
func mergedAxes(op *tflite.Op) (shape, order []int) {
	p := axesMoved(op)
	if len(p) <= mostAxes || len(op.Inputs[0].Signature) > 0 {
		return nil, nil
	}
	in := op.Inputs[0].Shape
	p = slices.DeleteFunc(p, func(a int) bool { return in[a] == 1 })
	live := slices.Sorted(slices.Values(p)) // axes of more than one element
	var first, size []int                   // of each run of axes in p: place of its first among live, elements
	last := -2
	for _, a := range p {
		at := slices.Index(live, a)
		if at == last+1 {
			size[len(size)-1] *= in[a]
		} else {
			first, size = append(first, at), append(size, in[a])
		}
		last = at
	}
	if len(first) > mostAxes || len(first) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(first))
	shape = make([]int, len(first))
	for i, f := range first {
		order = append(order, slices.Index(sorted, f))
		shape[order[i]] = size[i]
	}
	return shape, order
}

// setReshape makes op a RESHAPE to the given shape.
func setReshape(op *tflite.Op, shape []int) *tflite.Op {
	out := op.Outputs[0]
	out.Shape = slices.Clone(shape)
	op.Options, op.Inputs = &schema.ReshapeOptionsT{}, []*tflite.Tensor{op.Inputs[0], constantInts(out.Name+"_shape", shape)}
	return op
}

// constantInts is an INT32 constant of one axis.
func constantInts(name string, v []int) *tflite.Tensor {
	t := &tflite.Tensor{Name: name, Shape: []int{len(v)}}
	small := make([]int32, len(v))
	for i, x := range v {
		small[i] = int32(x)
	}
	t.SetInt32s(small)
	return t
}
