package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// roundByOutcome tries several scales for the weights of filters that have few of
// them for each output, and keeps those that the answers of the float graph suffer
// least by, where the filters before are rounded as was chosen for them.
//
// Nine weights cannot average their rounding errors away. What is left of the sum
// is a gain that is wrong all over the image, and the layers behind add it up, as
// they do not with noise: the errors of mobilenet_v2's first depthwise filter, 40 dB
// below its output, are 25 dB below the answers. Which of them matter is seen there
// alone. A scale some percent larger costs a fraction of a dB in steps, and draws
// the errors anew.
func roundByOutcome(j *job) error {
	if !j.answersSeen() {
		return nil
	}
	o, err := newOutcome(j)
	if err != nil {
		return err
	}
	from := 0 // the first op that live values are not behind
	for i, op := range j.graph.Ops {
		f := spec(op).filter
		if f == nil || j.float[op] != "" || !o.shows(op, f, i) {
			continue
		}
		if err := o.live.advance(j.opts, o.model, from, i, o.readFrom(i)); err != nil {
			return err
		}
		from = i
		if err := o.choose(op, f, i); err != nil {
			return err
		}
	}
	return nil
}

const (
	outcomeSamples = 8
	fewWeights     = 32   // for each output
	coarser        = 0.08 // how much larger scales get at most,
	coarserScales  = 8    // in so many steps
	// worthTrying is by what part the noise of all filters so far must grow by one
	// for others of its roundings to be tried.
	worthTrying = 0.1
)

// outcome is the float graph with its filters rounded up to one, and what it
// answers.
type outcome struct {
	job     *job
	model   *tflite.Model
	last    map[*tflite.Tensor]int // number of the last op that reads a tensor; of outputs: that of all ops
	live    liveValues
	answers [][][]float32 // of the float graph: [sample][output]
	power   []float64     // of each output's answers
	loss    float64       // the noise that the filters so far make, see noise
}

func newOutcome(j *job) (*outcome, error) {
	o := &outcome{job: j, model: j.report.FloatTwin.Clone()}
	g := o.model.Graphs[0]
	o.last = lastReads(g)
	for _, t := range g.Outputs {
		o.last[t] = len(g.Ops)
	}
	samples := j.samples[:min(len(j.samples), outcomeSamples)]
	o.live = newLiveValues(g.Inputs, samples)
	o.answers, o.power = make([][][]float32, len(samples)), make([]float64, len(g.Outputs))
	err := eachSample(j.opts, o.model, samples, func(s int, outputs [][]float32) {
		for _, v := range outputs {
			o.answers[s] = append(o.answers[s], slices.Clone(v))
		}
	})
	for _, outputs := range o.answers {
		for k, v := range outputs {
			for _, x := range v {
				o.power[k] += float64(x) * float64(x)
			}
		}
	}
	return o, err
}

// shows reports whether the answers show what a rounding of the i-th op does.
func (o *outcome) shows(op *tflite.Op, f *filter, i int) bool {
	w := op.Inputs[f.weights]
	k := w.Len() / w.Shape[f.out]
	return k > 1 && k <= fewWeights && o.last[o.model.Graphs[0].Ops[i].Outputs[0]] < len(o.model.Graphs[0].Ops)
}

// readFrom says which tensors the i-th op or a later one reads, or are outputs.
func (o *outcome) readFrom(i int) func(*tflite.Tensor) bool {
	return func(t *tflite.Tensor) bool {
		last, read := o.last[t]
		return read && last >= i
	}
}

// rounding is one way to round a filter.
type rounding struct {
	scales []float32
	q      []int8
	bias   []float32 // corrected for it
}

// choose tries the roundings of the i-th op and takes the best.
func (o *outcome) choose(op *tflite.Op, f *filter, i int) error {
	w := op.Inputs[f.weights]
	asIs := o.job.roundingOf(op, f, w.Quant.Scale, o.job.weights[w])
	ops := o.model.Graphs[0].Ops
	rest := cutOut(o.model, i+1, len(ops), func(t *tflite.Tensor) bool { return o.last[t] == len(ops) })
	noise, err := o.noise(ops[i], f, []*rounding{asIs}, rest)
	if err != nil {
		return err
	}
	best, least := asIs, noise[0]
	if least > (1+worthTrying)*o.loss {
		tries := o.job.coarserRoundings(op, f)
		if noise, err = o.noise(ops[i], f, tries, rest); err != nil {
			return err
		}
		for k, n := range noise {
			if n < least {
				best, least = tries[k], n
			}
		}
	}
	o.loss = least
	w.Quant.Scale, o.job.weights[w] = best.scales, best.q
	best.apply(ops[i], f)
	return nil
}

