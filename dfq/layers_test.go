package dfq

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// layersOf compares the layers of two models by name.
func layersOf(t *testing.T, float, int8 *tflite.Model, samples [][][]float32) ([]LayerDiff, map[string]LayerDiff) {
	t.Helper()
	layers, err := CompareLayers(float, int8, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]LayerDiff{}
	for _, l := range layers {
		byName[l.Name] = l
	}
	return layers, byName
}

// A filter that is spoiled in the INT8 model shows in its layer and those behind,
// not before; run alone, in its own layer only.
func TestCompareLayers(t *testing.T) {
	m := Chain(Input(1, 12, 12, 3), Conv(8, 3, ReLU), Conv(8, 3, ReLU), Depthwise(3, ReLU), Conv(4, 1), Mean()) // no channel's factor is in question
	samples := Inputs(m, 1, 4, 1)
	q, _ := quantize(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}, NoEqualize: true})
	good, _ := layersOf(t, m, q, samples)
	if len(good) != 5 {
		t.Fatalf("%d layers, want 5: %+v", len(good), good)
	}
	for i, l := range good {
		if l.SQNR < 20 || l.Alone < 25 || l.Inputs < 25 || l.SQNR > 100 || l.Index != i || l.Name != m.Graphs[0].Ops[i].Outputs[0].Name {
			t.Errorf("layer %d: %+v", i, l)
		}
	}
	w := q.Graphs[0].Ops[2].Inputs[1]
	w.SetInt8s(make([]int8, w.Len()))
	bad, _ := layersOf(t, m, q, samples)
	for i, l := range bad {
		if i < 2 && l != good[i] {
			t.Errorf("before the spoiled layer: %+v, was %+v", l, good[i])
		}
		if i >= 2 && l.SQNR > 10 {
			t.Errorf("layer %d, the spoiled one or behind it: %+v", i, l)
		}
		if i != 2 && (l.Alone != good[i].Alone || l.Inputs != good[i].Inputs || l.Outputs != good[i].Outputs) {
			t.Errorf("alone, a layer that is not spoiled: %+v, was %+v", l, good[i])
		}
	}
	// Without weights all that is left are the biases.
	if bad[2].Alone > 10 || bad[2].Outputs > 10 || good[2].Outputs < 25 {
		t.Errorf("alone, the spoiled layer: %+v", bad[2])
	}
	WorstFirst(bad)
	if !slices.IsSortedFunc(bad, func(a, b LayerDiff) int {
		if a.SQNR < b.SQNR {
			return -1
		}
		return 1
	}) {
		t.Errorf("not sorted: %+v", bad)
	}
}

