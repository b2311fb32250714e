package dfq

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
)

// CheckRules holds a model against the rules of the INT8 quantization
// specification, of its 16x8 mode where activations are INT16, and the kernels'
// own checks, op by op, and returns one error per broken rule. It looks at nothing
// but the model, so it can judge a file that was read back, or another tool's. Ops
// that work on float tensors only break no rule; an op on both does.
func CheckRules(m *tflite.Model) []error {
	var broken []error
	for _, g := range m.Graphs {
		broken = append(broken, brokenRules(g)...)
	}
	return broken
}

func brokenRules(g *tflite.Graph) []error {
	c := &ruleCheck{graph: g}
	for _, t := range g.Tensors() {
		c.tensor(t)
	}
	for _, op := range g.Ops {
		c.op(op)
	}
	return c.broken
}

// checkRulesOfResult is the last pass: a rule that the result breaks is a bug
// of ours. Graphs that are not quantized, or not yet, are what the file has.
func checkRulesOfResult(j *job) error {
	if broken := brokenRules(j.graph); len(broken) > 0 {
		panic(errors.Join(broken...))
	}
	return nil
}

// anyRuntime bounds what a file's versions can be.
var anyRuntime, _ = target.LimitsOf("tflite", schema.TensorTypeINT8)

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
	case schema.TensorTypeINT16:
		lo, hi = 0, 0
	}
	for _, z := range q.Zero {
		if z < lo || z > hi {
			fail("zero point %d is outside [%d, %d]", z, lo, hi)
		}
		if len(q.Zero) > 1 && z != 0 {
			fail("per-channel zero point %d is not 0", z)
		}
	}
	if len(q.Scale) > 1 && (q.Axis < 0 || q.Axis >= len(t.Shape) || t.Shape[q.Axis] != len(q.Scale)) {
		fail("%d scales along axis %d of shape %v", len(q.Scale), q.Axis, t.Shape)
	}
}

// op checks the rules of one operator's row.
func (c *ruleCheck) op(op *tflite.Op) {
	if !quantized(op) {
		return
	}
	s := spec(op)
	switch op.Code {
	case schema.BuiltinOperatorQUANTIZE, schema.BuiltinOperatorDEQUANTIZE:
		c.conversion(op)
		return
	}
	grid := gridOfOp(op)
	if s.kernels(grid) == nil {
		c.fail(op, "has no %[1]s form but works on %[1]s tensors", kernelName(grid))
		return
	}
	if err := checkOperands(op); err != nil {
		c.fail(op, "%v", err)
		return
	}
	for _, t := range slices.Concat(op.Inputs, op.Outputs) {
		if real(t) {
			c.fail(op, "works on %s tensors and on FLOAT32 %q", kernelName(grid), t.Name)
			return
		}
	}
	if !c.perTensor(op) {
		return
	}
	want := s.version(grid, op).number
	_, highest := anyRuntime.Versions(op.Code)
	switch {
	case op.Version < want:
		c.fail(op, "version %d, %s needs %d", op.Version, kernelName(grid), want)
	case op.Version > highest:
		c.fail(op, "version %d, runtimes have up to %d", op.Version, highest)
	}
	if grid == affine.Int16 && s.anyScale != nil && !reflect.DeepEqual(op.Options, s.anyScale(op.Options)) {
		c.fail(op, "its options ask for scales that are powers of two (pot_scale_int16)")
	}
	if !int8Activation(op.Activation()) {
		c.fail(op, "fused %s has no %s kernel", op.Activation(), kernelName(grid))
	}
	if s.filter != nil {
		c.weighted(grid, op, s.filter)
	}
	c.scales(grid, op, s)
}

// gridOfOp is the grid of op's activations.
func gridOfOp(op *tflite.Op) affine.Grid {
	inputs, outputs := activations(op)
	for _, t := range slices.Concat(inputs, outputs) {
		return gridOf(t)
	}
	return affine.Int8
}

// conversion checks a QUANTIZE or DEQUANTIZE.
func (c *ruleCheck) conversion(op *tflite.Op) {
	if len(op.Inputs) != 1 || len(op.Outputs) != 1 || op.Inputs[0] == nil || op.Outputs[0] == nil {
		c.fail(op, "has %d inputs and %d outputs, not one of each", len(op.Inputs), len(op.Outputs))
		return
	}
	side := op.Outputs[0]
	if op.Code == schema.BuiltinOperatorDEQUANTIZE {
		side = op.Inputs[0]
		if !real(op.Outputs[0]) {
			c.fail(op, "output %q is %s, not FLOAT32", op.Outputs[0].Name, op.Outputs[0].Type)
		}
	}
	if want := conversionVersion(op).number; op.Version != want {
		c.fail(op, "version %d, %s needs %d", op.Version, kernelName(gridOf(side)), want)
	}
	if scaleOf(side) == 0 {
		c.fail(op, "%q is not quantized per tensor", side.Name)
	}
}

// perTensor checks that every quantized operand but weights has one scale and one
// zero point, and that all are of one type; the other checks rely on it.
func (c *ruleCheck) perTensor(op *tflite.Op) bool {
	inputs, outputs := activations(op)
	for _, t := range slices.Concat(inputs, outputs) {
		if t.Quant == nil || len(t.Quant.Scale) != 1 || len(t.Quant.Zero) != 1 {
			c.fail(op, "activation %q is not quantized per tensor", t.Name)
			return false
		}
		if gridOf(t) != gridOfOp(op) {
			c.fail(op, "works on int8 tensors and on int16 ones")
			return false
		}
	}
	return true
}

