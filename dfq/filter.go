package dfq

import (
	"fmt"
	"iter"

	"dfq/schema"
	"dfq/tflite"
)

// filter locates the operands of a weighted op and the channel axes of its
// weights.
type filter struct {
	input, weights, bias int // operand positions
	out, in              int // axes of the weights; in < 0: depthwise, input channel = output channel / multiplier
	rank                 int // of the weights; where it is 4, also of input and output

	// fits reports whether weights of such a shape can read an input.
	fits func(in *tflite.Tensor, w []int) bool

	// perTensor: kernels up to release 2.16 read one weight scale only, and
	// silently compute nonsense from more.
	perTensor bool
}

var (
	conv          = &filter{input: 0, weights: 1, bias: 2, out: 0, in: 3, rank: 4, fits: inGroups}
	depthwise     = &filter{input: 0, weights: 1, bias: 2, out: 3, in: -1, rank: 4, fits: byChannel}
	dense         = &filter{input: 0, weights: 1, bias: 2, out: 0, in: 1, rank: 2, fits: overAxes, perTensor: true}
	transposeConv = &filter{input: 2, weights: 1, bias: 3, out: 0, in: 3, rank: 4, fits: ungrouped}
)

func inGroups(in *tflite.Tensor, w []int) bool {
	channels, depth := channelCount(in), w[3]
	return channels%depth == 0 && w[0]%(channels/depth) == 0
}

func byChannel(in *tflite.Tensor, w []int) bool { return w[0] == 1 && w[3]%channelCount(in) == 0 }

// overAxes: a dense layer reads one axis of its input, or several.
func overAxes(in *tflite.Tensor, w []int) bool {
	return w[1]%channelCount(in) == 0 && in.Len()%w[1] == 0
}

func ungrouped(in *tflite.Tensor, w []int) bool { return w[3] == channelCount(in) }

// misfit says in what way a filter does not fit input, bias and output.
func (f *filter) misfit(op *tflite.Op) string {
	in, w, out := op.Inputs[f.input], op.Inputs[f.weights], op.Outputs[0]
	if len(w.Shape) != f.rank || w.Len() == 0 || in.Len() == 0 || w.Shape[f.out] != channelCount(out) ||
		f.rank == 4 && (len(in.Shape) != 4 || len(out.Shape) != 4) || !f.fits(in, w.Shape) {
		return fmt.Sprintf("its weights of shape %v do not fit input %v and output %v", w.Shape, in.Shape, out.Shape)
	}
	if bias := optional(op, f.bias); bias != nil && bias.Len() != w.Shape[f.out] {
		return fmt.Sprintf("its bias of shape %v does not fit %d filters", bias.Shape, w.Shape[f.out])
	}
	return ""
}

// filterNotConstant says which operand of a weighted op is not constant, or
// constant where it should not be.
func filterNotConstant(op *tflite.Op) string {
	f := spec(op).filter
	if f == nil {
		return ""
	}
	for _, i := range []int{f.weights, f.bias} {
		if t := optional(op, i); t != nil && !t.Constant() {
			return fmt.Sprintf("its operand %q is not constant", t.Name)
		}
	}
	if t := op.Inputs[f.input]; t.Constant() {
		return fmt.Sprintf("its input %q is constant", t.Name)
	}
	return ""
}

// openFilter returns where op's weights are if they can be changed; nil if op
// has none, or none that fit.
func openFilter(op *tflite.Op) *filter {
	f := spec(op).filter
	if f == nil || misfit(op) != "" || !finiteConstant(op.Inputs[f.weights]) || !finiteConstant(op.Inputs[f.bias]) {
		return nil
	}
	return f
}

// filters are the weighted ops that will be quantized, and where their operands are.
func (j *job) filters() iter.Seq2[*tflite.Op, *filter] {
	return func(yield func(*tflite.Op, *filter) bool) {
		for _, op := range j.graph.Ops {
			if f := spec(op).filter; f != nil && j.float[op] == "" && !yield(op, f) {
				return
			}
		}
	}
}

// pads reports whether a spatial filter may see zeros beyond the border.
func pads(op *tflite.Op) bool {
	w, ok := op.Window()
	return ok && w.Kernel != [2]int{1, 1} && w.Padding == schema.PaddingSAME
}

// answerTo is what a filter adds to its outputs for a constant input c.
func answerTo(op *tflite.Op, c []float64) []float64 {
	f := spec(op).filter
	w := op.Inputs[f.weights]
	values, sum := w.Floats(), make([]float64, w.Shape[f.out])
	for i, at := range eachWeight(op, f) {
		sum[at.out] += float64(float64(values[i]) * c[at.in])
	}
	return sum
}

// addToBias adds sign·by to a bias.
func addToBias(bias *tflite.Tensor, by []float64, sign float64) {
	b := bias.Floats()
	for i := range b {
		b[i] = float32(float64(b[i]) + float64(sign*by[i]))
	}
	bias.SetFloats(b)
}

// optional returns input i of op, nil if it is left out.
func optional(op *tflite.Op, i int) *tflite.Tensor {
	if i < len(op.Inputs) {
		return op.Inputs[i]
	}
	return nil
}
