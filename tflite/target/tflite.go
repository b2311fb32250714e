package target

import (
	"math"
	"strings"

	"dfq/schema"
)

// kernel is what the CPU kernels of the TensorFlow Lite runtime ask of an
// operator on int8 beyond its version.
type kernel struct {
	int8  int // lowest version with an int8 kernel
	int16 int // lowest with one for int16 activations, and int8 weights if any; 0: none
	rule
	since string // first release with an int8 kernel, where the version does not tell
}

var (
	probability = &quantization{1. / 256, -128} // SOFTMAX, LOGISTIC
	signed      = &quantization{1. / 128, 0}    // TANH, L2_NORMALIZATION
	logarithm   = &quantization{16. / 256, 127} // LOG_SOFTMAX

	sameValues = rule{same: Error}
)

// kernels are the operators with an int8 kernel.
//
// Source: google-ai-edge/LiteRT, tflite/kernels/*.cc (Prepare),
// tflite/converter/tools/versioning/op_version.cc and the INT8 quantization
// specification. A relation that a kernel does not check but relies on counts
// as one that it asks for: without it the numbers are wrong. SUM and TILE got their
// int16 kernels after 2.9, without a version.
var kernels = map[schema.BuiltinOperator]kernel{
	schema.BuiltinOperatorCONV_2D:           {int8: 3, int16: 4, rule: rule{ranks: [2]int{4, 4}, checks: []check{hasBias, symmetricWeights, weightAxis(0), groups}}},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: {int8: 3, int16: 5, rule: rule{ranks: [2]int{4, 4}, checks: []check{hasBias.as(Warning), symmetricWeights, weightAxis(3)}}},
	schema.BuiltinOperatorFULLY_CONNECTED:   {int8: 4, int16: 7, rule: rule{checks: []check{symmetricWeights, weightAxis(0)}}},
	schema.BuiltinOperatorTRANSPOSE_CONV:    {int8: 2, int16: 3, rule: rule{ranks: [2]int{4, 4}, checks: []check{symmetricWeights, weightAxis(0)}}},
	schema.BuiltinOperatorBATCH_MATMUL:      {int8: 2, int16: 3, rule: rule{ranks: [2]int{2, 5}}},

	schema.BuiltinOperatorADD:                {int8: 2, int16: 3, rule: rule{checks: []check{sumStep}}},
	schema.BuiltinOperatorSUB:                {int8: 2, int16: 5, rule: rule{checks: []check{sumStep}}},
	schema.BuiltinOperatorMUL:                {int8: 2, int16: 4, rule: rule{checks: []check{productVersion}}},
	schema.BuiltinOperatorDIV:                {int8: 1, since: "2.13"},
	schema.BuiltinOperatorSQUARED_DIFFERENCE: {int8: 2},

	schema.BuiltinOperatorAVERAGE_POOL_2D: {int8: 2, int16: 3, rule: rule{ranks: [2]int{4, 4}, same: Error}},
	schema.BuiltinOperatorMAX_POOL_2D:     {int8: 2, int16: 3, rule: rule{ranks: [2]int{4, 4}, same: Error}},
	schema.BuiltinOperatorMEAN:            {int8: 2, int16: 3},
	schema.BuiltinOperatorSUM:             {int8: 2, int16: 1},
	schema.BuiltinOperatorREDUCE_PROD:     {int8: 2, int16: 2},
	schema.BuiltinOperatorREDUCE_MAX:      {int8: 2, int16: 3, rule: sameValues},
	schema.BuiltinOperatorREDUCE_MIN:      {int8: 2, int16: 3, rule: sameValues},

	schema.BuiltinOperatorRELU:             {int8: 2, int16: 3},
	schema.BuiltinOperatorRELU6:            {int8: 2, int16: 3},
	schema.BuiltinOperatorRELU_N1_TO_1:     {int8: 1},
	schema.BuiltinOperatorRELU_0_TO_1:      {int8: 1},
	schema.BuiltinOperatorLEAKY_RELU:       {int8: 1, int16: 2, since: "2.3"},
	schema.BuiltinOperatorPRELU:            {int8: 1},
	schema.BuiltinOperatorELU:              {int8: 1},
	schema.BuiltinOperatorHARD_SWISH:       {int8: 1, rule: rule{checks: []check{swishStep}}},
	schema.BuiltinOperatorGELU:             {int8: 2},
	schema.BuiltinOperatorABS:              {int8: 2, int16: 3},
	schema.BuiltinOperatorEXP:              {int8: 2, int16: 2},
	schema.BuiltinOperatorLOG:              {int8: 2, int16: 2},
	schema.BuiltinOperatorSQRT:             {int8: 2, int16: 2},
	schema.BuiltinOperatorRSQRT:            {int8: 2, int16: 3},
	schema.BuiltinOperatorLOGISTIC:         {int8: 2, int16: 3, rule: rule{fixed: probability}},
	schema.BuiltinOperatorSOFTMAX:          {int8: 2, int16: 3, rule: rule{fixed: probability}},
	schema.BuiltinOperatorTANH:             {int8: 2, int16: 3, rule: rule{fixed: signed}},
	schema.BuiltinOperatorL2_NORMALIZATION: {int8: 2, rule: rule{fixed: signed}},
	schema.BuiltinOperatorLOG_SOFTMAX:      {int8: 2, rule: rule{fixed: logarithm}},

	schema.BuiltinOperatorCONCATENATION:           {int8: 2, int16: 3, rule: rule{same: Error, fused: actNone}},
	schema.BuiltinOperatorPACK:                    {int8: 2, int16: 3, rule: sameValues},
	schema.BuiltinOperatorUNPACK:                  {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorSPLIT:                   {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorSPLIT_V:                 {int8: 2, int16: 1, rule: sameValues},
	schema.BuiltinOperatorMAXIMUM:                 {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorMINIMUM:                 {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorSELECT:                  {int8: 1, int16: 1, rule: sameValues},
	schema.BuiltinOperatorSELECT_V2:               {int8: 1, int16: 1, rule: sameValues},
	schema.BuiltinOperatorPAD:                     {int8: 2, int16: 3, rule: rule{same: Error, ranks: [2]int{0, 5}}},
	schema.BuiltinOperatorPADV2:                   {int8: 2, int16: 3, rule: rule{same: Error, ranks: [2]int{0, 5}}},
	schema.BuiltinOperatorMIRROR_PAD:              {int8: 2, int16: 3, rule: sameValues},
	schema.BuiltinOperatorRESHAPE:                 {int8: 1, int16: 1, rule: sameValues},
	schema.BuiltinOperatorSQUEEZE:                 {int8: 1, int16: 1, rule: sameValues},
	schema.BuiltinOperatorEXPAND_DIMS:             {int8: 1, int16: 1, rule: sameValues},
	schema.BuiltinOperatorTRANSPOSE:               {int8: 2, int16: 5, rule: rule{same: Error, ranks: [2]int{0, 8}}},
	schema.BuiltinOperatorSLICE:                   {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorSTRIDED_SLICE:           {int8: 2, int16: 1, rule: sameValues},
	schema.BuiltinOperatorGATHER:                  {int8: 2, int16: 4, rule: sameValues},
	schema.BuiltinOperatorGATHER_ND:               {int8: 1, int16: 3, rule: sameValues},
	schema.BuiltinOperatorSCATTER_ND:              {int8: 1, rule: sameValues},
	schema.BuiltinOperatorTILE:                    {int8: 3, int16: 1, rule: sameValues},
	schema.BuiltinOperatorBROADCAST_TO:            {int8: 3, int16: 3, rule: sameValues},
	schema.BuiltinOperatorFILL:                    {int8: 3, int16: 3, rule: sameValues},
	schema.BuiltinOperatorREVERSE_V2:              {int8: 3, int16: 1, rule: rule{same: Error, ranks: [2]int{0, 8}}},
	schema.BuiltinOperatorRESIZE_BILINEAR:         {int8: 2, int16: 4, rule: rule{same: Error, ranks: [2]int{4, 4}}},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {int8: 2, int16: 4, rule: rule{same: Error, ranks: [2]int{4, 4}}},
	schema.BuiltinOperatorSPACE_TO_DEPTH:          {int8: 2, rule: rule{same: Error, ranks: [2]int{4, 4}}},
	schema.BuiltinOperatorDEPTH_TO_SPACE:          {int8: 2, rule: rule{same: Error, ranks: [2]int{4, 4}}},
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:       {int8: 2, int16: 4, rule: rule{same: Error, ranks: [2]int{3, 4}}},
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:       {int8: 2, int16: 4, rule: rule{same: Error, ranks: [2]int{3, 4}}},
	schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE:    {int8: 1, int16: 4, rule: sameValues},
	schema.BuiltinOperatorEMBEDDING_LOOKUP:        {int8: 1},
	schema.BuiltinOperatorONE_HOT:                 {int8: 1},
	schema.BuiltinOperatorSPARSE_TO_DENSE:         {int8: 3},
	schema.BuiltinOperatorMATRIX_DIAG:             {int8: 1, int16: 1},
	schema.BuiltinOperatorMATRIX_SET_DIAG:         {int8: 1, int16: 1, rule: sameValues},

	schema.BuiltinOperatorARG_MAX:       {int8: 2},
	schema.BuiltinOperatorARG_MIN:       {int8: 2},
	schema.BuiltinOperatorTOPK_V2:       {int8: 2, int16: 3, rule: sameValues},
	schema.BuiltinOperatorEQUAL:         {int8: 2, int16: 5, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorNOT_EQUAL:     {int8: 2, int16: 4, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorGREATER:       {int8: 2, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorGREATER_EQUAL: {int8: 2, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorLESS:          {int8: 2, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorLESS_EQUAL:    {int8: 2, rule: rule{checks: []check{fraction}}},
	schema.BuiltinOperatorSHAPE:         {int8: 1, int16: 1},
	schema.BuiltinOperatorRANK:          {int8: 1, int16: 1},
	schema.BuiltinOperatorCAST:          {int8: 3, int16: 1},
	schema.BuiltinOperatorQUANTIZE:      {int8: 1, int16: 1},
	schema.BuiltinOperatorDEQUANTIZE:    {int8: 2, int16: 3},

	schema.BuiltinOperatorASSIGN_VARIABLE: {int8: 1, int16: 1},
	schema.BuiltinOperatorREAD_VARIABLE:   {int8: 1, int16: 1},
	schema.BuiltinOperatorIF:              {int8: 1, int16: 1},
	schema.BuiltinOperatorWHILE:           {int8: 1, int16: 1},
}

const (
	sourceResolver = "google-ai-edge/LiteRT: tflite/core/kernels/register.cc, versioning/runtime_version.cc"
	sourceKernels  = "google-ai-edge/LiteRT: tflite/kernels, INT8 quantization specification"
)

// runtime is the CPU interpreter of a release.
func runtime(name, release string) *target {
	t := &target{
		name:          name,
		title:         "TensorFlow Lite " + release,
		source:        sourceResolver,
		release:       release,
		rules:         map[schema.BuiltinOperator]rule{},
		custom:        []string{"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram"},
		missing:       Error,
		missingAdvice: "use a newer release, or link a kernel for it",
		all:           rule{checks: []check{quantized.from(sourceKernels), normalScales.from(sourceKernels), onlyWeightsPerChannel.from(sourceKernels)}},
	}
	if release == newest {
		t.title = "TensorFlow Lite"
	}
	for code := range releases {
		lo, hi := versionsIn(code, release)
		if hi == 0 {
			continue
		}
		k := kernels[code]
		if k.since != "" && later(k.since, release) {
			k.int8 = 0
		}
		r := k.rule
		r.versions, r.source = [2]int{lo, hi}, sourceKernels
		r.checks = append([]check{
			typeVersion(schema.TensorTypeINT8, k.int8, hi).from(sourceResolver),
			typeVersion(schema.TensorTypeINT16, k.int16, hi).from(sourceResolver),
			biasWidth.from(sourceKernels),
		}, r.checks...)
		if code == schema.BuiltinOperatorFULLY_CONNECTED {
			r.perTensor = denseScales(release)
		}
		t.rules[code] = r
	}
	return t
}

// denseScales: FULLY_CONNECTED with a scale for each channel is a late addition
// that has no version of its own, so an older runtime does not notice: 2.9 reads
// the first scale only. Releases from 2.17 on have it.
func denseScales(release string) Severity {
	if later("2.17", release) {
		return Error
	}
	return Warning
}

// typeVersion: an op on values of a quantized type has a version with such a
// kernel, if the release has one at all. Lower versions of a file work by chance:
// kernels look at types, not versions.
func typeVersion(typ schema.TensorType, lowest, highest int) check {
	name := strings.ToLower(typ.String())
	return check{
		name:   name + " kernel",
		advice: "keep the op in float, or use a newer release",
		fault: func(o *operation) fault {
			for _, t := range o.values() {
				switch {
				case t.Type != typ || t.Quant == nil:
				case lowest == 0:
					return faultf(t, "there is no %s kernel", name)
				case lowest > highest:
					return faultf(t, "the %s kernel comes with version %d, the release has %d", name, lowest, highest)
				case o.Version < lowest:
					return faultf(t, "the %s kernel comes with version %d, this is version %d", name, lowest, o.Version)
				}
			}
			return fault{}
		},
	}
}

// biasWidth: the bias beside int8 values is INT32, beside int16 ones INT64,
// unless the options of a late version say otherwise.
var biasWidth = check{
	name:   "bias",
	advice: "write the bias as 64-bit integers beside int16 values, as 32-bit ones beside int8",
	fault: func(o *operation) fault {
		x, b := o.x(), o.bias
		switch {
		case x == nil || b == nil || x.Quant == nil || b.Type == askedBias(o.Options):
		case x.Type == schema.TensorTypeINT8 && b.Type != schema.TensorTypeINT32,
			x.Type == schema.TensorTypeINT16 && b.Type != schema.TensorTypeINT64:
			return faultf(b, "the bias is %s, the input %s", b.Type, x.Type)
		}
		return fault{}
	},
}

// askedBias is the type of bias that options ask for; FLOAT32 says nothing.
func askedBias(options any) schema.TensorType {
	switch p := options.(type) {
	case *schema.Conv2DOptionsT:
		return p.QuantizedBiasType
	case *schema.FullyConnectedOptionsT:
		return p.QuantizedBiasType
	case *schema.TransposeConvOptionsT:
		return p.QuantizedBiasType
	}
	return schema.TensorTypeFLOAT32
}

// sumStep: ADD and SUB scale their inputs, shifted left by 20 bits, or 15 where
// they have 16, down by a factor that must stay below 1; the kernel ends the
// process otherwise.
var sumStep = check{
	name:   "scale ratio",
	advice: "widen the output's range",
	fault: func(o *operation) fault {
		s, _, ok := quantOf(o.y())
		for _, t := range o.data {
			sx, _, ok2 := quantOf(t)
			bits := map[schema.TensorType]int{schema.TensorTypeINT8: 20, schema.TensorTypeINT16: 15}[t.Type]
			if ok && ok2 && bits > 0 && 2*float64(sx) >= math.Ldexp(float64(s), bits) {
				return faultf(t, "input scale %g is 2^%d times the output scale %g or more", sx, bits-1, s)
			}
		}
		return fault{}
	},
}

// fraction: comparisons scale their inputs by the scale itself, which must be
// below 1; the kernel ends the process otherwise.
var fraction = check{
	name:   "scale",
	advice: "divide the inputs before they are compared",
	fault: func(o *operation) fault {
		for _, t := range o.data {
			if s, _, ok := quantOf(t); ok && t.Type == schema.TensorTypeINT8 && s >= 1 {
				return faultf(t, "scale %g, it must be below 1", s)
			}
		}
		return fault{}
	},
}

// productVersion: a MUL whose rescaling factor is 1 or more needs version 3.
var productVersion = check{
	name:   "version",
	advice: "write version 3",
	fault: func(o *operation) fault {
		a, _, ok := quantOf(o.input(0))
		b, _, ok2 := quantOf(o.input(1))
		s, _, ok3 := quantOf(o.y())
		if ok && ok2 && ok3 && o.y().Type == schema.TensorTypeINT8 && o.Version < 3 && float64(a)*float64(b) >= float64(s) {
			return faultf(nil, "input scales %g × %g are not below the output scale %g, which takes version 3", a, b, s)
		}
		return fault{}
	},
}

// swishStep: HARD_SWISH works on inputs of seven more bits and can only scale
// down from there.
var swishStep = check{
	name:   "scale ratio",
	advice: "widen the output's range",
	fault: func(o *operation) fault {
		sx, _, ok := quantOf(o.x())
		sy, _, ok2 := quantOf(o.y())
		if ok && ok2 && (i8 | u8).has(o.x().Type) && !math.IsInf(float64(sx), 0) && float64(sx)/128 > float64(sy) {
			return faultf(o.y(), "output scale %g is below 1/128 of the input scale %g", sy, sx)
		}
		return fault{}
	},
}
