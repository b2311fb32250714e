package target

import (
	"fmt"

	"dfq/schema"
)

// driver is what the NNAPI delegate asks of an operator. The levels are the
// minor numbers of NNAPI 1.1, 1.2 and 1.3.
type driver struct {
	since int // first level that has the operator
	int8  int // first level that takes it on int8; 0: none
	rule
}

// upTo bounds the versions of a driver's rule.
func upTo(version int, r rule) rule { r.versions = [2]int{1, version}; return r }

var rank4 = [2]int{0, 4}

// The element types of values, and of operators that work on integers as well.
const (
	floatOr8 = f32 | f16 | i8 | u8
	indices  = floatOr8 | i32
)

const (
	sourceNNAPI  = "google-ai-edge/LiteRT: tflite/delegates/nnapi/nnapi_delegate.cc (Validate)"
	sourceHeader = "Android NDK: NeuralNetworks.h, the operands of the operation"
)

// drivers are the operators that the NNAPI delegate maps.
//
// The scale relations that are warnings are those of the NDK's header: the
// delegate does not check them, the drivers of phones may.
//
// Below 1.3, NNAPI has no signed 8-bit type: the delegate turns int8 into uint8
// on the fly, for the operators of its own list only (NeedInt8Conversion).
var drivers = map[schema.BuiltinOperator]driver{
	schema.BuiltinOperatorCONV_2D:           {0, 2, upTo(5, rule{ranks: [2]int{4, 4}, checks: []check{hasBias}})},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {0, 2, upTo(3, rule{ranks: [2]int{4, 4}})},
	schema.BuiltinOperatorFULLY_CONNECTED:   {0, 2, upTo(5, rule{perTensor: Warning, relations: sourceHeader})},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {2, 2, upTo(4, rule{ranks: [2]int{4, 4}, constant: []int{0, 1}})},

	schema.BuiltinOperatorADD:                {0, 1, upTo(2, rule{types: indices, ranks: rank4})},
	schema.BuiltinOperatorMUL:                {0, 1, upTo(3, rule{types: indices, ranks: rank4, restricted: Warning, relations: sourceHeader, checks: []check{oldProduct}})},
	schema.BuiltinOperatorSUB:                {1, 2, upTo(3, rule{types: indices, ranks: rank4})},
	schema.BuiltinOperatorDIV:                {1, 0, upTo(1, rule{ranks: rank4})},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {1, 3, upTo(2, rule{types: indices, ranks: rank4})},
	schema.BuiltinOperatorMAXIMUM:            {2, 2, upTo(3, rule{types: indices})},
	schema.BuiltinOperatorMINIMUM:            {2, 2, upTo(3, rule{types: indices})},
	schema.BuiltinOperatorPOW:                {2, 0, upTo(1, rule{})},

	schema.BuiltinOperatorAVERAGE_POOL_2D: {0, 1, upTo(2, rule{ranks: [2]int{4, 4}, checks: []check{poolArea(256).as(Warning)}})},
	schema.BuiltinOperatorMAX_POOL_2D:     {0, 1, upTo(2, rule{ranks: [2]int{4, 4}})},
	schema.BuiltinOperatorMEAN:            {1, 2, upTo(2, rule{ranks: rank4, same: Warning, relations: sourceHeader, checks: []check{noScalar}})},
	schema.BuiltinOperatorSUM:             {2, 0, upTo(1, rule{checks: []check{noScalar}})},
	schema.BuiltinOperatorREDUCE_PROD:     {2, 0, upTo(1, rule{checks: []check{noScalar}})},
	schema.BuiltinOperatorREDUCE_MAX:      {2, 2, upTo(2, rule{})},
	schema.BuiltinOperatorREDUCE_MIN:      {2, 2, upTo(2, rule{})},

	schema.BuiltinOperatorRELU:             {0, 1, upTo(2, rule{ranks: rank4, same: Warning, relations: sourceHeader})},
	schema.BuiltinOperatorRELU6:            {0, 1, upTo(2, rule{ranks: rank4, same: Warning, relations: sourceHeader})},
	schema.BuiltinOperatorRELU_N1_TO_1:     {0, 1, upTo(2, rule{ranks: rank4, same: Warning, relations: sourceHeader})},
	schema.BuiltinOperatorLOGISTIC:         {0, 1, upTo(2, rule{ranks: rank4})},
	schema.BuiltinOperatorTANH:             {0, 2, upTo(2, rule{ranks: rank4})},
	schema.BuiltinOperatorHARD_SWISH:       {0, 1, rule{}},
	schema.BuiltinOperatorSOFTMAX:          {0, 1, upTo(2, rule{ranks: rank4})},
	schema.BuiltinOperatorLOG_SOFTMAX:      {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorL2_NORMALIZATION: {0, 2, upTo(2, rule{ranks: rank4, fused: actNone})},
	schema.BuiltinOperatorLEAKY_RELU:       {2, 2, upTo(1, rule{})},
	schema.BuiltinOperatorPRELU:            {2, 2, upTo(1, rule{})},
	schema.BuiltinOperatorELU:              {3, 0, upTo(1, rule{})},
	schema.BuiltinOperatorABS:              {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorEXP:              {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorLOG:              {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorSQRT:             {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorRSQRT:            {2, 0, upTo(2, rule{})},
	schema.BuiltinOperatorSIN:              {2, 0, upTo(1, rule{})},
	schema.BuiltinOperatorNEG:              {2, 0, upTo(2, rule{types: indices})},
	schema.BuiltinOperatorFLOOR:            {0, 0, upTo(1, rule{})},

	schema.BuiltinOperatorCONCATENATION:           {0, 1, upTo(2, rule{ranks: rank4, fused: actNone})},
	schema.BuiltinOperatorPACK:                    {3, 3, upTo(2, rule{types: f32 | i8, checks: []check{innerAxis}})},
	schema.BuiltinOperatorUNPACK:                  {3, 3, upTo(2, rule{ranks: rank4, checks: []check{innerAxis}})},
	schema.BuiltinOperatorSPLIT:                   {2, 3, upTo(3, rule{types: indices, constant: []int{0}})},
	schema.BuiltinOperatorSPLIT_V:                 {3, 3, upTo(2, rule{types: indices, constant: []int{1, 2}})},
	schema.BuiltinOperatorPAD:                     {1, 2, upTo(2, rule{})},
	schema.BuiltinOperatorPADV2:                   {2, 2, upTo(2, rule{})},
	schema.BuiltinOperatorRESHAPE:                 {0, 1, upTo(1, rule{ranks: rank4, constant: []int{1}})},
	schema.BuiltinOperatorSQUEEZE:                 {1, 3, upTo(1, rule{ranks: rank4})},
	schema.BuiltinOperatorEXPAND_DIMS:             {2, 2, upTo(1, rule{types: indices, constant: []int{1}})},
	schema.BuiltinOperatorTRANSPOSE:               {1, 1, upTo(2, rule{constant: []int{1}})},
	schema.BuiltinOperatorSLICE:                   {2, 2, upTo(2, rule{types: indices})},
	schema.BuiltinOperatorSTRIDED_SLICE:           {1, 1, upTo(2, rule{ranks: rank4})},
	schema.BuiltinOperatorGATHER:                  {2, 2, upTo(2, rule{types: indices, checks: []check{indexVector}})},
	schema.BuiltinOperatorTILE:                    {2, 2, upTo(1, rule{types: indices})},
	schema.BuiltinOperatorFILL:                    {3, 0, upTo(1, rule{types: indices, constant: []int{0}})},
	schema.BuiltinOperatorSELECT:                  {2, 2, upTo(2, rule{types: indices})},
	schema.BuiltinOperatorRESIZE_BILINEAR:         {0, 2, upTo(3, rule{ranks: [2]int{4, 4}, constant: []int{1}})},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {2, 2, upTo(3, rule{ranks: [2]int{4, 4}, constant: []int{1}})},
	schema.BuiltinOperatorSPACE_TO_DEPTH:          {0, 1, upTo(2, rule{})},
	schema.BuiltinOperatorDEPTH_TO_SPACE:          {0, 1, rule{}},
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:       {1, 1, upTo(2, rule{})},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:       {1, 1, upTo(2, rule{constant: []int{2}, checks: []check{noCrops}})},

	schema.BuiltinOperatorARG_MAX:       {2, 2, upTo(2, rule{types: indices, checks: []check{int32Index}})},
	schema.BuiltinOperatorARG_MIN:       {2, 2, upTo(2, rule{types: indices, checks: []check{int32Index}})},
	schema.BuiltinOperatorTOPK_V2:       {2, 2, upTo(2, rule{types: indices, constant: []int{1}})},
	schema.BuiltinOperatorEQUAL:         {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorNOT_EQUAL:     {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorGREATER:       {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorGREATER_EQUAL: {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorLESS:          {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorLESS_EQUAL:    {2, 2, upTo(2, rule{types: indices | flag})},
	schema.BuiltinOperatorCAST:          {2, 3, upTo(1, rule{types: indices})},
	schema.BuiltinOperatorQUANTIZE:      {2, 3, upTo(2, rule{})},
	schema.BuiltinOperatorDEQUANTIZE:    {0, 3, upTo(2, rule{})},
}

// nnapi is Android's neural network API at level 1.level, through the delegate
// of the TensorFlow Lite runtime.
func nnapi(level int) *target {
	t := &target{
		name:          fmt.Sprintf("nnapi-1.%d", level),
		title:         fmt.Sprintf("NNAPI 1.%d (Android %d)", level, 8+level),
		source:        sourceNNAPI,
		release:       presumed,
		rules:         map[schema.BuiltinOperator]rule{},
		missing:       Error,
		missingAdvice: "the CPU runs it; replace it where speed matters",
		all:           rule{types: floatOr8, checks: []check{normalScales}},
	}
	for code, d := range drivers {
		if level < d.since {
			continue
		}
		r := d.rule.over(t.all)
		switch {
		case d.int8 == 0:
			r.types &^= i8 | u8
		case level < d.int8:
			r.types &^= i8
			r.quantized = fmt.Sprintf("NNAPI 1.%d takes it, see --target nnapi-1.%[1]d; for this one use the float model", d.int8)
		}
		switch code {
		case schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB, schema.BuiltinOperatorMUL, schema.BuiltinOperatorSQUARED_DIFFERENCE:
			if level < 3 {
				r.types &^= i32
			}
		}
		if r.checks = append(levelChecks(code, level), r.checks...); level < 2 {
			r.perTensor, r.restricted = Error, Error
		}
		t.rules[code] = r
	}
	return t
}

// levelChecks are rules of early levels.
func levelChecks(code schema.BuiltinOperator, level int) []check {
	var checks []check
	switch code {
	case schema.BuiltinOperatorCONV_2D, schema.BuiltinOperatorDEPTHWISE_CONV_2D:
		if level < 2 {
			checks = append(checks, undilated)
		}
	case schema.BuiltinOperatorFULLY_CONNECTED:
		if level < 3 {
			checks = append(checks, flatDense)
		}
	case schema.BuiltinOperatorSOFTMAX:
		if level < 2 {
			checks = append(checks, matrixOrImage)
		}
	case schema.BuiltinOperatorSQUEEZE:
		if level < 2 {
			checks = append(checks, namedSqueeze)
		}
	case schema.BuiltinOperatorRESIZE_BILINEAR, schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR:
		if level < 3 {
			checks = append(checks, plainResize)
		}
	case schema.BuiltinOperatorCONCATENATION:
		if level < 2 {
			checks = append(checks, sameScale)
		}
	}
	return checks
}

// matrixOrImage: SOFTMAX works on two or four dimensions.
var matrixOrImage = check{
	name:   "rank",
	advice: "reshape the tensor before and after the op",
	fault: func(o *operation) fault {
		if x := o.x(); x != nil && len(x.Shape) != 2 && len(x.Shape) != 4 {
			return faultf(x, "%d dimensions, taken are 2 and 4", len(x.Shape))
		}
		return fault{}
	},
}

// namedSqueeze: SQUEEZE says which dimensions go.
var namedSqueeze = check{
	name:   "squeeze_dims",
	advice: "name the dimensions, or use RESHAPE",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.SqueezeOptionsT); ok && len(p.SqueezeDims) == 0 {
			return faultf(nil, "it does not say which dimensions go")
		}
		return fault{}
	},
}

// indexVector: GATHER picks by a tensor of 32-bit numbers, not by a single one.
var indexVector = check{
	name:   "positions",
	advice: "gather by an INT32 vector of one position and reshape, or use STRIDED_SLICE",
	fault: func(o *operation) fault {
		if t := o.input(1); t != nil && (t.Type != schema.TensorTypeINT32 || len(t.Shape) == 0) {
			return faultf(t, "positions are %s with %d dimensions, taken is INT32 with at least one", t.Type, len(t.Shape))
		}
		return fault{}
	},
}

// int32Index: the index is a 32-bit number.
var int32Index = check{
	name:   "type",
	advice: "ask for INT32 indices",
	fault: func(o *operation) fault {
		if y := o.y(); y != nil && y.Type != schema.TensorTypeINT32 {
			return faultf(y, "the output is %s, taken is INT32", y.Type)
		}
		return fault{}
	},
}

var undilated = check{
	name:   "dilation",
	advice: "the CPU runs it",
	fault: func(o *operation) fault {
		if w, ok := o.Window(); ok && w.Dilation != [2]int{1, 1} {
			return faultf(nil, "dilation %s, taken is 1x1", dims(w.Dilation[:]))
		}
		return fault{}
	},
}

// flatDense: FULLY_CONNECTED gives two dimensions.
var flatDense = check{
	name:   "keep_num_dims",
	advice: "reshape before and after the op",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.FullyConnectedOptionsT); ok && p.KeepNumDims {
			return faultf(nil, "the output keeps the input's dimensions")
		}
		return fault{}
	},
}

// oldProduct: MUL version 3 is taken only if the application names an
// accelerator.
var oldProduct = check{
	name:     "version",
	advice:   "widen the output's range, so that version 2 is enough; conversion for this target does",
	severity: Warning,
	fault: func(o *operation) fault {
		if o.Version == 3 {
			return faultf(nil, "version 3 is taken only if the application names an accelerator")
		}
		return fault{}
	},
}

// poolArea: a pooling window is not too large.
func poolArea(hi int) check {
	return check{
		name:   "window",
		advice: "use MEAN, or pool in two steps",
		fault: func(o *operation) fault {
			if w, ok := o.Window(); ok && o.x() != nil && integer(o.x()) && w.Kernel[0]*w.Kernel[1] > hi {
				return faultf(nil, "window %s has more than %d elements", dims(w.Kernel[:]), hi)
			}
			return fault{}
		},
	}
}

// noScalar: the output has dimensions.
var noScalar = check{
	name:   "scalar",
	advice: "keep the reduced dimensions",
	fault: func(o *operation) fault {
		if y := o.y(); y != nil && len(y.Shape) == 0 {
			return faultf(y, "the output is a scalar")
		}
		return fault{}
	},
}

// innerAxis: PACK and UNPACK do not work along the last dimension.
var innerAxis = check{
	name:   "axis",
	advice: "transpose, or pack along another dimension",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil {
			return fault{}
		}
		switch p := o.Options.(type) {
		case *schema.PackOptionsT:
			if int(p.Axis) == -1 || int(p.Axis) == len(x.Shape) {
				return faultf(nil, "axis %d is the last dimension", p.Axis)
			}
		case *schema.UnpackOptionsT:
			if int(p.Axis) == -1 || int(p.Axis) == len(x.Shape)-1 {
				return faultf(nil, "axis %d is the last dimension", p.Axis)
			}
		}
		return fault{}
	},
}

// noCrops: BATCH_TO_SPACE_ND crops nothing.
var noCrops = check{
	name:   "crops",
	advice: "slice after the op",
	fault: func(o *operation) fault {
		crops, _ := o.ints(2)
		for _, c := range crops {
			if c != 0 {
				return faultf(nil, "crops %v, taken are zeros", crops)
			}
		}
		return fault{}
	},
}
