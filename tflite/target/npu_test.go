package target_test

import (
	"dfq/schema"
	"dfq/tflite"
)

// npuCase is an op with a name.
type npuCase struct {
	name string
	op   *tflite.Op
}

// npuCases are ops of all kinds within and beyond what NPUs take.
func npuCases() []npuCase {
	var cases []npuCase
	try := func(name string, o *tflite.Op) { cases = append(cases, npuCase{name, o}) }

	for _, u := range []struct {
		code    schema.BuiltinOperator
		version int
		options any
	}{
		{schema.BuiltinOperatorRELU, 2, nil},
		{schema.BuiltinOperatorRELU6, 2, nil},
		{schema.BuiltinOperatorRELU_N1_TO_1, 1, nil},
		{schema.BuiltinOperatorRELU_0_TO_1, 1, nil},
		{schema.BuiltinOperatorLEAKY_RELU, 2, &schema.LeakyReluOptionsT{Alpha: 0.1}},
		{schema.BuiltinOperatorHARD_SWISH, 1, &schema.HardSwishOptionsT{}},
		{schema.BuiltinOperatorELU, 1, nil},
		{schema.BuiltinOperatorGELU, 2, &schema.GeluOptionsT{}},
		{schema.BuiltinOperatorEXP, 2, &schema.ExpOptionsT{}},
		{schema.BuiltinOperatorLOG, 2, nil},
		{schema.BuiltinOperatorSQRT, 2, nil},
		{schema.BuiltinOperatorRSQRT, 2, nil},
		{schema.BuiltinOperatorABS, 2, &schema.AbsOptionsT{}},
		{schema.BuiltinOperatorNEG, 1, &schema.NegOptionsT{}},
		{schema.BuiltinOperatorFLOOR, 1, nil},
		{schema.BuiltinOperatorCEIL, 1, nil},
		{schema.BuiltinOperatorROUND, 1, nil},
		{schema.BuiltinOperatorSIN, 1, nil},
		{schema.BuiltinOperatorSQUARE, 1, &schema.SquareOptionsT{}},
		{schema.BuiltinOperatorQUANTIZE, 1, &schema.QuantizeOptionsT{}},
	} {
		name := u.code.String()
		shape := []int{1, 6, 7, 8}
		try(name, unary(u.code, u.version, u.options, shape...))
		try(name+" uint8", typed(unary(u.code, u.version, u.options, shape...), schema.TensorTypeUINT8))
		try(name+" int16", typed(unary(u.code, u.version, u.options, shape...), schema.TensorTypeINT16))
		try(name+" int32", typed(unary(u.code, u.version, u.options, shape...), schema.TensorTypeINT32))
		try(name+" float", typed(unary(u.code, u.version, u.options, shape...), schema.TensorTypeFLOAT32))
		try(name+" rank 0", unary(u.code, u.version, u.options))
		try(name+" rank 1", unary(u.code, u.version, u.options, 5))
		try(name+" rank 5", unary(u.code, u.version, u.options, 1, 2, 3, 4, 5))
		try(name+" batch", unary(u.code, u.version, u.options, 2, 3, 4, 5))
	}
	for _, b := range []struct {
		code    schema.BuiltinOperator
		version int
		options any
	}{
		{schema.BuiltinOperatorADD, 2, &schema.AddOptionsT{}},
		{schema.BuiltinOperatorSUB, 2, &schema.SubOptionsT{}},
		{schema.BuiltinOperatorMUL, 2, &schema.MulOptionsT{}},
		{schema.BuiltinOperatorDIV, 1, &schema.DivOptionsT{}},
		{schema.BuiltinOperatorMAXIMUM, 2, &schema.MaximumMinimumOptionsT{}},
		{schema.BuiltinOperatorMINIMUM, 2, &schema.MaximumMinimumOptionsT{}},
		{schema.BuiltinOperatorSQUARED_DIFFERENCE, 2, &schema.SquaredDifferenceOptionsT{}},
		{schema.BuiltinOperatorPRELU, 1, nil},
		{schema.BuiltinOperatorFLOOR_DIV, 1, &schema.FloorDivOptionsT{}},
	} {
		name := b.code.String()
		shape := []int{1, 6, 7, 8}
		try(name, binary(b.code, b.version, b.options, shape, shape))
		try(name+" channel", binary(b.code, b.version, b.options, shape, []int{1, 1, 1, 8}))
		try(name+" vector", binary(b.code, b.version, b.options, shape, []int{8}))
		try(name+" scalar", binary(b.code, b.version, b.options, shape, nil))
		try(name+" int16", typed(binary(b.code, b.version, b.options, shape, shape), schema.TensorTypeINT16))
		try(name+" int32", typed(binary(b.code, b.version, b.options, shape, shape), schema.TensorTypeINT32))
		try(name+" rank 5", binary(b.code, b.version, b.options, []int{1, 2, 3, 4, 5}, []int{1, 2, 3, 4, 5}))
		try(name+" batch", binary(b.code, b.version, b.options, []int{2, 3, 4, 5}, []int{2, 3, 4, 5}))
		constant := binary(b.code, b.version, b.options, shape, []int{8})
		constant.Inputs[1] = w8(8)
		constant.Inputs[1].Quant = scaled(0.1, -3)
		try(name+" constant", constant)
		one := binary(b.code, b.version, b.options, shape, nil)
		one.Inputs[1] = w8()
		one.Inputs[1].Quant = scaled(0.1, -3)
		try(name+" constant scalar", one)
		other := binary(b.code, b.version, b.options, shape, shape)
		other.Inputs[1].Quant = scaled(0.3, 1)
		try(name+" other scale", other)
	}
	for _, act := range []schema.ActivationFunctionType{1, 2, 3, 4} {
		o := add([]int{1, 6, 7, 8}, []int{1, 6, 7, 8})
		o.Options = &schema.AddOptionsT{FusedActivationFunction: act}
		try("ADD fused "+act.String(), o)
		try("CONV_2D fused "+act.String(), conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) {
			o.Options.(*schema.Conv2DOptionsT).FusedActivationFunction = act
		}))
		p := pool(schema.BuiltinOperatorMAX_POOL_2D, 8, 8, 4, 2, 2, schema.PaddingVALID)
		p.Options.(*schema.Pool2DOptionsT).FusedActivationFunction = act
		try("MAX_POOL_2D fused "+act.String(), p)
	}

	convCases(try)
	poolCases(try)
	shapeCases(try)
	otherCases(try)
	return cases
}

