package target

import (
	"slices"

	"dfq/schema"
)

// Checks of Ethos-U for all but convolutions and pools.

// hasShape: no value is a scalar.
var hasShape = check{
	name:   "scalar",
	advice: "Vela leaves it to the CPU; give the tensor a shape of [1]",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if len(t.Shape) == 0 && !t.Constant() {
				return faultf(t, "it has no dimensions")
			}
		}
		return fault{}
	},
}

// velaQuantized: values and weights have positive scales.
var velaQuantized = check{
	name:   "quantization",
	advice: "quantize the tensor",
	fault: func(o *operation) fault {
		for _, t := range append(o.values(), o.weights) {
			if t == nil || !(i8 | u8 | i16).has(t.Type) {
				continue
			}
			if t.Quant == nil || len(t.Quant.Scale) == 0 {
				return faultf(t, "%s without a scale", t.Type)
			}
			for c, s := range t.Quant.Scale {
				if !(s > 0) {
					return faultf(t, "scale %d is %g", c, s)
				}
			}
		}
		return fault{}
	},
}

// meanBatch: MEAN works on one sample.
var meanBatch = check{
	name:   "batch",
	advice: "set the model's batch to 1",
	fault: func(o *operation) fault {
		if x := o.x(); x != nil && len(x.Shape) > 3 && x.Shape[0] > 1 {
			return faultf(x, "shape %s has a batch above 1", dims(x.Shape))
		}
		return fault{}
	},
}

// meanChannels: MEAN over channels needs a tensor that is flat otherwise.
var meanChannels = check{
	name:   "reduction",
	advice: "average over height and width, then over channels",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) < 3 {
			return fault{}
		}
		last := len(x.Shape) - 1
		for _, d := range x.Shape[last-2:] {
			if d == 1 {
				return fault{}
			}
		}
		for _, a := range o.axes(1) {
			if a == last {
				return faultf(x, "it averages over the channels of %s", dims(x.Shape))
			}
		}
		return fault{}
	},
}

// gatherAxis: GATHER picks along the first dimension behind the batch.
var gatherAxis = check{
	name:   "axis",
	advice: "transpose, or leave GATHER to the CPU",
	fault: func(o *operation) fault {
		p, ok := o.Options.(*schema.GatherOptionsT)
		if !ok {
			return fault{}
		}
		axis := int(p.Axis)
		if x := o.input(0); axis < 0 && x != nil {
			axis += len(x.Shape)
		}
		if axis != int(p.BatchDims) {
			return faultf(nil, "axis %d is not batch_dims %d", p.Axis, p.BatchDims)
		}
		return fault{}
	},
}

// oneAlignment: RESIZE aligns corners or centres.
var oneAlignment = check{
	name:   "resize mode",
	advice: "use one of the two",
	fault: func(o *operation) fault {
		if align, half := resizeFlags(o.Options); align && half {
			return faultf(nil, "align_corners and half_pixel_centers")
		}
		return fault{}
	},
}

// powerResize: RESIZE_BILINEAR goes by powers of two.
var powerResize = check{
	name:   "resize factor",
	advice: "resize by a power of two",
	fault: func(o *operation) fault {
		x, y := o.x(), o.y()
		if x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 || x.Shape[1] == 1 && x.Shape[2] == 1 {
			return fault{}
		}
		for i := range 2 {
			if f := resizeStep(o, i); f < 1 || f&(f-1) != 0 {
				return faultf(y, "%dx%d to %dx%d", x.Shape[1], x.Shape[2], y.Shape[1], y.Shape[2])
			}
		}
		return fault{}
	},
}

// resizeStep is the factor along height (0) or width (1), 0 if it is not whole.
func resizeStep(o *operation, i int) int {
	in, out := o.x().Shape[1+i], o.y().Shape[1+i]
	if align, _ := resizeFlags(o.Options); align {
		in, out = in-1, out-1
	}
	return factor(in, out)
}

// meanSize: what a MEAN averages over fits the NPU.
var meanSize = check{
	name:   "reduction",
	advice: "average in two steps",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil {
			return fault{}
		}
		n := 1
		for _, a := range o.axes(1) {
			if a < 0 || a >= len(x.Shape) {
				continue
			}
			if x.Shape[a] > 4096 {
				return faultf(x, "dimension %d has %d elements, taken are up to 4096", a, x.Shape[a])
			}
			n *= x.Shape[a]
		}
		hi := map[schema.TensorType]int{schema.TensorTypeINT8: 1 << 24, schema.TensorTypeUINT8: 1 << 23, schema.TensorTypeINT16: 1 << 16}[x.Type]
		if hi > 0 && n > hi {
			return faultf(x, "%d elements, taken are up to %d", n, hi)
		}
		return fault{}
	},
}

