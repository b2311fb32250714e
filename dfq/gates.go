package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// A gate is what a tensor is multiplied by if it is made of the same tensor: SiLU is
// written as
//
//	y = x · σ(x).
//
// No factor passes a function of another shape than a line, and so the channels of x
// cannot be scaled against each other, nor those of y: the smallest of them get no more
// than what one scale for all leaves. Yet these few ops are a whole layer of YOLO and
// EfficientNet.
type gate struct {
	x   *tflite.Tensor // what is multiplied
	mul *tflite.Op
	by  *tflite.Op // LOGISTIC, which reads x as well
}

// gatesOf lists the gates of a graph that can be parted: those of a filter's output, an
// image that nothing else reads.
func gatesOf(g *tflite.Graph) []gate {
	var gates []gate
	uses, producers := g.Uses(), g.Producers()
	for _, mul := range g.Ops {
		for k, x := range mul.Inputs {
			from, by := producers[x], sigmoidBeside(mul, k, producers)
			if from == nil || spec(from).filter == nil || from.Activation() != schema.ActivationFunctionTypeNONE || len(x.Shape) != 4 ||
				by == nil || by.Inputs[0] != x || len(uses[x]) != 2 || len(uses[by.Outputs[0]]) != 1 ||
				slices.Contains(g.Outputs, x) || slices.Contains(g.Outputs, by.Outputs[0]) {
				continue
			}
			gates = append(gates, gate{x, mul, by})
		}
	}
	return gates
}

// sigmoidBeside is the LOGISTIC by which mul, a MUL without activation, multiplies its
// input k; nil if it is something else.
func sigmoidBeside(mul *tflite.Op, k int, producers map[*tflite.Tensor]*tflite.Op) *tflite.Op {
	if mul.Code != schema.BuiltinOperatorMUL || len(mul.Inputs) != 2 || mul.Activation() != schema.ActivationFunctionTypeNONE {
		return nil
	}
	by := producers[mul.Inputs[1-k]]
	if by == nil || by.Code != schema.BuiltinOperatorLOGISTIC || len(by.Inputs) != 1 {
		return nil
	}
	return by
}

// partGates gives the gate an x of its own, by a depthwise convolution of one tap that
// so far multiplies by 1:
//
//	x′ = x/s    x″ = s·x′    y′ = x′ · σ(x″) = y/s
//
// Now x′ and y′ can be scaled, and x″, which only σ reads, has a range that ends where σ
// does. It costs one small op, which "join gates" takes out again where nothing came of it.
func partGates(j *job) error {
	j.parted = map[*tflite.Tensor]*tflite.Op{}
	for _, g := range gatesOf(j.graph) {
		if j.stats[g.x] == nil || slices.ContainsFunc([]*tflite.Op{g.mul, g.by}, func(op *tflite.Op) bool { return j.float[op] != "" }) {
			continue
		}
		op := g.part(j.graph)
		j.index[op] = j.index[g.by]
		j.stats[op.Outputs[0]] = j.stats[g.x].clone()
		j.parted[g.x] = op
	}
	return nil
}

// part inserts the convolution.
func (g gate) part(in *tflite.Graph) *tflite.Op {
	n := channelCount(g.x)
	op := &tflite.Op{Outputs: []*tflite.Tensor{{Name: gateName(g.x), Type: g.x.Type, Shape: g.x.Shape, Signature: g.x.Signature}}}
	becomeDepthwise(op, &channelLine{x: g.x, scale: ones(n), shift: make([]float64, n)})
	g.by.Inputs[0] = op.Outputs[0]
	in.Ops = slices.Insert(in.Ops, slices.Index(in.Ops, g.by), op)
	return op
}

// partedAlike returns the float model with the gates parted that its INT8 twin has parted,
// so that the two can be held against each other.
func partedAlike(float, int8 *tflite.Model) *tflite.Model {
	names := map[string]bool{}
	for _, op := range int8.Graphs[0].Ops {
		names[outputName(op)] = true
	}
	isParted := func(g gate) bool { return names[gateName(g.x)] }
	if !slices.ContainsFunc(gatesOf(float.Graphs[0]), isParted) {
		return float
	}
	m := float.Clone()
	for _, g := range gatesOf(m.Graphs[0]) {
		if isParted(g) {
			g.part(m.Graphs[0])
		}
	}
	return m
}

// gateName is the name of x″.
func gateName(x *tflite.Tensor) string { return x.Name + "_gate" }

// joinGates takes out what multiplies by 1 still.
func joinGates(j *job) error {
	idle := map[*tflite.Op]bool{}
	uses := j.graph.Uses()
	for _, op := range j.graph.Ops {
		if len(op.Inputs) == 0 || j.parted[op.Inputs[0]] != op {
			continue
		}
		x := op.Inputs[0]
		if slices.ContainsFunc(op.Inputs[depthwise.weights].Floats(), func(s float32) bool { return s != 1 }) {
			j.report.Parted = append(j.report.Parted, x.Name)
			continue
		}
		for _, u := range uses[op.Outputs[0]] {
			u.Op.Inputs[u.Input] = x
		}
		delete(j.stats, op.Outputs[0])
		delete(j.parted, x)
		idle[op] = true
	}
	removeOps(j.graph, idle)
	return nil
}