func convCases(try func(string, *tflite.Op)) {
	valid := func(o *tflite.Op) {
		switch p := o.Options.(type) {
		case *schema.Conv2DOptionsT:
			p.Padding = schema.PaddingVALID
			f, x := o.Inputs[1].Shape, o.Inputs[0].Shape
			for i := range 2 {
				o.Outputs[0].Shape[1+i] = up(x[1+i]-(f[1+i]-1)*int(p.DilationHFactor), int(p.StrideH))
			}
		case *schema.TransposeConvOptionsT:
			p.Padding = schema.PaddingVALID
			f, x := o.Inputs[1].Shape, o.Inputs[2].Shape
			o.Outputs[0].Shape[1] = x[1]*int(p.StrideH) + max(f[1]-int(p.StrideH), 0)
			o.Outputs[0].Shape[2] = x[2]*int(p.StrideW) + max(f[2]-int(p.StrideW), 0)
			o.Inputs[0] = list(o.Outputs[0].Shape...)
		}
	}
	perTensor := func(o *tflite.Op) {
		o.Inputs[1].Quant = scaled(0.01, 0)
	}
	noBias := func(o *tflite.Op) { o.Inputs = o.Inputs[:2] }
	batch := func(o *tflite.Op) { o.Inputs[0].Shape[0], o.Outputs[0].Shape[0] = 2, 2 }
	dynamicWeights := func(o *tflite.Op) { o.Inputs[1].Data = nil }
	dynamicBias := func(o *tflite.Op) { o.Inputs[2].Data = nil }
	bias64 := func(o *tflite.Op) {
		b := o.Inputs[2]
		b.Type, b.Data = schema.TensorTypeINT64, make([]byte, 8*b.Len())
	}
	int16 := func(o *tflite.Op) {
		o.Inputs[0], o.Outputs[0] = of(schema.TensorTypeINT16, o.Inputs[0].Shape...), of(schema.TensorTypeINT16, o.Outputs[0].Shape...)
	}
	uint8 := func(o *tflite.Op) {
		o.Inputs[0], o.Outputs[0] = of(schema.TensorTypeUINT8, o.Inputs[0].Shape...), of(schema.TensorTypeUINT8, o.Outputs[0].Shape...)
	}
	biasShape := func(o *tflite.Op) { b := o.Inputs[2]; b.Shape = []int{b.Len(), 1} }

	try("CONV_2D", conv(8, 8, 3, 4, 3, 1, 1))
	try("CONV_2D per-tensor", conv(8, 8, 3, 4, 3, 1, 1, perTensor))
	try("CONV_2D batch", conv(8, 8, 3, 4, 3, 1, 1, batch))
	try("CONV_2D without bias", conv(8, 8, 3, 4, 3, 1, 1, noBias))
	try("CONV_2D computed weights", conv(8, 8, 3, 4, 3, 1, 1, perTensor, dynamicWeights))
	try("CONV_2D computed bias", conv(8, 8, 3, 4, 3, 1, 1, dynamicBias))
	try("CONV_2D bias 64", conv(8, 8, 3, 4, 3, 1, 1, bias64))
	try("CONV_2D bias shape", conv(8, 8, 3, 4, 3, 1, 1, biasShape))
	try("CONV_2D int16", conv(8, 8, 3, 4, 3, 1, 1, int16, bias64))
	try("CONV_2D int16 bias 32", conv(8, 8, 3, 4, 3, 1, 1, int16))
	try("CONV_2D uint8", conv(8, 8, 3, 4, 3, 1, 1, uint8))
	try("CONV_2D rank 3", conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) {
		o.Inputs[0].Shape, o.Outputs[0].Shape = []int{8, 8, 3}, []int{8, 8, 4}
	}))
	try("CONV_2D unknown batch", conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { signature(o.Inputs[0], 0); signature(o.Outputs[0], 0) }))
	try("CONV_2D unknown height", conv(8, 8, 3, 4, 3, 1, 1, func(o *tflite.Op) { signature(o.Inputs[0], 1); signature(o.Outputs[0], 1) }))
	for _, s := range []int{2, 3, 4, 5} {
		name := string(rune('0' + s))
		try("CONV_2D stride "+name, conv(20, 20, 3, 4, 3, s, 1))
		try("CONV_2D valid stride "+name, conv(20, 20, 3, 4, 3, s, 1, valid))
		try("DEPTHWISE_CONV_2D stride "+name, depthwise(20, 20, 4, 3, s, 1))
	}
	try("CONV_2D stride 4x1", conv(20, 1, 3, 4, 1, 4, 1, func(o *tflite.Op) {
		o.Options.(*schema.Conv2DOptionsT).StrideW = 1
		o.Outputs[0].Shape = []int{1, 5, 1, 4}
	}))
	try("CONV_2D dilation 2", conv(20, 20, 3, 4, 3, 1, 2))
	try("CONV_2D dilation 40", conv(90, 90, 1, 1, 3, 1, 40))
	try("CONV_2D dilation stride", conv(20, 20, 3, 4, 3, 2, 2))
	try("CONV_2D dilation stride 4 valid", conv(20, 20, 3, 4, 3, 4, 2, valid))
	try("CONV_2D kernel 33", conv(40, 40, 1, 1, 33, 1, 1))
	try("CONV_2D kernel 64", conv(70, 70, 1, 1, 64, 1, 1))
	try("CONV_2D kernel 65", conv(70, 70, 1, 1, 65, 1, 1))
	try("CONV_2D kernel 65 valid", conv(70, 70, 1, 1, 65, 1, 1, valid))
	try("CONV_2D grouped", conv(8, 8, 4, 4, 3, 1, 1, func(o *tflite.Op) {
		o.Version = 6
		o.Inputs[1] = perChannel(w8(4, 3, 3, 2), 0)
	}))
	try("CONV_2D large weights", conv(1, 1, 70000, 2, 1, 1, 1, func(o *tflite.Op) {
		for i := range o.Inputs[1].Data {
			o.Inputs[1].Data[i] = 127
		}
	}))
	try("CONV_2D many channels", conv(1, 1, 65536, 1, 1, 1, 1, func(o *tflite.Op) { clear(o.Inputs[1].Data) }))
	try("DEPTHWISE_CONV_2D", depthwise(8, 8, 4, 3, 1, 1))
	try("DEPTHWISE_CONV_2D valid kernel 8", depthwise(8, 8, 4, 8, 1, 1))
	try("DEPTHWISE_CONV_2D dilation", depthwise(8, 8, 4, 3, 1, 2))
	try("DEPTHWISE_CONV_2D batch", depthwise(8, 8, 4, 3, 1, 1, batch))
	try("DEPTHWISE_CONV_2D without bias", depthwise(8, 8, 4, 3, 1, 1, noBias))
	try("DEPTHWISE_CONV_2D per-tensor", depthwise(8, 8, 4, 3, 1, 1, perTensor))
	try("DEPTHWISE_CONV_2D int16", depthwise(8, 8, 4, 3, 1, 1, int16, bias64))
	try("DEPTHWISE_CONV_2D multiplier 2", depthwise(8, 8, 8, 3, 1, 1, func(o *tflite.Op) {
		o.Options.(*schema.DepthwiseConv2DOptionsT).DepthMultiplier = 2
		o.Inputs[0].Shape[3] = 4
	}))
	try("DEPTHWISE_CONV_2D multiplier 8", depthwise(8, 8, 8, 3, 1, 1, func(o *tflite.Op) {
		o.Options.(*schema.DepthwiseConv2DOptionsT).DepthMultiplier = 8
		o.Inputs[0].Shape[3] = 1
	}))
	try("FULLY_CONNECTED", dense(1, 16, 10))
	try("FULLY_CONNECTED batch", dense(5, 16, 10))
	try("FULLY_CONNECTED per-channel", dense(1, 16, 10, func(o *tflite.Op) { perChannel(o.Inputs[1], 0); o.Inputs[2] = b32(o.Inputs[1], 10) }))
	try("FULLY_CONNECTED without bias", dense(1, 16, 10, noBias))
	try("FULLY_CONNECTED computed bias", dense(1, 16, 10, dynamicBias))
	try("FULLY_CONNECTED computed weights", dense(1, 16, 10, dynamicWeights))
	try("FULLY_CONNECTED int16", dense(1, 16, 10, int16, bias64))
	try("FULLY_CONNECTED keep dims", dense(1, 16, 10, func(o *tflite.Op) {
		o.Version, o.Options = 5, &schema.FullyConnectedOptionsT{KeepNumDims: true}
		o.Inputs[0].Shape, o.Outputs[0].Shape = []int{1, 4, 16}, []int{1, 4, 10}
	}))
	try("FULLY_CONNECTED keep dims 4", dense(1, 16, 10, func(o *tflite.Op) {
		o.Version, o.Options = 5, &schema.FullyConnectedOptionsT{KeepNumDims: true}
		o.Inputs[0].Shape, o.Outputs[0].Shape = []int{1, 4, 3, 16}, []int{1, 4, 3, 10}
	}))
	try("FULLY_CONNECTED from 4 dimensions", dense(1, 16, 10, func(o *tflite.Op) { o.Inputs[0].Shape = []int{1, 2, 2, 4} }))
	try("FULLY_CONNECTED weight zero point", dense(1, 16, 10, func(o *tflite.Op) { o.Inputs[1].Quant.Zero[0] = 6 }))
	for _, k := range []int{1, 2, 3, 4} {
		name := string(rune('0' + k))
		for _, s := range []int{1, 2, 3} {
			try("TRANSPOSE_CONV kernel "+name+" stride "+string(rune('0'+s)), upconv(5, 6, k, s, s))
			try("TRANSPOSE_CONV valid kernel "+name+" stride "+string(rune('0'+s)), upconv(5, 6, k, s, s, valid))
		}
	}
	try("TRANSPOSE_CONV stride 1x2", upconv(5, 6, 3, 1, 2))
	try("TRANSPOSE_CONV without bias", upconv(5, 6, 3, 2, 2, func(o *tflite.Op) { o.Inputs = o.Inputs[:3] }))
	try("TRANSPOSE_CONV other shape", upconv(5, 6, 3, 2, 2, func(o *tflite.Op) {
		o.Outputs[0].Shape[1] = 9
		o.Inputs[0] = list(o.Outputs[0].Shape...)
	}))
	try("TRANSPOSE_CONV 1xN stride 1x2", upconv(1, 6, 3, 1, 2, func(o *tflite.Op) {
		o.Inputs[1] = perChannel(w8(3, 1, 3, 4), 0)
	}))
	try("BATCH_MATMUL", op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{}, q8(1, 4, 6), q8(1, 4, 5), q8(1, 5, 6)))
	try("BATCH_MATMUL batch", op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{}, q8(3, 4, 6), q8(3, 4, 5), q8(3, 5, 6)))
	try("BATCH_MATMUL 4", op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{}, q8(2, 3, 4, 6), q8(2, 3, 4, 5), q8(2, 3, 5, 6)))
	try("BATCH_MATMUL constant", op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{}, q8(1, 4, 6), q8(1, 4, 5), w8(1, 5, 6)))
	try("BATCH_MATMUL int16", typed(op(schema.BuiltinOperatorBATCH_MATMUL, 3, &schema.BatchMatMulOptionsT{}, q8(1, 4, 6), q8(1, 4, 5), q8(1, 5, 6)), schema.TensorTypeINT16))
	try("BATCH_MATMUL adj", op(schema.BuiltinOperatorBATCH_MATMUL, 2, &schema.BatchMatMulOptionsT{AdjY: true}, q8(1, 4, 6), q8(1, 4, 5), q8(1, 6, 5)))
}

