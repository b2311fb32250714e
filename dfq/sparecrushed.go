package dfq

import (
	"slices"

	"dfq/tflite"
)

// spareCrushed leaves in float, where the options allow it, what follows the last filters
// where one scale for boxes in pixels and scores below 1 would leave nothing of the scores:
// all that is made of the same tensors there. It has no weights to gain by.
func spareCrushed(j *job) error {
	tail := j.behindFilters()
	apart := map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		apart[op] = tail[op] && j.float[op] == "" && j.crushes(op)
	}
	// What leads to such ops and what follows them.
	uses, producers := j.graph.Uses(), j.graph.Producers()
	for changed := true; changed; {
		changed = false
		for _, op := range j.graph.Ops {
			if !apart[op] {
				continue
			}
			for _, t := range op.Inputs {
				if p := producers[t]; tail[p] && !apart[p] && j.makesReal(op) {
					apart[p], changed = true, true
				}
			}
			for _, t := range op.Outputs {
				for _, u := range uses[t] {
					if tail[u.Op] && !apart[u.Op] {
						apart[u.Op], changed = true, true
					}
				}
			}
		}
	}
	for _, op := range j.graph.Ops {
		if apart[op] && j.float[op] == "" {
			j.keepFloat(op, "behind the last filters one scale would hold values of too different size")
		}
	}
	return nil
}

// makesReal reports whether op makes real values that are known, unlike what chooses among
// boxes by their scores at the end: it reads each at a scale of its own.
func (j *job) makesReal(op *tflite.Op) bool {
	return slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return real(t) && j.unseen[t] == "" })
}

// behindFilters are the ops on real values that no filter or product of matrices follows.
func (j *job) behindFilters() map[*tflite.Op]bool {
	before := map[*tflite.Tensor]bool{} // a filter
	tail := map[*tflite.Op]bool{}
	for _, op := range slices.Backward(j.graph.Ops) {
		weighs := spec(op).filter != nil || spec(op).matrices
		leads := weighs || slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return before[t] })
		for _, t := range op.Inputs {
			before[t] = before[t] || leads
		}
		tail[op] = !leads && touchesReal(op)
	}
	return tail
}

// crushes reports whether an op demands one scale that leaves one of those that it joins with
// few steps. What is part of one tensor had no more before.
func (j *job) crushes(op *tflite.Op) bool {
	inputs := slices.DeleteFunc(realOperands(op), func(t *tflite.Tensor) bool { return j.stats[t] == nil || slices.Contains(op.Outputs, t) })
	if j.scaleRule(op).kind != sameScale || len(inputs) < 2 {
		return false
	}
	step := 0.0
	for _, t := range realOperands(op) {
		if s := j.stats[t]; s != nil {
			step = max(step, j.usualStep(t))
		}
	}
	return slices.ContainsFunc(inputs, func(t *tflite.Tensor) bool {
		s := j.stats[t]
		return s.Hi > s.Lo && s.Hi-s.Lo < fewSteps*step
	})
}
