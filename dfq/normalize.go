package dfq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// ErrQuantized is the error for a model that is quantized already.
var ErrQuantized = errors.New("the model is quantized already; dfq starts from the float model it was made from")

// normalize brings a float graph into the one form that the other passes know.
//
// Before: constants stored as float16 or int8, shapes computed at run time,
// activations as ops of their own, filters without bias, shared constants.
// After: every real constant is FLOAT32 and has one reader; what can be computed
// from constants is; RELU-like ops are fused into their producer; every weighted
// op has a bias. The function that the graph computes is the same.
func normalize(j *job) error {
	if t := quantizedActivation(j.graph); t != nil {
		return fmt.Errorf("tensor %q is %s: %w", t.Name, schema.EnumNamesTensorType[t.Type], ErrQuantized)
	}
	for _, g := range j.model.Graphs {
		if err := floatConstants(g); err != nil {
			return err
		}
	}
	g := j.graph
	ref.Fold(g)
	removeDeadOps(g)
	unshareConstants(g)
	j.report.Fused = fuseActivations(g)
	return explicitBiases(g)
}

// quantizedActivation returns an activation that holds quantized values, or nil.
func quantizedActivation(g *tflite.Graph) *tflite.Tensor {
	producers := g.Producers()
	for _, t := range g.Tensors() {
		switch t.Type {
		case schema.TensorTypeINT8, schema.TensorTypeUINT8, schema.TensorTypeINT16:
			if t.Quant != nil && !t.Constant() && (producers[t] != nil || slices.Contains(g.Inputs, t)) {
				return t
			}
		}
	}
	return nil
}

// floatConstants turns constants that are stored smaller than they are used
// into FLOAT32 and drops the DEQUANTIZE ops that did so at run time.
func floatConstants(g *tflite.Graph) error {
	replace := map[*tflite.Tensor]*tflite.Tensor{}
	var ops []*tflite.Op
	for i, op := range g.Ops {
		for k, t := range op.Inputs {
			if r := replace[t]; r != nil {
				op.Inputs[k] = r
			}
		}
		if op.Code == schema.BuiltinOperatorDEQUANTIZE && op.Inputs[0].Constant() {
			c, err := floatCopy(op.Inputs[0])
			if err != nil {
				return fmt.Errorf("%s: %w", g.Place(g.Ops[i]), err)
			}
			out := op.Outputs[0]
			c.Name, c.Shape = out.Name, out.Shape
			replace[out] = c
			continue
		}
		if op.Code != schema.BuiltinOperatorDEQUANTIZE {
			for k, t := range op.Inputs {
				if t == nil || !t.Constant() || t.Quant == nil || !realOutput(op) || len(t.Quant.Scale) == 0 {
					continue
				}
				c, err := floatCopy(t)
				if err != nil {
					return fmt.Errorf("%s: %w", g.Place(op), err)
				}
				replace[t] = c
				op.Inputs[k] = c
			}
		}
		ops = append(ops, op)
	}
	for k, t := range g.Outputs {
		if r := replace[t]; r != nil {
			g.Outputs[k] = r
		}
	}
	g.Ops = ops
	return nil
}

func realOutput(op *tflite.Op) bool { return slices.ContainsFunc(op.Outputs, real) }

// floatCopy returns a FLOAT32 copy of a float16 or quantized constant.
func floatCopy(t *tflite.Tensor) (*tflite.Tensor, error) {
	var stored []float32
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		return t, nil
	case schema.TensorTypeFLOAT16:
		for i := 0; i+1 < len(t.Data); i += 2 {
			stored = append(stored, float16(binary.LittleEndian.Uint16(t.Data[i:])))
		}
	case schema.TensorTypeINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(int8(b)))
		}
	case schema.TensorTypeUINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(b))
		}
	case schema.TensorTypeINT32:
		for _, q := range t.Ints() {
			stored = append(stored, float32(q))
		}
	default:
		return nil, fmt.Errorf("constant %q is %s, which dfq cannot read as float", t.Name, schema.EnumNamesTensorType[t.Type])
	}
	c := t.Clone()
	c.Quant = nil
	if q := t.Quant; q != nil && len(q.Scale) > 0 {
		inner := 1 // elements between two steps of the quantized axis
		for _, d := range t.Shape[min(q.Axis+1, len(t.Shape)):] {
			inner *= d
		}
		for i := range stored {
			ch := 0
			if len(q.Scale) > 1 {
				ch = i / inner % len(q.Scale)
			}
			zero := int64(0)
			if len(q.Zero) > 0 {
				zero = q.Zero[min(ch, len(q.Zero)-1)]
			}
			stored[i] = q.Scale[ch] * (stored[i] - float32(zero))
		}
	}
	c.SetFloats(stored)
	return c, nil
}