func poolCases(try func(string, *tflite.Op)) {
	for _, code := range []schema.BuiltinOperator{schema.BuiltinOperatorAVERAGE_POOL_2D, schema.BuiltinOperatorMAX_POOL_2D} {
		name := code.String()
		try(name, pool(code, 8, 8, 4, 2, 2, schema.PaddingVALID))
		try(name+" same", pool(code, 8, 8, 4, 2, 2, schema.PaddingSAME))
		try(name+" same 8", pool(code, 16, 16, 4, 8, 1, schema.PaddingSAME))
		try(name+" same 9", pool(code, 16, 16, 4, 9, 1, schema.PaddingSAME))
		try(name+" same 9 of 9", pool(code, 9, 9, 4, 9, 1, schema.PaddingSAME))
		try(name+" valid 9", pool(code, 16, 16, 4, 9, 1, schema.PaddingVALID))
		try(name+" valid 256", pool(code, 256, 256, 1, 256, 1, schema.PaddingVALID))
		try(name+" valid 257", pool(code, 257, 257, 1, 257, 1, schema.PaddingVALID))
		for _, s := range []int{3, 4, 5} {
			try(name+" valid stride "+string(rune('0'+s)), pool(code, 20, 20, 4, 5, s, schema.PaddingVALID))
			try(name+" same stride "+string(rune('0'+s)), pool(code, 20, 20, 4, 5, s, schema.PaddingSAME))
		}
		batch := pool(code, 8, 8, 4, 2, 2, schema.PaddingVALID)
		batch.Inputs[0].Shape[0], batch.Outputs[0].Shape[0] = 2, 2
		try(name+" batch", batch)
		other := pool(code, 8, 8, 4, 2, 2, schema.PaddingVALID)
		other.Outputs[0].Quant = scaled(0.2, 0)
		try(name+" other scale", other)
		try(name+" int16", typed(pool(code, 8, 8, 4, 2, 2, schema.PaddingVALID), schema.TensorTypeINT16))
	}
	for _, code := range []schema.BuiltinOperator{schema.BuiltinOperatorMEAN, schema.BuiltinOperatorSUM, schema.BuiltinOperatorREDUCE_MAX, schema.BuiltinOperatorREDUCE_MIN, schema.BuiltinOperatorREDUCE_PROD} {
		name := code.String()
		try(name+" hw", reduce(code, []int{1, 1, 1, 8}, []int{1, 6, 7, 8}, 1, 2))
		try(name+" h", reduce(code, []int{1, 1, 7, 8}, []int{1, 6, 7, 8}, 1))
		try(name+" c", reduce(code, []int{1, 6, 7, 1}, []int{1, 6, 7, 8}, 3))
		try(name+" c of one row", reduce(code, []int{1, 1, 7, 1}, []int{1, 1, 7, 8}, 3))
		try(name+" hwc", reduce(code, []int{1, 1, 1, 1}, []int{1, 6, 7, 8}, 1, 2, 3))
		try(name+" n", reduce(code, []int{1, 6, 7, 8}, []int{2, 6, 7, 8}, 0))
		try(name+" batch", reduce(code, []int{2, 1, 1, 8}, []int{2, 6, 7, 8}, 1, 2))
		try(name+" 3", reduce(code, []int{1, 1, 8}, []int{1, 6, 8}, 1))
		try(name+" 2", reduce(code, []int{1, 1}, []int{1, 6}, 1))
		try(name+" long", reduce(code, []int{1, 1, 1, 1}, []int{1, 4096, 1, 1}, 1))
		try(name+" less long", reduce(code, []int{1, 1, 1, 1}, []int{1, 4095, 1, 1}, 1))
		try(name+" 4097", reduce(code, []int{1, 1, 1, 1}, []int{1, 4097, 1, 1}, 1))
		try(name+" hc", reduce(code, []int{1, 1, 7, 1}, []int{1, 6, 7, 8}, 1, 3))
		try(name+" c of one column", reduce(code, []int{1, 6, 1, 1}, []int{1, 6, 1, 8}, 3))
		try(name+" 2 c", reduce(code, []int{5, 1}, []int{5, 6}, 1))
		try(name+" 3 c", reduce(code, []int{3, 5, 1}, []int{3, 5, 6}, 2))
		try(name+" 3 n", reduce(code, []int{1, 5, 6}, []int{3, 5, 6}, 0))
		try(name+" wide", reduce(code, []int{1, 1, 1, 2}, []int{1, 300, 300, 2}, 1, 2))
		try(name+" int16", typed(reduce(code, []int{1, 1, 1, 8}, []int{1, 6, 7, 8}, 1, 2), schema.TensorTypeINT16))
		dropped := reduce(code, []int{1, 8}, []int{1, 6, 7, 8}, 1, 2)
		dropped.Options = &schema.ReducerOptionsT{}
		try(name+" dropped dims", dropped)
		computed := reduce(code, []int{1, 1, 1, 8}, []int{1, 6, 7, 8}, 1, 2)
		computed.Inputs[1].Data = nil
		try(name+" computed axes", computed)
	}
}

