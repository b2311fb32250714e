package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// l2Forms are L2 norms as exporters write them, and two that look like them.
var l2Forms = map[string]struct {
	layer Layer
	is    bool
}{
	"one op": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("norm", schema.BuiltinOperatorL2_NORMALIZATION, &schema.L2NormOptionsT{}, x.Shape, x)
	}, true},
	"Keras": {normBy(schema.BuiltinOperatorSUM, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		return f.times(x, f.minimum(f.of(schema.BuiltinOperatorRSQRT, s, nil), float32(1e12)))
	}), true},
	"TensorFlow": {normBy(schema.BuiltinOperatorSUM, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		return f.times(x, f.of(schema.BuiltinOperatorRSQRT, f.maximum(s, float32(1e-12)), nil))
	}), true},
	"PyTorch": {normBy(schema.BuiltinOperatorSUM, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		root := f.maximum(f.of(schema.BuiltinOperatorPOW, s, float32(0.5)), float32(1e-12))
		return f.over(x, f.Op("wide", schema.BuiltinOperatorBROADCAST_TO, nil, x.Shape, root, f.Ints([]int{len(x.Shape)}, x.Shape...)))
	}), true},
	"bounded at 5": {normBy(schema.BuiltinOperatorSUM, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		return f.over(x, f.maximum(f.of(schema.BuiltinOperatorSQRT, s, nil), float32(5)))
	}), false},
	"root of a mean": {normBy(schema.BuiltinOperatorSUM, func(f formula, x, s *tflite.Tensor) *tflite.Tensor {
		return f.over(x, f.of(schema.BuiltinOperatorSQRT, f.times(s, float32(0.25)), nil))
	}), false},
}

// An L2 norm is one op at the positions of an image; of many values at one position it is parts, if the target has
// RSQRT. The float graph answers as before.
func TestWriteL2Norms(t *testing.T) {
	for name, form := range l2Forms {
		for _, test := range []struct {
			what, target string
			m            *tflite.Model
			whole        bool
		}{
			{"image", "", Chain(Input(1, 6, 6, 3), Conv(4, 3), form.layer, Conv(3, 3)), true},
			{"few values", "", Chain(Input(1, 12), Dense(longNorm-1), form.layer), true},
			{"many values", "", Chain(Input(1, 12), Dense(longNorm), form.layer), false},
			{"many values, no RSQRT", "nnapi-1.3", Chain(Input(1, 12), Dense(longNorm), form.layer), true},
		} {
			opts := stated()
			opts.AllowFloat, opts.Target = true, test.target
			j := jobAfter(t, test.m, opts, "normalize")
			whole := j.graph.Ops[1].Code == schema.BuiltinOperatorL2_NORMALIZATION
			if want := test.whole && form.is; whole != want {
				t.Errorf("%s, %s: one op %v, want %v", name, test.what, whole, want)
			}
			if d := relativeChange(t, evaluate, test.m, j.model, 0); d > 1e-5 {
				t.Errorf("%s, %s: outputs changed by %g", name, test.what, d)
			}
		}
	}
}

// Positions of zeros among others do not cost these their precision.
func TestNormsOfZeros(t *testing.T) {
	for name, form := range l2Forms {
		if !form.is {
			continue
		}
		m := Chain(Input(1, 8, 8, 3), Conv(2, 3, ReLU), form.layer, Conv(3, 3))
		opts := Options{Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if db := quantizedSQNR(t, m, opts, evaluate, opts.Calibration); !(db > 15) {
			t.Errorf("%s: %.1f dB", name, db)
		}
	}
}

// What is open in a vector is open in the parts of its norm.
func TestOpenNorms(t *testing.T) {
	m := Chain(Input(1, 12), Dense(longNorm), l2Forms["one op"].layer)
	for _, x := range m.Graphs[0].Tensors() {
		if !x.Constant() {
			x.Signature = []int{-1, x.Shape[1]}
		}
	}
	j := jobAfter(t, m, stated(), "normalize")
	for _, op := range j.graph.Ops {
		if y := op.Outputs[0]; !y.IsOpen(0) {
			t.Errorf("%s %q is %v %v", op.Code, y.Name, y.Shape, y.Signature)
		}
	}
	if got, want := codes(j.graph), "FULLY_CONNECTED MUL SUM MAXIMUM RSQRT MUL"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
