//go:build tflite

package ref

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// A generator makes a random model of one op.
type generator struct {
	name string
	make func(r *rand.Rand) *tflite.Model
}

// between is a random number from lo to hi, both possible.
func between(r *rand.Rand, lo, hi int) int { return lo + r.IntN(hi-lo+1) }

func coin(r *rand.Rand) bool { return r.IntN(2) == 0 }

// shapes of that many axes are small, but not all the same.
func smallShape(r *rand.Rand, rank int) []int {
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = between(r, 1, 5)
	}
	return shape
}

func padding(r *rand.Rand) schema.Padding { return schema.Padding(r.IntN(2)) }

func stride(r *rand.Rand) int32 { return int32(between(r, 1, 5)) }

func activation(r *rand.Rand) schema.ActivationFunctionType {
	return schema.ActivationFunctionType(r.IntN(4))
}

var generators = []generator{
	{"conv", func(r *rand.Rand) *tflite.Model {
		k, d, depth, n := [2]int{between(r, 1, 4), between(r, 1, 3)}, [2]int{between(r, 1, 2), between(r, 1, 2)}, between(r, 1, 5), between(r, 1, 200)
		x := real(between(r, 1, 2), between(r, 7, 12), between(r, 5, 9), depth)
		return single(schema.BuiltinOperatorCONV_2D, &schema.Conv2DOptionsT{Padding: padding(r), StrideH: stride(r), StrideW: stride(r),
			DilationHFactor: int32(d[0]), DilationWFactor: int32(d[1]), FusedActivationFunction: activation(r)}, 1, x, random(r, n, k[0], k[1], depth), random(r, n))
	}},
	{"depthwise", func(r *rand.Rand) *tflite.Model {
		k, d, m := [2]int{between(r, 1, 4), between(r, 1, 5)}, int32(between(r, 1, 2)), between(r, 1, 3)
		x := real(between(r, 1, 2), between(r, 9, 12), between(r, 9, 11), between(r, 1, 9))
		by, n := int32(1), x.Shape[3]*m
		if d == 1 {
			by = stride(r)
		}
		return single(schema.BuiltinOperatorDEPTHWISE_CONV_2D, &schema.DepthwiseConv2DOptionsT{Padding: padding(r), StrideH: by, StrideW: by, DepthMultiplier: int32(m),
			DilationHFactor: d, DilationWFactor: d, FusedActivationFunction: activation(r)}, 1, x, random(r, 1, k[0], k[1], n), random(r, n))
	}},
	{"dense", func(r *rand.Rand) *tflite.Model {
		k, n, keep := between(r, 1, 9), between(r, 1, 300), coin(r)
		in := []*tflite.Tensor{real(between(r, 1, 3), between(r, 1, 3), k), random(r, n, k), nil}
		if coin(r) {
			in[2] = random(r, n)
		}
		return single(schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{KeepNumDims: keep, FusedActivationFunction: activation(r)}, 1, in...)
	}},
	{"transpose conv", func(r *rand.Rand) *tflite.Model {
		x := real(between(r, 1, 2), between(r, 1, 4), between(r, 1, 4), between(r, 1, 4))
		kh, kw, sh, sw, p, n := between(r, 1, 4), between(r, 1, 4), between(r, 1, 3), between(r, 1, 3), padding(r), between(r, 1, 5)
		size := integers(x.Shape[0], x.Shape[1]*sh, x.Shape[2]*sw, n)
		if p == schema.PaddingVALID {
			size = integers(x.Shape[0], (x.Shape[1]-1)*sh+kh, (x.Shape[2]-1)*sw+kw, n)
		}
		in := []*tflite.Tensor{size, random(r, n, kh, kw, x.Shape[3]), x}
		if coin(r) {
			in = append(in, random(r, n))
		}
		return single(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: p, StrideH: int32(sh), StrideW: int32(sw)}, 1, in...)
	}},
	{"matmul", func(r *rand.Rand) *tflite.Model {
		m, k, n, ax, ay := between(r, 1, 5), between(r, 1, 5), between(r, 1, 5), coin(r), coin(r)
		a, b := []int{1, between(r, 1, 3), m, k}, []int{2, 1, k, n}
		if ax {
			a[2], a[3] = k, m
		}
		if ay {
			b[2], b[3] = n, k
		}
		return single(schema.BuiltinOperatorBATCH_MATMUL, &schema.BatchMatMulOptionsT{AdjX: ax, AdjY: ay}, 1, real(a...), real(b...))
	}},
	{"average pool", poolGenerator(schema.BuiltinOperatorAVERAGE_POOL_2D)},
	{"max pool", poolGenerator(schema.BuiltinOperatorMAX_POOL_2D)},
	{"l2 pool", poolGenerator(schema.BuiltinOperatorL2_POOL_2D)},
	{"add", binaryGenerator(schema.BuiltinOperatorADD, func(a schema.ActivationFunctionType) any { return &schema.AddOptionsT{FusedActivationFunction: a} })},
	{"sub", binaryGenerator(schema.BuiltinOperatorSUB, func(a schema.ActivationFunctionType) any { return &schema.SubOptionsT{FusedActivationFunction: a} })},
	{"mul", binaryGenerator(schema.BuiltinOperatorMUL, func(a schema.ActivationFunctionType) any { return &schema.MulOptionsT{FusedActivationFunction: a} })},
	{"div", binaryGenerator(schema.BuiltinOperatorDIV, func(a schema.ActivationFunctionType) any { return &schema.DivOptionsT{FusedActivationFunction: a} })},
	{"maximum", binaryGenerator(schema.BuiltinOperatorMAXIMUM, nil)},
	{"minimum", binaryGenerator(schema.BuiltinOperatorMINIMUM, nil)},
	{"squared difference", binaryGenerator(schema.BuiltinOperatorSQUARED_DIFFERENCE, nil)},
	{"floor div", binaryGenerator(schema.BuiltinOperatorFLOOR_DIV, nil)},
	{"floor mod", binaryGenerator(schema.BuiltinOperatorFLOOR_MOD, nil)},
	{"pow", binaryGenerator(schema.BuiltinOperatorPOW, nil)},
	{"integer add", integerGenerator(schema.BuiltinOperatorADD, &schema.AddOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU6})},
	{"integer sub", integerGenerator(schema.BuiltinOperatorSUB, &schema.SubOptionsT{})},
	{"integer mul", integerGenerator(schema.BuiltinOperatorMUL, &schema.MulOptionsT{})},
	{"integer div", integerGenerator(schema.BuiltinOperatorDIV, &schema.DivOptionsT{})},
	{"integer floor div", integerGenerator(schema.BuiltinOperatorFLOOR_DIV, nil)},
	{"integer floor mod", integerGenerator(schema.BuiltinOperatorFLOOR_MOD, nil)},
	{"integer maximum", integerGenerator(schema.BuiltinOperatorMAXIMUM, nil)},
	{"integer minimum", integerGenerator(schema.BuiltinOperatorMINIMUM, nil)},
	{"integer squared difference", integerGenerator(schema.BuiltinOperatorSQUARED_DIFFERENCE, nil)},
	{"prelu", func(r *rand.Rand) *tflite.Model {
		x := real(smallShape(r, 4)...)
		alpha := [][]int{x.Shape[1:], {1, 1, x.Shape[3]}, {1, 1, 1}}[r.IntN(3)]
		return single(schema.BuiltinOperatorPRELU, nil, 1, x, random(r, alpha...))
	}},
	{"less", compareGenerator(schema.BuiltinOperatorLESS)},
	{"less equal", compareGenerator(schema.BuiltinOperatorLESS_EQUAL)},
	{"greater", compareGenerator(schema.BuiltinOperatorGREATER)},
	{"greater equal", compareGenerator(schema.BuiltinOperatorGREATER_EQUAL)},
	{"equal", compareGenerator(schema.BuiltinOperatorEQUAL)},
	{"not equal", compareGenerator(schema.BuiltinOperatorNOT_EQUAL)},
	{"logical and", logicGenerator(schema.BuiltinOperatorLOGICAL_AND, 2)},
	{"logical or", logicGenerator(schema.BuiltinOperatorLOGICAL_OR, 2)},
	{"logical not", logicGenerator(schema.BuiltinOperatorLOGICAL_NOT, 1)},
	{"reduce any", boolReduceGenerator(schema.BuiltinOperatorREDUCE_ANY)},
	{"reduce all", boolReduceGenerator(schema.BuiltinOperatorREDUCE_ALL)},
	{"add n", func(r *rand.Rand) *tflite.Model {
		shape := smallShape(r, 3)
		return single(schema.BuiltinOperatorADD_N, nil, 1, real(shape...), real(shape...), real(shape...))
	}},
	{"quantize", quantizeGenerator(schema.TensorTypeINT8, -5)},
	{"quantize uint8", quantizeGenerator(schema.TensorTypeUINT8, 120)},
	{"quantize int16", quantizeGenerator(schema.TensorTypeINT16, 0)},
	{"relu", unaryGenerator(schema.BuiltinOperatorRELU, nil)},
	{"relu6", unaryGenerator(schema.BuiltinOperatorRELU6, nil)},
	{"relu n1 to 1", unaryGenerator(schema.BuiltinOperatorRELU_N1_TO_1, nil)},
	{"leaky relu", unaryGenerator(schema.BuiltinOperatorLEAKY_RELU, &schema.LeakyReluOptionsT{Alpha: 0.3})},
	{"elu", unaryGenerator(schema.BuiltinOperatorELU, nil)},
	{"hard swish", unaryGenerator(schema.BuiltinOperatorHARD_SWISH, nil)},
	{"logistic", unaryGenerator(schema.BuiltinOperatorLOGISTIC, nil)},
	{"tanh", unaryGenerator(schema.BuiltinOperatorTANH, nil)},
	{"exp", unaryGenerator(schema.BuiltinOperatorEXP, nil)},
	{"log", unaryGenerator(schema.BuiltinOperatorLOG, nil)},
	{"sqrt", unaryGenerator(schema.BuiltinOperatorSQRT, nil)},
	{"rsqrt", unaryGenerator(schema.BuiltinOperatorRSQRT, nil)},
	{"sin", unaryGenerator(schema.BuiltinOperatorSIN, nil)},
	{"cos", unaryGenerator(schema.BuiltinOperatorCOS, nil)},
	{"floor", unaryGenerator(schema.BuiltinOperatorFLOOR, nil)},
	{"ceil", unaryGenerator(schema.BuiltinOperatorCEIL, nil)},
	{"round", unaryGenerator(schema.BuiltinOperatorROUND, nil)},
	{"square", unaryGenerator(schema.BuiltinOperatorSQUARE, nil)},
	{"neg", unaryGenerator(schema.BuiltinOperatorNEG, nil)},
	{"abs", unaryGenerator(schema.BuiltinOperatorABS, nil)},
	{"zeros like", unaryGenerator(schema.BuiltinOperatorZEROS_LIKE, nil)},
	{"softmax", unaryGenerator(schema.BuiltinOperatorSOFTMAX, &schema.SoftmaxOptionsT{Beta: 0.7})},
	{"log softmax", unaryGenerator(schema.BuiltinOperatorLOG_SOFTMAX, nil)},
	{"l2 normalization", unaryGenerator(schema.BuiltinOperatorL2_NORMALIZATION, &schema.L2NormOptionsT{})},
	{"local response", unaryGenerator(schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION,
		&schema.LocalResponseNormalizationOptionsT{Radius: 1, Bias: 1.5, Alpha: 0.2, Beta: 0.6})},
	{"fake quant", unaryGenerator(schema.BuiltinOperatorFAKE_QUANT, &schema.FakeQuantOptionsT{Min: -1.37, Max: 2.9, NumBits: 5})},
	{"cast", func(r *rand.Rand) *tflite.Model {
		typ := []schema.TensorType{schema.TensorTypeINT32, schema.TensorTypeINT64, schema.TensorTypeBOOL, schema.TensorTypeFLOAT32}[r.IntN(4)]
		return outputType(single(schema.BuiltinOperatorCAST, &schema.CastOptionsT{OutDataType: typ}, 1, real(smallShape(r, 3)...)), 0, typ)
	}},
	{"cumsum", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorCUMSUM, &schema.CumsumOptionsT{Exclusive: coin(r), Reverse: coin(r)}, 1, real(smallShape(r, 3)...), scalar(between(r, -3, 2)))
	}},
	{"arg max", argGenerator(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32})},
	{"arg min", argGenerator(schema.BuiltinOperatorARG_MIN, &schema.ArgMinOptionsT{OutputType: schema.TensorTypeINT32})},
	{"top k", func(r *rand.Rand) *tflite.Model {
		x := real(smallShape(r, 2)...)
		return outputType(single(schema.BuiltinOperatorTOPK_V2, nil, 2, x, scalar(between(r, 1, x.Shape[1]))), 1, schema.TensorTypeINT32)
	}},
	{"mean", reduceGenerator(schema.BuiltinOperatorMEAN)},
	{"sum", reduceGenerator(schema.BuiltinOperatorSUM)},
	{"reduce max", reduceGenerator(schema.BuiltinOperatorREDUCE_MAX)},
	{"reduce min", reduceGenerator(schema.BuiltinOperatorREDUCE_MIN)},
	{"reduce prod", reduceGenerator(schema.BuiltinOperatorREDUCE_PROD)},
	{"reshape", func(r *rand.Rand) *tflite.Model {
		x := real(smallShape(r, 3)...)
		return single(schema.BuiltinOperatorRESHAPE, nil, 1, x, integers(x.Shape[0], -1))
	}},
	{"squeeze", func(r *rand.Rand) *tflite.Model {
		dims := [][]int32{nil, {0}, {-2}, {0, 2}}[r.IntN(4)]
		return single(schema.BuiltinOperatorSQUEEZE, &schema.SqueezeOptionsT{SqueezeDims: dims}, 1, real(1, between(r, 1, 4), 1, 3))
	}},
	{"expand dims", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorEXPAND_DIMS, nil, 1, real(smallShape(r, 3)...), scalar(between(r, -4, 3)))
	}},
	{"transpose", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorTRANSPOSE, nil, 1, real(smallShape(r, 4)...), integers(r.Perm(4)...))
	}},
	{"reverse", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorREVERSE_V2, nil, 1, real(smallShape(r, 3)...), integers(between(r, 0, 2)))
	}},
	{"reverse sequence", func(r *rand.Rand) *tflite.Model {
		x := real(smallShape(r, 3)...)
		lengths := make([]int, x.Shape[1])
		for i := range lengths {
			lengths[i] = between(r, 1, x.Shape[2])
		}
		return single(schema.BuiltinOperatorREVERSE_SEQUENCE, &schema.ReverseSequenceOptionsT{SeqDim: 2, BatchDim: 1}, 1, x, integers(lengths...))
	}},
	{"pad", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorPAD, nil, 1, real(smallShape(r, 4)...), pads(r, 4, 3))
	}},
	{"padv2", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorPADV2, nil, 1, real(smallShape(r, 4)...), pads(r, 4, 3), constant(nil, -2.5))
	}},
	{"mirror pad", func(r *rand.Rand) *tflite.Model {
		mode := schema.MirrorPadMode(r.IntN(2))
		x := real(between(r, 3, 4), between(r, 3, 4), 5)
		return single(schema.BuiltinOperatorMIRROR_PAD, &schema.MirrorPadOptionsT{Mode: mode}, 1, x, pads(r, 3, 2))
	}},
	{"concatenation", func(r *rand.Rand) *tflite.Model {
		shape, a := smallShape(r, 4), between(r, 0, 3)
		in := make([]*tflite.Tensor, between(r, 1, 3))
		for i := range in {
			in[i] = real(shape...)
			in[i].Shape[a] = between(r, 1, 4)
		}
		return single(schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: int32(a - 4*r.IntN(2))}, 1, in...)
	}},
	{"pack", func(r *rand.Rand) *tflite.Model {
		shape := smallShape(r, 2)
		return single(schema.BuiltinOperatorPACK, &schema.PackOptionsT{Axis: int32(between(r, -3, 2)), ValuesCount: 2}, 1, real(shape...), real(shape...))
	}},
	{"unpack", func(r *rand.Rand) *tflite.Model {
		x, a := real(smallShape(r, 3)...), between(r, 0, 2)
		return single(schema.BuiltinOperatorUNPACK, &schema.UnpackOptionsT{Axis: int32(a - 3*r.IntN(2)), Num: int32(x.Shape[a])}, x.Shape[a], x)
	}},
	{"split", func(r *rand.Rand) *tflite.Model {
		x, a, n := real(smallShape(r, 4)...), between(r, 0, 3), between(r, 1, 3)
		x.Shape[a] = n * between(r, 1, 2)
		return single(schema.BuiltinOperatorSPLIT, &schema.SplitOptionsT{NumSplits: int32(n)}, n, scalar(a-4*r.IntN(2)), x)
	}},
	{"split v", func(r *rand.Rand) *tflite.Model {
		x := real(4, between(r, 4, 6), 2)
		return single(schema.BuiltinOperatorSPLIT_V, &schema.SplitVOptionsT{NumSplits: 3}, 3, x, integers(1, -1, 2), scalar(1))
	}},
	{"slice", func(r *rand.Rand) *tflite.Model {
		x := real(smallShape(r, 3)...)
		var begin, size []int
		for _, n := range x.Shape {
			b := between(r, 0, n-1)
			begin, size = append(begin, b), append(size, between(r, 1, n-b))
		}
		if coin(r) {
			size[1] = -1
		}
		return single(schema.BuiltinOperatorSLICE, nil, 1, x, integers(begin...), integers(size...))
	}},
	{"strided slice", stridedSliceGenerator},
	{"tile", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorTILE, nil, 1, real(smallShape(r, 3)...), integers(smallShape(r, 3)...))
	}},
	{"broadcast to", func(r *rand.Rand) *tflite.Model {
		shape := smallShape(r, 4)
		m := single(schema.BuiltinOperatorBROADCAST_TO, nil, 1, real(shape[1], 1, shape[3]), integers(shape...))
		m.Graphs[0].Ops[0].Version = 2
		return m
	}},
	{"space to batch", func(r *rand.Rand) *tflite.Model {
		b, c := between(r, 1, 3), between(r, 1, 2)
		x := real(between(r, 1, 2), b*between(r, 1, 3), c*between(r, 1, 3), 2)
		return single(schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, 1, x, integers(b, c), matrix(2, between(r, 0, 1)*b, 0, between(r, 0, 1)*c, c))
	}},
	{"uneven space to batch", func(r *rand.Rand) *tflite.Model {
		n := between(r, 4, 7)
		return single(schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, 1, real(1, n, 4, 2), integers(3, 2), matrix(2, 1, 8-n, 1, 1))
	}},
	{"batch to space", func(r *rand.Rand) *tflite.Model {
		x := real(6*between(r, 1, 2), between(r, 2, 3), between(r, 2, 3), 2)
		return single(schema.BuiltinOperatorBATCH_TO_SPACE_ND, nil, 1, x, integers(2, 3), matrix(2, between(r, 0, 1), between(r, 0, 2), between(r, 0, 2), 1))
	}},
	{"space to depth", func(r *rand.Rand) *tflite.Model {
		b := between(r, 1, 3)
		return single(schema.BuiltinOperatorSPACE_TO_DEPTH, &schema.SpaceToDepthOptionsT{BlockSize: int32(b)}, 1, real(2, b*between(r, 1, 3), b*2, between(r, 1, 3)))
	}},
	{"depth to space", func(r *rand.Rand) *tflite.Model {
		b := between(r, 1, 3)
		return single(schema.BuiltinOperatorDEPTH_TO_SPACE, &schema.DepthToSpaceOptionsT{BlockSize: int32(b)}, 1, real(2, 2, between(r, 1, 3), b*b*between(r, 1, 3)))
	}},
	{"gather", func(r *rand.Rand) *tflite.Model {
		x, a := real(smallShape(r, 3)...), between(r, 0, 2)
		n := x.Shape[a] - 1
		return single(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: int32(a)}, 1, x, matrix(2, between(r, 0, n), between(r, 0, n), n, 0))
	}},
	{"batch gather", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: 2, BatchDims: 1}, 1, real(2, 2, 4, 2), matrix(2, r.IntN(4), r.IntN(4), r.IntN(4), 3))
	}},
	{"embedding lookup", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorEMBEDDING_LOOKUP, nil, 1, integers(r.IntN(4), 3, r.IntN(4)), random(r, 4, between(r, 1, 3), 2))
	}},
	{"gather nd", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorGATHER_ND, nil, 1, real(3, 4, 2), matrix(3, r.IntN(3), r.IntN(4), r.IntN(3), r.IntN(4), 2, 3))
	}},
	{"scatter nd", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorSCATTER_ND, nil, 1, matrix(3, r.IntN(3), r.IntN(4), r.IntN(3), r.IntN(4), 2, 3), real(3, 2), integers(3, 4, 2))
	}},
	{"sparse to dense", func(r *rand.Rand) *tflite.Model {
		if coin(r) {
			return single(schema.BuiltinOperatorSPARSE_TO_DENSE, nil, 1, integers(r.IntN(3), 3, 5+r.IntN(2)), integers(8), real(3), real())
		}
		return single(schema.BuiltinOperatorSPARSE_TO_DENSE, nil, 1, matrix(2, 0, 1, 2, r.IntN(3)), integers(3, 4), real(2), real())
	}},
	{"matrix diag", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorMATRIX_DIAG, nil, 1, real(smallShape(r, between(r, 1, 3))...))
	}},
	{"matrix set diag", func(r *rand.Rand) *tflite.Model {
		s := smallShape(r, between(r, 2, 4))
		n := len(s) - 2
		return single(schema.BuiltinOperatorMATRIX_SET_DIAG, nil, 1, real(s...), real(append(slices.Clone(s[:n]), min(s[n], s[n+1]))...))
	}},
	{"one hot", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorONE_HOT, &schema.OneHotOptionsT{Axis: int32(between(r, -1, 2))}, 1, matrix(2, 0, 1, 3, -1, 5, 2), scalar(4), real(), constant(nil, 0.25))
	}},
	{"select", func(r *rand.Rand) *tflite.Model {
		condition := truths([]int{3}, coin(r), coin(r), coin(r))
		if coin(r) {
			condition = truths([]int{3, 2}, coin(r), coin(r), coin(r), coin(r), coin(r), coin(r))
		}
		return single(schema.BuiltinOperatorSELECT, nil, 1, condition, real(3, 2), real(3, 2))
	}},
	{"select v2", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorSELECT_V2, nil, 1, truths([]int{3, 1}, coin(r), coin(r), coin(r)), real(2, 3, 2), real(1, 2))
	}},
	{"where", func(r *rand.Rand) *tflite.Model {
		m := single(schema.BuiltinOperatorWHERE, nil, 1, truths([]int{2, 3}, coin(r), coin(r), true, coin(r), coin(r), coin(r)))
		return outputType(m, 0, schema.TensorTypeINT64)
	}},
	{"segment sum", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorSEGMENT_SUM, nil, 1, real(5, 3), integers(0, 0, 1, 2, 2))
	}},
	{"fill", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorFILL, nil, 1, integers(smallShape(r, 3)...), real())
	}},
	{"range", func(r *rand.Rand) *tflite.Model {
		return single(schema.BuiltinOperatorRANGE, nil, 1, constant(nil, r.Float32()), constant(nil, 3+r.Float32()), constant(nil, 0.1+r.Float32()))
	}},
	{"shape", func(r *rand.Rand) *tflite.Model {
		return outputType(single(schema.BuiltinOperatorSHAPE, &schema.ShapeOptionsT{OutType: schema.TensorTypeINT32}, 1, real(smallShape(r, 3)...)), 0, schema.TensorTypeINT32)
	}},
	{"rank", func(r *rand.Rand) *tflite.Model {
		return outputType(single(schema.BuiltinOperatorRANK, nil, 1, real(smallShape(r, 3)...)), 0, schema.TensorTypeINT32)
	}},
	{"resize bilinear", func(r *rand.Rand) *tflite.Model {
		half, corners := resizeFlags(r)
		return single(schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{AlignCorners: corners, HalfPixelCenters: half}, 1,
			real(smallShape(r, 4)...), integers(between(r, 1, 11), between(r, 1, 9)))
	}},
	{"resize nearest", func(r *rand.Rand) *tflite.Model {
		half, corners := resizeFlags(r)
		return single(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, &schema.ResizeNearestNeighborOptionsT{AlignCorners: corners, HalfPixelCenters: half}, 1,
			real(smallShape(r, 4)...), integers(between(r, 1, 11), between(r, 1, 9)))
	}},
	{"nms v4", func(r *rand.Rand) *tflite.Model {
		m := single(schema.BuiltinOperatorNON_MAX_SUPPRESSION_V4, nil, 2, real(20, 4), real(20), scalar(between(r, 1, 12)), constant(nil, 0.3), constant(nil, -0.5))
		return outputType(outputType(m, 0, schema.TensorTypeINT32), 1, schema.TensorTypeINT32)
	}},
	{"nms v5", func(r *rand.Rand) *tflite.Model {
		m := single(schema.BuiltinOperatorNON_MAX_SUPPRESSION_V5, nil, 3, real(20, 4), real(20), scalar(between(r, 1, 12)), constant(nil, 0.8), constant(nil, 0.1), constant(nil, 0.5))
		return outputType(outputType(m, 0, schema.TensorTypeINT32), 2, schema.TensorTypeINT32)
	}},
}

