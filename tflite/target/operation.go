package target

import (
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// operation is an op with its operands told apart. Nothing in it relies on the
// op having the operands and options that its code calls for.
type operation struct {
	*tflite.Op
	data          []*tflite.Tensor // inputs that hold values: no shapes, axes, indices, weights, biases
	weights, bias *tflite.Tensor   // nil where there are none
	around        *links
}

// links tell who makes and who reads the tensors of a graph.
type links struct {
	uses      map[*tflite.Tensor][]tflite.Use
	producers map[*tflite.Tensor]*tflite.Op
	outputs   []*tflite.Tensor
}

// next returns the only op that reads the only output of op, nil if there are
// more or none.
func (l *links) next(op *tflite.Op) *tflite.Op {
	if op == nil || len(op.Outputs) != 1 || slices.Contains(l.outputs, op.Outputs[0]) {
		return nil
	}
	if uses := l.uses[op.Outputs[0]]; len(uses) == 1 {
		return uses[0].Op
	}
	return nil
}

// unpacked reports whether t is a constant of FLOAT16 in float32.
func (l *links) unpacked(t *tflite.Tensor) bool {
	op := l.producers[t]
	if op == nil || op.Code != schema.BuiltinOperatorDEQUANTIZE || len(op.Inputs) == 0 {
		return false
	}
	packed := op.Inputs[0]
	return packed != nil && packed.Constant() && packed.Type == schema.TensorTypeFLOAT16
}

// onlyShapes reports whether all that op makes are shapes for RESHAPEs that are
// taken, and operands of ops that are dropped.
func (l *links) onlyShapes(op *tflite.Op, taken, dropped map[*tflite.Op]bool) bool {
	for _, t := range op.Outputs {
		if t == nil || slices.Contains(l.outputs, t) {
			return false
		}
		for _, u := range l.uses[t] {
			shape := u.Op.Code == schema.BuiltinOperatorRESHAPE && u.Input == 1 && taken[u.Op]
			if !shape && !dropped[u.Op] {
				return false
			}
		}
	}
	return true
}

// dataInputs are the positions of the inputs that hold values, where these are
// not just input 0.
var dataInputs = map[schema.BuiltinOperator][]int{
	schema.BuiltinOperatorSPLIT:          {1},
	schema.BuiltinOperatorTRANSPOSE_CONV: {2},
	schema.BuiltinOperatorSELECT:         {1, 2},
	schema.BuiltinOperatorSELECT_V2:      {1, 2},
	schema.BuiltinOperatorFILL:           {1},
	schema.BuiltinOperatorSCATTER_ND:     {1},
	schema.BuiltinOperatorPADV2:          {0, 2},

	schema.BuiltinOperatorADD:                {0, 1},
	schema.BuiltinOperatorSUB:                {0, 1},
	schema.BuiltinOperatorMUL:                {0, 1},
	schema.BuiltinOperatorDIV:                {0, 1},
	schema.BuiltinOperatorPOW:                {0, 1},
	schema.BuiltinOperatorFLOOR_DIV:          {0, 1},
	schema.BuiltinOperatorFLOOR_MOD:          {0, 1},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {0, 1},
	schema.BuiltinOperatorMAXIMUM:            {0, 1},
	schema.BuiltinOperatorMINIMUM:            {0, 1},
	schema.BuiltinOperatorBATCH_MATMUL:       {0, 1},
	schema.BuiltinOperatorPRELU:              {0, 1},
	schema.BuiltinOperatorEQUAL:              {0, 1},
	schema.BuiltinOperatorNOT_EQUAL:          {0, 1},
	schema.BuiltinOperatorGREATER:            {0, 1},
	schema.BuiltinOperatorGREATER_EQUAL:      {0, 1},
	schema.BuiltinOperatorLESS:               {0, 1},
	schema.BuiltinOperatorLESS_EQUAL:         {0, 1},
	schema.BuiltinOperatorLOGICAL_AND:        {0, 1},
	schema.BuiltinOperatorLOGICAL_OR:         {0, 1},
}

func newOperation(op *tflite.Op, around *links) *operation {
	o := &operation{Op: op, around: around}
	positions, ok := dataInputs[op.Code]
	if !ok {
		positions = []int{0}
	}
	switch op.Code {
	case schema.BuiltinOperatorCONV_2D, schema.BuiltinOperatorDEPTHWISE_CONV_2D, schema.BuiltinOperatorFULLY_CONNECTED:
		o.weights, o.bias = o.input(1), o.input(2)
	case schema.BuiltinOperatorTRANSPOSE_CONV:
		o.weights, o.bias = o.input(1), o.input(3)
	case schema.BuiltinOperatorCONCATENATION, schema.BuiltinOperatorPACK, schema.BuiltinOperatorADD_N:
		o.data = slices.DeleteFunc(slices.Clone(op.Inputs), func(t *tflite.Tensor) bool { return t == nil })
		return o
	}
	for _, i := range positions {
		if t := o.input(i); t != nil {
			o.data = append(o.data, t)
		}
	}
	return o
}

// input returns input i, nil if there is none.
func (o *operation) input(i int) *tflite.Tensor {
	if i < len(o.Inputs) {
		return o.Inputs[i]
	}
	return nil
}

// x is the first data input, y the first output: nil if there is none.
func (o *operation) x() *tflite.Tensor { return first(o.data) }
func (o *operation) y() *tflite.Tensor { return first(o.Outputs) }

func first(ts []*tflite.Tensor) *tflite.Tensor {
	if len(ts) > 0 {
		return ts[0]
	}
	return nil
}

// tensors are all operands that are there.
func (o *operation) tensors() []*tflite.Tensor {
	return slices.DeleteFunc(slices.Concat(o.Inputs, o.Outputs), func(t *tflite.Tensor) bool { return t == nil })
}

// values are the data inputs and the outputs.
func (o *operation) values() []*tflite.Tensor {
	return slices.DeleteFunc(slices.Concat(o.data, o.Outputs), func(t *tflite.Tensor) bool { return t == nil })
}

// ints returns the values of a constant integer input; ok is false if it is
// not one.
func (o *operation) ints(i int) (v []int, ok bool) {
	t := o.input(i)
	if t == nil || !t.Constant() || t.Type != schema.TensorTypeINT32 && t.Type != schema.TensorTypeINT64 {
		return nil, false
	}
	return t.Ints(), true
}

// axes returns the values of a constant axis input, counted from the front.
func (o *operation) axes(i int) []int {
	v, _ := o.ints(i)
	if x := o.x(); x != nil {
		for k := range v {
			if v[k] < 0 {
				v[k] += len(x.Shape)
			}
		}
	}
	return v
}

// quantOf returns a tensor's one scale and zero point. ok is false if it has
// none or several.
func quantOf(t *tflite.Tensor) (scale float32, zero int64, ok bool) {
	if t == nil || t.Quant == nil || len(t.Quant.Scale) != 1 || len(t.Quant.Zero) != 1 {
		return 0, 0, false
	}
	return t.Quant.Scale[0], t.Quant.Zero[0], true
}

// convertsBoundary reports whether the op stands between the graph's inputs or
// outputs and what is computed, since these are of another type.
func (o *operation) convertsBoundary() bool {
	x, y := o.x(), o.y()
	if o.Code != schema.BuiltinOperatorQUANTIZE && o.Code != schema.BuiltinOperatorDEQUANTIZE || x == nil || y == nil {
		return false
	}
	return (f32|u8).has(x.Type) && o.around.producers[x] == nil && !x.Constant() ||
		(f32|u8).has(y.Type) && slices.Contains(o.around.outputs, y)
}

// integer reports whether t holds quantized values.
func integer(t *tflite.Tensor) bool { return (i8 | u8 | i16).has(t.Type) }

// sameScale finds a value whose quantization is not that of the others.
func (o *operation) sameScale() fault {
	values := slices.DeleteFunc(o.values(), func(t *tflite.Tensor) bool { return !integer(t) })
	for _, t := range values {
		s, z, ok := quantOf(t)
		s0, z0, ok0 := quantOf(values[0])
		if ok && ok0 && (s != s0 || z != z0) {
			return faultf(t, "scale %g and zero point %d are not the %g and %d of %q", s, z, s0, z0, values[0].Name)
		}
	}
	return fault{}
}

// dims writes a shape as 1x2x3.
func dims(shape []int) string {
	s := ""
	for i, d := range shape {
		if i > 0 {
			s += "x"
		}
		s += fmt.Sprint(d)
	}
	return s
}
