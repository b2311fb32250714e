package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// doubleChannels puts copies of a tensor's noisiest channels into its dead ones, which
// int8 models compute all the same. A filter that reads w·x reads w/m of each of m equal
// channels. In float the answer is the same. In int8 they are rounded a part of a step
// apart, see copyOffsets, and the noise of their mean is that of one over m².
//
// It is the outlier channel splitting of Zhao et al. (ICML 2019) without the channels
// that adds.
//
// A channel is doubled along a chain of filters: the convolution that writes it, the
// depthwise ones that it passes, up to the convolution that sums channels again.
func doubleChannels(j *job) error {
	importance, few, uses := importances(j), j.tooFewToKnow(), j.graph.Uses()
	j.copies = map[*tflite.Op][][]int{}
	for _, op := range j.graph.Ops {
		c := j.chainFrom(op, uses)
		if c == nil || few[c.last()] || importance[c.last()] == nil {
			continue
		}
		dead := c.dead(j)
		if len(dead) == 0 {
			continue
		}
		sources, gain := noisiest(c.noise(j, importance, dead), len(dead))
		if !(gain >= doublingPays) {
			continue
		}
		c.double(j, dead, sources)
		j.report.Doubled = append(j.report.Doubled, DoubledChannels{Tensor: c.last().Name, Channels: sources, GainDB: gain})
	}
	return nil
}

// doublingPays is the least gain in dB for which a chain's channels are doubled.
const doublingPays = 0.5

// chain is a convolution, what its output's channels pass one by one, and the
// convolution that reads them.
type chain struct {
	filters []*tflite.Op       // the first reads all channels of its input, others are depthwise
	tensors [][]*tflite.Tensor // by filter: its output, and that with padding
	reader  *tflite.Op
}

// chainFrom returns the chain that op begins, nil if it begins none.
func (j *job) chainFrom(op *tflite.Op, uses map[*tflite.Tensor][]tflite.Use) *chain {
	if !j.mixes(op) || j.stats[op.Inputs[spec(op).filter.input]] == nil {
		return nil
	}
	c := &chain{filters: []*tflite.Op{op}}
	t := op.Outputs[0]
	tensors := []*tflite.Tensor{t}
	for {
		if len(uses[t]) != 1 || slices.Contains(j.graph.Outputs, t) || j.stats[t] == nil {
			return nil
		}
		next := uses[t][0].Op
		f := spec(next).filter
		switch {
		case j.float[next] != "":
			return nil
		case next.Code == schema.BuiltinOperatorPAD && channelCount(next.Outputs[0]) == channelCount(t):
			t = next.Outputs[0]
			tensors = append(tensors, t)
		case f == depthwise && uses[t][0].Input == f.input && channelCount(next.Outputs[0]) == channelCount(t) && commutes(next):
			c.filters, c.tensors = append(c.filters, next), append(c.tensors, tensors)
			t = next.Outputs[0]
			tensors = []*tflite.Tensor{t}
		case f != nil && uses[t][0].Input == f.input && j.mixes(next) && next.Inputs[f.weights].Shape[f.in]%channelCount(t) == 0:
			c.tensors, c.reader = append(c.tensors, tensors), next
			return c
		default:
			return nil
		}
	}
}

// mixes reports whether every output channel of op is a sum over all input channels,
// and those of its output may be scaled.
func (j *job) mixes(op *tflite.Op) bool {
	f := spec(op).filter
	return f != nil && f.in >= 0 && f != transposeConv && j.float[op] == "" && !grouped(op) && commutes(op)
}

// last is the tensor that the chain's reader reads.
func (c *chain) last() *tflite.Tensor {
	tensors := c.tensors[len(c.tensors)-1]
	return tensors[len(tensors)-1]
}

// deadChannel is a channel that carries nothing: value is all it ever is.
type deadChannel struct {
	channel int
	value   float64
}

// dead are the channels that stay constant at the end of the chain, for inputs with
// headroom beyond what was seen. Where the reader pads, only zeros are the same at the
// border too.
func (c *chain) dead(j *job) []deadChannel {
	op := c.filters[len(c.filters)-1]
	f := spec(op).filter
	bias := op.Inputs[f.bias].Floats()
	_, padded := windowOf(c.reader)
	padded = padded || len(c.tensors[len(c.tensors)-1]) > 1
	lo, hi := tflite.Clamp(op.Activation())
	var out []deadChannel
	all, _ := j.dead(op, f, headroom)
	for o, isDead := range all {
		value := math.Min(hi, math.Max(lo, float64(bias[o])))
		if isDead && (value == 0 || !padded) {
			out = append(out, deadChannel{o, value})
		}
	}
	return out
}

// noise is what rounding each channel, at all stages of the chain, costs the outputs;
// nothing for the dead.
func (c *chain) noise(j *job, importance map[*tflite.Tensor][]float64, dead []deadChannel) []float64 {
	noise := make([]float64, channelCount(c.last()))
	for _, op := range c.filters {
		t := op.Outputs[0]
		step := j.usualStep(t)
		for ch, share := range j.stats[t].share(func(x float64) bool { return x != 0 }) {
			noise[ch] += float64(share * step * step * importance[t][ch])
		}
	}
	for _, s := range dead {
		noise[s.channel] = 0
	}
	return noise
}

