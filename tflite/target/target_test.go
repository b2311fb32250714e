package target_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
)

// rules breaks each rule once and keeps it once.
var rules = []struct {
	target, rule string
	severity     target.Severity
	broken, kept *tflite.Op
}{
	{"tflite", "operator", target.Error, custom("Unknown"), custom("TFLite_Detection_PostProcess")},
	{"tflite", "version", target.Error, versioned(conv(8, 8, 3, 4, 3, 1, 1), 9), versioned(conv(8, 8, 3, 4, 3, 1, 1), 8)},
	{"tflite", "version", target.Error, product(0.1, 0.1, 0.01, 2), product(0.1, 0.1, 0.01, 3)},
	{"tflite", "version", target.Error, versioned(broadcast(), 1), broadcast()},
	{"tflite-2.9", "version", target.Error, versioned(fixedOut(schema.BuiltinOperatorEXP, nil, 0.1, 0, 4), 2), typed(unary(schema.BuiltinOperatorEXP, 1, nil, 4), schema.TensorTypeFLOAT32)},
	{"tflite-2.11", "int8 kernel", target.Error, unary(schema.BuiltinOperatorEXP, 1, nil, 4), typed(unary(schema.BuiltinOperatorEXP, 1, nil, 4), schema.TensorTypeFLOAT32)},
	{"tflite", "int8 kernel", target.Error, unary(schema.BuiltinOperatorEXP, 1, nil, 4), unary(schema.BuiltinOperatorEXP, 2, nil, 4)},
	{"tflite", "int8 kernel", target.Error, unary(schema.BuiltinOperatorFLOOR, 1, nil, 4), typed(unary(schema.BuiltinOperatorFLOOR, 1, nil, 4), schema.TensorTypeFLOAT32)},
	{"tflite-2.12", "int8 kernel", target.Error, quotient(), typed(quotient(), schema.TensorTypeFLOAT32)},
	{"tflite-2.12", "int8 kernel", target.Error, quotient(), leaky(0.1, 0.1, 0.1)},
	{"tflite", "int16 kernel", target.Error, typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeINT16), typed(unary(schema.BuiltinOperatorRELU, 3, nil, 4), schema.TensorTypeINT16)},
	{"tflite", "int16 kernel", target.Error, typed(unary(schema.BuiltinOperatorELU, 1, nil, 4), schema.TensorTypeINT16), unary(schema.BuiltinOperatorELU, 1, nil, 4)},
	{"tflite-2.4", "int16 kernel", target.Error, typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeINT16), unary(schema.BuiltinOperatorRELU, 2, nil, 4)},
	{"tflite", "bias", target.Error, typed(conv(8, 8, 3, 4, 3, 1, 1), schema.TensorTypeINT16), typed(conv(8, 8, 3, 4, 3, 1, 1, longBias), schema.TensorTypeINT16)},
	{"tflite", "bias", target.Error, conv(8, 8, 3, 4, 3, 1, 1, longBias), conv(8, 8, 3, 4, 3, 1, 1)},
	{"tflite", "output scale", target.Error, typed(unary(schema.BuiltinOperatorTANH, 3, nil, 4), schema.TensorTypeINT16), change(typed(unary(schema.BuiltinOperatorTANH, 3, nil, 4), schema.TensorTypeINT16), clampTo(1./32768, 0))},
	{"tflite", "scale ratio", target.Error, change(typed(versioned(sum(1, 1, 1), 3), schema.TensorTypeINT16), clampTo(0.002/32769, 0)), change(typed(versioned(sum(1, 1, 1), 3), schema.TensorTypeINT16), clampTo(0.002/32767, 0))},
	{"tflite", "bias", target.Error, conv(8, 8, 3, 4, 3, 1, 1, noBias), depthwise(8, 8, 4, 3, 1, 1, noBias)},
	{"tflite", "weight zero point", target.Error, dense(1, 4, 3, func(o *tflite.Op) { o.Inputs[1].Quant.Zero[0] = 6 }), dense(1, 4, 3)},
	{"tflite", "weight axis", target.Error, conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { perChannel(o.Inputs[1], 3) }), conv(8, 8, 3, 4, 3, 1, 1)},
	{"tflite", "groups", target.Error, conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { o.Inputs[0] = q8(1, 8, 8, 4) }), conv(8, 8, 4, 4, 3, 1, 1, func(o *tflite.Op) { o.Inputs[1] = perChannel(w8(4, 3, 3, 2), 0) })},
	{"tflite", "per-channel weights", target.Warning, dense(1, 4, 3, wideScales), dense(1, 4, 3)},
	{"tflite-2.9", "per-channel weights", target.Error, dense(1, 4, 3, wideScales), dense(1, 4, 3)},
	{"tflite", "output scale", target.Error, unary(schema.BuiltinOperatorLOGISTIC, 2, nil, 4), fixedOut(schema.BuiltinOperatorLOGISTIC, nil, 1./256, -128, 4)},
	{"tflite", "same scale", target.Error, rescaled(pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID)), pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID)},
	{"tflite", "scale ratio", target.Error, sum(1, 1, 1e-6), sum(1, 1, 1e-5)},
	{"tflite", "scale ratio", target.Error, fixedOut(schema.BuiltinOperatorHARD_SWISH, nil, 0.1/129, 0, 4), fixedOut(schema.BuiltinOperatorHARD_SWISH, nil, 0.1/127, 0, 4)},
	{"tflite", "bias", target.Warning, depthwise(8, 8, 4, 3, 1, 1, noBias), depthwise(8, 8, 4, 3, 1, 1)},
	{"tflite", "scale", target.Error, op(schema.BuiltinOperatorLESS, 2, nil, &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{4}}, with(q8(4), 1, 0), q8(4)), op(schema.BuiltinOperatorLESS, 2, nil, &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{4}}, q8(4), q8(4))},
	{"tflite", "scale", target.Error, sum(0, 1, 1), sum(0x1p-126, 1, 1)},
	{"tflite", "scale", target.Error, change(typed(unary(schema.BuiltinOperatorRELU, 3, nil, 4), schema.TensorTypeINT16), clampTo(0.001, 5)), typed(unary(schema.BuiltinOperatorRELU, 3, nil, 4), schema.TensorTypeINT16)},
	{"tflite", "scale", target.Error, fixedOut(schema.BuiltinOperatorRELU, nil, 0.1, 128, 4), fixedOut(schema.BuiltinOperatorRELU, nil, 0.1, 127, 4)},
	{"tflite", "scale", target.Error, conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { o.Inputs[1].Quant.Zero[3] = 6 }), conv(8, 8, 3, 4, 3, 1, 1)},
	{"tflite", "quantization", target.Error, sumOf(&tflite.Tensor{Type: schema.TensorTypeINT8, Shape: []int{4}}), sumOf(q8(4))},
	{"tflite", "per-channel values", target.Error, sumOf(perChannel(q8(4), 0)), sumOf(q8(4))},
	{"tflite", "rank", target.Error, unaryRank(schema.BuiltinOperatorTRANSPOSE, 9), unaryRank(schema.BuiltinOperatorTRANSPOSE, 8)},

	{"xnnpack", "operator", target.Note, unary(schema.BuiltinOperatorGATHER, 2, nil, 4), unary(schema.BuiltinOperatorTANH, 2, nil, 4)},
	{"xnnpack", "type", target.Note, unary(schema.BuiltinOperatorPRELU, 1, nil, 4), typed(unary(schema.BuiltinOperatorPRELU, 1, nil, 4), schema.TensorTypeFLOAT32)},
	{"xnnpack", "scale", target.Error, sum(0x1p-127, 1, 1), sum(0.01, 1, 1)},
	{"xnnpack", "scale ratio", target.Warning, sum(256, 1, 1), sum(255, 1, 1)},
	{"xnnpack", "scale ratio", target.Warning, sum(0x1p-11, 1, 1), sum(0x1p-10, 1, 1)},
	{"xnnpack", "scale ratio", target.Warning, product(16, 16, 1, 3), product(16, 15, 1, 3)},
	{"xnnpack", "scale ratio", target.Warning, leaky(0.1, 0.1, 1./300), leaky(0.1, 0.1, 1./200)},
	{"xnnpack", "scale ratio", target.Warning, leaky(13, 0.1, 0.5), leaky(12.8, 0.1, 0.5)},
	{"xnnpack", "scale ratio", target.Warning, leaky(1, 300, 1.9), leaky(1, 200, 1.9)},
	{"xnnpack", "scale ratio", target.Warning, leaky(64, 1, 2.5), leaky(64, 1, 2)},
	{"xnnpack", "scale ratio", target.Warning, leaky(64, 1, -2), leaky(64, 1, -1.5)},
	{"xnnpack", "scale ratio", target.Warning, leaky(1, 1, -1./300), leaky(1, 1, -1./200)},
	{"xnnpack", "scale ratio", target.Warning, requantized(129, 1), requantized(128, 1)},
	{"xnnpack", "scale ratio", target.Warning, requantized(1, 257), requantized(1, 256)},
	{"xnnpack", "type", target.Note, op(schema.BuiltinOperatorQUANTIZE, 1, nil, of(schema.TensorTypeUINT8, 4), q8(4)), requantized(0.1, 0.2)},
	{"xnnpack", "zero point", target.Note, matmul(1), matmul(0)},
	{"xnnpack", "bias", target.Warning, depthwise(8, 8, 4, 3, 1, 1, noBias), dense(1, 4, 3, noBias)},
	{"xnnpack", "same scale", target.Warning, rescaled(reshaped()), reshaped()},
	{"xnnpack", "inputs", target.Note, concat(6), concat(5)},
	{"xnnpack", "stride", target.Note, pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 2, 3, schema.PaddingVALID), pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 3, 3, schema.PaddingVALID)},
	{"xnnpack", "slice size", target.Note, rest(-1), rest(2)},
	{"xnnpack", "operator", target.Note, unary(schema.BuiltinOperatorSQUEEZE, 1, nil, 4), op(schema.BuiltinOperatorEXPAND_DIMS, 1, nil, q8(1, 4), q8(4), scalar(0))},
	{"xnnpack", "stride", target.Note, change(pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 2, 2, schema.PaddingVALID), steps(3, 2)), pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 2, 2, schema.PaddingVALID)},
	{"xnnpack", "stride", target.Note, change(pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 2, 2, schema.PaddingVALID), steps(2, 3)), change(pool(schema.BuiltinOperatorMAX_POOL_2D, 9, 9, 4, 2, 2, schema.PaddingVALID), steps(1, 2))},
	{"xnnpack", "slice mask", target.Note, sliced(schema.StridedSliceOptionsT{ShrinkAxisMask: 1}, 1), sliced(schema.StridedSliceOptionsT{BeginMask: 1}, 1)},
	{"xnnpack", "slice step", target.Note, sliced(schema.StridedSliceOptionsT{}, 2), sliced(schema.StridedSliceOptionsT{}, 1)},
	{"xnnpack", "fused activation", target.Note, fused(conv(8, 8, 3, 4, 3, 1, 1), 4), fused(conv(8, 8, 3, 4, 3, 1, 1), 3)},
	{"xnnpack", "constant operand", target.Note, conv(8, 8, 3, 4, 3, 1, 1, computed(1)), conv(8, 8, 3, 4, 3, 1, 1)},

	{"nnapi-1.1", "operator", target.Error, unary(schema.BuiltinOperatorSLICE, 2, nil, 4), unary(schema.BuiltinOperatorSTRIDED_SLICE, 2, nil, 4)},
	{"nnapi-1.1", "type", target.Error, conv(8, 8, 3, 4, 3, 1, 1), typed(conv(8, 8, 3, 4, 3, 1, 1, oneScale, wideOutput), schema.TensorTypeUINT8)},
	{"nnapi-1.1", "per-channel weights", target.Error, conv(8, 8, 3, 4, 3, 1, 1), conv(8, 8, 3, 4, 3, 1, 1, oneScale)},
	{"nnapi-1.1", "scale product", target.Error, conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { o.Outputs[0].Quant.Scale[0] = 0.001 }), conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { o.Outputs[0].Quant.Scale[0] = 0.002 })},
	{"nnapi-1.3", "per-channel weights", target.Warning, dense(1, 4, 3, wideScales), dense(1, 4, 3)},
	{"nnapi-1.3", "scale product", target.Warning, product(0.1, 0.1, 0.01, 2), product(0.1, 0.1, 0.011, 2)},
	{"nnapi-1.3", "same scale", target.Warning, fixedOut(schema.BuiltinOperatorRELU6, nil, 0.2, -3, 4), unary(schema.BuiltinOperatorRELU6, 2, nil, 4)},
	{"nnapi-1.3", "same scale", target.Warning, rescaled(reduce(schema.BuiltinOperatorMEAN, []int{1, 1, 1, 8}, []int{1, 6, 7, 8}, 1, 2)), reduce(schema.BuiltinOperatorMEAN, []int{1, 1, 1, 8}, []int{1, 6, 7, 8}, 1, 2)},
	{"nnapi-1.1", "rank", target.Error, softmax(1, 2, 3), softmax(2, 3)},
	{"nnapi-1.1", "squeeze_dims", target.Error, op(schema.BuiltinOperatorSQUEEZE, 1, &schema.SqueezeOptionsT{}, q8(8), q8(1, 8)), op(schema.BuiltinOperatorSQUEEZE, 1, &schema.SqueezeOptionsT{SqueezeDims: []int32{0}}, q8(8), q8(1, 8))},
	{"nnapi-1.3", "type", target.Error, indexOf(schema.TensorTypeINT64), indexOf(schema.TensorTypeINT32)},
	{"nnapi-1.1", "dilation", target.Error, conv(20, 20, 3, 4, 3, 1, 2), conv(20, 20, 3, 4, 3, 1, 1)},
	{"nnapi-1.1", "dilation", target.Error, depthwise(20, 20, 4, 3, 1, 2), depthwise(20, 20, 4, 3, 1, 1)},
	{"nnapi-1.1", "same scale", target.Error, rescaled(concat(2)), concat(2)},
	{"nnapi-1.2", "version", target.Error, dense(1, 4, 3, func(o *tflite.Op) { o.Version = 6 }), dense(1, 4, 3)},
	{"nnapi-1.3", "version", target.Error, split(4), split(2)},
	{"nnapi-1.3", "version", target.Error, leaky(0.1, 0.1, 0.1), versioned(leaky(0.1, 0.1, 0.1), 1)},
	{"nnapi-1.3", "version", target.Warning, product(0.1, 0.1, 0.01, 3), product(0.1, 0.1, 0.1, 2)},
	{"nnapi-1.2", "type", target.Error, versioned(split(3), 3), typed(versioned(split(3), 3), schema.TensorTypeUINT8)},
	{"nnapi-1.2", "resize mode", target.Error, resize(4, 4, 8, 8, false, true), resize(4, 4, 8, 8, false, false)},
	{"nnapi-1.2", "resize mode", target.Error, nearest(4, 4, 8, 8, false, true), nearest(4, 4, 8, 8, false, false)},
	{"nnapi-1.2", "keep_num_dims", target.Error, keepDims(), dense(1, 4, 3)},
	{"nnapi-1.3", "type", target.Error, unary(schema.BuiltinOperatorSUM, 1, nil, 4), typed(unary(schema.BuiltinOperatorSUM, 1, nil, 4), schema.TensorTypeFLOAT32)},
	{"nnapi-1.3", "window", target.Warning, pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 17, 17, 4, 17, 1, schema.PaddingVALID), pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 16, 16, 4, 16, 1, schema.PaddingVALID)},
	{"nnapi-1.3", "scalar", target.Error, op(schema.BuiltinOperatorMEAN, 2, &schema.ReducerOptionsT{}, q8(), q8(4), list(0)), op(schema.BuiltinOperatorMEAN, 2, &schema.ReducerOptionsT{}, q8(1), q8(4), list(0))},
	{"nnapi-1.3", "axis", target.Error, packed(2), packed(1)},
	{"nnapi-1.3", "axis", target.Error, packed(-1), packed(-2)},
	{"nnapi-1.3", "axis", target.Error, unpacked(1), unpacked(0)},
	{"nnapi-1.3", "axis", target.Error, unpacked(-1), unpacked(-2)},
	{"nnapi-1.3", "crops", target.Error, cropped(1), cropped(0)},
	{"nnapi-1.3", "constant operand", target.Error, change(reshaped(), computed(1)), reshaped()},
	{"nnapi-1.3", "rank", target.Error, add([]int{1, 2, 3, 4, 5}, []int{1}), add([]int{1, 2, 3, 4}, []int{1})},
	{"nnapi-1.3", "rank", target.Error, unary(schema.BuiltinOperatorLOGISTIC, 2, nil, 1, 2, 3, 4, 5), unary(schema.BuiltinOperatorLOGISTIC, 2, nil, 2, 3, 4, 5)},
	{"nnapi-1.3", "positions", target.Error, op(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{Axis: 1}, q8(2), q8(2, 3), scalar(1)), op(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{Axis: 1}, q8(2, 1), q8(2, 3), list(1))},
	{"nnapi-1.3", "type", target.Error, typed(reshaped(), schema.TensorTypeINT32), reshaped()},
	{"nnapi-1.3", "type", target.Error, typed(packed(1), schema.TensorTypeUINT8), packed(1)},
	{"nnapi-1.3", "bias", target.Error, conv(8, 8, 3, 4, 3, 1, 1, noBias), conv(8, 8, 3, 4, 3, 1, 1)},

	{"edgetpu", "operator", target.Error, unary(schema.BuiltinOperatorHARD_SWISH, 1, nil, 4), unary(schema.BuiltinOperatorRELU, 2, nil, 4)},
	{"edgetpu", "type", target.Error, typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeFLOAT32), typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeUINT8)},
	{"edgetpu", "dynamic shape", target.Error, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 1) }), change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) })},
	{"edgetpu", "dynamic shape", target.Warning, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) }), reshaped()},
	{"mediatek", "dynamic shape", target.Error, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) }), reshaped()},
	{"edgetpu", "outer dimension", target.Error, unary(schema.BuiltinOperatorRELU, 2, nil, 2, 3, 4, 5), unary(schema.BuiltinOperatorRELU, 2, nil, 1, 3, 4, 5)},
	{"edgetpu", "dilation", target.Error, conv(20, 20, 3, 4, 3, 1, 2, func(o *tflite.Op) { o.Options.(*schema.Conv2DOptionsT).DilationWFactor = 1 }), conv(20, 20, 3, 4, 3, 1, 2)},
	{"edgetpu", "output shape", target.Error, dense(2, 4, 3), dense(1, 4, 3)},
	{"edgetpu", "fused activation", target.Error, fused(pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID), 1), pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID)},
	{"edgetpu", "channels", target.Error, reduce(schema.BuiltinOperatorMEAN, []int{1, 2, 2, 1}, []int{1, 2, 2, 6}, 3), reduce(schema.BuiltinOperatorMEAN, []int{1, 2, 2, 1}, []int{1, 2, 2, 8}, -1)},
	{"edgetpu", "batch axis", target.Error, reduce(schema.BuiltinOperatorSUM, []int{1, 2}, []int{1, 2}, 0), reduce(schema.BuiltinOperatorSUM, []int{1, 1}, []int{1, 2}, 1)},
	{"edgetpu", "batch axis", target.Error, op(schema.BuiltinOperatorPAD, 2, nil, q8(1, 1, 1, 2), q8(1, 1, 1, 1), pads(0, 1, 0, 0, 0, 0, 0, 0)), op(schema.BuiltinOperatorPAD, 2, nil, q8(1, 1, 1, 2), q8(1, 1, 1, 1), pads(0, 0, 0, 0, 0, 0, 0, 1))},
	{"edgetpu", "batch axis", target.Error, packed(0), packed(1)},
	{"edgetpu", "batch axis", target.Error, packed(-3), packed(-1)},
	{"edgetpu", "alpha shape", target.Error, prelu(2, 2, 3), prelu(1, 1, 3)},
	{"edgetpu", "softmax shape", target.Error, softmax(2, 10), softmax(1, 10)},
	{"edgetpu", "softmax shape", target.Error, softmax(1, 16001), softmax(1, 16000)},
	{"edgetpu", "constant operand", target.Error, change(concat(3), zeroPart), change(concat(2), zeroPart)},
	{"edgetpu", "constant operand", target.Error, change(concat(2), func(o *tflite.Op) { o.Inputs[1].Data = []byte{9, 9, 9} }), change(concat(2), zeroPart)},
	{"edgetpu", "version", target.Warning, resize(4, 4, 8, 8, false, true), versioned(resize(4, 4, 8, 8, false, false), 2)},
	{"edgetpu", "slice step", target.Error, sliced(schema.StridedSliceOptionsT{}, 2), sliced(schema.StridedSliceOptionsT{}, 1)},
	{"edgetpu", "slice mask", target.Error, sliced(schema.StridedSliceOptionsT{NewAxisMask: 1}, 1), sliced(schema.StridedSliceOptionsT{}, 1)},

	{"ethos-u55", "weights shape", target.Error, dense(1, 4, 3, func(o *tflite.Op) { o.Inputs[1].Shape = []int{3, 2, 2} }), dense(1, 4, 3, func(o *tflite.Op) { o.Inputs[1].Shape = []int{3, 1, 4} })},
	{"ethos-u55", "outputs", target.Error, change(split(2), func(o *tflite.Op) { o.Outputs = o.Outputs[:1] }), split(2)},
	{"ethos-u55", "per-channel weights", target.Warning, dense(1, 4, 3, wideScales), dense(1, 4, 3)},
	{"ethos-u55", "batch", target.Warning, unary(schema.BuiltinOperatorRELU, 2, nil, 2, 3, 4, 5), unary(schema.BuiltinOperatorRELU, 2, nil, 1, 3, 4, 5)},
	{"ethos-u55", "dimension", target.Warning, unary(schema.BuiltinOperatorRELU, 2, nil, 1, 65536), unary(schema.BuiltinOperatorRELU, 2, nil, 1, 65535)},
	{"ethos-u55", "stride", target.Error, depthwise(16, 16, 4, 3, 4, 1), depthwise(16, 16, 4, 3, 3, 1)},
	{"ethos-u55", "window", target.Error, pool(schema.BuiltinOperatorMAX_POOL_2D, 300, 300, 1, 257, 1, schema.PaddingVALID), pool(schema.BuiltinOperatorMAX_POOL_2D, 300, 300, 1, 256, 1, schema.PaddingVALID)},
	{"ethos-u55", "window", target.Error, pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 16, 16, 4, 9, 1, schema.PaddingSAME), pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 16, 16, 4, 8, 1, schema.PaddingSAME)},

	{"hexagon-htp", "operator", target.Error, unary(schema.BuiltinOperatorSQUEEZE, 1, nil, 4), reshaped()},
	{"hexagon-htp", "rank", target.Error, unaryRank(schema.BuiltinOperatorRELU, 6), unaryRank(schema.BuiltinOperatorTANH, 5)},
	{"hexagon-htp", "range beyond the activation", target.Warning, fused(conv(8, 8, 3, 4, 3, 1, 1, clampTo(0.1, -128)), 3), fused(conv(8, 8, 3, 4, 3, 1, 1, clampTo(6./255, -128)), 3)},
	{"hexagon-htp", "range beyond the activation", target.Warning, unary(schema.BuiltinOperatorRELU, 2, nil, 4), fixedOut(schema.BuiltinOperatorRELU, nil, 0.1, -128, 4)},
	{"hexagon-htp", "batch_dims", target.Error, unary(schema.BuiltinOperatorGATHER, 5, &schema.GatherOptionsT{BatchDims: 1}, 4), unary(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{}, 4)},
	{"hexagon-htp", "slice mask", target.Error, sliced(schema.StridedSliceOptionsT{EllipsisMask: 1}, 1), sliced(schema.StridedSliceOptionsT{ShrinkAxisMask: 1}, 1)},

	{"mediatek", "operator", target.Error, unary(schema.BuiltinOperatorRELU6, 2, nil, 4), unary(schema.BuiltinOperatorRELU, 2, nil, 4)},
	{"mediatek", "fused activation", target.Error, fused(concat(2), 1), concat(2)},
	{"mediatek", "fused activation", target.Error, fused(upscaled(), 1), upscaled()},
	{"mediatek", "type", target.Error, between(schema.BuiltinOperatorQUANTIZE, schema.TensorTypeINT32, schema.TensorTypeINT8), between(schema.BuiltinOperatorQUANTIZE, schema.TensorTypeFLOAT32, schema.TensorTypeINT8)},
	{"hexagon-htp", "type", target.Error, between(schema.BuiltinOperatorDEQUANTIZE, schema.TensorTypeINT8, schema.TensorTypeINT32), between(schema.BuiltinOperatorDEQUANTIZE, schema.TensorTypeINT8, schema.TensorTypeFLOAT32)},

	{"exynos", "operator", target.Error, unary(schema.BuiltinOperatorSQUEEZE, 1, nil, 4), reshaped()},
	{"exynos", "operator", target.Error, prelu(1, 1, 3), leaky(0.1, 0.1, 0.1)},
	{"exynos", "type", target.Error, typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeFLOAT64), typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeFLOAT32)},
	{"exynos", "dynamic shape", target.Error, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 1) }), change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) })},
	{"exynos", "dynamic shape", target.Warning, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) }), reshaped()},
	{"exynos", "weights shape", target.Error, dense(1, 4, 3, func(o *tflite.Op) { o.Inputs[1].Shape = []int{3, 1, 4} }), dense(1, 4, 3)},
	{"exynos", "fused activation", target.Error, fused(pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID), 1), pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID)},
	{"exynos", "fused activation", target.Error, fused(pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID), 3), fused(conv(8, 8, 3, 4, 3, 1, 1), 3)},
	{"exynos", "fused activation", target.Error, fused(concat(2), 1), fused(upscaled(), 1)},
	{"exynos", "axis", target.Error, running(-1), running(-2)},
	{"exynos", "batch_dims", target.Error, unary(schema.BuiltinOperatorGATHER, 5, &schema.GatherOptionsT{BatchDims: 1}, 4), unary(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{}, 4)},
	{"exynos", "beta", target.Error, fixedOut(schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 2}, 1./256, -128, 4), softmax(4)},
	{"exynos", "missing operand", target.Error, change(reshaped(), func(o *tflite.Op) { o.Inputs = o.Inputs[:1] }), reshaped()},
	{"exynos", "constant operand", target.Error, change(reshaped(), computed(1)), reshaped()},
	{"exynos", "constant operand", target.Error, change(sliced(schema.StridedSliceOptionsT{}, 1), computed(2)), sliced(schema.StridedSliceOptionsT{NewAxisMask: 1}, 2)},
	{"exynos", "slice offset", target.Error, sliced(schema.StridedSliceOptionsT{Offset: true}, 1), sliced(schema.StridedSliceOptionsT{}, 1)},
	{"exynos", "composite", target.Error, composite("odml.group_norm"), composite("odml.rms_norm")},

	{"google-tensor", "operator", target.Error, unary(schema.BuiltinOperatorRANK, 1, nil, 4), unary(schema.BuiltinOperatorSQUEEZE, 1, nil, 4)},
	{"google-tensor", "operator", target.Error, unary(schema.BuiltinOperatorREDUCE_PROD, 2, nil, 4), typed(unary(schema.BuiltinOperatorREDUCE_MAX, 2, nil, 4), schema.TensorTypeFLOAT32)},
	{"google-tensor", "operator", target.Error, custom("TFLite_Detection_PostProcess"), composite("odml.rms_norm")},

	{"tflm", "type", target.Error, typed(resize(4, 4, 8, 8, false, false), schema.TensorTypeINT16), resize(4, 4, 8, 8, false, false)},
	{"tflm", "type", target.Error, indexOf(schema.TensorTypeINT64), indexOf(schema.TensorTypeINT32)},
	{"tflm", "operator", target.Error, unary(schema.BuiltinOperatorTILE, 3, nil, 4), unary(schema.BuiltinOperatorELU, 1, nil, 4)},
	{"tflm", "type", target.Error, unary(schema.BuiltinOperatorEXP, 2, nil, 4), unary(schema.BuiltinOperatorRSQRT, 2, nil, 4)},
	{"tflm", "hybrid", target.Error, typed(dense(1, 4, 3), schema.TensorTypeFLOAT32), dense(1, 4, 3)},
	{"tflm", "inputs", target.Error, concat(11), concat(10)},
	{"tflm", "dynamic shape", target.Error, change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 1) }), change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) })},
	{"tflm", "per-channel weights", target.Warning, dense(1, 4, 3, wideScales), dense(1, 4, 3)},
	{"tflm", "rank", target.Error, unaryRank(schema.BuiltinOperatorTRANSPOSE, 6), unaryRank(schema.BuiltinOperatorTRANSPOSE, 5)},
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		for _, side := range []struct {
			name string
			op   *tflite.Op
			want bool
		}{{"broken", r.broken, true}, {"kept", r.kept, false}} {
			found, err := target.Lint(model(side.op), r.target)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.ContainsFunc(found, func(f target.Finding) bool {
				return f.Rule == r.rule && f.Severity == r.severity
			})
			if got != side.want {
				t.Errorf("%s, %s %q of %s: found %t, want %t, among %v", r.target, side.name, r.rule, side.op.Code, got, side.want, found)
			}
			for _, f := range found {
				if f.Target != r.target || f.Fault == "" || f.Advice == "" || f.Source == "" || f.Name == "" {
					t.Errorf("%s: incomplete finding %+v", r.target, f)
				}
			}
		}
	}
}

