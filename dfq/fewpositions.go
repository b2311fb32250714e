package dfq

import (
	"slices"

	"dfq/tflite"
)

// tooFewToKnow are the tensors that made-up inputs say too little of: those with
// few positions, where a sample gives few values, and those near one on the way to an
// output, up to nearHead weighted ops before it, whose channels answer to whole
// objects. A self-check on made-up inputs is blind there: measured on photographs,
// scales found for them cost more than all others gain.
//
// Skips of residual blocks may lead from the first layers to the last with hardly a
// weighted op between: what is more than farFromHead before by another way is not near.
//
// Few positions that lead back to many, as an image's means do that channels are
// multiplied by (squeeze and excitation), are no head; neither is an output of many
// positions, a map or a list of boxes: what is before them is scaled.
func (j *job) tooFewToKnow() map[*tflite.Tensor]bool {
	ahead := map[*tflite.Tensor]*ways{}  // to tensors with few positions
	answers := map[*tflite.Tensor]bool{} // outputs, and what tensors with few positions up to one are made of
	few := map[*tflite.Tensor]bool{}
	for _, t := range j.lastSeen() {
		answers[t] = true
	}
	for _, op := range slices.Backward(j.graph.Ops) {
		var from *ways // first op's outputs, then its inputs
		for _, t := range op.Outputs {
			if !real(t) {
				continue
			}
			if !manyPositions(t) {
				few[t] = true
			}
			if few[t] && answers[t] {
				ahead[t] = &ways{}
				for _, in := range op.Inputs {
					answers[in] = true
				}
			}
			from = from.or(ahead[t])
		}
		if from == nil {
			continue
		}
		if spec(op).filter != nil {
			from = &ways{from.shortest + 1, from.longest + 1}
		}
		for _, t := range op.Inputs {
			if real(t) {
				ahead[t] = ahead[t].or(from)
			}
		}
	}
	for t, w := range ahead {
		if w.shortest <= nearHead && w.longest <= farFromHead {
			few[t] = true
		}
	}
	return few
}

// ways lead from a tensor to others; how many weighted ops are on them.
type ways struct{ shortest, longest int }

// or are the ways of both; nil: there is none.
func (w *ways) or(others *ways) *ways {
	switch {
	case w == nil:
		return others
	case others == nil:
		return w
	}
	return &ways{min(w.shortest, others.shortest), max(w.longest, others.longest)}
}

// manyPositions reports whether a sample gives many values of each channel of t.
func manyPositions(t *tflite.Tensor) bool { return t.Len() >= fewPositions*channelCount(t) }

const (
	fewPositions = 16
	nearHead     = 2  // weighted ops, by the shortest way
	farFromHead  = 16 // by the longest
)
