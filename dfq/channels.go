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
	v.parent, v.fixed = make([]int, n), make([]bool, n)
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

// all are the variables of t's channels.
func (v *channelScales) all(t *tflite.Tensor) []int {
	out := make([]int, channelCount(t))
	for c := range out {
		out[c] = v.of(t, c)
	}
	return out
}

// scales are what the variables of t's channels are set to; 1 where it has none.
func (v *channelScales) scales(t *tflite.Tensor) []float64 {
	s := ones(channelCount(t))
	if _, ok := v.first[t]; ok {
		for c, i := range v.all(t) {
			s[c] = v.s[i]
		}
	}
	return s
}

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
