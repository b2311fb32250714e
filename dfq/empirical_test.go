package dfq

import (
	"math"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Where all agree it is theirs, whatever one of them says. Of four 2 and four 4 it is
// 3, less what chance makes of numbers whose quartiles are 2 apart: of a median of n
// normal values the variance is π/2·σ²/n, and their quartiles are 1.349 σ apart.
func TestBorneOut(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{1, 1, 1, 1, 1, 1, 1, 1}, 1},
		{[]float64{1, 1, 1, 1000, 1, 1, 1, 1}, 1},
		{[]float64{1, -1, 1, -1, 1, -1, 1, -1}, 0},
		{[]float64{2, 4, 2, 4, 2, 4, 2, 4}, 3 - math.Pi/2*math.Pow(2/1.349, 2)/8/3},
		{[]float64{-2, -4, -2, -4, -2, -4, -2, -4}, -3 + math.Pi/2*math.Pow(2/1.349, 2)/8/3},
		{[]float64{1, 1, 1, 1, 1, 1, 1}, 0}, // too few to tell
		{nil, 0},
		{[]float64{nan, nan, nan, nan, nan, nan, nan, nan}, 0},
	} {
		if got := borneOut(c.samples); !(math.Abs(got-c.want) <= 1e-12) {
			t.Errorf("%v: %g, want %g", c.samples, got, c.want)
		}
	}
}

// sureShifts is the part of each filter's mean shift against the float graph that the
// samples bear out, squared and summed over channels: of the rounded graph, run as a
// whole.
func sureShifts(t *testing.T, j *job, filters []*tflite.Op) float64 {
	t.Helper()
	var outputs []*tflite.Tensor
	for i, op := range j.graph.Ops {
		if slices.Contains(filters, op) {
			outputs = append(outputs, j.report.FloatTwin.Graphs[0].Ops[i].Outputs[0])
		}
	}
	probe, observed := probeModel(j.report.FloatTwin, outputs)
	float, err := j.sampleMeans(probe, observed)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := j.rounded(filters)
	rounded, err := j.sampleMeans(whole, observed)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for k := range filters {
		for c := range float[0][k] {
			shifts := make([]float64, len(float))
			for s := range float {
				shifts[s] = rounded[s][k][c] - float[s][k][c]
			}
			sum += math.Pow(borneOut(shifts), 2)
		}
	}
	return sum
}

func filtersOf(j *job) []*tflite.Op {
	return slices.DeleteFunc(slices.Clone(j.graph.Ops), func(op *tflite.Op) bool { return spec(op).filter == nil })
}

// Behind the correction the rounded graph, run as a whole, shows no mean shift any more
// that is not chance, over all ops that lead from filter to filter, with both kinds of
// weights and of activations.
func TestEmpiricalCorrection(t *testing.T) {
	for name, layer := range equalized {
		t.Run(name, func(t *testing.T) {
			for k, opts := range []Options{{PerTensor: true}, {}, {Activations: Int16}} {
				m, around := aroundLayer(1, layer)
				opts.Inputs, opts.Calibration, opts.Thorough, opts.AllowFloat = around.Inputs, Inputs(m, 9, fewSamples, 1), true, true
				j := jobAfter(t, m, &opts, "correct biases")
				filters := filtersOf(j)
				before := sureShifts(t, j, filters)
				if err := correctEmpirically(j); err != nil {
					t.Fatal(err)
				}
				if after := sureShifts(t, j, filters); before == 0 || after > before/1e4 {
					t.Errorf("%d: shifts of %.3g became %.3g\n%v", k, before, after, j.model)
				}
			}
		})
	}
}

// The parts, run one after the other, compute what the rounded graph does as a whole.
func TestRoundedParts(t *testing.T) {
	for name, layer := range equalized {
		m, opts := aroundLayer(2, layer)
		opts.Thorough, opts.Calibration = true, Inputs(m, 9, 3, 1)
		j := jobAfter(t, m, &opts, "quantize weights")
		filters := filtersOf(j)
		whole, _ := j.rounded(filters)
		want := make([][][]float32, len(j.samples))
		if err := eachSample(j.opts, whole, len(j.samples), j.sample, func(s int, outputs [][]float32) {
			for _, v := range outputs {
				want[s] = append(want[s], slices.Clone(v))
			}
		}); err != nil {
			t.Fatal(err)
		}
		parts, live := j.roundedParts(filters)
		if len(parts) != len(filters) {
			t.Errorf("%s: %d parts for %d filters", name, len(parts), len(filters))
		}
		for k, p := range parts {
			if err := p.run(j.opts, live); err != nil {
				t.Fatal(err)
			}
			for s := range live {
				if !slices.Equal(live[s][p.value], want[s][k]) {
					t.Errorf("%s: sample %d, filter %d differs in parts", name, s, k)
				}
			}
		}
		for s := range live {
			if len(live[s]) > 1+len(whole.Graphs[0].Inputs) {
				t.Errorf("%s: %d tensors are kept that nobody reads", name, len(live[s])-1)
			}
		}
	}
}

// Few samples bear nothing out: every layer goes without, and the report says so.
func TestEmpiricalCorrectionIsTakenOnEvidence(t *testing.T) {
	m := Chain(Input(1, 6, 6, 4), Conv(6, 3, Valid), Conv(6, 3, Valid))
	opts := stated()
	opts.Samples, opts.Thorough = fewSamples-1, true
	_, r, err := Quantize(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range r.Dropped {
		if d.Correction == "empirical bias correction" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("dropped in %d of 2 layers: %+v", n, r.Dropped)
	}
}

// Ops that cannot be run, and what follows from them, are left out of it.
func TestEmpiricalCorrectionPastCustomOps(t *testing.T) {
	b := New(1)
	x := b.Input(1, 6, 6, 4)
	y := Conv(4, 1)(b, x)
	z := b.Op("custom", schema.BuiltinOperatorCUSTOM, nil, y.Shape, y)
	b.Graph.Ops[len(b.Graph.Ops)-1].Custom = "unknown"
	m := b.Model(Conv(4, 1)(b, z), Conv(4, 1)(b, y))
	opts := stated()
	opts.Samples, opts.Thorough, opts.AllowFloat = fewSamples, true, true
	if _, _, err := Quantize(m, opts); err != nil {
		t.Error(err)
	}
}