func poolGenerator(code schema.BuiltinOperator) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		return single(code, &schema.Pool2DOptionsT{Padding: padding(r), StrideH: int32(between(r, 1, 3)), StrideW: int32(between(r, 1, 3)),
			FilterHeight: int32(between(r, 1, 4)), FilterWidth: int32(between(r, 1, 4)), FusedActivationFunction: activation(r)},
			1, real(between(r, 1, 2), between(r, 4, 9), between(r, 4, 9), between(r, 1, 5)))
	}
}

func binaryGenerator(code schema.BuiltinOperator, options func(schema.ActivationFunctionType) any) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		a, b := smallShape(r, 4), smallShape(r, 4)
		for i := range a {
			switch r.IntN(3) {
			case 0:
				a[i] = 1
			case 1:
				b[i] = 1
			default:
				b[i] = a[i]
			}
		}
		var o any
		if options != nil {
			o = options(activation(r))
		}
		return single(code, o, 1, real(a...), real(b[r.IntN(3):]...))
	}
}

// integerGenerator makes ops of INT32 operands, the second of which is constant
// and never zero.
func integerGenerator(code schema.BuiltinOperator, options any) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		y := matrix(2, between(r, 1, 3), -between(r, 1, 3), between(r, 1, 9), -between(r, 1, 9))
		return outputType(single(code, options, 1, typed(schema.TensorTypeINT32, 3, 2, 2), y), 0, schema.TensorTypeINT32)
	}
}