// noisiest returns the channels to copy into n dead ones, one for each while it pays, and
// the gain in dB: m equal channels have the noise of one over m².
func noisiest(noise []float64, n int) (sources []int, gain float64) {
	start := 0.0
	for _, e := range noise {
		start += e
	}
	left, times := start, ones(len(noise))
	for range n {
		best, most := 0, 0.0
		for c, e := range noise {
			m := times[c]
			if less := e/(m*m) - e/((m+1)*(m+1)); less > most {
				best, most = c, less
			}
		}
		if most == 0 || most < leastShare*start {
			break
		}
		left -= most
		times[best]++
		sources = append(sources, best)
	}
	return sources, 10 * math.Log10(start/left)
}

// leastShare of a chain's noise is what a copy must take away.
const leastShare = 0.005

// double puts copies of the sources into the first of the dead.
func (c *chain) double(j *job, dead []deadChannel, sources []int) {
	dead = dead[:len(sources)]
	c.silence(dead)
	copies := make([][]int, channelCount(c.last()))
	for from := range copies {
		copies[from] = []int{from}
	}
	for i, from := range sources {
		to := dead[i].channel
		copies[from], copies[to] = append(copies[from], to), nil
		for k, op := range c.filters {
			f := spec(op).filter
			copyWeights(op.Inputs[f.weights], f.out, len(copies), from, to)
			copyWeights(op.Inputs[f.bias], 0, len(copies), from, to)
			for _, t := range c.tensors[k] {
				j.stats[t].copyChannel(from, to)
			}
			copyChannel(j.patches[c.readerOf(k)], layout{len(copies), 1}, len(copies), from, to)
		}
	}
	for _, op := range c.filters {
		j.copies[op] = copies
	}
	c.shareWeights(j, copies)
}

// shareWeights shares a channel's weights in the reader among its copies.
//
// Equal shares would be rounded alike, and their errors would add up. So all but the
// last are whole numbers of steps, and what rounding the last one errs is all.
func (c *chain) shareWeights(j *job, copies [][]int) {
	f := spec(c.reader).filter
	w := c.reader.Inputs[f.weights]
	values, out, in := w.Floats(), layoutOf(w, f.out), layoutOf(w, f.in)
	whole := slices.Clone(values)
	share := func(take func(i int, x float64) float64) {
		for i, x := range whole {
			from := in.channel(i) % len(copies)
			left := float64(x)
			for n, to := range copies[from] {
				part := left / float64(len(copies[from])-n)
				if n+1 < len(copies[from]) {
					part = take(i, part)
				}
				values[i+(to-from)*in.inner] = float32(part)
				left -= part
			}
		}
	}
	share(func(_ int, x float64) float64 { return x })
	scales := weightScales(values, out, j.scalesPerTensor(c.reader))
	share(func(i int, x float64) float64 {
		step := float64(scaleAt(scales, out.channel(i)))
		return float64(step * math.Round(x/step)) // rounded before it is subtracted
	})
	w.SetFloats(values)
}

// copyOffsets are by what the biases of a filter are raised so that the equal channels of its
// output are rounded apart: of m the n-th, counted from 0, by (n + ½)/m − ½ steps. The
// mean of m values that are so rounded is that of one rounded to steps m times as small
// (Hermite's identity). A 0 of a RELU stays 0 in all of them.
//
// What a depthwise filter reads is apart already, but for zeros. Nil if no channels are
// equal.
func (j *job) copyOffsets(op *tflite.Op) []float64 {
	if j.copies[op] == nil {
		return nil
	}
	f := spec(op).filter
	in, out := op.Inputs[f.input], op.Outputs[0]
	before := make([]float64, channelCount(out)) // what a step of the input makes of the output
	if f == depthwise {
		step, w := float64(scaleOf(in)), op.Inputs[f.weights].Floats()
		share := j.stats[in].share(func(x float64) bool { return x != 0 })
		for i, at := range eachWeight(op, f) {
			before[at.out] += float64(float64(w[i]) * share[at.in] * step)
		}
	}
	by := make([]float64, len(before))
	for _, equal := range j.copies[op] {
		for n, c := range equal {
			part := (float64(n)+0.5)/float64(len(equal)) - 0.5
			by[c] = part * (float64(scaleOf(out)) - before[c])
		}
	}
	return by
}

// readerOf is the filter that reads what the chain's k-th filter writes.
func (c *chain) readerOf(k int) *tflite.Op {
	if k+1 < len(c.filters) {
		return c.filters[k+1]
	}
	return c.reader
}

// silence takes into the reader's bias what dead channels add to its outputs: none of it
// matters when their channels carry something else.
func (c *chain) silence(dead []deadChannel) {
	value := make([]float64, channelCount(c.last()))
	for _, s := range dead {
		value[s.channel] = s.value
	}
	addToBias(c.reader.Inputs[spec(c.reader).filter.bias], answerTo(c.reader, value), 1)
}

// copyWeights copies one of n channels along an axis of a constant.
func copyWeights(w *tflite.Tensor, axis, n, from, to int) {
	v := w.Floats()
	copyChannel(v, layoutOf(w, axis), n, from, to)
	w.SetFloats(v)
}

// copyChannel is copyWeights of values. A dense layer may read the channels of several
// positions: they repeat along the axis.
func copyChannel(v []float32, lay layout, n, from, to int) {
	for i, x := range v {
		if lay.channel(i)%n == from {
			v[i+(to-from)*lay.inner] = x
		}
	}
}

// copyChannel makes the statistics of a channel those of another.
func (s *tensorStats) copyChannel(from, to int) {
	n := len(s.channels)
	for _, set := range [][]moments{s.channels, s.pre, s.early} {
		if len(set) > 0 {
			set[to] = set[from]
		}
	}
	for _, v := range [][]float32{s.rows, s.seen.lows, s.seen.highs} {
		copyChannel(v, layout{n, 1}, n, from, to)
	}
	s.Range, s.uncut = bounds(s.channels), nil
}
