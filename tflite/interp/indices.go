//go:build tflite

package interp

import (
	"fmt"
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// checkIndices refuses constant indices outside of what they pick from or write to.
func checkIndices(g *tflite.Graph, op *tflite.Op) error {
	indices, depth, bounds := indicesOf(g, op)
	if indices == nil || !indices.Constant() {
		return nil
	}
	return inBounds(indices.Name, indices.Ints(), depth, bounds)
}

// inBounds refuses indices, of so many entries each, that are negative or not below the
// bounds of these.
func inBounds[T int | float32](name string, indices []T, depth int, bounds []int) error {
	for i, v := range indices {
		k := i % depth
		switch {
		case v < 0:
			return fmt.Errorf("index %v in %q is negative", v, name)
		case k < len(bounds) && float64(v) >= float64(bounds[k]):
			return fmt.Errorf("index %v in %q is not below %d", v, name, bounds[k])
		}
	}
	return nil
}

// givenIndices is an input whose values an operator takes for indices.
type givenIndices struct {
	input, depth int
	bounds       []int
	place        string // of the operator
}

// indexInputs lists the inputs of a graph that are indices.
func indexInputs(g *tflite.Graph) []givenIndices {
	var list []givenIndices
	for _, op := range g.Ops {
		if indices, depth, bounds := indicesOf(g, op); indices != nil {
			if k := slices.Index(g.Inputs, indices); k >= 0 && depth > 0 {
				list = append(list, givenIndices{k, depth, bounds, g.Place(op)})
			}
		}
	}
	return list
}

// indicesOf returns the indices that op's kernel does not look at enough, nil if
// there are none: how many entries each has, and the bounds of these as far as
// the file has them.
func indicesOf(g *tflite.Graph, op *tflite.Op) (indices *tflite.Tensor, depth int, bounds []int) {
	of, at := 0, 1 // the inputs with the bounds, and with the indices
	switch op.Code {
	case schema.BuiltinOperatorGATHER, schema.BuiltinOperatorGATHER_ND, schema.BuiltinOperatorSLICE:
	case schema.BuiltinOperatorSCATTER_ND:
		of, at = 2, 0
	case schema.BuiltinOperatorSPARSE_TO_DENSE:
		of, at = 1, 0
	default:
		return nil, 0, nil
	}
	if len(op.Inputs) <= max(of, at) {
		return nil, 0, nil // which the C library sees
	}
	indices, depth = op.Inputs[at], 1
	if n := len(indices.Shape); n > 1 || n == 1 && op.Code != schema.BuiltinOperatorSPARSE_TO_DENSE {
		depth = indices.Shape[n-1]
	}
	switch op.Code {
	case schema.BuiltinOperatorGATHER:
		depth, bounds = 1, fixed(g, op.Inputs[of])
		axis := 0
		if o, _ := op.Options.(*schema.GatherOptionsT); o != nil {
			axis = int(o.Axis)
		}
		if axis < 0 {
			axis += len(bounds)
		}
		if axis < 0 || axis >= len(bounds) {
			return indices, depth, nil
		}
		bounds = bounds[axis : axis+1]
	case schema.BuiltinOperatorGATHER_ND:
		bounds = fixed(g, op.Inputs[of])
	case schema.BuiltinOperatorSCATTER_ND, schema.BuiltinOperatorSPARSE_TO_DENSE:
		bounds = op.Inputs[of].Ints()
	}
	return indices, depth, bounds
}

// fixed is t's shape; dimensions that other operators may make larger than the
// file says have no bound.
func fixed(g *tflite.Graph, t *tflite.Tensor) []int {
	shape := slices.Clone(t.Shape)
	if t.Constant() || slices.Contains(g.Inputs, t) {
		return shape
	}
	for i := range shape {
		if shape[i] == 0 || i < len(t.Signature) && t.Signature[i] < 0 {
			shape[i] = math.MaxInt
		}
	}
	return shape
}
