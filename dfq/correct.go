package dfq

import (
	"math"

	"dfq/tflite"
)

// correctBiases takes out of each bias what rounding the weights adds to the
// mean of the output: b −= Σ_c ε_c·E[x_c], ε the rounding errors summed over
// taps (the paper's section 4.2). E[x] is the mean of the equalized input on
// made-up inputs.
func correctBiases(j *job) error {
	for _, op := range j.graph.Ops {
		f := spec(op).filter
		if f == nil || j.float[op] != "" {
			continue
		}
		w, bias := op.Inputs[f.weights], op.Inputs[f.bias]
		shift := biasShift(j, op, f, w)
		b := bias.Floats()
		for o := range b {
			b[o] -= float32(shift[o])
		}
		bias.SetFloats(b)
	}
	return nil
}

// biasShift is the mean that rounding adds to each output channel.
func biasShift(j *job, op *tflite.Op, f *filter, w *tflite.Tensor) []float64 {
	means := j.stats[op.Inputs[f.input]].channels
	values, q := w.Floats(), j.weights[w]
	shift := make([]float64, w.Shape[f.out])
	for i, at := range eachWeight(op, f) {
		scale := float64(w.Quant.Scale[min(at.out, len(w.Quant.Scale)-1)])
		shift[at.out] += (scale*float64(q[i]) - float64(values[i])) * means[at.in].mean
	}
	for o, s := range shift {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			shift[o] = 0
		}
	}
	return shift
}
