package dfq

import (
	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// lower turns the planned graph into integers: types and data of every tensor
// with a Quant, QUANTIZE where a same-scale op reads a tensor of another scale,
// DEQUANTIZE and QUANTIZE around ops that stay float. From here on the graph is
// an int8 graph, or an int16 one.
func lower(j *job) error {
	l := &lowering{
		j:           j,
		float:       map[*tflite.Tensor]*tflite.Tensor{},
		requantized: map[requantization]*tflite.Tensor{},
	}
	planned := map[*tflite.Tensor]bool{}
	for _, t := range j.graph.Tensors() {
		planned[t] = t.Quant != nil && !t.Constant() && real(t)
	}
	written := map[*tflite.Tensor]bool{} // by ops that stay float
	for op := range j.float {
		for _, t := range op.Outputs {
			written[t] = true
		}
	}
	for _, op := range j.graph.Ops {
		if j.float[op] != "" {
			l.floatOp(op, planned)
			continue
		}
		l.int8Op(op)
	}
	outputs := map[*tflite.Tensor]*tflite.Tensor{}
	for k, t := range j.graph.Outputs {
		// What a float op computes is not rounded at the boundary.
		if f := l.float[t]; f != nil && written[t] {
			if outputs[t] == nil { // the name that callers know stays outside
				f.Name, t.Name = t.Name, t.Name+j.inside()
			}
			outputs[t], j.graph.Outputs[k] = f, f
		}
	}
	j.graph.Ops = l.ops
	replaceInSignatures(j.model, outputs)
	for _, t := range j.graph.Tensors() {
		j.quantizeTensor(t)
	}
	return nil
}

type requantization struct {
	tensor *tflite.Tensor
	params affine.Params
}

type lowering struct {
	j           *job
	ops         []*tflite.Op
	float       map[*tflite.Tensor]*tflite.Tensor // float twin of an int8 tensor
	requantized map[requantization]*tflite.Tensor
}

// int8Op appends op; its inputs are brought to the output's scale where the op
// demands one scale.
func (l *lowering) int8Op(op *tflite.Op) {
	if l.j.scaleRule(op).kind == sameScale && len(op.Outputs) > 0 {
		want := op.Outputs[0].Quant
		for i, t := range op.Inputs {
			if real(t) && want != nil && t.Quant != nil && params(t.Quant) != params(want) {
				op.Inputs[i] = l.requantize(t, want)
			}
		}
	}
	l.ops = append(l.ops, op)
}

// requantize returns t at other parameters: a constant in place, an activation
// through a QUANTIZE.
func (l *lowering) requantize(t *tflite.Tensor, want *tflite.Quantization) *tflite.Tensor {
	key := requantization{t, params(want)}
	if r := l.requantized[key]; r != nil {
		return r
	}
	r := t.Clone()
	r.Quant = quantization(params(want))
	l.requantized[key] = r
	if !t.Constant() {
		r.Name = t.Name + "_requantized"
		l.ops = append(l.ops, quantizeOp(t, r))
	}
	return r
}

// floatOp appends op on float tensors, with DEQUANTIZE before and QUANTIZE
// behind where int8 ops are its neighbours.
func (l *lowering) floatOp(op *tflite.Op, planned map[*tflite.Tensor]bool) {
	for i, t := range op.Inputs {
		if !planned[t] {
			continue
		}
		f := l.float[t]
		if f == nil {
			f = floatTwin(t)
			l.float[t] = f
			l.ops = append(l.ops, dequantizeOp(t, f))
		}
		op.Inputs[i] = f
	}
	l.ops = append(l.ops, op)
	for i, t := range op.Outputs {
		if !planned[t] {
			continue
		}
		f := floatTwin(t)
		l.float[t] = f
		op.Outputs[i] = f
		l.ops = append(l.ops, quantizeOp(f, t))
	}
}

func quantizeOp(from, to *tflite.Tensor) *tflite.Op {
	return &tflite.Op{Code: schema.BuiltinOperatorQUANTIZE, Version: 1, Options: &schema.QuantizeOptionsT{},
		Inputs: []*tflite.Tensor{from}, Outputs: []*tflite.Tensor{to}}
}

func dequantizeOp(from, to *tflite.Tensor) *tflite.Op {
	return &tflite.Op{Code: schema.BuiltinOperatorDEQUANTIZE, Version: 2, Options: &schema.DequantizeOptionsT{},
		Inputs: []*tflite.Tensor{from}, Outputs: []*tflite.Tensor{to}}
}

func floatTwin(t *tflite.Tensor) *tflite.Tensor {
	f := t.Clone()
	f.Name = t.Name + "_float"
	f.Quant = nil
	return f
}

// quantizeTensor gives t the type and data that its Quant says.
func (j *job) quantizeTensor(t *tflite.Tensor) {
	if t.Quant == nil || !real(t) {
		return
	}
	switch {
	case j.weights[t] != nil:
		t.SetInt8s(j.weights[t])
	case j.biases[t] != nil && j.grid() == affine.Int16:
		t.SetInt64s(cast[int64](j.biases[t]))
	case j.biases[t] != nil:
		t.SetInt32s(j.biases[t])
	case t.Constant():
		p, q := params(t.Quant), []int32{}
		for _, x := range t.Floats() {
			q = append(q, j.grid().Quantize(p, x))
		}
		if j.grid() == affine.Int16 {
			t.SetInt16s(cast[int16](q))
		} else {
			t.SetInt8s(cast[int8](q))
		}
	default:
		t.Type = elementType(j.grid())
	}
}

// inside ends the names of tensors that a caller's tensor stands for outside.
func (j *job) inside() string { return "_" + kernelName(j.grid()) }

// replaceInSignatures points the model's signatures at tensors that took the
// place of others at the boundary.
func replaceInSignatures(m *tflite.Model, by map[*tflite.Tensor]*tflite.Tensor) {
	for _, s := range m.Signatures {
		replaceNamed(s.Inputs, by)
		replaceNamed(s.Outputs, by)
	}
}

func replaceNamed(named []tflite.NamedTensor, by map[*tflite.Tensor]*tflite.Tensor) {
	for i := range named {
		if t := by[named[i].Tensor]; t != nil {
			named[i].Tensor = t
		}
	}
}
