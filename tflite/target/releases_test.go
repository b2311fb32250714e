//go:build tflite

package target_test

import (
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"
	"dfq/tflite/target"
)

// windows are options without which a model does not get as far as the
// interpreter.
var windows = map[schema.BuiltinOperator]any{
	schema.BuiltinOperatorCONV_2D:           &schema.Conv2DOptionsT{StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: &schema.DepthwiseConv2DOptionsT{StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1, DepthMultiplier: 1},
	schema.BuiltinOperatorTRANSPOSE_CONV:    &schema.TransposeConvOptionsT{StrideH: 1, StrideW: 1},
	schema.BuiltinOperatorAVERAGE_POOL_2D:   &schema.Pool2DOptionsT{StrideH: 1, StrideW: 1, FilterHeight: 1, FilterWidth: 1},
	schema.BuiltinOperatorMAX_POOL_2D:       &schema.Pool2DOptionsT{StrideH: 1, StrideW: 1, FilterHeight: 1, FilterWidth: 1},
	schema.BuiltinOperatorL2_POOL_2D:        &schema.Pool2DOptionsT{StrideH: 1, StrideW: 1, FilterHeight: 1, FilterWidth: 1},
}

// TestLinkedRelease asks the linked interpreter which versions of every operator
// it has: they are those of the table. Behind the op in question stands one of a
// version that no release has, so that the interpreter never gets to run either;
// it names the first that it does not have.
func TestLinkedRelease(t *testing.T) {
	release := strings.Join(strings.SplitN(interp.Version(), ".", 3)[:2], ".")
	t.Log("TensorFlow Lite", interp.Version())
	limits, err := target.LimitsOf("tflite-"+release, schema.TensorTypeINT8)
	if err != nil {
		t.Fatal(err)
	}
	const poison = "'ADD' version '99'"
	has := func(code schema.BuiltinOperator, version int) bool {
		value := func() *tflite.Tensor { return of(schema.TensorTypeFLOAT32, 1, 1, 1, 1) }
		tested := op(code, version, windows[code], value(), value(), value(), value())
		behind := op(schema.BuiltinOperatorADD, 99, nil, value(), tested.Outputs[0], tested.Outputs[0])
		m := model(tested, behind)
		m.Graphs[0].Inputs, m.Graphs[0].Outputs = tested.Inputs, behind.Outputs
		data, err := tflite.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		in, err := interp.New(data, 1)
		if err == nil {
			in.Close()
			t.Fatalf("%s: the interpreter takes ADD version 99", code)
		}
		return strings.Contains(err.Error(), poison)
	}
	for code := range schema.EnumNamesBuiltinOperator {
		if code == schema.BuiltinOperatorCUSTOM {
			continue
		}
		lo, hi := limits.Versions(code)
		for v := 1; v <= hi+1; v++ {
			if got, want := has(code, v), v >= lo && v <= hi && hi > 0; got != want {
				t.Errorf("%s version %d in release %s: the interpreter has it: %t, the table: %t", code, v, release, got, want)
			}
		}
	}
}
