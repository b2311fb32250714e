package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// boundary gives the graph's quantized inputs and outputs the asked type. The
// tensor at the boundary keeps the name that callers know.
func boundary(j *job) error {
	if j.opts.IO != Uint8 && j.opts.IO != Float32 {
		return nil
	}
	g, inner := j.graph, elementType(j.grid())
	inputs, outputs := map[*tflite.Tensor]*tflite.Tensor{}, map[*tflite.Tensor]*tflite.Tensor{}
	ops, outward := g.Ops, quantizeOp
	if j.opts.IO == Float32 {
		outward = dequantizeOp
	}
	var before []*tflite.Op
	for k, t := range g.Inputs {
		if t.Type == inner && t.Quant != nil {
			inputs[t] = j.outerTensor(t)
			g.Inputs[k] = inputs[t]
			before = append(before, quantizeOp(inputs[t], t))
		}
	}
	for k, t := range g.Outputs {
		if t.Type != inner || t.Quant == nil {
			continue
		}
		if inputs[t] != nil { // what goes straight through is not rounded
			outputs[t] = inputs[t]
		}
		if outputs[t] == nil { // a graph may give one tensor as several outputs
			outputs[t] = j.outerTensor(t)
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
func (j *job) outerTensor(t *tflite.Tensor) *tflite.Tensor {
	o := t.Clone()
	if j.opts.IO == Float32 {
		o.Type, o.Quant = schema.TensorTypeFLOAT32, nil
		return o
	}
	p := params(t.Quant)
	p.Zero += 128
	o.Type, o.Quant = schema.TensorTypeUINT8, quantization(p)
	return o
}