// TestLevels: what one level of NNAPI refuses, the next takes.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		rule        string
		early, late string
		op          *tflite.Op
	}{
		{"dilation", "nnapi-1.1", "nnapi-1.2", conv(20, 20, 3, 4, 3, 1, 2)},
		{"rank", "nnapi-1.1", "nnapi-1.2", softmax(1, 2, 3)},
		{"squeeze_dims", "nnapi-1.1", "nnapi-1.2", op(schema.BuiltinOperatorSQUEEZE, 1, &schema.SqueezeOptionsT{}, q8(8), q8(1, 8))},
		{"same scale", "nnapi-1.1", "nnapi-1.2", rescaled(concat(2))},
		{"keep_num_dims", "nnapi-1.2", "nnapi-1.3", keepDims()},
		{"resize mode", "nnapi-1.2", "nnapi-1.3", resize(4, 4, 8, 8, false, true)},
	} {
		for _, level := range []string{c.early, c.late} {
			found, err := target.Lint(model(c.op), level)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.ContainsFunc(found, func(f target.Finding) bool { return f.Rule == c.rule }); got != (level == c.early) {
				t.Errorf("%q of %s at %s: %t among %v", c.rule, c.op.Code, level, got, found)
			}
		}
	}
}

// TestUnpacked: to XNNPACK weights of FLOAT16 are constants, behind their
// DEQUANTIZE, but not behind one of computed values.
func TestUnpacked(t *testing.T) {
	for _, c := range []struct {
		data []byte
		want int
	}{{make([]byte, 2*3*4), 0}, {nil, 1}} {
		packed := &tflite.Tensor{Type: schema.TensorTypeFLOAT16, Shape: []int{3, 4}, Data: c.data}
		o := typed(dense(1, 4, 3), schema.TensorTypeFLOAT32)
		o.Inputs[1].Type, o.Inputs[1].Quant, o.Inputs[1].Data = schema.TensorTypeFLOAT32, nil, nil
		found, err := target.Lint(model(op(schema.BuiltinOperatorDEQUANTIZE, 3, nil, o.Inputs[1], packed), o), "xnnpack")
		if err != nil || len(found) != c.want {
			t.Errorf("%d bytes: %v, %v", len(c.data), found, err)
		}
	}
}

