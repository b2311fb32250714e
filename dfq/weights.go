package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// quantizeWeights chooses the scales and integers of every filter: symmetric,
// narrow range [−127, 127], one scale per output channel or, where asked, one
// per tensor.
func quantizeWeights(j *job) error {
	var filters []*tflite.Op
	largest := 0
	for op, f := range j.filters() {
		filters = append(filters, op)
		largest = max(largest, bytesToRound(op, f))
		scales := j.filterScales(op, f)
		q := &tflite.Quantization{Scale: scales, Zero: make([]int64, len(scales)), Axis: f.out}
		if len(scales) == 1 {
			q.Axis = 0
		}
		op.Inputs[f.weights].Quant = q
	}
	roundings := make([]rounding, len(filters))
	eachInParallel(len(filters), largest, func(k int) { roundings[k] = j.round(filters[k]) })
	j.weights = map[*tflite.Tensor][]int8{}
	for k, op := range filters {
		j.weights[op.Inputs[spec(op).filter.weights]] = roundings[k].q
		for _, correction := range roundings[k].dropped {
			j.dropCorrection(op, correction)
		}
	}
	return nil
}

// bytesToRound is about what rounding a filter takes: the second moments of what an
// output reads, and weights, errors and places side by side.
func bytesToRound(op *tflite.Op, f *filter) int {
	w := op.Inputs[f.weights]
	k := 0
	if f != depthwise {
		k = min(w.Len()/w.Shape[f.out], largestPatch)
	}
	return 4*k*k + 40*w.Len()
}

// rounding is what a filter's weights are rounded to.
type rounding struct {
	q       []int8
	dropped []string // corrections that were tried
}

// round rounds a filter's weights at the scales that they have.
func (j *job) round(op *tflite.Op) rounding {
	f := spec(op).filter
	w := op.Inputs[f.weights]
	values, lay, scales := w.Floats(), layoutOf(w, f.out), w.Quant.Scale
	nearest := roundNearest(values, lay, scales)
	if j.opts.NoCorrect || exact(nearest, values, lay, scales) {
		return rounding{q: nearest}
	}
	return j.correctRounding(op, f, nearest, preserveSums(nearest, values, lay, scales, kernelsOf(op, f)))
}

// exact reports whether weights lie on their grid but for the rounding of floats, as in
// a file that was INT8 once: there is nothing to correct.
func exact(q []int8, w []float32, l layout, scales []float32) bool {
	for i, x := range w {
		s := scaleAt(scales, l.channel(i))
		if math.Abs(float64(x)-float64(s*float32(q[i]))) > 1e-4*float64(s) {
			return false
		}
	}
	return true
}

// kernelsOf numbers the kernels of a filter by the channel they read, element by
// element; nil where each has one tap.
func kernelsOf(op *tflite.Op, f *filter) []int {
	w := op.Inputs[f.weights]
	if len(w.Shape) != 4 || w.Shape[1]*w.Shape[2] == 1 {
		return nil
	}
	kernels := make([]int, w.Len())
	for i, at := range eachWeight(op, f) {
		kernels[i] = at.in
	}
	return kernels
}

// correctRounding chooses the rounding of op's weights that errs least on inputs
// held out: to nearest, sum-preserving, or second-order from there, which is fitted
// to the other inputs.
func (j *job) correctRounding(op *tflite.Op, f *filter, nearest, sums []int8) rounding {
	in, ok := j.filterInputOf(op, f)
	if !ok {
		return rounding{q: sums} // which needs no statistics
	}
	fit, held := in.holdBack()
	if len(fit.rows) == 0 {
		return rounding{q: sums}
	}
	w, scales := op.Inputs[f.weights].Floats(), op.Inputs[f.weights].Quant.Scale
	descended := slices.Clone(sums)
	fit.descend(w, descended, scales)
	errNearest, errSums, errDescended := held.squaredError(w, nearest, scales), held.squaredError(w, sums, scales), held.squaredError(w, descended, scales)
	if errDescended < min(errNearest, errSums) {
		return rounding{q: descended}
	}
	best := rounding{q: nearest}
	if errSums < errNearest {
		best.q = sums
	}
	if !slices.Equal(best.q, sums) {
		best.dropped = append(best.dropped, "sum-preserving rounding")
	}
	if !slices.Equal(best.q, descended) {
		best.dropped = append(best.dropped, "second-order rounding")
	}
	return best
}

// filterScales returns the scales of op's weights, given its input's.
func (j *job) filterScales(op *tflite.Op, f *filter) []float32 {
	w := op.Inputs[f.weights]
	scales := weightScales(w.Floats(), layoutOf(w, f.out), j.scalesPerTensor(op))
	widenForBias(scales, op.Inputs[f.bias].Floats(), float64(scaleOf(op.Inputs[f.input])))
	return scales
}

// scalesPerTensor reports whether a filter's weights get one scale for all.
func (j *job) scalesPerTensor(op *tflite.Op) bool {
	return j.opts.PerTensor || spec(op).filter.perTensor || j.limits.PerTensor(op.Code)
}

// weightScales returns one scale per channel, or one for the whole tensor.
func weightScales(w []float32, l layout, perTensor bool) []float32 {
	bound := channelMax(w, l)
	if perTensor {
		bound = []float64{slices.Max(bound)}
	}
	scales := make([]float32, len(bound))
	for c, b := range bound {
		scales[c] = affine.Symmetric(b)
	}
	return scales
}

// widenForBias widens the weight scale of a channel whose bias would come near
// the ends of int32: |b| < s_in·s_w·2³⁰. This also gives a dead channel, all
// weights ~0 and a bias, a scale that keeps the bias exact. Rule: what
// TensorFlow's own quantizer does.
func widenForBias(scales []float32, bias []float32, input float64) {
	for c, b := range bias {
		c = min(c, len(scales)-1)
		if least := math.Abs(float64(b)) / (1 << 30) / input; float64(scales[c]) < least {
			scales[c] = math.Nextafter32(float32(least), math.MaxFloat32)
		}
	}
}
