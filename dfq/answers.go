package dfq

import (
	"slices"

	"dfq/tflite"
)

// lastSeen are the last real values on the way to the model's outputs: these, or what is
// read by ops that make indices or truth values of it, as ARG_MAX does, or that cannot be run
// here, as custom ones. What harms the model is judged by them.
func (j *job) lastSeen() []*tflite.Tensor {
	var seen []*tflite.Tensor
	add := func(t *tflite.Tensor) {
		if real(t) && !t.Constant() && j.unseen[t] == "" && !slices.Contains(seen, t) {
			seen = append(seen, t)
		}
	}
	leads := map[*tflite.Tensor]bool{} // to an output
	for _, t := range j.graph.Outputs {
		add(t)
		leads[t] = true
	}
	for _, op := range slices.Backward(j.graph.Ops) {
		if !slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return leads[t] }) {
			continue
		}
		last := !spec(op).shapeOnly &&
			slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return leads[t] && (!real(t) || j.unseen[t] != "") })
		for _, t := range op.Inputs {
			leads[t] = t != nil
			if last {
				add(t)
			}
		}
	}
	return seen
}

// answers are the tensors from which the outputs are had without any further
// weights: logits, scores, coordinates.
func (j *job) answers() map[*tflite.Tensor]bool {
	reach := map[*tflite.Tensor]bool{}
	for _, t := range j.graph.Outputs {
		reach[t] = true
	}
	for _, op := range slices.Backward(j.graph.Ops) {
		if spec(op).filter != nil || !slices.ContainsFunc(op.Outputs, func(t *tflite.Tensor) bool { return reach[t] }) {
			continue
		}
		for _, t := range op.Inputs {
			reach[t] = true
		}
	}
	return reach
}

// variants are the real tensors that no filter lies between and an input. Answers among them, as of networks that
// enhance images or take noise out of them, are no scores: they go about as far as the input does.
func (j *job) variants() map[*tflite.Tensor]bool {
	reach := map[*tflite.Tensor]bool{}
	for _, t := range j.graph.Inputs {
		reach[t] = real(t)
	}
	for _, op := range j.graph.Ops {
		if spec(op).filter == nil && slices.ContainsFunc(op.Inputs, func(t *tflite.Tensor) bool { return reach[t] }) {
			for _, t := range op.Outputs {
				reach[t] = real(t)
			}
		}
	}
	return reach
}
