package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// dissolveIslands takes out the TRANSPOSE ops around ops that do not mind the order of
// axes, as converters from PyTorch leave them, whose images have channels first:
//
//	conv, TRANSPOSE to [n, c, h, w], RELU, ADD, TRANSPOSE to [n, h, w, c], conv
//
// Inside, channels do not run along the last axis: none can be scaled, no batch norm and no
// activation goes into the filter before, and a transposition costs time. An island is
// dissolved if fewer TRANSPOSE ops remain.
func dissolveIslands(j *job) {
	var orders [][]int
	for _, op := range j.graph.Ops {
		if p := axesMoved(op); p != nil && !slices.Equal(p, inverse(p)) { // else a way in is a way out
			orders = append(orders, p)
		}
	}
	slices.SortFunc(orders, slices.Compare)
	for _, p := range slices.CompactFunc(orders, slices.Equal) {
		newIslands(j.graph, p).dissolve(j)
	}
	removeDeadOps(j.graph)
}

// axesMoved is the order in which op, a TRANSPOSE of real values, puts axes; nil if it is
// something else or does nothing.
func axesMoved(op *tflite.Op) []int {
	if op.Code != schema.BuiltinOperatorTRANSPOSE || len(op.Inputs) != 2 || len(op.Outputs) != 1 || !real(op.Inputs[0]) || op.Inputs[0].Constant() ||
		op.Inputs[1] == nil || !op.Inputs[1].Constant() {
		return nil
	}
	p := permutation(op)
	if len(op.Outputs[0].Shape) != len(p) || slices.IsSorted(p) {
		return nil
	}
	return p
}

// inverse is the order that undoes another.
func inverse(order []int) []int {
	back := make([]int, len(order))
	for i, a := range order {
		back[a] = i
	}
	return back
}

// islands are the tensors and ops whose axes are in one order behind a TRANSPOSE.
type islands struct {
	g        *tflite.Graph
	order    []int                         // axis i inside is axis order[i] outside
	inverted []int                         // and axis i outside is axis inverted[i] inside
	entry    map[*tflite.Tensor]*tflite.Op // by tensor inside: the TRANSPOSE that makes it
	within   map[*tflite.Op]func()         // other ops, and what writes them for the order outside
	inside   unionFind                     // the tensors inside, by island
	of       map[*tflite.Op]*tflite.Tensor // a tensor inside that the op reads
	uses     map[*tflite.Tensor][]tflite.Use

	twin    map[*tflite.Tensor]*tflite.Tensor // by tensor inside: the same values in the order outside
	instead map[*tflite.Tensor]*tflite.Tensor // by what puts axes back: what is read in its place
}

func newIslands(g *tflite.Graph, order []int) *islands {
	s := &islands{g: g, order: order, entry: map[*tflite.Tensor]*tflite.Op{}, within: map[*tflite.Op]func(){},
		inside: unionFind{}, of: map[*tflite.Op]*tflite.Tensor{}, uses: g.Uses(), inverted: inverse(order),
		twin: map[*tflite.Tensor]*tflite.Tensor{}, instead: map[*tflite.Tensor]*tflite.Tensor{}}
	for _, op := range g.Ops {
		if slices.Equal(axesMoved(op), order) {
			t := op.Outputs[0]
			s.entry[t], s.inside[t] = op, t
			continue
		}
		change := s.change(op)
		if change == nil {
			continue
		}
		s.within[op] = change
		for _, t := range op.Inputs {
			if s.inside[t] != nil {
				if s.of[op] == nil {
					s.of[op] = t
				}
				s.inside.join(s.of[op], t)
			}
		}
		if t := op.Outputs[0]; s.keepsRank(op) {
			s.inside[t] = t
			s.inside.join(s.of[op], t)
		}
	}
	return s
}

// change returns what writes op, whose operands inside are known, for the order outside;
// nil if it cannot be written so.
func (s *islands) change(op *tflite.Op) func() {
	if len(op.Outputs) != 1 || !real(op.Outputs[0]) || spec(op).reorder == nil {
		return nil
	}
	inside := 0
	for _, t := range op.Inputs {
		switch {
		case t == nil:
			return nil
		case s.inside[t] != nil:
			inside++
		case !real(t):
		case !finiteConstant(t) || len(t.Shape) > len(s.order):
			return nil
		}
	}
	if inside == 0 {
		return nil
	}
	return spec(op).reorder(s, op)
}

// Rules for opSpec.reorder.

