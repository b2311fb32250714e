package dfq

import (
	"maps"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// liveValues are, by sample, the values that what is still to be run reads.
type liveValues []map[*tflite.Tensor][]float32

func newLiveValues(inputs []*tflite.Tensor, samples [][][]float32) liveValues {
	live := make(liveValues, len(samples))
	for s, sample := range samples {
		live[s] = map[*tflite.Tensor][]float32{}
		for i, t := range inputs {
			live[s][t] = sample[i]
		}
	}
	return live
}

// advance runs the ops of a graph from one to before another, and leaves alive what
// is wanted of what there is then.
func (live liveValues) advance(opts *Options, m *tflite.Model, from, to int, wanted func(*tflite.Tensor) bool) error {
	part := cutOut(m, from, to, wanted)
	g := part.Graphs[0]
	if len(g.Ops) > 0 {
		samples := make([][][]float32, len(live))
		for s := range samples {
			for _, t := range g.Inputs {
				samples[s] = append(samples[s], live[s][t])
			}
		}
		made := make([][][]float32, len(live))
		if err := eachSample(opts, part, samples, func(s int, outputs [][]float32) {
			for _, v := range outputs {
				made[s] = append(made[s], slices.Clone(v))
			}
		}); err != nil {
			return err
		}
		for s, values := range made {
			for k, v := range values {
				live[s][g.Outputs[k]] = v
			}
		}
	}
	for _, values := range live {
		maps.DeleteFunc(values, func(t *tflite.Tensor, _ []float32) bool { return !wanted(t) })
	}
	return nil
}

// cutOut returns the ops from one to before another as a model of their own, whose
// outputs are what is wanted of theirs; ops that these do not need are left out.
func cutOut(m *tflite.Model, from, to int, wanted func(*tflite.Tensor) bool) *tflite.Model {
	g := &tflite.Graph{Ops: m.Graphs[0].Ops[from:to]}
	for _, op := range g.Ops {
		for _, t := range op.Outputs {
			if wanted(t) {
				g.Outputs = append(g.Outputs, t)
			}
		}
	}
	keepNeeded(g)
	made := map[*tflite.Tensor]bool{}
	for _, op := range g.Ops {
		for _, t := range op.Inputs {
			if t != nil && !t.Constant() && !made[t] && !slices.Contains(g.Inputs, t) {
				g.Inputs = append(g.Inputs, t)
			}
		}
		for _, t := range op.Outputs {
			made[t] = true
		}
	}
	return &tflite.Model{Graphs: append([]*tflite.Graph{g}, m.Graphs[1:]...)}
}

// lastReads are the numbers of the last ops that read each tensor.
func lastReads(g *tflite.Graph) map[*tflite.Tensor]int {
	last := map[*tflite.Tensor]int{}
	for i, op := range g.Ops {
		for _, t := range op.Inputs {
			last[t] = i
		}
	}
	return last
}

// rounded returns the graph up to the last of the filters with weights and
// activations on the grids that were chosen for them, and the filters' outputs before
// their activations. It stays a float graph, which is many times as fast as an INT8
// one: rounded values are what QUANTIZE and DEQUANTIZE leave of them.
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
	plan := map[*tflite.Tensor]*tflite.Quantization{}
	for _, t := range g.Tensors() {
		if real(t) && !t.Constant() {
			plan[t] = t.Quant
		}
		t.Quant = nil
	}
	var ops []*tflite.Op
	rounded := map[*tflite.Tensor]*tflite.Tensor{}
	round := func(tensors []*tflite.Tensor) {
		for _, t := range tensors {
			if plan[t] == nil {
				continue
			}
			q, r := t.Clone(), t.Clone()
			q.Name, q.Type, q.Quant = t.Name+"_rounded", elementType(j.grid()), plan[t]
			ops = append(ops,
				&tflite.Op{Code: schema.BuiltinOperatorQUANTIZE, Version: 1, Inputs: []*tflite.Tensor{t}, Outputs: []*tflite.Tensor{q}},
				&tflite.Op{Code: schema.BuiltinOperatorDEQUANTIZE, Version: 2, Inputs: []*tflite.Tensor{q}, Outputs: []*tflite.Tensor{r}})
			rounded[t] = r
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
	keepNeeded(g)
	return m, values
}

// realWeights are the real values of a filter's integers, at w's scales.
func realWeights(q []int8, w *tflite.Tensor) []float32 {
	v, scales, lay := make([]float32, len(q)), w.Quant.Scale, layoutOf(w, w.Quant.Axis)
	for i, x := range q {
		v[i] = scales[min(lay.channel(i), len(scales)-1)] * float32(x)
	}
	return v
}
