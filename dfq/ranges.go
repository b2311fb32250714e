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
	p, g := j.planRanges(j.ranges)
	if len(p.ops) == 0 {
		j.report.warn("all ops stay float: nothing is INT8 in the result")
	}
	j.lookedAt = g.lookedAt
	for _, op := range p.ops {
		for _, t := range realOperands(op) {
			t.Quant = quantization(g.params(t))
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

// planRanges finds the ranges of all groups by a rule.
func (j *job) planRanges(rule RangeRule) (*rangePlan, *groups) {
	p := &rangePlan{job: j, rule: rule, ops: j.int8Ops(), apart: map[*tflite.Tensor]bool{}}
	p.own = p.ownRanges()
	if room := p.rooms(); len(room) > 0 {
		p.giveRoom(room, p.groups())
	}
	g := p.groups()
	for p.keepApart(g) {
		g = p.groups()
	}
	return p, g
}

// rangePlan is what groups and their ranges are made from.
type rangePlan struct {
	*job
	rule  RangeRule
	ops   []*tflite.Op                   // that will work on quantized tensors
	own   map[*tflite.Tensor]chosenRange // that tensors would have alone
	apart map[*tflite.Tensor]bool        // tensors that join no op that reads them
}

// groups finds the groups and their ranges.
func (p *rangePlan) groups() *groups {
	g := p.ungrouped()
	uses := p.graph.Uses()
	for _, op := range p.ops {
		switch rule := p.scaleRule(op); rule.kind {
		case fixedScale:
			for _, t := range op.Outputs {
				fixed := rule.on(g.grid)
				lo, hi := g.grid.Range(fixed)
				g.of[t] = &group{chosenRange: chosenRange{Range{lo, hi}, fixedByKernel}, fixed: &fixed}
			}
		case sameScale:
			if spec(op).centred {
				g.find(op.Outputs[0]).centred = true
				break
			}
			p.joinOperands(g, op, uses)
		}
	}
	if g.grid == affine.Int8 { // int16 has steps enough
		g.endWhereReadersSaturate(p.job)
	}
	g.widenForKernels(p.ops, p.leastScale)
	return g
}

// fixedByKernel is the rule of a range that leaves no choice.
const fixedByKernel = "fixed by the kernel"

// ungrouped are groups of one tensor each: graph inputs with the parameters of their
// ranges, all others with the ranges that they would have alone.
func (p *rangePlan) ungrouped() *groups {
	g := &groups{grid: p.grid(), sets: unionFind{}, of: map[*tflite.Tensor]*group{}}
	for i, t := range p.graph.Inputs {
		if real(t) {
			r := p.report.Inputs[i].Range
			fixed := g.grid.Params(r.Lo, r.Hi)
			g.of[t] = &group{chosenRange: chosenRange{r, "input range"}, fixed: &fixed}
		}
	}
	for _, op := range p.ops {
		for _, t := range realOperands(op) {
			if g.of[t] == nil {
				g.of[t] = &group{chosenRange: p.own[t]}
			}
		}
		if len(op.Outputs) == 1 && real(op.Outputs[0]) {
			// Room beyond what the activation lets through would be empty.
			out := g.of[op.Outputs[0]]
			out.Range = out.within(clampOf(op))
		}
	}
	return g
}

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

// joinOperands puts the operands of a same-scale op into one group where that
// costs nothing.
func (p *rangePlan) joinOperands(g *groups, op *tflite.Op, uses map[*tflite.Tensor][]tflite.Use) {
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
		case p.apart[t]:
		case len(inputs) > 1 && len(uses[t]) > 1 && in.Hi-in.Lo < (out.Hi-out.Lo)/2 && p.limits.Takes(schema.BuiltinOperatorQUANTIZE):
			// Other readers would lose a bit or more to this op's other inputs.
		case len(inputs) == 1 && g.find(t).fixed == nil && spec(op).activation != schema.ActivationFunctionTypeNONE && out.Hi-out.Lo < (in.Hi-in.Lo)/2 && p.limits.Takes(schema.BuiltinOperatorQUANTIZE):
			// What is behind would lose a bit or more to what is cut off here.
		default:
			g.join(outputs[0], t)
		}
	}
}