// TestRefused: errors and notes are of ops that the target does not take, and so
// are warnings of XNNPACK.
func TestRefused(t *testing.T) {
	for _, r := range rules {
		found, err := target.Lint(model(r.broken), r.target)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if want := f.Severity != target.Warning || r.target == "xnnpack"; f.Refused() != want {
				t.Errorf("%s: refused %t: %s", r.target, f.Refused(), f)
			}
		}
	}
}

// TestAdvice: what to do is what helps on that target.
func TestAdvice(t *testing.T) {
	boundary := op(schema.BuiltinOperatorQUANTIZE, 1, nil, q8(4), with(&tflite.Tensor{Type: schema.TensorTypeUINT8, Shape: []int{4}}, 0.1, 0))
	inner := op(schema.BuiltinOperatorQUANTIZE, 1, nil, q8(4), with(q8(4), 0.1, 0))
	open := change(reshaped(), func(o *tflite.Op) { signature(o.Inputs[0], 0) })
	for _, c := range []struct {
		target string
		op     *tflite.Op
		rule   string
		say    string
	}{
		{"nnapi-1.1", conv(8, 8, 3, 4, 3, 1, 1), "type", "NNAPI 1.2 takes it, see --target nnapi-1.2; for this one use the float model"},
		{"nnapi-1.3", unary(schema.BuiltinOperatorSUM, 1, nil, 4), "type", "the CPU runs it"},
		{"nnapi-1.1", boundary, "operator", "convert without --io"},
		{"nnapi-1.2", boundary, "type", "convert without --io"},
		{"nnapi-1.2", inner, "type", "NNAPI 1.3 takes it"},
		{"mediatek", open, "dynamic shape", "fix the batch; conversion for this target does"},
		{"exynos", unary(schema.BuiltinOperatorTILE, 3, nil, 4), "operator", "the NPU runs nothing"},
		{"tflm", unary(schema.BuiltinOperatorEXP, 2, nil, 4), "type", "nothing else runs it"},
		{"tflm", typed(unary(schema.BuiltinOperatorRELU, 2, nil, 4), schema.TensorTypeFLOAT16), "type", "convert it to INT8"},
		{"tflm", unary(schema.BuiltinOperatorTILE, 3, nil, 4), "operator", "nothing else runs it"},
	} {
		found, err := target.Lint(model(c.op), c.target)
		if err != nil {
			t.Fatal(err)
		}
		k := slices.IndexFunc(found, func(f target.Finding) bool { return f.Rule == c.rule })
		if k < 0 || !strings.Contains(found[k].Advice, c.say) {
			t.Errorf("%s of %s: %+v, which do not say %q of %q", c.op.Code, c.target, found, c.say, c.rule)
		}
	}
}

