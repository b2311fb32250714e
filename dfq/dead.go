package dfq

import (
	"math"
	"slices"

	"dfq/tflite"
)

// dead tells which output channels of a filter are constant for inputs within room
// times what was seen: those without weights, and those that their activation cuts.
// reach is what weights add at most, see reaches.
func (j *job) dead(op *tflite.Op, f *filter, room float64) (dead []bool, reach []float64) {
	up, reach := j.reaches(op, f)
	bias := op.Inputs[f.bias].Floats()
	dead = make([]bool, len(reach))
	floor, _ := tflite.Clamp(op.Activation())
	largest := slices.Max(reach)
	for o := range dead {
		dead[o] = reach[o] <= deadShare*largest || float64(bias[o])+float64(room*up[o]) <= floor
	}
	return dead, reach
}

// deadShare of the largest channel is what float32 itself cannot resolve.
const deadShare = 1e-7

// reaches are what the weights of each output channel add at most, upwards and
// either way, for inputs within what was seen, or 0 as in padding.
func (j *job) reaches(op *tflite.Op, f *filter) (up, reach []float64) {
	w := op.Inputs[f.weights]
	values := w.Floats()
	up, reach = make([]float64, w.Shape[f.out]), make([]float64, w.Shape[f.out])
	inputs := j.stats[op.Inputs[f.input]].channels
	for i, at := range eachWeight(op, f) {
		m, x := &inputs[at.in], float64(values[i])
		a, b := x*min(m.lo, 0), x*max(m.hi, 0)
		up[at.out] += max(a, b)
		reach[at.out] += max(math.Abs(a), math.Abs(b))
	}
	return up, reach
}
