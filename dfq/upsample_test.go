package dfq

import (
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// repeatEach has each row (axis 1) or column (axis 2) of an image several times, as Keras writes it,
// in an axis of its own at the place at.
func repeatEach(axis, times, at int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		wide, many := slices.Insert(slices.Clone(x.Shape), at, 1), []int{1, 1, 1, 1, 1}
		many[at] = times
		y := b.Op("expanded", schema.BuiltinOperatorEXPAND_DIMS, &schema.ExpandDimsOptionsT{}, wide, x, b.Ints(nil, at))
		tiled := slices.Clone(wide)
		tiled[at] = times
		y = b.Op("tiled", schema.BuiltinOperatorTILE, &schema.TileOptionsT{}, tiled, y, b.Ints([]int{5}, many...))
		shape := slices.Clone(x.Shape)
		shape[axis] *= times
		return Reshape(shape...)(b, y)
	}
}

// twiceRead reads what layer makes of its input, and one of the tensors before.
func twiceRead(layer Layer) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := layer(b, x)
		inner := b.Graph.Ops[len(b.Graph.Ops)-2].Outputs[0]
		return b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, y.Shape, y, Reshape(y.Shape...)(b, inner))
	}
}

func TestWriteUpsampling(t *testing.T) {
	up := func(rows, columns int) Layer { return Sequence(repeatEach(1, rows, 2), repeatEach(2, columns, 3)) }
	resize := []schema.BuiltinOperator{schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR}
	stays := []schema.BuiltinOperator{schema.BuiltinOperatorEXPAND_DIMS, schema.BuiltinOperatorTILE, schema.BuiltinOperatorRESHAPE}
	for name, test := range map[string]struct {
		layer Layer
		want  []schema.BuiltinOperator
	}{
		"twice as large":              {up(2, 2), resize},
		"three and five times":        {up(3, 5), resize},
		"rows only":                   {repeatEach(1, 4, 2), resize},
		"columns only":                {repeatEach(2, 4, 3), resize},
		"twice, and three times more": {Sequence(up(2, 2), up(3, 3)), resize},
		"the image again, below":      {repeatEach(1, 2, 1), stays}, // not each row, but all
		"channels":                    {repeatEach(3, 2, 4), stays},
		"read twice":                  {twiceRead(repeatEach(1, 2, 2)), slices.Concat(stays, []schema.BuiltinOperator{schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorADD})},
		"where float32 is too coarse": {Sequence(repeatEach(1, 41, 2)), stays}, // 41 · float32(1/41) is below 1
	} {
		m := Chain(Input(1, 5, 6, 3), test.layer)
		c := m.Clone()
		writeUpsampling(c.Graphs[0])
		sameByName(t, m, c)
		var got []schema.BuiltinOperator
		for _, op := range c.Graphs[0].Ops {
			got = append(got, op.Code)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
		for _, open := range []Interpreter{evaluate, interpreter} {
			if open == nil {
				continue
			}
			if d := relativeChange(t, open, m, c, 0); d > 0 {
				t.Errorf("%s: outputs changed by %g", name, d)
			}
		}
	}
}

// Behind an open batch it is the same; an image of open size stays what it is.
func TestUpsamplingOfOpenShapes(t *testing.T) {
	for _, test := range []struct {
		signature []int
		resizes   bool
	}{{[]int{-1, 5, 6, 3}, true}, {[]int{1, -1, 6, 3}, false}} {
		m := open(test.signature, repeatEach(1, 2, 2))
		for _, x := range m.Graphs[0].Tensors() {
			if !x.Constant() {
				x.Signature = slices.Clone(x.Shape)
				x.Signature[slices.Index(test.signature, -1)] = -1
			}
		}
		writeUpsampling(m.Graphs[0])
		if got := m.Graphs[0].Ops[0].Code == schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR; got != test.resizes {
			t.Errorf("signature %v: resizes is %v\n%v", test.signature, got, m)
		}
	}
}
