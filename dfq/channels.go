package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// channelScales are the variables of equalization: a union-find over the
// channels of all real activations.
type channelScales struct {
	first  map[*tflite.Tensor]int // number of a tensor's first channel
	parent []int
	fixed  []bool    // by root
	least  []float64 // by root: lower bound of s
	s      []float64 // by root
	index  []int     // by root: its place among the variables of the block that is measured, plus 1; 0 for others
}

// newChannelScales makes the variables of a graph, those that ops tie together
// joined, those that cannot be scaled fixed.
func newChannelScales(j *job) *channelScales {
	v := &channelScales{first: map[*tflite.Tensor]int{}}
	n := 0
	for _, t := range j.graph.Tensors() {
		if real(t) && !t.Constant() {
			v.first[t] = n
			n += channelCount(t)
		}
	}
	v.parent, v.fixed, v.index = make([]int, n), make([]bool, n), make([]int, n)
	v.least, v.s = make([]float64, n), make([]float64, n)
	for i := range n {
		v.parent[i], v.s[i] = i, 1
	}
	for _, ts := range [][]*tflite.Tensor{j.graph.Inputs, j.graph.Outputs} {
		for _, t := range ts {
			v.fix(t)
		}
	}
	for op := range j.float {
		v.fixAll(op)
	}
	for t := range j.tooFewToKnow() {
		v.fix(t)
	}
	for _, op := range j.graph.Ops {
		v.tie(op)
	}
	for i := range v.parent {
		v.parent[i] = v.root(i)
	}
	return v
}

// tooFewToKnow are the tensors that made-up inputs say too little of: those with
// few positions, where a sample gives few values, and those near one on the way to an
// output, up to nearHead weighted ops before it, whose channels answer to whole
// objects. A self-check on made-up inputs is blind there: measured on photographs,
// scales found for them cost more than all others gain.
//
// Skips of residual blocks may lead from the first layers to the last with hardly a
// weighted op between: what is more than farFromHead before by another way is not near.
//
// Few positions that lead back to many, as an image's means do that channels are
// multiplied by (squeeze and excitation), are no head; neither is an output of many
// positions, a map or a list of boxes: what is before them is scaled.
func (j *job) tooFewToKnow() map[*tflite.Tensor]bool {
	ahead := map[*tflite.Tensor]*ways{}  // to tensors with few positions
	answers := map[*tflite.Tensor]bool{} // outputs, and what tensors with few positions up to one are made of
	few := map[*tflite.Tensor]bool{}
	for _, t := range j.lastSeen() {
		answers[t] = true
	}
	for _, op := range slices.Backward(j.graph.Ops) {
		var from *ways // first op's outputs, then its inputs
		for _, t := range op.Outputs {
			if !real(t) {
				continue
			}
			if !manyPositions(t) {
				few[t] = true
			}
			if few[t] && answers[t] {
				ahead[t] = &ways{}
				for _, in := range op.Inputs {
					answers[in] = true
				}
			}
			from = from.or(ahead[t])
		}
		if from == nil {
			continue
		}
		if spec(op).filter != nil {
			from = &ways{from.shortest + 1, from.longest + 1}
		}
		for _, t := range op.Inputs {
			if real(t) {
				ahead[t] = ahead[t].or(from)
			}
		}
	}
	for t, w := range ahead {
		if w.shortest <= nearHead && w.longest <= farFromHead {
			few[t] = true
		}
	}
	return few
}

// ways lead from a tensor to others; how many weighted ops are on them.
type ways struct{ shortest, longest int }

// or are the ways of both; nil: there is none.
func (w *ways) or(others *ways) *ways {
	switch {
	case w == nil:
		return others
	case others == nil:
		return w
	}
	return &ways{min(w.shortest, others.shortest), max(w.longest, others.longest)}
}

// manyPositions reports whether a sample gives many values of each channel of t.
func manyPositions(t *tflite.Tensor) bool { return t.Len() >= fewPositions*channelCount(t) }

const (
	fewPositions = 16
	nearHead     = 2  // weighted ops, by the shortest way
	farFromHead  = 16 // by the longest
)

func (v *channelScales) root(i int) int {
	for v.parent[i] != i {
		v.parent[i] = v.parent[v.parent[i]]
		i = v.parent[i]
	}
	return i
}

func (v *channelScales) join(i, k int) {
	i, k = v.root(i), v.root(k)
	if i == k {
		return
	}
	v.parent[k] = i
	v.fixed[i] = v.fixed[i] || v.fixed[k]
	v.least[i] = math.Max(v.least[i], v.least[k])
}

func (v *channelScales) fix(t *tflite.Tensor) {
	if first, ok := v.first[t]; ok {
		for c := range channelCount(t) {
			v.fixed[v.root(first+c)] = true
		}
	}
}

