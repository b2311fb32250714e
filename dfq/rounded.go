package dfq

import (
	"math/bits"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// roundedPart is a piece of the rounded graph, which ends with a filter.
type roundedPart struct {
	model *tflite.Model    // its inputs are what is left of earlier parts and of the graph's inputs
	value *tflite.Tensor   // the filter's output before its activation: the last one of model
	spent []*tflite.Tensor // inputs that no later part reads
}

// roundedParts cuts the rounded graph behind each of the filters, in their order, so
// that each can be corrected before what follows is run, and all is run but once.
// live are the graph's inputs, by sample.
func (j *job) roundedParts(filters []*tflite.Op) (parts []roundedPart, live []map[*tflite.Tensor][]float32) {
	m, values := j.rounded(filters)
	for _, sample := range j.samples {
		in := map[*tflite.Tensor][]float32{}
		for i, t := range m.Graphs[0].Inputs {
			in[t] = sample[i]
		}
		live = append(live, in)
	}
	made, last := map[*tflite.Tensor]int{}, map[*tflite.Tensor]int{} // by which part, and read by which at last
	var pieces [][]*tflite.Op
	start := 0
	for i, op := range m.Graphs[0].Ops {
		for _, t := range op.Inputs {
			last[t] = len(pieces)
		}
		for _, t := range op.Outputs {
			made[t] = len(pieces)
		}
		if op.Outputs[0] == values[len(pieces)] {
			pieces = append(pieces, m.Graphs[0].Ops[start:i+1])
			start = i + 1
		}
	}
	for k, ops := range pieces {
		g := &tflite.Graph{Ops: ops}
		part := roundedPart{value: values[k]}
		for _, op := range ops {
			for _, t := range op.Inputs {
				if p, ok := made[t]; t != nil && !t.Constant() && !t.Variable && (!ok || p < k) && !slices.Contains(g.Inputs, t) {
					g.Inputs = append(g.Inputs, t)
					if last[t] == k {
						part.spent = append(part.spent, t)
					}
				}
			}
			for _, t := range op.Outputs {
				if last[t] > k && t != part.value {
					g.Outputs = append(g.Outputs, t)
				}
			}
		}
		g.Outputs = append(g.Outputs, part.value)
		part.model = &tflite.Model{Graphs: append([]*tflite.Graph{g}, m.Graphs[1:]...)}
		parts = append(parts, part)
	}
	return parts, live
}

// run runs a part for every sample on the values that are live in it, and changes
// these to what later parts may read.
func (p roundedPart) run(opts *Options, live []map[*tflite.Tensor][]float32) error {
	g := p.model.Graphs[0]
	input := func(s int) (values [][]float32) {
		for _, t := range g.Inputs {
			values = append(values, live[s][t])
		}
		return values
	}
	return eachSample(opts, p.model, len(live), input, func(s int, outputs [][]float32) {
		for _, t := range p.spent {
			delete(live[s], t)
		}
		for k, t := range g.Outputs {
			live[s][t] = slices.Clone(outputs[k])
		}
	})
}

// rounded returns the graph up to the last of the filters with weights and
// activations on the grids that were chosen for them, and the filters' outputs before
// their activations. It stays a float graph, which is many times as fast as an INT8 one.
func (j *job) rounded(filters []*tflite.Op) (*tflite.Model, []*tflite.Tensor) {
	var want []*tflite.Tensor
	for _, op := range filters {
		want = append(want, op.Outputs[0])
	}
	for _, op := range filters {
		want = append(want, op.Inputs[spec(op).filter.weights])
	}
	m, observed := probeModel(j.model, want)
	g := m.Graphs[0]
	values := slices.Clone(g.Outputs[:len(filters)])
	for _, o := range observed[len(filters):] {
		o.value.SetFloats(realWeights(j.weights[o.tensor], o.value))
	}
	g.Outputs = values
	plan := map[*tflite.Tensor]affine.Params{}
	for _, t := range g.Tensors() {
		if real(t) && !t.Constant() && t.Quant != nil {
			plan[t] = params(t.Quant)
		}
		t.Quant = nil
	}
	roundActivations(g, j.grid(), plan)
	g.KeepNeeded(nil)
	return m, values
}

// roundActivations lets the readers of each activation that has parameters read what these
// leave of it, which it returns. FAKE_QUANT is QUANTIZE and DEQUANTIZE in one, and a little faster.
func roundActivations(g *tflite.Graph, grid affine.Grid, plan map[*tflite.Tensor]affine.Params) (rounded map[*tflite.Tensor]*tflite.Tensor) {
	var ops []*tflite.Op
	rounded = map[*tflite.Tensor]*tflite.Tensor{}
	round := func(tensors []*tflite.Tensor) {
		for _, t := range tensors {
			p, ok := plan[t]
			if !ok {
				continue
			}
			r := t.Clone()
			r.Name += "_rounded"
			rounded[t] = r
			lo, hi := grid.Range(p)
			ops = append(ops, &tflite.Op{Code: schema.BuiltinOperatorFAKE_QUANT, Version: 2,
				Options: &schema.FakeQuantOptionsT{Min: float32(lo), Max: float32(hi), NumBits: int32(bits.Len(uint(grid.Max - grid.Min)))},
				Inputs:  []*tflite.Tensor{t}, Outputs: []*tflite.Tensor{r}})
		}
	}
	round(g.Inputs)
	for _, op := range g.Ops {
		for k, t := range op.Inputs {
			if r := rounded[t]; r != nil {
				op.Inputs[k] = r
			}
		}
		ops = append(ops, op)
		round(op.Outputs)
	}
	g.Ops = ops
	return rounded
}

// realWeights are the real values of a filter's integers, at w's scales.
func realWeights(q []int8, w *tflite.Tensor) []float32 {
	v, scales, lay := make([]float32, len(q)), w.Quant.Scale, layoutOf(w, w.Quant.Axis)
	for i, x := range q {
		v[i] = scaleAt(scales, lay.channel(i)) * float32(x)
	}
	return v
}
