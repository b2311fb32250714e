package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// cutIntoBatches is a filter on every by-th pixel, as TensorFlow writes a dilated one: what is between
// SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, with borders of zeros before, and places cut off behind.
func cutIntoBatches(filter Layer, by, borders, crops []int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		inner, times := slices.Clone(x.Shape), 1
		for i, n := range by {
			inner[1+i] = (inner[1+i] + borders[2*i] + borders[2*i+1]) / n
			times *= n
		}
		inner[0] *= times
		n := len(by)
		y := b.Op("space", schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, inner, x, b.Ints([]int{n}, by...), b.Ints([]int{n, 2}, borders...))
		y = filter(b, y)
		outer := slices.Clone(y.Shape)
		for i, n := range by {
			outer[1+i] = outer[1+i]*n - crops[2*i] - crops[2*i+1]
		}
		outer[0] = x.Shape[0]
		return b.Op("batch", schema.BuiltinOperatorBATCH_TO_SPACE_ND, nil, outer, y, b.Ints([]int{n}, by...), b.Ints([]int{n, 2}, crops...))
	}
}

// asRow is a filter on rows: an op makes an axis of length 1 for it, before or behind the other, and
// another one takes it away.
func asRow(filter Layer, at int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := filter(b, b.Op("row", schema.BuiltinOperatorEXPAND_DIMS, &schema.ExpandDimsOptionsT{}, slices.Insert(slices.Clone(x.Shape), at, 1), x, b.Ints(nil, at)))
		return b.Op("flat", schema.BuiltinOperatorSQUEEZE, &schema.SqueezeOptionsT{SqueezeDims: []int32{int32(at)}}, slices.Delete(slices.Clone(y.Shape), at, at+1), y)
	}
}

// kernel is a CONV_2D of 5 filters without padding.
func kernel(height, width int, act schema.ActivationFunctionType) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		o := &schema.Conv2DOptionsT{Padding: schema.PaddingVALID, StrideW: 1, StrideH: 1, DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: act}
		return b.Op("conv", schema.BuiltinOperatorCONV_2D, o, []int{x.Shape[0], x.Shape[1] - height + 1, x.Shape[2] - width + 1, 5},
			x, b.Random(0, 0.3, 5, height, width, x.Shape[3]), b.Random(0, 0.3, 5))
	}
}

