//go:build tflite

package interp

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// plain reports whether a model keeps what XNNPACK takes on trust without a
// look: that every operator is of use, that windows fit the shapes in the
// file, that padded ones reach the end of what they pass over, and that PRELU has a
// slope for each channel: of one for all it reads others that are not there.
func plain(m *tflite.Model) bool {
	return !slices.ContainsFunc(m.Graphs, func(g *tflite.Graph) bool { return !plainGraph(g) })
}

func plainGraph(g *tflite.Graph) bool {
	read := map[*tflite.Tensor]bool{}
	for _, t := range g.Outputs {
		read[t] = true
	}
	for t := range g.Uses() {
		read[t] = true
	}
	for _, op := range g.Ops {
		if !slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return read[t] }) {
			return false
		}
		if op.Code == schema.BuiltinOperatorPRELU && len(op.Inputs) == 2 && lastAxis(op.Inputs[0]) != lastAxis(op.Inputs[1]) {
			return false
		}
		if w, ok := op.Window(); ok && !fits(w, op) {
			return false
		}
	}
	return true
}

// lastAxis is the length of t's last axis, 1 for a number.
func lastAxis(t *tflite.Tensor) int {
	if t == nil || len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// fits reports whether its window makes op's output shape of its input shape, and leaves
// no end unseen: where the steps of SAME are so large that a row or more is not read, XNNPACK
// takes the padding, which is less than none, for a huge one, and answers with the bias.
func fits(w tflite.Window, op *tflite.Op) bool {
	if len(op.Inputs) == 0 || len(op.Outputs) == 0 || op.Inputs[0] == nil || op.Outputs[0] == nil {
		return false
	}
	in, out := op.Inputs[0].Shape, op.Outputs[0].Shape
	if op.Code == schema.BuiltinOperatorTRANSPOSE_CONV { // which writes beyond an output of less than a step
		return len(out) != 4 || out[1]+1 >= w.Stride[0] && out[2]+1 >= w.Stride[1]
	}
	if len(in) != 4 || len(out) != 4 || in[0] != out[0] {
		return false
	}
	for axis := range 2 {
		n := in[1+axis]
		if w.Padding == schema.PaddingVALID {
			n -= w.Dilation[axis] * (w.Kernel[axis] - 1)
		}
		if n < 1 || out[1+axis] != (n+w.Stride[axis]-1)/w.Stride[axis] {
			return false
		}
		reach := (out[1+axis]-1)*w.Stride[axis] + w.Dilation[axis]*(w.Kernel[axis]-1) + 1
		if w.Padding == schema.PaddingSAME && w.Kernel != [2]int{1, 1} && reach < n {
			return false
		}
	}
	return true
}
