package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// reach finds how far tensors can go at most, whatever comes in: what ops let through that
// have an end. These are MINIMUM and MAXIMUM by constants, as a clip ends an image; kernels
// with an output of their own scale, as LOGISTIC; fused activations; and what moves such
// values or makes a line of them, as of [0, 1] to 0 … 255.
type reach struct {
	j         *job
	producers map[*tflite.Tensor]*tflite.Op
	found     map[*tflite.Tensor]Range
}

func newReach(j *job) *reach {
	return &reach{j, j.graph.Producers(), map[*tflite.Tensor]Range{}}
}

// of is that of t.
func (r *reach) of(t *tflite.Tensor) Range {
	if known, ok := r.found[t]; ok {
		return known
	}
	within, op := everything, r.producers[t]
	switch {
	case !real(t):
	case t.Constant():
		within = constantRange(t)
	case op != nil && r.j.float[op] == "":
		within = r.letThrough(op).within(clampOf(op))
	}
	r.found[t] = within
	return within
}

// letThrough is what op makes of the reach of its inputs, before its fused activation.
func (r *reach) letThrough(op *tflite.Op) Range {
	if clip := spec(op).clip; clip != nil {
		if k := slices.IndexFunc(op.Inputs, (*tflite.Tensor).Constant); k >= 0 {
			return clip(r.of(op.Inputs[1-k]), constantRange(op.Inputs[k]))
		}
	}
	rule, line := r.j.scaleRule(op), lineOrFilter(op)
	switch {
	case line != nil:
		return line.of(r.of(line.x))
	case rule.kind == fixedScale:
		lo, hi := r.j.grid().Range(rule.on(r.j.grid()))
		return Range{lo, hi}
	case rule.kind == sameScale && !spec(op).centred:
		all := Range{} // what pads is 0
		for _, t := range op.Inputs {
			if real(t) {
				all = all.hull(r.of(t))
			}
		}
		return all
	}
	return everything
}

// Rules for opSpec.clip; 0 stays.

// fromAbove is for MINIMUM, fromBelow for MAXIMUM.
func fromAbove(r, by Range) Range { return Range{r.Lo, math.Min(r.Hi, math.Max(0, by.Hi))} }
func fromBelow(r, by Range) Range { return Range{math.Max(r.Lo, math.Min(0, by.Lo)), r.Hi} }
