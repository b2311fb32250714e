package dfq

import (
	"math"
	"reflect"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// opSpec says everything package dfq knows about one operator.
//
// Which operands carry real values needs no column: in a float graph they are
// those of type FLOAT32. Shapes, axes and indices are integers.
type opSpec struct {
	versions []version // operator version to write for int8: the first whose condition holds
	filter   *filter   // where weights and bias are; nil for an op without weights
	scale    scaleRule // how the output's scale is found
	atLeast  func(*tflite.Op) float32

	// channels ties the channel scales of equalization that the op passes on;
	// nil or false: it passes none.
	channels func(*channelScales, *tflite.Op) bool
}

// version is an operator version, the first runtime that has it, and when it
// applies (nil: always).
type version struct {
	number  int
	runtime string
	when    func(*tflite.Op) bool
}

// filter locates the operands of a weighted op and the channel axes of its
// weights.
type filter struct {
	input, weights, bias int // operand positions
	out, in              int // axes of the weights; in < 0: depthwise, input channel = output channel / multiplier

	// perTensor: kernels up to newestRuntime read one weight scale only, and
	// silently compute nonsense from more.
	perTensor bool
}

var (
	conv          = &filter{input: 0, weights: 1, bias: 2, out: 0, in: 3}
	depthwise     = &filter{input: 0, weights: 1, bias: 2, out: 3, in: -1}
	dense         = &filter{input: 0, weights: 1, bias: 2, out: 0, in: 1, perTensor: true}
	transposeConv = &filter{input: 2, weights: 1, bias: 3, out: 0, in: 3}
)

// scaleRule is how the scale of an op's real outputs is found.
type scaleRule struct {
	kind   scaleKind
	params affine.Params // for fixed
}

type scaleKind int

const (
	freeScale  scaleKind = iota // from the output's own range
	sameScale                   // all real inputs and outputs share one
	fixedScale                  // the kernel demands these parameters
)

var (
	free = scaleRule{kind: freeScale}
	same = scaleRule{kind: sameScale}
)

func fixed(scale float32, zero int32) scaleRule {
	return scaleRule{fixedScale, affine.Params{Scale: scale, Zero: zero}}
}

// v is one unconditional version.
func v(number int, runtime string) []version { return []version{{number: number, runtime: runtime}} }

// ops is the table. A missing row is the zero row: no int8 form.
//
// Versions and runtimes: the version and runtime tables of the public LiteRT
// sources; scale rules: the INT8 quantization specification and the kernels'
// own checks.
var ops = [...]opSpec{
	schema.BuiltinOperatorCONV_2D:           {versions: []version{{6, "2.9.0", grouped}, {3, "1.14.0", nil}}, filter: conv},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {versions: v(3, "1.14.0"), filter: depthwise},
	schema.BuiltinOperatorFULLY_CONNECTED:   {versions: []version{{5, "2.0.0", keepsDims}, {4, "1.14.0", nil}}, filter: dense},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {versions: []version{{4, "2.13.0", fusedActivation}, {3, "2.3.0", nil}}, filter: transposeConv},
	schema.BuiltinOperatorBATCH_MATMUL:      {versions: v(2, "2.3.0"), scale: free},

	schema.BuiltinOperatorADD:                {versions: v(2, "1.14.0"), scale: free, atLeast: addStep, channels: passThrough},
	schema.BuiltinOperatorSUB:                {versions: []version{{3, "2.3.0", wide}, {2, "1.14.0", nil}}, scale: free, atLeast: addStep, channels: passThrough},
	schema.BuiltinOperatorMUL:                {versions: []version{{3, "1.15.0", growingProduct}, {2, "1.14.0", nil}}, scale: free, channels: gated},
	schema.BuiltinOperatorDIV:                {versions: []version{{2, "2.3.0", wide}, {1, "1.6.0", nil}}, scale: free},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {versions: v(2, "2.5.0"), scale: free},

	schema.BuiltinOperatorAVERAGE_POOL_2D: {versions: v(2, "1.14.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorMAX_POOL_2D:     {versions: v(2, "1.14.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorMEAN:            {versions: v(2, "1.14.0"), scale: free, channels: reducedSpace},
	schema.BuiltinOperatorSUM:             {versions: v(2, "1.15.0"), scale: free, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_MAX:      {versions: v(2, "1.14.0"), scale: same, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_MIN:      {versions: v(2, "1.14.0"), scale: same, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_PROD:     {versions: v(2, "2.6.0"), scale: free},

	schema.BuiltinOperatorRELU:             {versions: v(2, "2.1.0"), scale: free, channels: passThrough},
	schema.BuiltinOperatorRELU6:            {versions: v(2, "1.14.0"), scale: free},
	schema.BuiltinOperatorRELU_N1_TO_1:     {versions: v(1, "1.5.0"), scale: free},
	schema.BuiltinOperatorRELU_0_TO_1:      {versions: v(1, "2.10.0"), scale: free},
	schema.BuiltinOperatorLEAKY_RELU:       {versions: v(2, "2.3.0"), scale: free, channels: passThrough},
	schema.BuiltinOperatorPRELU:            {versions: v(1, "1.8.0"), scale: free, channels: passThrough},
	schema.BuiltinOperatorELU:              {versions: v(1, "1.14.0"), scale: free},
	schema.BuiltinOperatorHARD_SWISH:       {versions: v(1, "1.15.0"), scale: free, atLeast: hardSwishStep},
	schema.BuiltinOperatorGELU:             {versions: v(2, "2.9.0"), scale: free},
	schema.BuiltinOperatorABS:              {versions: v(2, "2.4.0"), scale: free},
	schema.BuiltinOperatorRSQRT:            {versions: v(2, "2.5.0"), scale: free},
	schema.BuiltinOperatorEXP:              {versions: v(2, "2.12.0"), scale: free},
	schema.BuiltinOperatorLOG:              {versions: v(2, "2.15.0"), scale: free},
	schema.BuiltinOperatorSQRT:             {versions: v(2, "2.21.0"), scale: free},
	schema.BuiltinOperatorLOGISTIC:         {versions: v(2, "1.14.0"), scale: fixed(1./256, -128)},
	schema.BuiltinOperatorSOFTMAX:          {versions: v(2, "1.14.0"), scale: fixed(1./256, -128)},
	schema.BuiltinOperatorTANH:             {versions: v(2, "1.14.0"), scale: fixed(1./128, 0)},
	schema.BuiltinOperatorLOG_SOFTMAX:      {versions: v(2, "1.14.0"), scale: fixed(16./256, 127)},
	schema.BuiltinOperatorL2_NORMALIZATION: {versions: v(2, "1.14.0"), scale: fixed(1./128, 0)},

	schema.BuiltinOperatorCONCATENATION: {versions: v(2, "1.14.0"), scale: same, channels: stacked},
	schema.BuiltinOperatorPACK:          {versions: v(2, "1.14.0"), scale: same},
	schema.BuiltinOperatorUNPACK:        {versions: v(2, "1.14.0"), scale: same},
	schema.BuiltinOperatorSPLIT:         {versions: v(2, "1.14.0"), scale: same},
	schema.BuiltinOperatorSPLIT_V:       {versions: v(2, "2.3.0"), scale: same},
	schema.BuiltinOperatorMAXIMUM:       {versions: []version{{3, "2.3.0", wide}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorMINIMUM:       {versions: []version{{3, "2.3.0", wide}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorSELECT:        {versions: v(1, "1.14.0"), scale: same},
	schema.BuiltinOperatorSELECT_V2:     {versions: v(1, "2.2.0"), scale: same},

	schema.BuiltinOperatorPAD:                     {versions: []version{{4, "2.8.0", wide}, {2, "1.14.0", nil}}, scale: same, channels: paddedZeros},
	schema.BuiltinOperatorPADV2:                   {versions: []version{{4, "2.8.0", wide}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorMIRROR_PAD:              {versions: v(2, "2.3.0"), scale: same},
	schema.BuiltinOperatorRESHAPE:                 {versions: v(1, "1.5.0"), scale: same, channels: flattened},
	schema.BuiltinOperatorSQUEEZE:                 {versions: v(1, "1.6.0"), scale: same, channels: flattened},
	schema.BuiltinOperatorEXPAND_DIMS:             {versions: v(1, "1.10.0"), scale: same},
	schema.BuiltinOperatorTRANSPOSE:               {versions: []version{{6, "2.12.0", rank(6)}, {4, "2.5.0", rank(5)}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorSLICE:                   {versions: []version{{5, "2.8.0", wide}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorSTRIDED_SLICE:           {versions: []version{{6, "2.8.0", masked}, {4, "2.5.0", wide}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorGATHER:                  {versions: []version{{5, "2.5.0", batchedGather}, {2, "1.14.0", nil}}, scale: same},
	schema.BuiltinOperatorGATHER_ND:               {versions: v(1, "1.14.0"), scale: same},
	schema.BuiltinOperatorSCATTER_ND:              {versions: v(1, "2.1.0"), scale: same},
	schema.BuiltinOperatorTILE:                    {versions: v(3, "2.8.0"), scale: same},
	schema.BuiltinOperatorBROADCAST_TO:            {versions: v(3, "2.5.0"), scale: same},
	schema.BuiltinOperatorFILL:                    {versions: v(3, "2.5.0"), scale: same},
	schema.BuiltinOperatorREVERSE_V2:              {versions: v(3, "2.5.0"), scale: same},
	schema.BuiltinOperatorRESIZE_BILINEAR:         {versions: []version{{3, "2.2.0", halfPixel}, {2, "1.14.0", nil}}, scale: same, channels: overSpace},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {versions: []version{{3, "2.3.0", shiftedPixels}, {2, "1.14.0", nil}}, scale: same, channels: overSpace},
	schema.BuiltinOperatorSPACE_TO_DEPTH:          {versions: v(2, "1.14.0"), scale: same},
	schema.BuiltinOperatorDEPTH_TO_SPACE:          {versions: v(2, "2.5.0"), scale: same},
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:       {versions: []version{{3, "2.3.0", notImage}, {2, "1.14.0", nil}}, scale: same, channels: overSpace},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:       {versions: []version{{3, "2.3.0", notImage}, {2, "1.14.0", nil}}, scale: same, channels: overSpace},

	schema.BuiltinOperatorARG_MAX:       {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorARG_MIN:       {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorTOPK_V2:       {versions: v(2, "1.14.0"), scale: same},
	schema.BuiltinOperatorEQUAL:         {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorNOT_EQUAL:     {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorGREATER:       {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorGREATER_EQUAL: {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorLESS:          {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorLESS_EQUAL:    {versions: v(2, "1.14.0")},
	schema.BuiltinOperatorSHAPE:         {versions: v(1, "1.10.0")},
	schema.BuiltinOperatorRANK:          {versions: v(1, "1.14.0")},
}

// spec returns op's row, the zero row if it has none.
func spec(op *tflite.Op) *opSpec {
	if int(op.Code) < 0 || int(op.Code) >= len(ops) {
		return &opSpec{}
	}
	return &ops[op.Code]
}

// version returns the row's version for op, the zero version if none applies.
func (s *opSpec) version(op *tflite.Op) version {
	for _, v := range s.versions {
		if v.when == nil || v.when(op) {
			return v
		}
	}
	return version{}
}

// Conditions of versions. They read shapes, options and assigned scales.

func grouped(op *tflite.Op) bool {
	in, w := op.Inputs[0].Shape, op.Inputs[1].Shape
	return len(in) == 4 && len(w) == 4 && in[3] != w[3]
}

func keepsDims(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.FullyConnectedOptionsT)
	return ok && o.KeepNumDims
}

func fusedActivation(op *tflite.Op) bool {
	return activation(op) != schema.ActivationFunctionTypeNONE
}

// wide holds where some operand has more than four dimensions.
func wide(op *tflite.Op) bool { return maxRank(op) > 4 }

func rank(n int) func(*tflite.Op) bool {
	return func(op *tflite.Op) bool { return maxRank(op) == n }
}

func maxRank(op *tflite.Op) int {
	r := 0
	for _, t := range op.Inputs {
		if t != nil {
			r = max(r, len(t.Shape))
		}
	}
	return r
}

func notImage(op *tflite.Op) bool { return len(op.Inputs[0].Shape) != 4 }

// growingProduct holds where MUL's rescaling factor is 1 or more, which the
// first int8 version of the kernel cannot express.
func growingProduct(op *tflite.Op) bool {
	a, b, o := op.Inputs[0].Quant, op.Inputs[1].Quant, op.Outputs[0].Quant
	return a != nil && b != nil && o != nil &&
		float64(a.Scale[0])*float64(b.Scale[0]) >= float64(o.Scale[0])
}

func masked(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.StridedSliceOptionsT)
	return ok && (o.EllipsisMask != 0 || o.NewAxisMask != 0)
}

func batchedGather(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.GatherOptionsT)
	return ok && o.BatchDims != 0
}

func halfPixel(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.ResizeBilinearOptionsT)
	return ok && o.HalfPixelCenters
}

func shiftedPixels(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.ResizeNearestNeighborOptionsT)
	return ok && (o.HalfPixelCenters || o.AlignCorners)
}

// Smallest output scales that kernels can express.

// addStep: ADD and SUB shift their inputs left by 20 bits and scale down by a
// factor that must stay below one; the kernel aborts the process otherwise.
func addStep(op *tflite.Op) float32 {
	s := float32(0)
	for _, t := range op.Inputs {
		if t.Quant != nil {
			s = max(s, t.Quant.Scale[0])
		}
	}
	return s / (1 << 18)
}

// hardSwishStep: HARD_SWISH works on inputs of seven more bits and can only
// scale down from there.
func hardSwishStep(op *tflite.Op) float32 {
	if q := op.Inputs[0].Quant; q != nil {
		return q.Scale[0] / 127
	}
	return 0
}

// activation returns op's fused activation, NONE where the op can have none.
func activation(op *tflite.Op) schema.ActivationFunctionType {
	if a := activationField(op.Options); a != nil {
		return *a
	}
	return schema.ActivationFunctionTypeNONE
}

// activationField points at the fused activation inside an options struct.
func activationField(options any) *schema.ActivationFunctionType {
	switch o := options.(type) {
	case *schema.Conv2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.DepthwiseConv2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.FullyConnectedOptionsT:
		return &o.FusedActivationFunction
	case *schema.TransposeConvOptionsT:
		return &o.FusedActivationFunction
	case *schema.AddOptionsT:
		return &o.FusedActivationFunction
	case *schema.SubOptionsT:
		return &o.FusedActivationFunction
	case *schema.MulOptionsT:
		return &o.FusedActivationFunction
	case *schema.DivOptionsT:
		return &o.FusedActivationFunction
	case *schema.Pool2DOptionsT:
		return &o.FusedActivationFunction
	case *schema.ConcatenationOptionsT:
		return &o.FusedActivationFunction
	case *schema.L2NormOptionsT:
		return &o.FusedActivationFunction
	}
	return nil
}

// withActivation returns a copy of an options struct with another fused
// activation. Options are shared between clones, so they are never written to.
func withActivation(options any, act schema.ActivationFunctionType) any {
	c := reflect.New(reflect.TypeOf(options).Elem())
	c.Elem().Set(reflect.ValueOf(options).Elem())
	*activationField(c.Interface()) = act
	return c.Interface()
}

// clamp returns the interval of a fused activation, ±Inf where it has no bound.
func clamp(act schema.ActivationFunctionType) (lo, hi float64) {
	switch act {
	case schema.ActivationFunctionTypeRELU:
		return 0, math.Inf(1)
	case schema.ActivationFunctionTypeRELU6:
		return 0, 6
	case schema.ActivationFunctionTypeRELU_N1_TO_1:
		return -1, 1
	}
	return math.Inf(-1), math.Inf(1)
}
