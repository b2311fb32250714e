package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// flattenNorms lets GroupNormalization of an image, which Keras computes in five dimensions, have
// four: its rows and columns are one axis, as the norm is over both or over neither. Sums and
// products of int8 broadcast over four dimensions at most.
func flattenNorms(g *tflite.Graph) {
	links := linksOf(g)
	for _, op := range g.Ops {
		if n := normOf(op, links); n != nil {
			n.flatten()
		}
	}
}

// norm is what is computed in five dimensions behind a RESHAPE and before others.
type norm struct {
	enter   *tflite.Op
	tensors []*tflite.Tensor
	ops     []*tflite.Op
	leave   []*tflite.Op
}

// normOf is what op begins; nil if that is no norm.
func normOf(op *tflite.Op, links *links) *norm {
	if !spec(op).reshapes || !real(op.Outputs[0]) || len(op.Outputs[0].Shape) != 5 {
		return nil
	}
	n := &norm{enter: op, tensors: op.Outputs[:1:1]}
	image := op.Outputs[0]
	for i := 0; i < len(n.tensors); i++ {
		t := n.tensors[i]
		one := len(t.Shape) == 5 && t.Shape[1] == 1 && t.Shape[2] == 1
		if len(t.Shape) != 5 || !one && !slices.Equal(t.Shape[1:3], image.Shape[1:3]) || t.IsOpen(1) || t.IsOpen(2) || slices.Contains(links.graph.Outputs, t) {
			return nil
		}
		for _, u := range links.uses[t] {
			switch {
			case spec(u.Op).reshapes && u.Input == 0:
				n.leave = append(n.leave, u.Op)
			case slices.Contains(n.ops, u.Op):
			case flattens(u.Op):
				n.ops, n.tensors = append(n.ops, u.Op), append(n.tensors, u.Op.Outputs[0])
			default:
				return nil
			}
		}
	}
	for _, op := range n.ops {
		for _, t := range op.Inputs {
			if real(t) && !t.Constant() && !slices.Contains(n.tensors, t) {
				return nil
			}
		}
	}
	if len(n.leave) == 0 || len(n.ops) == 0 {
		return nil
	}
	return n
}

// flattens reports whether op does the same if rows and columns are one axis.
func flattens(op *tflite.Op) bool {
	switch op.Code {
	case schema.BuiltinOperatorMEAN, schema.BuiltinOperatorSUM:
		o, ok := op.Options.(*schema.ReducerOptionsT)
		if !ok || !o.KeepDims || !op.Inputs[1].Constant() {
			return false
		}
		axes := axesOfFive(op)
		return slices.Contains(axes, 1) == slices.Contains(axes, 2)
	case schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB, schema.BuiltinOperatorMUL, schema.BuiltinOperatorDIV, schema.BuiltinOperatorSQUARED_DIFFERENCE,
		schema.BuiltinOperatorSQUARE, schema.BuiltinOperatorNEG, schema.BuiltinOperatorRSQRT, schema.BuiltinOperatorSQRT:
		return !slices.ContainsFunc(op.Inputs, func(t *tflite.Tensor) bool {
			if !t.Constant() {
				return false
			}
			shape := toFive(t.Shape)
			return !real(t) || shape == nil || shape[1] != 1 || shape[2] != 1
		})
	}
	return false
}

// axesOfFive are those that op reduces, of tensors of five.
func axesOfFive(op *tflite.Op) []int {
	axes := op.Inputs[1].Ints()
	for i, a := range axes {
		if a < 0 {
			axes[i] = a + 5
		}
	}
	return axes
}

// toFive is a shape with ones before, up to five axes; nil if it has more.
func toFive(shape []int) []int {
	if len(shape) > 5 {
		return nil
	}
	return append(slices.Repeat([]int{1}, 5-len(shape)), shape...)
}

// flatten makes one axis of rows and columns.
func (n *norm) flatten() {
	flat := func(shape []int) []int {
		if len(shape) == 0 {
			return nil
		}
		return append([]int{shape[0], shape[1] * shape[2]}, shape[3:]...)
	}
	for _, t := range n.tensors {
		t.Shape, t.Signature = flat(t.Shape), flat(t.Signature)
	}
	for _, op := range n.ops {
		if op.Code == schema.BuiltinOperatorMEAN || op.Code == schema.BuiltinOperatorSUM {
			var axes []int32
			for _, a := range axesOfFive(op) {
				if a != 2 {
					axes = append(axes, int32(a-min(a/2, 1)))
				}
			}
			op.Inputs[1] = integerList(op.Outputs[0].Name+"_axes", axes)
			continue
		}
		for _, t := range op.Inputs {
			if t.Constant() {
				t.Shape, t.Signature = flat(toFive(t.Shape)), nil
			}
		}
	}
	toReshape(n.enter)
	for _, op := range n.leave {
		toReshape(op)
	}
}
