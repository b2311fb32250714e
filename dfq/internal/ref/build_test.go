package ref

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// real is an activation.
func real(shape ...int) *tflite.Tensor { return typed(schema.TensorTypeFLOAT32, shape...) }

func typed(typ schema.TensorType, shape ...int) *tflite.Tensor {
	return &tflite.Tensor{Name: "x", Type: typ, Shape: append([]int{}, shape...)}
}

// constant is a FLOAT32 constant of the given values.
func constant(shape []int, v ...float32) *tflite.Tensor {
	t := real(shape...)
	t.SetFloats(v)
	return t
}

// random is a FLOAT32 constant of values about ±1.
func random(r *rand.Rand, shape ...int) *tflite.Tensor {
	t := real(shape...)
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	t.SetFloats(v)
	return t
}

// integers is an INT32 vector, scalar an INT32 scalar.
func integers(v ...int) *tflite.Tensor {
	t := typed(schema.TensorTypeINT32, len(v))
	list := make([]int32, len(v))
	for i, n := range v {
		list[i] = int32(n)
	}
	t.SetInt32s(list)
	return t
}

func scalar(n int) *tflite.Tensor {
	t := integers(n)
	t.Shape = []int{}
	return t
}

func matrix(rows int, v ...int) *tflite.Tensor {
	t := integers(v...)
	t.Shape = []int{rows, len(v) / rows}
	return t
}

// single is a model of one op with n FLOAT32 outputs. Inputs without data are
// graph inputs.
func single(code schema.BuiltinOperator, options any, n int, inputs ...*tflite.Tensor) *tflite.Model {
	op := &tflite.Op{Code: code, Version: 1, Options: options, Inputs: inputs}
	g := &tflite.Graph{Name: "main", Ops: []*tflite.Op{op}}
	for _, t := range inputs {
		if t != nil && t.Data == nil {
			g.Inputs = append(g.Inputs, t)
		}
	}
	for range n {
		t := real()
		t.Name = "y"
		op.Outputs = append(op.Outputs, t)
		g.Outputs = append(g.Outputs, t)
	}
	return &tflite.Model{Graphs: []*tflite.Graph{g}}
}

// outputType sets the type of output i.
func outputType(m *tflite.Model, i int, typ schema.TensorType) *tflite.Model {
	m.Graphs[0].Outputs[i].Type = typ
	return m
}

// evaluate runs a model and records the shapes of its op outputs.
func evaluate(m *tflite.Model, inputs ...[]float32) ([][]float32, error) {
	e, err := New(m)
	if err != nil {
		return nil, err
	}
	r := newRun(len(e.tensors), maxElements)
	if err := e.start(r, inputs); err != nil {
		return nil, err
	}
	err = e.run(r, func(s *step) {
		for i, t := range s.op.Outputs {
			t.Shape = r.values[s.out[i]].shape
		}
	})
	if err != nil {
		return nil, err
	}
	return e.results(r), nil
}

// float16Constant stores IEEE 754 binary16 numbers.
func float16Constant(bits ...uint16) *tflite.Tensor {
	t := typed(schema.TensorTypeFLOAT16, len(bits))
	t.Data = make([]byte, 2*len(bits))
	for i, b := range bits {
		binary.LittleEndian.PutUint16(t.Data[2*i:], b)
	}
	return t
}

func mustEvaluate(t *testing.T, m *tflite.Model, inputs ...[]float32) [][]float32 {
	t.Helper()
	y, err := evaluate(m, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return y
}
