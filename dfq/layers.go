package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// LayerDiff is how far one activation of an INT8 model is from the same
// activation of its float twin, over all samples, real domain.
type LayerDiff struct {
	Index     int     `json:"index"` // of the op in the INT8 model
	Op        string  `json:"op"`
	Name      string  `json:"name"`
	SQNR      float64 `json:"sqnr_db"`
	MeanShift float64 `json:"mean_shift"` // mean of got − want, over want's deviation
	MaxSteps  float64 `json:"max_steps"`  // largest error in steps of the output's scale
	Saturated float64 `json:"saturated"`  // share of values at an end of the int8 range that the float value lies beyond by a step or more
	Range     float64 `json:"range"`      // the width of the float values over that of the int8 range
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
			if f == nil || t.Type != schema.TensorTypeINT8 || f.Len() != t.Len() {
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
			sums[i][k].add(a[k], b[k], params(got[k].Quant).Range)
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
		s.fill(&layers[k], got[k].Quant)
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

// layerSums are the sums behind a LayerDiff.
type layerSums struct {
	errorSums
	sum, shift float64
	lo, hi     float64
	saturated  int
}

func (s *layerSums) add(want, got []float32, interval func() (lo, hi float64)) {
	s.errorSums.add(want, got, 1)
	lo, hi := interval()
	step := (hi - lo) / 255
	for i, x := range want {
		w, g := float64(x), float64(got[i])
		s.sum += w
		s.shift += g - w
		s.lo, s.hi = math.Min(s.lo, w), math.Max(s.hi, w)
		if w > hi+step || w < lo-step {
			s.saturated++
		}
	}
}

func (s *layerSums) join(o layerSums) {
	s.errorSums.join(o.errorSums)
	s.sum += o.sum
	s.shift += o.shift
	s.lo, s.hi = math.Min(s.lo, o.lo), math.Max(s.hi, o.hi)
	s.saturated += o.saturated
}

func (s *layerSums) fill(d *LayerDiff, q *tflite.Quantization) {
	n := math.Max(1, float64(s.n))
	mean := s.sum / n
	deviation := math.Sqrt(math.Max(s.signal/n-mean*mean, 1e-30))
	d.SQNR = sqnr(s.signal, s.noise)
	d.MeanShift = s.shift / n / deviation
	d.MaxSteps = s.max / float64(q.Scale[0])
	d.Saturated = float64(s.saturated) / n
	lo, hi := params(q).Range()
	d.Range = (s.hi - s.lo) / (hi - lo)
}
