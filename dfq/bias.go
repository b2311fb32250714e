package dfq

import (
	"math"

	"dfq/tflite"
)

// quantizeBiases makes every bias integers at scale s_in·s_w of its channel, those of
// equal channels a part of a step apart.
// quantizeWeights has made the scales wide enough for int32, which biases of
// int16 ops keep to as well: in their int64 kernels a factor s_in·s_w/s_out that
// goes with more bits would be rounded to 0.
func quantizeBiases(j *job) error {
	j.biases = map[*tflite.Tensor][]int32{}
	for op, f := range j.filters() {
		bias, w := op.Inputs[f.bias], op.Inputs[f.weights]
		input := op.Inputs[f.input].Quant.Scale[0]
		scales := make([]float32, len(w.Quant.Scale))
		for c, s := range w.Quant.Scale {
			scales[c] = input * s
		}
		bias.Quant = &tflite.Quantization{Scale: scales, Zero: make([]int64, len(scales))}
		values := bias.Floats()
		for c, by := range j.copyOffsets(op) {
			values[c] += float32(by)
		}
		j.biases[bias] = quantizeBias(values, scales)
	}
	return nil
}

// quantizeBias rounds b to int32 at one scale per entry, or one for all.
func quantizeBias(b []float32, scales []float32) []int32 {
	q := make([]int32, len(b))
	for c, x := range b {
		v := math.Round(float64(x) / float64(scaleAt(scales, c)))
		q[c] = int32(math.Max(-math.MaxInt32, math.Min(math.MaxInt32, v)))
	}
	return q
}
