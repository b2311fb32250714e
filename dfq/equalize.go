package dfq

import (
	"math"
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
	blocks := v.blocks(j)
	for range sweeps {
		for _, b := range blocks {
			if !b.measure(j) {
				continue
			}
			if gain := b.solve(); gain > 0 {
				v.apply(j, b)
				b.gain += gain
			}
		}
	}
	j.report.FloatTwin = j.model.Clone()
	for _, b := range blocks {
		if b.gain > 0 {
			j.report.Equalized = append(j.report.Equalized, EqualizedBlock{Tensors: b.names(), GainDB: b.gain})
		}
	}
	return nil
}

// sweeps over all blocks: with per-tensor weights a block's best scales depend
// on its neighbours'.
const sweeps = 2

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
	for t := range tooFewToKnow(j.graph) {
		v.fix(t)
	}
	return v
}

// tooFewToKnow are the tensors that made-up inputs say too little of: those with
// few positions, where a sample gives few values, and those up to nearHead
// weighted ops before them or before an output, whose channels answer to whole
// objects. A self-check
// on made-up inputs is blind there: measured on photographs, scales found for
// them cost more than all others gain.
func tooFewToKnow(g *tflite.Graph) map[*tflite.Tensor]bool {
	depth := map[*tflite.Tensor]int{} // weighted ops from here to an output or a tensor with few positions
	for _, t := range g.Outputs {
		depth[t] = 0
	}
	for _, op := range slices.Backward(g.Ops) {
		least := math.MaxInt
		for _, t := range op.Outputs {
			if !real(t) {
				continue
			}
			if t.Len() < fewPositions*channelCount(t) {
				depth[t] = 0
			}
			if d, ok := depth[t]; ok {
				least = min(least, d)
			}
		}
		if least == math.MaxInt {
			continue
		}
		if spec(op).filter != nil {
			least++
		}
		for _, t := range op.Inputs {
			if d, ok := depth[t]; real(t) && (!ok || least < d) {
				depth[t] = least
			}
		}
	}
	few := map[*tflite.Tensor]bool{}
	for t, d := range depth {
		if d <= nearHead {
			few[t] = true
		}
	}
	return few
}

const (
	fewPositions = 16
	nearHead     = 2
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

// apply writes the scales of one block into weights, biases and constants,
// follows them in the statistics and bounds, and sets them back to 1.
func (v *channelScales) apply(j *job, b *block) {
	scale := func(t *tflite.Tensor, c int) float64 {
		if _, ok := v.first[t]; !ok {
			return 1
		}
		return v.s[v.of(t, c)]
	}
	mine := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		mine[t] = true
		s := j.stats[t]
		samePre := &s.pre[0] == &s.channels[0]
		for c := range s.channels {
			s.channels[c] = s.channels[c].scaled(1 / scale(t, c))
			if !samePre {
				s.pre[c] = s.pre[c].scaled(1 / scale(t, c))
			}
		}
		s.lo, s.hi = bounds(s.channels)
		for i := range s.rows {
			s.rows[i] /= float32(scale(t, i%len(s.channels)))
		}
	}
	for _, op := range j.graph.Ops {
		if j.float[op] != "" {
			continue
		}
		f := spec(op).filter
		switch {
		case f != nil && (mine[op.Inputs[f.input]] || mine[op.Outputs[0]]):
			applyFilter(op, f, scale)
			n := channelCount(op.Inputs[f.input])
			for i := range j.patches[op] {
				j.patches[op][i] /= float32(scale(op.Inputs[f.input], i%n))
			}
		case f == nil && len(op.Outputs) > 0 && mine[op.Outputs[0]] && (op.Code == schema.BuiltinOperatorADD || op.Code == schema.BuiltinOperatorSUB):
			for _, t := range op.Inputs {
				if real(t) && t.Constant() {
					w := t.Floats()
					for i := range w {
						w[i] = float32(float64(w[i]) / scale(op.Outputs[0], i%channelCount(op.Outputs[0])))
					}
					t.SetFloats(w)
				}
			}
		}
	}
	for _, i := range b.vars {
		v.least[i] /= v.s[i]
		v.s[i] = 1
	}
}

