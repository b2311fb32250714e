package target

import (
	"math"

	"dfq/schema"
	"dfq/tflite"
)

// Checks that several targets share.

// normalScales: every scale is a positive normal number, every zero point
// within its type.
var normalScales = check{
	name:   "scale",
	advice: "give the tensor a positive scale; an all-zero channel can have any",
	fault: func(o *operation) fault {
		for _, t := range o.tensors() {
			if t.Quant == nil {
				continue
			}
			for c, s := range t.Quant.Scale {
				if !(s >= 0x1p-126) || math.IsInf(float64(s), 0) {
					return faultf(t, "scale %d is %g, not a positive normal number", c, s)
				}
			}
			for c, z := range t.Quant.Zero {
				lo, hi := zeroRange(t.Type)
				if z < lo || z > hi || z != 0 && len(t.Quant.Zero) > 1 {
					return faultf(t, "zero point %d is %d", c, z)
				}
			}
		}
		return fault{}
	},
}

// zeroRange is the interval of zero points that a type has.
func zeroRange(t schema.TensorType) (lo, hi int64) {
	switch t {
	case schema.TensorTypeINT8:
		return -128, 127
	case schema.TensorTypeUINT8:
		return 0, 255
	case schema.TensorTypeINT16, schema.TensorTypeINT32, schema.TensorTypeINT64:
		return 0, 0
	}
	return math.MinInt64, math.MaxInt64
}

// quantized: values of integer type have a scale.
var quantized = check{
	name:   "quantization",
	advice: "quantize the tensor, or keep the op in float",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if (i8 | u8).has(t.Type) && (t.Quant == nil || len(t.Quant.Scale) == 0) {
				return faultf(t, "%s without a scale", t.Type)
			}
		}
		return fault{}
	},
}

// onlyWeightsPerChannel: values have one scale.
var onlyWeightsPerChannel = check{
	name:   "per-channel values",
	advice: "only weights can have a scale for each channel",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if t.Quant != nil && len(t.Quant.Scale) > 1 {
				return faultf(t, "%d scales", len(t.Quant.Scale))
			}
		}
		return fault{}
	},
}

// symmetricWeights: the zero points of 8-bit weights are 0.
var symmetricWeights = check{
	name:   "weight zero point",
	advice: "quantize the weights symmetrically",
	fault: func(o *operation) fault {
		if w := o.weights; w != nil && w.Type == schema.TensorTypeINT8 && w.Quant != nil {
			for c, z := range w.Quant.Zero {
				if z != 0 {
					return faultf(w, "zero point %d is %d", c, z)
				}
			}
		}
		return fault{}
	},
}

// hasBias: the op has a bias.
var hasBias = check{
	name:   "bias",
	advice: "give the op a bias of zeros",
	fault: func(o *operation) fault {
		if o.bias == nil {
			return faultf(nil, "it has no bias")
		}
		return fault{}
	},
}

// weightAxis: scales of weights run along an axis, and there are as many as it
// has slices.
func weightAxis(axis int) check {
	return check{
		name:   "weight axis",
		advice: "quantize the weights per output channel, or per tensor",
		fault: func(o *operation) fault {
			w := o.weights
			if w == nil || w.Quant == nil || len(w.Quant.Scale) < 2 {
				return fault{}
			}
			if w.Quant.Axis != axis || axis >= len(w.Shape) || w.Shape[axis] != len(w.Quant.Scale) {
				return faultf(w, "%d scales along axis %d, they must run along axis %d of %s", len(w.Quant.Scale), w.Quant.Axis, axis, dims(w.Shape))
			}
			return fault{}
		},
	}
}

// groups: a convolution's input channels are a multiple of its filter's.
var groups = check{
	name:   "groups",
	advice: "this is not a convolution that a kernel can run",
	fault: func(o *operation) fault {
		x, w := o.x(), o.weights
		if x == nil || w == nil || len(x.Shape) != 4 || len(w.Shape) != 4 || w.Shape[3] < 1 || x.Shape[3]%w.Shape[3] == 0 {
			return fault{}
		}
		return faultf(w, "%d input channels are no multiple of the filter's %d", x.Shape[3], w.Shape[3])
	},
}

// static: the shape is known, but for the first dimension.
var static = check{
	name:   "dynamic shape",
	advice: "fix the model's input shape before converting",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			for i, d := range t.Signature {
				if d < 0 && i > 0 {
					return faultf(t, "dimension %d is not known beforehand", i)
				}
			}
		}
		return fault{}
	},
}

