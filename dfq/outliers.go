package dfq

import (
	"cmp"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// weighOutliers decides whether ranges leave out what only few of the samples reach, see
// tensorStats.usual. Mostly they should. But what is rare may be what the network is for,
// as objects are on a detector's map. So both are tried: the float graph runs with its
// activations rounded, and cut to their ranges. Holding all has to lose clearly less.
//
// What a sample loses counts in parts of its answer, at most as all of it, or the few that
// drive the network where no others do would decide.
func weighOutliers(j *job) error {
	outputs := j.lastSeen()
	n := j.weighedSamples(outputs)
	if n == 0 {
		return nil
	}
	which, counts := j.outliersFirst(n)
	input := func(i int) [][]float32 { return j.input(which[i]) }
	want, err := outputsOn(j.opts, withOutputs(j.model, outputs), n, input)
	if err != nil {
		return err
	}
	lost := func(rule RangeRule) ([]float64, error) { // by output
		shares := make([][]float64, n) // [sample][output]
		err := eachSample(j.opts, j.roundedBy(rule, outputs), n, input, func(i int, values [][]float32) {
			for k, v := range values {
				shares[i] = append(shares[i], shareLost(want[i][k], v))
			}
		})
		if err != nil {
			return nil, err
		}
		sums := make([]float64, len(outputs))
		for i, s := range shares {
			for k, x := range s {
				sums[k] += float64(counts[i] * x)
			}
		}
		return sums, nil
	}
	usual, err := lost(LeastError)
	if err != nil {
		return err
	}
	all, err := lost(MinMax)
	if err != nil {
		return err
	}
	ratio := 1.0 // product over outputs
	for k := range outputs {
		if all[k] > 0 && usual[k] > 0 {
			ratio *= all[k] / (clearlyLess * usual[k])
		}
	}
	if ratio < 1 {
		j.ranges = MinMax
	}
	return nil
}

// weighedSamples is how many samples are tried: a quarter of them, or half of given ones, which
// are fewer and tell more. Few do not show what is rare, and a classifier's answer is too
// few numbers to tell.
func (j *job) weighedSamples(outputs []*tflite.Tensor) int {
	if !slices.ContainsFunc(outputs, manyPositions) {
		return 0
	}
	n := j.sampleCount / 4
	if len(j.opts.Calibration) > 0 {
		n = j.sampleCount / 2
	}
	n = min(max(n, leastWeighed), j.sampleCount)
	if len(j.opts.Calibration) == 0 && !j.opts.Thorough {
		n = min(n, weighedWork/j.activations())
	}
	values := 1
	for _, t := range outputs {
		values += t.Len()
	}
	if n = min(n, weighedValues/values); n < leastWeighed {
		return 0
	}
	return n
}

const (
	clearlyLess   = 0.8 // about 1 dB: what is less by chance is not worth a larger step
	leastWeighed  = 32
	weighedWork   = 1 << 25 // activations of the graph times samples: what takes longer is for Thorough
	weighedValues = 1 << 26 // of the outputs, over all samples: 256 MB
)

// outliersFirst picks n of the samples: one half are those that go beyond what is usual in most
// tensors, the other half are some of the others, and stand for all of them. It returns their numbers
// and how many each counts for.
func (j *job) outliersFirst(n int) (which []int, counts []float64) {
	beyond := make([]int, j.sampleCount) // in how many tensors
	for _, t := range j.graph.Tensors() {
		s := j.stats[t]
		if s == nil || len(s.channels) == 0 || len(s.seen.lows) != j.sampleCount*len(s.channels) {
			continue
		}
		usual := s.usual()
		for i, r := range s.seen.bySample(len(s.channels)) {
			if r.Lo < usual.Lo || r.Hi > usual.Hi {
				beyond[i]++
			}
		}
	}
	order := make([]int, j.sampleCount)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(beyond[b], beyond[a]) })
	which, counts = slices.Clone(order[:n/2]), ones(n/2)
	others, some := order[n/2:], n-n/2
	for i := range some {
		which = append(which, others[i*len(others)/some])
		counts = append(counts, float64(len(others))/float64(some))
	}
	return which, counts
}

// roundedBy is the graph up to the outputs with its activations rounded, and cut to the ranges
// that a rule gives. Weights are not.
func (j *job) roundedBy(rule RangeRule, outputs []*tflite.Tensor) *tflite.Model {
	p, g := j.planRanges(rule)
	var tensors []*tflite.Tensor
	for _, op := range p.ops {
		for _, t := range realOperands(op) {
			t.Quant = nil // a plan so far
			if !t.Constant() {
				tensors = append(tensors, t)
			}
		}
	}
	m, found := copyWithTensors(j.model, slices.Concat(tensors, outputs))
	plan := map[*tflite.Tensor]affine.Params{}
	for i, t := range tensors {
		plan[found[i]] = g.params(t)
	}
	graph := m.Graphs[0]
	rounded := roundActivations(graph, j.grid(), plan)
	graph.Outputs = nil
	for _, t := range found[len(tensors):] {
		if r := rounded[t]; r != nil {
			t = r
		}
		graph.Outputs = append(graph.Outputs, t)
	}
	graph.KeepNeeded(nil)
	return m
}

// shareLost is the energy of the difference in parts of that of what is wanted, at most 1.
func shareLost(want, got []float32) float64 {
	if len(got) != len(want) {
		return 1 // rounding made many or few of it
	}
	var s errorSums
	s.add(want, got, 1)
	switch {
	case s.notFinite > 0:
		return 1
	case s.noise == 0:
		return 0
	case s.noise < s.signal:
		return s.noise / s.signal
	}
	return 1
}
