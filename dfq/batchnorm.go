package dfq

import (
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// foldBatchNorms takes MUL, ADD, SUB and DIV by constants, one for all channels
// or one each, into the filters beside them. A batch norm that a converter
// left unfolded is such a pair, and so is the scaling of an input.
//
//	behind a filter: a·(W·x + b) + t = (a·W)·x + (a·b + t)
//	before a filter: W·(a·x + t) + b = (W·a)·x + (b + W·t)
//
// An activation in between, another reader or a graph output in between forbid
// it; so does t before a filter that pads, since what is padded is not shifted.
// What is left on images becomes a DEPTHWISE_CONV_2D of 1×1: one rounding in
// place of two, weights that have a scale for each channel, an int32 bias. A
// single op by one number is no worse as it is, but for DIV, which becomes MUL.
func foldBatchNorms(j *job) error {
	before := len(j.graph.Ops)
	beforeReshapes(j.graph)
	foldBehind(j.graph)
	foldBefore(j.graph)
	j.report.Folded = before - len(j.graph.Ops)
	j.report.Depthwise = depthwiseOfRest(j.graph)
	multiply(j.graph)
	return nil
}

// foldBehind takes lines into the filters that write what they read.
func foldBehind(g *tflite.Graph) {
	links, folded := linksOf(g), map[*tflite.Op]bool{}
	for _, op := range g.Ops {
		l := lineOf(op)
		if l == nil {
			continue
		}
		into, act := links.alone(l.x), op.Activation()
		if into == nil || openFilter(into) == nil || !takesActivation(into, act) || !scaleOutputs(into, l) {
			continue
		}
		if act != schema.ActivationFunctionTypeNONE {
			into.Options = withActivation(into.Options, act)
		}
		into.Outputs[0] = op.Outputs[0]
		links.producers[op.Outputs[0]] = into
		folded[op] = true
	}
	removeOps(g, folded)
}

// scaleOutputs makes op compute what l makes of its output. It does nothing and
// reports false where float32 does not suffice, or where a bias would become so large that
// int32 holds it only at a weight scale that leaves nothing of the weights, as one of −10⁹
// does that bans a class.
func scaleOutputs(op *tflite.Op, l *channelLine) bool {
	f := spec(op).filter
	w, bias := op.Inputs[f.weights], op.Inputs[f.bias]
	lay := layoutOf(w, f.out)
	wv, bv := w.Floats(), bias.Floats()
	weight, most := 0.0, 0.0
	for i, x := range wv {
		wv[i] = float32(float64(x) * l.scale[lay.channel(i)])
		weight = math.Max(weight, math.Abs(float64(wv[i])))
	}
	for c, x := range bv {
		bv[c] = float32(float64(float64(x)*l.scale[c]) + l.shift[c])
		most = math.Max(most, math.Abs(l.shift[c]))
	}
	if weight > 0 && most > mostFoldedBias*weight {
		return false
	}
	return setIfFinite([]*tflite.Tensor{w, bias}, [][]float32{wv, bv})
}

// mostFoldedBias is how many times the largest weight of a filter a line's shift may be.
const mostFoldedBias = 1e5

// foldBefore takes lines into all the filters that read what they write.
func foldBefore(g *tflite.Graph) {
	links, folded := linksOf(g), map[*tflite.Op]bool{}
	for _, op := range slices.Backward(g.Ops) {
		l := lineOf(op)
		if l == nil || op.Activation() != schema.ActivationFunctionTypeNONE {
			continue
		}
		y := op.Outputs[0]
		filters, ok := links.filtersBehind(y, l.shifts())
		if !ok || !scaleInputs(filters, l) {
			continue
		}
		for _, u := range links.uses[y] {
			u.Op.Inputs[u.Input] = l.x
		}
		others := slices.DeleteFunc(links.uses[l.x], func(u tflite.Use) bool { return u.Op == op })
		links.uses[l.x] = append(others, links.uses[y]...)
		folded[op] = true
	}
	removeOps(g, folded)
}

// scaleInputs makes filters read l.x in place of what l makes of it. It does
// nothing and reports false where float32 does not suffice.
func scaleInputs(filters []*tflite.Op, l *channelLine) bool {
	var tensors []*tflite.Tensor
	var values [][]float32
	for _, op := range filters {
		f := spec(op).filter
		w, bias := op.Inputs[f.weights], op.Inputs[f.bias]
		wv, bv := w.Floats(), bias.Floats()
		for c, add := range answerTo(op, l.shift) {
			bv[c] = float32(float64(bv[c]) + add)
		}
		for i, at := range eachWeight(op, f) {
			wv[i] = float32(float64(wv[i]) * l.scale[at.in])
		}
		tensors, values = append(tensors, w, bias), append(values, wv, bv)
	}
	return setIfFinite(tensors, values)
}

// setIfFinite sets constants to new values, if all of these are finite.
func setIfFinite(tensors []*tflite.Tensor, values [][]float32) bool {
	for _, v := range values {
		if slices.ContainsFunc(v, notFinite) {
			return false
		}
	}
	for i, t := range tensors {
		t.SetFloats(values[i])
	}
	return true
}

// depthwiseOfRest turns what lines are left on images into depthwise
// convolutions, several in a row into one, and returns how many there are now.
func depthwiseOfRest(g *tflite.Graph) int {
	links, merged, made := linksOf(g), map[*tflite.Op]bool{}, 0
	for _, op := range slices.Backward(g.Ops) {
		l := lineOf(op)
		if l == nil || merged[op] || len(l.x.Shape) != 4 {
			continue
		}
		var run []*tflite.Op
		for first := links.alone(l.x); first != nil; first = links.alone(l.x) {
			inner := lineOf(first)
			if inner == nil || !l.after(inner).finite() {
				break
			}
			l = l.after(inner)
			run = append(run, first)
		}
		if len(run) == 0 && l.uniform() {
			continue // no worse as it is
		}
		becomeDepthwise(op, l)
		for _, first := range run {
			merged[first] = true
		}
		made++
	}
	removeOps(g, merged)
	return made
}

// becomeDepthwise makes op the depthwise convolution that computes l.
func becomeDepthwise(op *tflite.Op, l *channelLine) {
	name, n := op.Outputs[0].Name, len(l.scale)
	w := &tflite.Tensor{Name: name + "_weights", Shape: []int{1, 1, 1, n}}
	w.SetFloats(cast[float32](l.scale))
	bias := &tflite.Tensor{Name: name + "_bias", Shape: []int{n}}
	bias.SetFloats(cast[float32](l.shift))
	*op = tflite.Op{
		Code: schema.BuiltinOperatorDEPTHWISE_CONV_2D, Version: 1,
		Inputs: []*tflite.Tensor{l.x, w, bias}, Outputs: op.Outputs,
		Options: &schema.DepthwiseConv2DOptionsT{Padding: schema.PaddingVALID, StrideW: 1, StrideH: 1, DepthMultiplier: 1,
			DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: op.Activation()},
	}
}

// multiply makes DIV by constants, where it is left, MUL: int8 kernels have had
// it for longer.
func multiply(g *tflite.Graph) {
	for _, op := range g.Ops {
		l := lineOf(op)
		if l == nil || op.Code != schema.BuiltinOperatorDIV {
			continue
		}
		scale := cast[float32](l.scale)
		c := &tflite.Tensor{Name: op.Outputs[0].Name + "_factor"}
		if !l.uniform() {
			c.Shape = []int{len(scale)}
		}
		c.SetFloats(scale[:c.Len()])
		*op = tflite.Op{
			Code: schema.BuiltinOperatorMUL, Version: 1, Inputs: []*tflite.Tensor{l.x, c}, Outputs: op.Outputs,
			Options: &schema.MulOptionsT{FusedActivationFunction: op.Activation()},
		}
	}
}