// inPlace is for ops that make each value of those at its place in the inputs.
func inPlace(s *islands, op *tflite.Op) func() {
	if !s.keepsRank(op) {
		return nil
	}
	return func() {}
}

// joined is for CONCATENATION.
func joined(s *islands, op *tflite.Op) func() {
	o, ok := op.Options.(*schema.ConcatenationOptionsT)
	outside := func(t *tflite.Tensor) bool { return s.inside[t] == nil }
	if !ok || slices.ContainsFunc(op.Inputs, outside) || !s.keepsRank(op) || s.axis(int(o.Axis)) < 0 {
		return nil
	}
	return func() {
		c := *o
		c.Axis = int32(s.axis(int(o.Axis)))
		op.Options = &c
	}
}

// bordered is for PAD and MIRROR_PAD.
func bordered(s *islands, op *tflite.Op) func() {
	if len(op.Inputs) != 2 || !op.Inputs[1].Constant() || op.Inputs[1].Len() != 2*len(s.order) || !s.keepsRank(op) {
		return nil
	}
	return func() {
		by := op.Inputs[1].Ints()
		v := make([]int32, len(by))
		for i, a := range s.order {
			v[2*a], v[2*a+1] = int32(by[2*i]), int32(by[2*i+1])
		}
		setSecond(op, v)
	}
}

// reducedAxes is for MEAN: what is left of the axes must be in one order inside and outside.
func reducedAxes(s *islands, op *tflite.Op) func() {
	o, ok := op.Options.(*schema.ReducerOptionsT)
	if !ok || len(op.Inputs) != 2 || !op.Inputs[1].Constant() || op.Inputs[1].Type != schema.TensorTypeINT32 {
		return nil
	}
	var gone []int32
	for _, a := range op.Inputs[1].Ints() {
		if s.axis(a) < 0 {
			return nil
		}
		gone = append(gone, int32(s.axis(a)))
	}
	slices.Sort(gone)
	left := slices.DeleteFunc(slices.Clone(s.order), func(a int) bool { return slices.Contains(gone, int32(a)) })
	reduced := len(op.Outputs[0].Shape) == len(left) && len(gone) > 0 && slices.IsSorted(left)
	if o.KeepDims && !s.keepsRank(op) || !o.KeepDims && !reduced {
		return nil
	}
	return func() { setSecond(op, gone) }
}

// keepsRank reports whether op's output has as many axes as what is inside.
func (s *islands) keepsRank(op *tflite.Op) bool { return len(op.Outputs[0].Shape) == len(s.order) }

// setSecond gives op other integers as its second operand.
func setSecond(op *tflite.Op, v []int32) {
	own := op.Inputs[1].Clone()
	own.Name += "_" + op.Outputs[0].Name
	own.SetInt32s(v)
	op.Inputs[1] = own
}

// axis is that outside of axis a inside, −1 for none.
func (s *islands) axis(a int) int {
	if a < 0 {
		a += len(s.order)
	}
	if a < 0 || a >= len(s.order) {
		return -1
	}
	return s.order[a]
}

// isExit reports whether a reader puts axes back.
func (s *islands) isExit(op *tflite.Op) bool { return slices.Equal(axesMoved(op), s.inverted) }

// pay returns whether an island that a tensor is of has fewer TRANSPOSE ops once it is
// dissolved, and no tensor that is to be two answers.
func (s *islands) pay() func(t *tflite.Tensor) bool {
	gain, spoilt := map[*tflite.Tensor]int{}, map[*tflite.Tensor]bool{}
	for t := range s.inside {
		outside, answers := slices.Contains(s.g.Outputs, t), 0
		for _, u := range s.uses[t] {
			switch {
			case s.isExit(u.Op) && (s.entry[t] == nil || !slices.Contains(s.g.Outputs, u.Op.Outputs[0])):
				gain[s.inside.root(t)]++
				if slices.Contains(s.g.Outputs, u.Op.Outputs[0]) {
					answers++
				}
			case s.within[u.Op] == nil:
				outside = true
			}
		}
		if answers > 1 {
			spoilt[s.inside.root(t)] = true
		}
		switch {
		case s.entry[t] != nil && !outside:
			gain[s.inside.root(t)]++
		case s.entry[t] == nil && outside:
			gain[s.inside.root(t)]--
		}
	}
	return func(t *tflite.Tensor) bool { return gain[s.inside.root(t)] > 0 && !spoilt[s.inside.root(t)] }
}