// Ops of the table that are not of other tests' use.

func custom(name string) *tflite.Op {
	o := op(schema.BuiltinOperatorCUSTOM, 1, nil, q8(4), q8(4))
	o.Custom = name
	return o
}

func composite(name string) *tflite.Op {
	return op(schema.BuiltinOperatorSTABLEHLO_COMPOSITE, 1, &schema.StableHLOCompositeOptionsT{Name: name}, q8(4), q8(4))
}

// running is a CUMSUM of a matrix.
func running(axis int) *tflite.Op {
	return op(schema.BuiltinOperatorCUMSUM, 1, &schema.CumsumOptionsT{}, q8(2, 4), q8(2, 4), scalar(axis))
}

func versioned(o *tflite.Op, v int) *tflite.Op { o.Version = v; return o }

func change(o *tflite.Op, changes ...func(*tflite.Op)) *tflite.Op {
	for _, c := range changes {
		c(o)
	}
	return o
}

func quotient() *tflite.Op {
	return op(schema.BuiltinOperatorDIV, 1, &schema.DivOptionsT{}, q8(4), q8(4), q8(4))
}

func indexOf(t schema.TensorType) *tflite.Op {
	return op(schema.BuiltinOperatorARG_MAX, 2, &schema.ArgMaxOptionsT{OutputType: t}, &tflite.Tensor{Type: t, Shape: []int{1}}, q8(1, 4), list(1))
}

