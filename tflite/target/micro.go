package target

import "dfq/schema"

// micro is TFLite Micro. It looks up kernels by operator alone, whatever the
// version, and plans all memory beforehand: shapes must be known.
var micro = &target{
	name:          "tflm",
	title:         "TFLite Micro",
	source:        "tensorflow/tflite-micro: micro_mutable_op_resolver.h, micro/kernels (Prepare and Eval), August 2026",
	alone:         true,
	missing:       Error,
	missingAdvice: "replace it, or write a kernel for it: nothing else runs it, and the model fails",
	custom:        []string{"TFLite_Detection_PostProcess", "ethos-u", "CIRCULAR_BUFFER"},
	all: rule{
		types:  f32 | i8 | i16 | i32 | i64 | flag,
		checks: []check{quantized, normalScales, static, noHybrid},
	},
	rules: with(listed(
		schema.BuiltinOperatorABS,
		schema.BuiltinOperatorBROADCAST_ARGS, schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE,
		schema.BuiltinOperatorEQUAL, schema.BuiltinOperatorNOT_EQUAL, schema.BuiltinOperatorGREATER, schema.BuiltinOperatorGREATER_EQUAL,
		schema.BuiltinOperatorLESS, schema.BuiltinOperatorLESS_EQUAL,
		schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB, schema.BuiltinOperatorMUL, schema.BuiltinOperatorDIV,
		schema.BuiltinOperatorSQUARED_DIFFERENCE, schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorMINIMUM,
		schema.BuiltinOperatorRELU, schema.BuiltinOperatorRELU6, schema.BuiltinOperatorLEAKY_RELU, schema.BuiltinOperatorPRELU,

		schema.BuiltinOperatorMEAN, schema.BuiltinOperatorSUM,
		schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorSQUEEZE, schema.BuiltinOperatorSHAPE,
		schema.BuiltinOperatorPACK, schema.BuiltinOperatorUNPACK,
		schema.BuiltinOperatorSELECT_V2, schema.BuiltinOperatorREVERSE_V2,
		schema.BuiltinOperatorEMBEDDING_LOOKUP, schema.BuiltinOperatorZEROS_LIKE,
		schema.BuiltinOperatorSVDF, schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_LSTM,
	), map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorCONV_2D:           {ranks: [2]int{4, 4}, checks: []check{weightAxis(0)}},
		schema.BuiltinOperatorDEPTHWISE_CONV_2D: {ranks: [2]int{4, 4}, checks: []check{weightAxis(3)}},
		schema.BuiltinOperatorTRANSPOSE_CONV:    {ranks: [2]int{4, 4}, checks: []check{weightAxis(0)}},
		schema.BuiltinOperatorFULLY_CONNECTED:   {perTensor: Warning, checks: []check{weightAxis(0)}, source: sourceMicroDense},
		schema.BuiltinOperatorBATCH_MATMUL:      {ranks: [2]int{2, 5}},
		schema.BuiltinOperatorAVERAGE_POOL_2D:   {ranks: [2]int{4, 4}, same: Error},
		schema.BuiltinOperatorMAX_POOL_2D:       {ranks: [2]int{4, 4}, same: Error},
		schema.BuiltinOperatorREDUCE_MAX:        {types: f32 | i8, same: Error},
		schema.BuiltinOperatorREDUCE_MIN:        {types: f32 | i8, same: Error},
		schema.BuiltinOperatorREDUCE_ALL:        {types: flag},

		schema.BuiltinOperatorLOGISTIC:         {fixed: probability},
		schema.BuiltinOperatorSOFTMAX:          {fixed: probability},
		schema.BuiltinOperatorLOG_SOFTMAX:      {types: f32 | i8, fixed: logarithm},
		schema.BuiltinOperatorTANH:             {fixed: signed},
		schema.BuiltinOperatorL2_NORMALIZATION: {types: f32 | i8, ranks: rank4, fused: actNone, fixed: signed},

		schema.BuiltinOperatorCONCATENATION:           {fused: actNone, same: Error, checks: []check{count(true, 1, 10)}},
		schema.BuiltinOperatorSPLIT:                   {constant: []int{0}},
		schema.BuiltinOperatorSPLIT_V:                 {constant: []int{2}},
		schema.BuiltinOperatorPAD:                     {ranks: [2]int{0, 5}, constant: []int{1}, same: Error},
		schema.BuiltinOperatorPADV2:                   {ranks: [2]int{0, 5}, constant: []int{1}, same: Error},
		schema.BuiltinOperatorMIRROR_PAD:              {types: f32 | i8, constant: []int{1}},
		schema.BuiltinOperatorTRANSPOSE:               {types: f32 | i8 | i16, ranks: [2]int{0, 5}, constant: []int{1}},
		schema.BuiltinOperatorSLICE:                   {ranks: [2]int{0, 5}},
		schema.BuiltinOperatorSTRIDED_SLICE:           {ranks: rank4, constant: []int{1, 2, 3}},
		schema.BuiltinOperatorRESIZE_BILINEAR:         {types: f32 | i8, ranks: [2]int{4, 4}, constant: []int{1}},
		schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {types: f32 | i8 | i16, ranks: [2]int{4, 4}, constant: []int{1}},
		schema.BuiltinOperatorSPACE_TO_BATCH_ND:       {types: f32 | i8, ranks: [2]int{3, 4}},
		schema.BuiltinOperatorBATCH_TO_SPACE_ND:       {types: f32 | i8, ranks: [2]int{3, 4}},
		schema.BuiltinOperatorBROADCAST_TO:            {ranks: [2]int{0, 5}, constant: []int{1}},
		schema.BuiltinOperatorFILL:                    {constant: []int{0}},

		schema.BuiltinOperatorCAST:       {types: f32 | i8 | i16 | i32 | flag, outputs: f32 | i8 | i16 | i32},
		schema.BuiltinOperatorQUANTIZE:   {types: f32 | i8 | u8 | i16 | i32},
		schema.BuiltinOperatorDEQUANTIZE: {types: i8 | u8 | i16, outputs: f32},

		schema.BuiltinOperatorARG_MAX:        {types: f32 | i8, outputs: i32},
		schema.BuiltinOperatorARG_MIN:        {types: f32 | i8, outputs: i32},
		schema.BuiltinOperatorADD_N:          {types: f32 | i8},
		schema.BuiltinOperatorCUMSUM:         {types: f32 | i8},
		schema.BuiltinOperatorHARD_SWISH:     {types: f32 | i8},
		schema.BuiltinOperatorRSQRT:          {types: f32 | i8},
		schema.BuiltinOperatorELU:            {types: f32 | i8},
		schema.BuiltinOperatorNEG:            {types: f32},
		schema.BuiltinOperatorEXPAND_DIMS:    {types: f32 | i8 | i16},
		schema.BuiltinOperatorGATHER:         {types: f32 | i8},
		schema.BuiltinOperatorGATHER_ND:      {types: f32 | i8},
		schema.BuiltinOperatorSPACE_TO_DEPTH: {types: f32 | i8},
		schema.BuiltinOperatorDEPTH_TO_SPACE: {types: f32 | i8},

		schema.BuiltinOperatorCEIL:        {types: f32},
		schema.BuiltinOperatorFLOOR:       {types: f32},
		schema.BuiltinOperatorROUND:       {types: f32},
		schema.BuiltinOperatorEXP:         {types: f32},
		schema.BuiltinOperatorLOG:         {types: f32},
		schema.BuiltinOperatorSQRT:        {types: f32},
		schema.BuiltinOperatorSQUARE:      {types: f32},
		schema.BuiltinOperatorSIN:         {types: f32},
		schema.BuiltinOperatorCOS:         {types: f32},
		schema.BuiltinOperatorFLOOR_DIV:   {types: f32},
		schema.BuiltinOperatorFLOOR_MOD:   {types: f32},
		schema.BuiltinOperatorL2_POOL_2D:  {types: f32},
		schema.BuiltinOperatorLOGICAL_AND: {types: flag},
		schema.BuiltinOperatorLOGICAL_OR:  {types: flag},
		schema.BuiltinOperatorLOGICAL_NOT: {types: flag},

		schema.BuiltinOperatorIF:              {types: ^types(0)},
		schema.BuiltinOperatorWHILE:           {types: ^types(0)},
		schema.BuiltinOperatorCALL_ONCE:       {types: ^types(0)},
		schema.BuiltinOperatorVAR_HANDLE:      {types: ^types(0)},
		schema.BuiltinOperatorREAD_VARIABLE:   {types: ^types(0)},
		schema.BuiltinOperatorASSIGN_VARIABLE: {types: ^types(0)},
	}),
}

const sourceMicroDense = "tensorflow/tflite-micro: micro/kernels/fully_connected_common.cc, #2602"

// noHybrid: float values do not meet integer weights.
var noHybrid = check{
	name:   "hybrid",
	advice: "convert the whole op to INT8",
	fault: func(o *operation) fault {
		if x, w := o.x(), o.weights; x != nil && w != nil && x.Type == schema.TensorTypeFLOAT32 && w.Type != schema.TensorTypeFLOAT32 {
			return faultf(w, "%s weights of a float op", w.Type)
		}
		return fault{}
	},
}
