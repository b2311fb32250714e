package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// fillRanges scales up the channels that leave most of their tensor's int8 range
// unused: equalization for weights with a scale per channel, which follow any
// channel's range by themselves, where it is the activations that gain. It is as
// exact in float as equalize, whose variables, ties and bounds it shares.
//
// A channel keeps headroom below the ends of its tensor's room, which stays what it was,
// and none is scaled down: no value is clipped that was not, nor gets a larger step.
// Only behind SiLU the lower end may move, see smallEnd.
func fillRanges(j *job) error {
	v := newChannelScales(j)
	v.boundByCaps(j)
	blocks, room := v.blocks(j), j.channelRooms()
	for _, b := range blocks {
		for _, t := range b.tensors {
			j.stats[t].kept = room[t]
		}
	}
	for range sweeps {
		importance := importances(j)
		for _, b := range blocks {
			if !b.measure(j) || b.onGrid() {
				continue
			}
			gain := newFilling(j, b, importance).solve()
			for k, t := range b.tensors {
				for c := range importance[t] {
					s := v.s[v.of(t, c)] // 1 without a gain
					importance[t][c] *= s * s
					if b.parted {
						kept := j.stats[t].kept
						kept.Lo = math.Min(kept.Lo, b.ranges[k][c].lo/s)
					}
				}
			}
			v.take(j, b, gain)
		}
	}
	j.reportScaled(blocks)
	return nil
}

// channelRooms are the usual ranges of tensors, or where it is larger that of the tensor that
// holds their values among others' at one scale, as CONCATENATION makes it. They are found
// before channels are scaled: behind that a usual range could shrink, and close their
// headroom, since where most samples reach as far, the few that reach further pass for
// outliers.
func (j *job) channelRooms() map[*tflite.Tensor]*Range {
	room, uses := map[*tflite.Tensor]*Range{}, j.graph.Uses()
	for t, s := range j.stats {
		r := s.usual()
		room[t] = &r
	}
	for _, op := range slices.Backward(j.graph.Ops) { // readers before what they read
		if j.float[op] != "" || j.scaleRule(op).kind != sameScale || len(op.Outputs) == 0 {
			continue
		}
		out := room[op.Outputs[0]]
		for _, t := range op.Inputs {
			if in := room[t]; in != nil && out != nil && len(uses[t]) == 1 {
				*in = in.hull(*out)
			}
		}
	}
	return room
}

// headroom is how much more than it was seen to have a channel that is scaled up
// gets at least. How far the widest channels of a tensor reach is known from many,
// how far a single one does is not: measured on photographs, channels that fill a
// range to the brim lose more by clipping than they gain.
const headroom = 1.5

// smallEnd is the share of a range, as a divisor, that may lie below 0 behind SiLU. It goes
// down to -0.28 in every channel, whatever it goes up to, and would leave none to scale.
const smallEnd = 8

// fillPays is the least gain in dB for which a block is scaled.
const fillPays = 0.5

// filling is the objective for one block.
type filling struct {
	b       *block
	least   []float64   // by place: lower bound of s
	weight  [][]float64 // [tensor][channel]: what noise of variance 1 costs; values of 0 have none
	readers []perChannelReader
}

// perChannelReader is a reader with a step for each row of its weights.
type perChannelReader struct {
	*reader
	largest [][]float32 // [row][input channel]: largest |w| over taps; nil for depthwise
	weight  []float64   // by row: what noise of variance 1 in each of its weights costs
}

func newFilling(j *job, b *block, importance map[*tflite.Tensor][]float64) *filling {
	f := &filling{b: b, least: make([]float64, len(b.vars))}
	for p, i := range b.vars {
		f.least[p] = b.v.least[i]
	}
	of := func(t *tflite.Tensor) []float64 {
		if e := importance[t]; e != nil {
			return e
		}
		return make([]float64, channelCount(t)) // no output shows it
	}
	for k, t := range b.tensors {
		usual := j.stats[t].usual()
		if b.parted {
			usual.Lo = math.Min(usual.Lo, -usual.Hi/smallEnd)
		}
		weight := j.stats[t].share(func(x float64) bool { return x != 0 })
		for c, r := range b.ranges[k] {
			weight[c] *= of(t)[c]
			raise(f.least, r.place, r.withHeadroom(usual))
		}
		f.weight = append(f.weight, weight)
	}
	f.readers = make([]perChannelReader, len(b.readers))
	for k, r := range b.readers {
		rows := j.importanceBefore(r.op, of(r.op.Outputs[0]))
		taps := r.op.Inputs[spec(r.op).filter.weights].Len() / len(rows) / len(r.place)
		for o := range rows {
			rows[o] *= float64(max(1, taps))
		}
		f.readers[k] = perChannelReader{reader: r, weight: rows}
	}
	eachInParallel(len(f.readers), 0, func(k int) { f.readers[k].largest = f.readers[k].largestOfRows() })
	return f
}

