package dfq

import (
	"fmt"
	"math"
	"os"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// equalize scales channels against each other so that quantization hurts least.
//
//	x = W₁·u + b₁   →   x/s = (W₁/s)·u + b₁/s
//	y = W₂·σ(x)     →   y   = (W₂·s)·σ(x/s)
//
// exact for every s > 0 where σ(x/s) = σ(x)/s (the paper's equation 7). Here it
// is done over whole tensors: every channel of every tensor is a variable,
// operators that pass a scale on tie variables together (a residual ADD ties
// both its inputs and its output), all others hold them at 1. RELU6 stays exact:
// σ(x/s) = σ(x)/s holds below the cap, so s may shrink only so far that the
// scaled channel stays under 6, and a channel that reaches the cap keeps s = 1.
//
// What s is best depends on what quantization does to the consumers' outputs:
// an objective weighs activation noise against weight noise, see blockCost.
func equalize(j *job) error {
	v := newChannelScales(j)
	for _, op := range j.graph.Ops {
		v.tie(op)
	}
	v.boundByCaps(j)
	for _, b := range v.blocks(j) {
		c0 := b.cost(ones(len(b.vars)))
		gain := b.solve()
		if os.Getenv("DFQDEBUG") != "" {
			sv := make([]float64, len(b.vars))
			for p, i := range b.vars {
				sv[p] = v.s[i]
			}
			wn := 0.0
			for _, r := range b.readers {
				wn += r.weightNoise(sv) / float64(len(r.weight)+1)
			}
			fmt.Printf("block %-50.50s %d tensors %d vars cost %.1f dB -> %.1f dB gain %.1f (weights %.1f)\n", b.tensors[0].Name, len(b.tensors), len(b.vars), 10*math.Log10(c0), 10*math.Log10(b.cost(sv)), gain, 10*math.Log10(wn+1e-12))
		}
		if gain > 0 {
			j.report.Equalized = append(j.report.Equalized, EqualizedBlock{Tensors: b.names(), GainDB: gain})
		}
	}
	v.apply(j)
	return nil
}

// channelScales are the variables of equalization: a union-find over the
// channels of all real activations.
type channelScales struct {
	first  map[*tflite.Tensor]int // number of a tensor's first channel
	parent []int
	fixed  []bool    // by root
	least  []float64 // by root: lower bound of s
	s      []float64 // by root
}

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
	for _, ts := range [][]*tflite.Tensor{j.graph.Inputs, j.graph.Outputs} {
		for _, t := range ts {
			v.fix(t)
		}
	}
	for op := range j.float {
		v.fixAll(op)
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

// of returns the variable of channel c of t.
func (v *channelScales) of(t *tflite.Tensor, c int) int { return v.root(v.first[t] + c) }

// tie joins or fixes the variables of one op's operands.
func (v *channelScales) tie(op *tflite.Op) {
	s := spec(op)
	if s.filter != nil {
		// Weights take any scale on either side, but a bound activation other
		// than RELU and RELU6 takes none.
		if activation(op) == schema.ActivationFunctionTypeRELU_N1_TO_1 {
			v.fix(op.Outputs[0])
		}
		return
	}
	if s.channels == nil || !s.channels(v, op) {
		v.fixAll(op)
	}
}

// boundByCaps sets the lower bounds that keep RELU6 exact.
func (v *channelScales) boundByCaps(j *job) {
	for _, op := range j.graph.Ops {
		if op.Code == schema.BuiltinOperatorRELU6 {
			v.fixAll(op)
			continue
		}
		if activation(op) != schema.ActivationFunctionTypeRELU6 {
			continue
		}
		t := op.Outputs[0]
		if _, ok := v.first[t]; !ok {
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
	return math.Max(m.hi*capMargin, m.mean+capDeviations*m.deviation())
}

const (
	capMargin     = 1.25
	capDeviations = 6
)

// Rules by which operators pass scales on. Each returns false where the
// operands do not allow it.

// passThrough ties equal channels of all real operands: what works on each
// channel alone and commutes with positive factors, and ADD. Operands with one
// channel fewer axes are broadcast; constants are scaled along (see apply).
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

// spatial is passThrough for ops with one real input whose other operands or
// options must leave the channel axis alone.
func overSpace(v *channelScales, op *tflite.Op) bool {
	in, out := op.Inputs[0], op.Outputs[0]
	if len(in.Shape) != len(out.Shape) || len(in.Shape) < 2 || !real(in) || in.Constant() {
		return false
	}
	return passThrough(v, op)
}

// reducedSpace is for MEAN and the like: axes must not hold the channel axis.
func reducedSpace(v *channelScales, op *tflite.Op) bool {
	in := op.Inputs[0]
	for _, a := range op.Inputs[1].Ints() {
		if a == -1 || a == len(in.Shape)-1 {
			return false
		}
	}
	return real(in) && !in.Constant() && passThrough(v, op)
}

// padded is for PAD: zeros are zeros at any scale. New channels are free.
func paddedZeros(v *channelScales, op *tflite.Op) bool {
	in, out, p := op.Inputs[0], op.Outputs[0], op.Inputs[1].Ints()
	if len(p) != 2*len(in.Shape) || in.Constant() {
		return false
	}
	before := p[len(p)-2]
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
		return passThrough(v, op)
	}
	at := 0
	for _, t := range op.Inputs {
		if !real(t) || t.Constant() {
			return false
		}
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
	if a.Constant() || channelCount(a) != channelCount(out) || fusedActivation(op) && activation(op) != schema.ActivationFunctionTypeRELU {
		return false
	}
	v.fix(b)
	for c := range channelCount(out) {
		v.join(v.first[out]+c, v.first[a]+c)
	}
	return true
}

// apply writes the scales into weights, biases and constants, and follows them
// in the statistics.
func (v *channelScales) apply(j *job) {
	scale := func(t *tflite.Tensor, c int) float64 { return v.s[v.of(t, c)] }
	for _, op := range j.graph.Ops {
		f := spec(op).filter
		switch {
		case f != nil && j.float[op] == "":
			v.applyFilter(op, f)
		case op.Code == schema.BuiltinOperatorADD || op.Code == schema.BuiltinOperatorSUB:
			for _, t := range op.Inputs {
				if real(t) && t.Constant() && j.float[op] == "" {
					w := t.Floats()
					for i := range w {
						w[i] = float32(float64(w[i]) / scale(op.Outputs[0], i%channelCount(op.Outputs[0])))
					}
					t.SetFloats(w)
				}
			}
		}
	}
	for t, s := range j.stats {
		if _, ok := v.first[t]; !ok {
			continue
		}
		for c := range s.channels {
			s.channels[c] = s.channels[c].scaled(1 / scale(t, c))
		}
		if &s.pre[0] != &s.channels[0] {
			for c := range s.pre {
				s.pre[c] = s.pre[c].scaled(1 / scale(t, c))
			}
		}
		s.lo, s.hi = bounds(s.channels)
		for i := range s.rows {
			s.rows[i] /= float32(scale(t, i%len(s.channels)))
		}
	}
}

func (m moments) scaled(by float64) moments {
	m.lo, m.hi, m.mean, m.square = m.lo*by, m.hi*by, m.mean*by, m.square*by*by
	return m
}

// applyFilter divides output channels and multiplies input channels.
func (v *channelScales) applyFilter(op *tflite.Op, f *filter) {
	w := op.Inputs[f.weights]
	in, out := op.Inputs[f.input], op.Outputs[0]
	values, lay := w.Floats(), layoutOf(w, f.out)
	changed := false
	for i := range values {
		o := lay.channel(i)
		s := v.s[v.of(in, inputChannel(op, f, i))] / v.s[v.of(out, o)]
		if s != 1 {
			values[i] = float32(float64(values[i]) * s)
			changed = true
		}
	}
	if !changed {
		return
	}
	w.SetFloats(values)
	bias := op.Inputs[f.bias]
	b := bias.Floats()
	for c := range b {
		b[c] = float32(float64(b[c]) / v.s[v.of(out, c)])
	}
	bias.SetFloats(b)
}

// inputChannel is the input channel that element i of op's weights reads.
func inputChannel(op *tflite.Op, f *filter, i int) int {
	w, channels := op.Inputs[f.weights], channelCount(op.Inputs[f.input])
	if f.in < 0 {
		out := w.Shape[f.out]
		return i % out * channels / out // depth multiplier: output o reads o / multiplier
	}
	lay := layoutOf(w, f.in)
	c := lay.channel(i)
	if groups := channels / lay.channels; groups > 1 { // grouped convolution
		out := layoutOf(w, f.out)
		c += out.channel(i) * groups / out.channels * lay.channels
	}
	return c
}

// block is a set of tensors whose channels are tied together and must be solved
// for at once.
type block struct {
	v       *channelScales
	tensors []*tflite.Tensor
	vars    []int            // free variables
	index   map[int]int      // variable → place in vars
	ranges  [][]channelRange // [tensor][channel]
	readers []*reader        // weighted ops that read a tensor of the block
	writers []*writer        // per-tensor weights only: weighted ops that write one
}

type channelRange struct {
	variable int // place in vars, or −1 for a fixed channel
	lo, hi   float64
}

// reader is a weighted op as seen from its input: what noise there does to its
// output, in units of each output channel's own deviation.
type reader struct {
	gain    []float64   // by variable place (last: fixed): Σ over outputs and taps of w²/var
	power   []float64   // by input channel: mean square of the input
	channel []int       // by input channel: variable place, or −1
	largest [][]float32 // [output][input channel]: largest |w| over taps; nil for depthwise
	weight  []float64   // by output channel: taps / var, what one unit of weight noise costs
}

type writer struct{}

func (b *block) names() []string {
	var names []string
	for _, t := range b.tensors {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// blocks groups the tensors by shared variables.
func (v *channelScales) blocks(j *job) []*block {
	owner := map[int]*block{} // by variable
	var all []*block
	merge := func(a, b *block) *block {
		if a == b {
			return a
		}
		a.tensors = append(a.tensors, b.tensors...)
		b.tensors = nil
		for i, o := range owner {
			if o == b {
				owner[i] = a
			}
		}
		return a
	}
	for _, t := range j.graph.Tensors() {
		if _, ok := v.first[t]; !ok || j.stats[t] == nil {
			continue
		}
		var mine *block
		for c := range channelCount(t) {
			i := v.of(t, c)
			if v.fixed[i] {
				continue
			}
			if b := owner[i]; b != nil {
				if mine == nil {
					mine = b
				} else {
					mine = merge(b, mine)
				}
			}
		}
		if mine == nil {
			mine = &block{v: v}
			all = append(all, mine)
		}
		mine.tensors = append(mine.tensors, t)
		for c := range channelCount(t) {
			if i := v.of(t, c); !v.fixed[i] {
				owner[i] = mine
			}
		}
	}
	var out []*block
	for _, b := range all {
		if len(b.tensors) > 0 && b.prepare(j) {
			out = append(out, b)
		}
	}
	return out
}

// prepare gathers what the objective needs; false if there is nothing to gain.
func (b *block) prepare(j *job) bool {
	b.index = map[int]int{}
	inBlock := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		inBlock[t] = true
		var r []channelRange
		for c, m := range j.stats[t].channels {
			i, place := b.v.of(t, c), -1
			if !b.v.fixed[i] {
				p, ok := b.index[i]
				if !ok {
					p = len(b.vars)
					b.index[i] = p
					b.vars = append(b.vars, i)
				}
				place = p
			}
			kk := 0.0
			fmt.Sscan(os.Getenv("KSIG"), &kk)
			lo, hi := math.Min(m.lo, 0), math.Max(m.hi, 0)
			if lo < 0 {
				lo = math.Min(lo, m.mean-kk*m.deviation())
			}
			hi = math.Max(hi, m.mean+kk*m.deviation())
			r = append(r, channelRange{place, lo, hi})
		}
		b.ranges = append(b.ranges, r)
	}
	if len(b.vars) < 2 {
		return false
	}
	for _, op := range j.graph.Ops {
		f := spec(op).filter
		if f != nil && j.float[op] == "" && inBlock[op.Inputs[f.input]] {
			b.readers = append(b.readers, b.newReader(j, op, f))
		}
	}
	return len(b.readers) > 0
}

func (b *block) newReader(j *job, op *tflite.Op, f *filter) *reader {
	in, out, w := op.Inputs[f.input], op.Outputs[0], op.Inputs[f.weights]
	channels := channelCount(in)
	r := &reader{gain: make([]float64, len(b.vars)+1), power: make([]float64, channels), channel: make([]int, channels)}
	for c, m := range j.stats[in].channels {
		r.power[c] = m.square/math.Max(m.n, 1) + m.mean*m.mean
		r.channel[c] = -1
		if p, ok := b.index[b.v.of(in, c)]; ok && !b.v.fixed[b.v.of(in, c)] {
			r.channel[c] = p
		}
	}
	lay := layoutOf(w, f.out)
	variance := make([]float64, lay.channels)
	average := 0.0
	for o, m := range j.stats[out].pre {
		variance[o] = m.square / math.Max(m.n, 1)
		average += variance[o] / float64(lay.channels)
	}
	for o := range variance {
		variance[o] = math.Max(variance[o], 1e-2*average+1e-30)
	}
	if f.in >= 0 {
		r.largest = make([][]float32, lay.channels)
		for o := range r.largest {
			r.largest[o] = make([]float32, channels)
		}
		taps := float64(w.Len()) / float64(lay.channels*w.Shape[f.in])
		for o := range variance {
			r.weight = append(r.weight, taps/variance[o])
		}
	}
	for i, x := range w.Floats() {
		o, c := lay.channel(i), inputChannel(op, f, i)
		p := r.channel[c]
		if p < 0 {
			p = len(b.vars)
		}
		r.gain[p] += float64(x) * float64(x) / variance[o]
		if r.largest != nil {
			r.largest[o][c] = max(r.largest[o][c], float32(math.Abs(float64(x))))
		}
	}
	return r
}

// cost is the expected noise at all readers' outputs, relative to their
// variances, for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·g_c  +  Σ_o δ_o²/12 · Σ_c P_c/s_c²
//
// Δ_t is the step of tensor t at its scaled range, g the readers' gains, δ_o the
// step of output channel o's weights at their scaled range, P the input's power.
// Depthwise readers have one input channel per output: their weight noise does
// not depend on s.
func (b *block) cost(s []float64) float64 {
	total := 0.0
	gain := 0.0
	for _, r := range b.readers {
		for p, g := range r.gain {
			if p < len(s) {
				gain += g * s[p] * s[p]
			} else {
				gain += g
			}
		}
	}
	for _, ranges := range b.ranges {
		lo, hi := 0.0, 0.0
		for _, c := range ranges {
			k := 1.0
			if c.variable >= 0 {
				k = 1 / s[c.variable]
			}
			lo, hi = math.Min(lo, c.lo*k), math.Max(hi, c.hi*k)
		}
		step := (hi - lo) / 255
		total += step * step / 12 * gain
	}
	for _, r := range b.readers {
		total += r.weightNoise(s)
	}
	return total
}

func (r *reader) weightNoise(s []float64) float64 {
	if r.largest == nil {
		return 0
	}
	k := make([]float32, len(r.channel))
	power := 0.0
	for c, p := range r.channel {
		x := 1.0
		if p >= 0 {
			x = s[p]
		}
		k[c] = float32(x)
		power += r.power[c] / (x * x)
	}
	total := 0.0
	for o, row := range r.largest {
		m := float32(0)
		for c, x := range row {
			m = max(m, x*k[c])
		}
		step := float64(m) / 127
		total += r.weight[o] * step * step / 12 * power
	}
	return total
}

// solve chooses among s = (reach of the activation)^α, α from 0 to 1, the one
// of least cost, and returns the gain in dB, 0 if it leaves things as they are.
// α = 1 gives all channels one range, which is best for the activation; smaller
// ones spare the weights behind.
func (b *block) solve() float64 {
	reach := make([]float64, len(b.vars))
	for _, ranges := range b.ranges {
		widest := 0.0
		for _, c := range ranges {
			widest = math.Max(widest, c.hi-c.lo)
		}
		for _, c := range ranges {
			if c.variable >= 0 && widest > 0 {
				reach[c.variable] = math.Max(reach[c.variable], (c.hi-c.lo)/widest)
			}
		}
	}
	best := ones(len(b.vars))
	before := b.cost(best)
	least := before
	for step := 1; step <= 8; step++ {
		s := make([]float64, len(b.vars))
		for p, r := range reach {
			s[p] = 1
			if r > 0 {
				s[p] = math.Pow(math.Max(r, minReach), float64(step)/8)
			}
			s[p] = math.Max(s[p], b.v.least[b.vars[p]])
		}
		if c := b.cost(s); c < least {
			best, least = s, c
		}
	}
	if least > before*worthwhile {
		return 0
	}
	for p, i := range b.vars {
		b.v.s[i] = best[p]
	}
	return 10 * math.Log10(before/least)
}

const (
	minReach   = 1.0 / 1024 // bounds s: channels below it are as good as dead
	worthwhile = 0.9        // a smaller gain is not worth rounding anew
)

func ones(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return s
}
