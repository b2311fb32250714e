package dfq

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// tensorStats are the statistics of a tensor over all samples, real domain: bounds of
// all values, means and deviations of momentRows rows of each sample, of all of a
// graph input. Channels run along the last axis.
type tensorStats struct {
	lo, hi   float64   // over everything
	channels []moments // one per channel
	rows     []float32 // some positions' channels, from all samples: what the distribution is like
	pre      []moments // of the value before the fused activation; same as channels where there is none
	early    []moments // of channels, over the first half of the samples: whether the others agree
	seen     extremes  // of each sample
	kept     *Range    // "fill ranges": the usual range, if it no longer follows from seen
}

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
	j.stats, j.patches, j.uncutShares = map[*tflite.Tensor]*tensorStats{}, map[*tflite.Op][]float32{}, map[*tflite.Op][]float64{}
	if err := j.observe(want, j.observeInputs()); err != nil {
		return err
	}
	for _, s := range j.stats {
		s.lo, s.hi = bounds(s.channels)
	}
	// Infinities inside may be none in the answers. Tensors come in order, so that the message is always the same.
	absorbed := j.opts.AllowFloat && !slices.ContainsFunc(j.lastSeen(), j.notFinite)
	for _, t := range j.graph.Tensors() {
		if !j.notFinite(t) {
			continue
		}
		if absorbed {
			j.keepFloatAround(t)
			continue
		}
		if op := j.notFiniteBefore(t); op != nil {
			return fmt.Errorf("%s: a constant of it holds NaN or infinity, so that tensor %q does for any input; mend the model", j.graph.Place(op), t.Name)
		}
		if len(j.opts.Calibration) > 0 {
			return fmt.Errorf("tensor %q is not finite on the given inputs; see whether they hold numbers that are not, or far too large ones", t.Name)
		}
		return fmt.Errorf("tensor %q is not finite on made-up inputs in [%s]; state the input range (--input-range)", t.Name, j.report.inputRanges())
	}
	return nil
}

func (j *job) notFinite(t *tflite.Tensor) bool { return j.stats[t] != nil && !j.stats[t].finite() }

// keepFloatAround leaves the ops in float that make or read t, which is infinite now and
// then while the model's answers are not: x·tanh(log(1 + eˣ)) is x where eˣ is infinite.
func (j *job) keepFloatAround(t *tflite.Tensor) {
	delete(j.stats, t)
	for _, op := range j.graph.Ops {
		if j.float[op] == "" && (slices.Contains(op.Inputs, t) || slices.Contains(op.Outputs, t)) {
			j.keepFloat(op, fmt.Sprintf("%q is infinite now and then", t.Name))
		}
	}
}

// notFiniteBefore is the first op up to the one that makes t with a constant that holds
// NaN or infinity; nil: there is none.
func (j *job) notFiniteBefore(t *tflite.Tensor) *tflite.Op {
	for _, op := range j.graph.Ops {
		for _, in := range op.Inputs {
			if real(in) && in.Constant() && slices.ContainsFunc(in.Floats(), notFinite) {
				return op
			}
		}
		if slices.Contains(op.Outputs, t) {
			break
		}
	}
	return nil
}