// argMaxDepth: ARG_MAX goes along at most 127 channels.
var argMaxDepth = check{
	name:   "axis",
	advice: "leave ARG_MAX to the application",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) == 0 {
			return fault{}
		}
		last := len(x.Shape) - 1
		for _, a := range o.axes(1) {
			if a != last {
				return faultf(x, "it goes along dimension %d, taken is the last", a)
			}
		}
		if x.Shape[last] > 127 {
			return faultf(x, "%d channels, taken are up to 127", x.Shape[last])
		}
		return fault{}
	},
}

// softmaxRows: SOFTMAX works on 65536 rows at most.
var softmaxRows = check{
	name:   "softmax shape",
	advice: "split the tensor",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) < 2 {
			return fault{}
		}
		rows := 1
		for _, d := range x.Shape[max(0, len(x.Shape)-3) : len(x.Shape)-1] {
			rows *= d
		}
		if rows > 65536 {
			return faultf(x, "%d rows, taken are up to 65536", rows)
		}
		return fault{}
	},
}

// splitCount: the stated number of parts is that of the outputs.
var splitCount = check{
	name:   "outputs",
	advice: "this is a fault of the file",
	fault: func(o *operation) fault {
		n := -1
		switch p := o.Options.(type) {
		case *schema.SplitOptionsT:
			n = int(p.NumSplits)
		case *schema.SplitVOptionsT:
			n = int(p.NumSplits)
		}
		if n >= 0 && n != len(o.Outputs) {
			return faultf(nil, "%d parts but %d outputs", n, len(o.Outputs))
		}
		return fault{}
	},
}

// transposedInt32: TRANSPOSE of 32-bit values has few forms.
var transposedInt32 = check{
	name:   "type",
	advice: "transpose the 8-bit values",
	fault: func(o *operation) fault {
		x := o.x()
		perm, ok := o.ints(1)
		if x == nil || !ok || x.Type != schema.TensorTypeINT32 {
			return fault{}
		}
		for _, taken := range [][]int{{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2}} {
			if n := len(perm); n <= 4 && slices.Equal(shifted(taken[4-n:], n-4), perm) {
				return fault{}
			}
		}
		return faultf(x, "INT32 by %v; only neighbours among height, width and channels can change places", perm)
	},
}

// shifted adds d to all of v.
func shifted(v []int, d int) []int {
	w := slices.Clone(v)
	for i := range w {
		w[i] += d
	}
	return w
}

// forwardSlice: STRIDED_SLICE keeps something, goes forward, and skips only
// along height and width.
var forwardSlice = check{
	name:   "slice step",
	advice: "slice with steps of 1, or along height and width",
	fault: func(o *operation) fault {
		steps, _ := o.ints(3)
		for i, s := range steps {
			if s < 1 || s > 1 && (i == len(steps)-1 || len(steps) > 3 && i < len(steps)-3) {
				return faultf(nil, "step %d along dimension %d", s, i)
			}
		}
		if y := o.y(); y != nil && y.Len() == 0 {
			return faultf(y, "nothing is left")
		}
		return fault{}
	},
}

// resizeFactor: RESIZE doubles, up to three times; with half_pixel_centers up
// to half times.
func resizeFactor(half int) check {
	return check{
		name:   "resize factor",
		advice: "resize by 2, 4 or 8, or in several steps",
		fault: func(o *operation) fault {
			x, y := o.x(), o.y()
			if x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
				return fault{}
			}
			h, w := x.Shape[1], x.Shape[2]
			oh, ow := y.Shape[1], y.Shape[2]
			if h == 1 && w == 1 || h == oh && w == ow {
				return fault{}
			}
			_, centres := resizeFlags(o.Options)
			fh, fw := resizeStep(o, 0), resizeStep(o, 1)
			if fh != fw && !(oh == 1 && fh == 1) && !(ow == 1 && fw == 1) {
				return faultf(y, "factors %dx%d", fh, fw)
			}
			f := max(fh, fw)
			hi := 8
			if centres {
				hi = half
			}
			if min(fh, fw) == 0 || f != 2 && f != 4 && f != 8 || f > hi {
				return faultf(y, "%dx%d to %dx%d", x.Shape[1], x.Shape[2], y.Shape[1], y.Shape[2])
			}
			return fault{}
		},
	}
}

// factor is out/in where that is a whole number, else 0.
func factor(in, out int) int {
	if in < 1 || out%in != 0 {
		return 0
	}
	return out / in
}
