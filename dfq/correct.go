package dfq

import (
	"math"

	"dfq/tflite"
)

// correctBiases takes out of each bias what rounding the weights adds to the
// mean of the output: b −= Σ_c ε_c·E[x_c], ε the rounding errors summed over
// taps (the paper's section 4.2). E[x] is the mean of the equalized input on
// made-up inputs.
//
// It is dropped where two halves of the inputs disagree on it: where what one half
// says would leave more of the other half's shift than there was.
func correctBiases(j *job) error {
	for op, f := range j.filters() {
		w, bias := op.Inputs[f.weights], op.Inputs[f.bias]
		in := j.stats[op.Inputs[f.input]]
		shift := biasShift(op, f, j.weights[w], in.channels)
		early, share := biasShift(op, f, j.weights[w], in.early), in.early[0].n/in.channels[0].n
		if share > 0 && !agree(shift, early, share) { // 0: there is but one sample
			j.dropCorrection(op, "bias correction")
			continue
		}
		b := bias.Floats()
		for o := range b {
			b[o] -= float32(shift[o])
		}
		bias.SetFloats(b)
	}
	return nil
}

// biasShift is the mean that rounding adds to each output channel, given the moments
// of each input channel.
func biasShift(op *tflite.Op, f *filter, q []int8, in []moments) []float64 {
	w := op.Inputs[f.weights]
	values, scales := w.Floats(), w.Quant.Scale
	shift := make([]float64, w.Shape[f.out])
	for i, at := range eachWeight(op, f) {
		scale := float64(scaleAt(scales, at.out))
		shift[at.out] += float64((float64(scale*float64(q[i])) - float64(values[i])) * in[at.in].mean) // scale times q is exact
	}
	share := tapShare(op)
	for o := range shift {
		if shift[o] *= share; math.IsNaN(shift[o]) || math.IsInf(shift[o], 0) {
			shift[o] = 0
		}
	}
	return shift
}

// agree reports whether two halves of the inputs bear each other's shifts out: whether
// to take one half's from the other's lessens its square. The shift over all inputs is
// the mean of both, the early half's weighed by its share.
func agree(all, early []float64, share float64) bool {
	apart, size := 0.0, 0.0
	for o, a := range all {
		late := (a - float64(share*early[o])) / (1 - share)
		apart += float64((early[o] - late) * (early[o] - late))
		size += float64((float64(early[o]*early[o]) + float64(late*late)) / 2)
	}
	return apart <= size
}
