package dfq

import (
	"slices"

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
// an objective weighs activation noise against weight noise, see equalizing.cost.
func equalize(j *job) error {
	v := newChannelScales(j)
	v.boundByCaps(j)
	blocks := v.blocks(j)
	for range sweeps {
		for _, b := range blocks {
			if b.measure(j) {
				v.take(j, b, newEqualizing(j, b).solve())
			}
		}
	}
	j.reportScaled(blocks)
	return nil
}

// take applies the scales that a block was found to gain by; 0: none.
func (v *channelScales) take(j *job, b *block, gain float64) {
	if gain > 0 {
		v.apply(j, b)
		b.gain += gain
	}
}

func (j *job) reportScaled(blocks []*block) {
	for _, b := range blocks {
		if b.gain > 0 {
			j.report.Equalized = append(j.report.Equalized, EqualizedBlock{Tensors: b.names(), GainDB: b.gain})
		}
	}
}

// sweeps over all blocks: a block's best scales depend on its neighbours'.
const sweeps = 2

// apply writes the scales of one block into weights, biases and constants,
// follows them in the statistics and bounds, and sets them back to 1.
func (v *channelScales) apply(j *job, b *block) {
	var work []func() // each on values of its own
	mine := map[*tflite.Tensor]bool{}
	for _, t := range b.tensors {
		mine[t] = true
		s, by := j.stats[t], v.scales(t)
		work = append(work, func() {
			s.change(func(c int, m moments) moments { return m.scaled(1 / by[c]) })
			s.seen.apply(len(s.channels), func(c int, x float64) float64 { return x / by[c] })
			divide(s.rows, by)
		})
	}
	for _, op := range j.graph.Ops { // none that stays float: all that it reads and writes is fixed
		s := spec(op)
		f := s.filter
		switch {
		case f != nil && (mine[op.Inputs[f.input]] || mine[op.Outputs[0]]):
			in, out := v.scales(op.Inputs[f.input]), v.scales(op.Outputs[0])
			work = append(work, func() {
				applyFilter(op, f, in, out)
				divide(j.patches[op], in)
			})
		case s.sum && mine[op.Outputs[0]]:
			for _, t := range op.Inputs {
				if t.Constant() {
					w := t.Floats()
					divide(w, v.scales(op.Outputs[0]))
					t.SetFloats(w)
				}
			}
		}
	}
	eachInParallel(len(work), 0, func(i int) { work[i]() })
	for _, i := range b.vars {
		v.least[i] /= v.s[i]
		v.s[i] = 1
	}
}

// divide divides v, whose last axis is that of channels, by a divisor each.
func divide(v []float32, by []float64) {
	if !slices.ContainsFunc(by, func(s float64) bool { return s != 1 }) {
		return
	}
	for len(v) > 0 {
		for c, s := range by {
			v[c] = float32(float64(v[c]) / s)
		}
		v = v[len(by):]
	}
}

func (m moments) scaled(by float64) moments {
	m.lo, m.hi, m.mean, m.square = m.lo*by, m.hi*by, m.mean*by, m.square*by*by
	return m
}

// applyFilter multiplies a filter's input channels and divides its output channels.
func applyFilter(op *tflite.Op, f *filter, in, out []float64) {
	w := op.Inputs[f.weights]
	values := w.Floats()
	for i, at := range eachWeight(op, f) {
		values[i] = float32(float64(values[i]) * (in[at.in] / out[at.out]))
	}
	w.SetFloats(values)
	bias := op.Inputs[f.bias]
	b := bias.Floats()
	divide(b, out)
	bias.SetFloats(b)
}
