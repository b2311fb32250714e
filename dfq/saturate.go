package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// saturated finds beyond which range of a tensor nobody looks: every op that reads it
// answers the same, to less than a step of its own output, for all values beyond. An
// int8 range that ends there spends no step on what makes no difference.
type saturated struct {
	j      *job
	groups *groups                  // whose ranges are cut
	of     map[*tflite.Tensor]Range // where the readers seen so far look

	producers map[*tflite.Tensor]*tflite.Op
}

// endWhereReadersSaturate cuts the ranges of groups to where their members are looked
// at, and keeps where each tensor is.
func (g *groups) endWhereReadersSaturate(j *job) {
	s, reach := &saturated{j, g, map[*tflite.Tensor]Range{}, j.graph.Producers()}, newReach(j)
	for _, t := range j.graph.Outputs {
		s.of[t] = reach.of(t) // beyond there is nothing to be looked at
	}
	for _, op := range slices.Backward(j.graph.Ops) { // readers before what they read
		for k, t := range op.Inputs {
			if !real(t) {
				continue
			}
			r := everything
			if rule := spec(op).saturates; rule != nil && misfit(op) == "" {
				r = rule(s, op, k)
				if j.float[op] != "" { // in float it tells more apart than in steps
					r = Range{2 * r.Lo, 2 * r.Hi}
				}
			}
			s.of[t] = union(s.of, t, r)
		}
	}
	within := map[*tflite.Tensor]Range{}
	for t := range s.of {
		if root := g.sets.root(t); g.of[root] != nil {
			within[root] = union(within, root, s.of[t])
		}
	}
	for t, r := range within {
		if cut := g.of[t]; cut.fixed == nil && (cut.Lo < r.Lo || cut.Hi > r.Hi) {
			cut.Range = cut.within(r)
			cut.rule += ", no further than its readers tell apart"
		}
	}
	g.lookedAt = s.of
}

// union is r and the range that t has in m.
func union(m map[*tflite.Tensor]Range, t *tflite.Tensor, r Range) Range {
	if other, ok := m[t]; ok {
		return r.hull(other)
	}
	return r
}

var everything = Range{math.Inf(-1), math.Inf(1)}

// Rules for opSpec.saturates. Where a function only comes near its end value the bound
// is where it is within half a step of it, and a little further, since the ends of a
// range are moved to make 0 a whole number of steps.

// flatBeyond is for functions of a value that are constant outside of [lo, hi].
func flatBeyond(lo, hi float64) func(*saturated, *tflite.Op, int) Range {
	return func(*saturated, *tflite.Op, int) Range { return Range{lo, hi} }
}

// bounded is for MINIMUM and MAXIMUM, whose output shows nothing beyond a constant bound.
func bounded(clip func(r, by Range) Range) func(*saturated, *tflite.Op, int) Range {
	return func(s *saturated, op *tflite.Op, k int) Range {
		r := s.output(op)
		if by := op.Inputs[1-k]; by.Constant() {
			r = clip(r, constantRange(by))
		}
		return r
	}
}

// factor is for MUL: by constants what is looked at of the product, divided by them. GELU
// by TANH cubes x on the way and looks at ±3.5 of 0.8 times what it makes of that.
func factor(s *saturated, op *tflite.Op, k int) Range {
	by := op.Inputs[1-k]
	if !by.Constant() {
		return gatedBySigmoid(s, op, k)
	}
	out, r := s.output(op).within(clampBy(op.Activation())).hull(Range{}), Range{}
	for _, c := range by.Floats() {
		a, b := out.Lo/float64(c), out.Hi/float64(c) // by 0 infinite, or NaN
		r = r.hull(Range{math.Min(a, b), math.Max(a, b)})
	}
	if r.Lo != r.Lo || r.Hi != r.Hi {
		return everything
	}
	return r
}

// gatedBySigmoid is for MUL of x and σ(x), which is next to 0 where x is low. Behind
// "part gates" σ reads s·x, each channel its own.
func gatedBySigmoid(s *saturated, op *tflite.Op, k int) Range {
	x := op.Inputs[k]
	gate, part := sigmoidBeside(op, k, s.producers), s.j.parted[x]
	switch {
	case gate == nil:
		return everything
	case gate.Inputs[0] == x:
		return Range{siluEnd, math.Inf(1)}
	case part == nil || gate.Inputs[0] != part.Outputs[0]:
		return everything
	}
	least, scale := 0.0, part.Inputs[1].Floats()
	for c, m := range s.j.stats[x].channels {
		least = math.Min(least, math.Max(m.lo, siluEnd/float64(scale[c])))
	}
	return Range{least, math.Inf(1)}
}

// siluEnd is where x·σ(x) is -0.003, from where it goes to 0.
const siluEnd = -8

// asOutput is for ops that only move values.
func asOutput(s *saturated, op *tflite.Op, _ int) Range { return s.output(op) }

// output is where op's output is looked at.
func (s *saturated) output(op *tflite.Op) Range {
	r, ok := s.of[op.Outputs[0]]
	if !ok {
		return everything
	}
	return r
}

// summand is for a + b, with sign 1, and a - b, with sign -1. Where a is so low that no
// b of its own range brings the sum above the least that is looked at, as 0 for the
// ReLU behind a residual add, it may as well be higher; likewise at the other end.
// Both may be cut at once: a sum of two that were is beyond the end by either.
func summand(sign float64) func(*saturated, *tflite.Op, int) Range {
	return func(s *saturated, op *tflite.Op, k int) Range {
		out := s.output(op).within(clampBy(op.Activation()))
		other := s.groups.find(op.Inputs[1-k])
		if other == nil {
			return everything
		}
		least, most := math.Min(other.Lo, 0), math.Max(other.Hi, 0)
		switch {
		case sign > 0:
			return Range{out.Lo - most, out.Hi - least}
		case k == 0:
			return Range{out.Lo + least, out.Hi + most}
		default:
			return Range{least - out.Hi, most - out.Lo}
		}
	}
}

// belowLargest is for SOFTMAX and LOG_SOFTMAX. A value as far below the largest of its
// row as depth is 0 in the output, and so is the sum of a row of such values; no row
// has a largest value lower than those seen, or than 0.
func belowLargest(depth float64) func(*saturated, *tflite.Op, int) Range {
	return func(s *saturated, op *tflite.Op, _ int) Range {
		stats := s.j.stats[op.Inputs[0]]
		if stats == nil {
			return everything
		}
		beta := 1.0
		if o, ok := op.Options.(*schema.SoftmaxOptionsT); ok {
			beta = float64(o.Beta)
		}
		if !(beta > 0) {
			return everything
		}
		n := len(stats.channels)
		least := 0.0
		for at := 0; at < len(stats.rows); at += n {
			largest := math.Inf(-1)
			for _, x := range stats.rows[at : at+n] {
				largest = math.Max(largest, float64(x))
			}
			least = math.Min(least, largest)
		}
		return Range{least - (depth+math.Log(float64(n)))/beta, math.Inf(1)}
	}
}
