package dfq

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/x448/float16"

	"dfq/schema"
	"dfq/tflite"
)

// floatConstants turns constants that are stored smaller than they are used
// into FLOAT32 and drops the DEQUANTIZE ops that did so at run time. It returns
// the constants that took the place of ops' outputs.
func floatConstants(g *tflite.Graph) (map[*tflite.Tensor]*tflite.Tensor, error) {
	copies := map[*tflite.Tensor]*tflite.Tensor{}
	results := map[*tflite.Tensor]*tflite.Tensor{}
	var ops []*tflite.Op
	for _, op := range g.Ops {
		for k, t := range op.Inputs {
			if r := results[t]; r != nil {
				op.Inputs[k] = r
			}
		}
		if isStored(op) {
			c, err := floatCopy(op.Inputs[0], op.Outputs[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.Place(op), err)
			}
			results[op.Outputs[0]] = c
			continue
		}
		for _, k := range storedOperands(op) {
			t := op.Inputs[k]
			if copies[t] == nil {
				c, err := floatCopy(t, t)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", g.Place(op), err)
				}
				copies[t] = c
			}
			op.Inputs[k] = copies[t]
		}
		ops = append(ops, op)
	}
	for k, t := range g.Outputs {
		if r := results[t]; r != nil {
			g.Outputs[k] = r
		}
	}
	g.Ops = ops
	return results, nil
}

// isStored reports whether op is the DEQUANTIZE of a constant.
func isStored(op *tflite.Op) bool {
	return op.Code == schema.BuiltinOperatorDEQUANTIZE && len(op.Inputs) == 1 && len(op.Outputs) == 1 &&
		op.Inputs[0] != nil && op.Inputs[0].Constant() && real(op.Outputs[0])
}

// storedOperands lists the inputs of an op on real values that are constants of
// a smaller type: a hybrid op's weights. What a custom op does with its own is
// not known.
func storedOperands(op *tflite.Op) []int {
	if !slices.ContainsFunc(op.Outputs, real) || op.Code == schema.BuiltinOperatorCUSTOM || op.Code == schema.BuiltinOperatorDEQUANTIZE {
		return nil
	}
	inputs, _ := signature(spec(op).takes)
	kind := kinds(inputs, len(op.Inputs))
	var list []int
	for k, t := range op.Inputs {
		if t == nil || real(t) || !t.Constant() || t.Quant == nil || len(t.Quant.Scale) == 0 {
			continue
		}
		if k < len(kind) && kind[k] != 'v' {
			continue
		}
		list = append(list, k)
	}
	return list
}

// floatCopy returns a FLOAT32 copy of a float16 or quantized constant, with the
// name and shape of as.
func floatCopy(t, as *tflite.Tensor) (*tflite.Tensor, error) {
	var stored []float32
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		stored = t.Floats()
	case schema.TensorTypeFLOAT16:
		for i := 0; i+1 < len(t.Data); i += 2 {
			stored = append(stored, float16.Frombits(binary.LittleEndian.Uint16(t.Data[i:])).Float32())
		}
	case schema.TensorTypeINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(int8(b)))
		}
	case schema.TensorTypeUINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(b))
		}
	case schema.TensorTypeINT16:
		for i := 0; i+1 < len(t.Data); i += 2 {
			stored = append(stored, float32(int16(binary.LittleEndian.Uint16(t.Data[i:]))))
		}
	case schema.TensorTypeINT32, schema.TensorTypeINT64:
		for _, q := range t.Ints() {
			stored = append(stored, float32(q))
		}
	default:
		return nil, fmt.Errorf("constant %q is %s, which dfq cannot read as float", t.Name, t.Type)
	}
	if len(stored) != t.Len() || as.Len() != t.Len() {
		return nil, fmt.Errorf("constant %q of shape %v holds %d values for shape %v; sparse ones cannot be read", t.Name, t.Shape, len(stored), as.Shape)
	}
	c := t.Clone()
	c.Name, c.Shape, c.Quant = as.Name, slices.Clone(as.Shape), nil
	if q := t.Quant; q != nil && len(q.Scale) > 0 {
		scaleUp(stored, t)
	}
	c.SetFloats(stored)
	return c, nil
}

// scaleUp turns the stored numbers of t into real ones.
func scaleUp(v []float32, t *tflite.Tensor) {
	q, lay := t.Quant, layout{1, 1}
	if len(q.Scale) > 1 {
		lay = layoutOf(t, q.Axis)
	}
	for i := range v {
		c := lay.channel(i)
		zero := int64(0)
		if c < len(q.Zero) {
			zero = q.Zero[c]
		}
		v[i] = q.Scale[c] * (v[i] - float32(zero))
	}
}
