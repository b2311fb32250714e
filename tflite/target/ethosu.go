package target

import (
	"maps"

	"dfq/schema"
)

// generation tells the Ethos-U NPUs apart where their rules differ.
type generation int

const (
	u55 generation = iota // Ethos-U55 and U65
	u85
)

// sourceVela is the list that Arm's compiler writes about itself.
const sourceVela = "ethos-u-vela 5.2.0: SUPPORTED_OPS.md (vela --supported-ops-report)"

// sourceOldVela is the list of the compiler before its rewrite.
const sourceOldVela = "ethos-u-vela 3.6: SUPPORTED_OPS.md"

// ethosU is an NPU of Arm's Ethos-U family, as its compiler Vela sees it: an
// error is an op that Vela leaves to the CPU.
func ethosU(name string, g generation) *target {
	t := &target{
		name:          name,
		title:         map[string]string{"ethos-u55": "Arm Ethos-U55", "ethos-u65": "Arm Ethos-U65", "ethos-u85": "Arm Ethos-U85"}[name],
		source:        sourceVela,
		missing:       Error,
		missingAdvice: "Vela leaves it to the CPU; replace it where speed matters",
		dropsShapes:   true,
		all: rule{
			types:   i8 | u8 | i16,
			weights: i8 | u8,
			bias:    i32 | i64,
			checks:  []check{static, hasShape, velaQuantized, onlyWeightsPerChannel},
		},
		rules: map[schema.BuiltinOperator]rule{},
	}
	maps.Copy(t.rules, npuRules)
	if g == u85 {
		maps.Copy(t.rules, u85Rules)
		return t
	}
	delete(t.rules, schema.BuiltinOperatorREVERSE_V2)
	t.all.checks = append(t.all.checks, batch1.as(Warning).from(sourceOldVela), dimension(65535).as(Warning).from(sourceOldVela))
	return t
}

// wide are the element types of operators that take 32 bits too.
const wide = i8 | u8 | i16 | i32

// npuRules are those of Ethos-U55 and U65.
var npuRules = map[schema.BuiltinOperator]rule{
	schema.BuiltinOperatorCONV_2D:           {constant: []int{1, 2}, checks: []check{weightSum, biasLength, npuStride}},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {constant: []int{1, 2}, checks: []check{weightSum, biasLength, strideUpTo(3)}},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {constant: []int{0, 1, 3}, checks: []check{weightSum, biasLength, transposedShape, transposedStride}},
	schema.BuiltinOperatorFULLY_CONNECTED:   {perTensor: Warning, constant: []int{2}, checks: []check{weightSum, biasLength, denseForm}},
	schema.BuiltinOperatorBATCH_MATMUL:      {types: i8},

	schema.BuiltinOperatorADD:                {types: wide},
	schema.BuiltinOperatorSUB:                {types: wide},
	schema.BuiltinOperatorMUL:                {types: wide},
	schema.BuiltinOperatorNEG:                {types: wide},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {},
	schema.BuiltinOperatorMAXIMUM:            {same: Error},
	schema.BuiltinOperatorMINIMUM:            {same: Error},

	schema.BuiltinOperatorAVERAGE_POOL_2D: {checks: []check{averageWindow, npuStride}},
	schema.BuiltinOperatorMAX_POOL_2D:     {checks: []check{maxWindow, npuStride}},
	schema.BuiltinOperatorMEAN:            {constant: []int{1}, checks: []check{meanSize, meanBatch, meanChannels}},
	schema.BuiltinOperatorSUM:             {types: wide, constant: []int{1}},
	schema.BuiltinOperatorREDUCE_MAX:      {constant: []int{1}},
	schema.BuiltinOperatorREDUCE_MIN:      {constant: []int{1}},
	schema.BuiltinOperatorARG_MAX:         {outputs: i32 | i64, constant: []int{1}, checks: []check{argMaxDepth}},

	schema.BuiltinOperatorRELU:         {},
	schema.BuiltinOperatorRELU6:        {},
	schema.BuiltinOperatorRELU_N1_TO_1: {},
	schema.BuiltinOperatorRELU_0_TO_1:  {},
	schema.BuiltinOperatorLEAKY_RELU:   {},
	schema.BuiltinOperatorPRELU:        {},
	schema.BuiltinOperatorHARD_SWISH:   {types: i8 | u8},
	schema.BuiltinOperatorELU:          {types: i8},
	schema.BuiltinOperatorGELU:         {types: i8 | u8},
	schema.BuiltinOperatorEXP:          {},
	schema.BuiltinOperatorLOG:          {types: i8 | i16},
	schema.BuiltinOperatorRSQRT:        {types: i8 | i16},
	schema.BuiltinOperatorABS:          {},
	schema.BuiltinOperatorLOGISTIC:     {},
	schema.BuiltinOperatorTANH:         {},
	schema.BuiltinOperatorSOFTMAX:      {checks: []check{softmaxRows}},

	schema.BuiltinOperatorCONCATENATION:           {},
	schema.BuiltinOperatorPACK:                    {},
	schema.BuiltinOperatorUNPACK:                  {},
	schema.BuiltinOperatorSPLIT:                   {checks: []check{splitCount}},
	schema.BuiltinOperatorSPLIT_V:                 {checks: []check{splitCount}},
	schema.BuiltinOperatorPAD:                     {constant: []int{1}},
	schema.BuiltinOperatorPADV2:                   {constant: []int{1}},
	schema.BuiltinOperatorMIRROR_PAD:              {types: wide, constant: []int{1}},
	schema.BuiltinOperatorRESHAPE:                 {types: wide, same: Error},
	schema.BuiltinOperatorSQUEEZE:                 {types: wide, same: Error},
	schema.BuiltinOperatorEXPAND_DIMS:             {types: wide, same: Error},
	schema.BuiltinOperatorTRANSPOSE:               {types: wide, ranks: [2]int{0, 8}, constant: []int{1}, checks: []check{transposedInt32}},
	schema.BuiltinOperatorSLICE:                   {constant: []int{1, 2}},
	schema.BuiltinOperatorSTRIDED_SLICE:           {constant: []int{1, 2, 3}, checks: []check{forwardSlice}},
	schema.BuiltinOperatorTILE:                    {},
	schema.BuiltinOperatorREVERSE_V2:              {},
	schema.BuiltinOperatorRESIZE_BILINEAR:         {checks: []check{resizeFactor(2)}},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {checks: []check{resizeFactor(8)}},

	schema.BuiltinOperatorSPACE_TO_BATCH_ND: {constant: []int{1, 2}, checks: []check{dilationPair}},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND: {constant: []int{1, 2}, checks: []check{dilationPair}},

	schema.BuiltinOperatorQUANTIZE: {},
}

