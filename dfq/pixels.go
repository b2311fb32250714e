package dfq

import (
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// takePixels takes UINT8 inputs that are read by CAST alone for the real numbers that it
// makes of them, which need no op in INT8: a step of 1 is as exact. "boundary" gives them
// their type again. From UINT8 to INT16 there is no kernel.
func takePixels(j *job) {
	j.pixels = map[*tflite.Tensor]bool{}
	if j.grid() != affine.Int8 {
		return
	}
	uses, casts := j.graph.Uses(), map[*tflite.Op]bool{}
	for _, t := range j.graph.Inputs {
		notReal := func(u tflite.Use) bool {
			return u.Op.Code != schema.BuiltinOperatorCAST || !real(u.Op.Outputs[0]) || slices.Contains(j.graph.Outputs, u.Op.Outputs[0])
		}
		if t.Type != schema.TensorTypeUINT8 || t.Quant != nil || len(uses[t]) == 0 || slices.Contains(j.graph.Outputs, t) || slices.ContainsFunc(uses[t], notReal) {
			continue
		}
		t.Type, j.pixels[t] = schema.TensorTypeFLOAT32, true
		for _, cast := range uses[t] {
			casts[cast.Op] = true
			for _, u := range uses[cast.Op.Outputs[0]] {
				u.Op.Inputs[u.Input] = t
			}
		}
	}
	removeOps(j.graph, casts)
}
