package dfq

import (
	"math"
	"slices"
	"strings"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// opSpec says everything package dfq knows about one operator.
//
// Which operands carry real values needs no column: in a float graph they are
// those of type FLOAT32. Shapes, axes and indices are integers.
type opSpec struct {
	takes    string    // operands, see operands.go
	versions []version // operator version to write for int8: the first whose condition holds
	int16    []version // likewise for int16 activations; nil: no kernel takes them
	filter   *filter   // where weights and bias are; nil for an op without weights
	scale    scaleRule // how the output's scale is found

	// atLeast is the least scale of the output that the kernel can express.
	atLeast func(affine.Grid, *tflite.Op) float32

	// holds is what the output's range must hold, where a kernel wraps around
	// instead of saturating.
	holds func(affine.Grid, *tflite.Op) Range
	// centred: the kernel writes raw zeros, so the output's zero point must be 0.
	centred bool
	// reads are the least scale of an input at which the kernel is exact to a
	// step, and the scale from which on it ends the process. Zero: any scale.
	reads [2]float32

	// anyScale returns the options with which the int16 kernel takes scales that
	// are no powers of two; nil: it does by itself.
	anyScale func(options any) any

	// channels links the channels of the op's outputs to those of its inputs, where a
	// positive factor passes from one to the other; nil: it passes none.
	channels func(*tflite.Op) []channelLink

	// reorder returns what changes in the op, beside its operands, where their axes are
	// put in another order, see islands. nil, as a column or returned: it works in no other.
	reorder func(s *islands, op *tflite.Op) (change func())

	// line is the op as scale·x + shift of its one operand x where the other is a number k,
	// the first operand or not; not finite where it is no line. nil: it never is.
	line func(k float64, first bool) (scale, shift float64)

	// noise is by what the variance of noise in a channel of input k is multiplied;
	// nil: values that are only moved keep it, functions of a value have their slope.
	noise func(j *job, op *tflite.Op, k int) func(channel int) float64

	// saturates is the range of input k outside of which what is looked at of the output
	// stays the same, to less than a step. nil: there is none.
	saturates func(s *saturated, op *tflite.Op, k int) Range
	// clip is what is left of the range of one operand where the other, of a range as
	// well, bounds it; nil: none bounds another.
	clip func(r, by Range) Range

	sum       bool  // it adds two operands, or subtracts
	product   bool  // it multiplies two operands
	matrices  bool  // it multiplies two matrices
	reshapes  bool  // it gives its first input another shape and does nothing else
	shapeOnly bool  // no value counts for it, only the shapes of its inputs
	magnifies []int // inputs whose small differences near 0 become large ones

	fuses      bool                          // all its int8 kernels know a fused activation
	activation schema.ActivationFunctionType // the fused one that the op is by itself; NONE: none

	// stays says why an op stays float although kernels with int8 tensors exist.
	stays string
	// wholeSequence: one run sees all steps of a sequence; variables start at zero, as
	// they do here.
	wholeSequence bool
}

// version is an operator version, the first runtime that has it, and when it
// applies (nil: always).
type version struct {
	number  int
	runtime string
	when    func(*tflite.Op) bool
}

// scaleRule is how the scale of an op's real outputs is found.
type scaleRule struct {
	kind   scaleKind
	params affine.Params // for fixed: of int8
}

// on returns the parameters that the kernel of a fixed rule demands. All int16
// kernels that demand any have an output of [−1, 1).
func (r scaleRule) on(g affine.Grid) affine.Params {
	if g == affine.Int16 {
		return affine.Params{Scale: 1. / 32768}
	}
	return r.params
}

type scaleKind int

const (
	freeScale  scaleKind = iota // from the output's own range
	sameScale                   // all real inputs and outputs share one
	fixedScale                  // the kernel demands its own
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
// own checks. Where an int16 kernel came without a version of its own, the
// runtime is one that surely has it.
var ops = [...]opSpec{
	schema.BuiltinOperatorCONV_2D:           {takes: "vvv?>v", versions: []version{{6, "2.10.0", grouped}, {3, "1.14.0", nil}}, int16: []version{{6, "2.10.0", grouped}, {4, "2.3.0", nil}}, filter: conv, fuses: true},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {takes: "vvv?>v", versions: v(3, "1.14.0"), int16: v(5, "2.3.0"), filter: depthwise, fuses: true},
	schema.BuiltinOperatorFULLY_CONNECTED:   {takes: "vvv?>v", versions: []version{{5, "2.0.0", keepsDims}, {4, "1.14.0", nil}}, int16: v(7, "2.3.0"), filter: dense, fuses: true},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {takes: "ivvv?>v", versions: v(3, "2.3.0"), int16: v(3, "2.4.0"), filter: transposeConv}, // "normalize" leaves no activation in it
	schema.BuiltinOperatorBATCH_MATMUL:      {takes: "vv>v", versions: v(2, "2.3.0"), int16: v(3, "2.4.0"), scale: free, matrices: true},

	schema.BuiltinOperatorADD:                {takes: "vv>v", versions: v(2, "1.14.0"), int16: v(3, "2.4.0"), scale: free, sum: true, atLeast: addStep, anyScale: general(func(o *schema.AddOptionsT) *bool { return &o.PotScaleInt16 }), channels: passThrough, noise: added, saturates: summand(1), fuses: true, line: plusLine, reorder: inPlace},
	schema.BuiltinOperatorSUB:                {takes: "vv>v", versions: []version{{3, "2.3.0", wideBroadcast}, {2, "1.14.0", nil}}, int16: v(5, "2.4.0"), scale: free, sum: true, atLeast: addStep, anyScale: general(func(o *schema.SubOptionsT) *bool { return &o.PotScaleInt16 }), channels: passThrough, noise: added, saturates: summand(-1), fuses: true, line: minusLine, reorder: inPlace},
	schema.BuiltinOperatorMUL:                {takes: "vv>v", versions: []version{{3, "1.15.0", growingProduct}, {2, "1.14.0", nil}}, int16: v(4, "2.3.0"), scale: free, product: true, atLeast: mulStep, channels: gated, noise: multiplied, saturates: factor, fuses: true, line: timesLine, reorder: inPlace},
	schema.BuiltinOperatorDIV:                {takes: "vv>v", versions: []version{{2, "2.13.0", wideBroadcast}, {1, "2.13.0", nil}}, scale: free, line: overLine, reorder: inPlace, magnifies: []int{1}},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {takes: "vv>v", versions: v(2, "2.5.0"), scale: free, reorder: inPlace},

	schema.BuiltinOperatorAVERAGE_POOL_2D: {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: same, channels: overSpace, noise: pooled},
	schema.BuiltinOperatorMAX_POOL_2D:     {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorMEAN:            {takes: "vi>v", versions: v(2, "1.14.0"), int16: v(3, "2.4.0"), scale: free, channels: reducedSpace, noise: averaged, reorder: reducedAxes},
	schema.BuiltinOperatorSUM:             {takes: "vi>v", versions: v(2, "1.15.0"), scale: free, holds: wholeSum, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_MAX:      {takes: "vi>v", versions: v(2, "1.14.0"), int16: v(3, "2.5.0"), scale: same, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_MIN:      {takes: "vi>v", versions: v(2, "1.14.0"), int16: v(3, "2.5.0"), scale: same, channels: reducedSpace},
	schema.BuiltinOperatorREDUCE_PROD:     {takes: "vi>v", versions: v(2, "2.6.0"), int16: v(2, "2.6.0"), scale: free},

	schema.BuiltinOperatorRELU:             {takes: "v>v", versions: v(2, "2.1.0"), int16: v(3, "2.5.0"), scale: free, channels: passThrough, saturates: flatBeyond(0, math.Inf(1)), activation: schema.ActivationFunctionTypeRELU, reorder: inPlace},
	schema.BuiltinOperatorRELU6:            {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.5.0"), scale: free, saturates: flatBeyond(0, 6), activation: schema.ActivationFunctionTypeRELU6, reorder: inPlace},
	schema.BuiltinOperatorRELU_N1_TO_1:     {takes: "v>v", versions: v(1, "1.5.0"), scale: free, saturates: flatBeyond(-1, 1), activation: schema.ActivationFunctionTypeRELU_N1_TO_1, reorder: inPlace},
	schema.BuiltinOperatorRELU_0_TO_1:      {takes: "v>v", versions: v(1, "2.10.0"), scale: free, saturates: flatBeyond(0, 1), reorder: inPlace},
	schema.BuiltinOperatorLEAKY_RELU:       {takes: "v>v", versions: v(1, "2.3.0"), int16: v(2, "2.3.0"), scale: free, channels: passThrough, reorder: inPlace},
	schema.BuiltinOperatorPRELU:            {takes: "vv>v", versions: v(1, "1.8.0"), scale: free, channels: sloped, reorder: inPlace},
	schema.BuiltinOperatorELU:              {takes: "v>v", versions: v(1, "1.14.0"), scale: free, reorder: inPlace},
	schema.BuiltinOperatorHARD_SWISH:       {takes: "v>v", versions: v(1, "1.15.0"), scale: free, atLeast: hardSwishStep, saturates: flatBeyond(-3, math.Inf(1)), reorder: inPlace},
	schema.BuiltinOperatorGELU:             {takes: "v>v", versions: v(2, "2.9.0"), scale: free, reorder: inPlace},
	schema.BuiltinOperatorABS:              {takes: "v>v", versions: v(2, "2.4.0"), int16: v(3, "2.5.0"), scale: free, channels: passThrough, reorder: inPlace},
	schema.BuiltinOperatorRSQRT:            {takes: "v>v", versions: v(2, "2.5.0"), int16: v(3, "2.15.0"), scale: free, reorder: inPlace, magnifies: []int{0}},
	schema.BuiltinOperatorEXP:              {takes: "v>v", versions: v(2, "2.12.0"), int16: v(2, "2.12.0"), scale: free, reorder: inPlace},
	schema.BuiltinOperatorLOG:              {takes: "v>v", versions: v(2, "2.15.0"), int16: v(2, "2.15.0"), scale: free, reorder: inPlace, magnifies: []int{0}},
	schema.BuiltinOperatorSQRT:             {takes: "v>v", versions: v(2, "2.21.0"), int16: v(2, "2.21.0"), scale: free, reorder: inPlace},
	schema.BuiltinOperatorPOW:              {magnifies: []int{0}},
	schema.BuiltinOperatorLOGISTIC:         {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: fixed(1./256, -128), saturates: flatBeyond(-6.5, 5.5), reorder: inPlace},
	schema.BuiltinOperatorSOFTMAX:          {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: fixed(1./256, -128), saturates: belowLargest(6.5)},
	schema.BuiltinOperatorTANH:             {takes: "v>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: fixed(1./128, 0), saturates: flatBeyond(-3.5, 3.5), reorder: inPlace},
	schema.BuiltinOperatorLOG_SOFTMAX:      {takes: "v>v", versions: v(2, "1.14.0"), scale: fixed(16./256, 127), saturates: belowLargest(16)},
	schema.BuiltinOperatorL2_NORMALIZATION: {takes: "v>v", versions: v(2, "1.14.0"), scale: fixed(1./128, 0)},

	schema.BuiltinOperatorCONCATENATION: {takes: "v*>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: same, channels: stacked, reorder: joined},
	schema.BuiltinOperatorPACK:          {takes: "v*>v", versions: v(2, "1.14.0"), int16: v(3, "2.3.0"), scale: same, channels: packed},
	schema.BuiltinOperatorUNPACK:        {takes: "v>v*", versions: v(2, "1.14.0"), int16: v(4, "2.3.0"), scale: same, channels: packed},
	schema.BuiltinOperatorSPLIT:         {takes: "iv>v*", versions: v(2, "1.14.0"), int16: v(4, "2.3.0"), scale: same, channels: splits(1, 0)},
	schema.BuiltinOperatorSPLIT_V:       {takes: "vii>v*", versions: v(2, "2.3.0"), int16: v(1, "2.4.0"), scale: same, channels: splits(0, 2)},
	schema.BuiltinOperatorMAXIMUM:       {takes: "vv>v", versions: []version{{3, "2.3.0", wideBroadcast}, {2, "1.14.0", nil}}, int16: v(4, "2.3.0"), scale: same, channels: chosen, saturates: bounded(fromBelow), clip: fromBelow, reorder: inPlace},
	schema.BuiltinOperatorMINIMUM:       {takes: "vv>v", versions: []version{{3, "2.3.0", wideBroadcast}, {2, "1.14.0", nil}}, int16: v(4, "2.3.0"), scale: same, channels: chosen, saturates: bounded(fromAbove), clip: fromAbove, reorder: inPlace},
	schema.BuiltinOperatorSELECT:        {takes: "bvv>v", versions: []version{{3, "2.12.0", rank(5)}, {1, "1.14.0", nil}}, int16: []version{{3, "2.12.0", rank(5)}, {1, "1.14.0", nil}}, scale: same, channels: chosen, saturates: asOutput},
	schema.BuiltinOperatorSELECT_V2:     {takes: "bvv>v", versions: v(1, "2.2.0"), int16: v(1, "2.2.0"), scale: same, channels: chosen, saturates: asOutput},

	schema.BuiltinOperatorPAD:                     {takes: "vi>v", versions: []version{{4, "2.6.0", wide}, {2, "1.14.0", nil}}, int16: []version{{4, "2.6.0", wide}, {3, "2.4.0", nil}}, scale: same, channels: paddedZeros, reorder: bordered},
	schema.BuiltinOperatorPADV2:                   {takes: "viv>v", versions: []version{{4, "2.6.0", wide}, {2, "1.14.0", nil}}, int16: []version{{4, "2.6.0", wide}, {3, "2.4.0", nil}}, scale: same},
	schema.BuiltinOperatorMIRROR_PAD:              {takes: "vi>v", versions: v(2, "2.3.0"), int16: v(3, "2.12.0"), scale: same, channels: overSpace, reorder: bordered},
	schema.BuiltinOperatorRESHAPE:                 {takes: "vi?>v", versions: v(1, "1.5.0"), int16: v(1, "1.5.0"), scale: same, channels: flattened, saturates: asOutput, reshapes: true},
	schema.BuiltinOperatorSQUEEZE:                 {takes: "v>v", versions: v(1, "1.6.0"), int16: v(1, "1.6.0"), scale: same, channels: flattened, saturates: asOutput, reshapes: true},
	schema.BuiltinOperatorEXPAND_DIMS:             {takes: "vi>v", versions: v(1, "1.10.0"), int16: v(1, "1.10.0"), scale: same, channels: flattened, saturates: asOutput, reshapes: true},
	schema.BuiltinOperatorTRANSPOSE:               {takes: "vi>v", versions: []version{{8, "2.22.0", over(6)}, {6, "2.12.0", rank(6)}, {4, "2.3.0", rank(5)}, {2, "1.14.0", nil}}, int16: []version{{8, "2.22.0", over(6)}, {6, "2.12.0", rank(6)}, {5, "2.4.0", nil}}, scale: same, channels: permuted, saturates: asOutput},
	schema.BuiltinOperatorSLICE:                   {takes: "vii>v", versions: []version{{5, "2.5.0", wide}, {2, "1.14.0", nil}}, int16: []version{{5, "2.5.0", wide}, {4, "2.4.0", nil}}, scale: same, channels: sliced},
	schema.BuiltinOperatorSTRIDED_SLICE:           {takes: "viii>v", versions: []version{{8, "2.14.0", offset}, {6, "2.6.0", masked}, {4, "2.2.0", wide}, {2, "1.14.0", nil}}, int16: []version{{8, "2.14.0", offset}, {6, "2.6.0", masked}, {4, "2.4.0", wide}, {1, "2.4.0", nil}}, scale: same, channels: strided},
	schema.BuiltinOperatorGATHER:                  {takes: "vi>v", versions: []version{{5, "2.5.0", batchedGather}, {2, "1.14.0", nil}}, int16: []version{{5, "2.5.0", batchedGather}, {4, "2.4.0", nil}}, scale: same, channels: gathered},
	schema.BuiltinOperatorGATHER_ND:               {takes: "vi>v", versions: v(1, "1.14.0"), int16: v(3, "2.5.0"), scale: same},
	schema.BuiltinOperatorSCATTER_ND:              {takes: "ivi>v", versions: v(1, "2.1.0"), scale: same, centred: true},
	schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE:    {takes: "vvi>v", versions: []version{{2, "2.17.0", wideIndices}, {1, "2.9.0", nil}}, int16: v(4, "2.20.0"), scale: same, channels: chosen},
	schema.BuiltinOperatorEMBEDDING_LOOKUP:        {takes: "iv>v", versions: v(1, "1.13.0"), scale: same},
	schema.BuiltinOperatorONE_HOT:                 {takes: "iivv>v", versions: v(1, "1.11.0"), scale: same},
	schema.BuiltinOperatorSPARSE_TO_DENSE:         {takes: "iivv>v", versions: v(3, "1.15.0"), scale: same},
	schema.BuiltinOperatorMATRIX_DIAG:             {takes: "v>v", versions: v(1, "1.14.0"), int16: v(1, "1.14.0"), scale: same, centred: true},
	schema.BuiltinOperatorMATRIX_SET_DIAG:         {takes: "vv>v", versions: v(1, "1.14.0"), int16: v(1, "1.14.0"), scale: same},
	schema.BuiltinOperatorTILE:                    {takes: "vi>v", versions: v(3, "2.8.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorBROADCAST_TO:            {takes: "vi>v", versions: v(3, "2.5.0"), int16: v(3, "2.5.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorFILL:                    {takes: "iv>v", versions: v(3, "2.5.0"), int16: v(3, "2.5.0"), scale: same},
	schema.BuiltinOperatorREVERSE_V2:              {takes: "vi>v", versions: v(3, "2.5.0"), int16: v(1, "1.14.0"), scale: same, channels: reducedSpace},
	schema.BuiltinOperatorRESIZE_BILINEAR:         {takes: "vi>v", versions: []version{{3, "2.2.0", halfPixel}, {2, "1.14.0", nil}}, int16: v(4, "2.5.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {takes: "vi>v", versions: []version{{3, "2.3.0", shiftedPixels}, {2, "1.14.0", nil}}, int16: v(4, "2.4.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorSPACE_TO_DEPTH:          {takes: "v>v", versions: v(2, "1.14.0"), scale: same, channels: flattened, saturates: asOutput},
	schema.BuiltinOperatorDEPTH_TO_SPACE:          {takes: "v>v", versions: v(2, "2.5.0"), scale: same, channels: flattened, saturates: asOutput},
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:       {takes: "vii>v", versions: []version{{3, "2.3.0", notImage}, {2, "1.14.0", nil}}, int16: v(4, "2.12.0"), scale: same, channels: overSpace},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:       {takes: "vii>v", versions: []version{{3, "2.3.0", notImage}, {2, "1.14.0", nil}}, int16: v(4, "2.12.0"), scale: same, channels: overSpace},

	schema.BuiltinOperatorARG_MAX:       {takes: "vi>i", versions: v(2, "1.14.0")},
	schema.BuiltinOperatorARG_MIN:       {takes: "vi>i", versions: v(2, "1.14.0")},
	schema.BuiltinOperatorTOPK_V2:       {takes: "vi>vi", versions: v(2, "1.14.0"), int16: v(3, "2.13.0"), scale: same},
	schema.BuiltinOperatorEQUAL:         {takes: "vv>b", versions: v(2, "1.14.0"), int16: v(5, "2.21.0"), reads: compared},
	schema.BuiltinOperatorNOT_EQUAL:     {takes: "vv>b", versions: v(2, "1.14.0"), int16: v(4, "2.21.0"), reads: compared},
	schema.BuiltinOperatorGREATER:       {takes: "vv>b", versions: v(2, "1.14.0"), reads: compared},
	schema.BuiltinOperatorGREATER_EQUAL: {takes: "vv>b", versions: v(2, "1.14.0"), reads: compared},
	schema.BuiltinOperatorLESS:          {takes: "vv>b", versions: v(2, "1.14.0"), reads: compared},
	schema.BuiltinOperatorLESS_EQUAL:    {takes: "vv>b", versions: v(2, "1.14.0"), reads: compared},
	schema.BuiltinOperatorSHAPE:         {takes: "v>i", versions: v(1, "1.10.0"), int16: v(1, "1.10.0"), shapeOnly: true},
	schema.BuiltinOperatorRANK:          {takes: "v>i", versions: v(1, "1.14.0"), int16: v(1, "1.14.0"), shapeOnly: true},

	schema.BuiltinOperatorCAST:                         {stays: asStored},
	schema.BuiltinOperatorFLOOR_DIV:                    {stays: asStored},
	schema.BuiltinOperatorFLOOR_MOD:                    {stays: asStored},
	schema.BuiltinOperatorWHERE:                        {stays: asStored},
	schema.BuiltinOperatorUNIQUE:                       {stays: asStored},
	schema.BuiltinOperatorSVDF:                         {stays: "its int8 kernel has a 16-bit state, whose range only sequences of real inputs show"},
	schema.BuiltinOperatorLSTM:                         {stays: innerRanges},
	schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_LSTM: {stays: innerRanges, wholeSequence: true},
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_LSTM:  {stays: hybridOnly, wholeSequence: true},
	schema.BuiltinOperatorRNN:                          {stays: hybridOnly},
	schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_RNN:  {stays: hybridOnly, wholeSequence: true},
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_RNN:   {stays: hybridOnly, wholeSequence: true},
	schema.BuiltinOperatorVAR_HANDLE:                   {stays: variable},
	schema.BuiltinOperatorASSIGN_VARIABLE:              {stays: variable},
	schema.BuiltinOperatorREAD_VARIABLE:                {stays: variable},
}

// Why ops stay float that have kernels with int8 tensors.
const (
	asStored    = "its int8 kernel works on the numbers as they are stored, whatever they stand for"
	innerRanges = "its int8 kernel needs the ranges of its inner tensors, whose states only sequences of real inputs show"
	hybridOnly  = "its kernels know int8 weights, but no int8 activations"
	variable    = "a variable keeps its values from run to run, and their range is not known"
)

// kernels are the versions of the row that work on a grid.
func (s *opSpec) kernels(g affine.Grid) []version {
	if g == affine.Int16 {
		return s.int16
	}
	return s.versions
}

// canRead reports whether the row's kernels take an input of such a scale.
func (s *opSpec) canRead(scale float32) bool {
	return s.reads[1] == 0 || !(scale < s.reads[0] || scale >= s.reads[1])
}

// joins reports whether the row puts any number of inputs side by side.
func (s *opSpec) joins() bool { return strings.HasPrefix(s.takes, "v*") }

// spec returns op's row, the zero row if it has none.
func spec(op *tflite.Op) *opSpec {
	if int(op.Code) < 0 || int(op.Code) >= len(ops) {
		return &opSpec{}
	}
	return &ops[op.Code]
}

// version returns the row's version for op, the zero version if none applies.
func (s *opSpec) version(g affine.Grid, op *tflite.Op) version {
	for _, v := range s.kernels(g) {
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

// wideBroadcast holds where two operands are broadcast over more than four
// dimensions.
func wideBroadcast(op *tflite.Op) bool {
	return wide(op) && !slices.Equal(op.Inputs[0].Shape, op.Inputs[1].Shape)
}

// wide holds where some operand has more than four dimensions.
func wide(op *tflite.Op) bool { return maxRank(op) > 4 }

func rank(n int) func(*tflite.Op) bool {
	return func(op *tflite.Op) bool { return maxRank(op) == n }
}

func over(n int) func(*tflite.Op) bool {
	return func(op *tflite.Op) bool { return maxRank(op) > n }
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
	out := scaleOf(op.Outputs[0])
	return out > 0 && productStep(op) >= float64(out)
}

func masked(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.StridedSliceOptionsT)
	return ok && (o.EllipsisMask != 0 || o.NewAxisMask != 0)
}

func offset(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.StridedSliceOptionsT)
	return ok && o.Offset
}

func wideIndices(op *tflite.Op) bool { return op.Inputs[2].Type == schema.TensorTypeINT64 }

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

// Steps of sums and products, and the smallest output scales that kernels can express.

func largestStep(op *tflite.Op) float64 {
	return float64(max(scaleOf(op.Inputs[0]), scaleOf(op.Inputs[1])))
}
func productStep(op *tflite.Op) float64 {
	return float64(scaleOf(op.Inputs[0])) * float64(scaleOf(op.Inputs[1]))
}

// kernelStep is the least scale of op's first output. Kernels hold the bounds of
// a fused activation as int32 numbers of steps.
func kernelStep(g affine.Grid, op *tflite.Op) float32 {
	least := float32(0)
	if _, hi := tflite.Clamp(op.Activation()); !math.IsInf(hi, 1) {
		least = float32(hi) / (1 << 30)
	}
	if f := spec(op).atLeast; f != nil {
		least = max(least, f(g, op))
	}
	return least
}

// addStep: ADD and SUB shift their inputs left, by 15 bits in the 16-bit kernel
// and 20 in this one, and scale down by a factor that must stay below one; the
// kernel aborts the process otherwise.
func addStep(_ affine.Grid, op *tflite.Op) float32 { return float32(largestStep(op)) / (1 << 13) }

// general is for ADD and SUB, which on int16 once took scales that are powers of two
// only, and do so still unless their options say otherwise: at pot.
func general[T any](pot func(*T) *bool) func(options any) any {
	return func(options any) any {
		var c T
		if o, ok := options.(*T); ok {
			c = *o
		}
		*pot(&c) = false
		return &c
	}
}

// wholeSum: SUM adds up the numbers of its input as they are stored, and of a
// result beyond int8 keeps the lower bits.
func wholeSum(g affine.Grid, op *tflite.Op) Range {
	in, out := op.Inputs[0], op.Outputs[0]
	if scaleOf(in) == 0 || len(in.Quant.Zero) != 1 {
		return Range{}
	}
	lo, hi := g.Range(params(in.Quant))
	n := float64(in.Len()) / math.Max(1, float64(out.Len())) // summed for each output
	return Range{lo * n, hi * n}
}

// compared: a comparison brings both operands to steps of 1/256, and its
// multiplier, the scale itself, must be below one.
var compared = [2]float32{1. / 256, 1}

// mulStep: of a product of up to 2¹⁶ steps, or 2³⁰ of int16, MUL has 31 bits to
// scale it in.
func mulStep(g affine.Grid, op *tflite.Op) float32 {
	step := float32(productStep(op))
	if g == affine.Int16 {
		return step
	}
	return step / (1 << 14)
}

// hardSwishStep: HARD_SWISH works on inputs of seven more bits and can only
// scale down from there.
func hardSwishStep(_ affine.Grid, op *tflite.Op) float32 {
	return scaleOf(op.Inputs[0]) / 127
}
