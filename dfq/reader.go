package dfq

import (
	"math"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// reader is a weighted op as seen from its input: what noise there does to its
// output, in units of each output channel's own variance.
type reader struct {
	op    *tflite.Op
	place []int     // by input channel: place, or −1
	power []float64 // by input channel: its errorPower

	// With one scale for all weights:
	gain   []float64 // by place (last: fixed channels): by what noise there is multiplied, over outputs' variances
	behind []float32 // by input channel: largest |w|
	weight float64   // what one unit of noise in the weights costs
	spread []float64 // by input channel: how many of these units it makes up

	rows [][]float32 // with a scale for each output: [output][input channel]: largest |w| over taps; nil for depthwise
}

// writer is a weighted op as seen from its output: rows that are scaled down lose
// precision, since all share one scale.
type writer struct {
	place   []int     // by output channel
	largest []float64 // by output channel: largest |w|
	input   float64   // Σ over taps of the input's errorPower
}

// newReader looks at op, which reads a tensor of the block.
func (b *block) newReader(j *job, op *tflite.Op) *reader {
	f := spec(op).filter
	in := op.Inputs[f.input]
	channels := channelCount(in)
	r := &reader{op: op, place: make([]int, channels), power: make([]float64, channels)}
	for c, m := range j.stats[in].channels {
		r.power[c] = j.errorPower(m)
		r.place[c] = b.place(in, c)
	}
	switch {
	case j.opts.PerTensor:
		r.weigh(len(b.vars), f, outputVariances(j.stats[op.Outputs[0]].preActivation()))
	case f.in >= 0:
		r.rows = make([][]float32, op.Inputs[f.weights].Shape[f.out])
		for o := range r.rows {
			r.rows[o] = make([]float32, channels)
		}
		values := op.Inputs[f.weights].Floats()
		for i, at := range eachWeight(op, f) {
			r.rows[at.out][at.in] = max(r.rows[at.out][at.in], float32(math.Abs(float64(values[i]))))
		}
	}
	return r
}

// errorPower is what an error of 1 in a weight adds to an output, squared, where the
// weight reads values of moments m: their variance, since "correct biases" takes out
// what it adds to the mean; the mean square where nothing does.
func (j *job) errorPower(m moments) float64 {
	if j.opts.NoCorrect {
		return m.variance() + float64(m.mean*m.mean)
	}
	return m.variance()
}

// weigh fills in what noise in the places and in the weights does to the outputs.
func (r *reader) weigh(places int, f *filter, output []float64) {
	w, channels := r.op.Inputs[f.weights], len(r.place)
	r.gain, r.behind = make([]float64, places+1), make([]float32, channels)
	values := w.Floats()
	kernels := 1 // that an output has
	if f.in < 0 {
		r.spread = make([]float64, channels)
	} else {
		kernels = min(channels, w.Shape[f.in])
		r.spread = ones(channels) // every output reads every channel
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
		p := r.place[c]
		if p < 0 {
			p = places
		}
		sum := x
		if taps > 1 {
			sum = sums[o*kernels+c%kernels]
		}
		r.gain[p] += float64((float64((1-smooth)*x*x) + float64(smooth*sum*sum/taps)) * unit[o])
		r.behind[c] = max(r.behind[c], float32(math.Abs(x)))
		switch {
		case f.in < 0:
			r.spread[c] += unit[o]
		case c == 0:
			weight[o] += unit[o] // one for each tap
		}
	}
	for _, x := range weight {
		r.weight += x
	}
	if f.in < 0 {
		r.weight = 1 // it is in spread
	}
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
func (r *reader) weightNoise(s []float64) float64 {
	power, largest := 0.0, float32(0)
	for c, p := range r.place {
		x := at(s, p)
		largest = max(largest, r.behind[c]*float32(x))
		power += float64(r.power[c] / (x * x) * r.spread[c])
	}
	step := float64(largest) / affine.QMaxWeight
	return r.weight * step * step / 12 * power
}
