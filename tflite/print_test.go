package tflite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dfq/schema"
)

// TestPrint reads the printed form of a file with everything in it. The
// checksums are CRC-32 (IEEE) of the bytes; that of "flexbuffer", for example,
// is what `printf flexbuffer | gzip -c | tail -c8` ends in, reversed.
func TestPrint(t *testing.T) {
	want := `description "everything"
graph 0 "main"
`
	got := decode(t, everything(t)).String()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

// TestPrintOdd prints graphs that Validate would refuse.
func TestPrintOdd(t *testing.T) {
	a, b := &Tensor{Name: "a", Shape: []int{2}}, &Tensor{Name: "b", Quant: &Quantization{Scale: []float32{0.5, 1}, Zero: []int64{-3, 4}, Axis: 2}}
	g := &Graph{
		Inputs: []*Tensor{nil}, Outputs: []*Tensor{nil, a},
		Ops: []*Op{
			{Code: schema.BuiltinOperatorADD, Inputs: []*Tensor{a, b}, Options: "no options"},
			{Code: 999, Outputs: []*Tensor{nil}},
		},
	}
	want := `graph ""
  _ = input
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(g.String(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestPrintIsStable(t *testing.T) {
	realModels(t, func(t *testing.T, data []byte) {
		m := decode(t, data)
		text := m.String()
		if again := decode(t, encode(t, m)).String(); again != text {
			t.Error(cmp.Diff(strings.Split(text, "\n"), strings.Split(again, "\n")))
		}
		if clone := m.Clone().String(); clone != text {
			t.Error("a clone prints otherwise")
		}
		for _, g := range m.Graphs {
			if lines := strings.Count(g.String(), "\n"); lines < len(g.Ops) {
				t.Errorf("%d lines for %d ops", lines, len(g.Ops))
			}
		}
	})
}
