package dfq

import (
	"math"
	"slices"
	"testing"

	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// answersOff is by how much of their power the answers of the float graph are off
// with the weights of some filters rounded as is planned, and their biases corrected
// for it; of the graph run as a whole.
func answersOff(t *testing.T, j *job, rounded ...*tflite.Op) float64 {
	t.Helper()
	m := j.report.FloatTwin.Clone()
	for _, op := range rounded {
		f := spec(op).filter
		w := op.Inputs[f.weights]
		j.roundingOf(op, f, w.Quant.Scale, j.weights[w]).apply(m.Graphs[0].Ops[slices.Index(j.graph.Ops, op)], f)
	}
	samples := j.samples[:min(len(j.samples), outcomeSamples)]
	d, err := Compare(j.report.FloatTwin, m, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	noise := 0.0
	for _, o := range d.Outputs {
		noise += math.Pow(10, -o.SQNR/10)
	}
	return noise
}

// What is measured in parts is what the graph does as a whole, and the rounding that
// is kept is never worse than the one there was; over some filters it is a good deal
// better.
func TestRoundByOutcome(t *testing.T) {
	gained := 0.0
	n := 0
	for seed := range uint64(6) {
		m := ChainSeed(seed, Input(1, 16, 16, 3), Conv(8, 3, ReLU), Residual(Depthwise(3, ReLU), Conv(8, 1)), Depthwise(3, ReLU), Conv(6, 3, ReLU), Conv(4, 1))
		opts := &Options{PerTensor: seed%2 == 0, Thorough: true, Calibration: Inputs(m, 9, outcomeSamples, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		j := jobAfter(t, m, opts, "quantize weights")
		o, err := newOutcome(j)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		var done []*tflite.Op
		for i, op := range j.graph.Ops {
			f := spec(op).filter
			if f == nil || !o.shows(op, f, i) {
				continue
			}
			if err := o.live.advance(j.opts, o.model, from, i, o.readFrom(i)); err != nil {
				t.Fatal(err)
			}
			from = i
			w := op.Inputs[f.weights]
			ops := o.model.Graphs[0].Ops
			rest := cutOut(o.model, i+1, len(ops), func(x *tflite.Tensor) bool { return slices.Contains(o.model.Graphs[0].Outputs, x) })
			one, err := o.noise(ops[i], f, []*rounding{j.roundingOf(op, f, w.Quant.Scale, j.weights[w])}, rest)
			if err != nil {
				t.Fatal(err)
			}
			parts := []float64{o.loss, one[0]}
			whole := []float64{answersOff(t, j, done...), answersOff(t, j, append(done, op)...)}
			for k := range parts {
				if math.Abs(parts[k]-whole[k]) > 1e-6*whole[k]+1e-12 {
					t.Errorf("seed %d, op %d: noise of %g in parts, %g as a whole", seed, i, parts[k], whole[k])
				}
			}
			if err := o.choose(op, f, i); err != nil {
				t.Fatal(err)
			}
			done = append(done, op)
			kept := answersOff(t, j, done...)
			if kept > whole[1]*(1+1e-6) {
				t.Errorf("seed %d, op %d: noise of %g became %g", seed, i, whole[1], kept)
			}
			gained += 10 * math.Log10(whole[1]/kept)
			n++
		}
	}
	if n != 6*4 {
		t.Errorf("%d filters were tried, want four of six each: those of up to %d weights but for the last", n, fewWeights)
	}
	if gained < float64(n)/3 {
		t.Errorf("%.1f dB are gained over %d filters", gained, n)
	}
}

// The pass does what the steps of the test above do; without the flag, or where an
// output cannot be computed here, scales stay.
func TestRoundByOutcomeChangesScales(t *testing.T) {
	m := Chain(Input(1, 16, 16, 3), Conv(8, 3, ReLU), Depthwise(3, ReLU), Depthwise(3, ReLU), Conv(4, 1))
	scales := func(thorough bool, after string) (all [][]float32) {
		opts := &Options{Thorough: thorough, Calibration: Inputs(m, 9, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		j := jobAfter(t, m, opts, after)
		for _, op := range filtersOf(j) {
			all = append(all, op.Inputs[spec(op).filter.weights].Quant.Scale)
		}
		return all
	}
	before, after, without := scales(true, "quantize weights"), scales(true, "round by outcome"), scales(false, "correct biases")
	changed := 0
	for k, was := range before {
		if !slices.Equal(was, without[k]) {
			t.Errorf("filter %d: scales %v without --thorough, %v before the pass", k, without[k], was)
		}
		if slices.Equal(was, after[k]) {
			continue
		}
		changed++
		for c := range was {
			if by := after[k][c] / was[c]; by <= 1 || by > 1+coarser+1e-6 {
				t.Errorf("filter %d, channel %d: a scale %g times what it was", k, c, by)
			}
		}
	}
	if changed == 0 {
		t.Error("no scales were changed")
	}
}
