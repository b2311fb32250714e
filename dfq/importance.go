package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// importances says what noise in each channel of each tensor does to the answers:
// how much noise of variance 1, at every position of the channel, adds to the
// outputs, or to what is last seen before them, relative to their own variance.
//
// It is carried from what is last seen back, through filters by their squared
// weights and the share of values that the activation lets pass, through all else
// by opSpec.noise. Noise is taken to be independent from value to value, and is not
// where several channels have it from one, or in the smooth parts of an image: it
// is an estimate, good enough to weigh the channels of a tensor, not to compare
// tensors far apart.
func importances(j *job) map[*tflite.Tensor][]float64 {
	all := map[*tflite.Tensor][]float64{}
	of := func(t *tflite.Tensor) []float64 {
		if all[t] == nil {
			all[t] = make([]float64, channelCount(t))
		}
		return all[t]
	}
	for _, t := range j.lastSeen() {
		s := j.stats[t]
		if s == nil {
			continue // no op makes it
		}
		power := 0.0
		for _, m := range s.channels {
			power += m.variance()
		}
		for c, e := range of(t) {
			all[t][c] = e + 1/math.Max(power, leastPower)
		}
	}
	for _, op := range slices.Backward(j.graph.Ops) {
		f := spec(op).filter
		switch {
		case len(op.Outputs) == 0 || !real(op.Outputs[0]) || j.stats[op.Outputs[0]] == nil:
		case f != nil && op.Inputs[f.weights].Constant() && j.stats[op.Inputs[f.input]] != nil:
			w := op.Inputs[f.weights]
			in, before, values := of(op.Inputs[f.input]), j.importanceBefore(op, of(op.Outputs[0])), w.Floats()
			share := tapShare(op)
			for i, at := range eachWeight(op, f) {
				x := float64(values[i])
				in[at.in] += float64(x * x * before[at.out] * share)
			}
		case f == nil || !op.Inputs[f.weights].Constant(): // then it stays float
			for k, t := range op.Inputs {
				if real(t) && !t.Constant() && j.stats[t] != nil {
					j.passBack(op, k, of)
				}
			}
		}
	}
	return all
}

const leastPower = 1e-30 // of an output that never moves

// importanceBefore is that of a filter's output before its fused activation, e
// the one behind it.
func (j *job) importanceBefore(op *tflite.Op, e []float64) []float64 {
	before := make([]float64, len(e))
	for c, share := range j.uncut(op) {
		before[c] = share * e[c]
	}
	return before
}

// uncut is, per channel of op's output, the share of values within its fused
// activation. Scaling channels leaves it as it is.
func (j *job) uncut(op *tflite.Op) []float64 {
	s := j.stats[op.Outputs[0]]
	if s.uncut == nil {
		lo, hi := tflite.Clamp(op.Activation())
		s.uncut = s.share(func(x float64) bool { return x > lo && x < hi })
	}
	return s.uncut
}

// passBack adds to the importance of op's input k what it has from the outputs.
// A channel that repeats in the output has the mean of them, one that is a part of another
// its share, and channels that get mixed have equal shares of all.
func (j *job) passBack(op *tflite.Op, k int, of func(*tflite.Tensor) []float64) {
	if op.Inputs[k].Len() == 0 {
		return // channelCount takes an axis of none for one of 1
	}
	in, gain := of(op.Inputs[k]), j.noiseGain(op, k)
	for o, t := range op.Outputs {
		if !real(t) || j.stats[t] == nil {
			continue
		}
		behind := shared(of(t), len(in), pairsBetween(op, k, o))
		for c, e := range behind {
			in[c] += float64(e * gain(c))
		}
	}
}

// pairsBetween are the pairs of op's link from input k to output o. Without a link channels
// are those of the output if it has as many or a multiple of them, else they get mixed: nil.
func pairsBetween(op *tflite.Op, k, o int) []channelPair {
	for _, l := range channelLinks(op) {
		if l.input == k && l.output == o {
			return l.pairs
		}
	}
	n, m := channelCount(op.Inputs[k]), channelCount(op.Outputs[o])
	if m%n != 0 {
		return nil
	}
	return repeated(n, m)
}

// shared is what n channels have of an output's importance.
func shared(out []float64, n int, pairs []channelPair) []float64 {
	of := make([]float64, n)
	if pairs == nil {
		for c := range of {
			for _, x := range out {
				of[c] += x / float64(n)
			}
		}
		return of
	}
	outs, ins := make([]int, n), make([]int, len(out))
	for _, p := range pairs {
		outs[p.in]++
		ins[p.out]++
	}
	for _, p := range pairs {
		of[p.in] += out[p.out] / float64(max(outs[p.in], ins[p.out]))
	}
	return of
}

// noiseGain is by what an op that is no filter multiplies the variance of noise in
// a channel of its input k.
func (j *job) noiseGain(op *tflite.Op, k int) func(c int) float64 {
	s := spec(op)
	switch {
	case s.noise != nil:
		return s.noise(j, op, k)
	case s.scale.kind == sameScale:
		return always(1) // it moves values
	}
	// A function of each value: its slope is as that of the line through it.
	return func(c int) float64 {
		from, to := j.variance(op.Inputs[k], c), j.variance(op.Outputs[0], c)
		if from == 0 {
			return 0
		}
		return math.Min(to/from, steepest)
	}
}

func always(x float64) func(int) float64 { return func(int) float64 { return x } }

const steepest = 4 // bounds what a nearly constant input would make of an estimate

// variance of a channel of a real activation.
func (j *job) variance(t *tflite.Tensor, c int) float64 {
	s := j.stats[t]
	if s == nil {
		return 0
	}
	return s.channels[c%len(s.channels)].variance()
}

// Rules by which operators pass noise on, see opSpec.noise.

// pooled is for AVERAGE_POOL_2D.
func pooled(_ *job, op *tflite.Op, _ int) func(int) float64 {
	o, ok := op.Options.(*schema.Pool2DOptionsT)
	if !ok {
		return always(1)
	}
	return always(1 / math.Max(1, float64(o.FilterHeight)*float64(o.FilterWidth)))
}

// averaged is for MEAN.
func averaged(_ *job, op *tflite.Op, k int) func(int) float64 {
	return always(float64(op.Outputs[0].Len()) / float64(max(1, op.Inputs[k].Len())))
}

// added is for ADD and SUB: the share of sums that the activation lets pass.
func added(j *job, op *tflite.Op, _ int) func(int) float64 {
	if !fusedActivation(op) {
		return always(1)
	}
	shares := j.uncut(op)
	return func(c int) float64 { return shares[c%len(shares)] }
}

// multiplied is for MUL: the mean square of the other factor.
func multiplied(j *job, op *tflite.Op, k int) func(int) float64 {
	other := op.Inputs[1-k]
	if other.Constant() {
		w := other.Floats()
		if len(w) == 0 {
			return always(0)
		}
		return func(c int) float64 { return float64(w[c%len(w)]) * float64(w[c%len(w)]) }
	}
	s := j.stats[other]
	if s == nil {
		return always(1)
	}
	return func(c int) float64 {
		m := s.channels[c%len(s.channels)]
		return float64(m.mean*m.mean) + m.variance()
	}
}
