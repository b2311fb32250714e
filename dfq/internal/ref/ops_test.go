package ref

import (
	"math"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// same3 are the options of a 3×3 SAME convolution of a stride.
func same3(stride int32) *schema.Conv2DOptionsT {
	return &schema.Conv2DOptionsT{Padding: schema.PaddingSAME, StrideH: stride, StrideW: stride, DilationHFactor: 1, DilationWFactor: 1}
}

func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// count is 1, 2, … n.
func count(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i + 1)
	}
	return v
}

// Results worked out by hand, from the definition of each op.
func TestOps(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	pool := func(p schema.Padding) *schema.Pool2DOptionsT {
		return &schema.Pool2DOptionsT{Padding: p, StrideH: 2, StrideW: 2, FilterHeight: 2, FilterWidth: 2}
	}
	perChannel := typed(schema.TensorTypeINT8, 2, 2)
	perChannel.Data = []byte{0xff, 2, 3, 4}
	perChannel.Quant = &tflite.Quantization{Scale: []float32{0.5, 2}, Zero: []int64{0, 1}, Axis: 1}
	perTensor := typed(schema.TensorTypeUINT8, 2)
	perTensor.Data = []byte{0, 255}
	perTensor.Quant = &tflite.Quantization{Scale: []float32{0.25}, Zero: []int64{128}}
	tests := []struct {
		name  string
		model *tflite.Model
		in    [][]float32
		shape []int
		want  []float32
	}{
		{"SAME of stride 1 pads by one on either side",
			single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, 3, 3, 1), constant([]int{1, 3, 3, 1}, ones(9)...)),
			[][]float32{count(9)}, []int{1, 3, 3, 1}, []float32{12, 21, 16, 27, 45, 33, 24, 39, 28}},
		{"SAME of stride 2 on an even size pads only at the end",
			single(schema.BuiltinOperatorCONV_2D, same3(2), 1, real(1, 4, 4, 1), constant([]int{1, 3, 3, 1}, ones(9)...)),
			[][]float32{count(16)}, []int{1, 2, 2, 1}, []float32{1 + 2 + 3 + 5 + 6 + 7 + 9 + 10 + 11, 3 + 4 + 7 + 8 + 11 + 12, 9 + 10 + 11 + 13 + 14 + 15, 11 + 12 + 15 + 16}},
		{"stride beyond the filter",
			single(schema.BuiltinOperatorCONV_2D, same3(3), 1, real(1, 1, 5, 1), constant([]int{1, 1, 1, 1}, 2), constant([]int{1}, 1)),
			[][]float32{count(5)}, []int{1, 1, 2, 1}, []float32{3, 9}},
		{"groups see their own channels only",
			single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, 1, 1, 4), constant([]int{2, 1, 1, 2}, 1, 10, 100, 1000)),
			[][]float32{{1, 2, 3, 4}}, []int{1, 1, 1, 2}, []float32{21, 4300}},
		{"dilation by 2",
			single(schema.BuiltinOperatorCONV_2D, &schema.Conv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 2}, 1,
				real(1, 1, 5, 1), constant([]int{1, 1, 3, 1}, 1, 10, 100)),
			[][]float32{count(5)}, []int{1, 1, 1, 1}, []float32{531}},
		{"depth multiplier keeps an input channel's outputs together",
			single(schema.BuiltinOperatorDEPTHWISE_CONV_2D, &schema.DepthwiseConv2DOptionsT{StrideH: 1, StrideW: 1, DepthMultiplier: 2}, 1,
				real(1, 1, 1, 2), constant([]int{1, 1, 1, 4}, 1, 2, 3, 4), constant([]int{4}, 0, 0, 0, 0.5)),
			[][]float32{{10, 100}}, []int{1, 1, 1, 4}, []float32{10, 20, 300, 400.5}},
		{"transposed convolution spreads each pixel",
			single(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: schema.PaddingVALID, StrideH: 1, StrideW: 2}, 1,
				integers(1, 1, 5, 1), constant([]int{1, 1, 3, 1}, 1, 10, 100), real(1, 1, 2, 1)),
			[][]float32{{1, 2}}, []int{1, 1, 5, 1}, []float32{1, 10, 102, 20, 200}},
		{"average leaves padding out",
			single(schema.BuiltinOperatorAVERAGE_POOL_2D, pool(schema.PaddingSAME), 1, real(1, 3, 3, 1)),
			[][]float32{count(9)}, []int{1, 2, 2, 1}, []float32{3, 4.5, 7.5, 9}},
		{"VALID pooling leaves the rest out",
			single(schema.BuiltinOperatorMAX_POOL_2D, pool(schema.PaddingVALID), 1, real(1, 3, 3, 1)),
			[][]float32{count(9)}, []int{1, 1, 1, 1}, []float32{5}},
		{"maximum of negative numbers at the border",
			single(schema.BuiltinOperatorMAX_POOL_2D, pool(schema.PaddingSAME), 1, real(1, 1, 3, 1)),
			[][]float32{{-1, -2, -3}}, []int{1, 1, 2, 1}, []float32{-1, -3}},
		{"fully connected flattens what is before the weights' depth",
			single(schema.BuiltinOperatorFULLY_CONNECTED, nil, 1, real(1, 2, 2), constant([]int{1, 4}, 1, 10, 100, 1000)),
			[][]float32{count(4)}, []int{1, 1}, []float32{4321}},
		{"fully connected with all axes kept",
			single(schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{KeepNumDims: true}, 1, real(1, 2, 2), constant([]int{1, 2}, 1, 10), nil),
			[][]float32{count(4)}, []int{1, 2, 1}, []float32{21, 43}},
		{"both operands broadcast, then the activation",
			single(schema.BuiltinOperatorSUB, &schema.SubOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU6}, 1, real(2, 1), real(1, 3)),
			[][]float32{{1, 10}, {0, 5, 2}}, []int{2, 3}, []float32{1, 0, 0, 6, 5, 6}},
		{"integer division truncates", outputType(single(schema.BuiltinOperatorDIV, nil, 1, integers(-7, 7), integers(2, -2)), 0, schema.TensorTypeINT32),
			nil, []int{2}, []float32{-3, -3}},
		{"floored integer division", outputType(single(schema.BuiltinOperatorFLOOR_DIV, nil, 1, integers(-7, 7, 6), integers(2, -2, 3)), 0, schema.TensorTypeINT32),
			nil, []int{3}, []float32{-4, -4, 2}},
		{"the remainder has the divisor's sign", outputType(single(schema.BuiltinOperatorFLOOR_MOD, nil, 1, integers(-7, 7), integers(2, -2)), 0, schema.TensorTypeINT32),
			nil, []int{2}, []float32{1, -1}},
		{"INT32 wraps", outputType(single(schema.BuiltinOperatorADD, nil, 1, integers(math.MaxInt32), integers(1)), 0, schema.TensorTypeINT32),
			nil, []int{1}, []float32{math.MinInt32}},
		{"ties round to even", single(schema.BuiltinOperatorROUND, nil, 1, real(6)),
			[][]float32{{-1.5, -0.5, 0.5, 1.5, 2.5, 2.6}}, []int{6}, []float32{-2, 0, 0, 2, 2, 3}},
		{"casts truncate", outputType(single(schema.BuiltinOperatorCAST, nil, 1, real(3)), 0, schema.TensorTypeINT32),
			[][]float32{{-1.9, 1.9, nan}}, []int{3}, []float32{-1, 1, 0}},
		{"exact GELU is x·Φ(x)", single(schema.BuiltinOperatorGELU, &schema.GeluOptionsT{}, 1, real(3)),
			[][]float32{{0, 1, -1}}, []int{3}, []float32{0, 0.8413447, -0.15865526}},
		{"approximate GELU", single(schema.BuiltinOperatorGELU, &schema.GeluOptionsT{Approximate: true}, 1, real(2)),
			[][]float32{{1, -1}}, []int{2}, []float32{0.841192, -0.158808}},
		{"RELU_0_TO_1", single(schema.BuiltinOperatorRELU_0_TO_1, nil, 1, real(3)), [][]float32{{-1, 0.5, 2}}, []int{3}, []float32{0, 0.5, 1}},
		{"SIGN", single(schema.BuiltinOperatorSIGN, nil, 1, real(3)), [][]float32{{-3, 0, 2}}, []int{3}, []float32{-1, 0, 1}},
		{"ATAN2", single(schema.BuiltinOperatorATAN2, nil, 1, real(2), real(2)), [][]float32{{1, -1}, {-1, -1}}, []int{2}, []float32{3 * math.Pi / 4, -3 * math.Pi / 4}},
		{"BITWISE_XOR", outputType(single(schema.BuiltinOperatorBITWISE_XOR, nil, 1, integers(6), integers(3)), 0, schema.TensorTypeINT32), nil, []int{1}, []float32{5}},
		{"RIGHT_SHIFT keeps the sign", outputType(single(schema.BuiltinOperatorRIGHT_SHIFT, nil, 1, integers(-8), integers(1)), 0, schema.TensorTypeINT32), nil, []int{1}, []float32{-4}},
		{"corners stay with aligned corners",
			single(schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{AlignCorners: true}, 1, real(1, 1, 3, 1), integers(1, 5)),
			[][]float32{{0, 2, 8}}, []int{1, 1, 5, 1}, []float32{0, 1, 2, 5, 8}},
		{"half pixel centres clamp at the border",
			single(schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{HalfPixelCenters: true}, 1, real(1, 1, 2, 1), integers(1, 4)),
			[][]float32{{0, 8}}, []int{1, 1, 4, 1}, []float32{0, 2, 6, 8}},
		{"old bilinear is flat at the end",
			single(schema.BuiltinOperatorRESIZE_BILINEAR, nil, 1, real(1, 1, 2, 1), integers(1, 4)),
			[][]float32{{0, 8}}, []int{1, 1, 4, 1}, []float32{0, 4, 8, 8}},
		{"nearest with aligned corners rounds",
			single(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, &schema.ResizeNearestNeighborOptionsT{AlignCorners: true}, 1, real(1, 1, 3, 1), integers(1, 5)),
			[][]float32{{1, 2, 3}}, []int{1, 1, 5, 1}, []float32{1, 2, 2, 3, 3}},
		{"a slice backwards, with its end open",
			single(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{EndMask: 1}, 1, real(5), integers(-2), integers(0), integers(-2)),
			[][]float32{count(5)}, []int{2}, []float32{4, 2}},
		{"ellipsis, dropped axis and new axis",
			single(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{NewAxisMask: 1, EllipsisMask: 2, ShrinkAxisMask: 4}, 1,
				real(2, 2, 3), integers(0, 0, -1), integers(0, 0, 0), integers(1, 1, 1)),
			[][]float32{count(12)}, []int{1, 2, 2}, []float32{3, 6, 9, 12}},
		{"an empty slice",
			single(schema.BuiltinOperatorSTRIDED_SLICE, nil, 1, real(5), integers(3), integers(2), integers(1)),
			[][]float32{count(5)}, []int{0}, []float32{}},
		{"REFLECT leaves the border element out",
			single(schema.BuiltinOperatorMIRROR_PAD, &schema.MirrorPadOptionsT{Mode: schema.MirrorPadModeREFLECT}, 1, real(3), matrix(1, 2, 1)),
			[][]float32{count(3)}, []int{6}, []float32{3, 2, 1, 2, 3, 2}},
		{"SYMMETRIC repeats it",
			single(schema.BuiltinOperatorMIRROR_PAD, &schema.MirrorPadOptionsT{Mode: schema.MirrorPadModeSYMMETRIC}, 1, real(3), matrix(1, 2, 1)),
			[][]float32{count(3)}, []int{6}, []float32{2, 1, 1, 2, 3, 3}},
		{"space to depth keeps a block's pixels in a row",
			single(schema.BuiltinOperatorSPACE_TO_DEPTH, &schema.SpaceToDepthOptionsT{BlockSize: 2}, 1, real(1, 2, 4, 1)),
			[][]float32{count(8)}, []int{1, 1, 2, 4}, []float32{1, 2, 5, 6, 3, 4, 7, 8}},
		{"space to batch makes the offset in a block the batch",
			single(schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, 1, real(1, 1, 3, 1), integers(1, 2), matrix(2, 0, 0, 1, 0)),
			[][]float32{count(3)}, []int{2, 1, 2, 1}, []float32{0, 2, 1, 3}},
		{"updates of one place add up",
			single(schema.BuiltinOperatorSCATTER_ND, nil, 1, matrix(3, 1, 3, 1), real(3), integers(4)),
			[][]float32{{1, 2, 4}}, []int{4}, []float32{0, 5, 0, 2}},
		{"an update outside moves inside",
			single(schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE, nil, 1, real(4), real(2), integers(9)),
			[][]float32{count(4), {7, 8}}, []int{4}, []float32{1, 2, 7, 8}},
		{"the first of equal values is the largest", outputType(single(schema.BuiltinOperatorARG_MAX, nil, 1, real(4), scalar(-1)), 0, schema.TensorTypeINT64),
			[][]float32{{1, 3, 3, 2}}, []int{}, []float32{1}},
		{"softmax of large numbers", single(schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 1}, 1, real(1, 2)),
			[][]float32{{1000, 1000}}, []int{1, 2}, []float32{0.5, 0.5}},
		{"mean over two axes, kept", single(schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, 1, real(2, 2, 2), integers(0, -1)),
			[][]float32{count(8)}, []int{1, 2, 1}, []float32{3.5, 5.5}},
		{"no axes, nothing reduced", single(schema.BuiltinOperatorSUM, nil, 1, real(2), integers()),
			[][]float32{{1, 2}}, []int{2}, []float32{1, 2}},
		{"exclusive cumulative sum from the end", single(schema.BuiltinOperatorCUMSUM, &schema.CumsumOptionsT{Exclusive: true, Reverse: true}, 1, real(3), scalar(0)),
			[][]float32{count(3)}, []int{3}, []float32{5, 3, 0}},
		{"[0] is a scalar's shape in old files", single(schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{NewShape: []int32{0}}, 1, real(1, 1)),
			[][]float32{{7}}, []int{}, []float32{7}},
		{"binary16 with a subnormal and infinity", single(schema.BuiltinOperatorDEQUANTIZE, nil, 1, float16Constant(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555)),
			nil, []int{5}, []float32{1, -2, 0x1p-24, inf, 0.33325195}},
		{"per-channel parameters", single(schema.BuiltinOperatorDEQUANTIZE, nil, 1, perChannel), nil, []int{2, 2}, []float32{-0.5, 2, 1.5, 6}},
		{"per-tensor parameters", single(schema.BuiltinOperatorDEQUANTIZE, nil, 1, perTensor), nil, []int{2}, []float32{-32, 31.75}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := mustEvaluate(t, test.model, test.in...)[0]
			if shape := test.model.Graphs[0].Outputs[0].Shape; !slices.Equal(shape, test.shape) {
				t.Fatalf("shape %v, want %v", shape, test.shape)
			}
			for i, w := range test.want {
				if d := math.Abs(float64(got[i]) - float64(w)); d > 1e-5*math.Abs(float64(w)) {
					t.Fatalf("got %v, want %v", got, test.want)
				}
			}
		})
	}
}

