package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// block is a set of tensors whose channels are tied together and must be solved
// for at once.
type block struct {
	v       *channelScales
	tensors []*tflite.Tensor
	gain    float64 // so far, in dB
	grid    affine.Grid

	perTensor  bool                         // one scale for all of a weight tensor
	importance map[*tflite.Tensor][]float64 // see importances

	vars    []int            // free variables
	index   map[int]int      // variable → place in vars
	least   []float64        // by place: lower bound of s
	ranges  [][]channelRange // [tensor][channel]
	readers []*reader        // weighted ops that read a tensor of the block
	writers []*writer        // weighted ops that write one
}

type channelRange struct {
	place  int // in vars, or −1 for a fixed channel
	lo, hi float64
	weight float64 // what noise of variance 1 costs; values of 0 have none
}

// reader is a weighted op as seen from its input.
type reader struct {
	place    []int       // by input channel: place, or −1
	variance []float64   // by input channel: of the input; its mean is corrected in the bias
	largest  [][]float32 // [output][input channel]: largest |w| over taps; depthwise: one row
	weight   []float64   // by row of largest: what noise of variance 1 in each tap's weight costs
	spread   []float64   // depthwise: by channel, likewise
}

// writer is a weighted op as seen from its output: rows that are scaled down lose
// precision where all share one scale.
type writer struct {
	place   []int     // by output channel
	largest []float64 // by output channel: largest |w|
	weight  []float64 // by output channel: what noise of variance 1 costs, before the activation
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
	b.index, b.vars, b.least, b.ranges, b.readers, b.writers = map[int]int{}, nil, nil, nil, nil, nil
	b.grid, b.perTensor = j.grid(), j.opts.PerTensor
	mine := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		mine[t] = true
		moves := j.stats[t].share(func(x float64) bool { return x != 0 })
		lo, hi := j.stats[t].usual()
		var r []channelRange
		for c, m := range j.stats[t].channels {
			if i := b.v.of(t, c); !b.v.fixed[i] {
				if _, ok := b.index[i]; !ok {
					b.index[i] = len(b.vars)
					b.vars = append(b.vars, i)
					b.least = append(b.least, b.v.least[i])
				}
			}
			channel := channelRange{b.place(t, c), math.Min(m.lo, 0), math.Max(m.hi, 0), moves[c] * b.importanceOf(t)[c]}
			note(b.least, channel.place, channel.leastScale(lo, hi))
			r = append(r, channel)
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
		if mine[op.Outputs[0]] {
			b.writers = append(b.writers, b.newWriter(j, op, f))
		}
	}
	return len(b.readers) > 0
}

// leastScale keeps a channel that is scaled up headroom below the ends of its
// tensor's usual range.
func (c channelRange) leastScale(lo, hi float64) float64 {
	filled := 0.0
	if lo < 0 {
		filled = c.lo / lo
	}
	if hi > 0 {
		filled = math.Max(filled, c.hi/hi)
	}
	return math.Min(1, headroom*filled)
}

// headroom is how much more than it was seen to have a channel gets at least. How
// far the widest channels of a tensor reach is known from many, how far a single
// one is not: measured on photographs, channels that fill a range to the brim
// lose more by what is clipped than they gain.
const headroom = 1.5

// importanceOf is that of t's channels; 0 where no output shows them.
func (b *block) importanceOf(t *tflite.Tensor) []float64 {
	if e := b.importance[t]; e != nil {
		return e
	}
	return make([]float64, channelCount(t))
}

func (b *block) newReader(j *job, op *tflite.Op, f *filter) *reader {
	in, w := op.Inputs[f.input], op.Inputs[f.weights]
	channels := channelCount(in)
	r := &reader{place: make([]int, channels), variance: make([]float64, channels)}
	for c, m := range j.stats[in].channels {
		r.variance[c] = m.variance()
		r.place[c] = b.place(in, c)
	}
	lay := layoutOf(w, f.out)
	importance := j.importanceBefore(op, b.importanceOf(op.Outputs[0]))
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
		if f.in < 0 {
			r.spread[c] += importance[o]
			r.largest[0][c] = max(r.largest[0][c], float32(math.Abs(float64(x))))
			continue
		}
		if c == 0 {
			r.weight[o] += importance[o] // one for each tap
		}
		r.largest[o][c] = max(r.largest[o][c], float32(math.Abs(float64(x))))
	}
	return r
}

