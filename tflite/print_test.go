package tflite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dfq/schema"
)

// TestPrint reads the printed form of a file with everything in it. The
// checksums were computed apart, with Python's zlib.crc32.
func TestPrint(t *testing.T) {
	want := `description "everything"
graph 0 "main"
  %0 "image" float32[1,4,4,2 of ?,4,4,2] = input
  %15 "variants" variant[] = input
  %2 "filter" int8[3,1,1,2] <3 scales 0.125..0.5 on axis 0, zero 0> = {1, 2, 3, 4, 5, 6}
  %3 "bias" float32[3] = {7, 8, 9}
  %5 "conv" float32[1,4,4,3] = CONV_2D v3 (%0, %2, %3) {padding SAME, stride_w 1, stride_h 1, activation RELU6}
  %6 "sparse" float32[4,4] sparse = {5, 6}
  %7 "words" string[1] = #9f7a84ac
  %16 "axes" int32[0] = {}
  %11 "blocks" int4[5] <BlockwiseQuantization> = #6df01d8c
  %13 "external" float32[6] = external 1
  %8 "custom" float32[2] <CustomQuantization> = CUSTOM "Mine" v1 (%5, %6, %7, %16, _, %11, %13) {custom 10 bytes #42300f33}
  %4 "state" float32[1,3] = variable
  %17 "inner" int8[3] = inner
  %19 "gate" float32[1,3] = LSTM v4 (%5, _, %4) inner (%17, _) {cell_clip 10}
  %18 "condition" bool[] = {1}
  %1 "unused" float32[10] = #af49a058
  %10 "branched" float32[10] = IF v1 (%18, %1) {then_subgraph_index 1, else_subgraph_index 2}
  %9 "far" int32[] = STABLEHLO_COMPOSITE v1 (%15) {name "composite", decomposition_subgraph_index 1, composite_attributes 3 bytes #55bc801d, version 1, custom 11 bytes #87b92e25}
  %12 "scales" float32[2] = {5, 6}
  %14 "nothing" float32[] = nothing
  return %8, %10
graph 1 "then"
  %0 "then in" float32[10] = input
  %1 "then const" float32[10] = #af49a058
  %2 "then out" float32[10] = ADD v1 (%0, %1)
  return %2
graph 2 "else"
  %0 "else in" float32[10] = input
  %1 "else const" float32[10] = #af49a058
  %2 "else out" float32[10] = ADD v1 (%0, %1)
  return %2
signature "serve" of graph 0 ("x" %0) -> ("y" %8, "z" %10)
signature "part" of graph 1 ("a" %0) -> ()
metadata "blob" 8 bytes #bfa391fb
metadata "same as a constant" 6 bytes #81f67724
metadata "min_runtime_version" 16 bytes #fe0ed84d
metadata "none" 0 bytes #00000000
trailer ZIP
`
	m := decode(t, everything(t))
	got := strings.Replace(m.String(), fmt.Sprintf("trailer %d bytes", len(m.Trailer)), "trailer ZIP", 1)
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
  %0 "a" float32[2] = nothing
  %1 "b" float32[] <2 scales 0.5..1 on axis 2, zero -3..4> = nothing
  ADD v0 (%0, %1)
  _ = BuiltinOperator(999) v0 ()
  return _, %0
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(g.String(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestSharedPrint(t *testing.T) {
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