func noBias(o *tflite.Op) { o.Inputs = o.Inputs[:2] }
func longBias(o *tflite.Op) {
	b := o.Inputs[2]
	b.SetInt64s(make([]int64, b.Len()))
}
func oneScale(o *tflite.Op)   { o.Inputs[1].Quant = scaled(0.01, 0) }
func wideScales(o *tflite.Op) { perChannel(o.Inputs[1], 0) }
func wideOutput(o *tflite.Op) { o.Outputs[0].Quant = scaled(1, 0) }

func clampTo(s float32, z int64) func(*tflite.Op) {
	return func(o *tflite.Op) { o.Outputs[0].Quant = scaled(s, z) }
}

// computed makes an input one that is not known beforehand.
func computed(i int) func(*tflite.Op) { return func(o *tflite.Op) { o.Inputs[i].Data = nil } }

// zeroPart makes the last part of a CONCATENATION a constant of zeros.
func zeroPart(o *tflite.Op) {
	t := o.Inputs[len(o.Inputs)-1]
	t.Data = make([]byte, t.Len())
	for i := range t.Data {
		t.Data[i] = 0xfd // -3, the zero point
	}
}

func rescaled(o *tflite.Op) *tflite.Op { o.Outputs[0].Quant = scaled(0.2, 0); return o }

