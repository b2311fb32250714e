package dfq

import (
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// assignRanges gives every real activation that an int8 op touches its scale
// and zero point.
//
// Tensors whose ops demand one scale form a group (union-find); a group's range
// holds the ranges of all its members. A group that an op's kernel fixes, or a
// graph input, keeps its parameters; an input that cannot join is left out, and
// "lower" puts a QUANTIZE in between.
func assignRanges(j *job) error {
	int8Ops := j.int8Ops()
	if len(int8Ops) == 0 {
		j.report.warn("all ops stay float: nothing is INT8 in the result")
	}
	own, apart := j.ownRanges(int8Ops), map[*tflite.Tensor]bool{}
	if len(j.room) > 0 {
		j.giveRoom(own, j.groupScales(int8Ops, own, apart))
	}
	g := j.groupScales(int8Ops, own, apart)
	for j.keepApart(g, int8Ops, apart) {
		g = j.groupScales(int8Ops, own, apart)
	}
	j.lookedAt = g.lookedAt
	for _, op := range int8Ops {
		for _, t := range realOperands(op) {
			p := g.params(t)
			t.Quant = quantization(p)
		}
	}
	for _, t := range j.graph.Tensors() {
		if s := j.stats[t]; s != nil && t.Quant != nil {
			lo, hi := g.grid.Range(params(t.Quant))
			j.report.Tensors = append(j.report.Tensors, TensorReport{t.Name, s.Range, Range{lo, hi}, g.find(t).rule, t.Quant.Scale[0], t.Quant.Zero[0]})
		}
	}
	return nil
}

// groupScales finds the groups and their ranges, given those that tensors would have
// alone. A tensor of apart joins no op that reads it.
func (j *job) groupScales(int8Ops []*tflite.Op, own map[*tflite.Tensor]chosenRange, apart map[*tflite.Tensor]bool) *groups {
	g := &groups{grid: j.grid(), sets: unionFind{}, of: map[*tflite.Tensor]*group{}}
	for i, t := range j.graph.Inputs {
		if real(t) {
			r := j.report.Inputs[i].Range
			p := g.grid.Params(r.Lo, r.Hi)
			g.of[t] = &group{chosenRange: chosenRange{r, "input range"}, fixed: &p}
		}
	}
	for _, op := range int8Ops {
		for _, t := range realOperands(op) {
			if g.of[t] == nil {
				g.of[t] = &group{chosenRange: own[t]}
			}
		}
		if len(op.Outputs) == 1 && real(op.Outputs[0]) {
			// Room beyond what the activation lets through would be empty.
			out := g.of[op.Outputs[0]]
			out.Range = out.within(clampOf(op))
		}
	}
	uses := j.graph.Uses()
	for _, op := range int8Ops {
		switch rule := j.scaleRule(op); rule.kind {
		case fixedScale:
			for _, t := range op.Outputs {
				p := rule.on(g.grid)
				lo, hi := g.grid.Range(p)
				g.of[t] = &group{chosenRange: chosenRange{Range{lo, hi}, fixedByKernel}, fixed: &p}
			}
		case sameScale:
			if spec(op).centred {
				g.find(op.Outputs[0]).centred = true
				break
			}
			j.joinOperands(g, op, uses, apart)
		}
	}
	if g.grid == affine.Int8 { // int16 has steps enough
		g.endWhereReadersSaturate(j)
	}
	g.widenForKernels(int8Ops, j.leastScale)
	return g
}

// fixedByKernel is the rule of a range that leaves no choice.
const fixedByKernel = "fixed by the kernel"

// int8Ops lists the ops that will work on quantized tensors, in execution order.
func (j *job) int8Ops() []*tflite.Op {
	var out []*tflite.Op
	for _, op := range j.graph.Ops {
		if j.float[op] == "" && spec(op).kernels(j.grid()) != nil && len(realOperands(op)) > 0 {
			out = append(out, op)
		}
	}
	return out
}

// realOperands lists op's real tensors that are quantized as activations:
// inputs, outputs and constants, but not weights and biases.
func realOperands(op *tflite.Op) []*tflite.Tensor {
	var out []*tflite.Tensor
	f := spec(op).filter
	for i, t := range op.Inputs {
		if real(t) && (f == nil || i != f.weights && i != f.bias) {
			out = append(out, t)
		}
	}
	for _, t := range op.Outputs {
		if real(t) {
			out = append(out, t)
		}
	}
	return out
}

// chosenRange is a range and the name of the rule that it was found by.
type chosenRange struct {
	Range
	rule string
}

// ownRanges are the ranges that each of the ops' operands would have alone.
func (j *job) ownRanges(int8Ops []*tflite.Op) map[*tflite.Tensor]chosenRange {
	own := map[*tflite.Tensor]chosenRange{}
	var tensors []*tflite.Tensor
	for _, op := range int8Ops {
		for _, t := range realOperands(op) {
			if _, ok := own[t]; !ok && !slices.Contains(j.graph.Inputs, t) {
				own[t], tensors = chosenRange{}, append(tensors, t)
			}
		}
	}
	answers, ranges := j.answers(), make([]chosenRange, len(tensors))
	eachInParallel(len(tensors), 0, func(i int) { ranges[i] = j.rangeOf(tensors[i], answers[tensors[i]]) })
	for i, t := range tensors {
		own[t] = ranges[i]
	}
	j.cutBounds(own, int8Ops)
	return own
}

// giveRoom widens ranges by the room that all tensors of a group have: the step that it
// takes from one it takes from all of them.
func (j *job) giveRoom(own map[*tflite.Tensor]chosenRange, g *groups) {
	least := map[*tflite.Tensor]float64{} // by root
	for t, room := range j.room {
		if least[g.sets.root(t)] == 0 || room < least[g.sets.root(t)] {
			least[g.sets.root(t)] = room
		}
	}
	for t := range j.room {
		if r, ok := own[t]; ok && least[g.sets.root(t)] > 1 {
			room := least[g.sets.root(t)]
			own[t] = chosenRange{Range{room * r.Lo, room * r.Hi}, r.rule + ", with room"}
		}
	}
}

// cutBounds ends the range of a constant that MINIMUM or MAXIMUM bound another operand by
// where that operand's does: a bound further off bounds nothing, and may be the largest
// of all numbers.
func (j *job) cutBounds(own map[*tflite.Tensor]chosenRange, int8Ops []*tflite.Op) {
	for _, op := range int8Ops {
		clip := spec(op).clip
		if clip == nil {
			continue
		}
		for k, t := range op.Inputs {
			x := op.Inputs[1-k]
			r, of := own[t], own[x].Range
			if !t.Constant() || x.Constant() {
				continue
			}
			if i := slices.Index(j.graph.Inputs, x); i >= 0 {
				of = j.report.Inputs[i].Range
			}
			r.Range = clip(r.Range, of)
			own[t] = r
		}
	}
}

// rangeOf is the range of a constant's values, or of an activation on the
// made-up inputs.
func (j *job) rangeOf(t *tflite.Tensor, answer bool) chosenRange {
	if t.Constant() {
		return chosenRange{constantRange(t), "constant"}
	}
	s := j.stats[t]
	if j.grid() == affine.Int16 {
		return chosenRange{s.rangeInt16(), "what was seen, with room"}
	}
	if answer {
		// What a model answers is its rare extremes: nothing is clipped, and
		// made-up inputs, which never show a network quite what it looks for,
		// get room beyond what they reach.
		below, above := roomBelow, roomAbove
		if len(j.opts.Calibration) > 0 {
			below, above = roomGiven, roomGiven
		}
		r := s.usual()
		return chosenRange{Range{below * r.Lo, above * r.Hi}, "answer: what is usual, with room"}
	}
	return j.opts.Ranges.choose(s)
}

// constantRange holds the values of a constant, and 0.
func constantRange(t *tflite.Tensor) Range {
	r := Range{}
	for _, x := range t.Floats() {
		r = r.hull(Range{float64(x), float64(x)})
	}
	return r
}

// Room for answers beyond what made-up inputs reach. A score rises higher where a
// network finds what it looks for, and sinks about as low where it does not: on
// photographs 1.6 times as high in the median of models, 1.0 times as low.
const (
	roomAbove = 2.0
	roomBelow = 1.4
)

// roomGiven is the room for answers beyond what given inputs reach: a hundred photographs
// do not show the largest answers either. From 1 to 1.3, the table's "calibrated" moves by 0.4 dB
// at most, but iris_landmark's second output from 28.3 to 32.2 and 29.1 to 34.1.
const roomGiven = 1.3

// roomInt16 widens every range of int16 activations, where clipping costs more than
// a larger step. Measured on photographs, none costs mobilenet_v1 19 dB and
// blazeface 4 and 14, by what its made-up inputs did not reach; twice as much costs
// pose_detection_c, whose channels are of very different sizes, 4 to 6.
const roomInt16 = 2

// rangeInt16 is the range of a tensor in 16 bits.
func (s *tensorStats) rangeInt16() Range { return Range{roomInt16 * s.Lo, roomInt16 * s.Hi} }

// joinOperands puts the operands of a same-scale op into one group where that
// costs nothing.
func (j *job) joinOperands(g *groups, op *tflite.Op, uses map[*tflite.Tensor][]tflite.Use, apart map[*tflite.Tensor]bool) {
	var inputs, outputs []*tflite.Tensor
	for _, t := range realOperands(op) {
		if slices.Contains(op.Outputs, t) {
			outputs = append(outputs, t)
		} else {
			inputs = append(inputs, t)
		}
	}
	if len(outputs) == 0 {
		return
	}
	for _, t := range outputs[1:] {
		g.join(outputs[0], t)
	}
	first := affine.Params{}
	allFixed := len(inputs) > 0
	for i, t := range inputs {
		f := g.find(t).fixed
		if f == nil || i > 0 && *f != first {
			allFixed = false
			break
		}
		first = *f
	}
	for _, t := range inputs {
		in, out := g.find(t), g.find(outputs[0])
		switch {
		case in.fixed != nil && !allFixed:
			// Its parameters would be forced on operands that they do not fit.
		case apart[t]:
		case len(inputs) > 1 && len(uses[t]) > 1 && in.Hi-in.Lo < (out.Hi-out.Lo)/2 && j.limits.Takes(schema.BuiltinOperatorQUANTIZE):
			// Other readers would lose a bit or more to this op's other inputs.
		case len(inputs) == 1 && g.find(t).fixed == nil && spec(op).activation != schema.ActivationFunctionTypeNONE && out.Hi-out.Lo < (in.Hi-in.Lo)/2 && j.limits.Takes(schema.BuiltinOperatorQUANTIZE):
			// What is behind would lose a bit or more to what is cut off here.
		default:
			g.join(outputs[0], t)
		}
	}
}
