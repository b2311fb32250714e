package dfq

import (
	"fmt"
	"math"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// checkScales finds the ops whose kernels cannot work at the scales that their
// operands have got, all at once.
func checkScales(j *job) error {
	for _, op := range j.graph.Ops {
		if j.float[op] != "" {
			continue
		}
		reason := unreadable(j.grid(), op)
		if f := spec(op).filter; f != nil {
			reason = beyondShifts(j.grid(), op, f)
		}
		if reason == "" {
			continue
		}
		j.keepFloat(op, reason)
		for _, t := range op.Inputs {
			if real(t) && t.Constant() {
				t.Quant = nil // it has no other reader
			}
		}
	}
	return j.refuseFloat()
}

// unreadable says which input's scale op's kernel cannot read.
func unreadable(g affine.Grid, op *tflite.Op) string {
	s := spec(op)
	for _, t := range op.Inputs {
		if real(t) && !s.canRead(scaleOf(t)) {
			return fmt.Sprintf("its %s kernel takes scales from %g to below %g, and operand %q has %g", kernelName(g), s.reads[0], s.reads[1], t.Name, scaleOf(t))
		}
	}
	return ""
}

// beyondShifts says whether weights or biases are so large beside the output's
// scale that the kernel cannot hold the factor between them, as only damaged
// ones are.
func beyondShifts(g affine.Grid, op *tflite.Op, f *filter) string {
	w, input, output := op.Inputs[f.weights], float64(scaleOf(op.Inputs[f.input])), float64(scaleOf(op.Outputs[0]))
	largest := 0.0
	for _, b := range channelMax(w.Floats(), layoutOf(w, f.out)) {
		largest = math.Max(largest, input*b/affine.QMaxWeight)
	}
	for _, b := range op.Inputs[f.bias].Floats() {
		largest = math.Max(largest, math.Abs(float64(b))/(1<<30))
	}
	if largest > 1e30 {
		return fmt.Sprintf("its weights and input are so large that their product, %.2g and more, is no float32 scale", largest)
	}
	if largest/output >= largestFactor(g)/4 { // weights may yet be widened
		return fmt.Sprintf("its weights or biases are beyond what a kernel can scale down to its output's range: a factor of %.2g", largest/output)
	}
	return ""
}

// largestFactor bounds s_in·s_w/s_out. Kernels hold it as a number below one and
// a shift to the left: by at most 30 bits, or 7 where the sum has 64.
//
// Source: MultiplyByQuantizedMultiplier of the public LiteRT sources.
func largestFactor(g affine.Grid) float64 {
	if g == affine.Int16 {
		return 1 << 7
	}
	return 1 << 30
}
