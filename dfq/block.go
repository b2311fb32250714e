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
	places  map[int]int      // by variable: where it stands in vars
	ranges  [][]channelRange // [tensor][channel]
	readers []*reader        // weighted ops that read a tensor of the block
	writers []*tflite.Op     // weighted ops that write one
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
	if p, ok := b.places[b.v.of(t, c)]; ok {
		return p
	}
	return -1
}

// measure gathers what the objective needs from weights and statistics as they
// are now; false if there is nothing to gain.
func (b *block) measure(j *job) bool {
	b.vars, b.places, b.ranges = nil, map[int]int{}, nil
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
			if i := b.v.of(t, c); !b.v.fixed[i] && b.place(t, c) < 0 {
				b.places[i] = len(b.vars)
				b.vars = append(b.vars, i)
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
	b.readers, b.writers = nil, nil
	for op, f := range j.filters() {
		if mine[op.Inputs[f.input]] {
			b.readers = append(b.readers, b.newReader(j, op))
		}
		if mine[op.Outputs[0]] {
			b.writers = append(b.writers, op)
		}
	}
	return len(b.readers) > 0
}

// reader is a weighted op as seen from its input.
type reader struct {
	op    *tflite.Op
	place []int     // by input channel: place, or −1
	power []float64 // by input channel: its errorPower
}

// newReader looks at op, which reads a tensor of the block.
func (b *block) newReader(j *job, op *tflite.Op) *reader {
	in := op.Inputs[spec(op).filter.input]
	channels := channelCount(in)
	r := &reader{op: op, place: make([]int, channels), power: make([]float64, channels)}
	for c, m := range j.stats[in].channels {
		r.power[c] = j.errorPower(m)
		r.place[c] = b.place(in, c)
	}
	return r
}

// errorPower is what an error of 1 in a weight adds to an output, squared, where the
// weight reads values of moments m: their variance, since "correct biases" takes out
// what it adds to the mean; the mean square where nothing does.
func (j *job) errorPower(m moments) float64 {
	if j.opts.NoCorrect {
		return m.variance() + float64(m.mean*m.mean)
	}
	return m.variance()
}

// placeScale is the scale that a place has among s.
func placeScale(s []float64, place int) float64 {
	if place < 0 {
		return 1
	}
	return s[place]
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
			raise(reach, c.place, c.hi-c.lo)
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

// raise raises v[place] to x.
func raise(v []float64, place int, x float64) {
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

const minReach = 1.0 / 1024 // bounds s: channels below it are as good as dead

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }
