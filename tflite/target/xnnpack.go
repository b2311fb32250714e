package target

import (
	"math"

	"dfq/schema"
)

// xnnpack is the XNNPACK delegate of the TensorFlow Lite runtime, the default
// of its CPU builds. What it does not take, the runtime's own kernels do: an
// operator that has no int8 form in XNNPACK is a note, one whose scales or
// options keep it out a warning. A scale that is not a positive normal number
// makes the whole file fail.
var xnnpack = &target{
	name:          "xnnpack",
	title:         "XNNPACK",
	source:        "google-ai-edge/LiteRT: tflite/delegates/xnnpack/xnnpack_delegate.cc",
	release:       presumed,
	unpacks:       true,
	missing:       Note,
	broken:        Note,
	missingAdvice: "nothing to do, the runtime's own kernels run them",
	all: rule{
		types:  f32 | f16 | i8 | u8,
		ranks:  [2]int{0, 6},
		checks: []check{normalScales},
	},
	custom: []string{"Convolution2DTransposeBias", "MaxPoolingWithArgmax2D", "MaxUnpooling2D"},
	rules: map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorCONV_2D:           {ranks: [2]int{4, 4}, constant: []int{1, 2}, fused: actReLUs, checks: []check{weightAxis(0), symmetricWeights, hasBias.as(Warning)}},
		schema.BuiltinOperatorDEPTHWISE_CONV_2D: {ranks: [2]int{4, 4}, constant: []int{1, 2}, fused: actReLUs, checks: []check{weightAxis(3), symmetricWeights, hasBias.as(Warning)}},
		schema.BuiltinOperatorFULLY_CONNECTED:   {constant: []int{1, 2}, fused: actReLUs, checks: []check{weightAxis(0), symmetricWeights, defaultWeights.as(Note)}},
		schema.BuiltinOperatorTRANSPOSE_CONV:    {ranks: [2]int{4, 4}, constant: []int{0, 1, 3}, fused: actReLUs, checks: []check{weightAxis(0), symmetricWeights}},
		schema.BuiltinOperatorBATCH_MATMUL:      {checks: []check{symmetricFactor.as(Note)}},

		schema.BuiltinOperatorADD: {fused: actReLUs, checks: []check{scaleRatio(0x1p-10, 0x1p8, false).as(Warning)}},
		schema.BuiltinOperatorSUB: {fused: actReLUs, checks: []check{scaleRatio(0x1p-10, 0x1p8, false).as(Warning)}},
		schema.BuiltinOperatorMUL: {fused: actReLUs, checks: []check{scaleProduct(0x1p-16, 0x1p8).as(Warning)}},

		schema.BuiltinOperatorMAX_POOL_2D: {fused: actReLUs, checks: []check{poolSteps.as(Note)}},
		schema.BuiltinOperatorMEAN:        {constant: []int{1}},
		schema.BuiltinOperatorSUM:         {constant: []int{1}},
		schema.BuiltinOperatorREDUCE_MAX:  {constant: []int{1}},
		schema.BuiltinOperatorREDUCE_MIN:  {constant: []int{1}},

		schema.BuiltinOperatorELU:        {},
		schema.BuiltinOperatorLOGISTIC:   {},
		schema.BuiltinOperatorTANH:       {},
		schema.BuiltinOperatorLEAKY_RELU: {checks: []check{leakySlope.as(Warning)}},
		schema.BuiltinOperatorQUANTIZE:   {checks: []check{scaleRatio(0x1p-8, 0x1p7, true).as(Warning), oneSign.as(Note)}},
		schema.BuiltinOperatorDEQUANTIZE: {},

		schema.BuiltinOperatorCONCATENATION:   {fused: actNone, checks: []check{count(true, 2, 5).as(Note)}},
		schema.BuiltinOperatorSPLIT:           {constant: []int{0}, checks: []check{count(false, 2, 4).as(Note)}},
		schema.BuiltinOperatorPAD:             {constant: []int{1}},
		schema.BuiltinOperatorRESHAPE:         {constant: []int{1}, checks: []check{sameScale.as(Warning)}},
		schema.BuiltinOperatorRESIZE_BILINEAR: {ranks: [2]int{4, 4}, constant: []int{1}},
		schema.BuiltinOperatorSLICE:           {constant: []int{1, 2}, checks: []check{statedSizes.as(Note)}},
		schema.BuiltinOperatorEXPAND_DIMS:     {constant: []int{1}},
		schema.BuiltinOperatorSTRIDED_SLICE:   {constant: []int{1, 2, 3}, checks: []check{sliceMasks(false, false).as(Note), unitSteps.as(Note)}},
		schema.BuiltinOperatorTRANSPOSE:       {constant: []int{1}},
		schema.BuiltinOperatorDEPTH_TO_SPACE:  {},
		schema.BuiltinOperatorSPACE_TO_DEPTH:  {},

		schema.BuiltinOperatorABS:                onFloat,
		schema.BuiltinOperatorAVERAGE_POOL_2D:    onFloat,
		schema.BuiltinOperatorCEIL:               onFloat,
		schema.BuiltinOperatorCOS:                onFloat,
		schema.BuiltinOperatorDIV:                onFloat,
		schema.BuiltinOperatorEXP:                onFloat,
		schema.BuiltinOperatorFLOOR:              onFloat,
		schema.BuiltinOperatorGELU:               onFloat,
		schema.BuiltinOperatorHARD_SWISH:         onFloat,
		schema.BuiltinOperatorLOG:                onFloat,
		schema.BuiltinOperatorMAXIMUM:            onFloat,
		schema.BuiltinOperatorMINIMUM:            onFloat,
		schema.BuiltinOperatorNEG:                onFloat,
		schema.BuiltinOperatorPRELU:              onFloat,
		schema.BuiltinOperatorRELU:               onFloat,
		schema.BuiltinOperatorRELU6:              onFloat,
		schema.BuiltinOperatorRELU_N1_TO_1:       onFloat,
		schema.BuiltinOperatorROUND:              onFloat,
		schema.BuiltinOperatorRSQRT:              onFloat,
		schema.BuiltinOperatorSIN:                onFloat,
		schema.BuiltinOperatorSOFTMAX:            onFloat,
		schema.BuiltinOperatorSQRT:               onFloat,
		schema.BuiltinOperatorSQUARE:             onFloat,
		schema.BuiltinOperatorSQUARED_DIFFERENCE: onFloat,

		schema.BuiltinOperatorVAR_HANDLE:      {types: ^types(0)},
		schema.BuiltinOperatorREAD_VARIABLE:   {types: ^types(0)},
		schema.BuiltinOperatorASSIGN_VARIABLE: {types: ^types(0)},
	},
}

