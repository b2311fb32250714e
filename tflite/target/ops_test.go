package target_test

import (
	"fmt"

	"dfq/schema"
	"dfq/tflite"
)

// Small ops, each with operands of its own, for the tables of the tests.

// of is a value of a type and shape with a plain scale.
func of(t schema.TensorType, shape ...int) *tflite.Tensor {
	v := &tflite.Tensor{Type: t, Shape: shape}
	if v.Shape == nil {
		v.Shape = []int{}
	}
	switch t {
	case schema.TensorTypeINT8:
		v.Quant = scaled(0.1, -3)
	case schema.TensorTypeUINT8:
		v.Quant = scaled(0.1, 125)
	case schema.TensorTypeINT16:
		v.Quant = scaled(0.001, 0)
	case schema.TensorTypeINT32:
		v.Quant = scaled(0.0001, 0)
	}
	return v
}

func scaled(s float32, z int64) *tflite.Quantization {
	return &tflite.Quantization{Scale: []float32{s}, Zero: []int64{z}}
}

// q8 is an int8 value.
func q8(shape ...int) *tflite.Tensor { return of(schema.TensorTypeINT8, shape...) }

// with gives t another quantization.
func with(t *tflite.Tensor, s float32, z int64) *tflite.Tensor {
	t.Quant = scaled(s, z)
	return t
}

// w8 is an int8 constant with one scale; perChannel gives it one for each
// slice of axis.
func w8(shape ...int) *tflite.Tensor {
	w := q8(shape...)
	w.Quant = scaled(0.01, 0)
	w.Data = make([]byte, w.Len())
	for i := range w.Data {
		w.Data[i] = byte(i%11 - 5)
	}
	return w
}

func perChannel(w *tflite.Tensor, axis int) *tflite.Tensor {
	n := w.Shape[axis]
	w.Quant = &tflite.Quantization{Axis: axis, Zero: make([]int64, n)}
	for i := range n {
		w.Quant.Scale = append(w.Quant.Scale, 0.01+float32(i)/1024)
	}
	return w
}

// b32 is a bias of n zeros for the weights w.
func b32(w *tflite.Tensor, n int) *tflite.Tensor {
	b := &tflite.Tensor{Shape: []int{n}, Quant: &tflite.Quantization{}}
	b.SetInt32s(make([]int32, n))
	for c := range w.Quant.Scale {
		b.Quant.Scale = append(b.Quant.Scale, 0.1*w.Quant.Scale[c])
		b.Quant.Zero = append(b.Quant.Zero, 0)
	}
	return b
}

// list is an INT32 constant of one dimension, or a scalar.
func list(v ...int) *tflite.Tensor {
	t := &tflite.Tensor{Shape: []int{len(v)}}
	q := make([]int32, len(v))
	for i := range v {
		q[i] = int32(v[i])
	}
	t.SetInt32s(q)
	return t
}

func scalar(v int) *tflite.Tensor {
	t := list(v)
	t.Shape = []int{}
	return t
}

// pads is the paddings operand of PAD.
func pads(v ...int) *tflite.Tensor {
	t := list(v...)
	t.Shape = []int{len(v) / 2, 2}
	return t
}

// signature makes a dimension of t unknown.
func signature(t *tflite.Tensor, dim int) *tflite.Tensor {
	t.Signature = append([]int{}, t.Shape...)
	t.Signature[dim] = -1
	return t
}

type tensors = []*tflite.Tensor

// op is an op with inputs and one output.
func op(code schema.BuiltinOperator, version int, options any, y *tflite.Tensor, inputs ...*tflite.Tensor) *tflite.Op {
	return &tflite.Op{Code: code, Version: version, Options: options, Inputs: inputs, Outputs: tensors{y}}
}

// conv is a CONV_2D from h×w×in to out channels, with padding SAME.
func conv(h, w, in, out, kernel, stride, dilation int, change ...func(*tflite.Op)) *tflite.Op {
	f := perChannel(w8(out, kernel, kernel, in), 0)
	o := op(schema.BuiltinOperatorCONV_2D, 3, &schema.Conv2DOptionsT{StrideH: int32(stride), StrideW: int32(stride), DilationHFactor: int32(dilation), DilationWFactor: int32(dilation)},
		q8(1, up(h, stride), up(w, stride), out), q8(1, h, w, in), f, b32(f, out))
	for _, c := range change {
		c(o)
	}
	return o
}

// up is ⌈n/d⌉.
func up(n, d int) int { return (n + d - 1) / d }

func depthwise(h, w, c, kernel, stride, dilation int, change ...func(*tflite.Op)) *tflite.Op {
	f := perChannel(w8(1, kernel, kernel, c), 3)
	o := op(schema.BuiltinOperatorDEPTHWISE_CONV_2D, 3, &schema.DepthwiseConv2DOptionsT{StrideH: int32(stride), StrideW: int32(stride), DepthMultiplier: 1, DilationHFactor: int32(dilation), DilationWFactor: int32(dilation)},
		q8(1, up(h, stride), up(w, stride), c), q8(1, h, w, c), f, b32(f, c))
	for _, c := range change {
		c(o)
	}
	return o
}

