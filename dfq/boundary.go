package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// boundary gives the graph's quantized inputs and outputs the asked type, and pixels
// theirs. The tensor at the boundary keeps the name that callers know.
func boundary(j *job) error {
	g, inner := j.graph, elementType(j.grid())
	inputs, outputs := map[*tflite.Tensor]*tflite.Tensor{}, map[*tflite.Tensor]*tflite.Tensor{}
	ops, outward := g.Ops, quantizeOp
	if j.opts.IO == Float32 {
		outward = dequantizeOp
	}
	outer := func(t *tflite.Tensor, io IOType) bool {
		return t.Type == inner && t.Quant != nil && (io == Uint8 || io == Float32)
	}
	var before []*tflite.Op
	for k, t := range g.Inputs {
		io := j.opts.IO
		if j.pixels[t] && io != Int8 {
			io = Uint8
		}
		switch {
		case j.pixels[t] && real(t): // nothing of INT8 reads it
			inputs[t] = t.Clone()
			inputs[t].Type = schema.TensorTypeUINT8
			before = append(before, &tflite.Op{Code: schema.BuiltinOperatorCAST, Version: 1,
				Options: &schema.CastOptionsT{InDataType: schema.TensorTypeUINT8, OutDataType: schema.TensorTypeFLOAT32},
				Inputs:  []*tflite.Tensor{inputs[t]}, Outputs: []*tflite.Tensor{t}})
		case outer(t, io):
			inputs[t] = outerTensor(t, io)
			before = append(before, quantizeOp(inputs[t], t))
		default:
			continue
		}
		g.Inputs[k] = inputs[t]
	}
	for k, t := range g.Outputs {
		if !outer(t, j.opts.IO) {
			continue
		}
		if inputs[t] != nil { // what goes straight through is not rounded
			outputs[t] = inputs[t]
		}
		if outputs[t] == nil { // a graph may give one tensor as several outputs
			outputs[t] = outerTensor(t, j.opts.IO)
			ops = append(ops, outward(t, outputs[t]))
		}
		g.Outputs[k] = outputs[t]
	}
	g.Ops = append(before, ops...)
	for _, t := range g.Tensors() {
		if inputs[t] != nil || outputs[t] != nil {
			t.Name += j.inside()
		}
	}
	for _, s := range j.model.Signatures {
		replaceNamed(s.Inputs, inputs)
		replaceNamed(s.Outputs, outputs)
	}
	return nil
}

// outerTensor makes the tensor that callers see in t's place.
func outerTensor(t *tflite.Tensor, io IOType) *tflite.Tensor {
	o := t.Clone()
	if io == Float32 {
		o.Type, o.Quant = schema.TensorTypeFLOAT32, nil
		return o
	}
	p := params(t.Quant)
	p.Zero += 128
	o.Type, o.Quant = schema.TensorTypeUINT8, quantization(p)
	return o
}