func (m moments) scaled(by float64) moments {
	m.lo, m.hi, m.mean, m.square = m.lo*by, m.hi*by, m.mean*by, m.square*by*by
	return m
}

// applyFilter divides output channels and multiplies input channels.
func applyFilter(op *tflite.Op, f *filter, scale func(t *tflite.Tensor, c int) float64) {
	w := op.Inputs[f.weights]
	in, out := op.Inputs[f.input], op.Outputs[0]
	values, lay := w.Floats(), layoutOf(w, f.out)
	for i := range values {
		s := scale(in, inputChannel(op, f, i)) / scale(out, lay.channel(i))
		values[i] = float32(float64(values[i]) * s)
	}
	w.SetFloats(values)
	bias := op.Inputs[f.bias]
	b := bias.Floats()
	for c := range b {
		b[c] = float32(float64(b[c]) / scale(out, c))
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
	return c % channels // a dense layer may read several axes at once
}

// block is a set of tensors whose channels are tied together and must be solved
// for at once.
type block struct {
	v       *channelScales
	tensors []*tflite.Tensor
	gain    float64 // so far, in dB

	vars    []int            // free variables
	index   map[int]int      // variable → place in vars
	ranges  [][]channelRange // [tensor][channel]
	readers []*reader        // weighted ops that read a tensor of the block
	writers []*writer        // weighted ops that write one
}

type channelRange struct {
	place  int // in vars, or −1 for a fixed channel
	lo, hi float64
}

// reader is a weighted op as seen from its input: what noise there does to its
// output, in units of each output channel's own variance.
type reader struct {
	perTensor bool
	gain      []float64   // by place (last: fixed channels): Σ over outputs and taps of w²/var
	place     []int       // by input channel: place, or −1
	variance  []float64   // by input channel: of the input; its mean is corrected in the bias
	largest   [][]float32 // [output][input channel]: largest |w| over taps; depthwise: one row
	weight    []float64   // by row of largest: what one unit of weight noise costs
	spread    []float64   // depthwise: by channel, likewise
}

// writer is a weighted op as seen from its output, with one scale for all its
// weights: rows that are scaled down lose precision.
type writer struct {
	place   []int     // by output channel
	largest []float64 // by output channel: largest |w|
	input   float64   // Σ over taps of the input's variance
}

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
	return slices.DeleteFunc(all, func(b *block) bool { return len(b.tensors) == 0 })
}

// place returns where channel c of t stands in the block's variables, −1 if it
// is fixed.
func (b *block) place(t *tflite.Tensor, c int) int {
	i := b.v.of(t, c)
	p, ok := b.index[i]
	if !ok || b.v.fixed[i] {
		return -1
	}
	return p
}

// measure gathers what the objective needs from weights and statistics as they
// are now; false if there is nothing to gain.
func (b *block) measure(j *job) bool {
	b.index, b.vars, b.ranges, b.readers, b.writers = map[int]int{}, nil, nil, nil, nil
	mine := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		mine[t] = true
		var r []channelRange
		for c, m := range j.stats[t].channels {
			if i := b.v.of(t, c); !b.v.fixed[i] {
				if _, ok := b.index[i]; !ok {
					b.index[i] = len(b.vars)
					b.vars = append(b.vars, i)
				}
			}
			r = append(r, channelRange{b.place(t, c), math.Min(m.lo, 0), math.Max(m.hi, 0)})
		}
		b.ranges = append(b.ranges, r)
	}
	if len(b.vars) < 2 {
		return false
	}
	for _, op := range j.graph.Ops {
		f := spec(op).filter
		if f == nil || j.float[op] != "" {
			continue
		}
		if mine[op.Inputs[f.input]] {
			b.readers = append(b.readers, b.newReader(j, op, f))
		}
		if mine[op.Outputs[0]] && (j.opts.PerTensor || f.perTensor) {
			b.writers = append(b.writers, b.newWriter(j, op, f))
		}
	}
	return len(b.readers) > 0
}

