package dfq

import (
	"strings"
	"testing"

	. "dfq/tflite/tflitetest"
)

// Sparse weights become what dense ones become.
func TestSparseWeights(t *testing.T) {
	sparse, dense := Pruned()
	if !strings.Contains(sparse.String(), "sparse") {
		t.Fatal("the model is not sparse")
	}
	opts := &Options{Calibration: madeUp(dense), Inputs: []InputRange{{Range: Range{-2, 2}}}, Interpreter: interpreter}
	a, _ := quantize(t, sparse, opts)
	b, _ := quantize(t, dense, opts)
	if a.String() != b.String() {
		t.Errorf("%v\nwant\n%v", a, b)
	}
	sameAnswers(t, dense, a, 30)
}

// Damaged sparsity is an error that names the tensor.
func TestSparseRefused(t *testing.T) {
	m, _ := Pruned()
	w := m.Graphs[0].Ops[0].Inputs[1]
	w.Shape = []int{w.Shape[0], w.Shape[1] + 1}
	if _, _, err := Quantize(m, stated()); err == nil || !strings.Contains(err.Error(), `tensor "`+w.Name+`": sparsity:`) {
		t.Errorf("error %v, want one that names the tensor", err)
	}
}
