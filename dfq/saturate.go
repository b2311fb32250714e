package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// saturated lists the tensors beyond whose range nobody looks: every op that reads one
// answers the same, to less than a step of its own output, for all values beyond. An
// int8 range that ends there spends no step on what makes no difference.
func (j *job) saturated() map[*tflite.Tensor]Range {
	out := map[*tflite.Tensor]Range{}
	for _, t := range j.graph.Outputs {
		out[t] = everything
	}
	for _, op := range slices.Backward(j.graph.Ops) { // readers before what they read
		for k, t := range op.Inputs {
			if !real(t) {
				continue
			}
			r := everything
			if rule := spec(op).saturates; rule != nil && k == 0 && j.float[op] == "" {
				if output, ok := out[op.Outputs[0]]; ok {
					r = rule(j, op, output)
				}
			}
			if others, ok := out[t]; ok {
				r = Range{math.Min(r.Lo, others.Lo), math.Max(r.Hi, others.Hi)}
			}
			out[t] = r
		}
	}
	return out
}

var everything = Range{math.Inf(-1), math.Inf(1)}

// Rules for opSpec.saturates. Where a function only comes near its end value the bound
// is where it is within half a step of it, and a little further, since the ends of a
// range are moved to make 0 a whole number of steps.

// flatBeyond is for functions of a value that are constant outside of [lo, hi].
func flatBeyond(lo, hi float64) func(*job, *tflite.Op, Range) Range {
	return func(*job, *tflite.Op, Range) Range { return Range{lo, hi} }
}

// asOutput is for ops that only move values.
func asOutput(_ *job, _ *tflite.Op, output Range) Range { return output }

// belowLargest is for SOFTMAX and LOG_SOFTMAX. A value as far below the largest of its
// row as depth is 0 in the output, and so is the sum of a row of such values; no row
// has a largest value lower than those seen, or than 0.
func belowLargest(depth float64) func(*job, *tflite.Op, Range) Range {
	return func(j *job, op *tflite.Op, _ Range) Range {
		s := j.stats[op.Inputs[0]]
		if s == nil {
			return everything
		}
		beta := 1.0
		if o, ok := op.Options.(*schema.SoftmaxOptionsT); ok {
			beta = float64(o.Beta)
		}
		if !(beta > 0) {
			return everything
		}
		n := len(s.channels)
		least := 0.0
		for at := 0; at < len(s.rows); at += n {
			largest := math.Inf(-1)
			for _, x := range s.rows[at : at+n] {
				largest = math.Max(largest, float64(x))
			}
			least = math.Min(least, largest)
		}
		return Range{least - (depth+math.Log(float64(n)))/beta, math.Inf(1)}
	}
}
