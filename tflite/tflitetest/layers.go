package tflitetest

import (
	"math"

	"dfq/schema"
	"dfq/tflite"
)

// A Layer adds its ops behind x and returns what they make of it.
type Layer func(b *Builder, x *tflite.Tensor) *tflite.Tensor

// Chain is a model of layers one behind the other, the first an Input.
func Chain(layers ...Layer) *tflite.Model { return ChainSeed(1, layers...) }

// ChainSeed is Chain with other weights.
func ChainSeed(seed uint64, layers ...Layer) *tflite.Model {
	b := New(seed)
	return b.Model(Sequence(layers...)(b, nil))
}

// Sequence is layers one behind the other as one layer.
func Sequence(layers ...Layer) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		for _, l := range layers {
			x = l(b, x)
		}
		return x
	}
}

// Input is the graph's input.
func Input(shape ...int) Layer {
	return func(b *Builder, _ *tflite.Tensor) *tflite.Tensor { return b.Input(shape...) }
}

// A Setting changes a layer from its default: stride 1, SAME, no activation.
type Setting func(*settings)

type settings struct {
	activation         schema.ActivationFunctionType
	padding            schema.Padding
	stride, multiplier int
	noBias             bool
}

// ReLU and ReLU6 are fused activations.
var (
	ReLU  Setting = Activation(schema.ActivationFunctionTypeRELU)
	ReLU6 Setting = Activation(schema.ActivationFunctionTypeRELU6)
)

// Activation fuses any activation.
func Activation(a schema.ActivationFunctionType) Setting {
	return func(s *settings) { s.activation = a }
}

// Stride is the step of a window in both directions.
func Stride(n int) Setting { return func(s *settings) { s.stride = n } }

// Valid leaves out the positions where a window reaches over the border.
func Valid(s *settings) { s.padding = schema.PaddingVALID }

// Multiplier is a depthwise convolution's outputs per input channel.
func Multiplier(n int) Setting { return func(s *settings) { s.multiplier = n } }

// NoBias leaves the bias out.
func NoBias(s *settings) { s.noBias = true }

func apply(settingList []Setting) settings {
	s := settings{stride: 1, multiplier: 1}
	for _, set := range settingList {
		set(&s)
	}
	return s
}

// window is the output side of a window of size k over n.
func (s settings) window(n, k int) int {
	if s.padding == schema.PaddingVALID {
		n -= k - 1
	}
	return (n + s.stride - 1) / s.stride
}

func (s settings) bias(b *Builder, name string, n int) []*tflite.Tensor {
	if s.noBias {
		return nil
	}
	t := b.Random(0, 0.3, n)
	t.Name = name + "_bias"
	return []*tflite.Tensor{t}
}

// Conv is a CONV_2D of square filters.
func Conv(filters, size int, set ...Setting) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		s, depth := apply(set), x.Shape[3]
		w := b.Filter("conv_weights", depth*size*size, 0, filters, size, size, depth)
		o := &schema.Conv2DOptionsT{Padding: s.padding, StrideW: int32(s.stride), StrideH: int32(s.stride),
			DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: s.activation}
		shape := []int{x.Shape[0], s.window(x.Shape[1], size), s.window(x.Shape[2], size), filters}
		return b.Op("conv", schema.BuiltinOperatorCONV_2D, o, shape, append([]*tflite.Tensor{x, w}, s.bias(b, w.Name, filters)...)...)
	}
}

// Depthwise is a DEPTHWISE_CONV_2D of square filters.
func Depthwise(size int, set ...Setting) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		s := apply(set)
		n := x.Shape[3] * s.multiplier
		w := b.Filter("depthwise_weights", size*size, 3, 1, size, size, n)
		o := &schema.DepthwiseConv2DOptionsT{Padding: s.padding, StrideW: int32(s.stride), StrideH: int32(s.stride),
			DepthMultiplier: int32(s.multiplier), DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: s.activation}
		shape := []int{x.Shape[0], s.window(x.Shape[1], size), s.window(x.Shape[2], size), n}
		return b.Op("depthwise", schema.BuiltinOperatorDEPTHWISE_CONV_2D, o, shape, append([]*tflite.Tensor{x, w}, s.bias(b, w.Name, n)...)...)
	}
}

