package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// boundary gives the graph's quantized inputs and outputs the asked type. The
// tensor at the boundary keeps the name that callers know.
func boundary(j *job) error {
	if j.opts.IO == Int8 {
		return nil
	}
	g := j.graph
	outer := map[*tflite.Tensor]*tflite.Tensor{}
	var before, behind []*tflite.Op
	for k, t := range g.Inputs {
		if t.Type == schema.TensorTypeINT8 && t.Quant != nil {
			o := j.outerTensor(t)
			outer[t] = o
			g.Inputs[k] = o
			before = append(before, conversion(o, t))
		}
	}
	for k, t := range g.Outputs {
		if t.Type == schema.TensorTypeINT8 && t.Quant != nil {
			o := j.outerTensor(t)
			outer[t] = o
			g.Outputs[k] = o
			behind = append(behind, conversion(t, o))
		}
	}
	replaceInSignatures(j.model, outer)
	g.Ops = append(append(before, g.Ops...), behind...)
	return nil
}

// outerTensor makes the tensor that callers see in t's place.
func (j *job) outerTensor(t *tflite.Tensor) *tflite.Tensor {
	o := t.Clone()
	t.Name += "_int8"
	if j.opts.IO == Float32 {
		o.Type, o.Quant = schema.TensorTypeFLOAT32, nil
		return o
	}
	p := params(t.Quant)
	p.Zero += 128
	o.Type, o.Quant = schema.TensorTypeUINT8, quantization(p)
	return o
}

// conversion is the op that turns one boundary type into the other.
func conversion(from, to *tflite.Tensor) *tflite.Op {
	op := &tflite.Op{Code: schema.BuiltinOperatorQUANTIZE, Version: 1, Options: &schema.QuantizeOptionsT{},
		Inputs: []*tflite.Tensor{from}, Outputs: []*tflite.Tensor{to}}
	if to.Type == schema.TensorTypeFLOAT32 {
		op.Code, op.Version, op.Options = schema.BuiltinOperatorDEQUANTIZE, 2, &schema.DequantizeOptionsT{}
	}
	return op
}
