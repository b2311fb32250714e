package ref

import (
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// maxGraphRuns bounds how often the ops of one run may run other graphs: a loop
// need not end, and graphs that run each other twice take forever soon.
const maxGraphRuns = 1 << 14

// callees makes the graphs that op runs ready, each once. A graph that runs
// itself is an error.
func (b *builder) callees(op *tflite.Op) ([]*Evaluator, error) {
	var list []*Evaluator
	for _, k := range op.Callees() {
		if b.model == nil || k < 0 || k >= len(b.model.Graphs) {
			return nil, nil // the kernel will say that it has no graphs
		}
		e, ok := b.graphs[k]
		if ok && e == nil {
			return nil, fmt.Errorf("graph %d runs itself", k)
		}
		if !ok {
			b.graphs[k] = nil // until it is ready
			var err error
			if e, err = newEvaluator(b.model, k, b.graphs); err != nil {
				return nil, fmt.Errorf("graph %d: %w", k, err)
			}
			b.graphs[k] = e
		}
		list = append(list, e)
	}
	return list, nil
}

// graphs are the graphs that a control flow op runs, in the order of its
// options.
func (c *call) graphs(n int) []*Evaluator {
	need(len(c.callees) == n, "it runs %d graphs, %d are known here", n, len(c.callees))
	return c.callees
}

// runGraph runs e on values and returns copies of its outputs.
func (c *call) runGraph(e *Evaluator, inputs []value) []value {
	need(len(inputs) == len(e.inputs), "%d inputs for a graph with %d", len(inputs), len(e.inputs))
	*c.graphRuns++
	need(*c.graphRuns <= maxGraphRuns, "graphs are run more than %d times", maxGraphRuns)
	r := e.runs.Get().(*run)
	defer e.runs.Put(r)
	defer r.reset()
	r.graphRuns = c.graphRuns
	copy(r.values, e.fixed)
	for i, s := range e.inputs {
		r.values[s] = inputs[i]
		r.values[s].owned = false
	}
	err := e.run(r, func(*step) {})
	need(err == nil, "%v", err)
	outputs := make([]value, len(e.outputs))
	for i, s := range e.outputs {
		v := r.values[s]
		outputs[i] = value{typ: v.typ, shape: v.shape, f: slices.Clone(v.f), i: slices.Clone(v.i)}
	}
	return outputs
}

// give hands values to the op's outputs.
func (c *call) give(values []value) {
	need(len(values) == len(c.out), "%d values for %d outputs", len(values), len(c.out))
	for i := range values {
		y := c.like(i, &values[i], values[i].shape...)
		copy(y.f, values[i].f)
		copy(y.i, values[i].i)
	}
}

// arguments are the op's inputs from i on.
func (c *call) arguments(i int) []value {
	var list []value
	for ; i < len(c.in); i++ {
		list = append(list, *c.arg(i))
	}
	return list
}

// truthOf is a condition's only element.
func truthOf(v *value) bool {
	need(v.typ == schema.TensorTypeBOOL && len(v.i) == 1, "a condition of type %v and shape %v", v.typ, v.shape)
	return v.i[0] != 0
}

// branch is IF: one of two graphs.
func branch(c *call) {
	graphs := c.graphs(2)
	e := graphs[1]
	if truthOf(c.arg(0)) {
		e = graphs[0]
	}
	c.give(c.runGraph(e, c.arguments(1)))
}

// while runs its second graph as long as the first says so.
func while(c *call) {
	graphs, state := c.graphs(2), c.arguments(0)
	for {
		more := c.runGraph(graphs[0], state)
		need(len(more) == 1, "a condition with %d outputs", len(more))
		if !truthOf(&more[0]) {
			break
		}
		state = c.runGraph(graphs[1], state)
	}
	c.give(state)
}