func fused(o *tflite.Op, act schema.ActivationFunctionType) *tflite.Op {
	switch p := o.Options.(type) {
	case *schema.Conv2DOptionsT:
		p.FusedActivationFunction = act
	case *schema.Pool2DOptionsT:
		p.FusedActivationFunction = act
	case *schema.ConcatenationOptionsT:
		p.FusedActivationFunction = act
	case *schema.TransposeConvOptionsT:
		p.FusedActivationFunction = act
	default:
		panic("no fused activation")
	}
	return o
}

// upscaled is a TRANSPOSE_CONV.
func upscaled() *tflite.Op {
	weights, bias := q8(4, 2, 2, 3), q8(4)
	weights.Data, bias.Type, bias.Data = make([]byte, weights.Len()), schema.TensorTypeINT32, make([]byte, 4*bias.Len())
	return op(schema.BuiltinOperatorTRANSPOSE_CONV, 3, &schema.TransposeConvOptionsT{StrideW: 2, StrideH: 2}, q8(1, 8, 8, 4), list(1, 8, 8, 4), weights, q8(1, 4, 4, 3), bias)
}

// between is an op from one element type to another.
func between(code schema.BuiltinOperator, from, to schema.TensorType) *tflite.Op {
	in, out := q8(4), q8(4)
	in.Type, out.Type = from, to
	return op(code, 2, nil, out, in)
}

