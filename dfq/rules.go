package dfq

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"dfq/schema"
	"dfq/tflite"
)

// CheckRules holds a model against the rules of the INT8 quantization
// specification and the kernels' own checks, op by op, and returns one error
// per broken rule. It looks at nothing but the model, so it can judge a file
// that was read back, or another tool's. Ops that work on float tensors only
// break no rule; an op on both does.
func CheckRules(m *tflite.Model) []error {
	c := &ruleCheck{graph: m.Graphs[0]}
	for _, t := range c.graph.Tensors() {
		c.tensor(t)
	}
	for _, op := range c.graph.Ops {
		c.guardedOp(op)
	}
	return c.broken
}

// guardedOp is op for files of all kinds. The checks below take the operands
// that an operator must have for granted; where a file lacks one, or its shape
// has too few axes, that is the broken rule.
func (c *ruleCheck) guardedOp(op *tflite.Op) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			c.fail(op, "lacks an operand, or an axis of one, that the operator must have")
		default:
			panic(r)
		}
	}()
	c.op(op)
}

// checkRulesOfResult is the last pass: a rule that the result breaks is a bug
// of ours.
func checkRulesOfResult(j *job) error {
	if broken := CheckRules(j.model); len(broken) > 0 {
		panic(errors.Join(broken...))
	}
	return nil
}

type ruleCheck struct {
	graph  *tflite.Graph
	broken []error
}

func (c *ruleCheck) fail(op *tflite.Op, format string, args ...any) {
	c.broken = append(c.broken, fmt.Errorf("%s: %s", c.graph.Place(op), fmt.Sprintf(format, args...)))
}

// tensor checks what holds for every quantized tensor by itself.
func (c *ruleCheck) tensor(t *tflite.Tensor) {
	q := t.Quant
	if q == nil || len(q.Scale) == 0 {
		if t.Type == schema.TensorTypeINT8 {
			c.broken = append(c.broken, fmt.Errorf("tensor %q is INT8 without scale", t.Name))
		}
		return
	}
	fail := func(format string, args ...any) {
		c.broken = append(c.broken, fmt.Errorf("tensor %q: %s", t.Name, fmt.Sprintf(format, args...)))
	}
	if len(q.Zero) != len(q.Scale) {
		fail("%d scales but %d zero points", len(q.Scale), len(q.Zero))
		return
	}
	for i, s := range q.Scale {
		if !(s >= 0x1p-126) || math.IsInf(float64(s), 0) {
			fail("scale %d is %g, not a positive normal number", i, s)
			return
		}
	}
	lo, hi := int64(math.MinInt32), int64(math.MaxInt32)
	switch t.Type {
	case schema.TensorTypeINT8:
		lo, hi = -128, 127
	case schema.TensorTypeUINT8:
		lo, hi = 0, 255
	}
	for _, z := range q.Zero {
		if z < lo || z > hi {
			fail("zero point %d is outside [%d, %d]", z, lo, hi)
		}
		if len(q.Zero) > 1 && z != 0 {
			fail("per-channel zero point %d is not 0", z)
		}
	}
	if len(q.Scale) > 1 && (q.Axis >= len(t.Shape) || t.Shape[q.Axis] != len(q.Scale)) {
		fail("%d scales along axis %d of shape %v", len(q.Scale), q.Axis, t.Shape)
	}
}

// op checks the rules of one operator's row.
func (c *ruleCheck) op(op *tflite.Op) {
	if !quantized(op) {
		return
	}
	switch op.Code {
	case schema.BuiltinOperatorQUANTIZE, schema.BuiltinOperatorDEQUANTIZE:
		return
	}
	s := spec(op)
	if s.versions == nil {
		c.fail(op, "has no int8 form but works on int8 tensors")
		return
	}
	for _, ts := range [][]*tflite.Tensor{op.Inputs, op.Outputs} {
		for _, t := range ts {
			if real(t) {
				c.fail(op, "works on int8 tensors and on FLOAT32 %q", t.Name)
				return
			}
		}
	}
	if want := s.version(op).number; op.Version != want {
		c.fail(op, "version %d, int8 needs %d", op.Version, want)
	}
	if s.filter != nil {
		c.weighted(op, s.filter)
	}
	c.scales(op, s)
}

