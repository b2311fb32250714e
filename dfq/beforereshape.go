package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// beforeReshapes lets a product, a sum or an activation change places with the RESHAPE between it
// and a filter, so that the filter can take it in. Keras adds biases so: of Dense on a sequence or an
// image, and, where the channels are parted into heads, of MultiHeadAttention.
func beforeReshapes(g *tflite.Graph) {
	place := map[*tflite.Op]int{}
	for i, op := range g.Ops {
		place[op] = i
	}
	links := linksOf(g)
	for _, op := range slices.Clone(g.Ops) {
		at := dataOperand(op)
		if at < 0 {
			continue
		}
		x, y := op.Inputs[at], op.Outputs[0]
		reshape := links.alone(x)
		if reshape == nil || !spec(reshape).reshapes || !slices.Equal(x.Shape, y.Shape) {
			continue
		}
		from := reshape.Inputs[0]
		if into := links.alone(from); into == nil || openFilter(into) == nil && lineOf(into) == nil {
			continue
		}
		if len(op.Inputs) == 2 {
			c := op.Inputs[1-at]
			if !byChannelOf(from, c, x) {
				continue
			}
			c.Shape, c.Signature = []int{c.Len()}, nil
		} else if channelCount(from) != channelCount(x) {
			continue
		}
		between := from.Clone()
		between.Name = y.Name + "_before_reshape"
		op.Inputs[at], op.Outputs[0] = from, between
		reshape.Inputs[0], reshape.Outputs[0] = between, y
		i, k := place[reshape], place[op]
		g.Ops[i], g.Ops[k] = op, reshape
		place[op], place[reshape] = i, k
		links = linksOf(g)
	}
}

// dataOperand is which operand of op is computed, where op is an activation by itself or ADD, SUB, MUL
// or DIV by a constant; -1 for others.
func dataOperand(op *tflite.Op) int {
	switch s := spec(op); {
	case s.activation != schema.ActivationFunctionTypeNONE && real(op.Inputs[0]):
		return 0
	case s.line != nil && finiteConstant(op.Inputs[1]) && real(op.Inputs[0]) && !op.Inputs[0].Constant():
		return 0
	case s.line != nil && finiteConstant(op.Inputs[0]) && real(op.Inputs[1]) && !op.Inputs[1].Constant():
		return 1
	}
	return -1
}

// byChannelOf reports whether c, which goes with x, has one number or one for each channel of what
// x is another shape of: the last axes of x are these channels.
func byChannelOf(from, c, x *tflite.Tensor) bool {
	if c.Len() == 1 {
		return channelCount(from) == channelCount(x)
	}
	axes := slices.Clone(c.Shape)
	for len(axes) > 0 && axes[0] == 1 {
		axes = axes[1:]
	}
	return c.Len() == channelCount(from) && len(axes) <= len(x.Shape) && slices.Equal(axes, x.Shape[len(x.Shape)-len(axes):])
}
