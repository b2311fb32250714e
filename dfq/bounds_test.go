package dfq

import (
	"math"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Numbers that stand for "nothing", as far down or up as can be, take no steps from what
// they are beside: masks before a softmax, bounds of a clip, what is padded around maxima.
func TestNumbersThatStandForNothing(t *testing.T) {
	mask := func(b *Builder) *tflite.Tensor {
		c := b.Tensor("mask", schema.TensorTypeBOOL, 1, 1, 16)
		c.Data = []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}
		return c
	}
	selected := func(code schema.BuiltinOperator, options any) func(float32) Layer {
		return func(v float32) Layer {
			return Sequence(Dense(16), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
				c, others := mask(b), b.Floats([]int{1, 16}, v)
				c.Shape = []int{1, 16}
				return b.Op("masked", code, options, x.Shape, c, x, others)
			}, Softmax())
		}
	}
	banned := func(v float32) Layer {
		return Sequence(Dense(16), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			by := make([]float32, 16)
			by[3], by[7] = v, v
			return b.Op("ban", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, b.Floats([]int{16}, by...))
		}, Softmax())
	}
	bound := func(code schema.BuiltinOperator) func(float32) Layer {
		return func(v float32) Layer {
			return Sequence(Reshape(1, 8, 4, 1), Conv(8, 3), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
				return b.Op("clip", code, nil, x.Shape, x, b.Floats(nil, v))
			}, Conv(4, 3))
		}
	}
	padded := func(v float32) Layer {
		return Sequence(Reshape(1, 8, 4, 1), Conv(8, 3, ReLU), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("padded", schema.BuiltinOperatorPADV2, &schema.PadV2OptionsT{}, []int{1, 10, 6, 8}, x, b.Ints([]int{4, 2}, 0, 0, 1, 1, 1, 1, 0, 0), b.Floats(nil, v))
		}, Pool(schema.BuiltinOperatorMAX_POOL_2D, 3, Valid), Conv(4, 3))
	}
	far := math.Inf(-1)
	for name, test := range map[string]struct {
		layers func(float32) Layer
		mild   float64 // as far as values go
		far    []float64
	}{
		"select": {selected(schema.BuiltinOperatorSELECT_V2, nil), -20, []float64{-1e9, -math.MaxFloat32}},
		"add":    {banned, -20, []float64{-1e4, -1e9}},
		"min":    {bound(schema.BuiltinOperatorMINIMUM), 100, []float64{1e9, math.MaxFloat32}},
		"max":    {bound(schema.BuiltinOperatorMAXIMUM), -100, []float64{-1e9, -math.MaxFloat32}},
		"pad":    {padded, 0, []float64{-1e4, -math.MaxFloat32, far}},
	} {
		sqnr := func(v float64) float64 {
			m := ChainSeed(3, Input(1, 32), test.layers(float32(v)))
			opts := *stated()
			opts.Calibration = Inputs(m, 9, 16, 1)
			return quantizedSQNR(t, m, opts, evaluate, opts.Calibration)
		}
		mild := sqnr(test.mild)
		if mild < 20 {
			t.Errorf("%s: %.1f dB with %g: what is tested?", name, mild, test.mild)
		}
		for _, v := range test.far {
			if got := sqnr(v); got < mild-2 {
				t.Errorf("%s: %.1f dB with %g, %.1f with %g", name, got, v, mild, test.mild)
			}
		}
	}
}

// Only what no window sees becomes zero.
func TestPadsThatStay(t *testing.T) {
	pad := func(v float32, borders ...int32) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			shape, by := slices.Clone(x.Shape), make([]int, 8)
			for i, n := range borders {
				by[i] = int(n)
				shape[i/2] += by[i]
			}
			return b.Op("padded", schema.BuiltinOperatorPADV2, &schema.PadV2OptionsT{}, shape, x, b.Ints([]int{4, 2}, by...), b.Floats(nil, v))
		}
	}
	maxima := Pool(schema.BuiltinOperatorMAX_POOL_2D, 3, Valid)
	for name, test := range map[string]struct {
		layers Layer
		plain  bool
	}{
		"maxima":           {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 2, 2, 0, 0), maxima), true},
		"separate relu":    {Sequence(Conv(4, 3), Unary(schema.BuiltinOperatorRELU6, nil), pad(-9, 0, 0, 1, 1, 1, 1, 0, 0), maxima), true},
		"zeros":            {Sequence(Conv(4, 3), pad(0, 0, 0, 1, 1, 2, 2, 0, 0), Conv(4, 3)), true},
		"no relu":          {Sequence(Conv(4, 3), pad(-9, 0, 0, 1, 1, 1, 1, 0, 0), maxima), false},
		"above":            {Sequence(Conv(4, 3, ReLU), pad(9, 0, 0, 1, 1, 1, 1, 0, 0), maxima), false},
		"whole windows":    {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 3, 0, 1, 1, 0, 0), maxima), false},
		"whole columns":    {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 0, 3, 0, 0), maxima), false},
		"images":           {Sequence(Conv(4, 3, ReLU), pad(-9, 1, 0, 1, 1, 1, 1, 0, 0), maxima), false},
		"images behind":    {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 1, 1, 1, 1, 1, 0, 0), maxima), false},
		"channels":         {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 1, 1, 2, 0), maxima), false},
		"channels behind":  {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 1, 1, 0, 2), maxima), false},
		"averages":         {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 1, 1, 0, 0), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 3, Valid)), false},
		"another reader":   {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 1, 1, 0, 0), Concat(maxima, Conv(2, 3, Valid))), false},
		"itself an output": {Sequence(Conv(4, 3, ReLU), pad(-9, 0, 0, 1, 1, 1, 1, 0, 0), maxima), false},
	} {
		m := Chain(Input(1, 8, 8, 3), test.layers)
		if g := m.Graphs[0]; name == "itself an output" {
			g.Outputs = append(g.Outputs, g.Ops[len(g.Ops)-1].Inputs[0])
		}
		j := jobAfter(t, m, stated(), "normalize")
		plain := false
		for _, op := range j.graph.Ops {
			plain = plain || op.Code == schema.BuiltinOperatorPAD
		}
		if plain != test.plain {
			t.Errorf("%s: a PAD: %v, want %v", name, plain, test.plain)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 0 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}