// float16 widens an IEEE 754 binary16 number.
func float16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, int(h>>10&31), uint32(h&1023)
	switch exp {
	case 0:
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | uint32(exp+127-15)<<23 | frac<<13)
}

// removeDeadOps drops ops whose outputs nobody reads. Ops without outputs, and
// custom or stateful ones, may have effects and stay.
func removeDeadOps(g *tflite.Graph) {
	live := map[*tflite.Tensor]bool{}
	for _, t := range g.Outputs {
		live[t] = true
	}
	var ops []*tflite.Op
	for _, op := range slices.Backward(g.Ops) {
		needed := spec(op).versions == nil
		for _, t := range op.Outputs {
			needed = needed || live[t]
		}
		if !needed {
			continue
		}
		for _, t := range op.Inputs {
			live[t] = true
		}
		ops = append(ops, op)
	}
	slices.Reverse(ops)
	g.Ops = ops
}

// unshareConstants gives every reader its own copy of a real constant, since
// two readers may want two scales. Encode stores equal bytes once.
func unshareConstants(g *tflite.Graph) {
	taken := map[*tflite.Tensor]bool{}
	for _, t := range g.Outputs {
		taken[t] = true
	}
	for _, op := range g.Ops {
		for i, t := range op.Inputs {
			if !real(t) || !t.Constant() {
				continue
			}
			if taken[t] {
				c := t.Clone()
				c.Name = fmt.Sprintf("%s_copy%d", t.Name, i)
				op.Inputs[i] = c
			}
			taken[t] = true
		}
	}
}

// fuseActivations moves RELU, RELU6 and RELU_N1_TO_1 ops into the op before
// where it is their only input's producer and has none yet, and drops those
// that cut nothing any more. An int8 tensor then need not spend half its range
// on values that are cut away next. It returns how many ops went.
func fuseActivations(g *tflite.Graph) int {
	fused := 0
	producers, uses := g.Producers(), g.Uses()
	var ops []*tflite.Op
	for _, op := range g.Ops {
		act, ok := standalone[op.Code]
		if !ok || !real(op.Inputs[0]) {
			ops = append(ops, op)
			continue
		}
		in := op.Inputs[0]
		before := producers[in]
		if before == nil || !fusable[before.Code] || len(uses[in]) != 1 || slices.Contains(g.Outputs, in) {
			ops = append(ops, op)
			continue
		}
		both, ok := composed(activation(before), act)
		if !ok {
			ops = append(ops, op)
			continue
		}
		before.Options = withActivation(before.Options, both)
		before.Outputs[0] = op.Outputs[0]
		producers[op.Outputs[0]] = before
		fused++
	}
	g.Ops = ops
	return fused
}

var standalone = map[schema.BuiltinOperator]schema.ActivationFunctionType{
	schema.BuiltinOperatorRELU:         schema.ActivationFunctionTypeRELU,
	schema.BuiltinOperatorRELU6:        schema.ActivationFunctionTypeRELU6,
	schema.BuiltinOperatorRELU_N1_TO_1: schema.ActivationFunctionTypeRELU_N1_TO_1,
}

// fusable are the ops whose int8 kernels all know a fused activation.
var fusable = map[schema.BuiltinOperator]bool{
	schema.BuiltinOperatorCONV_2D:           true,
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: true,
	schema.BuiltinOperatorFULLY_CONNECTED:   true,
	schema.BuiltinOperatorADD:               true,
	schema.BuiltinOperatorSUB:               true,
	schema.BuiltinOperatorMUL:               true,
}

// composed is the activation that equals first, then second, if there is one.
func composed(first, second schema.ActivationFunctionType) (schema.ActivationFunctionType, bool) {
	if first == schema.ActivationFunctionTypeNONE || first == second {
		return second, true
	}
	relu, relu6 := schema.ActivationFunctionTypeRELU, schema.ActivationFunctionTypeRELU6
	if first == relu && second == relu6 || first == relu6 && second == relu {
		return relu6, true
	}
	return 0, false
}

// explicitBiases gives every weighted op a bias of zeros where it has none: a
// place for corrections, and what CONV_2D and NNAPI demand.
func explicitBiases(g *tflite.Graph) error {
	for _, op := range g.Ops {
		f := spec(op).filter
		if f == nil || !realOutput(op) {
			continue
		}
		if len(op.Inputs) > f.bias && op.Inputs[f.bias] != nil {
			continue
		}
		w := op.Inputs[f.weights]
		if len(w.Shape) <= f.out {
			return fmt.Errorf("%s: weights %q have shape %v", g.Place(op), w.Name, w.Shape)
		}
		bias := &tflite.Tensor{Name: w.Name + "_bias", Shape: []int{w.Shape[f.out]}}
		bias.SetFloats(make([]float32, w.Shape[f.out]))
		for len(op.Inputs) <= f.bias {
			op.Inputs = append(op.Inputs, nil)
		}
		op.Inputs[f.bias] = bias
	}
	return nil
}
