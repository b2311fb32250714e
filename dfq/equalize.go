package dfq

import (
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
// an objective weighs activation noise against weight noise, see block.cost.
func equalize(j *job) error {
	v := newChannelScales(j)
	v.boundByCaps(j)
	blocks := v.blocks(j)
	for range sweeps {
		for _, b := range blocks {
			if b.measure(j) {
				v.take(j, b, b.solve())
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
		s.seen.apply(len(s.channels), func(c int, x float64) float64 { return x / scale(t, c) })
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
	of := func(t *tflite.Tensor) []float64 {
		scales := make([]float64, channelCount(t))
		for c := range scales {
			scales[c] = scale(t, c)
		}
		return scales
	}
	in, out := of(op.Inputs[f.input]), of(op.Outputs[0])
	values, lay := w.Floats(), layoutOf(w, f.out)
	for i := range values {
		s := in[inputChannel(op, f, i)] / out[lay.channel(i)]
		values[i] = float32(float64(values[i]) * s)
	}
	w.SetFloats(values)
	bias := op.Inputs[f.bias]
	b := bias.Floats()
	for c := range b {
		b[c] = float32(float64(b[c]) / out[c])
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