// What does not fit together is an error that names the op.
func TestOpErrors(t *testing.T) {
	short := typed(schema.TensorTypeINT8, 1, 2)
	short.Data = []byte{1, 2}
	short.Quant = &tflite.Quantization{Scale: []float32{1, 1, 1}, Axis: 1}
	tests := map[string]struct {
		model *tflite.Model
		want  string
	}{
		"stride of zero": {single(schema.BuiltinOperatorCONV_2D, nil, 1, real(1, 1, 1, 1), constant([]int{1, 1, 1, 1}, 1)),
			`op 0 CONV_2D "y": filter size 1 and stride 0`},
		"depth": {single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, 1, 1, 3), constant([]int{1, 1, 1, 2}, 1, 1)),
			`op 0 CONV_2D "y": filter depth 2 for 3 input channels`},
		"bias": {single(schema.BuiltinOperatorCONV_2D, same3(1), 1, real(1, 1, 1, 1), constant([]int{1, 1, 1, 1}, 1), constant([]int{2}, 1, 1)),
			`op 0 CONV_2D "y": bias of 2 values for 1 channels`},
		"broadcast": {single(schema.BuiltinOperatorADD, nil, 1, real(2), real(3)), `op 0 ADD "y": shapes [2] and [3] do not broadcast`},
		"huge":      {single(schema.BuiltinOperatorFILL, nil, 1, integers(1<<20, 1<<20), constant(nil, 1)), `op 0 FILL "y": shape [1048576 1048576] is larger than 268435456 elements`},
		"index":     {single(schema.BuiltinOperatorGATHER, nil, 1, real(2), integers(2)), `op 0 GATHER "y": index 2 of 2`},
		"missing":   {single(schema.BuiltinOperatorADD, nil, 1, real(2)), `op 0 ADD "y": input 1 is missing`},
		"constant": {single(schema.BuiltinOperatorDEQUANTIZE, nil, 1, short),
			`op 0 DEQUANTIZE "y": tensor "x": 3 scales do not fit axis 1 of shape [1 2]`},
		"range": {single(schema.BuiltinOperatorRANGE, nil, 1, integers(0), integers(5), integers(0)), `op 0 RANGE "y": range from 0 to 5 by 0`},
	}
	for name, test := range tests {
		var inputs [][]float32
		for _, x := range test.model.Graphs[0].Inputs {
			inputs = append(inputs, make([]float32, x.Len()))
		}
		if _, err := evaluate(test.model, inputs...); err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
}
