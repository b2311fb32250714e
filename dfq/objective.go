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
	parted  bool    // a tensor of it has a gate that was parted from it
	grid    affine.Grid

	vars    []int            // free variables
	ranges  [][]channelRange // [tensor][channel]
	readers []*reader        // weighted ops that read a tensor of the block
	writers []*writer        // weighted ops that write one
}

type channelRange struct {
	place  int // in vars, or −1 for a fixed channel
	lo, hi float64
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
	return b.v.index[b.v.of(t, c)] - 1
}

// measure gathers what the objective needs from weights and statistics as they
// are now; false if there is nothing to gain.
func (b *block) measure(j *job) bool {
	clear(b.v.index)
	b.vars, b.ranges = nil, nil
	b.grid = j.grid()
	mine := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		mine[t] = true
		var partScale []float32 // by which t is multiplied for its gate
		if op := j.parted[t]; op != nil {
			b.parted, partScale = true, op.Inputs[depthwise.weights].Floats()
		}
		var r []channelRange
		for c, m := range j.stats[t].channels {
			if i := b.v.of(t, c); !b.v.fixed[i] && b.v.index[i] == 0 {
				b.vars = append(b.vars, i)
				b.v.index[i] = len(b.vars)
			}
			lo := min(m.lo, 0)
			if partScale != nil {
				lo = max(lo, siluEnd/float64(partScale[c]))
			}
			r = append(r, channelRange{b.place(t, c), lo, max(m.hi, 0)})
		}
		b.ranges = append(b.ranges, r)
	}
	if len(b.vars) < 2 {
		return false
	}
	var readers, writers []*tflite.Op
	for op, f := range j.filters() {
		if mine[op.Inputs[f.input]] {
			readers = append(readers, op)
		}
		if j.opts.PerTensor && mine[op.Outputs[0]] { // rows with steps of their own are scaled along
			writers = append(writers, op)
		}
	}
	b.readers, b.writers = make([]*reader, len(readers)), make([]*writer, len(writers))
	eachInParallel(len(readers)+len(writers), 0, func(i int) {
		if i < len(readers) {
			b.readers[i] = b.newReader(j, readers[i])
		} else {
			i -= len(readers)
			b.writers[i] = b.newWriter(j, writers[i])
		}
	})
	return len(b.readers) > 0
}

// cost is the expected noise at all readers' outputs, relative to their
// variances, for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·g_c  +  k·(δ_r²/12 · Σ_o 1/v_o · Σ_c V_c/s_c²  +  δ_w²/12 · U · Σ_c s_c²·g_c)
//
// Δ_t is the step of tensor t at its scaled range, g the readers' gains; δ_r is
// the step of a reader's weights at their scaled range, V the input's errorPower,
// v the outputs' variance; δ_w is the step of the weights that write the block, U
// their input's errorPower; k is sameEverywhere.
func (b *block) cost(s []float64) float64 {
	gain := 0.0
	for _, r := range b.readers {
		for p, g := range r.gain[:len(s)] {
			gain += float64(g * s[p] * s[p])
		}
		gain += r.gain[len(s)]
	}
	activations, weights := 0.0, 0.0
	for _, ranges := range b.ranges {
		lo, hi := 0.0, 0.0
		for _, c := range ranges {
			k := 1 / at(s, c.place)
			lo, hi = min(lo, c.lo*k), max(hi, c.hi*k)
		}
		step := b.grid.Step(lo, hi)
		activations += float64(step * step / 12 * gain)
	}
	for _, w := range b.writers {
		largest := 0.0
		for o, m := range w.largest {
			largest = max(largest, m/at(s, w.place[o]))
		}
		step := largest / affine.QMaxWeight
		weights += float64(step * step / 12 * w.input * gain)
	}
	for _, r := range b.readers {
		weights += r.weightNoise(s)
	}
	return activations + float64(sameEverywhere*weights)
}

// sameEverywhere is by how much more noise in weights counts than noise in
// activations. Values of an activation are rounded apart at every position, and the
// layers behind average much of that away, pools over whole images all but 1/49 of it at
// 7 × 7. An error in a weight is the same at every position, and what it adds to the
// output goes with the input, which is alike all over an object.
const sameEverywhere = 16