// observeInputs returns a function that makes an input and takes its statistics, and
// keeps those that later passes run again.
func (j *job) observeInputs() func(i int) [][]float32 {
	keep := provingSamples
	if !noThorough(j.opts) {
		keep = correctingSamples
	}
	j.samples = make([][][]float32, min(j.inputs, keep))
	for _, t := range j.graph.Inputs {
		if real(t) {
			j.stats[t] = newTensorStats(channelCount(t), false)
		}
	}
	inOrder := ordered(func(s sampleStats) {
		for k, t := range j.graph.Inputs {
			if real(t) {
				j.stats[t].join(s.values[k], nil, s.rows[k], j.inputs)
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
				s.rows[k] = someRows(input[k], channelCount(t), rowValues/j.inputs, rand.NewPCG(uint64(i), 0))
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
		eachInParallel(j.inputs, 0, func(i int) { input(i) })
		return nil
	}
	probe, observed := probeModel(j.model, want)
	readers := patchReaders(j, want)
	pointwise := pointwiseInputs(j.graph)
	for _, o := range observed {
		j.stats[o.tensor] = newTensorStats(channelCount(o.value), o.splits())
	}
	inOrder := ordered[sampleStats](func(s sampleStats) {
		for k, o := range observed {
			j.stats[o.tensor].join(s.values[k], s.pre[k], s.rows[k], j.inputs)
		}
		for r, reader := range readers {
			j.patches[reader.op] = append(j.patches[reader.op], s.patches[r]...)
		}
	})
	return eachSample(j.opts, probe, j.inputs, input, func(i int, values [][]float32) {
		inOrder(i, gather(observed, readers, pointwise, values, i, j.inputs))
	})
}

// finite reports whether every value was a number. Comparisons pass over NaN, so
// the means are asked too.
func (s *tensorStats) finite() bool {
	for _, ms := range [][]moments{s.channels, s.pre} {
		for _, m := range ms {
			if x := m.mean + m.lo + m.hi; math.IsNaN(x) || math.IsInf(x, 0) {
				return false
			}
		}
	}
	return true
}

// sampleStats is what one sample says of every observation.
type sampleStats struct {
	values, pre [][]moments // [observed][channel]
	rows        [][]float32 // [observed]
	patches     [][]float32 // [reader]
}

// gather takes the statistics of the values of sample i of n, of those seen before
// their activation also behind it.
func gather(observed []observation, readers []patchReader, pointwise map[*tflite.Tensor]bool, values [][]float32, i, n int) sampleStats {
	random := rand.NewPCG(uint64(i), 0) // other places in every sample
	s := sampleStats{
		values: make([][]moments, len(values)), pre: make([][]moments, len(values)),
		rows: make([][]float32, len(values)), patches: make([][]float32, len(readers)),
	}
	for k, v := range values {
		o := observed[k]
		channels := channelCount(o.value)
		lo, hi := channelBounds(v, channels)
		some := someRows(v, channels, momentRows*channels, random)
		if o.splits() {
			s.pre[k] = within(lo, hi, channelMeans(some, channels))
		}
		for _, before := range [][]float32{lo, hi, some} {
			cut(before, o.fused)
		}
		s.values[k] = within(lo, hi, channelMeans(some, channels))
		keep := rowValues
		if pointwise[o.tensor] {
			keep = max(keep, leastRows*channels)
		}
		s.rows[k] = someRows(v, channels, (keep+n-1)/n+channels-1, random)
		cut(s.rows[k], o.fused)
	}
	for r, reader := range readers {
		at := reader.observed(observed)
		s.patches[r] = reader.window.somePatches(values[at], max(1, reader.rows/n), random)
		cut(s.patches[r], observed[at].fused)
	}
	return s
}

func newTensorStats(channels int, splits bool) *tensorStats {
	s := &tensorStats{channels: make([]moments, channels)}
	s.pre = s.channels
	if splits {
		s.pre = make([]moments, channels)
	}
	return s
}

// join adds one of n samples.
func (s *tensorStats) join(values, pre []moments, rows []float32, n int) {
	if s.rows == nil {
		s.rows = make([]float32, 0, n*len(rows))
	}
	if len(s.seen.lows) == n/2*len(s.channels) {
		s.early = slices.Clone(s.channels)
	}
	s.rows = append(s.rows, rows...)
	s.seen.add(values)
	for c, m := range values {
		s.channels[c] = s.channels[c].join(m)
	}
	for c, m := range pre {
		s.pre[c] = s.pre[c].join(m)
	}
}

// change maps the moments of each channel, also those before the activation.
func (s *tensorStats) change(f func(c int, m moments) moments) {
	sets := [][]moments{s.channels, s.early}
	if &s.pre[0] != &s.channels[0] {
		sets = append(sets, s.pre)
	}
	for _, set := range sets {
		for c, m := range set {
			set[c] = f(c, m)
		}
	}
	s.lo, s.hi = bounds(s.channels)
}

func (s *tensorStats) clone() *tensorStats {
	c := *s
	c.channels, c.early, c.rows = slices.Clone(s.channels), slices.Clone(s.early), slices.Clone(s.rows)
	c.seen = extremes{slices.Clone(s.seen.lows), slices.Clone(s.seen.highs)}
	if c.pre = slices.Clone(s.pre); &s.pre[0] == &s.channels[0] {
		c.pre = c.channels
	}
	return &c
}

// share is, per channel, how many of some values meet a condition.
func (s *tensorStats) share(meets func(x float64) bool) []float64 {
	n := len(s.channels)
	out := make([]float64, n)
	one := float64(n) / float64(len(s.rows))
	for at := 0; at < len(s.rows); at += n {
		for c, x := range s.rows[at : at+n] {
			if meets(float64(x)) {
				out[c] += one
			}
		}
	}
	return out
}

const (
	// momentRows is how many rows of a sample say its mean and deviation, which more
	// say no better: rows of an image are alike, and samples are not.
	momentRows = 256

	rowValues = 1 << 15 // values of a tensor that are kept, over all samples
	leastRows = 512     // rows at least where a filter of one tap reads them
)

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

// someRows copies rows of v from random places, about n values in all and at least one
// row.
func someRows(v []float32, channels, n int, random *rand.PCG) []float32 {
	at := places(len(v)/channels, max(1, n/channels), random)
	out := make([]float32, 0, len(at)*channels)
	for _, r := range at {
		out = append(out, v[r*channels:][:channels]...)
	}
	return out
}

// places are n of the numbers below all, or all of them: one anywhere in each of n equal
// parts. Places at equal distances would lie in one column of an image as wide as that.
func places(all, n int, random *rand.PCG) []int {
	at := make([]int, min(n, all))
	for k := range at {
		at[k] = k
		if n < all {
			in, _ := bits.Mul64(random.Uint64(), uint64(all)) // the part that it lies in has a width of all
			at[k] = int((uint64(k)*uint64(all) + in) / uint64(n))
		}
	}
	return at
}

// channelCount is the length of the last axis, or of those of a shuffle.
func channelCount(t *tflite.Tensor) int {
	switch {
	case t.Channels > 0:
		return t.Channels
	case len(t.Shape) == 0:
		return 1
	}
	return max(t.Shape[len(t.Shape)-1], 1)
}

// observation is one output of a probe model: a tensor of the original as it is
// before its fused activation, if it has one.
type observation struct {
	tensor *tflite.Tensor // of the original model
	value  *tflite.Tensor // of the probe
	fused  schema.ActivationFunctionType
}

func (o observation) splits() bool { return o.fused != schema.ActivationFunctionTypeNONE }

// probeModel returns a copy of m whose outputs are the wanted tensors. Fused
// activations of weighted ops become ops of their own, so that the value before
// them can be seen. An interpreter shows nothing but outputs.
func probeModel(m *tflite.Model, want []*tflite.Tensor) (*tflite.Model, []observation) {
	probe, values := copyWithTensors(m, want)
	g := probe.Graphs[0]
	observed := make([]observation, len(want))
	number := map[*tflite.Tensor]int{}
	for i, t := range want {
		observed[i] = observation{tensor: t, value: values[i]}
		number[values[i]] = i
	}
	var ops []*tflite.Op
	for _, op := range g.Ops {
		ops = append(ops, op)
		fused := op.Activation()
		code, splits := standaloneOf(fused)
		if spec(op).filter == nil || !splits || !real(op.Outputs[0]) {
			continue
		}
		out := op.Outputs[0]
		pre := out.Clone()
		pre.Name, pre.Quant = pre.Name+"_pre", nil
		op.Options = withActivation(op.Options, schema.ActivationFunctionTypeNONE)
		op.Outputs = []*tflite.Tensor{pre}
		ops = append(ops, &tflite.Op{Code: code, Version: 1, Inputs: []*tflite.Tensor{pre}, Outputs: []*tflite.Tensor{out}})
		if i, ok := number[out]; ok {
			observed[i].value, observed[i].fused = pre, fused
		}
	}
	g.Ops = ops
	g.Outputs = nil
	for _, o := range observed {
		g.Outputs = append(g.Outputs, o.value)
	}
	g.KeepNeeded(nil)
	return probe, observed
}

// eachSample runs n samples through m and hands the outputs to visit. Both functions are
// called from several goroutines, once per sample; what visit keeps by sample number
// does not depend on how many there are.
func eachSample(opts *Options, m *tflite.Model, n int, sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	m, pick := runnable(m)
	picked := func(i int) [][]float32 { return pick(sample(i)) }
	return inParallel(n, bytesToRun(m), func(next func() (int, bool)) error { return runAll(opts, m, next, picked, visit) })
}

// inTurn is eachSample on one goroutine.
func inTurn(opts *Options, m *tflite.Model, n int, sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	m, pick := runnable(m)
	i := -1
	next := func() (int, bool) { i++; return i, i < n }
	return runAll(opts, m, next, func(i int) [][]float32 { return pick(sample(i)) }, visit)
}

// runAll runs the samples that next names through a runnable model.
func runAll(opts *Options, m *tflite.Model, next func() (int, bool), sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	open := opts.Interpreter
	if open == nil {
		open = evaluate
	}
	run, stop, err := open(m)
	if err != nil {
		return err
	}
	defer stop()
	for i, ok := next(); ok; i, ok = next() {
		outputs, err := run(sample(i))
		if err != nil {
			return err
		}
		visit(i, outputs)
	}
	return nil
}

// evaluate is the Interpreter that needs no C library.
func evaluate(m *tflite.Model) (Runner, func(), error) {
	e, err := ref.New(m)
	if err != nil {
		return nil, nil, err
	}
	return e.Run, func() {}, nil
}