func shapeCases(try func(string, *tflite.Op)) {
	same := func(code schema.BuiltinOperator, v int, options any, out, in []int, more ...*tflite.Tensor) *tflite.Op {
		return op(code, v, options, q8(out...), append(tensors{q8(in...)}, more...)...)
	}
	transpose := func(out, in []int, perm ...int) *tflite.Op {
		return same(schema.BuiltinOperatorTRANSPOSE, 2, &schema.TransposeOptionsT{}, out, in, list(perm...))
	}
	reshape := func(out, in []int) *tflite.Op {
		return same(schema.BuiltinOperatorRESHAPE, 1, &schema.ReshapeOptionsT{}, out, in, list(out...))
	}
	try("RESHAPE", reshape([]int{1, 42, 8}, []int{1, 6, 7, 8}))
	try("RESHAPE 6", reshape([]int{1, 2, 3, 7, 2, 4}, []int{1, 6, 7, 8}))
	try("RESHAPE batch", reshape([]int{2, 168}, []int{1, 6, 7, 8}))
	try("RESHAPE int32", typed(reshape([]int{2, 168}, []int{1, 6, 7, 8}), schema.TensorTypeINT32))
	computed := reshape([]int{1, 42, 8}, []int{1, 6, 7, 8})
	computed.Inputs[1].Data = nil
	try("RESHAPE computed", computed)
	other := reshape([]int{1, 42, 8}, []int{1, 6, 7, 8})
	other.Outputs[0].Quant = scaled(0.2, 0)
	try("RESHAPE other scale", other)
	squeezed := same(schema.BuiltinOperatorSQUEEZE, 1, &schema.SqueezeOptionsT{SqueezeDims: []int32{1, 2}}, []int{1, 8}, []int{1, 1, 1, 8})
	squeezed.Outputs[0].Quant = scaled(0.2, 0)
	try("SQUEEZE other scale", squeezed)
	expanded := same(schema.BuiltinOperatorEXPAND_DIMS, 1, &schema.ExpandDimsOptionsT{}, []int{1, 1, 8}, []int{1, 8}, scalar(1))
	expanded.Outputs[0].Quant = scaled(0.2, 0)
	try("EXPAND_DIMS other scale", expanded)
	turned := transpose([]int{7, 6}, []int{6, 7}, 1, 0)
	turned.Outputs[0].Quant = scaled(0.2, 0)
	try("TRANSPOSE other scale", turned)
	try("SQUEEZE", same(schema.BuiltinOperatorSQUEEZE, 1, &schema.SqueezeOptionsT{SqueezeDims: []int32{1, 2}}, []int{1, 8}, []int{1, 1, 1, 8}))
	try("EXPAND_DIMS", same(schema.BuiltinOperatorEXPAND_DIMS, 1, &schema.ExpandDimsOptionsT{}, []int{1, 1, 8}, []int{1, 8}, scalar(1)))
	try("EXPAND_DIMS to 5", same(schema.BuiltinOperatorEXPAND_DIMS, 1, &schema.ExpandDimsOptionsT{}, []int{1, 1, 2, 3, 4}, []int{1, 2, 3, 4}, scalar(1)))
	try("TRANSPOSE nwhc", transpose([]int{1, 7, 6, 8}, []int{1, 6, 7, 8}, 0, 2, 1, 3))
	try("TRANSPOSE nchw", transpose([]int{1, 8, 6, 7}, []int{1, 6, 7, 8}, 0, 3, 1, 2))
	try("TRANSPOSE batch", transpose([]int{7, 2, 6, 8}, []int{2, 6, 7, 8}, 2, 0, 1, 3))
	try("TRANSPOSE 2", transpose([]int{7, 6}, []int{6, 7}, 1, 0))
	try("TRANSPOSE 5", transpose([]int{1, 3, 2, 4, 5}, []int{1, 2, 3, 4, 5}, 0, 2, 1, 3, 4))
	try("TRANSPOSE 6", transpose([]int{6, 3, 2, 4, 5, 1}, []int{1, 2, 3, 4, 5, 6}, 5, 2, 1, 3, 4, 0))
	try("TRANSPOSE int32 nchw", typed(transpose([]int{1, 8, 6, 7}, []int{1, 6, 7, 8}, 0, 3, 1, 2), schema.TensorTypeINT32))
	try("TRANSPOSE int32 nwhc", typed(transpose([]int{1, 7, 6, 8}, []int{1, 6, 7, 8}, 0, 2, 1, 3), schema.TensorTypeINT32))
	try("TRANSPOSE int32 nhcw", typed(transpose([]int{6, 2, 7, 8}, []int{2, 6, 7, 8}, 1, 0, 2, 3), schema.TensorTypeINT32))
	try("TRANSPOSE int32 nhwc to nhcw", typed(transpose([]int{2, 6, 8, 7}, []int{2, 6, 7, 8}, 0, 1, 3, 2), schema.TensorTypeINT32))
	try("TRANSPOSE int32 ncwh", typed(transpose([]int{1, 8, 7, 6}, []int{1, 6, 7, 8}, 0, 3, 2, 1), schema.TensorTypeINT32))
	try("TRANSPOSE int32 3 last", typed(transpose([]int{6, 8, 7}, []int{6, 7, 8}, 0, 2, 1), schema.TensorTypeINT32))
	try("TRANSPOSE int32 whn", typed(transpose([]int{7, 6, 2, 8}, []int{2, 6, 7, 8}, 2, 1, 0, 3), schema.TensorTypeINT32))
	try("TRANSPOSE int32 3", typed(transpose([]int{7, 6, 8}, []int{6, 7, 8}, 1, 0, 2), schema.TensorTypeINT32))
	try("TRANSPOSE int32 2", typed(transpose([]int{7, 6}, []int{6, 7}, 1, 0), schema.TensorTypeINT32))
	try("TRANSPOSE int16", typed(transpose([]int{1, 8, 6, 7}, []int{1, 6, 7, 8}, 0, 3, 1, 2), schema.TensorTypeINT16))

	concat := func(axis int, out []int, in ...[]int) *tflite.Op {
		o := op(schema.BuiltinOperatorCONCATENATION, 2, &schema.ConcatenationOptionsT{Axis: int32(axis)}, q8(out...))
		for _, s := range in {
			o.Inputs = append(o.Inputs, q8(s...))
		}
		return o
	}
	try("CONCATENATION", concat(3, []int{1, 4, 4, 8}, []int{1, 4, 4, 3}, []int{1, 4, 4, 5}))
	try("CONCATENATION h", concat(1, []int{1, 8, 4, 8}, []int{1, 4, 4, 8}, []int{1, 4, 4, 8}))
	try("CONCATENATION n", concat(0, []int{2, 4, 4, 8}, []int{1, 4, 4, 8}, []int{1, 4, 4, 8}))
	try("CONCATENATION 3", concat(1, []int{1, 8, 4}, []int{1, 4, 4}, []int{1, 4, 4}))
	try("CONCATENATION 5", concat(4, []int{1, 2, 3, 4, 6}, []int{1, 2, 3, 4, 5}, []int{1, 2, 3, 4, 1}))
	try("CONCATENATION int32", typed(concat(3, []int{1, 4, 4, 8}, []int{1, 4, 4, 3}, []int{1, 4, 4, 5}), schema.TensorTypeINT32))
	scales := concat(3, []int{1, 4, 4, 8}, []int{1, 4, 4, 3}, []int{1, 4, 4, 5})
	scales.Inputs[1].Quant = scaled(0.2, 0)
	try("CONCATENATION other scale", scales)
	try("PACK", op(schema.BuiltinOperatorPACK, 2, &schema.PackOptionsT{ValuesCount: 2, Axis: 1}, q8(1, 2, 8), q8(1, 8), q8(1, 8)))
	try("PACK 4", op(schema.BuiltinOperatorPACK, 2, &schema.PackOptionsT{ValuesCount: 2, Axis: 3}, q8(1, 4, 5, 2), q8(1, 4, 5), q8(1, 4, 5)))
	try("PACK 5", op(schema.BuiltinOperatorPACK, 2, &schema.PackOptionsT{ValuesCount: 2, Axis: 3}, q8(1, 4, 5, 2, 6), q8(1, 4, 5, 6), q8(1, 4, 5, 6)))
	unpack := op(schema.BuiltinOperatorUNPACK, 2, &schema.UnpackOptionsT{Num: 2, Axis: 1}, q8(1, 8), q8(1, 2, 8))
	unpack.Outputs = append(unpack.Outputs, q8(1, 8))
	try("UNPACK", unpack)
	split := func(num int) *tflite.Op {
		o := op(schema.BuiltinOperatorSPLIT, 2, &schema.SplitOptionsT{NumSplits: int32(num)}, q8(1, 4, 4, 4), scalar(3), q8(1, 4, 4, 8))
		o.Outputs = append(o.Outputs, q8(1, 4, 4, 4))
		return o
	}
	try("SPLIT", split(2))
	splitv := op(schema.BuiltinOperatorSPLIT_V, 2, &schema.SplitVOptionsT{NumSplits: 2}, q8(1, 4, 4, 3), q8(1, 4, 4, 8), list(3, 5), scalar(3))
	splitv.Outputs = append(splitv.Outputs, q8(1, 4, 4, 5))
	try("SPLIT_V", splitv)
	pad := func(out, in []int, p ...int) *tflite.Op {
		return same(schema.BuiltinOperatorPAD, 2, &schema.PadOptionsT{}, out, in, pads(p...))
	}
	try("PAD", pad([]int{1, 8, 9, 8}, []int{1, 6, 7, 8}, 0, 0, 1, 1, 1, 1, 0, 0))
	try("PAD c", pad([]int{1, 6, 7, 10}, []int{1, 6, 7, 8}, 0, 0, 0, 0, 0, 0, 1, 1))
	try("PAD n", pad([]int{2, 6, 7, 8}, []int{1, 6, 7, 8}, 0, 1, 0, 0, 0, 0, 0, 0))
	try("PAD 3", pad([]int{1, 8, 8}, []int{1, 6, 8}, 0, 0, 1, 1, 0, 0))
	try("PAD 5", pad([]int{1, 2, 3, 4, 7}, []int{1, 2, 3, 4, 5}, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1))
	try("PAD int16", typed(pad([]int{1, 8, 9, 8}, []int{1, 6, 7, 8}, 0, 0, 1, 1, 1, 1, 0, 0), schema.TensorTypeINT16))
	try("PAD int32", typed(pad([]int{1, 8, 9, 8}, []int{1, 6, 7, 8}, 0, 0, 1, 1, 1, 1, 0, 0), schema.TensorTypeINT32))
	padv2 := pad([]int{1, 8, 9, 8}, []int{1, 6, 7, 8}, 0, 0, 1, 1, 1, 1, 0, 0)
	padv2.Code, padv2.Options = schema.BuiltinOperatorPADV2, &schema.PadV2OptionsT{}
	padv2.Inputs = append(padv2.Inputs, w8())
	padv2.Inputs[2].Quant = scaled(0.1, -3)
	try("PADV2", padv2)
	try("MIRROR_PAD", same(schema.BuiltinOperatorMIRROR_PAD, 2, &schema.MirrorPadOptionsT{}, []int{1, 8, 9, 8}, []int{1, 6, 7, 8}, pads(0, 0, 1, 1, 1, 1, 0, 0)))
	try("MIRROR_PAD c", same(schema.BuiltinOperatorMIRROR_PAD, 2, &schema.MirrorPadOptionsT{}, []int{1, 6, 7, 10}, []int{1, 6, 7, 8}, pads(0, 0, 0, 0, 0, 0, 1, 1)))
	try("SLICE", same(schema.BuiltinOperatorSLICE, 2, &schema.SliceOptionsT{}, []int{1, 3, 3, 8}, []int{1, 6, 7, 8}, list(0, 1, 1, 0), list(1, 3, 3, 8)))
	try("SLICE 5", same(schema.BuiltinOperatorSLICE, 2, &schema.SliceOptionsT{}, []int{1, 1, 2, 3, 4}, []int{1, 2, 3, 4, 5}, list(0, 1, 1, 0, 0), list(1, 1, 2, 3, 4)))
	strided := func(out, in, begin, end, step []int, p schema.StridedSliceOptionsT) *tflite.Op {
		return same(schema.BuiltinOperatorSTRIDED_SLICE, 2, &p, out, in, list(begin...), list(end...), list(step...))
	}
	try("STRIDED_SLICE", strided([]int{1, 3, 3, 8}, []int{1, 6, 7, 8}, []int{0, 1, 1, 0}, []int{1, 4, 4, 8}, []int{1, 1, 1, 1}, schema.StridedSliceOptionsT{}))
	try("STRIDED_SLICE step 2", strided([]int{1, 3, 4, 8}, []int{1, 6, 7, 8}, []int{0, 0, 0, 0}, []int{1, 6, 7, 8}, []int{1, 2, 2, 1}, schema.StridedSliceOptionsT{}))
	try("STRIDED_SLICE step 2 c", strided([]int{1, 6, 7, 4}, []int{1, 6, 7, 8}, []int{0, 0, 0, 0}, []int{1, 6, 7, 8}, []int{1, 1, 1, 2}, schema.StridedSliceOptionsT{}))
	try("STRIDED_SLICE step 2 n", strided([]int{2, 6, 7, 8}, []int{4, 6, 7, 8}, []int{0, 0, 0, 0}, []int{4, 6, 7, 8}, []int{2, 1, 1, 1}, schema.StridedSliceOptionsT{}))
	try("STRIDED_SLICE backward", strided([]int{1, 6, 7, 8}, []int{1, 6, 7, 8}, []int{0, -1, 0, 0}, []int{1, -7, 7, 8}, []int{1, -1, 1, 1}, schema.StridedSliceOptionsT{}))
	try("STRIDED_SLICE shrink", strided([]int{1, 7, 8}, []int{1, 6, 7, 8}, []int{0, 2, 0, 0}, []int{1, 3, 7, 8}, []int{1, 1, 1, 1}, schema.StridedSliceOptionsT{ShrinkAxisMask: 2}))
	try("STRIDED_SLICE new axis", strided([]int{1, 1, 6, 8}, []int{1, 6, 8}, []int{0, 0, 0, 0}, []int{1, 1, 6, 8}, []int{1, 1, 1, 1}, schema.StridedSliceOptionsT{NewAxisMask: 2}))
	try("STRIDED_SLICE ellipsis", strided([]int{1, 6, 7, 4}, []int{1, 6, 7, 8}, []int{0, 0}, []int{0, 4}, []int{1, 1}, schema.StridedSliceOptionsT{EllipsisMask: 1}))
	try("TILE", same(schema.BuiltinOperatorTILE, 3, &schema.TileOptionsT{}, []int{1, 12, 7, 8}, []int{1, 6, 7, 8}, list(1, 2, 1, 1)))
	try("TILE n", same(schema.BuiltinOperatorTILE, 3, &schema.TileOptionsT{}, []int{2, 6, 7, 8}, []int{1, 6, 7, 8}, list(2, 1, 1, 1)))
	try("REVERSE_V2 h", same(schema.BuiltinOperatorREVERSE_V2, 3, &schema.ReverseV2OptionsT{}, []int{1, 6, 7, 8}, []int{1, 6, 7, 8}, list(1)))
	try("REVERSE_V2 w", same(schema.BuiltinOperatorREVERSE_V2, 3, &schema.ReverseV2OptionsT{}, []int{1, 6, 7, 8}, []int{1, 6, 7, 8}, list(2)))
	try("REVERSE_V2 c", same(schema.BuiltinOperatorREVERSE_V2, 3, &schema.ReverseV2OptionsT{}, []int{1, 6, 7, 8}, []int{1, 6, 7, 8}, list(3)))
	try("SPACE_TO_DEPTH", same(schema.BuiltinOperatorSPACE_TO_DEPTH, 2, &schema.SpaceToDepthOptionsT{BlockSize: 2}, []int{1, 3, 4, 32}, []int{1, 6, 8, 8}))
	try("DEPTH_TO_SPACE", same(schema.BuiltinOperatorDEPTH_TO_SPACE, 2, &schema.DepthToSpaceOptionsT{BlockSize: 2}, []int{1, 12, 14, 2}, []int{1, 6, 7, 8}))
	try("SPACE_TO_BATCH_ND", same(schema.BuiltinOperatorSPACE_TO_BATCH_ND, 2, &schema.SpaceToBatchNDOptionsT{}, []int{4, 3, 4, 8}, []int{1, 6, 8, 8}, list(2, 2), pads(0, 0, 0, 0)))
	try("BATCH_TO_SPACE_ND", same(schema.BuiltinOperatorBATCH_TO_SPACE_ND, 2, &schema.BatchToSpaceNDOptionsT{}, []int{1, 6, 8, 8}, []int{4, 3, 4, 8}, list(2, 2), pads(0, 0, 0, 0)))
	try("BROADCAST_TO", same(schema.BuiltinOperatorBROADCAST_TO, 3, &schema.BroadcastToOptionsT{}, []int{1, 6, 7, 8}, []int{1, 1, 1, 8}, list(1, 6, 7, 8)))
	try("GATHER", same(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{Axis: 1}, []int{1, 2, 8}, []int{1, 6, 8}, list(0, 3)))
	try("GATHER 0", same(schema.BuiltinOperatorGATHER, 2, &schema.GatherOptionsT{Axis: 0}, []int{2, 8}, []int{6, 8}, list(0, 3)))
	for _, f := range []int{2, 3, 4, 8, 16} {
		name := string(rune('0'+f/10)) + string(rune('0'+f%10))
		try("RESIZE_BILINEAR "+name, resize(4, 5, 4*f, 5*f, false, false))
		try("RESIZE_BILINEAR half "+name, resize(4, 5, 4*f, 5*f, false, true))
		try("RESIZE_BILINEAR align "+name, resize(4, 5, 3*f+1, 4*f+1, true, false))
		try("RESIZE_NEAREST "+name, nearest(4, 5, 4*f, 5*f, false, false))
		try("RESIZE_NEAREST half "+name, nearest(4, 5, 4*f, 5*f, false, true))
		try("RESIZE_NEAREST align "+name, nearest(4, 5, 3*f+1, 4*f+1, true, false))
	}
	try("RESIZE_BILINEAR from 1", resize(1, 1, 7, 9, false, false))
	try("RESIZE_BILINEAR same", resize(7, 9, 7, 9, false, false))
	try("RESIZE_BILINEAR down", resize(8, 8, 4, 4, false, false))
	try("RESIZE_BILINEAR 2x4", resize(8, 8, 16, 32, false, false))
	try("RESIZE_BILINEAR 1x2", resize(8, 8, 8, 16, false, false))
	try("RESIZE_BILINEAR row", resize(1, 8, 1, 16, false, false))
	try("RESIZE_NEAREST from 1", nearest(1, 1, 7, 9, false, false))
	try("RESIZE_NEAREST 2x4", nearest(8, 8, 16, 32, false, false))
	try("RESIZE_NEAREST down", nearest(8, 8, 4, 4, false, false))
}

