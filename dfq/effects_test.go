package dfq

import (
	"math"
	"slices"
	"testing"

	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// What the layers do to the outputs, each alone in a float model, adds up to what
// the INT8 model's outputs are off: losses of different layers have little to do
// with each other. So it is with each layer in turn made coarse.
func TestEffectsAddUp(t *testing.T) {
	m := Chain(Input(1, 12, 12, 3), Conv(8, 3, ReLU), Depthwise(3, ReLU), Conv(4, 1))
	samples := Inputs(m, 1, 8, 1)
	opts := &Options{Activations: Int16, Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}} // the input's rounding is no matter
	for k := range 3 {
		j := jobAfter(t, m, opts, "assign ranges")
		j.graph.Ops[k].Outputs[0].Quant.Scale[0] *= 64 // as coarse as 10 bits
		finishJob(t, j, "assign ranges")
		layers, _ := layersOf(t, m, j.model, samples)
		diff, err := Compare(m, j.model, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		noise := 0.0
		for _, l := range layers {
			noise += math.Pow(10, -l.Outputs/10)
		}
		if sum, all := -10*math.Log10(noise), diff.Outputs[0].SQNR; !(math.Abs(sum-all) <= 0.5) {
			t.Errorf("with layer %d coarse all layers make %.2f dB, the model has %.2f: %+v", k, sum, all, layers)
		}
	}
}

// Noise that is averaged away harms no output; a tensor that is an output and is
// read as well counts for both, one that nothing reads for itself.
func TestEffectsOnOutputs(t *testing.T) {
	m := Chain(Input(1, 24, 24, 3), Conv(4, 1), Mean(), Dense(4))
	g := m.Graphs[0]
	samples := Inputs(m, 1, 4, 1)
	opts := &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}}
	q, _ := quantize(t, m, opts)
	layers, _ := layersOf(t, m, q, samples)
	if l := layers[0]; l.Outputs < l.Alone+6 {
		t.Errorf("a mean over 576 places leaves noise of %.1f dB at %.1f dB", l.Alone, l.Outputs)
	}
	for _, outputs := range [][]*tflite.Tensor{{g.Ops[0].Outputs[0], g.Outputs[0]}, {g.Ops[0].Outputs[0]}} {
		both := m.Clone()
		tensors, copies := m.Graphs[0].Tensors(), both.Graphs[0].Tensors()
		both.Graphs[0].Outputs = nil
		for _, o := range outputs {
			both.Graphs[0].Outputs = append(both.Graphs[0].Outputs, copies[slices.Index(tensors, o)])
		}
		q, _ := quantize(t, both, opts)
		layers, _ := layersOf(t, both, q, samples)
		if l := layers[0]; !(math.Abs(l.Outputs-l.Alone) <= 0.5) {
			t.Errorf("with its output among %d of the model's, the first layer has %.1f dB alone and %.1f dB there", len(outputs), l.Alone, l.Outputs)
		}
	}
}

// An output whose length depends on values cannot be compared; all else can.
func TestEffectsOnOutputsOfOtherLengths(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(4, 1, ReLU), Conv(4, 1, ReLU), Conv(4, 1))
	samples := Inputs(m, 1, 2, 1)
	q, _ := quantize(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	open := func(m *tflite.Model) (Runner, func(), error) {
		run, stop, err := evaluate(m)
		g := m.Graphs[0]
		if len(g.Outputs) > 1 || len(g.Inputs) < 2 { // not the float model behind a layer
			return run, stop, err
		}
		return func(inputs [][]float32) ([][]float32, error) {
			out, err := run(inputs)
			return [][]float32{out[0][1:]}, err
		}, stop, err
	}
	layers, err := CompareLayers(m, q, open, len(samples), func(i int) ([][]float32, error) { return samples[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range layers {
		if (l.Outputs == -equalSQNR) != (i < 2) { // the last layer's output is the model's
			t.Errorf("layer %d: %.1f dB at the outputs", i, l.Outputs)
		}
	}
	if len(layers) != 3 {
		t.Errorf("%d layers", len(layers))
	}
}

// What lies behind a layer may read variables, which another graph gives their first values.
func TestEffectsThroughVariables(t *testing.T) {
	if interpreter == nil {
		t.Skip("the evaluator in Go has no variables; with -tags tflite this runs")
	}
	m := resources()
	samples := Inputs(m, 1, 4, 1)
	q, _ := quantize(t, m, &Options{AllowFloat: true, Interpreter: interpreter, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	layers, err := CompareLayers(m, q, interpreter, len(samples), func(i int) ([][]float32, error) { return samples[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 || !(math.Abs(layers[0].Outputs-layers[0].Alone) <= 0.5) {
		t.Errorf("layers %+v, want one, whose answers, plus zeros, are the model's", layers)
	}
}