func (b *block) newReader(j *job, op *tflite.Op, f *filter) *reader {
	in, w := op.Inputs[f.input], op.Inputs[f.weights]
	channels := channelCount(in)
	r := &reader{perTensor: j.opts.PerTensor || f.perTensor, gain: make([]float64, len(b.vars)+1), place: make([]int, channels), variance: make([]float64, channels)}
	for c, m := range j.stats[in].channels {
		r.variance[c] = m.square / math.Max(m.n, 1)
		r.place[c] = b.place(in, c)
	}
	lay := layoutOf(w, f.out)
	output := outputVariances(j.stats[op.Outputs[0]].pre)
	rows := lay.channels
	if f.in < 0 {
		rows = 1
		r.spread = make([]float64, channels)
	}
	r.largest, r.weight = make([][]float32, rows), make([]float64, rows)
	for o := range rows {
		r.largest[o] = make([]float32, channels)
	}
	for i, x := range w.Floats() {
		o, c := lay.channel(i), inputChannel(op, f, i)
		p := r.place[c]
		if p < 0 {
			p = len(b.vars)
		}
		r.gain[p] += float64(x) * float64(x) / output[o]
		if f.in < 0 {
			r.spread[c] += 1 / output[o]
			r.largest[0][c] = max(r.largest[0][c], float32(math.Abs(float64(x))))
			continue
		}
		if c == 0 {
			r.weight[o] += 1 / output[o] // one for each tap
		}
		r.largest[o][c] = max(r.largest[o][c], float32(math.Abs(float64(x))))
	}
	return r
}

// outputVariances are the variances by which noise at an op's output is judged.
// A channel that hardly varies counts as one that varies a little.
func outputVariances(channels []moments) []float64 {
	v := make([]float64, len(channels))
	average := 1e-30
	for o, m := range channels {
		v[o] = m.square / math.Max(m.n, 1)
		average += v[o] / float64(len(v))
	}
	for o := range v {
		v[o] = math.Max(v[o], leastVariance*average)
	}
	return v
}

const leastVariance = 1e-2

func (b *block) newWriter(j *job, op *tflite.Op, f *filter) *writer {
	in, out, w := op.Inputs[f.input], op.Outputs[0], op.Inputs[f.weights]
	lay := layoutOf(w, f.out)
	wr := &writer{place: make([]int, lay.channels), largest: channelMax(w.Floats(), lay)}
	for o := range wr.place {
		wr.place[o] = b.place(out, o)
	}
	for i := range w.Len() {
		m := j.stats[in].channels[inputChannel(op, f, i)]
		wr.input += m.square / math.Max(m.n, 1) / float64(lay.channels)
	}
	return wr
}

// cost is the expected noise at all readers' outputs, relative to their
// variances, for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·g_c  +  Σ_o δ_o²/12 · Σ_c V_c/s_c²  +  δ_w²/12 · U · Σ_c s_c²·g_c
//
// Δ_t is the step of tensor t at its scaled range, g the readers' gains, δ_o the
// step of output channel o's weights at their scaled range (one for all channels
// with per-tensor weights), V the input's variance. The last term is the weight
// noise of the ops that write the block, U their input's variance, with
// per-tensor weights only: one scale per channel follows any s.
func (b *block) cost(s []float64) float64 {
	gain := 0.0
	for _, r := range b.readers {
		for p, g := range r.gain[:len(s)] {
			gain += g * s[p] * s[p]
		}
		gain += r.gain[len(s)]
	}
	total := 0.0
	for _, ranges := range b.ranges {
		lo, hi := 0.0, 0.0
		for _, c := range ranges {
			k := 1 / at(s, c.place)
			lo, hi = math.Min(lo, c.lo*k), math.Max(hi, c.hi*k)
		}
		step := (hi - lo) / 255
		total += step * step / 12 * gain
	}
	for _, w := range b.writers {
		largest := 0.0
		for o, m := range w.largest {
			largest = math.Max(largest, m/at(s, w.place[o]))
		}
		step := largest / 127
		total += step * step / 12 * w.input * gain
	}
	for _, r := range b.readers {
		total += r.weightNoise(s)
	}
	return total
}

func at(s []float64, place int) float64 {
	if place < 0 {
		return 1
	}
	return s[place]
}

