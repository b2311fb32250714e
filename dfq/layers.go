package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// LayerDiff is how far one activation of an INT8 model is from the same
// activation of its float twin, over all samples, real domain.
type LayerDiff struct {
	Index     int     `json:"index"` // of the op in the INT8 model
	Op        string  `json:"op"`
	Name      string  `json:"name"`
	SQNR      float64 `json:"sqnr_db"`    // −200 if a value is NaN or infinite
	MeanShift float64 `json:"mean_shift"` // root mean square over channels of the mean error, over their deviation
	Saturated float64 `json:"saturated"`  // share of values at an end of the int8 range
}

// CompareLayers runs n samples through a float model and the INT8 model made
// from it and compares every activation that both have: tensors are matched by
// name. The order is that of the INT8 model's ops.
func CompareLayers(float, int8 *tflite.Model, open Interpreter, n int, sample func(i int) ([][]float32, error)) ([]LayerDiff, error) {
	byName := map[string]*tflite.Tensor{}
	producers := float.Graphs[0].Producers()
	for _, t := range float.Graphs[0].Tensors() {
		if real(t) && producers[t] != nil {
			byName[t.Name] = t
		}
	}
	var layers []LayerDiff
	var want, got []*tflite.Tensor
	for i, op := range int8.Graphs[0].Ops {
		for _, t := range op.Outputs {
			f := byName[t.Name]
			if f == nil || t.Type != schema.TensorTypeINT8 || scaleOf(t) == 0 || len(t.Quant.Zero) != 1 || f.Len() != t.Len() {
				continue
			}
			want, got = append(want, f), append(got, t)
			layers = append(layers, LayerDiff{Index: i, Op: opName(op), Name: t.Name})
		}
	}
	sums := make([][]layerSums, n)
	_, err := Compare(withOutputs(float, want), withOutputs(int8, got), open, n, sample, func(i int, a, b [][]float32) {
		sums[i] = make([]layerSums, len(layers))
		for k := range layers {
			sums[i][k].add(a[k], b[k], channelCount(got[k]), params(got[k].Quant))
		}
	})
	if err != nil {
		return nil, err
	}
	for k := range layers {
		var s layerSums
		for i := range sums {
			s.join(sums[i][k])
		}
		s.fill(&layers[k])
	}
	return layers, nil
}

// WorstFirst sorts layers by SQNR.
func WorstFirst(layers []LayerDiff) {
	slices.SortStableFunc(layers, func(a, b LayerDiff) int {
		switch {
		case a.SQNR < b.SQNR:
			return -1
		case a.SQNR > b.SQNR:
			return 1
		}
		return 0
	})
}

// withOutputs returns a copy of m that shows the given tensors as its outputs.
func withOutputs(m *tflite.Model, show []*tflite.Tensor) *tflite.Model {
	probe, observed := copyWithTensors(m, show)
	probe.Graphs[0].Outputs = observed
	return probe
}

// copyWithTensors clones m and finds the clones of some of its tensors.
func copyWithTensors(m *tflite.Model, find []*tflite.Tensor) (*tflite.Model, []*tflite.Tensor) {
	position := map[*tflite.Tensor]int{}
	for i, t := range m.Graphs[0].Tensors() {
		position[t] = i
	}
	c := m.Clone()
	c.Signatures = nil
	copies := c.Graphs[0].Tensors()
	found := make([]*tflite.Tensor, len(find))
	for i, t := range find {
		found[i] = copies[position[t]]
	}
	return c, found
}

// layerSums are the sums behind a LayerDiff, by channel. Equalization gives
// channels other scales, so got is compared after the one factor per channel
// that fits it best to want.
type layerSums struct {
	channels  []channelSums
	n         int
	saturated int
	notFinite int
}

type channelSums struct{ n, w, g, ww, wg, gg float64 }

func (s *layerSums) add(want, got []float32, channels int, q affine.Params) {
	if s.channels == nil {
		s.channels = make([]channelSums, channels)
	}
	lo, hi := q.Range()
	for i, x := range want {
		if _, finite := alike(x, got[i]); !finite {
			s.notFinite++
			continue
		}
		w, g := float64(x), float64(got[i])
		c := &s.channels[i%channels]
		c.n++
		c.w += w
		c.g += g
		c.ww += w * w
		c.wg += w * g
		c.gg += g * g
		if g <= lo || g >= hi {
			s.saturated++
		}
	}
	s.n += len(want)
}

func (s *layerSums) join(o layerSums) {
	if s.channels == nil {
		s.channels = make([]channelSums, len(o.channels))
	}
	for i, c := range o.channels {
		d := &s.channels[i]
		d.n += c.n
		d.w += c.w
		d.g += c.g
		d.ww += c.ww
		d.wg += c.wg
		d.gg += c.gg
	}
	s.n += o.n
	s.saturated += o.saturated
	s.notFinite += o.notFinite
}

func (s *layerSums) fill(d *LayerDiff) {
	var signal, noise, shift, variance float64
	for _, c := range s.channels {
		if c.n == 0 {
			continue
		}
		k := 1.0
		if c.gg > 0 && c.wg > 0 {
			k = c.wg / c.gg
		}
		signal += c.ww
		noise += math.Max(0, c.ww-2*k*c.wg+k*k*c.gg)
		e := (k*c.g - c.w) / c.n
		shift += e * e
		variance += c.ww/c.n - c.w/c.n*c.w/c.n
	}
	d.SQNR = sqnr(signal, noise)
	d.MeanShift = math.Sqrt(shift / math.Max(variance, 1e-30))
	if s.notFinite > 0 {
		d.SQNR, d.MeanShift = -equalSQNR, math.MaxFloat64
	}
	d.Saturated = float64(s.saturated) / math.Max(1, float64(s.n))
}
