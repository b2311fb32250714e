package tflite

import (
	"reflect"
	"testing"

	"dfq/schema"
)

func TestConstants(t *testing.T) {
	var c Tensor
	c.SetInt8s([]int8{-128, 127})
	if c.Type != schema.TensorTypeINT8 || !reflect.DeepEqual(c.Data, []byte{0x80, 0x7f}) || c.Ints() != nil {
		t.Errorf("int8: %+v", c)
	}
	c.SetInt32s([]int32{-2, 1 << 30})
	if got := c.Ints(); c.Type != schema.TensorTypeINT32 || !reflect.DeepEqual(got, []int{-2, 1 << 30}) {
		t.Errorf("int32: %v", got)
	}
	c.Type, c.Data = schema.TensorTypeINT64, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if got := c.Ints(); !reflect.DeepEqual(got, []int{-2}) {
		t.Errorf("int64: %v", got)
	}
	c.SetFloats([]float32{1, -0.5})
	if got := c.Floats(); c.Type != schema.TensorTypeFLOAT32 || !reflect.DeepEqual(got, []float32{1, -0.5}) || !c.Constant() {
		t.Errorf("float32: %v", got)
	}
	if n := (&Tensor{Shape: []int{2, 3, 4}}).Len(); n != 24 {
		t.Errorf("length %d", n)
	}
}

func TestUses(t *testing.T) {
	g := decode(t, everything(t)).Graphs[0]
	conv := g.Ops[0].Outputs[0]
	uses := g.Uses()
	if want := []Use{{g.Ops[1], 0}, {g.Ops[2], 0}}; !reflect.DeepEqual(uses[conv], want) {
		t.Errorf("uses of conv: %v", uses[conv])
	}
	if _, ok := uses[nil]; ok {
		t.Error("an optional input left out has uses")
	}
	if g.Producers()[conv] != g.Ops[0] {
		t.Error("producer of conv")
	}
}

// TestCloneIsApart edits a clone in every way passes do.
func TestCloneIsApart(t *testing.T) {
	m := decode(t, everything(t))
	before := m.String()
	for _, g := range m.Clone().Graphs {
		for _, tensor := range g.Tensors() {
			tensor.Name = "changed"
			tensor.SetInt8s([]int8{1})
			for i := range tensor.Shape {
				tensor.Shape[i] = 9
			}
			if q := tensor.Quant; q != nil {
				for i := range q.Scale {
					q.Scale[i], q.Zero[i] = 9, 9
				}
				q.Axis = 9
			}
		}
		for _, op := range g.Ops {
			op.Version, op.Options = 99, nil
			clear(op.Inputs)
			clear(op.Outputs)
		}
		clear(g.Inputs)
		clear(g.Outputs)
	}
	if after := m.String(); after != before {
		t.Errorf("the original changed:\n%s", after)
	}
}
