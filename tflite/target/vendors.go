package target

import "dfq/schema"

// fromFloat and toFloat are the ops between float inputs or outputs and what is
// computed, which the plugins hand to the NPU like any other.
var (
	fromFloat = rule{types: f32 | f16 | i8 | u8 | i16, outputs: i8 | u8 | i16}
	toFloat   = rule{types: i8 | u8 | i16, outputs: f32 | f16}
)

// hexagon is the HTP of Qualcomm's Hexagon NPUs, through LiteRT's compiler
// plugin for QNN. The plugin takes the operators; the QNN back end decides on
// each op once more, by rules that are not public in whole.
var hexagon = &target{
	name:          "hexagon-htp",
	title:         "Qualcomm Hexagon HTP (QNN)",
	source:        "google-ai-edge/LiteRT: litert/vendors/qualcomm/compiler/qnn_compose_graph.cc and core/builders",
	missing:       Error,
	missingAdvice: "the CPU runs it; RESHAPE can stand for SQUEEZE and EXPAND_DIMS",
	all: rule{
		types:   i8 | u8 | i16 | i32 | flag,
		weights: i8 | u8 | i4,
		bias:    i32 | i64,
		ranks:   [2]int{0, 5},
		checks:  []check{normalScales, static},
	},
	rules: with(listed(
		schema.BuiltinOperatorABS, schema.BuiltinOperatorARG_MAX, schema.BuiltinOperatorARG_MIN,
		schema.BuiltinOperatorBATCH_MATMUL, schema.BuiltinOperatorBROADCAST_TO,
		schema.BuiltinOperatorCAST, schema.BuiltinOperatorCEIL, schema.BuiltinOperatorCONV_3D, schema.BuiltinOperatorCOS,
		schema.BuiltinOperatorCUMSUM, schema.BuiltinOperatorDEPTH_TO_SPACE,
		schema.BuiltinOperatorDIV, schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE, schema.BuiltinOperatorELU,
		schema.BuiltinOperatorEMBEDDING_LOOKUP, schema.BuiltinOperatorEQUAL, schema.BuiltinOperatorEXP,
		schema.BuiltinOperatorFLOOR, schema.BuiltinOperatorFLOOR_DIV, schema.BuiltinOperatorGATHER_ND,
		schema.BuiltinOperatorGELU, schema.BuiltinOperatorGREATER, schema.BuiltinOperatorGREATER_EQUAL,
		schema.BuiltinOperatorHARD_SWISH, schema.BuiltinOperatorL2_NORMALIZATION, schema.BuiltinOperatorL2_POOL_2D,
		schema.BuiltinOperatorLEAKY_RELU, schema.BuiltinOperatorLESS, schema.BuiltinOperatorLESS_EQUAL,
		schema.BuiltinOperatorLOG, schema.BuiltinOperatorLOG_SOFTMAX, schema.BuiltinOperatorLOGICAL_AND,
		schema.BuiltinOperatorLOGICAL_NOT, schema.BuiltinOperatorLOGICAL_OR, schema.BuiltinOperatorLOGISTIC,
		schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorMEAN, schema.BuiltinOperatorMINIMUM,
		schema.BuiltinOperatorNEG, schema.BuiltinOperatorNOT_EQUAL, schema.BuiltinOperatorONE_HOT,
		schema.BuiltinOperatorPACK, schema.BuiltinOperatorPOW, schema.BuiltinOperatorPRELU,
		schema.BuiltinOperatorREDUCE_ALL, schema.BuiltinOperatorREDUCE_ANY,
		schema.BuiltinOperatorREDUCE_MAX, schema.BuiltinOperatorREDUCE_MIN, schema.BuiltinOperatorRELU_0_TO_1,
		schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorRESIZE_BILINEAR, schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR,
		schema.BuiltinOperatorROUND, schema.BuiltinOperatorRSQRT, schema.BuiltinOperatorSCATTER_ND,
		schema.BuiltinOperatorSELECT, schema.BuiltinOperatorSELECT_V2, schema.BuiltinOperatorSIGN, schema.BuiltinOperatorSIN,
		schema.BuiltinOperatorSOFTMAX, schema.BuiltinOperatorSPACE_TO_DEPTH, schema.BuiltinOperatorSQRT,
		schema.BuiltinOperatorSQUARE, schema.BuiltinOperatorSQUARED_DIFFERENCE, schema.BuiltinOperatorSUM,
		schema.BuiltinOperatorTANH, schema.BuiltinOperatorTILE, schema.BuiltinOperatorTOPK_V2,
		schema.BuiltinOperatorTRANSPOSE, schema.BuiltinOperatorUNPACK,
	), map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorCONV_2D:           {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorDEPTHWISE_CONV_2D: {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorTRANSPOSE_CONV:    {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorFULLY_CONNECTED:   {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorADD:               {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorSUB:               {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorMUL:               {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorAVERAGE_POOL_2D:   {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorMAX_POOL_2D:       {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorCONCATENATION:     {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorRELU:              {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorRELU6:             {clamped: true, source: sourceReluMinMax},
		schema.BuiltinOperatorRELU_N1_TO_1:      {clamped: true, source: sourceReluMinMax},

		schema.BuiltinOperatorQUANTIZE:          fromFloat,
		schema.BuiltinOperatorDEQUANTIZE:        toFloat,
		schema.BuiltinOperatorFLOOR_MOD:         {types: i32},
		schema.BuiltinOperatorGATHER:            {checks: []check{noBatchDims}},
		schema.BuiltinOperatorPAD:               {constant: []int{1}},
		schema.BuiltinOperatorPADV2:             {constant: []int{1, 2}},
		schema.BuiltinOperatorMIRROR_PAD:        {constant: []int{1}},
		schema.BuiltinOperatorREVERSE_V2:        {constant: []int{1}},
		schema.BuiltinOperatorSLICE:             {constant: []int{1, 2}},
		schema.BuiltinOperatorSTRIDED_SLICE:     {constant: []int{1, 2, 3}, checks: []check{sliceMasks(true, true)}},
		schema.BuiltinOperatorSPLIT:             {constant: []int{0}},
		schema.BuiltinOperatorSPLIT_V:           {constant: []int{1, 2}},
		schema.BuiltinOperatorSPACE_TO_BATCH_ND: {constant: []int{1, 2}},
		schema.BuiltinOperatorBATCH_TO_SPACE_ND: {constant: []int{1, 2}},
	}),
}

const sourceReluMinMax = "Qualcomm AI Engine Direct SDK 2.49 release notes: validation of convolution outputs against ReluMinMax"

// noBatchDims: GATHER picks from one table.
var noBatchDims = check{
	name:   "batch_dims",
	advice: "the CPU runs it",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.GatherOptionsT); ok && p.BatchDims != 0 {
			return faultf(nil, "batch_dims is %d, taken is 0", p.BatchDims)
		}
		return fault{}
	},
}

// mediatek is MediaTek's NeuroPilot, through LiteRT's compiler plugin. The
// plugin takes the operators; the Neuron compiler of the chip decides on each
// op once more.
var mediatek = &target{
	name:          "mediatek",
	title:         "MediaTek NeuroPilot",
	source:        "google-ai-edge/LiteRT: litert/vendors/mediatek/compiler (compiler_plugin.cc, legalizations, MediaTek_Neuro_Compiler.md)",
	fixedBatch:    true,
	missing:       Error,
	missingAdvice: "the CPU runs it; RESHAPE can stand for SQUEEZE and EXPAND_DIMS, and a clamp can be fused into the op before it",
	all: rule{
		types:   i8 | u8 | i16 | i32 | flag,
		weights: i8 | u8 | i4,
		bias:    i32 | i64,
		checks:  []check{quantized, normalScales, static, knownBatch.as(Error)},
	},
	rules: with(listed(
		schema.BuiltinOperatorABS, schema.BuiltinOperatorADD, schema.BuiltinOperatorAVERAGE_POOL_2D,
		schema.BuiltinOperatorBATCH_MATMUL, schema.BuiltinOperatorCAST, schema.BuiltinOperatorCONV_2D,
		schema.BuiltinOperatorDEPTHWISE_CONV_2D, schema.BuiltinOperatorDIV,
		schema.BuiltinOperatorFULLY_CONNECTED, schema.BuiltinOperatorGELU, schema.BuiltinOperatorGREATER,
		schema.BuiltinOperatorHARD_SWISH, schema.BuiltinOperatorL2_NORMALIZATION, schema.BuiltinOperatorLEAKY_RELU,
		schema.BuiltinOperatorLESS, schema.BuiltinOperatorLOGISTIC, schema.BuiltinOperatorMAXIMUM,
		schema.BuiltinOperatorMAX_POOL_2D, schema.BuiltinOperatorMEAN, schema.BuiltinOperatorMINIMUM,
		schema.BuiltinOperatorMUL, schema.BuiltinOperatorPAD, schema.BuiltinOperatorPADV2, schema.BuiltinOperatorPRELU,
		schema.BuiltinOperatorREDUCE_MAX, schema.BuiltinOperatorRELU,
		schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorRESIZE_BILINEAR, schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR,
		schema.BuiltinOperatorRSQRT, schema.BuiltinOperatorSLICE, schema.BuiltinOperatorSOFTMAX,
		schema.BuiltinOperatorSPLIT, schema.BuiltinOperatorSQRT, schema.BuiltinOperatorSQUARED_DIFFERENCE,
		schema.BuiltinOperatorSUB, schema.BuiltinOperatorSUM, schema.BuiltinOperatorTANH,
		schema.BuiltinOperatorTRANSPOSE,
	), map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorQUANTIZE:       fromFloat,
		schema.BuiltinOperatorDEQUANTIZE:     toFloat,
		schema.BuiltinOperatorCONCATENATION:  {fused: actNone},
		schema.BuiltinOperatorTRANSPOSE_CONV: {fused: actNone}, // the plugin drops it
		schema.BuiltinOperatorSTRIDED_SLICE:  {checks: []check{sliceMasks(true, false)}},
	}),
}

// exynos is the NPU of Samsung's Exynos 2500 and 2600, through LiteRT's compiler
// plugin. The plugin claims every op of a model and fails at the first that it
// has no builder for, so that a model runs there in whole or not at all. The AI
// LiteCore compiler, which is not public, decides on each op once more.
var exynos = &target{
	name:          "exynos",
	title:         "LiteRT's plugin for Samsung Exynos",
	source:        "google-ai-edge/LiteRT: litert/vendors/samsung/compiler (compiler_plugin.cc, create_model.cc, builders)",
	fixedBatch:    true,
	missing:       Error,
	missingAdvice: "replace it, or leave it to the application: with it in the model, the NPU runs nothing; RESHAPE can stand for SQUEEZE and EXPAND_DIMS",
	all: rule{
		types:   exynosTypes,
		weights: exynosTypes,
		bias:    exynosTypes,
		checks:  []check{static, knownBatch},
	},
	rules: with(listed(
		schema.BuiltinOperatorABS, schema.BuiltinOperatorADD, schema.BuiltinOperatorBATCH_MATMUL,
		schema.BuiltinOperatorCAST, schema.BuiltinOperatorCEIL, schema.BuiltinOperatorCONV_2D,
		schema.BuiltinOperatorCONV_3D, schema.BuiltinOperatorCOS, schema.BuiltinOperatorDEPTHWISE_CONV_2D,
		schema.BuiltinOperatorDEQUANTIZE, schema.BuiltinOperatorDIV, schema.BuiltinOperatorEMBEDDING_LOOKUP,
		schema.BuiltinOperatorEQUAL, schema.BuiltinOperatorEXP, schema.BuiltinOperatorFLOOR,
		schema.BuiltinOperatorFLOOR_DIV, schema.BuiltinOperatorGATHER_ND, schema.BuiltinOperatorGELU,
		schema.BuiltinOperatorGREATER, schema.BuiltinOperatorGREATER_EQUAL, schema.BuiltinOperatorHARD_SWISH,
		schema.BuiltinOperatorL2_NORMALIZATION, schema.BuiltinOperatorLEAKY_RELU, schema.BuiltinOperatorLESS,
		schema.BuiltinOperatorLOG, schema.BuiltinOperatorLOGICAL_AND, schema.BuiltinOperatorLOGISTIC,
		schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorMINIMUM, schema.BuiltinOperatorMUL,
		schema.BuiltinOperatorNOT_EQUAL, schema.BuiltinOperatorPOW, schema.BuiltinOperatorQUANTIZE,
		schema.BuiltinOperatorRELU, schema.BuiltinOperatorRELU6, schema.BuiltinOperatorRELU_0_TO_1,
		schema.BuiltinOperatorRELU_N1_TO_1, schema.BuiltinOperatorRESIZE_BILINEAR, schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR,
		schema.BuiltinOperatorREVERSE_V2, schema.BuiltinOperatorRSQRT, schema.BuiltinOperatorSELECT,
		schema.BuiltinOperatorSELECT_V2, schema.BuiltinOperatorSIN, schema.BuiltinOperatorSPACE_TO_DEPTH,
		schema.BuiltinOperatorSQRT, schema.BuiltinOperatorSQUARED_DIFFERENCE, schema.BuiltinOperatorSUB,
		schema.BuiltinOperatorTANH, schema.BuiltinOperatorTRANSPOSE_CONV,
	), map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorFULLY_CONNECTED: {checks: []check{matrixWeights}},

		// The plugin drops these activations, and the other options that are checked.
		schema.BuiltinOperatorAVERAGE_POOL_2D: {fused: actNone},
		schema.BuiltinOperatorMAX_POOL_2D:     {fused: actNone},
		schema.BuiltinOperatorCONCATENATION:   {fused: actNone},
		schema.BuiltinOperatorCUMSUM:          {checks: []check{outermostSum}},
		schema.BuiltinOperatorGATHER:          {checks: []check{noBatchDims.advise("gather without batch_dims: the plugin reads no others")}},
		schema.BuiltinOperatorSOFTMAX:         {checks: []check{unitBeta}},

		schema.BuiltinOperatorARG_MAX:       {constant: []int{1}},
		schema.BuiltinOperatorBROADCAST_TO:  {constant: []int{1}},
		schema.BuiltinOperatorMEAN:          {constant: []int{1}},
		schema.BuiltinOperatorSUM:           {constant: []int{1}},
		schema.BuiltinOperatorREDUCE_MAX:    {constant: []int{1}},
		schema.BuiltinOperatorREDUCE_MIN:    {constant: []int{1}},
		schema.BuiltinOperatorPAD:           {constant: []int{1}},
		schema.BuiltinOperatorPADV2:         {constant: []int{1, 2}},
		schema.BuiltinOperatorMIRROR_PAD:    {constant: []int{1}},
		schema.BuiltinOperatorRESHAPE:       {constant: []int{1}, inputs: 2},
		schema.BuiltinOperatorSLICE:         {constant: []int{1, 2}},
		schema.BuiltinOperatorSTRIDED_SLICE: {constant: []int{1, 2, 3}, checks: []check{endsNotSizes}},
		schema.BuiltinOperatorSPLIT:         {constant: []int{0}},
		schema.BuiltinOperatorTRANSPOSE:     {constant: []int{1}},

		schema.BuiltinOperatorSTABLEHLO_COMPOSITE: {checks: []check{rmsNorm}},
	}),
}

// exynosTypes are the element types that the plugin has a name for.
const exynosTypes = f32 | f16 | i8 | u8 | i16 | u16 | i32 | i64 | i4 | flag

// matrixWeights: FULLY_CONNECTED weights have two dimensions.
var matrixWeights = check{
	name:   "weights shape",
	advice: "reshape the weights to a matrix",
	fault: func(o *operation) fault {
		if w := o.weights; w != nil && len(w.Shape) != 2 {
			return faultf(w, "shape %s, taken are 2 dimensions", dims(w.Shape))
		}
		return fault{}
	},
}

// outermostSum: CUMSUM runs along the first dimension.
var outermostSum = check{
	name:   "axis",
	advice: "transpose the tensor before and after the op",
	fault: func(o *operation) fault {
		for _, a := range o.axes(1) {
			if a != 0 {
				return faultf(o.x(), "it sums along dimension %d, taken is 0", a)
			}
		}
		return fault{}
	},
}

// unitBeta: SOFTMAX scales nothing.
var unitBeta = check{
	name:   "beta",
	advice: "multiply the input by beta beforehand",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.SoftmaxOptionsT); ok && p.Beta != 1 {
			return faultf(nil, "beta is %g, taken is 1", p.Beta)
		}
		return fault{}
	},
}

// endsNotSizes: STRIDED_SLICE has ends, not offsets from the begin.
var endsNotSizes = check{
	name:   "slice offset",
	advice: "write ends in place of offsets",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.StridedSliceOptionsT); ok && p.Offset {
			return faultf(nil, "ends are offsets")
		}
		return fault{}
	},
}

// rmsNorm: the one composite that is taken.
var rmsNorm = check{
	name:   "composite",
	advice: "write what it is composed of",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.StableHLOCompositeOptionsT); ok && p.Name != "odml.rms_norm" {
			return faultf(nil, "composite %q, taken is odml.rms_norm", p.Name)
		}
		return fault{}
	},
}

