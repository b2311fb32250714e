package dfq

import (
	"fmt"
	"math"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// tensorStats are the statistics of a tensor over all samples, real domain.
// Channels run along the last axis.
type tensorStats struct {
	lo, hi   float64   // over everything
	channels []moments // one per channel
	rows     []float32 // some positions' channels, from all samples: what the distribution is like
	pre      []moments // of the value before the fused activation; same as channels where there is none
}

// moments are the statistics of one channel.
type moments struct {
	n            float64
	lo, hi       float64
	mean, square float64 // mean, and sum of squared distances from it
}

// deviation is the standard deviation.
func (m moments) deviation() float64 { return math.Sqrt(m.square / math.Max(m.n, 1)) }

// join returns the moments of both sets of values together: the pairwise
// update of Chan, Golub and LeVeque (1979).
func (m moments) join(o moments) moments {
	if m.n == 0 {
		return o
	}
	if o.n == 0 {
		return m
	}
	n, d := m.n+o.n, o.mean-m.mean
	return moments{
		n:      n,
		lo:     math.Min(m.lo, o.lo),
		hi:     math.Max(m.hi, o.hi),
		mean:   m.mean + d*o.n/n,
		square: m.square + o.square + d*d*m.n*o.n/n,
	}
}

// estimate runs the made-up inputs through the float graph and gathers the
// statistics of every real activation, also before fused activations.
func estimate(j *job) error {
	var want []*tflite.Tensor
	producers := j.graph.Producers()
	for _, t := range j.graph.Tensors() {
		if real(t) && !t.Constant() && producers[t] != nil && !j.unseen[t] {
			want = append(want, t)
		}
	}
	probe, observed := probeModel(j.model, want)
	perSample := make([][][]moments, len(j.samples)) // [sample][observed][channel]
	rows := make([][][]float32, len(j.samples))
	readers := patchReaders(j)
	perReader := make([][][]float32, len(j.samples)) // [sample][reader]
	err := j.eachSample(probe, func(i int, values [][]float32) {
		perSample[i] = make([][]moments, len(values))
		rows[i] = make([][]float32, len(values))
		perReader[i] = make([][]float32, len(readers))
		for r, reader := range readers {
			perReader[i][r] = reader.window.somePatches(values[reader.observed(observed)], max(1, reader.rows/len(j.samples)))
		}
		for k, v := range values {
			channels := channelCount(observed[k].value)
			perSample[i][k] = channelMoments(v, channels)
			if !observed[k].pre {
				rows[i][k] = someRows(v, channels, max(rowValues, leastRows*channels)/len(j.samples))
			}
		}
	})
	if err != nil {
		return err
	}
	j.stats = map[*tflite.Tensor]*tensorStats{}
	for k, o := range observed {
		var total []moments
		for i := range perSample {
			if total == nil {
				total = make([]moments, len(perSample[i][k]))
			}
			for c, m := range perSample[i][k] {
				if c < len(total) {
					total[c] = total[c].join(m)
				}
			}
		}
		s := j.stats[o.tensor]
		if s == nil {
			s = &tensorStats{}
			j.stats[o.tensor] = s
		}
		if o.pre {
			s.pre = total
			continue
		}
		s.channels = total
		for i := range rows {
			s.rows = append(s.rows, rows[i][k]...)
		}
		s.lo, s.hi = bounds(total)
	}
	j.patches = map[*tflite.Op][]float32{}
	for r, reader := range readers {
		for i := range perReader {
			j.patches[reader.op] = append(j.patches[reader.op], perReader[i][r]...)
		}
	}
	for i, t := range j.graph.Inputs {
		if !real(t) {
			continue
		}
		s := &tensorStats{channels: make([]moments, channelCount(t))}
		for _, sample := range j.samples {
			for c, m := range channelMoments(sample[i], channelCount(t)) {
				s.channels[c] = s.channels[c].join(m)
			}
			s.rows = append(s.rows, someRows(sample[i], channelCount(t), rowValues/len(j.samples))...)
		}
		s.lo, s.hi = bounds(s.channels)
		j.stats[t] = s
	}
	for t, s := range j.stats {
		if s.pre == nil {
			s.pre = s.channels
		}
		if math.IsNaN(s.lo) || math.IsNaN(s.hi) || math.IsInf(s.hi-s.lo, 0) {
			return fmt.Errorf("tensor %q is not finite on made-up inputs in [%s]; state the input range (--input-range)", t.Name, j.report.inputRanges())
		}
	}
	return nil
}

// rowValues is how many values of a tensor are kept, over all samples.
const (
	rowValues = 1 << 15
	leastRows = 512
)

// someRows copies evenly spaced rows of v, about n values in all and at least
// one row.
func someRows(v []float32, channels, n int) []float32 {
	rows := len(v) / channels
	keep := min(rows, max(1, n/channels))
	out := make([]float32, 0, keep*channels)
	for k := range keep {
		// Odd multiples of half a stride miss no border and favour none.
		r := (2*k + 1) * rows / (2 * keep)
		out = append(out, v[r*channels:][:channels]...)
	}
	return out
}

// channelCount is the length of the last axis.
func channelCount(t *tflite.Tensor) int {
	if len(t.Shape) == 0 {
		return 1
	}
	return max(t.Shape[len(t.Shape)-1], 1)
}

// channelMoments returns the moments of each channel of v, channels along the
// last axis. It sums in float64 around the channel's first value, so that a
// large mean costs no digits.
func channelMoments(v []float32, channels int) []moments {
	out := make([]moments, channels)
	rows := len(v) / channels
	if rows == 0 {
		return out
	}
	first := v[:channels]
	sum, square := make([]float64, channels), make([]float64, channels)
	lo, hi := slices.Clone(first), slices.Clone(first)
	for r := range rows {
		row := v[r*channels:][:channels]
		for c, x := range row {
			d := float64(x - first[c])
			sum[c] += d
			square[c] += float64(d * d)
			lo[c], hi[c] = min(lo[c], x), max(hi[c], x)
		}
	}
	n := float64(rows)
	for c := range out {
		mean := sum[c] / n
		out[c] = moments{
			n: n, lo: float64(lo[c]), hi: float64(hi[c]),
			mean:   float64(first[c]) + mean,
			square: math.Max(0, square[c]-mean*sum[c]),
		}
	}
	return out
}

func bounds(channels []moments) (lo, hi float64) {
	if len(channels) == 0 {
		return 0, 0
	}
	lo, hi = channels[0].lo, channels[0].hi
	for _, m := range channels {
		lo, hi = math.Min(lo, m.lo), math.Max(hi, m.hi)
	}
	return lo, hi
}

// observation is one output of a probe model: a tensor of the original, or its
// value before the fused activation.
type observation struct {
	tensor *tflite.Tensor // of the original model
	value  *tflite.Tensor // of the probe
	pre    bool
}

// probeModel returns a copy of m whose outputs are the wanted tensors. Fused
// activations of weighted ops become ops of their own, so that the value before
// them can be seen. An interpreter shows nothing but outputs.
func probeModel(m *tflite.Model, want []*tflite.Tensor) (*tflite.Model, []observation) {
	probe, values := copyWithTensors(m, want)
	g := probe.Graphs[0]
	var observed []observation
	original := map[*tflite.Tensor]*tflite.Tensor{}
	for i, t := range want {
		observed = append(observed, observation{t, values[i], false})
		original[values[i]] = t
	}
	var ops []*tflite.Op
	for _, op := range g.Ops {
		ops = append(ops, op)
		code, splits := activationOp[activation(op)]
		if spec(op).filter == nil || !splits || !real(op.Outputs[0]) {
			continue
		}
		out := op.Outputs[0]
		pre := out.Clone()
		pre.Name += "_pre"
		op.Options = withActivation(op.Options, schema.ActivationFunctionTypeNONE)
		op.Outputs = []*tflite.Tensor{pre}
		ops = append(ops, &tflite.Op{Code: code, Version: 1, Inputs: []*tflite.Tensor{pre}, Outputs: []*tflite.Tensor{out}})
		if t := original[out]; t != nil {
			observed = append(observed, observation{t, pre, true})
		}
	}
	g.Ops = ops
	g.Outputs = nil
	for _, o := range observed {
		g.Outputs = append(g.Outputs, o.value)
	}
	keepNeeded(g)
	return probe, observed
}

var activationOp = map[schema.ActivationFunctionType]schema.BuiltinOperator{
	schema.ActivationFunctionTypeRELU:         schema.BuiltinOperatorRELU,
	schema.ActivationFunctionTypeRELU6:        schema.BuiltinOperatorRELU6,
	schema.ActivationFunctionTypeRELU_N1_TO_1: schema.BuiltinOperatorRELU_N1_TO_1,
}

// eachSample runs every sample through m and hands the outputs to visit, which
// is called from several goroutines, once per sample. What visit keeps by
// sample number does not depend on how many there are.
func (j *job) eachSample(m *tflite.Model, visit func(sample int, outputs [][]float32)) error {
	return eachSample(j.opts, m, j.samples, visit)
}

func eachSample(opts *Options, m *tflite.Model, samples [][][]float32, visit func(sample int, outputs [][]float32)) error {
	open := opts.Interpreter
	if open == nil {
		open = evaluate
	}
	return inParallel(len(samples), func(next func() (int, bool)) error {
		run, stop, err := open(m)
		if err != nil {
			return err
		}
		defer stop()
		for i, ok := next(); ok; i, ok = next() {
			outputs, err := run(samples[i])
			if err != nil {
				return err
			}
			visit(i, outputs)
		}
		return nil
	})
}

// evaluate is the Interpreter that needs no C library.
func evaluate(m *tflite.Model) (Runner, func(), error) {
	e, err := ref.New(m)
	if err != nil {
		return nil, nil, err
	}
	return e.Run, func() {}, nil
}
