package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// findFactors finds by what each channel of the activations was divided in the
// INT8 model, which no file says: 1 where nothing was equalized.
//
// They show in the weights, which became W·s_in/s_out, and in nothing else that
// quantization leaves alone. Each filter of the INT8 model, held against the
// float one, tells the factors of its outputs if those of its inputs are known,
// and the other way round. So there are two estimates of each: one carried from
// the inputs on, one back from the outputs. They are joined by how sure they
// are. The variables, and what ties and fixes them, are those of equalization.
//
// A channel whose weights were rounded away on both sides has no factor, which
// is written as 0: nothing is left of it in the INT8 model that could be compared.
// So has a dead channel that carries a copy of another one there: layer.equal tells of which.
func (c *layerComparison) findFactors(float, int8 *tflite.Model) error {
	// Filters are those of the INT8 model once batch norms and activations are in them.
	j, err := upTo("fuse activations", float, nil)
	if err != nil {
		return err
	}
	v := newChannelScales(j)
	pairs := pairFilters(j.graph, int8.Graphs[0])
	there, back := make([]estimated, len(v.s)), make([]estimated, len(v.s))
	copies := map[int]int{} // by variable: of which
	for _, p := range pairs {
		p.mergeCopies(v, copies)
		p.estimateOutputs(v, there)
		p.findCopies(v, there, copies)
	}
	for _, p := range slices.Backward(pairs) {
		p.estimateInputs(v, back)
	}
	for i := range v.s {
		if !v.fixed[i] {
			v.s[i] = there[i].join(back[i]).factor()
		}
	}
	for i := range copies {
		v.s[i] = 0
	}
	byName := map[string]*tflite.Tensor{}
	for _, t := range j.graph.Tensors() {
		if _, ok := v.first[t]; ok {
			byName[t.Name] = t
		}
	}
	for k := range c.layers {
		l := &c.layers[k]
		l.factors = ones(channelCount(l.want))
		if own := byName[l.Name]; own != nil && channelCount(own) == len(l.factors) {
			l.factors, l.equal = v.scales(own), equalChannels(v.all(own), copies)
		}
	}
	return nil
}

// equalChannels groups the channels of a tensor that are equal, given their variables: one
// that is its own, and its copies.
func equalChannels(channels []int, copies map[int]int) (groups [][]int) {
	place := map[int]int{} // of a channel's group
	for k, i := range channels {
		of := sourceAmong(channels, copies, i)
		if of < 0 {
			continue
		}
		if _, ok := place[of]; !ok {
			place[of], groups = len(groups), append(groups, []int{of})
		}
		groups[place[of]] = append(groups[place[of]], k)
	}
	return groups
}

// filterPair is a filter of the float model and the INT8 weights made of it.
type filterPair struct {
	op     *tflite.Op
	f      *filter
	float  []float32 // its weights
	real   []float32 // those of the INT8 model
	scales []float32 // and their scales: one, or one for each output
}

// scale is that of the INT8 weights of output o.
func (p filterPair) scale(o int) float32 { return scaleAt(p.scales, o) }

func (p filterPair) weights() *tflite.Tensor { return p.op.Inputs[p.f.weights] }

