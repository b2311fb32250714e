package dfq

import (
	"slices"

	"dfq/tflite"
)

// proveFloat measures how far the float graph is from the one that was read,
// after everything that is meant to change no answer: normalization, absorption
// and equalization. The inputs are the made-up ones, which flatters steps that
// rest on statistics of the same inputs; the report calls it so. Weights that are
// stored smaller are made float first: an op of int8 weights rounds its input as
// well, which is no step of ours. Where outputs are not seen here, as behind custom ops
// and ARG_MAX, what is seen last is compared.
func proveFloat(j *job) error {
	j.report.FloatTwin = j.model.Clone()
	var before, after []*tflite.Tensor // outputs of both graphs
	for k, t := range j.graph.Outputs {
		if real(t) && j.unseen[t] == "" { // else its op cannot be run here
			before, after = append(before, j.source.Graphs[0].Outputs[k]), append(after, t)
		}
	}
	for _, t := range j.lastSeen() {
		if s := j.inSource(t); s != nil && !slices.Contains(after, t) {
			before, after = append(before, s), append(after, t)
		}
	}
	if len(after) == 0 {
		return nil
	}
	source := withOutputs(j.source, before)
	if _, err := floatConstants(source.Graphs[0]); err != nil {
		return err
	}
	explicitBiases(source.Graphs[0]) // the interpreter runs no convolution without
	j.unfuse(source.Graphs[0])
	j.narrowTransposes(source.Graphs[0])
	n := min(len(j.samples), provingSamples)
	want, err := j.outputsOf(source, n) // first one graph, then the other: both at once need twice the memory
	if err != nil {
		return err
	}
	got, err := j.outputsOf(withOutputs(j.model, after), n)
	if err != nil {
		return err
	}
	for k, t := range after {
		var sum errorSums
		for i := range n {
			sum.add(want[i][k], got[i][k], 1)
		}
		d := sum.diff(t.Name)
		j.report.FloatSQNR = append(j.report.FloatSQNR, d.SQNR)
		if d.SQNR < leastFloatSQNR {
			j.report.warn("%q of the float graph is only %.1f dB from the original before anything is rounded; try without %s", t.Name, d.SQNR, j.suspect())
		}
	}
	return nil
}

// inSource is the tensor of the file's graph that t came from, which may not be an output;
// nil if that is not sure, or if channels of t may be scaled.
func (j *job) inSource(t *tflite.Tensor) *tflite.Tensor {
	for _, use := range j.graph.Uses()[t] {
		if s := spec(use.Op); j.float[use.Op] == "" && (s.filter != nil || s.channels != nil) {
			return nil
		}
	}
	var found *tflite.Tensor
	for _, s := range j.source.Graphs[0].Tensors() {
		if s.Name != t.Name || !real(s) || !slices.Equal(s.Shape, t.Shape) {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

// suspect names what of the options may have changed the float graph most.
func (j *job) suspect() string {
	switch o := j.opts; {
	case o.RelaxReLU6:
		return "--relax-relu6"
	case o.Absorb:
		return "--absorb"
	}
	return "equalization (--no-equalize)"
}

const (
	provingSamples = 4
	leastFloatSQNR = 40
)