func compareGenerator(code schema.BuiltinOperator) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		return outputType(binaryGenerator(code, nil)(r), 0, schema.TensorTypeBOOL)
	}
}

func unaryGenerator(code schema.BuiltinOperator, options any) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model { return single(code, options, 1, real(smallShape(r, 4)...)) }
}

func logicGenerator(code schema.BuiltinOperator, operands int) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		in := []*tflite.Tensor{typed(schema.TensorTypeBOOL, 3, 2, 2), truths([]int{1, 2, 2}, coin(r), coin(r), true, false)}
		return outputType(single(code, nil, 1, in[:operands]...), 0, schema.TensorTypeBOOL)
	}
}

func boolReduceGenerator(code schema.BuiltinOperator) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		m := reduceGenerator(code)(r)
		x := m.Graphs[0].Inputs[0]
		x.Type = schema.TensorTypeBOOL
		return outputType(m, 0, schema.TensorTypeBOOL)
	}
}

func quantizeGenerator(typ schema.TensorType, zero int64) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		m := outputType(unaryGenerator(schema.BuiltinOperatorQUANTIZE, nil)(r), 0, typ)
		m.Graphs[0].Outputs[0].Quant = &tflite.Quantization{Scale: []float32{0.0137}, Zero: []int64{zero}}
		return m
	}
}

