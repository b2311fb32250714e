package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"dfq/dfq"
	"dfq/tflite"
)

// defaultLayers is how many layers --layers shows without a number.
const defaultLayers = 20

// layerSamples is how many samples layers are compared on at most: all their
// values are looked at, a thousand times as many as at the outputs.
const layerSamples = 32

// layers is a comparison inside the models.
type layers struct {
	Samples int             `json:"samples"`
	Worst   []dfq.LayerDiff `json:"worst_first"`
	show    int             // of these, in the text; 0 for all
}

func compareLayers(float, int8 *tflite.Model, s *samples, show int) (*layers, error) {
	s = s.pick(layerSamples)
	diffs, err := dfq.CompareLayers(float, int8, fastest(), s.n, s.load)
	if err != nil {
		return nil, fmt.Errorf("--layers: %w", err)
	}
	dfq.WorstFirst(diffs)
	return &layers{Samples: s.n, Worst: diffs, show: show}, nil
}

// mostHarm is how many layers are shown that by themselves harm the outputs most.
const mostHarm = 5

// text is the table of the worst layers, and that of those that matter most.
func (l *layers) text() []byte {
	if len(l.Worst) == 0 {
		return []byte("no activation of the second model is an INT8 or 16x8 one that the float model has as well, so there are no layers to compare\n")
	}
	rows := l.Worst
	if l.show > 0 {
		rows = rows[:min(l.show, len(rows))]
	}
	harm := slices.Clone(l.Worst)
	slices.SortStableFunc(harm, func(a, b dfq.LayerDiff) int { return cmp.Compare(a.Outputs, b.Outputs) })
	harm = harm[:min(mostHarm, len(harm))]
	var b bytes.Buffer
	fmt.Fprintf(&b, "the worst %d of %d layers that both models have, on %d samples\n\n", len(rows), len(l.Worst), l.Samples)
	layerTable(&b, rows)
	fmt.Fprintf(&b, "\nthe %d that harm the model's outputs most, each alone in a float model\n\n", len(harm))
	layerTable(&b, harm)
	return b.Bytes()
}

func layerTable(out io.Writer, rows []dfq.LayerDiff) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "op\tSQNR\talone\toutputs\tinputs\tmean shift\tmax error\tsaturated\t   \n")
	for _, d := range rows {
		fmt.Fprintf(w, "%d\t%.2f dB\t%.2f dB\t%.2f dB\t%.2f dB\t%.4f\t%.1f steps\t%.3f %%\t   %s %q\n",
			d.Index, d.SQNR, d.Alone, d.Outputs, d.Inputs, d.MeanShift, d.MaxSteps, 100*d.Saturated, d.Op, shortName(d.Name))
	}
	w.Flush()
}

// shortName cuts what converters make of the names of all ops that they fused.
func shortName(name string) string {
	const most = 64
	if r := []rune(name); len(r) > most {
		return string(r[:most]) + "…"
	}
	return name
}
