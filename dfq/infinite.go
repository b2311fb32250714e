package dfq

import (
	"fmt"
	"slices"

	"dfq/tflite"
)

// settleInfinite keeps what is infinite now and then in float, where the options allow it
// and no answer is; else it is an error, which names the first such tensor.
func (j *job) settleInfinite() error {
	insideOnly := !slices.ContainsFunc(j.lastSeen(), j.notFinite)
	for _, t := range j.graph.Tensors() {
		if !j.notFinite(t) {
			continue
		}
		if insideOnly && j.opts.AllowFloat {
			j.keepFloatAround(t)
			continue
		}
		if op := j.notFiniteBefore(t); op != nil {
			return fmt.Errorf("%s: a constant of it holds NaN or infinity, so that tensor %q does for any input; mend the model", j.graph.Place(op), t.Name)
		}
		if len(j.opts.Calibration) > 0 {
			return fmt.Errorf("tensor %q is not finite on the given inputs; see whether they hold numbers that are not, or far too large ones", t.Name)
		}
		advice := "state the input range (--input-range)"
		if insideOnly {
			advice += ", or allow the ops around it to stay float (--allow-float), as the model's answers are finite"
		}
		return fmt.Errorf("tensor %q is not finite on made-up inputs in [%s]; %s", t.Name, j.report.inputRanges(), advice)
	}
	return nil
}

func (j *job) notFinite(t *tflite.Tensor) bool { return j.stats[t] != nil && !j.stats[t].finite() }

// keepFloatAround leaves the ops in float that make or read t, which is infinite now and
// then while the model's answers are not: x·tanh(log(1 + eˣ)) is x where eˣ is infinite.
func (j *job) keepFloatAround(t *tflite.Tensor) {
	delete(j.stats, t)
	for _, op := range j.graph.Ops {
		if j.float[op] == "" && (slices.Contains(op.Inputs, t) || slices.Contains(op.Outputs, t)) {
			j.keepFloat(op, fmt.Sprintf("%q is infinite now and then", t.Name))
		}
	}
}

// notFiniteBefore is the first op up to the one that makes t with a constant that holds
// NaN or infinity; nil: there is none.
func (j *job) notFiniteBefore(t *tflite.Tensor) *tflite.Op {
	for _, op := range j.graph.Ops {
		for _, in := range op.Inputs {
			if real(in) && in.Constant() && slices.ContainsFunc(in.Floats(), notFinite) {
				return op
			}
		}
		if slices.Contains(op.Outputs, t) {
			break
		}
	}
	return nil
}
