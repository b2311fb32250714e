package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// channelLink says which channels of an op's input are those of its output: a positive factor
// passes from one to the other, and with it noise; from a constant none does. A channel may
// be in several pairs, where it is repeated or becomes a part of another; one that is in
// none is 0, or is read by nobody.
type channelLink struct {
	input, output int // operands of the op
	pairs         []channelPair
}

type channelPair struct{ in, out int }

// channelLinks are the links that op's row declares; nil where no factor may pass.
func channelLinks(op *tflite.Op) []channelLink {
	if spec(op).channels == nil || !commutes(op) {
		return nil
	}
	return spec(op).channels(op)
}

// commutes reports whether a positive factor may pass op at all: it computes
// with real numbers, and nothing in it is of a size of its own.
func commutes(op *tflite.Op) bool {
	return real(op.Outputs[0]) && op.Activation() != schema.ActivationFunctionTypeRELU_N1_TO_1
}

// consecutive pairs n channels from in on with those from out on.
func consecutive(in, out, n int) []channelPair {
	pairs := make([]channelPair, n)
	for c := range pairs {
		pairs[c] = channelPair{in + c, out + c}
	}
	return pairs
}

// Rules for opSpec.channels. Each returns nil where the operands do not allow it.

// passThrough links equal channels of all real operands: what works on each channel alone
// and commutes with positive factors, and ADD. Operands with fewer axes are broadcast;
// constants of ADD and SUB are scaled along (see channelScales.apply).
func passThrough(op *tflite.Op) []channelLink {
	n := channelCount(op.Outputs[0])
	for _, t := range slices.Concat(op.Inputs, op.Outputs) {
		if real(t) && channelCount(t) != n {
			return nil
		}
	}
	var links []channelLink
	for k, t := range op.Inputs {
		for o, out := range op.Outputs {
			if real(t) && !t.Constant() && real(out) {
				links = append(links, channelLink{k, o, consecutive(0, 0, n)})
			}
		}
	}
	return links
}

// sloped is for PRELU.
func sloped(op *tflite.Op) []channelLink {
	if !op.Inputs[1].Constant() {
		return nil
	}
	return passThrough(op)
}

// overSpace is passThrough for ops with one real input whose other operands or options
// must leave the channel axis alone.
func overSpace(op *tflite.Op) []channelLink {
	in, out := op.Inputs[0], op.Outputs[0]
	if len(in.Shape) != len(out.Shape) || len(in.Shape) < 2 || !real(in) || in.Constant() {
		return nil
	}
	return passThrough(op)
}

// chosen is passThrough for ops that choose between operands, or join rows of them, none
// of which may be a constant, which keeps its size.
func chosen(op *tflite.Op) []channelLink {
	for _, t := range op.Inputs {
		if real(t) && (t.Constant() || len(t.Shape) != len(op.Outputs[0].Shape)) {
			return nil
		}
	}
	return passThrough(op)
}

// reducedSpace is for MEAN and the like: axes must not hold the channel axis.
func reducedSpace(op *tflite.Op) []channelLink {
	in := op.Inputs[0]
	for _, a := range op.Inputs[1].Ints() {
		if a == -1 || a == len(in.Shape)-1 {
			return nil
		}
	}
	if !op.Inputs[1].Constant() {
		return nil
	}
	return passThrough(op)
}

// gated is for MUL: a factor that nothing scales leaves the other operand's scale to the
// product.
func gated(op *tflite.Op) []channelLink {
	k := 0
	a, b, out := op.Inputs[0], op.Inputs[1], op.Outputs[0]
	if a.Constant() || len(a.Shape) < len(b.Shape) || !b.Constant() && a.Len() < b.Len() {
		k, a = 1, b
	}
	if a.Constant() || channelCount(a) != channelCount(out) || fusedActivation(op) && op.Activation() != schema.ActivationFunctionTypeRELU {
		return nil
	}
	return []channelLink{{k, 0, consecutive(0, 0, channelCount(out))}}
}