// Dense is a FULLY_CONNECTED layer on all that stands behind the first axis.
func Dense(units int, set ...Setting) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		s, depth := apply(set), x.Len()/x.Shape[0]
		w := b.Filter("dense_weights", depth, 0, units, depth)
		o := &schema.FullyConnectedOptionsT{FusedActivationFunction: s.activation}
		return b.Op("dense", schema.BuiltinOperatorFULLY_CONNECTED, o, []int{x.Shape[0], units}, append([]*tflite.Tensor{x, w}, s.bias(b, w.Name, units)...)...)
	}
}

// Residual adds what its layers make of x to x.
func Residual(layers ...Layer) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := Sequence(layers...)(b, x)
		return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, y, x)
	}
}

// Concat joins what several layers make of x along the channels.
func Concat(branches ...Layer) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		var parts []*tflite.Tensor
		shape, channels := x.Shape, 0
		for _, l := range branches {
			y := l(b, x)
			parts = append(parts, y)
			shape, channels = y.Shape, channels+y.Shape[len(y.Shape)-1]
		}
		shape = append(append([]int{}, shape[:len(shape)-1]...), channels)
		return b.Op("concat", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: -1}, shape, parts...)
	}
}

// Identity is x itself, for a branch without ops.
func Identity() Layer { return Sequence() }

// Unary is an op of one operand and its shape.
func Unary(code schema.BuiltinOperator, options any) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("unary", code, options, x.Shape, x)
	}
}

// Softmax is along the last axis.
func Softmax() Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("softmax", schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 1}, x.Shape, x)
	}
}

// Mean is over height and width.
func Mean() Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{}, []int{x.Shape[0], x.Shape[3]}, x, b.Ints([]int{2}, 1, 2))
	}
}

// Pool is AVERAGE_POOL_2D or MAX_POOL_2D over square windows.
func Pool(code schema.BuiltinOperator, size int, set ...Setting) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		s := apply(set)
		o := &schema.Pool2DOptionsT{Padding: s.padding, StrideW: int32(s.stride), StrideH: int32(s.stride),
			FilterWidth: int32(size), FilterHeight: int32(size), FusedActivationFunction: s.activation}
		return b.Op("pool", code, o, []int{x.Shape[0], s.window(x.Shape[1], size), s.window(x.Shape[2], size), x.Shape[3]}, x)
	}
}

// Pad adds a border of zeros.
func Pad(n int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape := []int{x.Shape[0], x.Shape[1] + 2*n, x.Shape[2] + 2*n, x.Shape[3]}
		return b.Op("pad", schema.BuiltinOperatorPAD, &schema.PadOptionsT{}, shape, x, b.Ints([]int{4, 2}, 0, 0, n, n, n, n, 0, 0))
	}
}

// Reshape is to a shape of as many elements.
func Reshape(shape ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("reshape", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, shape, x, b.Ints([]int{len(shape)}, shape...))
	}
}

// Scale multiplies the last filter's channels, and its bias, by factors, one
// for each in turn; the layers behind see what a training would not have left.
func Scale(factors ...float64) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		op := b.Graph.Ops[len(b.Graph.Ops)-1]
		axis := 0
		if op.Code == schema.BuiltinOperatorDEPTHWISE_CONV_2D {
			axis = 3
		}
		for i, t := range op.Inputs[1:] {
			inner := 1
			if i == 0 {
				for _, d := range t.Shape[axis+1:] {
					inner *= d
				}
			}
			v := t.Floats()
			n := op.Outputs[0].Shape[len(op.Outputs[0].Shape)-1]
			for k := range v {
				v[k] = float32(float64(v[k]) * factors[k/inner%n%len(factors)])
			}
			t.SetFloats(v)
		}
		return x
	}
}

// Inputs are n samples of every graph input of m, normal numbers within ±limit:
// [sample][input].
func Inputs(m *tflite.Model, seed uint64, n int, limit float64) [][][]float32 {
	b := New(seed)
	samples := make([][][]float32, n)
	for s := range samples {
		for _, t := range m.Graphs[0].Inputs {
			v := make([]float32, t.Len())
			for i := range v {
				v[i] = float32(math.Max(-limit, math.Min(limit, b.random.NormFloat64()*limit/2)))
			}
			samples[s] = append(samples[s], v)
		}
	}
	return samples
}
