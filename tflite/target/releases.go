package target

import (
	"strconv"
	"strings"

	"dfq/schema"
)

// releases holds, for every builtin operator that kernels are registered for,
// the first release of TensorFlow Lite that has version 1, 2, 3, … of it. A
// dash is a version that no release has.
//
// Source: google-ai-edge/LiteRT, tflite/converter/tools/versioning/runtime_version.cc
// and tflite/core/kernels/register.cc, August 2026. For version 4 of CAST and
// version 6 of CONV_2D it says 2.9, but the library of that release does not have
// them.
var releases = map[schema.BuiltinOperator]string{
	schema.BuiltinOperatorABS:                          "1.13 2.4 2.5 2.6 2.12",
	schema.BuiltinOperatorADD:                          "1.5 1.14 2.4 2.6 2.13 2.23",
	schema.BuiltinOperatorADD_N:                        "1.14",
	schema.BuiltinOperatorARG_MAX:                      "1.9 1.14 2.9",
	schema.BuiltinOperatorARG_MIN:                      "1.9 1.14 2.9",
	schema.BuiltinOperatorASSIGN_VARIABLE:              "2.6",
	schema.BuiltinOperatorATAN2:                        "2.10",
	schema.BuiltinOperatorAVERAGE_POOL_2D:              "1.5 1.14 2.3",
	schema.BuiltinOperatorBATCH_MATMUL:                 "2.3 2.3 2.4 2.5",
	schema.BuiltinOperatorBATCH_TO_SPACE_ND:            "1.6 1.14 2.3 2.12",
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_LSTM:  "1.14 1.14 1.14",
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_RNN:   "1.14 1.14 2.3",
	schema.BuiltinOperatorBITCAST:                      "2.13",
	schema.BuiltinOperatorBITWISE_XOR:                  "2.13",
	schema.BuiltinOperatorBROADCAST_ARGS:               "2.6",
	schema.BuiltinOperatorBROADCAST_TO:                 "- 2.5 2.5 2.23",
	schema.BuiltinOperatorBUCKETIZE:                    "2.8",
	schema.BuiltinOperatorCALL_ONCE:                    "2.5",
	schema.BuiltinOperatorCAST:                         "1.5 2.7 2.8 2.10 2.12 2.15 2.17 2.21 2.23",
	schema.BuiltinOperatorCEIL:                         "1.14",
	schema.BuiltinOperatorCOMPLEX_ABS:                  "2.5",
	schema.BuiltinOperatorCONCATENATION:                "1.5 1.14 2.3 2.14 2.21 2.23 2.23",
	schema.BuiltinOperatorCONV_2D:                      "1.5 1.14 1.14 2.3 2.4 2.10 2.11 2.15",
	schema.BuiltinOperatorCONV_3D:                      "2.5",
	schema.BuiltinOperatorCONV_3D_TRANSPOSE:            "2.6",
	schema.BuiltinOperatorCOS:                          "1.14 2.23",
	schema.BuiltinOperatorCUMSUM:                       "2.4",
	schema.BuiltinOperatorDENSIFY:                      "2.2",
	schema.BuiltinOperatorDEPTHWISE_CONV_2D:            "1.5 1.12 1.14 2.2 2.3 2.3 2.11",
	schema.BuiltinOperatorDEPTH_TO_SPACE:               "2.1 2.5",
	schema.BuiltinOperatorDEQUANTIZE:                   "1.13 1.14 1.15 2.2 2.7 2.18 2.21 2.22 2.23",
	schema.BuiltinOperatorDILATE:                       "2.15",
	schema.BuiltinOperatorDIV:                          "1.6 2.3",
	schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE:         "2.9 2.17 2.19 2.20 2.21 2.22",
	schema.BuiltinOperatorELU:                          "1.14",
	schema.BuiltinOperatorEMBEDDING_LOOKUP:             "1.13 1.14 1.14 2.18 2.21",
	schema.BuiltinOperatorEMBEDDING_LOOKUP_SPARSE:      "1.5",
	schema.BuiltinOperatorEQUAL:                        "1.14 1.14 2.3 2.13 2.21",
	schema.BuiltinOperatorEXP:                          "1.7 2.12",
	schema.BuiltinOperatorEXPAND_DIMS:                  "1.10",
	schema.BuiltinOperatorFAKE_QUANT:                   "1.5 1.10",
	schema.BuiltinOperatorFILL:                         "1.13 2.3 2.5 2.12 2.23",
	schema.BuiltinOperatorFLOOR:                        "1.9",
	schema.BuiltinOperatorFLOOR_DIV:                    "1.14 1.14 2.13",
	schema.BuiltinOperatorFLOOR_MOD:                    "1.13 2.13",
	schema.BuiltinOperatorFULLY_CONNECTED:              "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18 2.21",
	schema.BuiltinOperatorGATHER:                       "1.6 1.14 1.15 2.4 2.5 2.13 2.15 2.23",
	schema.BuiltinOperatorGATHER_ND:                    "1.14 2.3 2.5 2.13 2.16 2.23",
	schema.BuiltinOperatorGELU:                         "2.9 2.9 2.23",
	schema.BuiltinOperatorGREATER:                      "1.14 1.14",
	schema.BuiltinOperatorGREATER_EQUAL:                "1.14 1.14 2.13",
	schema.BuiltinOperatorHARD_SWISH:                   "1.15",
	schema.BuiltinOperatorHASHTABLE:                    "2.5",
	schema.BuiltinOperatorHASHTABLE_FIND:               "2.5",
	schema.BuiltinOperatorHASHTABLE_IMPORT:             "2.5",
	schema.BuiltinOperatorHASHTABLE_LOOKUP:             "1.5",
	schema.BuiltinOperatorHASHTABLE_SIZE:               "2.5",
	schema.BuiltinOperatorIF:                           "1.15",
	schema.BuiltinOperatorIMAG:                         "2.5",
	schema.BuiltinOperatorL2_NORMALIZATION:             "1.5 1.14",
	schema.BuiltinOperatorL2_POOL_2D:                   "1.5",
	schema.BuiltinOperatorLEAKY_RELU:                   "1.13 2.3",
	schema.BuiltinOperatorLESS:                         "1.14 1.14 2.13",
	schema.BuiltinOperatorLESS_EQUAL:                   "1.14 1.14",
	schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION: "1.5",
	schema.BuiltinOperatorLOG:                          "1.14 2.15",
	schema.BuiltinOperatorLOGICAL_AND:                  "1.11",
	schema.BuiltinOperatorLOGICAL_NOT:                  "1.11",
	schema.BuiltinOperatorLOGICAL_OR:                   "1.11",
	schema.BuiltinOperatorLOGISTIC:                     "1.14 1.14 2.3",
	schema.BuiltinOperatorLOG_SOFTMAX:                  "1.14 1.14",
	schema.BuiltinOperatorLSH_PROJECTION:               "1.5",
	schema.BuiltinOperatorLSTM:                         "1.7 1.10 1.14 2.3",
	schema.BuiltinOperatorMATRIX_DIAG:                  "1.14",
	schema.BuiltinOperatorMATRIX_SET_DIAG:              "1.14",
	schema.BuiltinOperatorMAXIMUM:                      "1.14 1.14 2.3 2.3",
	schema.BuiltinOperatorMAX_POOL_2D:                  "1.5 1.14 2.3",
	schema.BuiltinOperatorMEAN:                         "1.6 1.14 2.4",
	schema.BuiltinOperatorMINIMUM:                      "1.14 1.14 2.3 2.3",
	schema.BuiltinOperatorMIRROR_PAD:                   "1.13 2.3 2.12",
	schema.BuiltinOperatorMUL:                          "1.5 1.14 1.15 2.3 2.6 2.11 2.13 2.23",
	schema.BuiltinOperatorMULTINOMIAL:                  "2.8",
	schema.BuiltinOperatorNEG:                          "1.9",
	schema.BuiltinOperatorNON_MAX_SUPPRESSION_V4:       "2.1",
	schema.BuiltinOperatorNON_MAX_SUPPRESSION_V5:       "2.1",
	schema.BuiltinOperatorNOT_EQUAL:                    "1.14 1.14 2.3 2.21",
	schema.BuiltinOperatorONE_HOT:                      "1.11",
	schema.BuiltinOperatorPACK:                         "1.11 1.14 2.3 2.13 2.23",
	schema.BuiltinOperatorPAD:                          "1.5 1.14 2.4 2.6 2.20 2.23",
	schema.BuiltinOperatorPADV2:                        "1.9 1.14 2.4 2.6 2.20 2.23",
	schema.BuiltinOperatorPOW:                          "1.10",
	schema.BuiltinOperatorPRELU:                        "1.8",
	schema.BuiltinOperatorQUANTIZE:                     "1.14 1.15 2.7 2.21 2.21 2.21",
	schema.BuiltinOperatorRANDOM_STANDARD_NORMAL:       "2.8",
	schema.BuiltinOperatorRANDOM_UNIFORM:               "2.8",
	schema.BuiltinOperatorRANGE:                        "1.13 2.14",
	schema.BuiltinOperatorRANK:                         "1.14",
	schema.BuiltinOperatorREAD_VARIABLE:                "2.6",
	schema.BuiltinOperatorREAL:                         "2.5",
	schema.BuiltinOperatorREDUCE_ALL:                   "2.6",
	schema.BuiltinOperatorREDUCE_ANY:                   "1.11",
	schema.BuiltinOperatorREDUCE_MAX:                   "1.11 1.14 2.5",
	schema.BuiltinOperatorREDUCE_MIN:                   "1.11 1.14 2.5",
	schema.BuiltinOperatorREDUCE_PROD:                  "1.11 2.6",
	schema.BuiltinOperatorREDUCE_WINDOW:                "2.15",
	schema.BuiltinOperatorRELU:                         "1.5 2.1 2.5",
	schema.BuiltinOperatorRELU6:                        "1.5 1.14 2.5",
	schema.BuiltinOperatorRELU_0_TO_1:                  "2.10",
	schema.BuiltinOperatorRELU_N1_TO_1:                 "1.5",
	schema.BuiltinOperatorRESHAPE:                      "1.5",
	schema.BuiltinOperatorRESIZE_BILINEAR:              "1.7 1.14 2.2 2.5",
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR:      "1.13 1.14 2.3 2.4",
	schema.BuiltinOperatorREVERSE_SEQUENCE:             "1.14",
	schema.BuiltinOperatorREVERSE_V2:                   "1.14 2.2 2.5 2.23",
	schema.BuiltinOperatorRFFT2D:                       "2.5",
	schema.BuiltinOperatorRIGHT_SHIFT:                  "2.13",
	schema.BuiltinOperatorRNN:                          "1.5 1.14 2.3",
	schema.BuiltinOperatorROUND:                        "1.14",
	schema.BuiltinOperatorRSQRT:                        "1.10 2.5 2.15",
	schema.BuiltinOperatorSCATTER_ND:                   "2.1",
	schema.BuiltinOperatorSEGMENT_SUM:                  "2.2",
	schema.BuiltinOperatorSELECT:                       "1.14 1.14 2.12 2.12",
	schema.BuiltinOperatorSELECT_V2:                    "2.2 2.12",
	schema.BuiltinOperatorSHAPE:                        "1.10",
	schema.BuiltinOperatorSIGN:                         "2.11 2.12",
	schema.BuiltinOperatorSIN:                          "1.9 2.23",
	schema.BuiltinOperatorSKIP_GRAM:                    "1.5",
	schema.BuiltinOperatorSLICE:                        "1.14 1.14 1.14 2.4 2.5 2.14 2.21 2.23",
	schema.BuiltinOperatorSOFTMAX:                      "1.5 1.14 2.3 2.23",
	schema.BuiltinOperatorSPACE_TO_BATCH_ND:            "1.6 1.14 2.3 2.12",
	schema.BuiltinOperatorSPACE_TO_DEPTH:               "1.5 1.14",
	schema.BuiltinOperatorSPARSE_TO_DENSE:              "1.9 1.14 1.15",
	schema.BuiltinOperatorSPLIT:                        "1.5 1.14 1.14 2.3 2.23",
	schema.BuiltinOperatorSPLIT_V:                      "1.13 2.3 2.23",
	schema.BuiltinOperatorSQRT:                         "1.10 2.21",
	schema.BuiltinOperatorSQUARE:                       "1.12",
	schema.BuiltinOperatorSQUARED_DIFFERENCE:           "1.13 2.5",
	schema.BuiltinOperatorSQUEEZE:                      "1.6 2.5",
	schema.BuiltinOperatorSTRIDED_SLICE:                "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14",
	schema.BuiltinOperatorSUB:                          "1.6 1.14 2.3 2.4 2.4",
	schema.BuiltinOperatorSUM:                          "1.10 1.15",
	schema.BuiltinOperatorSVDF:                         "1.5 1.14 2.2 2.3",
	schema.BuiltinOperatorTANH:                         "1.14 1.14 2.3",
	schema.BuiltinOperatorTILE:                         "1.10 2.2 2.8",
	schema.BuiltinOperatorTOPK_V2:                      "1.7 1.14 2.13",
	schema.BuiltinOperatorTRANSPOSE:                    "1.6 1.14 1.15 2.3 2.4 2.12 2.14 2.22 2.23",
	schema.BuiltinOperatorTRANSPOSE_CONV:               "1.9 2.2 2.3 2.13 2.15",
	schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_LSTM: "1.13 1.14 2.3 2.12",
	schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_RNN:  "1.14 1.14 2.3",
	schema.BuiltinOperatorUNIQUE:                       "1.14",
	schema.BuiltinOperatorUNPACK:                       "1.11 1.14 2.2 2.3 2.22 2.23",
	schema.BuiltinOperatorUNSORTED_SEGMENT_MAX:         "2.10",
	schema.BuiltinOperatorUNSORTED_SEGMENT_MIN:         "2.11",
	schema.BuiltinOperatorUNSORTED_SEGMENT_PROD:        "2.10",
	schema.BuiltinOperatorUNSORTED_SEGMENT_SUM:         "2.10",
	schema.BuiltinOperatorVAR_HANDLE:                   "2.6",
	schema.BuiltinOperatorWHERE:                        "1.14 2.8",
	schema.BuiltinOperatorWHILE:                        "1.15",
	schema.BuiltinOperatorZEROS_LIKE:                   "1.12",
}

const (
	newest   = "999.0" // stands for the newest release
	presumed = "2.9"   // what every runtime in use is taken to have
)

// versionsIn returns the lowest and the highest version of an operator that a
// release has, 0 and 0 if it has none.
func versionsIn(code schema.BuiltinOperator, release string) (lo, hi int) {
	for i, since := range strings.Fields(releases[code]) {
		if since == "-" || later(since, release) {
			continue
		}
		if hi = i + 1; lo == 0 {
			lo = hi
		}
	}
	return lo, hi
}

// later reports whether release a, "N.M", came after b.
func later(a, b string) bool {
	major := func(s string) (int, int) {
		x, y, _ := strings.Cut(s, ".")
		n, _ := strconv.Atoi(x)
		m, _ := strconv.Atoi(y)
		return n, m
	}
	an, am := major(a)
	bn, bm := major(b)
	return an > bn || an == bn && am > bm
}