// dissolve writes the islands that pay for the order outside.
func (s *islands) dissolve(j *job) {
	pays := s.pay()
	var ops []*tflite.Op
	for _, op := range s.g.Ops {
		for k, t := range op.Inputs {
			if z := s.instead[t]; z != nil {
				op.Inputs[k] = z
			}
		}
		if len(op.Outputs) == 1 && s.entry[op.Outputs[0]] == op && pays(op.Outputs[0]) {
			t := op.Outputs[0]
			s.twin[t] = op.Inputs[0]
			s.leave(t, op.Inputs[0])
			ops = append(ops, op) // for other readers; else it goes as a dead op
			continue
		}
		if s.isExit(op) && len(op.Inputs) > 0 && s.twin[op.Inputs[0]] != nil && (s.instead[op.Outputs[0]] != nil || s.twin[op.Inputs[0]] == op.Outputs[0]) {
			continue
		}
		ops = append(ops, op)
		if s.within[op] == nil || !pays(s.of[op]) {
			continue
		}
		if back := s.rewrite(op); back != nil {
			j.index[back] = j.index[op]
			ops = append(ops, back)
		}
	}
	s.g.Ops = ops
}

// leave has readers of what puts the axes of t back read z instead, its twin.
func (s *islands) leave(t, z *tflite.Tensor) {
	for _, u := range s.uses[t] {
		if y := u.Op.Outputs[0]; s.isExit(u.Op) && y != z && !slices.Contains(s.g.Outputs, y) {
			s.instead[y] = z
		}
	}
}

// rewrite has an op work on the twins, and returns a TRANSPOSE for who reads its output inside.
func (s *islands) rewrite(op *tflite.Op) *tflite.Op {
	for k, t := range op.Inputs {
		switch {
		case s.twin[t] != nil:
			op.Inputs[k] = s.twin[t]
		case real(t):
			op.Inputs[k] = s.constant(t)
		}
	}
	s.within[op]()
	if !s.keepsRank(op) {
		return nil // nothing of it is inside
	}
	t := op.Outputs[0]
	z := s.twinOf(t)
	op.Outputs[0], s.twin[t] = z, z
	s.leave(t, z)
	inside := slices.Contains(s.g.Outputs, t)
	for _, u := range s.uses[t] {
		inside = inside || s.within[u.Op] == nil && !s.isExit(u.Op)
	}
	if !inside {
		return nil
	}
	p := integerList(t.Name+"_order", cast[int32](s.order))
	return &tflite.Op{Code: schema.BuiltinOperatorTRANSPOSE, Version: 1, Inputs: []*tflite.Tensor{z, p}, Outputs: []*tflite.Tensor{t}}
}

// twinOf is t with its axes as they are outside: what an op makes of t by putting them back,
// an answer first, or a new tensor.
func (s *islands) twinOf(t *tflite.Tensor) *tflite.Tensor {
	var z *tflite.Tensor
	for _, u := range s.uses[t] {
		if y := u.Op.Outputs[0]; s.isExit(u.Op) && (z == nil || slices.Contains(s.g.Outputs, y)) {
			z = y
		}
	}
	if z != nil {
		return z
	}
	return &tflite.Tensor{Name: t.Name + "_channels_last", Type: t.Type, Shape: s.outward(t.Shape), Signature: s.outward(t.Signature)}
}

// outward are sizes of axes inside in the order outside.
func (s *islands) outward(shape []int) []int {
	if len(shape) != len(s.order) {
		return nil
	}
	out := make([]int, len(shape))
	for i, a := range s.order {
		out[a] = shape[i]
	}
	return out
}

// constant is c, which is broadcast from the last axis on, for the order outside.
func (s *islands) constant(c *tflite.Tensor) *tflite.Tensor {
	if c.Len() == 1 {
		return c
	}
	r := len(s.order)
	shape := append(slices.Repeat([]int{1}, r-len(c.Shape)), c.Shape...)
	out := c.Clone()
	out.Shape, out.Signature = s.outward(shape), nil
	from, to := c.Floats(), make([]float32, c.Len())
	for i, x := range from {
		at := make([]int, r)
		for axis, rest := r-1, i; axis >= 0; axis-- {
			at[s.order[axis]] = rest % shape[axis]
			rest /= shape[axis]
		}
		k := 0
		for axis, n := range out.Shape {
			k = k*n + at[axis]
		}
		to[k] = x
	}
	for len(out.Shape) > len(c.Shape) && out.Shape[0] == 1 {
		out.Shape = out.Shape[1:]
	}
	out.SetFloats(to)
	return out
}
