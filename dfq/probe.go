package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// observation is one output of a probe model: a tensor of the original as it is
// before its fused activation, if it has one.
type observation struct {
	tensor *tflite.Tensor // of the original model
	value  *tflite.Tensor // of the probe
	fused  schema.ActivationFunctionType
}

func (o observation) splits() bool { return o.fused != schema.ActivationFunctionTypeNONE }

// probeModel returns a copy of m whose outputs are the wanted tensors. Fused
// activations of weighted ops become ops of their own, so that the value before
// them can be seen. An interpreter shows nothing but outputs.
func probeModel(m *tflite.Model, want []*tflite.Tensor) (*tflite.Model, []observation) {
	probe, values := copyWithTensors(m, want)
	g := probe.Graphs[0]
	observed := make([]observation, len(want))
	number := map[*tflite.Tensor]int{}
	for i, t := range want {
		observed[i] = observation{tensor: t, value: values[i]}
		number[values[i]] = i
	}
	var ops []*tflite.Op
	for _, op := range g.Ops {
		ops = append(ops, op)
		if spec(op).filter == nil || !real(op.Outputs[0]) {
			continue
		}
		out, fused := op.Outputs[0], op.Activation()
		act := splitActivation(op)
		if act == nil {
			continue
		}
		ops = append(ops, act)
		if i, ok := number[out]; ok {
			observed[i].value, observed[i].fused = op.Outputs[0], fused
		}
	}
	g.Ops = ops
	g.Outputs = nil
	for _, o := range observed {
		g.Outputs = append(g.Outputs, o.value)
	}
	g.KeepNeeded(nil)
	return probe, observed
}

// inLayers returns a copy of m that is cut at the given tensors and shows what each
// layer between them makes of what it is given, and which of them are given.
func inLayers(m *tflite.Model, at []*tflite.Tensor) (*tflite.Model, []int) {
	c, found, fed := cutAt(m, at)
	c.Graphs[0].Outputs = found
	return c, fed
}

// cutAt returns a copy of m in which the readers of the given tensors read new
// graph inputs instead, of the same type and scale, and the tensors there. It also
// returns which of them are read, in the order of the new inputs, which follow
// those of m.
func cutAt(m *tflite.Model, at []*tflite.Tensor) (c *tflite.Model, found []*tflite.Tensor, fed []int) {
	c, found = copyWithTensors(m, at)
	g := c.Graphs[0]
	number, inputs := map[*tflite.Tensor]int{}, map[*tflite.Tensor]*tflite.Tensor{}
	for k, t := range found {
		number[t] = k
	}
	for _, op := range g.Ops {
		for i, t := range op.Inputs {
			k, cut := number[t]
			if !cut {
				continue
			}
			if inputs[t] == nil {
				inputs[t] = t.Clone()
				inputs[t].Name += "_given"
				g.Inputs = append(g.Inputs, inputs[t])
				fed = append(fed, k)
			}
			op.Inputs[i] = inputs[t]
		}
	}
	return c, found, fed
}

// behind returns the part of m from where output k is read to the outputs from last on.
// It goes on from values of the outputs up to k, so that nothing before is run again:
// which of them it reads, in the order of its inputs, which follow those of m.
func behind(m *tflite.Model, k, last int) (rest *tflite.Model, read []int) {
	rest, _, given := cutAt(m, m.Graphs[0].Outputs[:k+1])
	g, own := rest.Graphs[0], len(m.Graphs[0].Inputs)
	g.Outputs = g.Outputs[last:]
	g.KeepNeeded(nil)
	needed, uses := slices.Clone(g.Inputs[:own]), g.Uses()
	for i, t := range g.Inputs[own:] {
		if len(uses[t]) > 0 {
			needed, read = append(needed, t), append(read, given[i])
		}
	}
	g.Inputs = needed
	return rest, read
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