// rest is a SLICE that takes so many.
func rest(size int) *tflite.Op {
	return op(schema.BuiltinOperatorSLICE, 2, nil, q8(2), q8(4), list(2), list(size))
}

// sum is an ADD with the scales of its inputs and its output.
func sum(a, b, y float32) *tflite.Op {
	return op(schema.BuiltinOperatorADD, 2, &schema.AddOptionsT{}, with(q8(4), y, 0), with(q8(4), a, 0), with(q8(4), b, 0))
}

func sumOf(t *tflite.Tensor) *tflite.Op {
	return op(schema.BuiltinOperatorADD, 2, &schema.AddOptionsT{}, q8(4), q8(4), t)
}

func product(a, b, y float32, version int) *tflite.Op {
	return op(schema.BuiltinOperatorMUL, version, &schema.MulOptionsT{}, with(q8(4), y, 0), with(q8(4), a, 0), with(q8(4), b, 0))
}

func leaky(x, y, alpha float32) *tflite.Op {
	return op(schema.BuiltinOperatorLEAKY_RELU, 2, &schema.LeakyReluOptionsT{Alpha: alpha}, with(q8(4), y, 0), with(q8(4), x, 0))
}

func broadcast() *tflite.Op {
	return op(schema.BuiltinOperatorBROADCAST_TO, 3, nil, q8(2, 4), q8(4), list(2, 4))
}

func reshaped() *tflite.Op {
	return op(schema.BuiltinOperatorRESHAPE, 1, &schema.ReshapeOptionsT{}, q8(1, 4), q8(2, 2), list(1, 4))
}

func concat(n int) *tflite.Op {
	o := op(schema.BuiltinOperatorCONCATENATION, 2, &schema.ConcatenationOptionsT{Axis: 1}, q8(1, 3*n))
	for range n {
		o.Inputs = append(o.Inputs, q8(1, 3))
	}
	return o
}

func sliced(p schema.StridedSliceOptionsT, step int) *tflite.Op {
	return op(schema.BuiltinOperatorSTRIDED_SLICE, 2, &p, q8(2), q8(4), list(0), list(2*step), list(step))
}

func split(version int) *tflite.Op {
	o := op(schema.BuiltinOperatorSPLIT, version, &schema.SplitOptionsT{NumSplits: 2}, q8(1, 2), scalar(1), q8(1, 4))
	o.Outputs = append(o.Outputs, q8(1, 2))
	return o
}

func packed(axis int) *tflite.Op {
	return op(schema.BuiltinOperatorPACK, 2, &schema.PackOptionsT{ValuesCount: 2, Axis: int32(axis)}, q8(1, 2, 4), q8(1, 4), q8(1, 4))
}

func unpacked(axis int) *tflite.Op {
	o := op(schema.BuiltinOperatorUNPACK, 2, &schema.UnpackOptionsT{Num: 2, Axis: int32(axis)}, q8(2), q8(2, 2))
	o.Outputs = append(o.Outputs, q8(2))
	return o
}

// requantized is a QUANTIZE from one scale to another.
func requantized(x, y float32) *tflite.Op {
	return op(schema.BuiltinOperatorQUANTIZE, 1, nil, with(q8(4), y, 0), with(q8(4), x, 0))
}

// matmul is a BATCH_MATMUL whose second factor has a zero point.
func matmul(zero int64) *tflite.Op {
	return op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{}, q8(1, 2, 3), q8(1, 2, 4), with(q8(1, 4, 3), 0.1, zero))
}

// steps sets the strides of a pool.
func steps(h, w int32) func(*tflite.Op) {
	return func(o *tflite.Op) {
		p := o.Options.(*schema.Pool2DOptionsT)
		p.StrideH, p.StrideW = h, w
	}
}

func cropped(n int) *tflite.Op {
	return op(schema.BuiltinOperatorBATCH_TO_SPACE_ND, 2, nil, q8(1, 2, 2-n, 1), q8(4, 1, 1, 1), list(2, 2), pads(0, 0, n, 0))
}

func keepDims() *tflite.Op {
	return versioned(dense(1, 4, 3, func(o *tflite.Op) { o.Options = &schema.FullyConnectedOptionsT{KeepNumDims: true} }), 5)
}

func prelu(alpha ...int) *tflite.Op {
	return op(schema.BuiltinOperatorPRELU, 1, nil, q8(1, 2, 2, 3), q8(1, 2, 2, 3), w8(alpha...))
}

// unaryRank is an op on so many dimensions of size 1.
func unaryRank(code schema.BuiltinOperator, n int) *tflite.Op {
	shape := slices.Repeat([]int{1}, n)
	return op(code, 2, nil, q8(shape...), q8(shape...), list(make([]int, n)...))
}

// TestDilationPair: Ethos-U takes SPACE_TO_BATCH_ND only around a convolution.
func TestDilationPair(t *testing.T) {
	build := func(block int) *tflite.Model {
		start := op(schema.BuiltinOperatorSPACE_TO_BATCH_ND, 2, nil, q8(4, 4, 4, 3), q8(1, 8, 8, 3), list(2, 2), pads(0, 0, 0, 0))
		middle := conv(4, 4, 3, 5, 3, 1, 1, func(o *tflite.Op) { o.Inputs[0] = start.Outputs[0]; o.Outputs[0] = q8(4, 2, 2, 5) })
		end := op(schema.BuiltinOperatorBATCH_TO_SPACE_ND, 2, nil, q8(1, 4, 4, 5), middle.Outputs[0], list(2, block), pads(0, 0, 0, 0))
		m := model(start, middle, end)
		g := m.Graphs[0]
		g.Inputs, g.Outputs = start.Inputs[:1], end.Outputs
		return m
	}
	for block, want := range map[int]int{2: 0, 1: 2} {
		found, err := target.Lint(build(block), "ethos-u55")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range found {
			if f.Severity == target.Error {
				n++
			}
		}
		if n != want {
			t.Errorf("block 2x%d: %d errors, want %d: %v", block, n, want, found)
		}
	}
}

