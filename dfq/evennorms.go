package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// evenNorms gives the channels of a filter's output one deviation, where what follows divides
// them by their own, as instance and group normalization do:
//
//	y = (x − m)/√(v + ε)    m, v: mean and variance of a channel, or of a group of some, over the image
//
// y is the same for x/s, m/s and v/s², if ε becomes ε/s². Variances of channels are as far apart as the squares
// of what they are the variances of, and all have one scale: most would be rounded to nothing.
func evenNorms(j *job) error {
	var changed []*tflite.Tensor
	for op, f := range j.filters() {
		n := j.normedBy(op)
		if n == nil {
			continue
		}
		s := n.deviations(j.stats[n.x].channels)
		if j.opts.PerTensor {
			n.keepRows(s, channelMax(op.Inputs[f.weights].Floats(), layoutOf(op.Inputs[f.weights], f.out)))
		}
		if gain := n.gain(j.stats[n.x].channels, s); gain > 0 {
			applyFilter(op, f, ones(channelCount(op.Inputs[f.input])), s)
			changed = append(changed, n.divide(s)...)
			j.report.Equalized = append(j.report.Equalized, EqualizedBlock{Tensors: []string{n.x.Name}, GainDB: gain})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return j.observe(changed, j.input)
}

// A normed is a filter's output x, and what lies between it and all that does not depend on how its channels
// are scaled. Each tensor there has a degree, the power of s that it is divided by: 1 for x and m, 2 for v,
// −1 for the reciprocal of a root.
type normed struct {
	x       *tflite.Tensor
	degrees map[*tflite.Tensor]int
	order   []*tflite.Tensor        // of degrees
	grouped map[*tflite.Tensor]bool // the last axis but one counts groups of channels, the last one the channels of each
	groups  int                     // of channels that have one s
	added   []addend
	rooted  bool
}

// An addend is a constant that is added to a tensor of a degree.
type addend struct {
	*tflite.Tensor
	degree  int
	grouped bool
}

// normedBy is op's output, if that is normed; else nil.
func (j *job) normedBy(op *tflite.Op) *normed {
	n := &normed{x: op.Outputs[0], degrees: map[*tflite.Tensor]int{}, grouped: map[*tflite.Tensor]bool{}}
	n.groups = channelCount(n.x)
	if !j.divisible(op) {
		return nil
	}
	n.add(n.x, 1)
	for _, reader := range j.graph.Ops {
		if !slices.ContainsFunc(reader.Inputs, func(t *tflite.Tensor) bool { return n.degrees[t] != 0 }) {
			continue
		}
		d, ok := n.degree(reader)
		if !ok || d != 0 && (!j.divisible(reader) || !n.shaped(reader)) {
			return nil
		}
		if d != 0 {
			n.add(reader.Outputs[0], d)
		}
	}
	if !n.rooted {
		return nil
	}
	return n
}

func (n *normed) add(t *tflite.Tensor, degree int) {
	n.degrees[t], n.order = degree, append(n.order, t)
}

// divisible reports whether op computes y/s where it computed y, if its operands are divided.
func (j *job) divisible(op *tflite.Op) bool {
	y, a := op.Outputs[0], op.Activation()
	return j.float[op] == "" && j.stats[y] != nil && y.Channels == 0 && !slices.Contains(j.graph.Outputs, y) &&
		(a == schema.ActivationFunctionTypeNONE || a == schema.ActivationFunctionTypeRELU)
}

// shaped notes whether what op makes has channels in groups; false if neither these nor the channels
// are where they were.
func (n *normed) shaped(op *tflite.Op) bool {
	x, y := op.Inputs[slices.IndexFunc(op.Inputs, func(t *tflite.Tensor) bool { return n.degrees[t] != 0 })], op.Outputs[0]
	last, channels := len(y.Shape)-1, channelCount(n.x)
	grouped := n.grouped[x]
	if op.Code == schema.BuiltinOperatorRESHAPE && last > 0 {
		grouped = y.Shape[last] != channels && y.Shape[last-1]*y.Shape[last] == channels
		if grouped && n.groups != channels && n.groups != y.Shape[last-1] {
			return false
		}
		if grouped {
			n.groups = y.Shape[last-1]
		}
	}
	if !grouped {
		return channelCount(y) == channels
	}
	n.grouped[y] = true
	for _, t := range op.Inputs {
		if n.degrees[t] != 0 && !n.grouped[t] && op.Code != schema.BuiltinOperatorRESHAPE {
			return false
		}
	}
	return last > 0 && y.Shape[last-1] == n.groups
}

// degree is that of op's output; not ok if the output is no power of s times what it was.
func (n *normed) degree(op *tflite.Op) (d int, ok bool) {
	of := func(k int) int { return n.degrees[op.Inputs[k]] }
	switch op.Code {
	case schema.BuiltinOperatorRESHAPE:
		return of(0), true
	case schema.BuiltinOperatorMEAN, schema.BuiltinOperatorSUM:
		return of(0), n.keepsChannels(op)
	case schema.BuiltinOperatorMUL:
		return of(0) + of(1), true
	case schema.BuiltinOperatorDEPTHWISE_CONV_2D: // by constants of channels, see "fold batch norms"
		if _, taps := windowOf(op); taps || openFilter(op) == nil || n.grouped[op.Inputs[0]] {
			return 0, false
		}
		n.added = append(n.added, addend{op.Inputs[depthwise.bias], of(0), false})
		return of(0), channelCount(op.Outputs[0]) == channelCount(n.x)
	case schema.BuiltinOperatorDIV:
		return of(0) - of(1), true
	case schema.BuiltinOperatorSQUARED_DIFFERENCE:
		return 2 * of(0), of(0) == of(1)
	case schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB:
		for k, t := range op.Inputs {
			if t.Constant() {
				a := addend{t, of(1 - k), n.grouped[op.Inputs[1-k]]}
				n.added = append(n.added, a)
				return a.degree, t.Len() == 1 || !a.grouped && t.Len() == channelCount(n.x)
			}
		}
		return of(0), of(0) == of(1)
	case schema.BuiltinOperatorSQRT, schema.BuiltinOperatorRSQRT:
		n.rooted = true
		d = of(0) / 2
		if op.Code == schema.BuiltinOperatorRSQRT {
			d = -d
		}
		return d, of(0)%2 == 0
	}
	return 0, false
}

// keepsChannels reports whether a MEAN or SUM is one over the image, and over the channels of a group.
func (n *normed) keepsChannels(op *tflite.Op) bool {
	x, y := op.Inputs[0], op.Outputs[0]
	if !n.grouped[x] {
		return len(reducedSpace(op)) > 0
	}
	groups := len(x.Shape) - 2
	return op.Inputs[1].Constant() && len(y.Shape) == len(x.Shape) &&
		!slices.ContainsFunc(op.Inputs[1].Ints(), func(a int) bool { return a == groups || a == -2 })
}

// deviations are those of the channels, together for those of a group. What is added to a variance
// keeps dead ones from being 0.
func (n *normed) deviations(channels []moments) []float64 {
	least := 0.0
	for _, a := range n.added {
		if a.degree == 2 {
			least = math.Max(least, float64(slices.Max(a.Floats())))
		}
	}
	s, size := make([]float64, len(channels)), len(channels)/n.groups
	for first := 0; first < len(s); first += size {
		var all moments
		for _, m := range channels[first : first+size] {
			all = all.join(m)
		}
		d := math.Sqrt(all.variance() + least)
		if !(d > 0) {
			d = 1
		}
		for c := first; c < first+size; c++ {
			s[c] = d
		}
	}
	return s
}

// keepRows raises divisors of a filter's rows whose largest weights are these, so that none grows
// beyond four times the median: all rows share one scale.
func (n *normed) keepRows(s, largest []float64) {
	rows, size := make([]float64, len(s)), len(s)/n.groups
	for c := range s {
		rows[c] = largest[c] / s[c]
	}
	slices.Sort(rows)
	most := 4 * rows[len(rows)/2]
	if most == 0 {
		return
	}
	for first := 0; first < len(s); first += size {
		d := max(s[first], slices.Max(largest[first:first+size])/most)
		for c := first; c < first+size; c++ {
			s[c] = d
		}
	}
}

// gain is by how much less noise rounding x leaves in what its channels are divided to, in dB.
func (n *normed) gain(channels []moments, s []float64) float64 {
	before, after, wide, even := 0.0, 0.0, 0.0, 0.0
	for c, m := range channels {
		v := math.Max(m.variance(), 1e-30)
		before, after = before+1/v, after+float64(s[c]*s[c]/v)
		wide, even = math.Max(wide, m.hi-m.lo), math.Max(even, (m.hi-m.lo)/s[c])
	}
	return 10 * math.Log10(before*wide*wide/(after*even*even))
}

// divide divides the constants, and returns the tensors that are divided now.
func (n *normed) divide(s []float64) []*tflite.Tensor {
	for _, a := range n.added {
		v, by := a.Floats(), slices.Clone(s)
		if len(v) == 1 {
			a.Shape = []int{len(s)}
			if a.grouped {
				a.Shape, by = []int{n.groups, 1}, nil
				for c := 0; c < len(s); c += len(s) / n.groups {
					by = append(by, s[c])
				}
			}
			v = slices.Repeat(v, len(by))
		}
		if a.degree < 0 {
			for c := range by {
				by[c] = 1 / by[c]
			}
		}
		for range max(a.degree, -a.degree) {
			divide(v, by)
		}
		a.SetFloats(v)
	}
	for _, t := range n.order {
		t.Name += "_even" // it is not the file's
	}
	return n.order
}
