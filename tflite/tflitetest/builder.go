// Package tflitetest builds small float models for tests, as net/http/httptest
// builds servers.
//
// A model is a chain of layers. Weights are seeded, of the size that keeps
// activations near one, and their channels have ranges up to a factor of 64
// apart, as in networks whose batch norm is folded:
//
//	tflitetest.Chain(
//		Input(1, 8, 8, 3),               // %0 "input" float32[1,8,8,3] = input
//		Conv(16, 3, ReLU),               // %3 "conv" float32[1,8,8,16] = CONV_2D v1 (%0, %1, %2) {padding SAME, …, activation RELU}
//		Residual(Depthwise(3, ReLU6),    // %6 "depthwise" float32[1,8,8,16] = DEPTHWISE_CONV_2D v1 (%3, %4, %5) {…, activation RELU6}
//			Conv(16, 1, NoBias)),        // %8 "conv_1" float32[1,8,8,16] = CONV_2D v1 (%6, %7) {padding SAME, …}
//		                                 // %9 "add" float32[1,8,8,16] = ADD v1 (%8, %3)
//		Mean(),                          // %11 "mean" float32[1,16] = MEAN v1 (%9, %10)
//		Dense(10),                       // %14 "dense" float32[1,10] = FULLY_CONNECTED v1 (%11, %12, %13)
//		Softmax())                       // %15 "softmax" float32[1,10] = SOFTMAX v1 (%14) {beta 1}
//
// What no layer exists for is added with a Builder.
package tflitetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"dfq/schema"
	"dfq/tflite"
)

// A Builder adds tensors and ops to the one graph of a model.
type Builder struct {
	Graph *tflite.Graph

	random *rand.Rand
	names  map[string]int
}

// New returns a builder of an empty graph; seed is that of its weights.
func New(seed uint64) *Builder {
	return &Builder{Graph: &tflite.Graph{Name: "main"}, random: rand.New(rand.NewPCG(seed, 0)), names: map[string]int{}}
}

// Input adds a FLOAT32 input.
func (b *Builder) Input(shape ...int) *tflite.Tensor {
	t := b.Tensor("input", schema.TensorTypeFLOAT32, shape...)
	b.Graph.Inputs = append(b.Graph.Inputs, t)
	return t
}

// Tensor returns an activation. Names are made unique.
func (b *Builder) Tensor(name string, typ schema.TensorType, shape ...int) *tflite.Tensor {
	if n := b.names[name]; n > 0 {
		b.names[name]++
		name = fmt.Sprintf("%s_%d", name, n)
	} else {
		b.names[name] = 1
	}
	return &tflite.Tensor{Name: name, Type: typ, Shape: shape}
}

// Floats returns a FLOAT32 constant; one value fills any shape.
func (b *Builder) Floats(shape []int, values ...float32) *tflite.Tensor {
	t := b.Tensor("constant", schema.TensorTypeFLOAT32, shape...)
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = values[i%len(values)]
	}
	t.SetFloats(v)
	return t
}

// Ints returns an INT32 constant.
func (b *Builder) Ints(shape []int, values ...int) *tflite.Tensor {
	t := b.Tensor("integers", schema.TensorTypeINT32, shape...)
	v := make([]int32, len(values))
	for i, x := range values {
		v[i] = int32(x)
	}
	t.SetInt32s(v)
	return t
}

// Random returns a FLOAT32 constant of normal numbers.
func (b *Builder) Random(mean, deviation float64, shape ...int) *tflite.Tensor {
	t := b.Floats(shape, 0)
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = float32(mean + deviation*b.random.NormFloat64())
	}
	t.SetFloats(v)
	return t
}

// Filter returns weights for inputs of the given number per output. Each output
// channel, along the given axis, has a size of its own.
func (b *Builder) Filter(name string, fanIn, axis int, shape ...int) *tflite.Tensor {
	t := b.Tensor(name, schema.TensorTypeFLOAT32, shape...)
	inner, channels := 1, shape[axis]
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	size := make([]float64, channels)
	for c := range size {
		size[c] = math.Sqrt(2/float64(fanIn)) * math.Exp2(6*b.random.Float64()-3)
	}
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = float32(size[i/inner%channels] * b.random.NormFloat64())
	}
	t.SetFloats(v)
	return t
}

// Op adds an op of version 1 and returns its one FLOAT32 output, named after it.
func (b *Builder) Op(name string, code schema.BuiltinOperator, options any, shape []int, inputs ...*tflite.Tensor) *tflite.Tensor {
	out := b.Tensor(name, schema.TensorTypeFLOAT32, shape...)
	b.Add(code, options, inputs, out)
	return out
}

// Add adds an op of version 1 with any outputs.
func (b *Builder) Add(code schema.BuiltinOperator, options any, inputs []*tflite.Tensor, outputs ...*tflite.Tensor) {
	b.Graph.Ops = append(b.Graph.Ops, &tflite.Op{Code: code, Version: 1, Options: options, Inputs: inputs, Outputs: outputs})
}

// Model returns the model with the given graph outputs.
func (b *Builder) Model(outputs ...*tflite.Tensor) *tflite.Model {
	b.Graph.Outputs = outputs
	return &tflite.Model{Graphs: []*tflite.Graph{b.Graph}}
}
