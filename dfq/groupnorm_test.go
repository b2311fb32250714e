package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// groupNorm is GroupNormalization as Keras exports it, over axes of [n, height, width, groups, channels].
func groupNorm(groups int, axes ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		n, h, w, each := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]/groups
		over := slices.Clone([]int{n, h, w, groups, each})
		for _, a := range axes {
			over[a] = 1
		}
		five := []int{n, h, w, groups, each}
		y := Reshape(five...)(b, x)
		mean := func(v *tflite.Tensor) *tflite.Tensor {
			return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, over, v, b.Ints([]int{len(axes)}, axes...))
		}
		m := mean(y)
		d := b.Op("difference", schema.BuiltinOperatorSUB, &schema.SubOptionsT{}, five, y, m)
		v := mean(b.Op("squares", schema.BuiltinOperatorSQUARE, nil, five, d))
		v = b.Op("variance", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, over, v, b.Floats(nil, 0.001))
		r := b.Op("rsqrt", schema.BuiltinOperatorRSQRT, nil, over, v)
		each2 := slices.Clone(over)
		each2[4] = each
		r = b.Op("gain", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, each2, r, b.Random(1, 0.2, 1, 1, 1, groups, each))
		y = b.Op("scaled", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, five, y, r)
		y = b.Op("shifted", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, five, y, b.Random(0, 0.5, 1, 1, groups, each))
		return Reshape(x.Shape...)(b, y)
	}
}

// A norm over groups of an image has four dimensions and is INT8; one that tells rows from columns
// stays as it is.
func TestFlattenNorms(t *testing.T) {
	for name, test := range map[string]struct {
		layer Layer
		axes  int
	}{
		"groups":                 {groupNorm(2, 1, 2, 4), 4},
		"instances":              {groupNorm(8, 1, 2, 4), 4},
		"axes counted from last": {groupNorm(2, 1, 2, 4), 4},
		"each pixel":             {groupNorm(2, 4), 4},
		"each row":               {groupNorm(2, 2, 4), 5},
	} {
		m := Chain(Input(1, 6, 4, 3), Conv(8, 3), test.layer)
		if name == "axes counted from last" {
			for _, op := range m.Graphs[0].Ops {
				if op.Code == schema.BuiltinOperatorMEAN {
					op.Inputs[1].SetInt32s([]int32{-4, 2, -1})
				}
			}
		}
		j := jobAfter(t, m, stated(), "fold batch norms")
		most := 0
		for _, x := range j.graph.Tensors() {
			most = max(most, len(x.Shape))
		}
		if most != test.axes {
			t.Errorf("%s: %d axes\n%v", name, most, j.model)
		}
		sameByName(t, m, jobAfter(t, m, stated(), "normalize").model)
		for _, open := range []Interpreter{evaluate, interpreter} {
			if open == nil {
				continue
			}
			if d := relativeChange(t, open, m, j.model, 1); d > 1e-5 {
				t.Errorf("%s: outputs changed by %g", name, d)
			}
		}
		if _, _, err := Quantize(m, stated()); (err == nil) != (test.axes == 4) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
