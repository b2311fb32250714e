package dfq

import (
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// writeDepthwise writes a CONV_2D of as many groups as its input has channels as the
// DEPTHWISE_CONV_2D that it is: Keras has ConvNeXt's filters so. int8 kernels of groups came
// later, and NPUs have none.
func writeDepthwise(g *tflite.Graph) {
	for _, op := range g.Ops {
		channels := groupsOf(op)
		if channels < 2 || channels != channelCount(op.Inputs[conv.input]) {
			continue
		}
		o, w := op.Options.(*schema.Conv2DOptionsT), op.Inputs[conv.weights]
		filters := w.Shape[conv.out]
		op.Code, op.Version = schema.BuiltinOperatorDEPTHWISE_CONV_2D, 1
		op.Options = &schema.DepthwiseConv2DOptionsT{
			Padding: o.Padding, StrideW: o.StrideW, StrideH: o.StrideH, DepthMultiplier: int32(filters / channels),
			FusedActivationFunction: o.FusedActivationFunction, DilationWFactor: o.DilationWFactor, DilationHFactor: o.DilationHFactor,
		}
		from := w.Floats()
		to, taps := make([]float32, len(from)), len(from)/filters
		for i, v := range from {
			to[i%taps*filters+i/taps] = v
		}
		w.Shape = []int{1, w.Shape[1], w.Shape[2], filters}
		w.SetFloats(to)
	}
}

// mostGroups is how many filters one op may become; the widest networks in use have some 60 groups.
const mostGroups = 256

// splitGroups writes a CONV_2D in groups as SPLIT, a CONV_2D for each group, and CONCATENATION, where
// its INT8 kernel came too late.
func splitGroups(j *job) {
	producers := j.graph.Producers()
	var ops []*tflite.Op
	for _, op := range j.graph.Ops {
		if n := groupsOf(op); n > 1 && n <= mostGroups && j.whyFloat(op, producers) != "" {
			if parts := groupByGroup(op, n); j.becomeINT8(parts, producers) {
				ops = append(ops, j.insteadOf(op, parts...)...)
				continue
			}
		}
		ops = append(ops, op)
	}
	j.graph.Ops = ops
}

// groupsOf is in how many groups a CONV_2D sees its input; 0 for any other op.
func groupsOf(op *tflite.Op) int {
	if _, ok := op.Options.(*schema.Conv2DOptionsT); !ok || op.Code != schema.BuiltinOperatorCONV_2D || openFilter(op) == nil || op.Inputs[conv.weights].Len() == 0 {
		return 0
	}
	return channelCount(op.Inputs[conv.input]) / op.Inputs[conv.weights].Shape[conv.in]
}

func groupByGroup(op *tflite.Op, groups int) []*tflite.Op {
	x, w, bias, y := op.Inputs[conv.input], op.Inputs[conv.weights], op.Inputs[conv.bias], op.Outputs[0]
	part := func(t *tflite.Tensor, k, axis int) *tflite.Tensor {
		p := &tflite.Tensor{Name: fmt.Sprintf("%s_group%d", t.Name, k), Shape: slices.Clone(t.Shape), Signature: slices.Clone(t.Signature)}
		p.Shape[axis] /= groups
		if p.Signature != nil {
			p.Signature[axis] = p.Shape[axis]
		}
		if v := t.Floats(); t.Constant() {
			n := len(v) / groups
			p.SetFloats(slices.Clone(v[k*n : (k+1)*n]))
		}
		return p
	}
	split := &tflite.Op{Code: schema.BuiltinOperatorSPLIT, Version: 1, Options: &schema.SplitOptionsT{NumSplits: int32(groups)}, Inputs: []*tflite.Tensor{integerList(x.Name+"_axis", []int32{3}), x}}
	split.Inputs[0].Shape = nil
	join := &tflite.Op{Code: schema.BuiltinOperatorCONCATENATION, Version: 1, Options: &schema.ConcatenationOptionsT{Axis: 3}, Outputs: []*tflite.Tensor{y}}
	ops := []*tflite.Op{split}
	for k := range groups {
		in, out := part(x, k, 3), part(y, k, 3)
		split.Outputs, join.Inputs = append(split.Outputs, in), append(join.Inputs, out)
		options := *op.Options.(*schema.Conv2DOptionsT)
		ops = append(ops, &tflite.Op{Code: op.Code, Version: 1, Options: &options,
			Inputs: []*tflite.Tensor{in, part(w, k, conv.out), part(bias, k, 0)}, Outputs: []*tflite.Tensor{out}})
	}
	return append(ops, join)
}