// activations lists op's int8 tensors that are not weights.
func activations(op *tflite.Op) (inputs, outputs []*tflite.Tensor) {
	f := spec(op).filter
	for i, t := range op.Inputs {
		if t != nil && t.Type == schema.TensorTypeINT8 && (f == nil || i != f.weights) {
			inputs = append(inputs, t)
		}
	}
	for _, t := range op.Outputs {
		if t != nil && t.Type == schema.TensorTypeINT8 {
			outputs = append(outputs, t)
		}
	}
	return inputs, outputs
}

// scales checks per-tensor activations and the row's scale rule.
func (c *ruleCheck) scales(op *tflite.Op, s *opSpec) {
	inputs, outputs := activations(op)
	for _, t := range append(inputs, outputs...) {
		if t.Quant == nil || len(t.Quant.Scale) != 1 {
			c.fail(op, "activation %q is not quantized per tensor", t.Name)
			return
		}
	}
	for _, t := range outputs {
		p := params(t.Quant)
		switch s.scale.kind {
		case fixedScale:
			if p != s.scale.params {
				c.fail(op, "output %q has scale %g, zero point %d; the kernel demands %g, %d", t.Name, p.Scale, p.Zero, s.scale.params.Scale, s.scale.params.Zero)
			}
		case sameScale:
			for _, in := range inputs {
				if params(in.Quant) != p {
					c.fail(op, "input %q and output %q differ in scale or zero point", in.Name, t.Name)
				}
			}
		}
		if s.atLeast != nil && p.Scale < s.atLeast(op) {
			c.fail(op, "output scale %g is below %g, the least that the kernel can express", p.Scale, s.atLeast(op))
		}
	}
}

// weighted checks weights and bias.
func (c *ruleCheck) weighted(op *tflite.Op, f *filter) {
	w, in, out := op.Inputs[f.weights], op.Inputs[f.input], op.Outputs[0]
	if w.Type != schema.TensorTypeINT8 || w.Quant == nil {
		c.fail(op, "weights %q are not INT8", w.Name)
		return
	}
	if len(w.Quant.Scale) > 1 && f.perTensor {
		c.fail(op, "weights %q have a scale per channel, the kernel reads one", w.Name)
	}
	if len(w.Quant.Scale) > 1 && w.Quant.Axis != f.out {
		c.fail(op, "weights %q have scales along axis %d, the kernel wants %d", w.Name, w.Quant.Axis, f.out)
	}
	for _, z := range w.Quant.Zero {
		if z != 0 {
			c.fail(op, "weights %q have zero point %d", w.Name, z)
		}
	}
	for _, b := range w.Data {
		if int8(b) == -128 {
			c.fail(op, "weights %q hold −128, outside the narrow range", w.Name)
			break
		}
	}
	if len(op.Inputs) <= f.bias || op.Inputs[f.bias] == nil {
		c.fail(op, "has no bias")
		return
	}
	bias := op.Inputs[f.bias]
	if bias.Type != schema.TensorTypeINT32 || bias.Quant == nil || len(bias.Quant.Scale) != len(w.Quant.Scale) {
		c.fail(op, "bias %q is not INT32 with as many scales as the weights", bias.Name)
		return
	}
	if bias.Len() != w.Shape[f.out] {
		c.fail(op, "bias %q has %d entries for %d channels", bias.Name, bias.Len(), w.Shape[f.out])
	}
	for i, s := range bias.Quant.Scale {
		if s != in.Quant.Scale[0]*w.Quant.Scale[i] || bias.Quant.Zero[i] != 0 {
			c.fail(op, "bias %q, channel %d: scale %g, not input scale × weight scale", bias.Name, i, s)
			return
		}
		// The kernel holds s_in·s_w/s_out as 31 bits and a shift of at most 30.
		if m := float64(s) / float64(out.Quant.Scale[0]); m >= 1<<30 {
			c.fail(op, "channel %d: rescaling factor %g is beyond the kernel's shifts", i, m)
		}
	}
	for _, q := range bias.Ints() {
		if q <= -math.MaxInt32 || q >= math.MaxInt32 {
			c.fail(op, "bias %q is saturated", bias.Name)
			break
		}
	}
}
