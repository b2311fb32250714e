package dfq

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"dfq/tflite"
)

// spareSmall leaves in float, where the options allow it, what an op needs in float that
// makes large differences of small ones, as LOG does at the end of what turns sound into
// features: of powers that are decades apart eight bits keep the largest.
//
// How much is needed is measured: op by op backwards, until the float graph's answer of
// the op is hardly another if it goes on from rounded values. Where that is not near, all
// stays as it was, and a finding says what is lost.
func spareSmall(j *job) error {
	var magnify []*tflite.Op
	var around []*tflite.Tensor
	for _, op := range j.graph.Ops {
		if len(spec(op).magnifies) > 0 && len(op.Outputs) > 0 && j.unseen[op.Outputs[0]] == "" && j.readsUnseen(op) == "" {
			magnify = append(magnify, op)
			around = append(around, op.Outputs[0])
			for _, t := range op.Inputs {
				if real(t) && !t.Constant() && !slices.Contains(j.graph.Inputs, t) {
					around = append(around, t)
				}
			}
		}
	}
	values := 1
	for _, t := range around {
		values += t.Len()
	}
	n := min(sparedSamples, len(j.samples), harmValues/values)
	if n == 0 {
		return nil
	}
	exact, err := j.exactValues(sampleValues{n: n}, around) // all at once: most are rounded well enough, and nothing else is run for them
	if err != nil {
		return err
	}
	spared, producers := map[*tflite.Op]string{}, j.graph.Producers()
	for _, op := range magnify {
		needed, err := j.neededInFloat(op, producers, exact)
		if err != nil {
			return err
		}
		for o := range needed {
			spared[o] = fmt.Sprintf("%s %q tells small values apart that it would make equal", opName(op), op.Outputs[0].Name)
		}
	}
	if j.filtersAmong(maps.Keys(spared)) > mostSpared {
		return nil
	}
	for _, op := range j.graph.Ops {
		if spared[op] != "" && j.float[op] == "" {
			j.keepFloat(op, spared[op])
		}
	}
	return nil
}

const (
	enoughSmall   = 25 // dB, of what such an op makes of rounded values; of networks at hand LOG of powers has 17 and less, all else 33 and more
	mostSpared    = 4  // filters of a graph that stay float: the front of it, and not most of it
	sparedSamples = 4
)

// neededInFloat are op and the ops before it that have to stay float for it; nil: none
// need to, or too many.
func (j *job) neededInFloat(op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op, exact sampleValues) (map[*tflite.Op]bool, error) {
	inside := map[*tflite.Op]bool{op: true}
	for more := false; ; more = true {
		cut := j.readFromOutside(inside, producers)
		sqnr, err := j.roundedBefore(op, cut, exact)
		switch {
		case err != nil:
			return nil, err
		case sqnr >= enoughSmall && !more:
			return nil, nil
		case sqnr >= enoughSmall:
			return inside, nil
		}
		for _, t := range cut {
			inside[producers[t]] = true
		}
		if j.filtersAmong(maps.Keys(inside)) > mostSpared {
			return nil, nil
		}
	}
}

// filtersAmong counts the filters among ops that would be INT8.
func (j *job) filtersAmong(ops iter.Seq[*tflite.Op]) (n int) {
	for op := range ops {
		if spec(op).filter != nil && j.float[op] == "" {
			n++
		}
	}
	return n
}

// readFromOutside are the real values that some ops read of others and that would be
// rounded if these ops stayed float and no more did than does already, which are added to
// them on the way.
func (j *job) readFromOutside(inside map[*tflite.Op]bool, producers map[*tflite.Tensor]*tflite.Op) (cut []*tflite.Tensor) {
	seen := map[*tflite.Tensor]bool{}
	for _, op := range slices.Backward(j.graph.Ops) {
		if !inside[op] {
			continue
		}
		for _, t := range op.Inputs {
			p := producers[t]
			switch {
			case !real(t) || p == nil || inside[p] || seen[t]:
			case j.float[op] != "" && j.float[p] != "":
				inside[p] = true
			default:
				seen[t] = true
				cut = append(cut, t)
			}
		}
	}
	return cut
}

// sampleValues are the float graph's values of some tensors in n samples.
type sampleValues struct {
	n  int
	of map[*tflite.Tensor][][]float32
}

// exactValues are values of the given tensors; those that are known are not run for again.
func (j *job) exactValues(known sampleValues, tensors []*tflite.Tensor) (sampleValues, error) {
	values := sampleValues{known.n, map[*tflite.Tensor][][]float32{}}
	var run []*tflite.Tensor
	for _, t := range tensors {
		if values.of[t] = known.of[t]; values.of[t] == nil && !slices.Contains(run, t) {
			run = append(run, t)
		}
	}
	if len(run) == 0 {
		return values, nil
	}
	samples, err := j.outputsOf(withOutputs(j.model, run), known.n)
	for _, outputs := range samples {
		for k, t := range run {
			values.of[t] = append(values.of[t], outputs[k])
		}
	}
	return values, err
}

// roundedBefore is the SQNR of op's output if the float graph goes on from the given
// tensors, rounded to their steps.
func (j *job) roundedBefore(op *tflite.Op, cut []*tflite.Tensor, known sampleValues) (float64, error) {
	if len(cut) == 0 {
		return equalSQNR, nil
	}
	all := slices.Concat(cut, op.Outputs[:1])
	exact, err := j.exactValues(known, all)
	if err != nil {
		return 0, err
	}
	want, m := exact.of[op.Outputs[0]], withOutputs(j.model, all)
	rest, read := behind(m, len(cut)-1, len(cut))
	given := func(i int) [][]float32 {
		inputs := slices.Clone(j.sample(i))
		for _, k := range read {
			inputs = append(inputs, inSteps(j.usualStep(cut[k]), exact.of[cut[k]][i]))
		}
		return inputs
	}
	var s errorSums
	err = inTurn(j.opts, rest, exact.n, given, func(i int, got [][]float32) {
		if len(got[0]) == len(want[i]) { // else rounding makes many or few of it
			s.add(want[i], got[0], 1)
		}
	})
	return s.diff("").SQNR, err
}
