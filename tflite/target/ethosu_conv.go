package target

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// Checks of Ethos-U for convolutions and pools.

// weightSum: the magnitudes of a channel's weights do not overflow the
// accumulator.
var weightSum = check{
	name:   "weight sum",
	advice: "split the op along its inputs",
	fault: func(o *operation) fault {
		w := o.weights
		if w == nil || w.Type != schema.TensorTypeINT8 || len(w.Shape) == 0 || len(w.Data) < 65536 {
			return fault{}
		}
		axis := 0
		if o.Code == schema.BuiltinOperatorDEPTHWISE_CONV_2D {
			axis = len(w.Shape) - 1
		}
		inner := 1
		for _, d := range w.Shape[axis+1:] {
			inner *= d
		}
		sums := make([]int, max(w.Shape[axis], 0))
		for i, q := range w.Data {
			if c := i / max(inner, 1) % max(len(sums), 1); c < len(sums) {
				sums[c] += max(int(int8(q)), -int(int8(q)))
			}
		}
		for c, s := range sums {
			if s > 127<<16 {
				return faultf(w, "channel %d: magnitudes sum to %d, above %d", c, s, 127<<16)
			}
		}
		return fault{}
	},
}

// biasLength: the bias runs along the channels.
var biasLength = check{
	name:   "bias shape",
	advice: "give the bias one dimension",
	fault: func(o *operation) fault {
		b := o.bias
		if b == nil || len(b.Shape) == 0 || b.Shape[len(b.Shape)-1] == b.Len() {
			return fault{}
		}
		return faultf(b, "shape %s, its last dimension must hold all of it", dims(b.Shape))
	},
}

// strideUpTo: strides are at most hi.
func strideUpTo(hi int) check {
	return check{
		name:   "stride",
		advice: "use a smaller stride, and slice",
		fault: func(o *operation) fault {
			if w, ok := o.Window(); ok && max(w.Stride[0], w.Stride[1]) > hi {
				return faultf(nil, "stride %s, taken are up to %d", dims(w.Stride[:]), hi)
			}
			return fault{}
		},
	}
}

// npuStride: strides above 3 need windows that do not go beyond the input, and
// no dilation.
var npuStride = check{
	name:   "stride",
	advice: "pad before the op and use padding VALID",
	fault: func(o *operation) fault {
		w, ok := o.Window()
		if ok && max(w.Stride[0], w.Stride[1]) > 3 && (o.padded(w) || w.Dilation != [2]int{1, 1}) {
			return faultf(nil, "stride %s; above 3 it needs padding VALID and no dilation", dims(w.Stride[:]))
		}
		return fault{}
	},
}

// padded reports whether padding SAME adds anything.
func (o *operation) padded(w tflite.Window) bool {
	x, y := o.x(), o.y()
	if w.Padding != schema.PaddingSAME || x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
		return w.Padding == schema.PaddingSAME
	}
	for i := range 2 {
		if (y.Shape[1+i]-1)*w.Stride[i]+(w.Kernel[i]-1)*w.Dilation[i]+1 > x.Shape[1+i] {
			return true
		}
	}
	return false
}

// dilationPair: SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND are taken around a
// convolution only, which they dilate.
var dilationPair = check{
	name:   "operator",
	advice: "use a convolution with a dilation",
	fault: func(o *operation) fault {
		if o.dilates() {
			return fault{}
		}
		return faultf(nil, "it does not stand around a convolution")
	},
}

// dilates reports whether o is one end of SPACE_TO_BATCH_ND → convolution →
// BATCH_TO_SPACE_ND with one block shape.
func (o *operation) dilates() bool {
	start := o.Op
	if o.Code == schema.BuiltinOperatorBATCH_TO_SPACE_ND {
		c := o.around.producers[o.x()]
		if c == nil || c.Inputs == nil {
			return false
		}
		start = o.around.producers[newOperation(c, o.around).x()]
	}
	c := o.around.next(start)
	end := o.around.next(c)
	if end == nil || start.Code != schema.BuiltinOperatorSPACE_TO_BATCH_ND || end.Code != schema.BuiltinOperatorBATCH_TO_SPACE_ND ||
		c.Code != schema.BuiltinOperatorCONV_2D && c.Code != schema.BuiltinOperatorDEPTHWISE_CONV_2D {
		return false
	}
	from, ok := newOperation(start, o.around).ints(1)
	to, ok2 := newOperation(end, o.around).ints(1)
	return ok && ok2 && slices.Equal(from, to)
}

