package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// plus adds a constant of a shape.
func plus(shape ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("plus", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, x, b.Random(0, 1, shape...))
	}
}

// Biases and activations behind a RESHAPE go into the filter before it, where the channels are the
// same, or parted into heads.
func TestBeforeReshapes(t *testing.T) {
	relu := Unary(schema.BuiltinOperatorRELU, nil)
	dense := []schema.BuiltinOperator{schema.BuiltinOperatorFULLY_CONNECTED, schema.BuiltinOperatorRESHAPE}
	stays := func(more ...schema.BuiltinOperator) []schema.BuiltinOperator {
		return append(slices.Clone(dense), more...)
	}
	for name, test := range map[string]struct {
		layers Layer
		want   []schema.BuiltinOperator
	}{
		"a bias":                 {Sequence(Reshape(1, 4, 2, 6), plus(6)), dense},
		"of all":                 {Sequence(Reshape(1, 4, 2, 6), plus(1)), dense},
		"of four axes":           {Sequence(Reshape(1, 4, 2, 6), plus(1, 1, 1, 6)), dense},
		"a bias and RELU":        {Sequence(Reshape(1, 4, 2, 6), plus(6), relu), dense},
		"RELU":                   {Sequence(Reshape(1, 4, 2, 6), relu), dense},
		"heads":                  {Sequence(Reshape(1, 8, 2, 3), plus(2, 3)), dense},
		"heads, of four axes":    {Sequence(Reshape(1, 8, 2, 3), plus(1, 1, 2, 3)), dense},
		"one for each position":  {Sequence(Reshape(1, 8, 6), plus(8, 1)), stays(schema.BuiltinOperatorADD)},
		"one for each head":      {Sequence(Reshape(1, 8, 2, 3), plus(2, 1)), stays(schema.BuiltinOperatorADD)},
		"part of the channels":   {Sequence(Reshape(1, 16, 3), plus(3)), stays(schema.BuiltinOperatorADD)},
		"of all, among heads":    {Sequence(Reshape(1, 8, 2, 3), plus(1)), stays(schema.BuiltinOperatorADD)},
		"RELU of other channels": {Sequence(Reshape(1, 16, 3), relu), stays(schema.BuiltinOperatorRELU)},
	} {
		m := Chain(Input(8, 5), Dense(6), test.layers)
		j := jobAfter(t, m, stated(), "fuse activations")
		var got []schema.BuiltinOperator
		for _, op := range j.graph.Ops {
			got = append(got, op.Code)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\n%v", name, got, j.model)
		}
		if d := relativeChange(t, evaluate, m, j.model, 1); d > 1e-6 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}

// What others read between stays where it is.
func TestBeforeReshapesWithReaders(t *testing.T) {
	b := New(1)
	x := Dense(6)(b, b.Input(8, 5))
	y := Reshape(1, 8, 6)(b, x)
	m := b.Model(plus(6)(b, y), y)
	if j := jobAfter(t, m, stated(), "fold batch norms"); j.graph.Ops[2].Code != schema.BuiltinOperatorADD {
		t.Errorf("an answer has another bias\n%v", j.model)
	}
}
