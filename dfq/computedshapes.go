package dfq

import (
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// Where a batch is open, exporters have the graph compute shapes as it runs: SHAPE of a
// tensor, the batch out of it, PACK with what is known, RESHAPE. XNNPACK and NPUs take no
// shape that is computed.

// knowShapes records the shapes that tensors have when the graph runs, and makes constants of
// what can be computed from constants and shapes. Targets that want to know the batch get it, and
// so do those that could not compute what then still depends on it.
func (j *job) knowShapes() error {
	g := j.graph
	if j.limits.FixedBatch() {
		fixBatch(g)
	}
	for {
		ref.Fold(g)
		stated := cloneShapes(g.Outputs)
		shapes, integers := ref.ShapesAndIntegers(g)
		shapesThere, integersThere := elsewhere(g)
		if err := trueShapes(g, shapes, shapesThere); err != nil {
			return err
		}
		for k, t := range g.Outputs {
			if len(t.Signature) == 0 && !slices.Equal(t.Shape, stated[k]) {
				j.report.warn("output %q has the shape %v, not %v as the file says", t.Name, t.Shape, stated[k])
			}
		}
		listShapes(g, integers, integersThere)
		removeDeadOps(g)
		computes := slices.ContainsFunc(g.Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorSHAPE })
		if !computes || j.limits.Takes(schema.BuiltinOperatorSHAPE) || !fixBatch(g) {
			return nil
		}
	}
}

// fixBatch makes 1, or whatever number a shape has there, of each batch that is open. It
// reports whether an input's was.
func fixBatch(g *tflite.Graph) (changed bool) {
	for _, t := range g.Tensors() {
		if len(t.Shape) == 0 || !t.IsOpen(0) {
			continue
		}
		changed = changed || slices.Contains(g.Inputs, t)
		t.Signature = slices.Clone(t.Signature) // clones share it
		t.Signature[0] = t.Shape[0]
		if slices.Equal(t.Signature, t.Shape) {
			t.Signature = nil
		}
	}
	return changed
}

// listShapes gives ops on real values constants for the lists of integers that they read,
// where these are the same at all sizes that the inputs leave open. In the list of a RESHAPE one
// may differ, and is -1. here and elsewhere are the integers that the graph computes at two sizes.
func listShapes(g *tflite.Graph, here, elsewhere map[*tflite.Tensor][]int64) {
	grows := growing(g)
	for _, op := range g.Ops {
		if !slices.ContainsFunc(op.Outputs, real) {
			continue
		}
		for k, t := range op.Inputs {
			switch a, b := here[t], elsewhere[t]; {
			case !grows[t] || len(a) == 0 || len(a) != len(b):
			case slices.Equal(a, b):
				op.Inputs[k] = integersLike(t, a)
			case op.Code == schema.BuiltinOperatorRESHAPE && k == 1 && op.Outputs[0].Len() > 0:
				toReshape(op)
			}
		}
	}
}

// growing are the integers that become no less if any length does: such as are the same at two
// sizes are so at every size.
func growing(g *tflite.Graph) map[*tflite.Tensor]bool {
	grows := map[*tflite.Tensor]bool{}
	all := func(ts []*tflite.Tensor) bool {
		return !slices.ContainsFunc(ts, func(t *tflite.Tensor) bool { return t != nil && !t.Constant() && !grows[t] })
	}
	known := func(ts []*tflite.Tensor) bool {
		return !slices.ContainsFunc(ts, func(t *tflite.Tensor) bool { return t != nil && !t.Constant() })
	}
	for _, op := range g.Ops {
		ok := false
		switch op.Code {
		case schema.BuiltinOperatorSHAPE, schema.BuiltinOperatorRANK:
			ok = true
		case schema.BuiltinOperatorPACK, schema.BuiltinOperatorCONCATENATION, schema.BuiltinOperatorADD, schema.BuiltinOperatorMUL:
			ok = all(op.Inputs)
		case schema.BuiltinOperatorSPLIT:
			ok = known(op.Inputs[:1]) && all(op.Inputs[1:])
		case schema.BuiltinOperatorSTRIDED_SLICE, schema.BuiltinOperatorSLICE, schema.BuiltinOperatorGATHER, schema.BuiltinOperatorUNPACK, schema.BuiltinOperatorCAST,
			schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorSQUEEZE, schema.BuiltinOperatorEXPAND_DIMS, schema.BuiltinOperatorREDUCE_PROD:
			ok = all(op.Inputs[:1]) && known(op.Inputs[1:])
		}
		for _, t := range op.Outputs {
			grows[t] = ok
		}
	}
	return grows
}

// integersLike is a constant with the name, type and shape of t.
func integersLike(t *tflite.Tensor, v []int64) *tflite.Tensor {
	c := t.Clone()
	if t.Type == schema.TensorTypeINT64 {
		c.SetInt64s(v)
		return c
	}
	c.SetInt32s(cast[int32](v))
	return c
}
