package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// measureRoom finds by how much the range of each activation may be wider at next to no
// cost. Real inputs go beyond what made-up ones show, most of all deep in networks that
// look for something, and what is clipped there harms more than what is rounded. Where
// rounding a tensor does little to the answers, against what it does elsewhere, a larger
// step does little as well.
//
// What rounding does is measured: the float graph goes on from the tensor's values
// rounded to its step, and nothing else is rounded.
func measureRoom(j *job) error {
	j.room = map[*tflite.Tensor]float64{}
	tensors, outputs := j.roundedAlone(), slices.DeleteFunc(slices.Clone(j.graph.Outputs), func(t *tflite.Tensor) bool { return j.stats[t] == nil })
	if len(outputs) == 0 || len(tensors)*len(j.graph.Ops) > mostWork {
		return nil
	}
	harm, err := j.harms(tensors, outputs)
	if err != nil {
		return err
	}
	mean := make([]float64, len(outputs))
	for _, h := range harm {
		for o, e := range h {
			mean[o] += e / float64(len(harm))
		}
	}
	for k, t := range tensors {
		room := mostRoom
		for o, e := range harm[k] {
			if little := littleHarm * mean[o]; e > 0 {
				room = math.Min(room, math.Sqrt(little/e)) // noise goes with the square of the step
			}
		}
		j.room[t] = math.Max(1, room)
	}
	return nil
}

const (
	littleHarm = 0.2 // of what rounding a tensor does to an output in the mean of all: up to this one is widened
	mostRoom   = 1.5

	mostWork     = 1 << 20 // tensors times ops: a graph of more gets no room
	harmSamples  = 8       // at most, and of large graphs fewer: samples times tensors times
	harmValues   = 1 << 30 // values of the graph are no more than this, or it is one sample
	valuesAtOnce = 1 << 22 // of tensors that one model takes noise for: 16 MB
)

// roundedAlone are the activations that an op rounds to a scale of their own, but for
// answers, whose ranges have room already.
func (j *job) roundedAlone() []*tflite.Tensor {
	answers := j.answers()
	var out []*tflite.Tensor
	for _, op := range j.int8Ops() {
		for _, t := range op.Outputs {
			if j.scaleRule(op).kind == freeScale && real(t) && j.stats[t] != nil && !answers[t] && t.Len() > 0 {
				out = append(out, t)
			}
		}
	}
	return out
}

// harms is harm, of few enough tensors at once for one model to take noise for.
func (j *job) harms(tensors, outputs []*tflite.Tensor) ([][]float64, error) {
	values := 1
	for _, t := range j.graph.Tensors() {
		values += t.Len()
	}
	samples := min(len(j.samples), harmSamples, max(1, harmValues/values/max(1, len(tensors))))
	var all [][]float64
	for len(tensors) > 0 {
		n, taken := 1, tensors[0].Len()
		for n < len(tensors) && taken+tensors[n].Len() <= valuesAtOnce {
			taken += tensors[n].Len()
			n++
		}
		harm, err := j.harm(tensors[:n], outputs, samples)
		if err != nil {
			return nil, err
		}
		all, tensors = append(all, harm...), tensors[n:]
	}
	return all, nil
}

// harm is the energy of the errors that rounding each of the tensors alone brings to each
// output in n samples: [tensor][output].
func (j *job) harm(tensors, outputs []*tflite.Tensor, n int) ([][]float64, error) {
	values := make([][][]float32, n) // [sample][outputs, then tensors]
	if err := eachSample(j.opts, withOutputs(j.model, slices.Concat(outputs, tensors)), n, j.sample, func(i int, v [][]float32) {
		for _, x := range v {
			values[i] = append(values[i], slices.Clone(x))
		}
	}); err != nil {
		return nil, err
	}
	largest := 0
	for _, t := range tensors {
		largest = max(largest, t.Len())
	}
	none := make([]float32, largest)
	given := func(run int) [][]float32 {
		i, k := run/len(tensors), run%len(tensors)
		inputs := slices.Clone(j.sample(i))
		for _, t := range tensors {
			inputs = append(inputs, none[:t.Len()])
		}
		inputs[len(inputs)-len(tensors)+k] = roundingErrors(values[i][len(outputs)+k], j.usualStep(tensors[k]))
		return inputs
	}
	noise := make([][]float64, n*len(tensors)) // [run][output]
	if err := eachSample(j.opts, withNoise(j.model, tensors, outputs), len(noise), given, func(run int, got [][]float32) {
		for o, want := range values[run/len(tensors)][:len(outputs)] {
			var s errorSums
			s.add(want, got[o], 1)
			noise[run] = append(noise[run], s.noise)
		}
	}); err != nil {
		return nil, err
	}
	harm := noise[:len(tensors)]
	for run, e := range noise[len(tensors):] {
		for o, more := range e {
			harm[run%len(tensors)][o] += more
		}
	}
	return harm, nil
}

// roundingErrors are what rounding to whole steps adds to v.
func roundingErrors(v []float32, step float64) []float32 {
	e := make([]float32, len(v))
	for i, x := range v {
		e[i] = float32(float64(step*math.Round(float64(x)/step)) - float64(x))
	}
	return e
}

// withNoise returns a copy of m that shows the given outputs, and takes behind its own
// inputs what is added to each of the tensors.
func withNoise(m *tflite.Model, tensors, outputs []*tflite.Tensor) *tflite.Model {
	noisy, found := copyWithTensors(m, slices.Concat(tensors, outputs))
	g := noisy.Graphs[0]
	clean := found[:len(tensors)]
	g.Outputs = found[len(tensors):]
	var ops []*tflite.Op
	for _, op := range g.Ops {
		ops = append(ops, op)
		for i, t := range op.Outputs {
			if !slices.Contains(clean, t) {
				continue
			}
			before, noise := t.Clone(), t.Clone()
			before.Name, noise.Name = t.Name+"_clean", t.Name+"_noise"
			op.Outputs[i] = before
			g.Inputs = append(g.Inputs, noise)
			ops = append(ops, &tflite.Op{Code: schema.BuiltinOperatorADD, Version: 1, Options: &schema.AddOptionsT{}, Inputs: []*tflite.Tensor{before, noise}, Outputs: []*tflite.Tensor{t}})
		}
	}
	g.Ops = ops
	return noisy
}
