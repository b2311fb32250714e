package tflite

import (
	"testing"

	"dfq/schema"
)

func TestBroadcastsTooFar(t *testing.T) {
	five := []int{1, 2, 3, 2, 4}
	for _, test := range []struct {
		code   schema.BuiltinOperator
		of     schema.TensorType
		shapes [][]int
		far    bool
	}{
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{five, five}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{five, {1, 1, 3, 1, 4}}, true},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{{1, 1, 3, 1, 4}, five}, true},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{{3, 1, 4}, five}, true},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{five, {4}}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{five, {1, 1, 1, 1, 4}}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{{}, five}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT16, [][]int{five, {4}}, true},
		{schema.BuiltinOperatorADD, schema.TensorTypeFLOAT32, [][]int{five, {1, 1, 3, 1, 4}}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{{2, 3, 2, 4}, {2, 1, 2, 1}}, false},
		{schema.BuiltinOperatorSUB, schema.TensorTypeINT8, [][]int{five, {1, 1, 3, 1, 4}}, false},
		{schema.BuiltinOperatorSELECT_V2, schema.TensorTypeFLOAT32, [][]int{{4}, five, five}, true},
		{schema.BuiltinOperatorCONCATENATION, schema.TensorTypeINT8, [][]int{five, {1, 2, 3, 2, 1}}, false},
		{schema.BuiltinOperatorADD, schema.TensorTypeINT8, [][]int{five}, false},
	} {
		op := &Op{Code: test.code}
		for _, s := range test.shapes {
			op.Inputs = append(op.Inputs, &Tensor{Shape: s}, nil)
		}
		if got := op.BroadcastsTooFar(test.of); (got != "") != test.far {
			t.Errorf("%v of %v as %v: %q, want a reason: %v", test.code, test.shapes, test.of, got, test.far)
		}
	}
}