func argGenerator(code schema.BuiltinOperator, options any) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		return outputType(single(code, options, 1, real(smallShape(r, 3)...), scalar(between(r, -3, 2))), 0, schema.TensorTypeINT32)
	}
}

func reduceGenerator(code schema.BuiltinOperator) func(*rand.Rand) *tflite.Model {
	return func(r *rand.Rand) *tflite.Model {
		axes := r.Perm(4)[:between(r, 1, 4)]
		axes[0] -= 4 * r.IntN(2)
		return single(code, &schema.ReducerOptionsT{KeepDims: coin(r)}, 1, real(smallShape(r, 4)...), integers(axes...))
	}
}

func pads(r *rand.Rand, n, most int) *tflite.Tensor {
	v := make([]int, 2*n)
	for i := range v {
		v[i] = between(r, 0, most)
	}
	return matrix(n, v...)
}

func resizeFlags(r *rand.Rand) (half, corners bool) {
	k := r.IntN(3)
	return k == 1, k == 2
}

func stridedSliceGenerator(r *rand.Rand) *tflite.Model {
	x := real(between(r, 2, 5), between(r, 2, 5), between(r, 2, 5))
	o := &schema.StridedSliceOptionsT{BeginMask: int32(r.IntN(8)), EndMask: int32(r.IntN(8))}
	var begin, end, strides []int
	for i, n := range x.Shape {
		stride := between(r, 1, 2)
		b, e := between(r, -n-1, n-1), between(r, -n, n+1)
		switch r.IntN(5) {
		case 0:
			stride = -stride
		case 1:
			o.ShrinkAxisMask |= 1 << i
			b = between(r, -n, n-1)
			stride, e = 1, b+1
			o.BeginMask, o.EndMask = o.BeginMask&^(1<<i), o.EndMask&^(1<<i)
		}
		begin, end, strides = append(begin, b), append(end, e), append(strides, stride)
	}
	switch r.IntN(4) {
	case 0: // leave out the middle axis
		o.EllipsisMask, o.ShrinkAxisMask = 2, o.ShrinkAxisMask&^2
	case 1:
		o.NewAxisMask = 1
		o.ShrinkAxisMask, o.BeginMask, o.EndMask = o.ShrinkAxisMask<<1, o.BeginMask<<1, o.EndMask<<1
		begin, end, strides = append([]int{0}, begin...), append([]int{1}, end...), append([]int{1}, strides...)
	}
	return single(schema.BuiltinOperatorSTRIDED_SLICE, o, 1, x, integers(begin...), integers(end...), integers(strides...))
}

