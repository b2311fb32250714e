//go:build tflite

package interp

import (
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// variablesOf are the handles of variables that nothing but their operators touch.
func variablesOf(g *tflite.Graph) map[*tflite.Tensor]bool {
	handles := map[*tflite.Tensor]bool{}
	for _, op := range g.Ops {
		if op.Code == schema.BuiltinOperatorVAR_HANDLE && len(op.Inputs) == 0 && len(op.Outputs) == 1 {
			handles[op.Outputs[0]] = true
		}
	}
	for _, op := range g.Ops {
		for i, t := range op.Inputs {
			if i > 0 || op.Code != schema.BuiltinOperatorREAD_VARIABLE && op.Code != schema.BuiltinOperatorASSIGN_VARIABLE {
				delete(handles, t)
			}
		}
	}
	for _, t := range slices.Concat(g.Inputs, g.Outputs) {
		delete(handles, t)
	}
	return handles
}

// remembers reports whether a model has variables, which keep their values from run to run.
func remembers(m *tflite.Model) bool {
	return slices.ContainsFunc(m.Graphs, func(g *tflite.Graph) bool { return len(variablesOf(g)) > 0 })
}

// checkVariables refuses variables that are read in another shape than they are assigned
// in: readers take as many values as the file says.
func checkVariables(m *tflite.Model) error {
	shapes := map[schema.VarHandleOptionsT][]int{}
	for _, g := range m.Graphs {
		names := map[*tflite.Tensor]schema.VarHandleOptionsT{}
		for _, op := range g.Ops {
			var value *tflite.Tensor
			switch o, ok := op.Options.(*schema.VarHandleOptionsT); {
			case ok && len(op.Outputs) == 1:
				names[op.Outputs[0]] = *o
			case op.Code == schema.BuiltinOperatorREAD_VARIABLE && len(op.Inputs) == 1 && len(op.Outputs) == 1:
				value = op.Outputs[0]
			case op.Code == schema.BuiltinOperatorASSIGN_VARIABLE && len(op.Inputs) == 2:
				value = op.Inputs[1]
			}
			if value == nil {
				continue
			}
			name, ok := names[op.Inputs[0]]
			if !ok {
				continue // of such a handle nothing is known: it is refused
			}
			if shape, ok := shapes[name]; ok && !slices.Equal(shape, value.Shape) {
				return fmt.Errorf("%s: variable %q of shape %v, elsewhere of %v", g.Place(op), name.SharedName, value.Shape, shape)
			}
			shapes[name] = value.Shape
		}
	}
	return nil
}
