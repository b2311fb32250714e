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
	for _, t := range slices.Concat(j.graph.Inputs, j.graph.Outputs) {
		v.fix(t)
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
	for _, t := range slices.Concat(op.Inputs, op.Outputs) {
		v.fix(t)
	}
}

// of returns the variable of channel c of t, once all are tied.
func (v *channelScales) of(t *tflite.Tensor, c int) int { return v.parent[v.first[t]+c] }

// tie joins or fixes the variables of one op's operands.
func (v *channelScales) tie(op *tflite.Op) {
	if spec(op).filter != nil {
		if !commutes(op) { // weights take any scale on either side
			v.fix(op.Outputs[0])
		}
		return
	}
	links := channelLinks(op)
	for _, l := range links {
		in, variable := v.first[op.Inputs[l.input]]
		out := v.first[op.Outputs[l.output]]
		for _, p := range l.pairs {
			if variable {
				v.join(in+p.in, out+p.out)
			} else {
				v.fixed[v.root(out+p.out)] = true
			}
		}
	}
	for k, t := range op.Inputs {
		if !slices.ContainsFunc(links, func(l channelLink) bool { return l.input == k }) {
			v.fix(t)
		}
	}
	for o, t := range op.Outputs {
		if !slices.ContainsFunc(links, func(l channelLink) bool { return l.output == o }) {
			v.fix(t)
		}
	}
}

// boundByCaps sets the lower bounds that keep RELU6 exact.
func (v *channelScales) boundByCaps(j *job) {
	for _, op := range j.graph.Ops {
		if op.Activation() != schema.ActivationFunctionTypeRELU6 {
			continue
		}
		t := op.Outputs[0]
		if _, ok := v.first[t]; !ok || j.stats[t] == nil {
			continue
		}
		for c, m := range j.stats[t].preActivation() {
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
