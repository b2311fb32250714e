package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// measureRoom finds by how much the range of each activation may be wider at little cost.
// Real inputs go beyond what made-up ones show, most of all deep in networks that look for
// something, and what is clipped there harms more than what is rounded. Where rounding a
// tensor does little to the answers, against what it does elsewhere, a larger step does
// little as well.
//
// What RSQRT makes of the variance of each position, and its like, gets none: the few quietest
// positions say how far it goes, all others are a few steps, which one sample does not tell.
//
// What rounding does is measured: the float graph goes on from the tensor's values
// rounded to its step, and nothing else is rounded. A map, or a list of boxes, tells it in
// one sample. The few numbers of a classifier tell less in eight, so that less is ventured
// on them, and only by Thorough.
func measureRoom(j *job) error {
	tensors, outputs := j.roundedAlone(), j.lastSeen()
	maps := slices.ContainsFunc(outputs, manyPositions)
	n := j.harmSamples(len(tensors), maps)
	if n == 0 || len(outputs) == 0 {
		return nil
	}
	harm, err := j.harm(tensors, outputs, n)
	if err != nil || harm == nil {
		return err
	}
	little := littleHarm
	if maps {
		little = littleHarmOfMaps
	}
	mean := make([]float64, len(outputs))
	for _, h := range harm {
		for o, e := range h {
			mean[o] += e / float64(len(harm))
		}
	}
	j.room = map[*tflite.Tensor]float64{}
	producers := j.graph.Producers()
	for k, t := range tensors {
		room := mostRoom
		for o, e := range harm[k] {
			if e > 0 {
				room = math.Min(room, math.Sqrt(little*mean[o]/e)) // noise goes with the square of the step
			}
		}
		if manyPositions(t) && len(spec(producers[t]).magnifies) > 0 {
			room = 1
		}
		j.room[t] = math.Max(1, room)
	}
	return nil
}

const (
	littleHarm       = 0.2 // of what rounding a tensor does to an output in the mean of all: up to this one is widened
	littleHarmOfMaps = 0.5
	mostRoom         = 1.5

	mostSamples = 8       // of what has no map
	harmWork    = 1 << 30 // activations of the graph times tensors times samples: what takes longer than all other passes is for Thorough
	harmValues  = 1 << 27 // activations of the graph times samples: 512 MB are kept at most
	mostWork    = 1 << 20 // tensors times ops: a graph of more gets no room
)

// harmSamples is how many samples harm of so many tensors is measured on; 0: it is not.
func (j *job) harmSamples(tensors int, maps bool) int {
	values := j.activations()
	if tensors == 0 || tensors*len(j.graph.Ops) > mostWork || values > harmValues {
		return 0
	}
	within := min(harmWork/values/tensors, harmValues/values)
	switch thorough := j.opts.Thorough; {
	case maps && (thorough || within > 0):
		return 1
	case thorough:
		return max(1, min(mostSamples, len(j.samples), within))
	}
	return 0
}

// activations is how many values the graph's activations have, at least 1.
func (j *job) activations() int {
	n := 1
	for _, t := range j.graph.Tensors() {
		if !t.Constant() {
			n += t.Len()
		}
	}
	return n
}

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

// harm is the energy of the errors that rounding each of the tensors alone brings to each
// output in n samples: [tensor][output]; nil if how many values they have depends on the
// input. The tensors are in the order in which they are made.
func (j *job) harm(tensors, outputs []*tflite.Tensor, n int) ([][]float64, error) {
	m := withOutputs(j.model, slices.Concat(tensors, outputs))
	values, err := j.outputsOf(m, n) // [sample][tensors, then outputs]
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		for k, t := range m.Graphs[0].Outputs {
			if len(v[k]) != t.Len() {
				return nil, nil
			}
		}
	}
	harm := make([][]float64, len(tensors))
	return harm, inParallel(len(tensors), bytesToRun(m), func(next func() (int, bool)) error {
		for k, ok := next(); ok; k, ok = next() {
			harm[k] = make([]float64, len(outputs))
			rest, read := behind(m, k, len(tensors))
			given := func(i int) [][]float32 {
				inputs := slices.Clone(j.sample(i))
				for _, r := range read {
					v := values[i][r]
					if r == k {
						v = inSteps(j.usualStep(tensors[k]), v)
					}
					inputs = append(inputs, v)
				}
				return inputs
			}
			if err := inTurn(j.opts, rest, n, given, func(i int, got [][]float32) {
				for o, want := range values[i][len(tensors):] {
					if len(got[o]) != len(want) {
						continue // what rounding makes many or few of is not compared
					}
					var s errorSums
					s.add(want, got[o], 1)
					harm[k][o] += s.noise
				}
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// inSteps returns v rounded to whole steps.
func inSteps(step float64, v []float32) []float32 {
	rounded := make([]float32, len(v))
	for i, x := range v {
		rounded[i] = float32(step * math.Round(float64(x)/step))
	}
	return rounded
}