// coarserRoundings rounds a filter to scales that are larger than its own.
func (j *job) coarserRoundings(op *tflite.Op, f *filter) []*rounding {
	w := op.Inputs[f.weights]
	own := w.Quant.Scale
	defer func() { w.Quant.Scale = own }()
	var all []*rounding
	for k := range coarserScales {
		scales := slices.Clone(own)
		for c := range scales {
			scales[c] = float32(float64(scales[c]) * (1 + coarser*float64(k+1)/coarserScales))
		}
		w.Quant.Scale = scales
		all = append(all, j.roundingOf(op, f, scales, j.round(op, f)))
	}
	return all
}

// roundingOf completes a rounding by the bias that it takes.
func (j *job) roundingOf(op *tflite.Op, f *filter, scales []float32, q []int8) *rounding {
	bias := op.Inputs[f.bias].Floats()
	for o, s := range biasShift(op, f, q, j.stats[op.Inputs[f.input]].channels) {
		bias[o] -= float32(s)
	}
	return &rounding{scales, q, bias}
}

// apply writes the rounding into a float filter.
func (r *rounding) apply(op *tflite.Op, f *filter) {
	w := op.Inputs[f.weights]
	w.Quant = &tflite.Quantization{Scale: r.scales, Zero: make([]int64, len(r.scales)), Axis: f.out}
	w.SetFloats(realWeights(r.q, w))
	w.Quant = nil
	op.Inputs[f.bias].SetFloats(r.bias)
}

// noise is by how much of their power the answers are off with each of some
// roundings of op, summed over outputs. rest is the graph behind it.
func (o *outcome) noise(op *tflite.Op, f *filter, tries []*rounding, rest *tflite.Model) ([]float64, error) {
	in, out := op.Inputs[f.input], op.Outputs[0]
	g := &tflite.Graph{Inputs: []*tflite.Tensor{in}}
	for _, r := range tries {
		try := &tflite.Op{Code: op.Code, Version: op.Version, Options: op.Options, Inputs: slices.Clone(op.Inputs), Outputs: []*tflite.Tensor{out.Clone()}}
		try.Inputs[f.weights], try.Inputs[f.bias] = op.Inputs[f.weights].Clone(), op.Inputs[f.bias].Clone()
		r.apply(try, f)
		g.Ops, g.Outputs = append(g.Ops, try), append(g.Outputs, try.Outputs[0])
	}
	models := []*tflite.Model{{Graphs: []*tflite.Graph{g}}, rest}
	number := map[*tflite.Tensor]int{}
	for k, t := range o.model.Graphs[0].Outputs {
		number[t] = k
	}
	bySample := make([][]float64, len(o.live))
	err := inParallel(len(o.live), func(next func() (int, bool)) error {
		var run [2]Runner
		for k, m := range models {
			r, stop, err := o.job.opts.open()(m)
			if err != nil {
				return err
			}
			defer stop()
			run[k] = r
		}
		for s, ok := next(); ok; s, ok = next() {
			values, err := run[0]([][]float32{o.live[s][in]})
			if err != nil {
				return err
			}
			bySample[s] = make([]float64, len(tries))
			inputs := make([][]float32, len(rest.Graphs[0].Inputs))
			for k, v := range values {
				for i, t := range rest.Graphs[0].Inputs {
					inputs[i] = o.live[s][t]
					if t == out {
						inputs[i] = v
					}
				}
				got, err := run[1](inputs)
				if err != nil {
					return err
				}
				for i, t := range rest.Graphs[0].Outputs {
					var e errorSums
					e.add(o.answers[s][number[t]], got[i], 1)
					bySample[s][k] += e.noise / math.Max(o.power[number[t]], leastPower)
				}
			}
		}
		return nil
	})
	noise := make([]float64, len(tries))
	for _, by := range bySample {
		for k, n := range by {
			noise[k] += n
		}
	}
	return noise, err
}