// googleTensor is the TPU of Google's Tensor G3 and later, through LiteRT's
// compiler plugin. The plugin lists the operators that it leaves out and asks no
// more; the compiler, which is not public, decides on all others, and one that it
// refuses fails the whole model. A composite that the plugin does not know it
// replaces by what that is composed of.
var googleTensor = &target{
	name:          "google-tensor",
	title:         "LiteRT's plugin for Google Tensor",
	source:        "google-ai-edge/LiteRT: litert/vendors/google_tensor/compiler/compiler_plugin.cc",
	release:       presumed,
	missing:       Error,
	missingAdvice: "the CPU runs it; a model that is compiled on the phone must not be cut in two by it",
	rules: allBut(
		schema.BuiltinOperatorASSIGN_VARIABLE, schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_LSTM,
		schema.BuiltinOperatorBROADCAST_ARGS, schema.BuiltinOperatorBUCKETIZE, schema.BuiltinOperatorCALL_ONCE,
		schema.BuiltinOperatorCOMPLEX_ABS, schema.BuiltinOperatorCONV_3D_TRANSPOSE, schema.BuiltinOperatorCUSTOM,
		schema.BuiltinOperatorDENSIFY, schema.BuiltinOperatorFAKE_QUANT, schema.BuiltinOperatorHASHTABLE,
		schema.BuiltinOperatorHASHTABLE_FIND, schema.BuiltinOperatorHASHTABLE_IMPORT, schema.BuiltinOperatorHASHTABLE_SIZE,
		schema.BuiltinOperatorIMAG, schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION, schema.BuiltinOperatorMATRIX_DIAG,
		schema.BuiltinOperatorMATRIX_SET_DIAG, schema.BuiltinOperatorMULTINOMIAL, schema.BuiltinOperatorNON_MAX_SUPPRESSION_V4,
		schema.BuiltinOperatorNON_MAX_SUPPRESSION_V5, schema.BuiltinOperatorRANDOM_STANDARD_NORMAL,
		schema.BuiltinOperatorRANDOM_UNIFORM, schema.BuiltinOperatorRANK, schema.BuiltinOperatorREAD_VARIABLE,
		schema.BuiltinOperatorREAL, schema.BuiltinOperatorREDUCE_PROD, schema.BuiltinOperatorREVERSE_SEQUENCE,
		schema.BuiltinOperatorRFFT2D, schema.BuiltinOperatorSEGMENT_SUM, schema.BuiltinOperatorSHAPE,
		schema.BuiltinOperatorSPARSE_TO_DENSE, schema.BuiltinOperatorSTABLEHLO_REDUCE_WINDOW,
		schema.BuiltinOperatorSTABLEHLO_SCATTER, schema.BuiltinOperatorSVDF, schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_RNN,
		schema.BuiltinOperatorUNIQUE, schema.BuiltinOperatorUNSORTED_SEGMENT_MAX, schema.BuiltinOperatorUNSORTED_SEGMENT_MIN,
		schema.BuiltinOperatorUNSORTED_SEGMENT_PROD, schema.BuiltinOperatorUNSORTED_SEGMENT_SUM,
		schema.BuiltinOperatorVAR_HANDLE, schema.BuiltinOperatorWHERE,
	),
}
