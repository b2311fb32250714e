package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Squares become products and sums means, in INT8 both, with the function unchanged. A
// sum of integers and another power stay what they are.
func TestOtherForms(t *testing.T) {
	pow := func(powers ...float32) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("pow", schema.BuiltinOperatorPOW, nil, x.Shape, x, b.Floats([]int{len(powers)}, powers...))
		}
	}
	sumOver := func(keep bool, shape []int, axes ...int) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("sum", schema.BuiltinOperatorSUM, &schema.ReducerOptionsT{KeepDims: keep}, shape, x, b.Ints([]int{len(axes)}, axes...))
		}
	}
	for name, test := range map[string]struct {
		layer Layer
		code  schema.BuiltinOperator
		db    float64 // at least, in INT8; 0: the op stays
	}{
		"square":          {Unary(schema.BuiltinOperatorSQUARE, nil), schema.BuiltinOperatorSQUARE, 25},
		"power of 2":      {pow(2), schema.BuiltinOperatorPOW, 25},
		"powers of 2":     {pow(2, 2, 2, 2), schema.BuiltinOperatorPOW, 25},
		"other powers":    {pow(2, 2, 3, 2), schema.BuiltinOperatorPOW, 0},
		"sum of channels": {sumOver(true, []int{1, 8, 8, 1}, 3), schema.BuiltinOperatorSUM, 30},
		"sum over space":  {sumOver(false, []int{1, 4}, 1, 2), schema.BuiltinOperatorSUM, 30},
		"power of one more axis": {Sequence(Reshape(64, 4), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return Reshape(1, 8, 8, 4)(b, b.Op("pow", schema.BuiltinOperatorPOW, nil, []int{1, 64, 4}, x, b.Floats([]int{1, 1, 1}, 2)))
		}), schema.BuiltinOperatorPOW, 0},
		"sum of nothing": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			none := b.Op("none", schema.BuiltinOperatorSLICE, nil, []int{1, 0, 8, 4}, x, b.Ints([]int{4}, 0, 0, 0, 0), b.Ints([]int{4}, 1, 0, 8, 4))
			return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, sumOver(true, []int{1, 1, 8, 4}, 1)(b, none))
		}, schema.BuiltinOperatorSUM, 0},
		"sum of seven axes": {Sequence(Reshape(1, 1, 1, 1, 8, 8, 4), sumOver(true, []int{1, 1, 1, 1, 8, 8, 1}, 6)), schema.BuiltinOperatorSUM, 0},
		"sum of all of it":  {sumOver(false, []int{1}, 1, 2, 3), schema.BuiltinOperatorSUM, 25},
	} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 3), test.layer)
		opts := Options{AllowFloat: true, Calibration: Inputs(m, 1, 32, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		j := jobAfter(t, m, &opts, "average sums")
		stays := false
		for _, op := range j.graph.Ops {
			stays = stays || op.Code == test.code
		}
		if stays != (test.db == 0) {
			t.Errorf("%s: a %s is there: %v\n%v", name, test.code, stays, j.model)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-6 {
			t.Errorf("%s: outputs changed by %.2g of their range", name, d)
		}
		if test.db == 0 {
			continue
		}
		if q, r := quantize(t, m, &opts); len(r.Float) > 0 {
			t.Errorf("%s: %v stay float", name, r.Float)
		} else if db := sqnrOf(t, m, q, evaluate, opts.Calibration); db < test.db {
			t.Errorf("%s: %.1f dB", name, db)
		}
	}
}