func (b *block) newWriter(j *job, op *tflite.Op, f *filter) *writer {
	in, out, w := op.Inputs[f.input], op.Outputs[0], op.Inputs[f.weights]
	lay := layoutOf(w, f.out)
	wr := &writer{place: make([]int, lay.channels), largest: channelMax(w.Floats(), lay)}
	wr.weight = j.importanceBefore(op, b.importanceOf(out))
	for o := range wr.place {
		wr.place[o] = b.place(out, o)
	}
	for i := range w.Len() {
		m := j.stats[in].channels[inputChannel(op, f, i)]
		wr.input += m.variance() / float64(lay.channels)
	}
	return wr
}

// cost is the noise expected at the model's outputs, relative to their variance,
// for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·e_c  +  δ_r²/12 · Σ_o e_o · Σ_c V_c/s_c²  +  δ_w²/12 · U · Σ_c s_c²·e_c
//
// Δ_t is the step of tensor t at its scaled range, e the importance of channels;
// δ_r is the step of a reader's weights at their scaled range, of each row by
// itself or of all, V the input's variance (its mean is corrected in the bias);
// δ_w is the step of the weights that write the block, U their input's variance:
// with a scale for each row it is scaled along, and costs what it did.
func (b *block) cost(s []float64) float64 {
	total := 0.0
	for _, ranges := range b.ranges {
		lo, hi, gain := 0.0, 0.0, 0.0
		for _, c := range ranges {
			x := at(s, c.place)
			lo, hi = math.Min(lo, c.lo/x), math.Max(hi, c.hi/x)
			gain += x * x * c.weight
		}
		step := b.grid.Step(lo, hi)
		total += step * step / 12 * gain
	}
	for _, w := range b.writers {
		total += w.weightNoise(s, b.perTensor)
	}
	for _, r := range b.readers {
		total += r.weightNoise(s, b.perTensor)
	}
	return total
}

func at(s []float64, place int) float64 {
	if place < 0 {
		return 1
	}
	return s[place]
}

func (w *writer) weightNoise(s []float64, perTensor bool) float64 {
	largest, gain, rows := 0.0, 0.0, 0.0
	for o, m := range w.largest {
		x := at(s, w.place[o])
		largest = math.Max(largest, m/x)
		gain += x * x * w.weight[o]
		rows += m * m * w.weight[o]
	}
	if !perTensor {
		return rows / (127 * 127) / 12 * w.input
	}
	return largest * largest / (127 * 127) / 12 * w.input * gain
}

func (r *reader) weightNoise(s []float64, perTensor bool) float64 {
	k := make([]float32, len(r.place))
	power, channels := 0.0, 0.0
	for c, p := range r.place {
		x := at(s, p)
		k[c] = float32(x)
		if r.spread != nil {
			power += r.variance[c] / (x * x) * r.spread[c]
			m := float64(r.largest[0][c])
			channels += m * m * r.variance[c] * r.spread[c]
		} else {
			power += r.variance[c] / (x * x)
		}
	}
	all, weights, rows := float32(0), 0.0, 0.0
	for o, row := range r.largest {
		largest := float32(0)
		for c, x := range row {
			largest = max(largest, x*k[c])
		}
		all = max(all, largest)
		weights += r.weight[o]
		rows += r.weight[o] * float64(largest) * float64(largest)
	}
	noise := float64(all) * float64(all) * weights * power
	switch {
	case perTensor && r.spread != nil:
		noise = float64(all) * float64(all) * power
	case r.spread != nil:
		noise = channels // each channel has its own scale, which is scaled along
	case !perTensor:
		noise = rows * power
	}
	return noise / (127 * 127) / 12
}

// solve looks for s = R^α · r₁^β · r₂^−γ of least cost: R the channels' ranges
// (α = 1 gives all one range, best for the activation), r₁ and r₂ those of the
// weights before and behind (β = γ = ½ is the paper's equation 11; with a scale
// for each row of weights they do not matter). It sets the block's scales and returns the gain in dB, 0 if it leaves things as they are.
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
	relative(reach)
	relative(before)
	relative(behind)
	candidate := func(e [3]float64) []float64 {
		s := make([]float64, n)
		for p := range s {
			s[p] = math.Pow(reach[p], e[0]) * math.Pow(before[p], e[1]) * math.Pow(behind[p], -e[2])
			s[p] = math.Max(1/maxScale, math.Min(maxScale, s[p]))
			s[p] = math.Max(s[p], b.least[p])
		}
		return s
	}
	start := b.cost(ones(n))
	var best [3]float64
	exponents := 1
	if b.perTensor {
		exponents = 3
	}
	least := start
	for step := 0.5; step >= 0.125; step /= 2 {
		for improved := true; improved; {
			improved = false
			for k := range exponents {
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

// relative divides by the largest entry and bounds the others from below;
// channels that are dead are left alone.
func relative(v []float64) {
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

	// pays is the least gain in dB for which a block is scaled: what it gains less
	// is not known so well.
	pays = 0.5
)

func ones(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return s
}
