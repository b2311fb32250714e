package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// correctEmpirically takes out of each bias what is left of the mean shift of its
// layer's output where everything before, the layer's weights too, is rounded: layer
// by layer, in order, on made-up inputs (the paper's empirical correction). It sees
// what the analytic correction cannot: errors of several layers, cut by activations.
//
// Each channel's shift counts as far as the samples bear it out: less what chance
// alone would make of its square.
func correctEmpirically(j *job) error {
	var filters []*tflite.Op
	var outputs []*tflite.Tensor // in the float graph, where no bias is corrected
	for i, op := range j.graph.Ops {
		if spec(op).filter != nil && j.float[op] == "" && j.stats[op.Outputs[0]] != nil {
			filters = append(filters, op)
			outputs = append(outputs, j.report.FloatTwin.Graphs[0].Ops[i].Outputs[0])
		}
	}
	if len(filters) == 0 {
		return nil
	}
	probe, observed := probeModel(j.report.FloatTwin, outputs)
	float, err := j.sampleMeans(probe, observed)
	if err != nil {
		return err
	}
	parts, live := j.roundedParts(filters)
	for k, part := range parts {
		if err := part.run(j.opts, live); err != nil {
			return err
		}
		channels := channelCount(part.value)
		rounded := make([][]moments, len(live)) // [sample][channel]
		for s := range live {
			rounded[s] = channelMeans(live[s][part.value], channels)
		}
		shifts, taken := make([]float32, channels), false
		for c := range shifts {
			samples := make([]float64, len(live))
			for s := range samples {
				samples[s] = rounded[s][c].mean - float[s][k][c]
			}
			shifts[c] = float32(borneOut(samples))
			taken = taken || shifts[c] != 0
		}
		if !taken {
			j.dropCorrection(filters[k], "empirical bias correction")
			continue
		}
		for s := range live {
			subtract(live[s][part.value], shifts)
		}
		bias := filters[k].Inputs[spec(filters[k]).filter.bias]
		b := bias.Floats()
		subtract(b, shifts)
		bias.SetFloats(b)
	}
	return nil
}

// subtract takes each channel's shift off v, channels along the last axis.
func subtract(v, shifts []float32) {
	for i := range v {
		v[i] -= shifts[i%len(shifts)]
	}
}

// borneOut is the median of what each sample says, less the part of its square that
// chance makes of samples as different as their quartiles are: the positive part of
// James and Stein's estimate. The median, since some made-up inputs drive some layers
// where hardly any photograph does. It sorts the samples.
func borneOut(samples []float64) float64 {
	slices.Sort(samples)
	n := len(samples)
	if n < fewSamples {
		return 0
	}
	median := (samples[n/2] + samples[(n-1)/2]) / 2
	deviation := (samples[n*3/4] - samples[n/4]) / 1.349       // of a normal distribution with these quartiles
	chance := math.Pi / 2 * deviation * deviation / float64(n) // the variance of such a median
	if m := median * median; m > chance {                      // false for NaN
		return median * (1 - chance/m)
	}
	return 0
}

// correctingSamples are enough to tell a shift from chance.
const correctingSamples = 32

// sampleMeans runs the samples and returns the mean of each channel of each output:
// [sample][output][channel].
func (j *job) sampleMeans(m *tflite.Model, outputs []observation) ([][][]float64, error) {
	means := make([][][]float64, len(j.samples))
	return means, eachSample(j.opts, m, len(j.samples), j.sample, func(s int, values [][]float32) {
		for k, v := range values {
			var row []float64
			for _, m := range channelMeans(v, channelCount(outputs[k].value)) {
				row = append(row, m.mean)
			}
			means[s] = append(means[s], row)
		}
	})
}