func (v *channelScales) fixAll(op *tflite.Op) {
	for _, t := range op.Inputs {
		v.fix(t)
	}
	for _, t := range op.Outputs {
		v.fix(t)
	}
}

// of returns the variable of channel c of t, once all are tied.
func (v *channelScales) of(t *tflite.Tensor, c int) int { return v.parent[v.first[t]+c] }

// tie joins or fixes the variables of one op's operands.
func (v *channelScales) tie(op *tflite.Op) {
	s := spec(op)
	if s.filter != nil {
		// Weights take any scale on either side, but a bound activation other
		// than RELU and RELU6 takes none.
		if op.Activation() == schema.ActivationFunctionTypeRELU_N1_TO_1 {
			v.fix(op.Outputs[0])
		}
		return
	}
	if s.channels == nil || !commutes(op) || !s.channels(v, op) {
		v.fixAll(op)
	}
}

// commutes reports whether a positive factor may pass op at all: it computes
// with real numbers, and nothing in it is of a size of its own.
func commutes(op *tflite.Op) bool {
	switch {
	case !real(op.Outputs[0]), op.Activation() == schema.ActivationFunctionTypeRELU_N1_TO_1:
		return false
	case op.Code == schema.BuiltinOperatorPRELU:
		return op.Inputs[1].Constant()
	}
	return true
}

// boundByCaps sets the lower bounds that keep RELU6 exact.
func (v *channelScales) boundByCaps(j *job) {
	for _, op := range j.graph.Ops {
		if op.Code == schema.BuiltinOperatorRELU6 {
			v.fixAll(op)
			continue
		}
		if op.Activation() != schema.ActivationFunctionTypeRELU6 {
			continue
		}
		t := op.Outputs[0]
		if _, ok := v.first[t]; !ok || j.stats[t] == nil {
			continue
		}
		for c, m := range j.stats[t].pre {
			i := v.of(t, c)
			reach := reachOf(m)
			if reach >= 6 {
				v.fixed[i] = true
			}
			v.least[i] = math.Max(v.least[i], reach/6)
		}
	}
}

// reachOf is how far up a channel is taken to go on real inputs: made-up ones
// are known to excite deep channels too little, so the largest value seen is not
// trusted alone.
func reachOf(m moments) float64 {
	return math.Max(m.hi*capMargin, m.mean+float64(capDeviations*m.deviation()))
}

const (
	capMargin     = 1.25
	capDeviations = 6
)

// Rules by which operators pass scales on. Each returns false where the
// operands do not allow it.

// passThrough ties equal channels of all real operands: what works on each
// channel alone and commutes with positive factors, and ADD. Operands with
// fewer axes are broadcast; constants of ADD and SUB are scaled along (see apply).
func passThrough(v *channelScales, op *tflite.Op) bool {
	out := op.Outputs[0]
	n := channelCount(out)
	for _, ts := range [][]*tflite.Tensor{op.Inputs, op.Outputs} {
		for _, t := range ts {
			if real(t) && channelCount(t) != n {
				return false
			}
		}
	}
	for _, ts := range [][]*tflite.Tensor{op.Inputs, op.Outputs} {
		for _, t := range ts {
			if !real(t) || t.Constant() {
				continue
			}
			for c := range n {
				v.join(v.first[out]+c, v.first[t]+c)
			}
		}
	}
	return true
}

// overSpace is passThrough for ops with one real input whose other operands or
// options must leave the channel axis alone.
func overSpace(v *channelScales, op *tflite.Op) bool {
	in, out := op.Inputs[0], op.Outputs[0]
	if len(in.Shape) != len(out.Shape) || len(in.Shape) < 2 || !real(in) || in.Constant() {
		return false
	}
	return passThrough(v, op)
}

// chosen is passThrough for ops that choose between operands, or join rows of them, none
// of which may be a constant.
func chosen(v *channelScales, op *tflite.Op) bool {
	for _, t := range op.Inputs {
		if real(t) && (t.Constant() || len(t.Shape) != len(op.Outputs[0].Shape)) {
			return false
		}
	}
	return passThrough(v, op)
}

// strided is for STRIDED_SLICE: the channel axis is whole and keeps its place
// and order.
func strided(v *channelScales, op *tflite.Op) bool {
	o, ok := op.Options.(*schema.StridedSliceOptionsT)
	steps := op.Inputs[3].Ints()
	if !ok || o.EllipsisMask|o.NewAxisMask|o.ShrinkAxisMask != 0 || len(steps) == 0 || len(steps) == len(op.Inputs[0].Shape) && steps[len(steps)-1] != 1 {
		return false
	}
	return overSpace(v, op)
}