// largestOfRows are the largest magnitudes of the weights; nil for a depthwise filter.
func (r *reader) largestOfRows() [][]float32 {
	f := spec(r.op).filter
	if f.in < 0 {
		return nil
	}
	w := r.op.Inputs[f.weights]
	rows, values := make([][]float32, w.Shape[f.out]), w.Floats()
	for o := range rows {
		rows[o] = make([]float32, len(r.place))
	}
	for i, at := range eachWeight(r.op, f) {
		rows[at.out][at.in] = max(rows[at.out][at.in], float32(math.Abs(float64(values[i]))))
	}
	return rows
}

// withHeadroom is the least scale that keeps headroom between a channel and the ends of its
// tensor's usual range; 1 where it has none to give.
func (c channelRange) withHeadroom(usual Range) float64 {
	filled := 0.0
	if usual.Lo < 0 {
		filled = c.lo / usual.Lo
	}
	if usual.Hi > 0 {
		filled = math.Max(filled, c.hi/usual.Hi)
	}
	return math.Min(1, headroom*filled)
}

// cost is the noise expected at the model's outputs for scales s:
//
//	Σ_t Δ_t²/12 · Σ_c s_c²·e_c  +  Σ_r Σ_o δ_ro²/12 · e_o · Σ_c V_c/s_c²
//
// Δ_t is the step of tensor t at its scaled range, e the importance of channels;
// δ_ro is the step of row o of a reader's weights at its scaled range, V the
// input's errorPower. The rows of a depthwise filter, and of the filters that write
// the block, have steps that are scaled along.
func (f *filling) cost(s []float64) float64 {
	total := 0.0
	for k, ranges := range f.b.ranges {
		lo, hi, gain := 0.0, 0.0, 0.0
		for c, r := range ranges {
			x := placeScale(s, r.place)
			lo, hi = math.Min(lo, r.lo/x), math.Max(hi, r.hi/x)
			gain += float64(x * x * f.weight[k][c])
		}
		step := f.b.grid.Step(lo, hi)
		total += float64(step * step / 12 * gain)
	}
	for _, r := range f.readers {
		if r.largest == nil {
			continue
		}
		power, scale := 0.0, make([]float64, len(r.place))
		for c, p := range r.place {
			scale[c] = placeScale(s, p)
			power += r.power[c] / (scale[c] * scale[c])
		}
		for o, row := range r.largest {
			largest := 0.0
			for c, x := range row {
				largest = max(largest, float64(x)*scale[c])
			}
			step := largest / affine.QMaxWeight
			total += float64(step * step / 12 * r.weight[o] * power)
		}
	}
	return total
}

// solve looks for s = R^α of least cost, R the channels' ranges. It sets the
// block's scales and returns the gain in dB, 0 if it leaves things as they are.
func (f *filling) solve() float64 {
	n, reach := len(f.b.vars), f.b.reach()
	start := f.cost(ones(n))
	least, best := start, ones(n)
	for k := 1; k <= 8; k++ { // α in eighths
		s := make([]float64, n)
		for p := range s {
			s[p] = math.Min(1, math.Max(eighths(reach[p], k), f.least[p]))
		}
		if c := f.cost(s); c < least {
			least, best = c, s
		}
	}
	return f.b.settle(best, start, least, fillPays)
}

// onGrid reports whether a filter that reads the block has weights that lie on an
// int8 grid per channel already, as in a model that was quantized before: scaled,
// they would be rounded a second time.
func (b *block) onGrid() bool {
	for _, r := range b.readers {
		f := spec(r.op).filter
		if f == depthwise {
			continue
		}
		w := r.op.Inputs[f.weights]
		values := w.Floats()
		off, inner := 0.0, 0.0
		scales := weightScales(values, layoutOf(w, f.out), false)
		for i, at := range eachWeight(r.op, f) {
			q := float64(values[i]) / float64(scales[at.out])
			if math.Abs(q) < 126.5 && math.Abs(q) > 0.5 {
				inner++
				off += math.Abs(q - math.Round(q))
			}
		}
		if inner > 0 && off/inner < nearGrid { // 0.25 where they lie anywhere
			return true
		}
	}
	return false
}

const nearGrid = 0.02
