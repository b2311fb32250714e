package dfq

import (
	"math/rand/v2"
	"slices"

	"dfq/tflite"
)

// estimate runs the made-up inputs through the float graph and gathers the
// statistics of every real activation, also before fused activations.
func estimate(j *job) error {
	var want []*tflite.Tensor
	producers := j.graph.Producers()
	for _, t := range j.graph.Tensors() {
		if real(t) && !t.Constant() && producers[t] != nil && j.unseen[t] == "" {
			want = append(want, t)
		}
	}
	j.stats, j.patches = map[*tflite.Tensor]*tensorStats{}, map[*tflite.Op][]float32{}
	if err := j.observe(want, j.observeInputs()); err != nil {
		return err
	}
	for _, t := range j.graph.Inputs {
		if s := j.stats[t]; s != nil {
			s.Range = bounds(s.channels)
		}
	}
	return j.settleInfinite()
}

// observeInputs returns a function that makes an input and takes its statistics, and
// keeps those that later passes run again.
func (j *job) observeInputs() func(i int) [][]float32 {
	keep := provingSamples
	if withThorough.holds(j.opts) {
		keep = correctingSamples
	}
	j.samples = make([][][]float32, min(j.sampleCount, keep))
	for _, t := range j.graph.Inputs {
		if real(t) {
			j.stats[t] = newTensorStats(channelCount(t), false)
		}
	}
	inOrder := ordered(func(s sampleStats) {
		for k, t := range j.graph.Inputs {
			if real(t) {
				j.stats[t].join(s.values[k], nil, s.rows[k], j.sampleCount)
			}
		}
	})
	return func(i int) [][]float32 {
		input := j.input(i)
		if i < len(j.samples) {
			j.samples[i] = input
		}
		s := sampleStats{values: make([][]moments, len(input)), rows: make([][]float32, len(input))}
		for k, t := range j.graph.Inputs {
			if real(t) {
				s.values[k] = channelMoments(input[k], channelCount(t))
				s.rows[k] = someRows(input[k], channelCount(t), rowValues/j.sampleCount, rand.NewPCG(uint64(i), 0))
			}
		}
		inOrder(i, s)
		return input
	}
}

// sample is the i-th of the inputs that were kept.
func (j *job) sample(i int) [][]float32 { return j.samples[i] }

// observe runs every input through the float graph and gathers the statistics
// of some of its tensors.
func (j *job) observe(want []*tflite.Tensor, input func(i int) [][]float32) error {
	if len(want) == 0 {
		eachInParallel(j.sampleCount, 0, func(i int) { input(i) })
		return nil
	}
	probe, observed := probeModel(j.model, want)
	g := gatherer{observed, patchReaders(j, want), pointwiseInputs(j.graph), j.sampleCount}
	for _, o := range observed {
		j.stats[o.tensor] = newTensorStats(channelCount(o.value), o.splits())
		j.stats[o.tensor].given = len(j.opts.Calibration) > 0
		j.stats[o.tensor].kinds = len(j.opts.Calibration) > 0 && !slices.ContainsFunc(j.graph.Inputs, isImage)
	}
	inOrder := ordered(func(s sampleStats) {
		for k, o := range observed {
			j.stats[o.tensor].join(s.values[k], s.pre[k], s.rows[k], j.sampleCount)
		}
		for r, reader := range g.readers {
			j.patches[reader.op] = append(j.patches[reader.op], s.patches[r]...)
		}
	})
	err := eachSample(j.opts, probe, j.sampleCount, input, func(i int, values [][]float32) {
		inOrder(i, g.gather(i, values))
	})
	for _, o := range observed {
		s := j.stats[o.tensor]
		s.Range = bounds(s.channels)
	}
	return err
}

// sampleStats is what one sample says of every observation.
type sampleStats struct {
	values, pre [][]moments // [observed][channel]
	rows        [][]float32 // [observed]
	patches     [][]float32 // [reader]
}

// gatherer knows what is gathered of each of n samples.
type gatherer struct {
	observed  []observation
	readers   []patchReader
	pointwise map[*tflite.Tensor]bool
	n         int
}

// gather takes the statistics of the values of sample i, of those seen before their
// activation also behind it.
func (g *gatherer) gather(i int, values [][]float32) sampleStats {
	random := rand.NewPCG(uint64(i), 0) // other places in every sample
	s := sampleStats{
		values: make([][]moments, len(values)), pre: make([][]moments, len(values)),
		rows: make([][]float32, len(values)), patches: make([][]float32, len(g.readers)),
	}
	for k, v := range values {
		o := g.observed[k]
		channels := channelCount(o.value)
		lo, hi := channelBounds(v, channels)
		some := someRows(v, channels, momentRows*channels, random)
		if o.splits() {
			s.pre[k] = withBounds(lo, hi, channelMeans(some, channels))
		}
		for _, before := range [][]float32{lo, hi, some} {
			cut(before, o.fused)
		}
		s.values[k] = withBounds(lo, hi, channelMeans(some, channels))
		keep := rowValues
		if g.pointwise[o.tensor] {
			keep = max(keep, leastRows*channels)
		}
		s.rows[k] = someRows(v, channels, (keep+g.n-1)/g.n+channels-1, random)
		cut(s.rows[k], o.fused)
	}
	for r, reader := range g.readers {
		at := reader.observed(g.observed)
		s.patches[r] = reader.window.somePatches(values[at], max(1, reader.rows/g.n), random)
		cut(s.patches[r], g.observed[at].fused)
	}
	return s
}

// pointwiseInputs are the tensors whose rows are all that a filter sees.
func pointwiseInputs(g *tflite.Graph) map[*tflite.Tensor]bool {
	out := map[*tflite.Tensor]bool{}
	for _, op := range g.Ops {
		f := spec(op).filter
		if f == nil {
			continue
		}
		if _, ok := windowOf(op); !ok {
			out[op.Inputs[f.input]] = true
		}
	}
	return out
}
