package tflite

import "dfq/schema"

// Window is the geometry of a convolution or pooling, vertical first.
type Window struct {
	Kernel, Stride, Dilation [2]int
	Padding                  schema.Padding
}

// Window returns the geometry of op; ok is false if operators of its code have
// none. What the file leaves out is 0.
func (op *Op) Window() (w Window, ok bool) {
	pair := func(h, w int32) [2]int { return [2]int{int(h), int(w)} }
	w.Dilation = [2]int{1, 1}
	switch op.Code {
	case schema.BuiltinOperatorCONV_2D:
		if o, _ := op.Options.(*schema.Conv2DOptionsT); o != nil {
			w.Stride, w.Padding = pair(o.StrideH, o.StrideW), o.Padding
			w.Dilation = pair(o.DilationHFactor, o.DilationWFactor)
		}
	case schema.BuiltinOperatorDEPTHWISE_CONV_2D:
		if o, _ := op.Options.(*schema.DepthwiseConv2DOptionsT); o != nil {
			w.Stride, w.Padding = pair(o.StrideH, o.StrideW), o.Padding
			w.Dilation = pair(o.DilationHFactor, o.DilationWFactor)
		}
	case schema.BuiltinOperatorTRANSPOSE_CONV:
		if o, _ := op.Options.(*schema.TransposeConvOptionsT); o != nil {
			w.Stride, w.Padding = pair(o.StrideH, o.StrideW), o.Padding
		}
	case schema.BuiltinOperatorAVERAGE_POOL_2D, schema.BuiltinOperatorMAX_POOL_2D, schema.BuiltinOperatorL2_POOL_2D:
		if o, _ := op.Options.(*schema.Pool2DOptionsT); o != nil {
			w.Stride, w.Padding = pair(o.StrideH, o.StrideW), o.Padding
			w.Kernel = pair(o.FilterHeight, o.FilterWidth)
		}
		return w, true
	default:
		return Window{}, false
	}
	if len(op.Inputs) > 1 && op.Inputs[1] != nil && len(op.Inputs[1].Shape) == 4 {
		w.Kernel = [2]int(op.Inputs[1].Shape[1:3])
	}
	return w, true
}