// pairFilters matches filters by the name of their output.
func pairFilters(float, quantized *tflite.Graph) []filterPair {
	byName := map[string]*tflite.Op{}
	for _, op := range quantized.Ops {
		byName[outputName(op)] = op
	}
	var pairs []filterPair
	for _, op := range float.Ops {
		f, q := spec(op).filter, byName[outputName(op)]
		if f == nil || q == nil || q.Code != op.Code || len(q.Inputs) <= f.weights || misfit(op) != "" || filterNotConstant(op) != "" {
			continue
		}
		w, t := op.Inputs[f.weights], q.Inputs[f.weights]
		if t != nil && t.Type == schema.TensorTypeINT8 && real(w) && len(w.Data) == 4*w.Len() && len(t.Data) == w.Len() &&
			t.Quant != nil && (len(t.Quant.Scale) == 1 || len(t.Quant.Scale) == w.Shape[f.out]) {
			p := filterPair{op: op, f: f, float: w.Floats(), real: make([]float32, w.Len()), scales: t.Quant.Scale}
			for i, at := range eachWeight(op, f) {
				p.real[i] = p.scale(at.out) * float32(int8(t.Data[i]))
			}
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// estimateOutputs tells the factors of a filter's outputs from those of its
// inputs: the INT8 weights are the float ones times s_in, over s_out.
func (p filterPair) estimateOutputs(v *channelScales, known []estimated) {
	in, out := p.op.Inputs[p.f.input], p.op.Outputs[0]
	factors := v.estimates(in, known)
	fits := make([]factorFit, channelCount(out))
	p.each(func(o, c int, w, q, scale float64) { fits[o].add(w, q, scale, factors[c]) })
	for o, fit := range fits {
		e, i := fit.estimate(), v.of(out, o)
		e.log = -e.log
		known[i] = known[i].with(e)
	}
}

// estimateInputs is the other way round.
func (p filterPair) estimateInputs(v *channelScales, known []estimated) {
	in, out := p.op.Inputs[p.f.input], p.op.Outputs[0]
	if _, ok := v.first[in]; !ok {
		return
	}
	factors := v.estimates(out, known)
	for o := range factors {
		factors[o].log = -factors[o].log
	}
	fits := make([]factorFit, channelCount(in))
	p.each(func(o, c int, w, q, scale float64) { fits[c].add(w, q, scale, factors[o]) })
	for c, fit := range fits {
		i := v.of(in, c)
		known[i] = known[i].with(fit.estimate())
	}
}

// each calls f with every weight: its output and input channel, its value in the
// float and the INT8 model, and the latter's scale.
func (p filterPair) each(f func(o, c int, w, q, scale float64)) {
	for i, at := range eachWeight(p.op, p.f) {
		f(at.out, at.in, float64(p.float[i]), float64(p.real[i]), float64(p.scale(at.out)))
	}
}

// findCopies finds the outputs that are copies of others, see "double channels": of a
// convolution those with the very weights of another in the INT8 model, and others in the
// float one; of a depthwise filter those whose inputs are.
func (p filterPair) findCopies(v *channelScales, known []estimated, copies map[int]int) {
	out := p.op.Outputs[0]
	n := channelCount(out)
	if _, ok := v.first[out]; !ok || p.f.in < 0 && channelCount(p.op.Inputs[p.f.input]) != n {
		return
	}
	expected, factors := make([]float32, len(p.float)), v.estimates(p.op.Inputs[p.f.input], known)
	for i, at := range eachWeight(p.op, p.f) {
		expected[i] = float32(float64(p.float[i]) * math.Exp(factors[at.in].log))
	}
	lay := layoutOf(p.weights(), p.f.out)
	want, rows := byOutput(expected, lay), byOutput(p.real, lay)
	own := make([]bool, n)
	for o := range own {
		own[o] = cosine(want[o], rows[o]) >= ownWeights
	}
	for o := range n {
		from := -1
		if p.f.in < 0 {
			in := p.op.Inputs[p.f.input]
			from = sourceAmong(v.all(in), copies, v.of(in, o))
		} else if !own[o] {
			for c := range n {
				if own[c] && slices.Equal(rows[c], rows[o]) {
					from = c
				}
			}
		}
		if from >= 0 {
			copies[v.of(out, o)] = v.of(out, from)
			known[v.of(out, o)] = estimated{lost: true}
		}
	}
}

// ownWeights is the cosine above which weights are what became of a channel's own.
const ownWeights = 0.9

// byOutput returns the weights of each output channel.
func byOutput(w []float32, lay layout) [][]float32 {
	rows := make([][]float32, lay.channels)
	for i, x := range w {
		rows[lay.channel(i)] = append(rows[lay.channel(i)], x)
	}
	return rows
}

// cosine is that of the angle between x and y; 0 where one is all zeros.
func cosine(x, y []float32) float64 {
	var xx, xy, yy float64
	for i, s := range x {
		xx += float64(float64(s) * float64(s))
		xy += float64(float64(s) * float64(y[i]))
		yy += float64(float64(y[i]) * float64(y[i]))
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// mergeCopies adds what the filter makes of copies to what it makes of the channels that
// they are copies of.
func (p filterPair) mergeCopies(v *channelScales, copies map[int]int) {
	in := p.op.Inputs[p.f.input]
	if _, ok := v.first[in]; !ok || p.f.in < 0 {
		return
	}
	lay, channels := layoutOf(p.weights(), p.f.in), v.all(in)
	for d, i := range channels {
		from := sourceAmong(channels, copies, i)
		if from < 0 {
			continue
		}
		for k := range p.real {
			if lay.channel(k)%len(channels) == d {
				p.real[k+(from-d)*lay.inner] += p.real[k]
				p.real[k], p.float[k] = 0, 0
			}
		}
	}
}

// sourceAmong is where what variable i is a copy of stands among the variables of a
// tensor's channels; −1 if i is no copy, or that of a channel elsewhere, as in the other
// part of a SPLIT.
func sourceAmong(channels []int, copies map[int]int, i int) int {
	if of, ok := copies[i]; ok {
		return slices.Index(channels, of)
	}
	return -1
}

// estimates are those of t's channels.
func (v *channelScales) estimates(t *tflite.Tensor, known []estimated) []estimated {
	out := make([]estimated, channelCount(t))
	for c := range out {
		out[c].certainty = math.Inf(1)
		if _, ok := v.first[t]; ok && !v.fixed[v.of(t, c)] {
			out[c] = known[v.of(t, c)]
		}
	}
	return out
}