// onFloat is an operator without an integer form.
var onFloat = rule{types: f32 | f16}

// sameScale is the field rule.same as a check, for targets where it is not an
// error.
var sameScale = check{
	name:   "same scale",
	advice: "give them one scale and zero point, or put a QUANTIZE between",
	fault:  (*operation).sameScale,
}

// statedSizes: SLICE says how much it takes, not just the rest.
var statedSizes = check{
	name:   "slice size",
	advice: "state the sizes",
	fault: func(o *operation) fault {
		sizes, _ := o.ints(2)
		for i, n := range sizes {
			if n < 1 {
				return faultf(nil, "size %d along dimension %d", n, i)
			}
		}
		return fault{}
	},
}

// poolSteps: a pooling window is at least as large as its stride.
var poolSteps = check{
	name:   "stride",
	advice: "pool with a stride no larger than the window",
	fault: func(o *operation) fault {
		if w, ok := o.Window(); ok && (w.Stride[0] > w.Kernel[0] || w.Stride[1] > w.Kernel[1]) {
			return faultf(nil, "stride %s of a window %s", dims(w.Stride[:]), dims(w.Kernel[:]))
		}
		return fault{}
	},
}

// leakySlope: both slopes of LEAKY_RELU fit a multiplier of 16 bits.
var leakySlope = check{
	name:   "scale ratio",
	advice: "change the output's range",
	fault: func(o *operation) fault {
		p, ok := o.Options.(*schema.LeakyReluOptionsT)
		sx, _, ok2 := quantOf(o.x())
		sy, _, ok3 := quantOf(o.y())
		if !ok || !ok2 || !ok3 || !(i8 | u8).has(o.y().Type) {
			return fault{}
		}
		up := float64(sx / sy)
		down := float64(sx / sy * p.Alpha)
		switch {
		case up < 0x1p-8 || up > 0x1p7:
			return faultf(o.y(), "input scale %g over output scale %g is %.3g, taken is 0.0039 to 128", sx, sy, up)
		case down < -127.99609375 || down > 128 || math.Abs(down) < 0x1p-8:
			return faultf(o.y(), "alpha times input scale over output scale is %.3g, taken is 0.0039 to 128", down)
		}
		return fault{}
	},
}

// oneSign: a QUANTIZE does not turn signed into unsigned.
var oneSign = check{
	name:   "type",
	advice: "convert with signed inputs and outputs",
	fault: func(o *operation) fault {
		if x, y := o.x(), o.y(); x != nil && y != nil && (i8 | u8).has(x.Type) && x.Type != y.Type {
			return faultf(x, "it turns %s into %s", x.Type, y.Type)
		}
		return fault{}
	},
}

// symmetricFactor: the second factor of BATCH_MATMUL has zero point 0.
var symmetricFactor = check{
	name:   "zero point",
	advice: "quantize the second factor symmetrically",
	fault: func(o *operation) fault {
		if _, z, ok := quantOf(o.input(1)); ok && z != 0 {
			return faultf(o.input(1), "the second factor's zero point is %d, taken is 0", z)
		}
		return fault{}
	},
}