// shortBias: a 64-bit bias belongs to 16-bit values; beside 8-bit ones it ends
// the compiler.
var shortBias = check{
	name:   "type",
	advice: "write the bias as 32-bit integers",
	fault: func(o *operation) fault {
		if x, b := o.x(), o.bias; x != nil && b != nil && b.Type == schema.TensorTypeINT64 && x.Type != schema.TensorTypeINT16 {
			return faultf(b, "the bias is INT64, the input %s", x.Type)
		}
		return fault{}
	},
}

// maxWindow: a pooling window fits the NPU.
var maxWindow = check{
	name:   "window",
	advice: "pool in two steps",
	fault: func(o *operation) fault {
		w, ok := o.Window()
		if ok && (w.Kernel[0] > 256 || w.Kernel[0]*w.Kernel[1] > 65536) {
			return faultf(nil, "window %s, taken are 256 high and 65536 elements", dims(w.Kernel[:]))
		}
		return fault{}
	},
}

// averageWindow: with padding SAME, an average goes over 8x8 at most.
var averageWindow = check{
	name:   "window",
	advice: "pad before the op and use padding VALID, or use MEAN",
	fault: func(o *operation) fault {
		w, ok := o.Window()
		if ok && w.Padding == schema.PaddingSAME && max(w.Kernel[0], w.Kernel[1]) > 8 {
			return faultf(nil, "window %s with padding SAME, taken are up to 8x8", dims(w.Kernel[:]))
		}
		return maxWindow.fault(o)
	},
}

// denseForm: FULLY_CONNECTED weights are a matrix.
var denseForm = check{
	name:   "weights shape",
	advice: "reshape the weights to a matrix",
	fault: func(o *operation) fault {
		w := o.weights
		if w == nil || len(w.Shape) < 3 {
			return fault{}
		}
		for _, d := range w.Shape[1 : len(w.Shape)-1] {
			if d != 1 {
				return faultf(w, "shape %s", dims(w.Shape))
			}
		}
		return fault{}
	},
}

// transposedStride: TRANSPOSE_CONV goes by 1x1 or 2x2, or along one dimension.
var transposedStride = check{
	name:   "stride",
	advice: "use a stride of 2, or a RESIZE and a CONV_2D",
	fault: func(o *operation) fault {
		w, ok := o.Window()
		x := o.x()
		if !ok || x == nil || len(x.Shape) != 4 {
			return fault{}
		}
		switch w.Stride {
		case [2]int{1, 1}, [2]int{2, 2}:
			return fault{}
		case [2]int{1, 2}:
			if x.Shape[1] == 1 && w.Kernel[0] == 1 {
				return fault{}
			}
		case [2]int{2, 1}:
			if x.Shape[2] == 1 && w.Kernel[1] == 1 {
				return fault{}
			}
		}
		return faultf(nil, "stride %s, taken are 1x1 and 2x2", dims(w.Stride[:]))
	},
}

// transposedShape: the output of TRANSPOSE_CONV is what stride and kernel make
// of the input.
var transposedShape = check{
	name:   "output shape",
	advice: "pad or slice after the op",
	fault: func(o *operation) fault {
		w, ok := o.Window()
		x, y := o.x(), o.y()
		if !ok || x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
			return fault{}
		}
		for i := range 2 {
			want := x.Shape[1+i] * w.Stride[i]
			if w.Padding != schema.PaddingSAME {
				want += max(w.Kernel[i]-w.Stride[i], 0)
			}
			if y.Shape[1+i] != want {
				return faultf(y, "shape %s, dimension %d must be %d", dims(y.Shape), 1+i, want)
			}
		}
		return fault{}
	},
}