func dense(batch, in, out int, change ...func(*tflite.Op)) *tflite.Op {
	f := w8(out, in)
	o := op(schema.BuiltinOperatorFULLY_CONNECTED, 4, &schema.FullyConnectedOptionsT{}, q8(batch, out), q8(batch, in), f, b32(f, out))
	for _, c := range change {
		c(o)
	}
	return o
}

// upconv is a TRANSPOSE_CONV of 4 channels to 3 with padding SAME.
func upconv(h, w, kernel, strideH, strideW int, change ...func(*tflite.Op)) *tflite.Op {
	f := perChannel(w8(3, kernel, kernel, 4), 0)
	o := op(schema.BuiltinOperatorTRANSPOSE_CONV, 3, &schema.TransposeConvOptionsT{StrideH: int32(strideH), StrideW: int32(strideW)},
		q8(1, h*strideH, w*strideW, 3), list(1, h*strideH, w*strideW, 3), f, q8(1, h, w, 4), b32(f, 3))
	for _, c := range change {
		c(o)
	}
	return o
}

func pool(code schema.BuiltinOperator, h, w, c, kernel, stride int, padding schema.Padding) *tflite.Op {
	oh, ow := up(h, stride), up(w, stride)
	if padding == schema.PaddingVALID {
		oh, ow = up(h-kernel+1, stride), up(w-kernel+1, stride)
	}
	return op(code, 2, &schema.Pool2DOptionsT{Padding: padding, StrideH: int32(stride), StrideW: int32(stride), FilterHeight: int32(kernel), FilterWidth: int32(kernel)},
		q8(1, oh, ow, c), q8(1, h, w, c))
}

// unary is an op from a shape to the same shape.
func unary(code schema.BuiltinOperator, version int, options any, shape ...int) *tflite.Op {
	return op(code, version, options, q8(shape...), q8(shape...))
}

// fixedOut is unary with a prescribed output quantization.
func fixedOut(code schema.BuiltinOperator, options any, s float32, z int64, shape ...int) *tflite.Op {
	return op(code, 2, options, with(q8(shape...), s, z), q8(shape...))
}

func softmax(shape ...int) *tflite.Op {
	return fixedOut(schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 1}, 1./256, -128, shape...)
}

// binary is an op on two shapes; the output has the first.
func binary(code schema.BuiltinOperator, version int, options any, a, b []int) *tflite.Op {
	return op(code, version, options, q8(a...), q8(a...), q8(b...))
}

func add(a, b []int) *tflite.Op {
	return binary(schema.BuiltinOperatorADD, 2, &schema.AddOptionsT{}, a, b)
}

func reduce(code schema.BuiltinOperator, out, in []int, axes ...int) *tflite.Op {
	return op(code, 2, &schema.ReducerOptionsT{KeepDims: true}, q8(out...), q8(in...), list(axes...))
}

func resize(h, w, oh, ow int, align, half bool) *tflite.Op {
	return op(schema.BuiltinOperatorRESIZE_BILINEAR, 3, &schema.ResizeBilinearOptionsT{AlignCorners: align, HalfPixelCenters: half}, q8(1, oh, ow, 4), q8(1, h, w, 4), list(oh, ow))
}

func nearest(h, w, oh, ow int, align, half bool) *tflite.Op {
	return op(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, 3, &schema.ResizeNearestNeighborOptionsT{AlignCorners: align, HalfPixelCenters: half}, q8(1, oh, ow, 4), q8(1, h, w, 4), list(oh, ow))
}

// typed gives every value of the op another type.
func typed(o *tflite.Op, t schema.TensorType) *tflite.Op {
	for _, ts := range []tensors{o.Inputs, o.Outputs} {
		for i, x := range ts {
			if x.Type == schema.TensorTypeINT8 && x.Data == nil {
				ts[i] = of(t, x.Shape...)
			}
		}
	}
	return o
}

// model gathers ops into a graph of which every operand that is no constant is
// an input, every result an output.
func model(ops ...*tflite.Op) *tflite.Model {
	for i, o := range ops {
		for k, t := range o.Inputs {
			if t != nil {
				t.Name = fmt.Sprintf("op%d_in%d", i, k)
			}
		}
		for k, t := range o.Outputs {
			t.Name = fmt.Sprintf("op%d_out%d", i, k)
		}
	}
	return graphOf(ops)
}

func graphOf(ops []*tflite.Op) *tflite.Model {
	g := &tflite.Graph{Name: "main", Ops: ops}
	for _, o := range ops {
		for _, t := range o.Inputs {
			if t != nil && t.Data == nil {
				g.Inputs = append(g.Inputs, t)
			}
		}
		g.Outputs = append(g.Outputs, o.Outputs...)
	}
	return &tflite.Model{Graphs: []*tflite.Graph{g}}
}