// sliced is for SLICE.
func sliced(op *tflite.Op) []channelLink {
	in, out, begin := op.Inputs[0], op.Outputs[0], op.Inputs[1].Ints()
	if channelCount(in) == channelCount(out) {
		return overSpace(op)
	}
	if in.Constant() || len(begin) != len(in.Shape) {
		return nil
	}
	return picked(op, begin[len(begin)-1], 1)
}

// strided is for STRIDED_SLICE that leaves all axes in their places.
func strided(op *tflite.Op) []channelLink {
	in, begin, steps := op.Inputs[0], op.Inputs[1].Ints(), op.Inputs[3].Ints()
	o, ok := op.Options.(*schema.StridedSliceOptionsT)
	last := len(in.Shape) - 1
	if !ok || o.EllipsisMask|o.NewAxisMask|o.ShrinkAxisMask != 0 || len(steps) == 0 || in.Constant() {
		return nil
	}
	if channelCount(in) == channelCount(op.Outputs[0]) && (len(steps) <= last || steps[last] == 1) {
		return overSpace(op)
	}
	if len(begin) <= last || len(steps) <= last {
		return nil
	}
	from := begin[last]
	switch whole := o.BeginMask&(1<<last) != 0; {
	case whole && steps[last] < 0:
		from = channelCount(in) - 1
	case whole:
		from = 0
	case from < 0:
		from += channelCount(in)
	}
	return picked(op, from, steps[last])
}

// picked links the channels of the output to every step-th of the input, from one on.
func picked(op *tflite.Op, from, step int) []channelLink {
	pairs := make([]channelPair, channelCount(op.Outputs[0]))
	for c := range pairs {
		pairs[c] = channelPair{from + c*step, c}
		if pairs[c].in < 0 || pairs[c].in >= channelCount(op.Inputs[0]) {
			return nil
		}
	}
	return []channelLink{{0, 0, pairs}}
}

// gathered is for GATHER.
func gathered(op *tflite.Op) []channelLink {
	in, index := op.Inputs[0], op.Inputs[1]
	o, ok := op.Options.(*schema.GatherOptionsT)
	switch {
	case !ok || in.Constant():
		return nil
	case o.Axis != -1 && int(o.Axis) != len(in.Shape)-1:
		return passThrough(op)
	case !index.Constant() || len(index.Shape) != 1 || o.BatchDims != 0:
		return nil
	}
	var pairs []channelPair
	for c, i := range index.Ints() {
		if i < 0 || i >= channelCount(in) {
			return nil
		}
		pairs = append(pairs, channelPair{i, c})
	}
	return []channelLink{{0, 0, pairs}}
}

// permuted is for TRANSPOSE that moves the axes of channels among themselves only:
// the last one, or all that markShuffles found.
func permuted(op *tflite.Op) []channelLink {
	in, perm := op.Inputs[0], permutation(op)
	n := channelCount(in)
	first := channelAxis(in.Shape, n)
	if perm == nil || first < 0 || in.Constant() {
		return nil
	}
	strides := make([]int, len(perm)) // in the input, by axis of the output
	for i, a := range perm {
		if (i < first) != (a < first) {
			return nil
		}
		strides[i] = elements(in.Shape[a+1:])
	}
	pairs := make([]channelPair, n)
	for c := range pairs {
		from, rest := 0, c
		for i := len(perm) - 1; i >= first; i-- {
			size := max(op.Outputs[0].Shape[i], 1)
			from += rest % size * strides[i]
			rest /= size
		}
		pairs[c] = channelPair{from, c}
	}
	return []channelLink{{0, 0, pairs}}
}

// permutation is the order in which a TRANSPOSE puts axes; nil if it is not known to be one.
func permutation(op *tflite.Op) []int {
	perm := slices.Clone(op.Inputs[1].Ints())
	if len(perm) != len(op.Inputs[0].Shape) {
		return nil
	}
	seen := make([]bool, len(perm))
	for i, a := range perm {
		if a < 0 {
			a += len(perm)
		}
		if a < 0 || a >= len(perm) || seen[a] {
			return nil
		}
		perm[i], seen[a] = a, true
	}
	return perm
}