// opInputs are values about ±2 on a coarse grid, so that ties and borders of
// clamps occur, but for scores of boxes, whose order at ties is nobody's promise.
// Zeros are left out: as divisors they stop the interpreter.
func opInputs(r *rand.Rand, g *tflite.Graph) [][]float32 {
	code := g.Ops[0].Code
	nms := code == schema.BuiltinOperatorNON_MAX_SUPPRESSION_V4 || code == schema.BuiltinOperatorNON_MAX_SUPPRESSION_V5
	inputs := make([][]float32, len(g.Inputs))
	for i, t := range g.Inputs {
		inputs[i] = make([]float32, t.Len())
		for k := range inputs[i] {
			inputs[i][k] = float32(math.Round(r.NormFloat64()*16) / 8)
			if t.Type == schema.TensorTypeBOOL {
				inputs[i][k] = float32(r.IntN(2))
			} else if nms || inputs[i][k] == 0 {
				inputs[i][k] = r.Float32() + 0.01
			}
		}
	}
	return inputs
}

// Every kernel does what the interpreter's does, on random small models.
func TestOpsAgainstInterpreter(t *testing.T) {
	for _, gen := range generators {
		t.Run(gen.name, func(t *testing.T) {
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, 1))
				m := gen.make(r)
				inputs := opInputs(r, m.Graphs[0])
				mustEvaluate(t, m, inputs...) // for the shapes, which the file needs
				if empty(m) {
					continue // the interpreter does not invoke ops on these
				}
				got, want := both(t, m, inputs)
				for i := range want {
					if len(got[i]) != len(want[i]) {
						t.Fatalf("seed %d %s: output %d has %d values, want %d", seed, describe(m), i, len(got[i]), len(want[i]))
					}
					if d := distance(got[i], want[i]); d > 2e-6 {
						t.Fatalf("seed %d %s: output %d differs by %.2g of its range\nin   %v\ngot  %v\nwant %v", seed, describe(m), i, d, inputs, got[i], want[i])
					}
				}
			}
		})
	}
}

// truths is a BOOL constant.
func truths(shape []int, v ...bool) *tflite.Tensor {
	t := typed(schema.TensorTypeBOOL, shape...)
	t.Data = make([]byte, len(v))
	for i, b := range v {
		t.Data[i] = byte(truth(b))
	}
	return t
}

func empty(m *tflite.Model) bool {
	for _, t := range m.Graphs[0].Outputs {
		if t.Len() == 0 {
			return true
		}
	}
	return false
}

func describe(m *tflite.Model) string {
	op := m.Graphs[0].Ops[0]
	s := fmt.Sprintf("%v %+v", op.Code, op.Options)
	for _, t := range op.Inputs {
		if t == nil {
			s += " none"
		} else {
			s += fmt.Sprintf(" %v%v", t.Shape, t.Ints())
		}
	}
	return s
}