func at(s []float64, place int) float64 {
	if place < 0 {
		return 1
	}
	return s[place]
}

// solve looks for s = R^α · r₁^β · r₂^−γ of least cost: R the channels' ranges
// (α = 1 gives all one range, best for the activation), r₁ and r₂ those of the
// weights before and behind (β = γ = ½ is the paper's equation 11). It sets the
// block's scales and returns the gain in dB, 0 if it leaves things as they are.
func (b *block) solve() float64 {
	n := len(b.vars)
	reach, before, behind := b.reach(), make([]float64, n), make([]float64, n)
	for _, w := range b.writers {
		for o, m := range w.largest {
			note(before, w.place[o], m)
		}
	}
	for _, r := range b.readers {
		for c, m := range r.behind {
			note(behind, r.place[c], float64(m))
		}
	}
	relative(before)
	relative(behind)
	r, r1, r2 := powersOf(reach), powersOf(before), powersOf(behind)
	candidate := func(e [3]int) []float64 {
		s := make([]float64, n)
		r, r1, r2 := r(e[0]), r1(e[1]), r2(e[2])
		for p := range s {
			s[p] = r[p] * r1[p] / r2[p]
			s[p] = max(1.0/maxScale, min(maxScale, s[p]))
			s[p] = max(s[p], b.v.least[b.vars[p]])
		}
		return s
	}
	start := b.cost(ones(n))
	var best [3]int // α, β and γ in eighths
	least := start
	for step := 4; step >= 1; step /= 2 {
		for improved := true; improved; {
			improved = false
			for k := range best {
				for _, d := range []int{step, -step} {
					e := best
					e[k] += d
					if e[k] < 0 || e[k] > 8 {
						continue
					}
					if c := b.cost(candidate(e)); c < least {
						best, least, improved = e, c, true
					}
				}
			}
		}
	}
	return b.settle(candidate(best), start, least, 0)
}

// settle sets the block's scales to s if they pay, for which the cost falls from start to
// least: by more than bar in dB, or than partPays where that keeps an op in the model. It
// returns the gain in dB, 0 if it leaves things as they are.
func (b *block) settle(s []float64, start, least, bar float64) float64 {
	if b.parted {
		bar = math.Max(bar, partPays)
	}
	gain := 10 * math.Log10(start/least)
	if !(gain > bar) { // NaN: nothing costs anything
		return 0
	}
	for p, x := range s {
		b.v.s[b.vars[p]] = x
	}
	return gain
}

// reach is how wide the channels of each variable are, relative to the widest.
func (b *block) reach() []float64 {
	reach := make([]float64, len(b.vars))
	for _, ranges := range b.ranges {
		for _, c := range ranges {
			note(reach, c.place, c.hi-c.lo)
		}
	}
	relative(reach)
	return reach
}

// partPays is a tenth of the noise. Each parted gate costs time, 3 in yolox_nano a quarter of
// it on a CPU, and few are what counts: with 22, those that gain 3 dB, it comes 0.8 dB closer
// to float still, for 70 % more time.
const partPays = 10.0

// powersOf returns v^(k/8), which it works out once for each k.
func powersOf(v []float64) func(k int) []float64 {
	var known [9][]float64
	return func(k int) []float64 {
		if known[k] == nil {
			known[k] = make([]float64, len(v))
			for p, x := range v {
				known[k][p] = eighths(x, k)
			}
		}
		return known[k]
	}
}

// eighths is x^(k/8), for k up to 8. Roots are rounded alike on every machine; what
// math.Pow makes is not, since it takes exponentials from the machine.
func eighths(x float64, k int) float64 {
	if k == 8 {
		return x
	}
	y := 1.0
	for bit := 4; bit > 0; bit /= 2 {
		if x = math.Sqrt(x); k&bit != 0 {
			y *= x
		}
	}
	return y
}

// note raises v[place] to x.
func note(v []float64, place int, x float64) {
	if place >= 0 {
		v[place] = max(v[place], x)
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
		v[i] = max(v[i]/largest, minReach)
	}
}

const (
	minReach = 1.0 / 1024 // bounds s: channels below it are as good as dead
	maxScale = 1 << 10
)

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }
