package ref

import (
	"math"

	"dfq/schema"
)

// ops has a row for every operator that can be evaluated.
//
// prepare, where set, computes once what a kernel needs of an op's constants.
// It gets nil for inputs that are no constants and may return nil; the kernel
// finds the result in call.prepared.
//
// sums says that the kernel calls call.sums.
var ops = [...]struct {
	kernel  kernel
	prepare func(constants []*value) any
	sums    bool
}{
	// Weighted sums
	schema.BuiltinOperatorCONV_2D:           {kernel: conv2D, prepare: prepareDense, sums: true},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {kernel: depthwiseConv2D, sums: true},
	schema.BuiltinOperatorFULLY_CONNECTED:   {kernel: fullyConnected, prepare: prepareDense, sums: true},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {kernel: transposeConv, prepare: prepareDeconv, sums: true},
	schema.BuiltinOperatorBATCH_MATMUL:      {kernel: batchMatMul, sums: true},

	// Elementwise, two operands
	schema.BuiltinOperatorADD:                {kernel: arithmetic(addRow, func(a, b int64) int64 { return a + b })},
	schema.BuiltinOperatorSUB:                {kernel: arithmetic(subRow, func(a, b int64) int64 { return a - b })},
	schema.BuiltinOperatorMUL:                {kernel: arithmetic(mulRow, func(a, b int64) int64 { return a * b })},
	schema.BuiltinOperatorDIV:                {kernel: arithmetic(rows(func(a, b float32) float32 { return a / b }), quotient)},
	schema.BuiltinOperatorMAXIMUM:            {kernel: arithmetic(rows(maximum[float32]), maximum[int64])},
	schema.BuiltinOperatorMINIMUM:            {kernel: arithmetic(rows(minimum[float32]), minimum[int64])},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {kernel: arithmetic(rows(squaredDifference[float32]), squaredDifference[int64])},
	schema.BuiltinOperatorPOW:                {kernel: arithmetic(rows(math2(math.Pow)), integerPower)},
	schema.BuiltinOperatorATAN2:              {kernel: arithmetic(rows(math2(math.Atan2)), nil)},
	schema.BuiltinOperatorFLOOR_DIV:          {kernel: arithmetic(rows(math2(func(a, b float64) float64 { return math.Floor(a / b) })), floorQuotient)},
	schema.BuiltinOperatorFLOOR_MOD:          {kernel: arithmetic(rows(math2(floorModulo)), floorRemainder)},
	schema.BuiltinOperatorBITWISE_XOR:        {kernel: arithmetic(nil, func(a, b int64) int64 { return a ^ b })},
	schema.BuiltinOperatorRIGHT_SHIFT:        {kernel: arithmetic(nil, rightShift)},
	schema.BuiltinOperatorADD_N:              {kernel: addN},
	schema.BuiltinOperatorPRELU:              {kernel: arithmetic(preluRow, nil)},
	schema.BuiltinOperatorEQUAL:              {kernel: comparison(equal[float32], equal[int64])},
	schema.BuiltinOperatorNOT_EQUAL:          {kernel: comparison(notEqual[float32], notEqual[int64])},
	schema.BuiltinOperatorLESS:               {kernel: comparison(less[float32], less[int64])},
	schema.BuiltinOperatorLESS_EQUAL:         {kernel: comparison(lessEqual[float32], lessEqual[int64])},
	schema.BuiltinOperatorGREATER:            {kernel: comparison(greater[float32], greater[int64])},
	schema.BuiltinOperatorGREATER_EQUAL:      {kernel: comparison(greaterEqual[float32], greaterEqual[int64])},
	schema.BuiltinOperatorLOGICAL_AND:        {kernel: comparison(nil, func(a, b int64) bool { return a != 0 && b != 0 })},
	schema.BuiltinOperatorLOGICAL_OR:         {kernel: comparison(nil, func(a, b int64) bool { return a != 0 || b != 0 })},

	// Elementwise, one operand
	schema.BuiltinOperatorRELU:         {kernel: clamp(0, inf)},
	schema.BuiltinOperatorRELU6:        {kernel: clamp(0, 6)},
	schema.BuiltinOperatorRELU_N1_TO_1: {kernel: clamp(-1, 1)},
	schema.BuiltinOperatorRELU_0_TO_1:  {kernel: clamp(0, 1)},
	schema.BuiltinOperatorLEAKY_RELU:   {kernel: leakyReLU},
	schema.BuiltinOperatorELU:          {kernel: unary(elu, nil)},
	schema.BuiltinOperatorGELU:         {kernel: gelu},
	schema.BuiltinOperatorHARD_SWISH:   {kernel: unary(hardSwish, nil)},
	schema.BuiltinOperatorLOGISTIC:     {kernel: unary(logistic, nil)},
	schema.BuiltinOperatorTANH:         {kernel: unary(math1(math.Tanh), nil)},
	schema.BuiltinOperatorEXP:          {kernel: unary(math1(math.Exp), nil)},
	schema.BuiltinOperatorLOG:          {kernel: unary(math1(math.Log), nil)},
	schema.BuiltinOperatorSQRT:         {kernel: unary(math1(math.Sqrt), nil)},
	schema.BuiltinOperatorRSQRT:        {kernel: unary(math1(func(x float64) float64 { return 1 / math.Sqrt(x) }), nil)},
	schema.BuiltinOperatorSIN:          {kernel: unary(math1(math.Sin), nil)},
	schema.BuiltinOperatorCOS:          {kernel: unary(math1(math.Cos), nil)},
	schema.BuiltinOperatorFLOOR:        {kernel: unary(math1(math.Floor), nil)},
	schema.BuiltinOperatorCEIL:         {kernel: unary(math1(math.Ceil), nil)},
	schema.BuiltinOperatorROUND:        {kernel: unary(math1(math.RoundToEven), nil)},
	schema.BuiltinOperatorSQUARE:       {kernel: unary(square[float32], square[int64])},
	schema.BuiltinOperatorNEG:          {kernel: unary(negative[float32], negative[int64])},
	schema.BuiltinOperatorABS:          {kernel: unary(math1(math.Abs), absolute)},
	schema.BuiltinOperatorSIGN:         {kernel: unary(sign[float32], sign[int64])},
	schema.BuiltinOperatorLOGICAL_NOT:  {kernel: unary(nil, func(x int64) int64 { return 1 - x })},
	schema.BuiltinOperatorZEROS_LIKE:   {kernel: zerosLike},
	schema.BuiltinOperatorCAST:         {kernel: cast},
	schema.BuiltinOperatorQUANTIZE:     {kernel: copyReals},
	schema.BuiltinOperatorDEQUANTIZE:   {kernel: copyReals},
	schema.BuiltinOperatorFAKE_QUANT:   {kernel: fakeQuant},

	// Along an axis
	schema.BuiltinOperatorSOFTMAX:                      {kernel: softmax},
	schema.BuiltinOperatorLOG_SOFTMAX:                  {kernel: logSoftmax},
	schema.BuiltinOperatorL2_NORMALIZATION:             {kernel: l2Normalization},
	schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION: {kernel: localResponseNormalization},
	schema.BuiltinOperatorCUMSUM:                       {kernel: cumSum},
	schema.BuiltinOperatorARG_MAX:                      {kernel: argBest(greater[float32], greater[int64])},
	schema.BuiltinOperatorARG_MIN:                      {kernel: argBest(less[float32], less[int64])},
	schema.BuiltinOperatorTOPK_V2:                      {kernel: topK},
	schema.BuiltinOperatorMEAN:                         {kernel: mean},
	schema.BuiltinOperatorSUM:                          {kernel: reduce(0, sum[float64], 0, sum[int64])},
	schema.BuiltinOperatorREDUCE_PROD:                  {kernel: reduce(1, product[float64], 1, product[int64])},
	schema.BuiltinOperatorREDUCE_MAX:                   {kernel: reduce(math.Inf(-1), maximum[float64], math.MinInt64, maximum[int64])},
	schema.BuiltinOperatorREDUCE_MIN:                   {kernel: reduce(math.Inf(1), minimum[float64], math.MaxInt64, minimum[int64])},
	schema.BuiltinOperatorREDUCE_ANY:                   {kernel: reduce(0, nil, 0, func(a, x int64) int64 { return a | x })},
	schema.BuiltinOperatorREDUCE_ALL:                   {kernel: reduce(0, nil, 1, func(a, x int64) int64 { return a & x })},

	// Sliding windows
	schema.BuiltinOperatorAVERAGE_POOL_2D: {kernel: averagePool},
	schema.BuiltinOperatorMAX_POOL_2D:     {kernel: maxPool},
	schema.BuiltinOperatorL2_POOL_2D:      {kernel: l2Pool},

	// Moving data
	schema.BuiltinOperatorRESHAPE:              {kernel: reshape},
	schema.BuiltinOperatorSQUEEZE:              {kernel: squeeze},
	schema.BuiltinOperatorEXPAND_DIMS:          {kernel: expandDims},
	schema.BuiltinOperatorTRANSPOSE:            {kernel: transpose},
	schema.BuiltinOperatorREVERSE_V2:           {kernel: reverse},
	schema.BuiltinOperatorREVERSE_SEQUENCE:     {kernel: reverseSequence},
	schema.BuiltinOperatorPAD:                  {kernel: pad},
	schema.BuiltinOperatorPADV2:                {kernel: pad},
	schema.BuiltinOperatorMIRROR_PAD:           {kernel: mirrorPad},
	schema.BuiltinOperatorCONCATENATION:        {kernel: concatenation},
	schema.BuiltinOperatorPACK:                 {kernel: pack},
	schema.BuiltinOperatorUNPACK:               {kernel: unpack},
	schema.BuiltinOperatorSPLIT:                {kernel: split},
	schema.BuiltinOperatorSPLIT_V:              {kernel: splitV},
	schema.BuiltinOperatorSLICE:                {kernel: slice},
	schema.BuiltinOperatorSTRIDED_SLICE:        {kernel: stridedSlice},
	schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE: {kernel: dynamicUpdateSlice},
	schema.BuiltinOperatorTILE:                 {kernel: tile},
	schema.BuiltinOperatorBROADCAST_TO:         {kernel: broadcastTo},
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:    {kernel: spaceToBatch},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:    {kernel: batchToSpace},
	schema.BuiltinOperatorSPACE_TO_DEPTH:       {kernel: spaceToDepth},
	schema.BuiltinOperatorDEPTH_TO_SPACE:       {kernel: depthToSpace},

	// Picking by index
	schema.BuiltinOperatorGATHER:           {kernel: gather},
	schema.BuiltinOperatorEMBEDDING_LOOKUP: {kernel: embeddingLookup},
	schema.BuiltinOperatorGATHER_ND:        {kernel: gatherND},
	schema.BuiltinOperatorSCATTER_ND:       {kernel: scatterND},
	schema.BuiltinOperatorSPARSE_TO_DENSE:  {kernel: sparseToDense},
	schema.BuiltinOperatorMATRIX_DIAG:      {kernel: matrixDiag},
	schema.BuiltinOperatorMATRIX_SET_DIAG:  {kernel: matrixSetDiag},
	schema.BuiltinOperatorONE_HOT:          {kernel: oneHot},
	schema.BuiltinOperatorSELECT:           {kernel: selectV1},
	schema.BuiltinOperatorSELECT_V2:        {kernel: selectV2},
	schema.BuiltinOperatorWHERE:            {kernel: where},
	schema.BuiltinOperatorSEGMENT_SUM:      {kernel: segmentSum},

	// Making tensors
	schema.BuiltinOperatorFILL:           {kernel: fill},
	schema.BuiltinOperatorRANGE:          {kernel: rangeOf},
	schema.BuiltinOperatorSHAPE:          {kernel: shape},
	schema.BuiltinOperatorRANK:           {kernel: rank},
	schema.BuiltinOperatorBROADCAST_ARGS: {kernel: broadcastArgs},

	// Running other graphs
	schema.BuiltinOperatorIF:    {kernel: branch},
	schema.BuiltinOperatorWHILE: {kernel: while},

	// Resizing images
	schema.BuiltinOperatorRESIZE_BILINEAR:         {kernel: resizeBilinear},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {kernel: resizeNearest},

	// Detection
	schema.BuiltinOperatorNON_MAX_SUPPRESSION_V4: {kernel: nonMaxSuppressionV4},
	schema.BuiltinOperatorNON_MAX_SUPPRESSION_V5: {kernel: nonMaxSuppressionV5},
}
