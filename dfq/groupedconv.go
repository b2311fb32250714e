package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// writeDepthwise writes a CONV_2D of as many groups as its input has channels as the
// DEPTHWISE_CONV_2D that it is: Keras has ConvNeXt's filters so. int8 kernels of groups came
// later, and NPUs have none.
func writeDepthwise(g *tflite.Graph) {
	for _, op := range g.Ops {
		o, ok := op.Options.(*schema.Conv2DOptionsT)
		if op.Code != schema.BuiltinOperatorCONV_2D || !ok || openFilter(op) == nil || op.Inputs[conv.weights].Len() == 0 {
			continue
		}
		x, w := op.Inputs[conv.input], op.Inputs[conv.weights]
		channels, filters := channelCount(x), w.Shape[conv.out]
		if w.Shape[conv.in] != 1 || channels < 2 || filters%channels != 0 {
			continue
		}
		op.Code, op.Version = schema.BuiltinOperatorDEPTHWISE_CONV_2D, 1
		op.Options = &schema.DepthwiseConv2DOptionsT{
			Padding: o.Padding, StrideW: o.StrideW, StrideH: o.StrideH, DepthMultiplier: int32(filters / channels),
			FusedActivationFunction: o.FusedActivationFunction, DilationWFactor: o.DilationWFactor, DilationHFactor: o.DilationHFactor,
		}
		from := w.Floats()
		to, taps := make([]float32, len(from)), len(from)/filters
		for i, v := range from {
			to[i%taps*filters+i/taps] = v
		}
		w.Shape = []int{1, w.Shape[1], w.Shape[2], filters}
		w.SetFloats(to)
	}
}