// u85Rules are those of Ethos-U85 where they differ.
var u85Rules = map[schema.BuiltinOperator]rule{
	schema.BuiltinOperatorCONV_2D:           {constant: []int{2}, checks: []check{weightSum, biasLength, shortBias}},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {constant: []int{2}, checks: []check{weightSum, biasLength, shortBias}},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {constant: []int{0, 1, 3}, checks: []check{weightSum, biasLength, shortBias, transposedShape}},
	schema.BuiltinOperatorFULLY_CONNECTED:   {constant: []int{2}, checks: []check{weightSum, biasLength, shortBias, denseForm}},
	schema.BuiltinOperatorBATCH_MATMUL:      {},

	schema.BuiltinOperatorDIV:                {types: wide},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {types: wide},
	schema.BuiltinOperatorMAXIMUM:            {types: wide, same: Error},
	schema.BuiltinOperatorMINIMUM:            {types: wide, same: Error},
	schema.BuiltinOperatorAVERAGE_POOL_2D:    {checks: []check{averageWindow}},
	schema.BuiltinOperatorMAX_POOL_2D:        {checks: []check{maxWindow}},
	schema.BuiltinOperatorARG_MAX:            {outputs: i32 | i64, constant: []int{1}},
	schema.BuiltinOperatorLEAKY_RELU:         {types: wide},
	schema.BuiltinOperatorABS:                {types: wide},
	schema.BuiltinOperatorCONCATENATION:      {types: wide},
	schema.BuiltinOperatorPAD:                {types: wide, constant: []int{1}},
	schema.BuiltinOperatorTRANSPOSE:          {types: wide, ranks: [2]int{0, 8}, constant: []int{1}},
	schema.BuiltinOperatorCAST:               {types: wide | flag},
	schema.BuiltinOperatorGATHER:             {checks: []check{gatherAxis}},

	schema.BuiltinOperatorEQUAL:         {outputs: flag},
	schema.BuiltinOperatorNOT_EQUAL:     {outputs: flag},
	schema.BuiltinOperatorGREATER:       {outputs: flag},
	schema.BuiltinOperatorGREATER_EQUAL: {outputs: flag},
	schema.BuiltinOperatorLESS:          {outputs: flag},
	schema.BuiltinOperatorLESS_EQUAL:    {outputs: flag},
	schema.BuiltinOperatorLOGICAL_AND:   {types: flag},
	schema.BuiltinOperatorLOGICAL_OR:    {types: flag},
	schema.BuiltinOperatorLOGICAL_NOT:   {types: flag},
	schema.BuiltinOperatorREDUCE_ALL:    {types: flag},
	schema.BuiltinOperatorREDUCE_ANY:    {types: flag},

	schema.BuiltinOperatorRESIZE_BILINEAR:         {checks: []check{powerResize, oneAlignment}},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {checks: []check{oneAlignment}},

	schema.BuiltinOperatorSELECT:          {},
	schema.BuiltinOperatorSELECT_V2:       {},
	schema.BuiltinOperatorSCATTER_ND:      {constant: []int{0, 2}},
	schema.BuiltinOperatorVAR_HANDLE:      {types: ^types(0)},
	schema.BuiltinOperatorREAD_VARIABLE:   {types: ^types(0)},
	schema.BuiltinOperatorASSIGN_VARIABLE: {types: ^types(0)},
}