// A dilated filter is written as one, with the padding that it has, and answers as before.
func TestWriteDilated(t *testing.T) {
	none, relu := schema.ActivationFunctionTypeNONE, schema.ActivationFunctionTypeRELU
	image, row := Input(1, 12, 8, 3), Input(1, 24, 3)
	conv, dw := schema.BuiltinOperatorCONV_2D, schema.BuiltinOperatorDEPTHWISE_CONV_2D
	pad, reshape := schema.BuiltinOperatorPAD, schema.BuiltinOperatorRESHAPE
	stays := []schema.BuiltinOperator{schema.BuiltinOperatorSPACE_TO_BATCH_ND, conv, schema.BuiltinOperatorBATCH_TO_SPACE_ND}
	for name, test := range map[string]struct {
		in, layer Layer
		want      []schema.BuiltinOperator
		padding   schema.Padding
		dilation  [2]int
	}{
		"without borders":                {image, cutIntoBatches(kernel(3, 3, relu), []int{2, 2}, []int{0, 0, 0, 0}, []int{0, 0, 0, 0}), []schema.BuiltinOperator{conv}, schema.PaddingVALID, [2]int{2, 2}},
		"same":                           {image, cutIntoBatches(kernel(3, 3, none), []int{2, 2}, []int{2, 2, 2, 2}, []int{0, 0, 0, 0}), []schema.BuiltinOperator{conv}, schema.PaddingSAME, [2]int{2, 2}},
		"same, filled up to whole parts": {image, cutIntoBatches(kernel(3, 3, none), []int{5, 3}, []int{5, 8, 3, 4}, []int{0, 3, 0, 1}), []schema.BuiltinOperator{conv}, schema.PaddingSAME, [2]int{5, 3}},
		"depthwise":                      {image, cutIntoBatches(Depthwise(3, Valid), []int{2, 4}, []int{2, 2, 4, 4}, []int{0, 0, 0, 0}), []schema.BuiltinOperator{dw}, schema.PaddingSAME, [2]int{2, 4}},
		"borders of another kind":        {image, cutIntoBatches(kernel(3, 3, none), []int{2, 2}, []int{4, 0, 2, 2}, []int{0, 0, 0, 0}), []schema.BuiltinOperator{pad, conv}, schema.PaddingVALID, [2]int{2, 2}},
		"cut off more than added":        {image, cutIntoBatches(kernel(3, 3, none), []int{2, 2}, []int{0, 0, 0, 0}, []int{1, 0, 0, 0}), stays, schema.PaddingVALID, [2]int{1, 1}},
		"a row":                          {row, cutIntoBatches(asRow(kernel(1, 5, relu), 1), []int{3}, []int{0, 0}, []int{0, 0}), []schema.BuiltinOperator{reshape, conv, reshape}, schema.PaddingVALID, [2]int{1, 3}},
		"a row, upright":                 {row, cutIntoBatches(asRow(kernel(5, 1, none), 2), []int{2}, []int{4, 4}, []int{0, 0}), []schema.BuiltinOperator{reshape, conv, reshape}, schema.PaddingSAME, [2]int{2, 1}},
		"a row, of what was before":      {row, cutIntoBatches(asRow(kernel(1, 3, none), 1), []int{4}, []int{8, 0}, []int{0, 0}), []schema.BuiltinOperator{pad, reshape, conv, reshape}, schema.PaddingVALID, [2]int{1, 4}},
		"two":                            {image, Sequence(cutIntoBatches(kernel(3, 3, relu), []int{2, 2}, []int{2, 2, 2, 2}, []int{0, 0, 0, 0}), cutIntoBatches(kernel(3, 3, relu), []int{4, 4}, []int{4, 4, 4, 4}, []int{0, 0, 0, 0})), []schema.BuiltinOperator{conv, conv}, schema.PaddingSAME, [2]int{2, 2}},
	} {
		m := Chain(test.in, test.layer)
		c := m.Clone()
		(&job{index: map[*tflite.Op]int{}}).writeDilated(c.Graphs[0])
		sameByName(t, m, c)
		if err := c.Validate(); err != nil {
			t.Fatal(name, err)
		}
		var got []schema.BuiltinOperator
		for _, op := range c.Graphs[0].Ops {
			got = append(got, op.Code)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\n%v", name, got, c)
			continue
		}
		at := slices.IndexFunc(c.Graphs[0].Ops, func(op *tflite.Op) bool { return spec(op).filter != nil })
		if w, _ := c.Graphs[0].Ops[at].Window(); w.Padding != test.padding || w.Dilation != test.dilation {
			t.Errorf("%s: padding %v, dilation %v", name, w.Padding, w.Dilation)
		}
		for _, open := range []Interpreter{evaluate, interpreter} {
			if open == nil {
				continue
			}
			if d := relativeChange(t, open, m, c, 0); d > 1e-6 {
				t.Errorf("%s: outputs changed by %g", name, d)
			}
		}
	}
}

// Borders that no kernel takes are left to whoever runs the graph.
func TestDilatedOfBadBorders(t *testing.T) {
	for _, list := range [][]int32{{2}, {-2, 2, 2, 2}, {}} {
		m := Chain(Input(1, 12, 8, 3), cutIntoBatches(kernel(3, 3, schema.ActivationFunctionTypeNONE), []int{2, 2}, []int{2, 2, 2, 2}, []int{0, 0, 0, 0}))
		borders := m.Graphs[0].Ops[0].Inputs[2]
		borders.Shape = []int{len(list)}
		borders.SetInt32s(list)
		(&job{index: map[*tflite.Op]int{}}).writeDilated(m.Graphs[0])
		if len(m.Graphs[0].Ops) != 3 {
			t.Errorf("borders %v: rewritten\n%v", list, m)
		}
	}
}

// sameByName checks that what has one name in both models, which "verify --layers" goes by, is the same.
func sameByName(t *testing.T, before, after *tflite.Model) {
	t.Helper()
	made := func(m *tflite.Model) map[string]int {
		at := map[string]int{}
		for i, op := range m.Graphs[0].Ops {
			at[op.Outputs[0].Name] = i
		}
		return at
	}
	first := made(before)
	for name, k := range made(after) {
		i, ok := first[name]
		if !ok {
			continue
		}
		a, b := before.Clone(), after.Clone()
		a.Graphs[0].Outputs = a.Graphs[0].Ops[i].Outputs
		b.Graphs[0].Outputs = b.Graphs[0].Ops[k].Outputs
		if a.Graphs[0].Outputs[0].Len() != b.Graphs[0].Outputs[0].Len() {
			continue
		}
		if d := relativeChange(t, evaluate, a, b, 0); d > 1e-6 {
			t.Errorf("%q was something else: it changed by %g", name, d)
		}
	}
}
