package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// channelLine is y = scale·x + shift, in each channel of x.
type channelLine struct {
	x            *tflite.Tensor
	scale, shift []float64
}

// lineOf reads op as a line; nil if it is none that float32 can hold.
func lineOf(op *tflite.Op) *channelLine {
	line := spec(op).line
	if line == nil {
		return nil
	}
	x, c := op.Inputs[0], op.Inputs[1]
	constantFirst := x.Constant()
	if constantFirst {
		x, c = c, x
	}
	if !perChannel(c, x) || !real(x) || x.Constant() || x.Len() == 0 || !slices.Equal(op.Outputs[0].Shape, x.Shape) || !int8Activation(op.Activation()) {
		return nil
	}
	l, constant := &channelLine{x: x}, c.Floats()
	for i := range channelCount(x) {
		scale, shift := line(float64(constant[i%len(constant)]), constantFirst)
		l.scale, l.shift = append(l.scale, scale), append(l.shift, shift)
	}
	if !l.finite() {
		return nil
	}
	return l
}

// lineOrFilter is lineOf, also for what "fold batch norms" made of two such ops: a depthwise
// filter of one weight for each channel.
func lineOrFilter(op *tflite.Op) *channelLine {
	if spec(op).filter == depthwise && openFilter(op) != nil {
		if x, w := op.Inputs[depthwise.input], op.Inputs[depthwise.weights]; w.Len() == channelCount(x) {
			return &channelLine{x, cast[float64](w.Floats()), cast[float64](op.Inputs[depthwise.bias].Floats())}
		}
	}
	return lineOf(op)
}

// of is the range that the line makes of one; all of everything.
func (l *channelLine) of(r Range) Range {
	if math.IsInf(r.Lo, 0) || math.IsInf(r.Hi, 0) {
		return everything
	}
	out := Range{math.Inf(1), math.Inf(-1)}
	for c, k := range l.scale {
		a, b := float64(k*r.Lo)+l.shift[c], float64(k*r.Hi)+l.shift[c]
		out = out.hull(Range{math.Min(a, b), math.Max(a, b)})
	}
	return out
}

// Rules for opSpec.line.

// plusLine is for ADD, timesLine for MUL, minusLine for SUB, overLine for DIV.
func plusLine(k float64, _ bool) (scale, shift float64)  { return 1, k }
func timesLine(k float64, _ bool) (scale, shift float64) { return k, 0 }

func minusLine(k float64, first bool) (scale, shift float64) {
	if first {
		return -1, k
	}
	return 1, -k
}

func overLine(k float64, first bool) (scale, shift float64) {
	if first {
		return math.NaN(), 0
	}
	return 1 / k, 0
}

// perChannel reports whether c is a constant of one number, or of one for each
// channel of x.
func perChannel(c, x *tflite.Tensor) bool {
	return finiteConstant(c) && (c.Len() == 1 || c.Len() == channelCount(x) && channelCount(c) == c.Len())
}

// finite reports whether float32 can hold l.
func (l *channelLine) finite() bool {
	return !slices.ContainsFunc(cast[float32](l.scale), notFinite) && !slices.ContainsFunc(cast[float32](l.shift), notFinite)
}

// after is the line that equals first, then l.
func (l *channelLine) after(first *channelLine) *channelLine {
	both := &channelLine{x: first.x}
	for c := range l.scale {
		both.scale = append(both.scale, l.scale[c]*first.scale[c])
		both.shift = append(both.shift, float64(l.scale[c]*first.shift[c])+l.shift[c])
	}
	return both
}

func (l *channelLine) shifts() bool {
	return slices.ContainsFunc(l.shift, func(t float64) bool { return t != 0 })
}

// uniform reports whether all channels have the same line.
func (l *channelLine) uniform() bool {
	return slices.Min(l.scale) == slices.Max(l.scale) && slices.Min(l.shift) == slices.Max(l.shift)
}