func otherCases(try func(string, *tflite.Op)) {
	try("SOFTMAX", softmax(1, 10))
	try("SOFTMAX 4", softmax(1, 4, 5, 10))
	try("SOFTMAX batch", softmax(3, 10))
	try("SOFTMAX 5", softmax(1, 2, 3, 4, 10))
	try("SOFTMAX rows 65535", softmax(1, 255, 257, 2))
	try("SOFTMAX rows 65536", softmax(1, 256, 256, 2))
	try("SOFTMAX rows 65792", softmax(1, 257, 256, 2))
	try("LOGISTIC", fixedOut(schema.BuiltinOperatorLOGISTIC, nil, 1./256, -128, 1, 4, 5, 8))
	try("TANH", fixedOut(schema.BuiltinOperatorTANH, nil, 1./128, 0, 1, 4, 5, 8))
	try("LOG_SOFTMAX", fixedOut(schema.BuiltinOperatorLOG_SOFTMAX, &schema.LogSoftmaxOptionsT{}, 16./256, 127, 1, 10))
	try("L2_NORMALIZATION", fixedOut(schema.BuiltinOperatorL2_NORMALIZATION, &schema.L2NormOptionsT{}, 1./128, 0, 1, 10))
	argmax := func(out schema.TensorType, in []int, axis int) *tflite.Op {
		o := op(schema.BuiltinOperatorARG_MAX, 2, &schema.ArgMaxOptionsT{OutputType: out}, &tflite.Tensor{Type: out}, q8(in...), scalar(axis))
		for i, d := range in {
			if i != axis {
				o.Outputs[0].Shape = append(o.Outputs[0].Shape, d)
			}
		}
		return o
	}
	try("ARG_MAX", argmax(schema.TensorTypeINT32, []int{1, 4, 5, 21}, 3))
	try("ARG_MAX 64", argmax(schema.TensorTypeINT64, []int{1, 4, 5, 21}, 3))
	try("ARG_MAX 127", argmax(schema.TensorTypeINT32, []int{1, 4, 5, 127}, 3))
	try("ARG_MAX 128", argmax(schema.TensorTypeINT32, []int{1, 4, 5, 128}, 3))
	try("ARG_MAX h", argmax(schema.TensorTypeINT32, []int{1, 4, 5, 21}, 1))
	try("ARG_MAX 2", argmax(schema.TensorTypeINT32, []int{1, 21}, 1))
	for _, code := range []schema.BuiltinOperator{schema.BuiltinOperatorEQUAL, schema.BuiltinOperatorGREATER, schema.BuiltinOperatorLESS_EQUAL} {
		try(code.String(), op(code, 2, nil, &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{1, 4, 5, 8}}, q8(1, 4, 5, 8), q8(1, 4, 5, 8)))
	}
	for _, code := range []schema.BuiltinOperator{schema.BuiltinOperatorLOGICAL_AND, schema.BuiltinOperatorLOGICAL_OR} {
		b := func() *tflite.Tensor { return &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{1, 4, 5, 8}} }
		try(code.String(), op(code, 1, nil, b(), b(), b()))
	}
	try("SELECT", op(schema.BuiltinOperatorSELECT, 1, &schema.SelectOptionsT{}, q8(1, 4, 5, 8), &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{1, 4, 5, 8}}, q8(1, 4, 5, 8), q8(1, 4, 5, 8)))
	try("SELECT_V2", op(schema.BuiltinOperatorSELECT_V2, 1, &schema.SelectV2OptionsT{}, q8(1, 4, 5, 8), &tflite.Tensor{Type: schema.TensorTypeBOOL, Shape: []int{1, 4, 5, 8}}, q8(1, 4, 5, 8), q8(1, 4, 5, 8)))
	try("SHAPE", op(schema.BuiltinOperatorSHAPE, 1, &schema.ShapeOptionsT{OutType: schema.TensorTypeINT32}, &tflite.Tensor{Type: schema.TensorTypeINT32, Shape: []int{4}}, q8(1, 4, 5, 8)))
	try("DEQUANTIZE", op(schema.BuiltinOperatorDEQUANTIZE, 2, &schema.DequantizeOptionsT{}, of(schema.TensorTypeFLOAT32, 1, 4, 5, 8), q8(1, 4, 5, 8)))
	try("QUANTIZE float", op(schema.BuiltinOperatorQUANTIZE, 1, &schema.QuantizeOptionsT{}, q8(1, 4, 5, 8), of(schema.TensorTypeFLOAT32, 1, 4, 5, 8)))
	try("QUANTIZE uint8", op(schema.BuiltinOperatorQUANTIZE, 1, &schema.QuantizeOptionsT{}, q8(1, 4, 5, 8), of(schema.TensorTypeUINT8, 1, 4, 5, 8)))
	try("CAST", op(schema.BuiltinOperatorCAST, 3, &schema.CastOptionsT{InDataType: schema.TensorTypeINT8, OutDataType: schema.TensorTypeINT32}, of(schema.TensorTypeINT32, 1, 4, 5, 8), q8(1, 4, 5, 8)))
	noScale := add([]int{1, 4, 5, 8}, []int{1, 4, 5, 8})
	noScale.Inputs[1].Quant = nil
	try("ADD without scale", noScale)
	zero := add([]int{1, 4, 5, 8}, []int{1, 4, 5, 8})
	zero.Inputs[1].Quant = scaled(0, 0)
	try("ADD scale 0", zero)
	try("ADD large", add([]int{1, 1, 70000, 2}, []int{1, 1, 70000, 2}))
	try("ADD many channels", add([]int{1, 1, 2, 70000}, []int{1, 1, 2, 70000}))
	try("ADD tall", add([]int{1, 70000, 1, 2}, []int{1, 70000, 1, 2}))
	try("ADD unknown width", func() *tflite.Op {
		o := add([]int{1, 4, 5, 8}, []int{1, 4, 5, 8})
		signature(o.Inputs[0], 2)
		return o
	}())
	try("RELU axis scales", op(schema.BuiltinOperatorRELU, 2, nil, q8(1, 4, 5, 8), perChannel(q8(1, 4, 5, 8), 3)))
}
