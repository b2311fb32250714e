package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// writeReciprocalRoots writes x / √s as x · RSQRT(s) where DIV or SQRT have no INT8 form, as
// up to TensorFlow Lite 2.9: norms of embeddings and of layers. POW by ½ is a root as well, and POW
// by −½ its reciprocal. What bounds a root from below bounds its reciprocal from above.
func writeReciprocalRoots(j *job) {
	links, dropped := linksOf(j.graph), map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		switch {
		case isPower(op, -0.5) && j.whyFloat(op, links.producers) != "":
			if r := reciprocalRoot(op); j.whyFloat(r, links.producers) == "" {
				*op = *r
			}
		case op.Code == schema.BuiltinOperatorDIV && len(op.Inputs) == 2:
			path := rootUnder(op.Inputs[1], links)
			if path == nil || j.whyFloat(op, links.producers) == "" && j.whyFloat(path[0], links.producers) == "" {
				continue
			}
			product := *op
			product.Code, product.Version, product.Options = schema.BuiltinOperatorMUL, 1, &schema.MulOptionsT{FusedActivationFunction: op.Activation()}
			root, last := reciprocalRoot(path[0]), path[len(path)-1]
			if j.whyFloat(root, links.producers) != "" || j.whyFloat(&product, links.producers) != "" {
				continue
			}
			*path[0] = *root
			for _, p := range path {
				p.Outputs[0].Name += "_reciprocal" // it holds other values than the file's
				invertBound(p)
			}
			if isOne(op.Inputs[0]) && !fusedActivation(op) && slices.Equal(last.Outputs[0].Shape, op.Outputs[0].Shape) {
				last.Outputs, dropped[op] = op.Outputs, true
				continue
			}
			*op = product
		}
	}
	j.graph.Ops = slices.DeleteFunc(j.graph.Ops, func(op *tflite.Op) bool { return dropped[op] })
}

// rootUnder lists the ops from a root to t, which bound it or change its shape; nil if t is no
// root, or if it is read elsewhere as well.
func rootUnder(t *tflite.Tensor, links *links) []*tflite.Op {
	op := links.alone(t)
	if op == nil || !real(t) {
		return nil
	}
	switch op.Code {
	case schema.BuiltinOperatorSQRT:
		return []*tflite.Op{op}
	case schema.BuiltinOperatorPOW:
		if isPower(op, 0.5) {
			return []*tflite.Op{op}
		}
		return nil
	case schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorMINIMUM:
		if boundOf(op) == nil {
			return nil
		}
	case schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorSQUEEZE, schema.BuiltinOperatorEXPAND_DIMS, schema.BuiltinOperatorBROADCAST_TO:
	default:
		return nil
	}
	k := slices.IndexFunc(op.Inputs, func(t *tflite.Tensor) bool { return !t.Constant() })
	if k < 0 {
		return nil
	}
	path := rootUnder(op.Inputs[k], links)
	if path == nil {
		return nil
	}
	return append(path, op)
}

// isPower reports whether op raises real numbers to a power.
func isPower(op *tflite.Op, power float32) bool {
	return op.Code == schema.BuiltinOperatorPOW && len(op.Inputs) == 2 && real(op.Inputs[0]) && finiteConstant(op.Inputs[1]) &&
		slices.Equal(op.Inputs[0].Shape, op.Outputs[0].Shape) &&
		!slices.ContainsFunc(op.Inputs[1].Floats(), func(p float32) bool { return p != power })
}

func reciprocalRoot(op *tflite.Op) *tflite.Op {
	return &tflite.Op{Code: schema.BuiltinOperatorRSQRT, Version: 1, Inputs: op.Inputs[:1], Outputs: op.Outputs}
}

// boundOf is the constant of a MAXIMUM or MINIMUM, if it and its reciprocal are positive numbers.
func boundOf(op *tflite.Op) *tflite.Tensor {
	for _, t := range op.Inputs {
		if t.Constant() && !slices.ContainsFunc(t.Floats(), func(v float32) bool { return !(v > 0) || notFinite(v) || notFinite(1/v) }) {
			return t
		}
	}
	return nil
}

// invertBound turns a MAXIMUM or MINIMUM around, and leaves other ops.
func invertBound(op *tflite.Op) {
	switch op.Code {
	case schema.BuiltinOperatorMAXIMUM:
		op.Code = schema.BuiltinOperatorMINIMUM
	case schema.BuiltinOperatorMINIMUM:
		op.Code = schema.BuiltinOperatorMAXIMUM
	default:
		return
	}
	bound := boundOf(op)
	v := slices.Clone(bound.Floats())
	for i := range v {
		v[i] = 1 / v[i]
	}
	bound.SetFloats(v)
}

func isOne(t *tflite.Tensor) bool { return t.Constant() && sameThroughout(t) && t.Floats()[0] == 1 }
