package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// formula makes ops of single numbers and activations.
type formula struct{ *Builder }

func (f formula) of(code schema.BuiltinOperator, a, b any) *tflite.Tensor {
	var shape []int
	var in []*tflite.Tensor
	for _, v := range []any{a, b} {
		switch v := v.(type) {
		case float32:
			in = append(in, f.Floats(nil, v))
		case *tflite.Tensor:
			in = append(in, v)
			if len(v.Shape) > len(shape) {
				shape = v.Shape
			}
		}
	}
	return f.Op("op", code, nil, shape, in...)
}

func (f formula) plus(a, b any) *tflite.Tensor    { return f.of(schema.BuiltinOperatorADD, a, b) }
func (f formula) times(a, b any) *tflite.Tensor   { return f.of(schema.BuiltinOperatorMUL, a, b) }
func (f formula) over(a, b any) *tflite.Tensor    { return f.of(schema.BuiltinOperatorDIV, a, b) }
func (f formula) minimum(a, b any) *tflite.Tensor { return f.of(schema.BuiltinOperatorMINIMUM, a, b) }
func (f formula) maximum(a, b any) *tflite.Tensor { return f.of(schema.BuiltinOperatorMAXIMUM, a, b) }

// chain is p ← p·x + c for each of the coefficients.
func (f formula) chain(x *tflite.Tensor, c ...float32) *tflite.Tensor {
	p := f.plus(f.times(x, c[0]), c[1])
	for _, k := range c[2:] {
		p = f.plus(f.times(p, x), k)
	}
	return p
}

// rational is the error function as MLIR writes it: coefficients of x², numerator over
// denominator.
func (f formula) rational(x *tflite.Tensor) *tflite.Tensor {
	x = f.maximum(f.minimum(x, float32(3.832506856900711)), float32(-3.832506856900711))
	x2 := f.times(x, x)
	over := f.chain(x2, -1.1791602954361697e-7, 0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667, 0.11098505178285362, 0.49746925110067538, 1)
	return f.over(f.times(x, f.chain(x2, 0.00022905065861350646, 0.0034082910107109506, 0.050955695062380861, 0.18520832239976145, 1.128379143519084)), over)
}

// exponential is the error function by formula 7.1.26 of Abramowitz and Stegun, the sign
// apart.
func (f formula) exponential(x *tflite.Tensor) *tflite.Tensor {
	size := f.of(schema.BuiltinOperatorABS, x, nil)
	t := f.over(float32(1), f.plus(f.times(size, float32(0.3275911)), float32(1)))
	p := f.times(f.chain(t, 1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592), t)
	e := f.of(schema.BuiltinOperatorEXP, f.times(f.of(schema.BuiltinOperatorNEG, size, nil), size), nil)
	return f.times(f.over(x, f.plus(size, float32(1e-11))), f.of(schema.BuiltinOperatorSUB, float32(1), f.times(p, e)))
}

// geluBy returns GELU with the given error function.
func geluBy(erf func(f formula, x *tflite.Tensor) *tflite.Tensor, inner, half float32) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		f := formula{b}
		return f.times(f.times(x, half), f.plus(erf(f, f.times(x, inner)), float32(1)))
	}
}

// GELU by ops without an INT8 form, as an error function has, becomes one op; what only looks like it, what
// has constants per channel, and what INT8 has ops for stays.
func TestWriteGelus(t *testing.T) {
	const root = 0.70710678
	plain := func(erf func(f formula, x *tflite.Tensor) *tflite.Tensor) Layer { return geluBy(erf, root, 0.5) }
	perChannel := func(f formula, x *tflite.Tensor) *tflite.Tensor {
		return f.rational(f.times(x, f.Floats([]int{4}, 1, 1, 1, 1.1)))
	}
	for name, test := range map[string]struct {
		form Layer
		gelu bool
	}{
		"rational":    {plain(formula.rational), true},
		"exponential": {plain(formula.exponential), true},
		"half behind": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			f := formula{b}
			return f.times(f.times(x, f.plus(f.rational(f.times(x, float32(root))), float32(1))), float32(0.5))
		}, true},
		"another slope":         {geluBy(formula.rational, 0.75, 0.5), false},
		"another size":          {geluBy(formula.rational, root, 0.51), false},
		"constants of channels": {plain(perChannel), false},
		"by TANH and POW": {plain(func(f formula, x *tflite.Tensor) *tflite.Tensor {
			cube := f.of(schema.BuiltinOperatorPOW, x, float32(3))
			return f.of(schema.BuiltinOperatorTANH, f.times(f.plus(x, f.times(cube, float32(0.08943))), float32(1.1283792)), nil)
		}), true},
		"by TANH": {plain(func(f formula, x *tflite.Tensor) *tflite.Tensor {
			cube := f.times(f.times(x, x), x)
			return f.of(schema.BuiltinOperatorTANH, f.times(f.plus(x, f.times(cube, float32(0.08943))), float32(1.1283792)), nil)
		}), false},
	} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 3), test.form, Conv(3, 3))
		opts := stated()
		opts.AllowFloat = true
		j := jobAfter(t, m, opts, "normalize")
		gelu := slices.ContainsFunc(j.graph.Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorGELU })
		if gelu != test.gelu || gelu && len(j.graph.Ops) != 3 {
			t.Errorf("%s: GELU %v of %d ops, want %v", name, gelu, len(j.graph.Ops), test.gelu)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-3 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}

// Targets that take DIV and EXP in INT8, as those of newer releases do, get GELU as well if
// they take that: by DIV 57 ops have 17 dB where 5 have 22.
func TestGelusOfTargets(t *testing.T) {
	for target, gelu := range map[string]bool{"tflite-2.18": true, "hexagon-htp": true, "mediatek": true, "exynos": true, "ethos-u85": true, "tflm": false} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 3), geluBy(formula.rational, 0.70710678, 0.5), Conv(3, 3))
		opts := stated()
		opts.Target = target
		j := jobAfter(t, m, opts, "normalize")
		if ops := len(j.graph.Ops); (ops == 3) != gelu {
			t.Errorf("%s: %d ops, GELU %v", target, ops, gelu)
		}
	}
}
