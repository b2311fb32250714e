package dfq

import (
	"math"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// What the target asks of scales and forms beyond the INT8 specification.
// Versions and releases, and one scale for weights, are asked for where they are
// decided.

// scaleRule is that of op's row, or, where the row leaves it free, the target's.
func (j *job) scaleRule(op *tflite.Op) scaleRule {
	rule := spec(op).scale
	if rule.kind == freeScale && spec(op).filter == nil && j.limits.SameScale(op.Code) {
		return same
	}
	return rule
}

// leastScale is the least scale of op's first output that its kernel can
// express, that XNNPACK takes and, where the target restricts scales, that is
// above the product of the input's and the weights'. It reads the scales that
// operands have so far.
func (j *job) leastScale(op *tflite.Op) float64 {
	least := float64(kernelStep(j.grid(), op))
	if j.grid() == affine.Int8 { // XNNPACK has no int16 kernels
		least = math.Max(least, xnnpackStep(op))
	}
	if !j.limits.RestrictedScale(op.Code) {
		return least
	}
	if f := spec(op).filter; f != nil {
		input := float64(scaleOf(op.Inputs[f.input]))
		for _, s := range j.filterScales(op, f) {
			least = math.Max(least, input*float64(s))
		}
	} else if spec(op).product {
		least = math.Max(least, productStep(op))
	}
	return least
}

// xnnpackStep is the least scale of a sum or product with which XNNPACK takes
// it: a step of the inputs is less than 2⁸ of the output's. CPU builds of the
// runtime use XNNPACK wherever they can, so no file is without it, and steps as
// coarse as that gain nothing from a finer output.
func xnnpackStep(op *tflite.Op) float64 {
	switch s := spec(op); {
	case s.sum:
		return largestStep(op) / (1 << 8)
	case s.product:
		return productStep(op) / (1 << 8)
	}
	return 0
}

// constantStep is the least scale of a constant that is added with which XNNPACK
// takes the sum: 2⁻¹⁰ of the output's, a step of which it is far below.
func constantStep(op *tflite.Op) float64 {
	if spec(op).sum {
		return float64(scaleOf(op.Outputs[0])) / (1 << 10)
	}
	return 0
}

// keepApart notes the outputs that the target wants inside the clamp of their op's
// activation and whose group holds more. It reports whether there are any new ones.
func (p *rangePlan) keepApart(g *groups) bool {
	found := false
	for _, op := range p.ops {
		if !p.limits.Clamped(op.Code) || !real(op.Outputs[0]) || p.apart[op.Outputs[0]] {
			continue
		}
		clamp, has := clampOf(op), g.params(op.Outputs[0])
		from, to := g.grid.Range(has)
		if step := float64(has.Scale / 2); from < clamp.Lo-step || to > clamp.Hi+step {
			p.apart[op.Outputs[0]], found = true, true
		}
	}
	return found
}

// fitTarget writes what the target takes where the same can be said in another
// form.
func fitTarget(j *job) error {
	for _, op := range j.graph.Ops {
		bare := len(op.Inputs) < j.limits.Inputs(op.Code)
		if spec(op).reshapes && (bare || !j.limits.Takes(op.Code) && j.limits.Takes(schema.BuiltinOperatorRESHAPE)) {
			toReshape(op)
		}
	}
	return nil
}
