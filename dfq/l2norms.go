package dfq

import (
	"math"
	"math/rand/v2"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// longNorm is from how many values on an L2 norm is better off in parts. Its kernel has 1/128 as
// the scale of its output, and of n values each has some 128/√n steps. See WHY.md.
const longNorm = 64

// writeL2Norms settles the form of L2 norms: one op where there are many of them, as at each position of an
// image, or where they are of few values; else parts, whose result has a scale of its own. Of
// many some may be of zeros: the reciprocal of such a root leaves no steps for the others.
func writeL2Norms(j *job) {
	producers, replaced := j.graph.Producers(), map[*tflite.Op]bool{}
	var ops []*tflite.Op
	for _, op := range j.graph.Ops {
		if op.Code == schema.BuiltinOperatorL2_NORMALIZATION && !fusedActivation(op) && j.betterInParts(op.Inputs[0]) {
			if parts := partsOfNorm(op.Inputs[0], op.Outputs[0]); j.becomeINT8(parts, producers) {
				ops = append(ops, j.insteadOf(op, parts...)...)
				continue
			}
		}
		if x, inside := normalizedBy(op, producers); x != nil && !j.betterInParts(x) {
			norm := &tflite.Op{Code: schema.BuiltinOperatorL2_NORMALIZATION, Version: 1, Options: &schema.L2NormOptionsT{}, Inputs: []*tflite.Tensor{x}, Outputs: op.Outputs}
			if j.limits.Takes(norm.Code) && j.whyFloat(norm, producers) == "" {
				for _, o := range inside {
					replaced[o] = true
				}
				op = j.insteadOf(op, norm)[0]
			}
		}
		ops = append(ops, op)
	}
	j.graph.Ops = ops
	j.graph.KeepNeeded(func(op *tflite.Op) bool { return spec(op).versions == nil && !replaced[op] })
}

// betterInParts reports whether the L2 norm of x is.
func (j *job) betterInParts(x *tflite.Tensor) bool {
	return len(x.Shape) > 0 && x.Len() >= longNorm && x.Len() == x.Shape[len(x.Shape)-1] && j.limits.Takes(schema.BuiltinOperatorRSQRT)
}

// partsOfNorm are the ops by which y is x over its norm, and 0 for an x of zeros.
func partsOfNorm(x, y *tflite.Tensor) []*tflite.Op {
	last := len(x.Shape) - 1
	like := func(name string, values int) *tflite.Tensor {
		t := &tflite.Tensor{Name: y.Name + name, Shape: slices.Clone(x.Shape), Signature: slices.Clone(x.Signature)}
		t.Shape[last] = values
		if t.Signature != nil {
			t.Signature[last] = values
		}
		return t
	}
	square, sum, bounded, root := like("_square", x.Shape[last]), like("_sum", 1), like("_bounded", 1), like("_rsqrt", 1)
	least := &tflite.Tensor{Name: y.Name + "_least"}
	least.SetFloats([]float32{1e-12})
	op := func(code schema.BuiltinOperator, options any, out *tflite.Tensor, in ...*tflite.Tensor) *tflite.Op {
		return &tflite.Op{Code: code, Version: 1, Options: options, Inputs: in, Outputs: []*tflite.Tensor{out}}
	}
	return []*tflite.Op{
		op(schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, square, x, x),
		op(schema.BuiltinOperatorSUM, &schema.ReducerOptionsT{KeepDims: true}, sum, square, integerList(y.Name+"_axis", []int32{int32(last)})),
		op(schema.BuiltinOperatorMAXIMUM, &schema.MaximumMinimumOptionsT{}, bounded, sum, least),
		op(schema.BuiltinOperatorRSQRT, nil, root, bounded),
		op(schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, y, x, root),
	}
}

// normalizedBy is the x of which op makes x over its norm along the last axis, and the ops that do so; nil
// if it does not.
func normalizedBy(op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op) (x *tflite.Tensor, inside []*tflite.Op) {
	if op.Code != schema.BuiltinOperatorMUL && op.Code != schema.BuiltinOperatorDIV || !real(op.Outputs[0]) {
		return nil, nil
	}
	for _, x := range op.Inputs {
		if x.Constant() || !real(x) || len(x.Shape) == 0 || x.Len() == 0 || !slices.Equal(x.Shape, op.Outputs[0].Shape) {
			continue
		}
		inside := between(x, op, producers, ofNorm)
		if slices.ContainsFunc(inside, func(o *tflite.Op) bool { return o.Code == schema.BuiltinOperatorSUM }) && isL2Norm(x, op.Outputs[0], inside) {
			return x, inside
		}
	}
	return nil, nil
}

// ofNorm reports whether op may be part of an L2 norm.
func ofNorm(op *tflite.Op) bool {
	switch op.Code {
	case schema.BuiltinOperatorSUM, schema.BuiltinOperatorSQRT, schema.BuiltinOperatorRSQRT,
		schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorSQUEEZE, schema.BuiltinOperatorEXPAND_DIMS, schema.BuiltinOperatorBROADCAST_TO:
		return true
	}
	return ofEachValue(op)
}

// isL2Norm runs the ops, in their order, on vectors of three sizes.
func isL2Norm(x, y *tflite.Tensor, ops []*tflite.Op) bool {
	const most = 1e-4
	e, err := ref.New(&tflite.Model{Graphs: []*tflite.Graph{{Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{y}, Ops: ops}}})
	if err != nil {
		return false
	}
	n, r := x.Shape[len(x.Shape)-1], rand.New(rand.NewPCG(0, 0))
	for _, size := range []float32{0.01, 1, 100} {
		in := make([]float32, x.Len())
		for i := range in {
			in[i] = size * float32(r.NormFloat64())
		}
		out, err := e.Run([][]float32{in})
		if err != nil {
			return false
		}
		for at := 0; at < len(in); at += n {
			norm := 0.0
			for _, v := range in[at : at+n] {
				norm = math.Hypot(norm, float64(v))
			}
			for i := at; i < at+n; i++ {
				if !(math.Abs(float64(out[0][i])-float64(float64(in[i])/norm)) < most) {
					return false
				}
			}
		}
	}
	return true
}