// TestBareOps: no target stumbles over an op without operands, options or
// shapes, whatever its code.
func TestBareOps(t *testing.T) {
	for _, name := range target.Names() {
		for code := range schema.EnumNamesBuiltinOperator {
			bare := &tflite.Tensor{Type: schema.TensorTypeINT8, Shape: []int{}}
			flat := &tflite.Tensor{Type: schema.TensorTypeINT8, Shape: []int{3, 0}, Data: []byte{}, Quant: &tflite.Quantization{}}
			for _, o := range []*tflite.Op{
				{Code: code},
				{Code: code, Inputs: tensors{nil, nil, nil}, Outputs: tensors{nil}},
				{Code: code, Inputs: tensors{bare, flat, bare, flat}, Outputs: tensors{bare}},
				{Code: code, Inputs: tensors{flat, bare, flat, bare}, Outputs: tensors{flat}, Options: &schema.Conv2DOptionsT{}},
				{Code: code, Inputs: tensors{bare, list(), list(-7), list(9)}, Outputs: tensors{bare}, Options: &schema.StridedSliceOptionsT{}},
			} {
				m := &tflite.Model{Graphs: []*tflite.Graph{{Ops: []*tflite.Op{o}}}}
				if _, err := target.Lint(m, name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range append(target.Names(), "tflite-2.15") {
		if target.Title(name) == "" {
			t.Errorf("%s has no title", name)
		}
		if _, err := target.LimitsOf(name, schema.TensorTypeINT8); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "all", "tflite-", "tflite-2", "tflite-2.x", "TFLITE"} {
		if _, err := target.Lint(model(reshaped()), name); err == nil || !strings.Contains(err.Error(), "nnapi-1.3") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	limits := func(name string) target.Limits {
		l, err := target.LimitsOf(name, schema.TensorTypeINT8)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if lo, hi := limits("nnapi-1.3").Versions(schema.BuiltinOperatorSPLIT); lo != 1 || hi != 3 {
		t.Errorf("SPLIT on NNAPI: %d to %d", lo, hi)
	}
	if lo, hi := limits("tflite-2.9").Versions(schema.BuiltinOperatorEXP); lo != 1 || hi != 1 {
		t.Errorf("EXP in 2.9: %d to %d", lo, hi)
	}
	if n := limits("exynos").Inputs(schema.BuiltinOperatorRESHAPE); n != 2 {
		t.Errorf("RESHAPE on Exynos: %d inputs", n)
	}
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"NNAPI 1.1 takes conv weights per channel", !limits("nnapi-1.1").PerTensor(schema.BuiltinOperatorCONV_2D), false},
		{"NNAPI 1.2 takes conv weights per channel", !limits("nnapi-1.2").PerTensor(schema.BuiltinOperatorCONV_2D), true},
		{"TFLite Micro's FULLY_CONNECTED is best per tensor", limits("tflm").PerTensor(schema.BuiltinOperatorFULLY_CONNECTED), true},
		{"NNAPI 1.1 restricts scales", limits("nnapi-1.1").RestrictedScale(schema.BuiltinOperatorCONV_2D), true},
		{"NNAPI 1.3 asks MEAN to keep the scale", limits("nnapi-1.3").SameScale(schema.BuiltinOperatorMEAN), true},
		{"TensorFlow Lite asks MEAN to keep the scale", limits("tflite").SameScale(schema.BuiltinOperatorMEAN), false},
		{"MediaTek wants to know the batch", limits("mediatek").FixedBatch(), true},
		{"Ethos-U55 wants to know the batch", limits("ethos-u55").FixedBatch(), false},
		{"Exynos wants to know the batch", limits("exynos").FixedBatch(), true},
		{"Exynos takes PRELU", limits("exynos").Takes(schema.BuiltinOperatorPRELU), false},
		{"Google Tensor takes PRELU", limits("google-tensor").Takes(schema.BuiltinOperatorPRELU), true},
		{"HTP clamps ranges", limits("hexagon-htp").Clamped(schema.BuiltinOperatorCONV_2D), true},
		{"Edge TPU takes HARD_SWISH", limits("edgetpu").Takes(schema.BuiltinOperatorHARD_SWISH), false},
		{"XNNPACK takes PRELU", limits("xnnpack").Takes(schema.BuiltinOperatorPRELU), false},
		{"Ethos-U55 takes CONV_2D", limits("ethos-u55").Takes(schema.BuiltinOperatorCONV_2D), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %t", c.what, c.got)
		}
	}
}

// A file for an NPU may hold the newest INT8 forms of the operators that the NPU
// has; all else must load in the runtime that runs it.
func TestLimitsRelease(t *testing.T) {
	for _, c := range []struct {
		target string
		code   schema.BuiltinOperator
		want   string
	}{
		{"tflite", schema.BuiltinOperatorEXP, ""},
		{"tflite-2.16", schema.BuiltinOperatorEXP, "2.16"},
		{target.Default, schema.BuiltinOperatorEXP, "2.9"},
		{"xnnpack", schema.BuiltinOperatorADD, "2.9"},
		{"ethos-u55", schema.BuiltinOperatorEXP, ""},
		{"ethos-u55", schema.BuiltinOperatorSQRT, "2.9"},
		{"exynos", schema.BuiltinOperatorEXP, ""},
		{"exynos", schema.BuiltinOperatorNEG, "2.9"},
		{"google-tensor", schema.BuiltinOperatorEXP, "2.9"},
	} {
		l, err := target.LimitsOf(c.target, schema.TensorTypeINT8)
		if got := l.Release(c.code); err != nil || got != c.want {
			t.Errorf("%s, %s: %q, %v, want %q", c.target, c.code, got, err, c.want)
		}
	}
}

// TestFindingJSON: severities are written as words.
func TestFindingJSON(t *testing.T) {
	found, err := target.Lint(model(dense(1, 4, 3, wideScales)), "tflite-2.9")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"severity":"error"`, `"rule":"per-channel weights"`, `"op":0`, `"tensor":"op0_in1"`, `"name":"FULLY_CONNECTED"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}