func (r *reader) weightNoise(s []float64) float64 {
	k := make([]float32, len(r.place))
	power := 0.0
	for c, p := range r.place {
		x := at(s, p)
		k[c] = float32(x)
		if r.spread != nil {
			power += r.variance[c] / (x * x) * r.spread[c]
		} else {
			power += r.variance[c] / (x * x)
		}
	}
	if r.spread != nil && !r.perTensor {
		return 0 // one channel each: its own scale follows any s
	}
	all := float32(0)
	total, weights := 0.0, 0.0
	for o, row := range r.largest {
		m := float32(0)
		for c, x := range row {
			m = max(m, x*k[c])
		}
		all = max(all, m)
		step := float64(m) / 127
		total += r.weight[o] * step * step / 12
		weights += r.weight[o]
	}
	if r.perTensor {
		step := float64(all) / 127
		if r.spread != nil {
			weights = 1
		}
		total = weights * step * step / 12
	}
	return total * power
}

// solve looks for s = R^α · r₁^β · r₂^−γ of least cost: R the channels' ranges
// (α = 1 gives all one range, best for the activation), r₁ and r₂ those of the
// weights before and behind (β = γ = ½ is the paper's equation 11). It sets the
// block's scales and returns the gain in dB, 0 if it leaves things as they are.
func (b *block) solve() float64 {
	n := len(b.vars)
	reach, before, behind := make([]float64, n), make([]float64, n), make([]float64, n)
	for _, ranges := range b.ranges {
		for _, c := range ranges {
			note(reach, c.place, c.hi-c.lo)
		}
	}
	for _, w := range b.writers {
		for o, m := range w.largest {
			note(before, w.place[o], m)
		}
	}
	for _, r := range b.readers {
		for _, row := range r.largest {
			for c, m := range row {
				note(behind, r.place[c], float64(m))
			}
		}
	}
	normalize1(reach)
	normalize1(before)
	normalize1(behind)
	candidate := func(e [3]float64) []float64 {
		s := make([]float64, n)
		for p := range s {
			s[p] = math.Pow(reach[p], e[0]) * math.Pow(before[p], e[1]) * math.Pow(behind[p], -e[2])
			s[p] = math.Max(1/maxScale, math.Min(maxScale, s[p]))
			s[p] = math.Max(s[p], b.v.least[b.vars[p]])
		}
		return s
	}
	start := b.cost(ones(n))
	var best [3]float64
	least := start
	for step := 0.5; step >= 0.125; step /= 2 {
		for improved := true; improved; {
			improved = false
			for k := range best {
				if k == 1 && len(b.writers) == 0 {
					continue
				}
				for _, d := range []float64{step, -step} {
					e := best
					e[k] += d
					if e[k] < 0 || e[k] > 1 {
						continue
					}
					if c := b.cost(candidate(e)); c < least {
						best, least, improved = e, c, true
					}
				}
			}
		}
	}
	pays := paysPerTensor
	if len(b.writers) == 0 {
		pays = paysPerChannel
	}
	if !(start > least*math.Pow(10, pays/10)) {
		return 0
	}
	for p, s := range candidate(best) {
		b.v.s[b.vars[p]] = s
	}
	return 10 * math.Log10(start/least)
}

// note raises v[place] to x.
func note(v []float64, place int, x float64) {
	if place >= 0 {
		v[place] = math.Max(v[place], x)
	}
}

// normalize1 divides by the largest entry and bounds the others from below;
// channels that are dead are left alone.
func normalize1(v []float64) {
	largest := slices.Max(v)
	for i := range v {
		if largest == 0 || v[i] == 0 {
			v[i] = 1
			continue
		}
		v[i] = math.Max(v[i]/largest, minReach)
	}
}

const (
	minReach = 1.0 / 1024 // bounds s: channels below it are as good as dead
	maxScale = 1 << 10

	// Least gain in dB for which a block is scaled. What is known of ranges is
	// made up; equal ranges leave no channel room for what was not seen. Per-tensor
	// weights gain so much that this matters little; per-channel ones need only
	// the worst activations mended.
	paysPerTensor  = 0.5
	paysPerChannel = 6
)

func ones(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return s
}
