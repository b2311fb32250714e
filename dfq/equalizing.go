package dfq

import (
	"math"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// equalizing is the objective for one block where all weights of a filter have one scale.
type equalizing struct {
	b       *block
	readers []*perTensorReader
	writers []*writer
}

// perTensorReader says what noise in a reader's input and weights does to its output, in
// units of each output channel's own variance.
type perTensorReader struct {
	*reader
	gain   []float64 // by place (last: fixed channels): by what noise there is multiplied, over outputs' variances
	behind []float32 // by input channel: largest |w|
	weight float64   // what one unit of noise in the weights costs
	spread []float64 // by input channel: how many of these units it makes up
}

// writer is a weighted op as seen from its output: rows that are scaled down lose
// precision, since all share one scale.
type writer struct {
	place   []int     // by output channel
	largest []float64 // by output channel: largest |w|
	input   float64   // Σ over taps of the input's errorPower
}

func newEqualizing(j *job, b *block) *equalizing {
	e := &equalizing{b, make([]*perTensorReader, len(b.readers)), make([]*writer, len(b.writers))}
	eachInParallel(len(b.readers)+len(b.writers), 0, func(i int) {
		if i < len(b.readers) {
			r := b.readers[i]
			e.readers[i] = r.perTensor(len(b.vars), outputVariances(j.stats[r.op.Outputs[0]].preActivation()))
		} else {
			i -= len(b.readers)
			e.writers[i] = b.newWriter(j, b.writers[i])
		}
	})
	return e
}

// cost is the expected noise at all readers' outputs, relative to their
// variances, for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·g_c  +  k·(δ_r²/12 · Σ_o 1/v_o · Σ_c V_c/s_c²  +  δ_w²/12 · U · Σ_c s_c²·g_c)
//
// Δ_t is the step of tensor t at its scaled range, g the readers' gains; δ_r is
// the step of a reader's weights at their scaled range, V the input's errorPower,
// v the outputs' variance; δ_w is the step of the weights that write the block, U
// their input's errorPower; k is sameEverywhere.
func (e *equalizing) cost(s []float64) float64 {
	gain := 0.0
	for _, r := range e.readers {
		for p, g := range r.gain[:len(s)] {
			gain += float64(g * s[p] * s[p])
		}
		gain += r.gain[len(s)]
	}
	activations, weights := 0.0, 0.0
	for _, ranges := range e.b.ranges {
		lo, hi := 0.0, 0.0
		for _, c := range ranges {
			k := 1 / placeScale(s, c.place)
			lo, hi = min(lo, c.lo*k), max(hi, c.hi*k)
		}
		step := e.b.grid.Step(lo, hi)
		activations += float64(step * step / 12 * gain)
	}
	for _, w := range e.writers {
		largest := 0.0
		for o, m := range w.largest {
			largest = max(largest, m/placeScale(s, w.place[o]))
		}
		step := largest / affine.QMaxWeight
		weights += float64(step * step / 12 * w.input * gain)
	}
	for _, r := range e.readers {
		weights += r.weightNoise(s)
	}
	return activations + float64(sameEverywhere*weights)
}

// sameEverywhere is by how much more noise in weights counts than noise in
// activations. Values of an activation are rounded apart at every position, and the
// layers behind average much of that away, pools over whole images all but 1/49 of it at
// 7 × 7. An error in a weight is the same at every position, and what it adds to the
// output goes with the input, which is alike all over an object.
const sameEverywhere = 16

// solve looks for s = R^α · r₁^β · r₂^−γ of least cost: R the channels' ranges
// (α = 1 gives all one range, best for the activation), r₁ and r₂ those of the
// weights before and behind (β = γ = ½ is the paper's equation 11). It sets the
// block's scales and returns the gain in dB, 0 if it leaves things as they are.
func (e *equalizing) solve() float64 {
	b := e.b
	n := len(b.vars)
	reach, before, behind := b.reach(), make([]float64, n), make([]float64, n)
	for _, w := range e.writers {
		for o, m := range w.largest {
			raise(before, w.place[o], m)
		}
	}
	for _, r := range e.readers {
		for c, m := range r.behind {
			raise(behind, r.place[c], float64(m))
		}
	}
	relative(before)
	relative(behind)
	r, r1, r2 := powersOf(reach), powersOf(before), powersOf(behind)
	candidate := func(x [3]int) []float64 {
		s := make([]float64, n)
		r, r1, r2 := r(x[0]), r1(x[1]), r2(x[2])
		for p := range s {
			s[p] = max(r[p]*r1[p]/r2[p], minReach, b.v.least[b.vars[p]]) // 1/minReach at most, as all three are from minReach to 1
		}
		return s
	}
	start := e.cost(ones(n))
	var best [3]int // α, β and γ in eighths
	least := start
	for step := 4; step >= 1; step /= 2 {
		for improved := true; improved; {
			improved = false
			for k := range best {
				for _, d := range []int{step, -step} {
					x := best
					x[k] += d
					if x[k] < 0 || x[k] > 8 {
						continue
					}
					if c := e.cost(candidate(x)); c < least {
						best, least, improved = x, c, true
					}
				}
			}
		}
	}
	return b.settle(candidate(best), start, least, 0)
}

// perTensor works out what noise in the places and in the weights does to the outputs,
// which have such variances.
func (r *reader) perTensor(places int, output []float64) *perTensorReader {
	f := spec(r.op).filter
	w, channels := r.op.Inputs[f.weights], len(r.place)
	p := &perTensorReader{reader: r, gain: make([]float64, places+1), behind: make([]float32, channels)}
	values := w.Floats()
	kernels := 1 // that an output has
	if f.in < 0 {
		p.spread = make([]float64, channels)
	} else {
		kernels = min(channels, w.Shape[f.in])
		p.spread = ones(channels) // every output reads every channel
	}
	taps := float64(w.Len()) / float64(len(output)*kernels)
	share := tapShare(r.op)
	var sums []float64 // of each kernel's weights
	if taps > 1 {
		sums = make([]float64, len(output)*kernels)
		for i, at := range eachWeight(r.op, f) {
			sums[at.out*kernels+at.in%kernels] += float64(values[i])
		}
	}
	weight, unit := make([]float64, len(output)), make([]float64, len(output))
	for o, v := range output {
		unit[o] = share / v
	}
	for i, at := range eachWeight(r.op, f) {
		o, c, x := at.out, at.in, float64(values[i])
		place := r.place[c]
		if place < 0 {
			place = places
		}
		sum := x
		if taps > 1 {
			sum = sums[o*kernels+c%kernels]
		}
		p.gain[place] += float64((float64((1-smooth)*x*x) + float64(smooth*sum*sum/taps)) * unit[o])
		p.behind[c] = max(p.behind[c], float32(math.Abs(x)))
		switch {
		case f.in < 0:
			p.spread[c] += unit[o]
		case c == 0:
			weight[o] += unit[o] // one for each tap
		}
	}
	for _, x := range weight {
		p.weight += x
	}
	if f.in < 0 {
		p.weight = 1 // it is in spread
	}
	return p
}

// smooth is the share of the noise in an activation that is the same under all taps
// of a filter, by what it does to the answers: images are smooth, so is much of what
// rounding leaves of them, and the layers behind average away what is not.
const smooth = 0.9

// outputVariances are the variances by which noise at an op's output is judged.
// A channel that hardly varies counts as one that varies a little.
func outputVariances(channels []moments) []float64 {
	v := make([]float64, len(channels))
	average := 1e-30
	for o, m := range channels {
		v[o] = m.variance()
		average += v[o] / float64(len(v))
	}
	for o := range v {
		v[o] = math.Max(v[o], leastVariance*average)
	}
	return v
}

const leastVariance = 1e-2

// newWriter looks at op, which writes a tensor of the block.
func (b *block) newWriter(j *job, op *tflite.Op) *writer {
	f := spec(op).filter
	in, out, w := op.Inputs[f.input], op.Outputs[0], op.Inputs[f.weights]
	lay := layoutOf(w, f.out)
	wr := &writer{place: make([]int, lay.channels), largest: channelMax(w.Floats(), lay)}
	for o := range wr.place {
		wr.place[o] = b.place(out, o)
	}
	channels := j.stats[in].channels
	reads := float64(w.Len()) / float64(len(channels)*lay.channels) // of each channel, by an output
	for _, m := range channels {
		wr.input += float64(reads * j.errorPower(m))
	}
	return wr
}

// weightNoise is what rounding the reader's weights costs at scales s.
func (r *perTensorReader) weightNoise(s []float64) float64 {
	power, largest := 0.0, float32(0)
	for c, p := range r.place {
		x := placeScale(s, p)
		largest = max(largest, r.behind[c]*float32(x))
		power += float64(r.power[c] / (x * x) * r.spread[c])
	}
	step := float64(largest) / affine.QMaxWeight
	return r.weight * step * step / 12 * power
}
