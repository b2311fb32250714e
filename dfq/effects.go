package dfq

import (
	"fmt"
	"slices"

	"dfq/tflite"
)

// effectSample is one sample on which effects of layers are measured: what the
// float model reads and answers, and what each layer alone makes of the float
// model's values, in that model's domain.
type effectSample struct {
	inputs, answers, alone [][]float32
}

const (
	effectSamples = 4       // at most: for each, every layer's rest of the model is run
	effectValues  = 1 << 26 // of layers that are kept meanwhile, at most: 256 MB
)

// effectCount is how many of n samples effects are measured on.
func (c *layerComparison) effectCount(n int) int {
	values := 1
	for _, l := range c.layers {
		values += l.want.Len()
	}
	return min(n, max(1, min(effectSamples, effectValues/values)))
}

// effects fills LayerDiff.Outputs: how far the float model's outputs are off if it
// goes on from what one layer alone made of its values.
func (c *layerComparison) effects(float *tflite.Model, open Interpreter, samples []effectSample) error {
	return inParallel(len(c.layers), bytesToRun(float), func(next func() (int, bool)) error {
		for k, ok := next(); ok; k, ok = next() {
			var err error
			if c.layers[k].Outputs, err = c.effect(k, float, open, samples); err != nil {
				return fmt.Errorf("float model behind %q: %w", c.layers[k].Name, err)
			}
		}
		return nil
	})
}

// effect is the SQNR of the output that layer k harms most.
func (c *layerComparison) effect(k int, float *tflite.Model, open Interpreter, samples []effectSample) (float64, error) {
	rest, cut, fed := cutAt(float, []*tflite.Tensor{c.layers[k].want})
	g := rest.Graphs[0]
	sums := make([]errorSums, len(g.Outputs))
	var behind []int // numbers of the outputs that are to be run
	for o, t := range g.Outputs {
		if t != cut[0] {
			behind = append(behind, o)
			continue
		}
		for _, s := range samples {
			sums[o].add(s.answers[o], s.alone[k], 1)
		}
	}
	g.Outputs = slices.DeleteFunc(g.Outputs, func(t *tflite.Tensor) bool { return t == cut[0] })
	g.KeepNeeded(nil)
	if len(fed) > 0 && len(behind) > 0 {
		run, stop, err := open(rest)
		if err != nil {
			return 0, err
		}
		defer stop()
		for _, s := range samples {
			got, err := run(append(slices.Clone(s.inputs), s.alone[k]))
			if err != nil {
				return 0, err
			}
			for i, o := range behind {
				if len(got[i]) != len(s.answers[o]) {
					sums[o].notFinite++ // as many as there are depends on the values: nothing to compare
					continue
				}
				sums[o].add(s.answers[o], got[i], 1)
			}
		}
	}
	least := float64(equalSQNR)
	for _, s := range sums {
		least = min(least, s.diff("").SQNR)
	}
	return least, nil
}