// Tensors of one name are told apart by their order, as in a model whose two branches were
// made of one.
func TestCompareLayersOfOneName(t *testing.T) {
	m := Chain(Input(1, 12, 12, 3), Conv(8, 3, ReLU), Conv(8, 3, ReLU), Conv(8, 3))
	opts := &Options{Inputs: []InputRange{{Range: Range{-1, 1}}}, NoEqualize: true}
	samples := Inputs(m, 1, 4, 1)
	q, _ := quantize(t, m, opts)
	want, _ := layersOf(t, m, q, samples)
	m.Graphs[0].Ops[1].Outputs[0].Name = m.Graphs[0].Ops[0].Outputs[0].Name
	q, _ = quantize(t, m, opts)
	got, _ := layersOf(t, m, q, samples)
	if len(got) != len(want) {
		t.Fatalf("%d layers, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i].Name = []string{"conv (1)", "conv (2)", "conv_2"}[i]; got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	m.Graphs[0].Ops[1].Outputs[0].Name = "another"
	if other, _ := layersOf(t, m, q, samples); len(other) != 1 || other[0].Name != "conv_2" {
		t.Errorf("of a name that only one model has twice: %+v", other)
	}
}

// Shapes that a file leaves open are those of the run.
func TestCompareLayersOfOpenShapes(t *testing.T) {
	m := Chain(Input(1, 12, 12, 3), Conv(8, 3, ReLU), Depthwise(3, ReLU, Stride(2)), Conv(4, 1), Mean())
	samples := Inputs(m, 1, 2, 1)
	q, _ := quantize(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	want, _ := layersOf(t, m, q, samples)
	for _, g := range []*tflite.Graph{m.Graphs[0], q.Graphs[0]} {
		for _, op := range g.Ops {
			if y := op.Outputs[0]; len(y.Shape) == 4 {
				y.Shape, y.Signature = []int{1, 1, 1, y.Shape[3]}, []int{-1, -1, -1, y.Shape[3]}
			}
		}
	}
	if got, _ := layersOf(t, m, q, samples); len(got) != 4 || !slices.Equal(got, want) {
		t.Errorf("open: %+v\nclosed: %+v", got, want)
	}
}

// residuals is a network with all that equalization passes through, whose
// channels differ much.
func residuals() *tflite.Model {
	return Chain(Input(1, 16, 16, 3), Conv(8, 3, ReLU), Scale(1, 0.1, 5), Residual(Depthwise(3, ReLU), Scale(3, 0.2), Conv(8, 1), Scale(0.3, 4)),
		Conv(8, 3, ReLU), Scale(8, 0.5, 1), Depthwise(3, ReLU), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(6, 1), Mean(), Dense(4))
}

// A tensor whose scale is far too small saturates; one whose scale is far too
// large loses its small values. Both are laid to the layer that writes it, not
// to those that read it, also where channels were equalized.
func TestCompareLayersFindsTheCulprit(t *testing.T) {
	m := residuals()
	samples := Inputs(m, 1, 8, 1)
	opts := &Options{Calibration: samples, PerTensor: true, Inputs: []InputRange{{Range: Range{-1, 1}}}}
	for _, test := range []struct {
		name      string
		factor    float32
		saturates bool
	}{{"conv", 1. / 8, true}, {"depthwise", 1. / 8, true}, {"conv_2", 32, false}, {"add", 32, false}} {
		j := jobAfter(t, m, opts, "assign ranges")
		if len(j.report.Equalized) == 0 {
			t.Fatal("nothing was equalized")
		}
		found := false
		for _, x := range j.graph.Tensors() {
			if x.Name == test.name {
				found = true
				x.Quant.Scale[0] *= test.factor
			}
		}
		if !found {
			t.Fatalf("there is no %q", test.name)
		}
		finishJob(t, j, "assign ranges")
		layers, byName := layersOf(t, m, j.model, samples)
		culprit := byName[test.name]
		for _, l := range layers {
			if l.Name == test.name {
				continue
			}
			if l.Alone < culprit.Alone+6 {
				t.Errorf("%s × %g: %q alone has %.1f dB, the culprit %.1f", test.name, test.factor, l.Name, l.Alone, culprit.Alone)
			}
			if l.Saturated > 0.05 {
				t.Errorf("%s × %g: %.3f of %q are saturated", test.name, test.factor, l.Saturated, l.Name)
			}
		}
		if (culprit.Saturated > 0.05) != test.saturates {
			t.Errorf("%s × %g: %.3f of the culprit are saturated", test.name, test.factor, culprit.Saturated)
		}
		for _, l := range layers {
			for _, in := range m.Graphs[0].Ops[l.Index].Inputs {
				if in.Name == test.name && l.Inputs > culprit.Alone+12 {
					t.Errorf("%s × %g: %q, which reads it, loses nothing by its inputs: %.1f dB", test.name, test.factor, l.Name, l.Inputs)
				}
			}
		}
	}
}

// finishJob runs the passes behind the named one.
func finishJob(t *testing.T, j *job, after string) {
	t.Helper()
	behind := false
	for _, p := range passes {
		if behind && p.runs(j.opts) {
			if err := j.runPass(p); err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
		}
		behind = behind || p.name == after
	}
}

// A tensor whose length depends on values is compared where the lengths agree.
func TestCompareLayersOfComputedLength(t *testing.T) {
	m, opts := aroundLayer(2, equalized["mean of computed"])
	q, _ := quantize(t, m, &opts)
	samples := Inputs(m, 3, 8, 2)
	layers, err := CompareLayers(m, q, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil })
	if err != nil || len(layers) == 0 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

// The factors of equalization are found from the two files: against the float
// graph after equalization, whose factors are all 1, the layers are as far off.
func TestFactorsOfEqualization(t *testing.T) {
	t.Run("fused", func(t *testing.T) { findsFactors(t, residuals()) })
	// As a converter may leave them: what a filter writes has a name that the INT8
	// model has not.
	m := residuals()
	apart, _ := probeModel(m, m.Graphs[0].Outputs)
	t.Run("activations apart", func(t *testing.T) { findsFactors(t, apart) })
	shuffle := Chain(Input(1, 16, 16, 3), Conv(16, 3, ReLU), Scale(1, 0.1, 5), shuffled(1, 16, 16, 2, 8), Depthwise(3, ReLU), Scale(3, 0.2),
		Conv(16, 3, ReLU), Scale(8, 0.5, 1), Conv(16, 3, ReLU), Conv(8, 1, ReLU), Conv(6, 1), Mean(), Dense(4))
	t.Run("shuffled", func(t *testing.T) { findsFactors(t, shuffle) })
}

func findsFactors(t *testing.T, m *tflite.Model) {
	t.Helper()
	samples := Inputs(m, 1, 8, 1)
	q, r := quantize(t, m, &Options{Calibration: samples, PerTensor: true, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	m, float := withTrueShapes(m), withTrueShapes(r.FloatTwin)
	c, twin := matchLayers(m, q), matchLayers(float, q)
	for _, x := range []struct {
		*layerComparison
		float *tflite.Model
	}{{c, m}, {twin, float}} {
		if err := x.findFactors(x.float, q); err != nil {
			t.Fatal(err)
		}
	}
	equalized, alarms := 0, 0
	want, _ := c.activations()
	wantOfTwin, _ := twin.activations()
	before, after := mustOpen(t, evaluate, withOutputs(m, want)), mustOpen(t, evaluate, withOutputs(float, wantOfTwin))
	a, err := before(samples[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := after(samples[0])
	if err != nil {
		t.Fatal(err)
	}
	for k, l := range c.layers {
		for i, f := range l.factors {
			if f := twin.layers[k].factors[i]; f != 1 {
				// Three standard errors are exceeded once in some hundred channels.
				if alarms++; alarms > 1 || math.Abs(f-1) > 0.02 {
					t.Errorf("%q, channel %d: a factor of %g between the model and its own float graph", l.Name, i, f)
				}
			}
			var xx, xy float64 // of the float graphs, before and after
			for at := i; at < len(a[k]); at += len(l.factors) {
				xx += float64(a[k][at]) * float64(a[k][at])
				xy += float64(a[k][at]) * float64(b[k][at])
			}
			if xx == 0 {
				continue
			}
			if want := xx / xy; !(math.Abs(f/want-1) <= 0.06) {
				t.Errorf("%q, channel %d: factor %.4g, equalization divided by %.4g", l.Name, i, f, want)
			} else if math.Abs(want-1) > 0.2 {
				equalized++
			}
		}
	}
	if equalized < 10 {
		t.Errorf("only %d channels were equalized much: the test shows little", equalized)
	}
}

// Channels that equalization made smaller or larger are no difference; steps and
// saturation are counted in the INT8 model's domain.
func TestLayerSums(t *testing.T) {
	q := params(planned(&tflite.Tensor{}, 0.1, -128).Quant) // 0 … 25.5
	factors := []float64{0.5, 10}
	want := []float32{1, 20, 2, 40, 3, 60} // in the model 2 2, 4 4, 6 6
	var d LayerDiff
	fill := func(got ...float32) LayerDiff {
		var s layerSums
		s.add(want, got, factors, affine.Int8, q)
		s.fill(&d)
		if _, err := json.Marshal(d); err != nil {
			t.Error(err)
		}
		return d
	}
	constant := layerSums{channels: []channelSums{{n: 3, w: 0.3, ww: 0.03 + 1e-18, e: 0.5}}}
	if constant.fill(&d); d.MeanShift != 0 {
		t.Errorf("a layer of constants: %+v", d)
	}
	if d := fill(1, 20, 2, 40, 3, 60); d.SQNR < 100 || d.MeanShift > 1e-9 || d.Saturated != 0 || d.MaxSteps != 0 {
		t.Errorf("equal: %+v", d)
	}
	// 0.1 off in channel 0 is 0.2 in the model, two steps; 1 off in channel 1 is one.
	if d := fill(1, 21, 2.1, 40, 3, 60); !(math.Abs(d.MaxSteps-2) <= 1e-5) {
		t.Errorf("two steps off: %+v", d)
	}
	if d := fill(1, 20, 2, 40, 3, float32(math.NaN())); d.SQNR != -200 || d.MaxSteps != math.MaxFloat64 {
		t.Errorf("with a NaN: %+v", d)
	}
	// At an end: a ReLU's zeros, a value within half a step of the end, one beyond,
	// and one that is beyond by mistake of what comes before.
	want = []float32{0, 0, 12.77, 300, 3, 60}
	if d := fill(0, 0, 12.75, 255, 12.75, 0); !(math.Abs(d.Saturated-1./6) <= 1e-9) {
		t.Errorf("one of six is saturated: %+v", d)
	}
}

// Layers are cut where both models have a tensor: what a layer reads are the
// model's own inputs, and one new input for each tensor that is read.
func TestCutAt(t *testing.T) {
	m := Chain(Input(1, 4, 4, 2), Conv(2, 1, ReLU), Residual(Conv(2, 1)), Unary(schema.BuiltinOperatorTANH, nil))
	g := m.Graphs[0]
	var at []*tflite.Tensor
	for _, op := range g.Ops {
		at = append(at, op.Outputs[0])
	}
	before := m.String()
	c, found, fed := cutAt(m, at[:3]) // tanh's output is nobody's input
	if m.String() != before {
		t.Error("the model was changed")
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fed, []int{0, 1, 2}) || len(c.Graphs[0].Inputs) != 4 || len(c.Graphs[0].Outputs) != 1 {
		t.Errorf("fed %v\n%v", fed, c)
	}
	for k, x := range found {
		if x.Name != at[k].Name || c.Graphs[0].Producers()[x] == nil {
			t.Errorf("%q was found as %q", at[k].Name, x.Name)
		}
	}
	for i, op := range c.Graphs[0].Ops {
		for _, x := range op.Inputs {
			if !x.Constant() && !slices.Contains(c.Graphs[0].Inputs, x) {
				t.Errorf("op %d reads %q", i, x.Name)
			}
		}
	}
}
