//go:build tflite

package interp

import (
	"fmt"

	"dfq/schema"
	"dfq/tflite"
)

// checkMemory refuses a model for whose tensors the C library would ask for more
// memory than dfq gives any: a request that is not met ends the process.
// Constants stay where the file is.
func checkMemory(m *tflite.Model) error {
	total, most := 0.0, 0.0
	var largest *tflite.Tensor
	count := func(t *tflite.Tensor, n float64) {
		if total += n; n > most {
			largest, most = t, n
		}
	}
	for _, g := range m.Graphs {
		for _, t := range g.Tensors() {
			if !t.Constant() {
				count(t, float64(t.Len()))
			}
		}
		for _, op := range g.Ops {
			if len(op.Outputs) == 0 || op.Outputs[0] == nil {
				continue
			}
			out := op.Outputs[0]
			if n := outputSize(op); n > float64(out.Len()) {
				count(out, n-float64(out.Len()))
			}
			if n := columns(op); n > maxColumns {
				return fmt.Errorf("%s: its kernel lays out %.0f elements: more than %d are not run here", g.Place(op), n, maxColumns)
			}
		}
	}
	if total > tflite.MaxElements {
		return fmt.Errorf("the model's tensors have %.0f elements, %.0f of them in %q: more than %d are not run here", total, most, largest.Name, tflite.MaxElements)
	}
	return nil
}

// outputSize is the number of elements of op's output, 0 unless constants
// determine it: the shape in the file may be another.
func outputSize(op *tflite.Op) float64 {
	var x []int // the shape of what most of these enlarge
	if len(op.Inputs) > 0 && op.Inputs[0] != nil {
		x = op.Inputs[0].Shape
	}
	switch op.Code {
	case schema.BuiltinOperatorFILL, schema.BuiltinOperatorTRANSPOSE_CONV:
		return product(numbers(op, 0))
	case schema.BuiltinOperatorBROADCAST_TO, schema.BuiltinOperatorSPARSE_TO_DENSE:
		return product(numbers(op, 1))
	case schema.BuiltinOperatorSCATTER_ND:
		return product(numbers(op, 2))
	case schema.BuiltinOperatorTILE, schema.BuiltinOperatorONE_HOT:
		n := product(numbers(op, 1))
		for _, d := range x {
			n *= float64(d)
		}
		return n
	case schema.BuiltinOperatorRESIZE_BILINEAR, schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR:
		if len(x) == 4 {
			return float64(x[0]*x[3]) * product(numbers(op, 1))
		}
	case schema.BuiltinOperatorPAD, schema.BuiltinOperatorPADV2, schema.BuiltinOperatorMIRROR_PAD:
		sides := numbers(op, 1)
		if len(sides) != 2*len(x) {
			return 0
		}
		padded := make([]float64, len(x))
		for i, d := range x {
			padded[i] = sides[2*i] + float64(d) + sides[2*i+1]
		}
		return product(padded)
	case schema.BuiltinOperatorRANGE:
		if from, to, step := numbers(op, 0), numbers(op, 1), numbers(op, 2); len(from) == 1 && len(to) == 1 && len(step) == 1 {
			return (to[0] - from[0]) / step[0]
		}
	}
	return 0
}

// numbers are the values of a constant input, nil if it is none.
func numbers(op *tflite.Op, input int) (v []float64) {
	if input >= len(op.Inputs) || op.Inputs[input] == nil {
		return nil
	}
	t := op.Inputs[input]
	for _, n := range t.Ints() {
		v = append(v, float64(n))
	}
	if t.Type == schema.TensorTypeFLOAT32 {
		for _, x := range t.Floats() {
			v = append(v, float64(x))
		}
	}
	return v
}

// product is 0 of nothing.
func product(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	n := 1.0
	for _, x := range v {
		n *= x
	}
	return n
}

// maxColumns bounds what the kernel of one convolution lays out. Tensors that are
// not too large can ask for any multiple of their size.
const maxColumns = 4 * tflite.MaxElements

// columns is the number of elements of the matrix that a convolution's kernel
// multiplies by: what each place of the filter sees.
func columns(op *tflite.Op) float64 {
	var t *tflite.Tensor // which has a pixel for each place
	switch {
	case op.Code == schema.BuiltinOperatorCONV_2D && len(op.Inputs) > 1:
		t = op.Outputs[0]
	case op.Code == schema.BuiltinOperatorTRANSPOSE_CONV && len(op.Inputs) > 2:
		t = op.Inputs[2]
	}
	if t == nil || op.Inputs[1] == nil || len(t.Shape) != 4 || t.Shape[3] == 0 {
		return 0
	}
	channels := float64(t.Shape[3])
	return float64(t.Len()) / channels * float64(op.Inputs[1].Len()) / channels
}