// channelAxis is the first of the last axes that have n channels together; −1: none have.
func channelAxis(shape []int, n int) int {
	for first := len(shape) - 1; first >= 0; first-- {
		if max(elements(shape[first:]), 1) == n {
			return first
		}
	}
	return -1
}

// splits is for SPLIT and SPLIT_V, whose input and axis are the operands of these numbers:
// along channels by slices, along other axes as passThrough.
func splits(input, axis int) func(*tflite.Op) []channelLink {
	return func(op *tflite.Op) []channelLink {
		in, along := op.Inputs[input], op.Inputs[axis].Ints()
		if in.Constant() || len(along) != 1 {
			return nil
		}
		if along[0] != -1 && along[0] != len(in.Shape)-1 {
			return passThrough(op)
		}
		var links []channelLink
		at := 0
		for o, t := range op.Outputs {
			links = append(links, channelLink{input, o, consecutive(at, 0, channelCount(t))})
			at += channelCount(t)
		}
		if at != channelCount(in) {
			return nil
		}
		return links
	}
}

// stacked is for CONCATENATION: along channels by slices, along other axes as passThrough.
func stacked(op *tflite.Op) []channelLink {
	out := op.Outputs[0]
	o, ok := op.Options.(*schema.ConcatenationOptionsT)
	if !ok {
		return nil
	}
	if int(o.Axis) != -1 && int(o.Axis) != len(out.Shape)-1 {
		return chosen(op)
	}
	var links []channelLink
	at := 0
	for k, t := range op.Inputs {
		if !real(t) {
			return nil
		}
		if t.Len() > 0 { // channelCount takes an axis of none for one of 1
			links = append(links, channelLink{k, 0, consecutive(0, at, channelCount(t))})
			at += channelCount(t)
		}
	}
	if at != channelCount(out) {
		return nil
	}
	return links
}

// paddedZeros is for PAD: zeros are zeros at any scale. New channels are free.
func paddedZeros(op *tflite.Op) []channelLink {
	in, out, p := op.Inputs[0], op.Outputs[0], op.Inputs[1].Ints()
	if len(p) != 2*len(in.Shape) || in.Constant() {
		return nil
	}
	before := p[len(p)-2]
	if before < 0 || before+channelCount(in) > channelCount(out) {
		return nil
	}
	return []channelLink{{0, 0, consecutive(0, before, channelCount(in))}}
}

// packed is for PACK and UNPACK: the axis that comes or goes is another than that of
// channels.
func packed(op *tflite.Op) []channelLink {
	var axis int
	switch o := op.Options.(type) {
	case *schema.PackOptionsT:
		axis = int(o.Axis)
	case *schema.UnpackOptionsT:
		axis = int(o.Axis)
	default:
		return nil
	}
	rank := max(len(op.Inputs[0].Shape), len(op.Outputs[0].Shape))
	if axis == -1 || axis == rank-1 || rank < 2 {
		return nil
	}
	for _, t := range op.Inputs {
		if t.Constant() {
			return nil
		}
	}
	return passThrough(op)
}

// flattened is for RESHAPE and its like, and for SPACE_TO_DEPTH and DEPTH_TO_SPACE, whose
// blocks are numbered before the channels in each: the channels of the longer axis are
// those of the shorter one over and over.
func flattened(op *tflite.Op) []channelLink {
	n, m := channelCount(op.Inputs[0]), channelCount(op.Outputs[0])
	if n%m != 0 && m%n != 0 || op.Inputs[0].Constant() {
		return nil
	}
	return []channelLink{{0, 0, repeated(n, m)}}
}

// repeated pairs n channels with m, the fewer of which are repeated.
func repeated(n, m int) []channelPair {
	pairs := make([]channelPair, max(n, m))
	for c := range pairs {
		pairs[c] = channelPair{c % n, c % m}
	}
	return pairs
}