// activations lists op's quantized tensors that are not weights.
func activations(op *tflite.Op) (inputs, outputs []*tflite.Tensor) {
	f := spec(op).filter
	for i, t := range op.Inputs {
		if isActivation(t) && (f == nil || i != f.weights) {
			inputs = append(inputs, t)
		}
	}
	for _, t := range op.Outputs {
		if isActivation(t) {
			outputs = append(outputs, t)
		}
	}
	return inputs, outputs
}

// isActivation reports whether t holds int8 numbers, or int16 ones with a scale;
// without, they may be anything.
func isActivation(t *tflite.Tensor) bool {
	return t != nil && t.Type == schema.TensorTypeINT8 || isQuantized(t)
}

// scales checks the row's scale rule.
func (c *ruleCheck) scales(grid affine.Grid, op *tflite.Op, s *opSpec) {
	inputs, outputs := activations(op)
	for _, t := range inputs {
		if !s.canRead(scaleOf(t)) {
			c.fail(op, "input %q has scale %g, the kernel takes %g to below %g", t.Name, scaleOf(t), s.reads[0], s.reads[1])
		}
	}
	for _, t := range outputs {
		p := params(t.Quant)
		switch s.scale.kind {
		case fixedScale:
			if want := s.scale.on(grid); p != want {
				c.fail(op, "output %q has scale %g, zero point %d; the kernel demands %g, %d", t.Name, p.Scale, p.Zero, want.Scale, want.Zero)
			}
		case sameScale:
			for _, in := range inputs {
				if params(in.Quant) != p {
					c.fail(op, "input %q and output %q differ in scale or zero point", in.Name, t.Name)
				}
			}
		}
		if s.centred && p.Zero != 0 {
			c.fail(op, "output %q has zero point %d; the kernel writes zeros", t.Name, p.Zero)
		}
		if s.holds != nil {
			want := s.holds(grid, op)
			if lo, hi := grid.Range(p); want.Lo < lo-float64(p.Scale/2) || want.Hi > hi+float64(p.Scale/2) {
				c.fail(op, "output %q holds [%g, %g], but can be %g to %g, and the kernel does not saturate", t.Name, lo, hi, want.Lo, want.Hi)
			}
		}
		if least := kernelStep(grid, op); p.Scale < least {
			c.fail(op, "output scale %g is below %g, the least that the kernel can express", p.Scale, least)
		}
	}
}

// weighted checks weights and bias.
func (c *ruleCheck) weighted(grid affine.Grid, op *tflite.Op, f *filter) {
	in, w, out := op.Inputs[f.input], op.Inputs[f.weights], op.Outputs[0]
	if want := elementType(grid); scaleOf(in) == 0 || scaleOf(out) == 0 || in.Type != want || out.Type != want {
		c.fail(op, "input %q or output %q is not %s", in.Name, out.Name, want)
		return
	}
	if w.Type != schema.TensorTypeINT8 || w.Quant == nil || len(w.Quant.Scale) == 0 || len(w.Quant.Zero) != len(w.Quant.Scale) {
		c.fail(op, "weights %q are not INT8 with scales and zero points", w.Name)
		return
	}
	if why := f.misfit(op); why != "" {
		c.fail(op, "%s", why)
		return
	}
	c.weights(op, w, f)
	if bias := optional(op, f.bias); bias == nil {
		c.fail(op, "has no bias")
	} else {
		c.bias(grid, op, bias)
	}
}

// weights checks the numbers and scales of a filter.
func (c *ruleCheck) weights(op *tflite.Op, w *tflite.Tensor, f *filter) {
	if len(w.Quant.Scale) > 1 && f.perTensor {
		c.fail(op, "weights %q have a scale per channel, the kernel reads one", w.Name)
	}
	if len(w.Quant.Scale) > 1 && w.Quant.Axis != f.out {
		c.fail(op, "weights %q have scales along axis %d, the kernel wants %d", w.Name, w.Quant.Axis, f.out)
	}
	for _, z := range w.Quant.Zero {
		if z != 0 {
			c.fail(op, "weights %q have zero point %d", w.Name, z)
			break
		}
	}
	for _, b := range w.Data {
		if int8(b) == -128 {
			c.fail(op, "weights %q hold −128, outside the narrow range", w.Name)
			break
		}
	}
}

// bias checks the bias of a weighted op whose operands are quantized.
func (c *ruleCheck) bias(grid affine.Grid, op *tflite.Op, bias *tflite.Tensor) {
	f := spec(op).filter
	in, w, out, want := op.Inputs[f.input], op.Inputs[f.weights], op.Outputs[0], schema.TensorTypeINT32
	if grid == affine.Int16 {
		want = schema.TensorTypeINT64
	}
	if bias.Type != want || bias.Quant == nil || len(bias.Quant.Scale) != len(w.Quant.Scale) || len(bias.Quant.Zero) != len(w.Quant.Scale) {
		c.fail(op, "bias %q is not %s with as many scales as the weights", bias.Name, want)
		return
	}
	for i, s := range bias.Quant.Scale {
		if s != scaleOf(in)*w.Quant.Scale[i] || bias.Quant.Zero[i] != 0 {
			c.fail(op, "bias %q, channel %d: scale %g, not input scale × weight scale", bias.Name, i, s)
			return
		}
		if m := float64(s) / float64(scaleOf(out)); m >= largestFactor(grid) {
			c.fail(op, "channel %d: rescaling factor %g is beyond the kernel's shifts", i, m)
			return
		}
	}
	for _, q := range bias.Ints() {
		if grid == affine.Int8 && (q <= -math.MaxInt32 || q >= math.MaxInt32) {
			c.fail(op, "bias %q is saturated", bias.Name)
			break
		}
	}
}