// gathered is for GATHER along another axis than that of the channels.
func gathered(v *channelScales, op *tflite.Op) bool {
	o, ok := op.Options.(*schema.GatherOptionsT)
	rank := len(op.Inputs[0].Shape)
	if !ok || o.Axis == -1 || int(o.Axis) == rank-1 || op.Inputs[0].Constant() {
		return false
	}
	return passThrough(v, op)
}

// lastStays is for TRANSPOSE.
func lastStays(v *channelScales, op *tflite.Op) bool {
	perm := op.Inputs[1].Ints()
	n := len(op.Inputs[0].Shape)
	if len(perm) != n || n == 0 || perm[n-1] != n-1 && perm[n-1] != -1 {
		return false
	}
	return overSpace(v, op)
}

// parted is for SPLIT and SPLIT_V: along channels by slices, along other axes as
// passThrough.
func parted(v *channelScales, op *tflite.Op) bool {
	in, axes := op.Inputs[0], op.Inputs[len(op.Inputs)-1]
	if op.Code == schema.BuiltinOperatorSPLIT {
		in, axes = op.Inputs[1], op.Inputs[0]
	}
	axis := axes.Ints()
	if in.Constant() || len(axis) != 1 {
		return false
	}
	if axis[0] != -1 && axis[0] != len(in.Shape)-1 {
		return passThrough(v, op)
	}
	all := 0
	for _, t := range op.Outputs {
		all += channelCount(t)
	}
	if all != channelCount(in) {
		return false
	}
	at := v.first[in]
	for _, t := range op.Outputs {
		for c := range channelCount(t) {
			v.join(v.first[t]+c, at)
			at++
		}
	}
	return true
}

// reducedSpace is for MEAN and the like: axes must not hold the channel axis.
func reducedSpace(v *channelScales, op *tflite.Op) bool {
	in := op.Inputs[0]
	for _, a := range op.Inputs[1].Ints() {
		if a == -1 || a == len(in.Shape)-1 {
			return false
		}
	}
	return real(in) && !in.Constant() && op.Inputs[1].Constant() && passThrough(v, op)
}

// paddedZeros is for PAD: zeros are zeros at any scale. New channels are free.
func paddedZeros(v *channelScales, op *tflite.Op) bool {
	in, out, p := op.Inputs[0], op.Outputs[0], op.Inputs[1].Ints()
	if len(p) != 2*len(in.Shape) || in.Constant() {
		return false
	}
	before := p[len(p)-2]
	if before < 0 || before+channelCount(in) > channelCount(out) {
		return false
	}
	for c := range channelCount(in) {
		v.join(v.first[out]+before+c, v.first[in]+c)
	}
	return true
}

// flattened is for RESHAPE and SQUEEZE: element i of the new channel axis was
// channel i mod C.
func flattened(v *channelScales, op *tflite.Op) bool {
	in, out := op.Inputs[0], op.Outputs[0]
	n, m := channelCount(in), channelCount(out)
	if m%n != 0 || in.Constant() {
		return false
	}
	for c := range m {
		v.join(v.first[out]+c, v.first[in]+c%n)
	}
	return true
}

// stacked is for CONCATENATION: along channels by slices, along other axes as
// passThrough.
func stacked(v *channelScales, op *tflite.Op) bool {
	out := op.Outputs[0]
	o, ok := op.Options.(*schema.ConcatenationOptionsT)
	if !ok {
		return false
	}
	axis := int(o.Axis)
	if axis >= 0 {
		axis -= len(out.Shape)
	}
	if axis != -1 {
		return chosen(v, op) // constant rows keep their size
	}
	at := 0
	for _, t := range op.Inputs {
		if at += channelCount(t); !real(t) || t.Constant() || at > channelCount(out) {
			return false
		}
	}
	at = 0
	for _, t := range op.Inputs {
		for c := range channelCount(t) {
			v.join(v.first[out]+at+c, v.first[t]+c)
		}
		at += channelCount(t)
	}
	return true
}

// gated is for MUL: a factor that nothing scales leaves the other operand's
// scale to the product.
func gated(v *channelScales, op *tflite.Op) bool {
	a, b, out := op.Inputs[0], op.Inputs[1], op.Outputs[0]
	if a.Constant() || len(a.Shape) < len(b.Shape) || !b.Constant() && a.Len() < b.Len() {
		a, b = b, a
	}
	if a.Constant() || channelCount(a) != channelCount(out) || fusedActivation(op) && op.Activation() != schema.ActivationFunctionTypeRELU {
		return false
	}
	v.fix(b)
	for c := range channelCount(out) {
		v.join(v.first[out]+c, v.first[a]+c)
	}
	return true
}