// knownBatch: the first dimension, too.
var knownBatch = check{
	name:     "dynamic shape",
	advice:   "fix the batch; conversion for this target does",
	severity: Warning,
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if len(t.Signature) > 0 && t.Signature[0] < 0 {
				return faultf(t, "the batch is not known beforehand")
			}
		}
		return fault{}
	},
}

// batch1: the first of four dimensions is 1.
var batch1 = check{
	name:   "batch",
	advice: "set the model's batch to 1",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if len(t.Shape) == 4 && t.Shape[0] > 1 {
				return faultf(t, "shape %s has a batch above 1", dims(t.Shape))
			}
		}
		return fault{}
	},
}

// dimension: no dimension of a value is above hi.
func dimension(hi int) check {
	return check{
		name:   "dimension",
		advice: "split the tensor",
		fault: func(o *operation) fault {
			for _, t := range o.values() {
				for _, d := range t.Shape {
					if d > hi {
						return faultf(t, "shape %s has a dimension above %d", dims(t.Shape), hi)
					}
				}
			}
			return fault{}
		},
	}
}

// growing finds a scale product that is not below the output's scale: of input
// and weights, or of the two inputs of MUL.
func (o *operation) growing() fault {
	sx, _, ok := quantOf(o.x())
	sy, _, ok2 := quantOf(o.y())
	if b, _, ok3 := quantOf(o.input(1)); o.Code == schema.BuiltinOperatorMUL && ok && ok2 && ok3 && float64(sx)*float64(b) >= float64(sy) {
		return faultf(o.y(), "input scales %g × %g are not below the output scale %g", sx, b, sy)
	}
	if w := o.weights; ok && ok2 && w != nil && w.Quant != nil {
		for c, s := range w.Quant.Scale {
			if float64(sx)*float64(s) >= float64(sy) {
				return faultf(w, "channel %d: input scale %g × weight scale %g is not below the output scale %g", c, sx, s, sy)
			}
		}
	}
	return fault{}
}

// scaleRatio: the scale of each integer data input over the output's is at
// least lo, and below hi, or at most hi.
func scaleRatio(lo, hi float64, closed bool) check {
	return check{
		name:   "scale ratio",
		advice: "change the output's range, or that of the input",
		fault: func(o *operation) fault {
			sy, _, ok := quantOf(o.y())
			for _, t := range o.data {
				sx, _, ok2 := quantOf(t)
				if !ok || !ok2 || t.Type != o.y().Type || !(i8 | u8).has(t.Type) {
					continue
				}
				if r := float64(sx / sy); outside(r, lo, hi, closed) {
					return faultf(t, "input scale %g over output scale %g is %.3g, taken is %.3g to %.3g", sx, sy, r, lo, hi)
				}
			}
			return fault{}
		},
	}
}

func outside(r, lo, hi float64, closed bool) bool {
	return r < lo || r > hi || r == hi && !closed
}

// scaleProduct is scaleRatio for the product of both input scales.
func scaleProduct(lo, hi float64) check {
	return check{
		name:   "scale ratio",
		advice: "change the output's range, or that of an input",
		fault: func(o *operation) fault {
			a, _, ok := quantOf(o.input(0))
			b, _, ok2 := quantOf(o.input(1))
			s, _, ok3 := quantOf(o.y())
			if !ok || !ok2 || !ok3 || !(i8 | u8).has(o.y().Type) {
				return fault{}
			}
			if r := float64(a * b / s); outside(r, lo, hi, false) {
				return faultf(o.y(), "input scales %g × %g over output scale %g are %.3g, taken is %.3g to %.3g", a, b, s, r, lo, hi)
			}
			return fault{}
		},
	}
}

// count: the op has lo to hi inputs, or outputs.
func count(inputs bool, lo, hi int) check {
	name, what := "outputs", func(o *operation) int { return len(o.Outputs) }
	if inputs {
		name, what = "inputs", func(o *operation) int { return len(o.Inputs) }
	}
	return check{
		name:   name,
		advice: "split the op into several",
		fault: func(o *operation) fault {
			if n := what(o); n < lo || n > hi {
				return faultf(nil, "%d %s, taken are %s", n, name, span(lo, hi))
			}
			return fault{}
		},
	}
}

// defaultWeights: FULLY_CONNECTED weights in plain order.
var defaultWeights = check{
	name:   "weights format",
	advice: "store the weights in plain order",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.FullyConnectedOptionsT); ok && p.WeightsFormat != schema.FullyConnectedOptionsWeightsFormatDEFAULT {
			return faultf(o.weights, "weights are in the order %s", p.WeightsFormat)
		}
		return fault{}
	},
}

