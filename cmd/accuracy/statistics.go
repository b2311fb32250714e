package main

import (
	"flag"
	"fmt"
	"math"
	"slices"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
)

var ofStatistics = flag.Bool("statistics", false, "print how close the statistics of made-up inputs come to those of photographs instead")

// distances are, for each tensor of a model, how far statistics are from those
// of photographs.
type distances struct {
	spread    []float64 // usual range over theirs
	mean      []float64 // root mean square over channels of the distance of means, over that of deviations
	deviation []float64 // root mean square of deviations over theirs
}

// printStatistics prints the quantiles over the model's tensors for made-up
// inputs, and for a second set of photographs.
func (m model) printStatistics(float *tflite.Model, all dataset) error {
	opts := dfq.Options{Interpreter: interp.Open}
	if m.pixels() {
		opts.Inputs = []dfq.InputRange{{Mean: m.mean, Std: m.std}}
	}
	of := func(d dataset) ([]dfq.TensorStatistics, error) {
		o := opts
		for i := range min(64, d.n) {
			in, err := m.sample(d, i*d.n/min(64, d.n))
			if err != nil {
				return nil, err
			}
			o.Calibration = append(o.Calibration, in)
		}
		return dfq.Statistics(float, &o)
	}
	want, err := of(all.half("even"))
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name string
		of   func() ([]dfq.TensorStatistics, error)
	}{
		{"made up", func() ([]dfq.TensorStatistics, error) { return dfq.Statistics(float, &opts) }},
		{"real", func() ([]dfq.TensorStatistics, error) { return of(all.half("odd")) }},
	} {
		got, err := row.of()
		if err != nil {
			return err
		}
		d := compareStatistics(want, got)
		fmt.Printf("| %s | %s | %s | %s | %s |\n", m.name, row.name, quantiles(d.spread), quantiles(d.mean), quantiles(d.deviation))
	}
	return nil
}

func compareStatistics(want, got []dfq.TensorStatistics) distances {
	var d distances
	for i, w := range want {
		g := got[i]
		var shift, real, seen float64
		for c := range w.Mean {
			shift += (g.Mean[c] - w.Mean[c]) * (g.Mean[c] - w.Mean[c])
			real += w.Deviation[c] * w.Deviation[c]
			seen += g.Deviation[c] * g.Deviation[c]
		}
		if real == 0 || w.Usual.Hi == w.Usual.Lo {
			continue // it does not change
		}
		d.spread = append(d.spread, (g.Usual.Hi-g.Usual.Lo)/(w.Usual.Hi-w.Usual.Lo))
		d.mean = append(d.mean, math.Sqrt(shift/real))
		d.deviation = append(d.deviation, math.Sqrt(seen/real))
	}
	return d
}

// quantiles formats tenth, median and ninetieth of a hundred.
func quantiles(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	slices.Sort(v)
	n := len(v)
	return fmt.Sprintf("%.2f | %.2f | %.2f", v[n/10], v[n/2], v[n*9/10])
}