// sliceMasks: of STRIDED_SLICE's masks, only the allowed ones are set.
func sliceMasks(shrink, newAxis bool) check {
	return check{
		name:   "slice mask",
		advice: "slice plainly and reshape",
		fault: func(o *operation) fault {
			p, ok := o.Options.(*schema.StridedSliceOptionsT)
			switch {
			case !ok:
			case p.EllipsisMask != 0:
				return faultf(nil, "ellipsis mask %#x", p.EllipsisMask)
			case p.NewAxisMask != 0 && !newAxis:
				return faultf(nil, "new-axis mask %#x", p.NewAxisMask)
			case p.ShrinkAxisMask != 0 && !shrink:
				return faultf(nil, "shrink-axis mask %#x", p.ShrinkAxisMask)
			}
			return fault{}
		},
	}
}

// unitSteps: STRIDED_SLICE takes neighbours.
var unitSteps = check{
	name:   "slice step",
	advice: "slice with steps of 1",
	fault: func(o *operation) fault {
		steps, _ := o.ints(3)
		for i, s := range steps {
			if s != 1 {
				return faultf(nil, "step %d along dimension %d, taken is 1", s, i)
			}
		}
		return fault{}
	},
}

// resizeFlags returns the options of a RESIZE op.
func resizeFlags(options any) (alignCorners, halfPixel bool) {
	switch p := options.(type) {
	case *schema.ResizeBilinearOptionsT:
		return p.AlignCorners, p.HalfPixelCenters
	case *schema.ResizeNearestNeighborOptionsT:
		return p.AlignCorners, p.HalfPixelCenters
	}
	return false, false
}

// plainResize: neither corners nor centres are aligned.
var plainResize = check{
	name:   "resize mode",
	advice: "resize without align_corners and half_pixel_centers",
	fault: func(o *operation) fault {
		align, half := resizeFlags(o.Options)
		switch {
		case align:
			return faultf(nil, "align_corners")
		case half:
			return faultf(nil, "half_pixel_centers")
		}
		return fault{}
	},
}

// keepsBatch: the reduction or padding axes leave dimension 0 alone.
func keepsBatch(axisInput int) check {
	return check{
		name:   "batch axis",
		advice: "work on the inner dimensions only",
		fault: func(o *operation) fault {
			x := o.x()
			if x == nil || len(x.Shape) < 2 {
				return fault{}
			}
			for _, a := range o.axes(axisInput) {
				if a == 0 {
					return faultf(x, "it works along the batch")
				}
			}
			return fault{}
		},
	}
}

// keepsBatchPadding: PAD adds nothing to dimension 0 of four.
var keepsBatchPadding = check{
	name:   "batch axis",
	advice: "pad the inner dimensions only",
	fault: func(o *operation) fault {
		x := o.x()
		p, ok := o.ints(1)
		if ok && x != nil && len(x.Shape) == 4 && len(p) >= 2 && (p[0] != 0 || p[1] != 0) {
			return faultf(x, "it pads the batch")
		}
		return fault{}
	},
}

// beyondClamp says what the output can hold outside of the op's activation.
func (o *operation) beyondClamp() fault {
	y := o.y()
	s, z, ok := quantOf(y)
	lo, hi := tflite.Clamp(o.clamps())
	if !ok || !(i8 | u8).has(y.Type) {
		return fault{}
	}
	qlo, qhi := zeroRange(y.Type)
	from, to := float64(qlo-z)*float64(s), float64(qhi-z)*float64(s)
	if step := float64(s / 2); from < lo-step || to > hi+step {
		return faultf(y, "the output holds [%.4g, %.4g], the activation [%.4g, %.4g]", from, to, lo, hi)
	}
	return fault{}
}

// clamps is the activation that bounds the op's output: the fused one, or the
// op itself.
func (o *operation) clamps() schema.ActivationFunctionType {
	switch o.Code {
	case schema.BuiltinOperatorRELU:
		return schema.ActivationFunctionTypeRELU
	case schema.BuiltinOperatorRELU6:
		return schema.ActivationFunctionTypeRELU6
	case schema.BuiltinOperatorRELU_N1_TO_1:
		return schema.ActivationFunctionTypeRELU_N1_TO_1
	}
	return o.Activation()
}

// constantInput finds a constant among the data inputs.
func (o *operation) constantInput() *tflite.Tensor {
	for _, t := range o.data {
		if t.Constant() {
			return t
		}
	}
	return nil
}
