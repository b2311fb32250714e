package target

import (
	"dfq/schema"
)

// edgeTPU is the Coral Edge TPU. Its compiler maps the ops from the input up to
// the first one that it does not take; the CPU runs all that follow.
var edgeTPU = &target{
	name:          "edgetpu",
	title:         "Coral Edge TPU",
	source:        "coral.ai/docs/edgetpu/models-intro: model requirements, supported operations; the same list at Axis, ARTPEC-7 supported ops",
	release:       presumed,
	fixedBatch:    true,
	missing:       Error,
	missingAdvice: "replace it: this op and all that follow run on the CPU",
	all: rule{
		types:   i8 | u8,
		weights: i8 | u8,
		bias:    i32,
		checks:  []check{quantized, normalScales, onlyWeightsPerChannel, static, knownBatch, innermost3},
	},
	rules: map[schema.BuiltinOperator]rule{
		schema.BuiltinOperatorCONV_2D:           {constant: []int{1, 2}, checks: []check{squareDilation}},
		schema.BuiltinOperatorDEPTHWISE_CONV_2D: {constant: []int{1, 2}, checks: []check{squareDilation}},
		schema.BuiltinOperatorTRANSPOSE_CONV:    {constant: []int{0, 1, 3}},
		schema.BuiltinOperatorFULLY_CONNECTED:   {constant: []int{1, 2}, checks: []check{defaultWeights, flatOutput}},

		schema.BuiltinOperatorADD:                {},
		schema.BuiltinOperatorSUB:                {},
		schema.BuiltinOperatorMUL:                {},
		schema.BuiltinOperatorMAXIMUM:            {},
		schema.BuiltinOperatorMINIMUM:            {},
		schema.BuiltinOperatorSQUARED_DIFFERENCE: {},

		schema.BuiltinOperatorAVERAGE_POOL_2D: {fused: actNone},
		schema.BuiltinOperatorMAX_POOL_2D:     {fused: actNone},
		schema.BuiltinOperatorMEAN:            {constant: []int{1}, checks: []check{keepsBatch(1), meanDepth}},
		schema.BuiltinOperatorSUM:             {constant: []int{1}, checks: []check{keepsBatch(1)}},
		schema.BuiltinOperatorREDUCE_MAX:      {constant: []int{1}, checks: []check{keepsBatch(1)}},
		schema.BuiltinOperatorREDUCE_MIN:      {constant: []int{1}, checks: []check{keepsBatch(1)}},

		schema.BuiltinOperatorRELU:             {},
		schema.BuiltinOperatorRELU6:            {},
		schema.BuiltinOperatorRELU_N1_TO_1:     {},
		schema.BuiltinOperatorPRELU:            {constant: []int{1}, checks: []check{slopePerChannel}},
		schema.BuiltinOperatorLOGISTIC:         {},
		schema.BuiltinOperatorTANH:             {},
		schema.BuiltinOperatorSOFTMAX:          {checks: []check{softmaxRow(16000)}},
		schema.BuiltinOperatorL2_NORMALIZATION: {},
		schema.BuiltinOperatorRSQRT:            {},

		schema.BuiltinOperatorCONCATENATION:           {fused: actNone, checks: []check{constantPart}},
		schema.BuiltinOperatorPACK:                    {checks: []check{packsBatch}},
		schema.BuiltinOperatorSPLIT:                   {constant: []int{0}, checks: []check{keepsBatch(0)}},
		schema.BuiltinOperatorPAD:                     {constant: []int{1}, checks: []check{keepsBatchPadding}},
		schema.BuiltinOperatorRESHAPE:                 {constant: []int{1}},
		schema.BuiltinOperatorSQUEEZE:                 {},
		schema.BuiltinOperatorEXPAND_DIMS:             {},
		schema.BuiltinOperatorTRANSPOSE:               {constant: []int{1}},
		schema.BuiltinOperatorSLICE:                   {constant: []int{1, 2}},
		schema.BuiltinOperatorSTRIDED_SLICE:           {constant: []int{1, 2, 3}, checks: []check{unitSteps, sliceMasks(true, false)}},
		schema.BuiltinOperatorRESIZE_BILINEAR:         {constant: []int{1}, checks: []check{oldResize}},
		schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: {constant: []int{1}, checks: []check{oldResize}},
		schema.BuiltinOperatorSPACE_TO_DEPTH:          {},

		schema.BuiltinOperatorQUANTIZE:                     {},
		schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_LSTM: {},
	},
}

// innermost3: only the last three dimensions are larger than 1.
var innermost3 = check{
	name:   "outer dimension",
	advice: "set the batch to 1; only the three innermost dimensions can be larger",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			for i, d := range t.Shape {
				if i < len(t.Shape)-3 && d > 1 {
					return faultf(t, "dimension %d of shape %s is above 1", i, dims(t.Shape))
				}
			}
		}
		return fault{}
	},
}

var squareDilation = check{
	name:   "dilation",
	advice: "use one dilation for height and width",
	fault: func(o *operation) fault {
		if w, ok := o.Window(); ok && w.Dilation[0] != w.Dilation[1] {
			return faultf(nil, "dilation %s", dims(w.Dilation[:]))
		}
		return fault{}
	},
}

// flatOutput: FULLY_CONNECTED gives one vector.
var flatOutput = check{
	name:   "output shape",
	advice: "use CONV_2D with a 1x1 filter for a batch of vectors",
	fault: func(o *operation) fault {
		y := o.y()
		if y == nil || len(y.Shape) == 0 {
			return fault{}
		}
		if n := y.Shape[len(y.Shape)-1]; n > 0 && y.Len() != n {
			return faultf(y, "shape %s is more than one vector", dims(y.Shape))
		}
		return fault{}
	},
}

// meanDepth: a MEAN over channels has a multiple of four of them.
var meanDepth = check{
	name:   "channels",
	advice: "the CPU runs it",
	fault: func(o *operation) fault {
		x := o.x()
		for _, a := range o.axes(1) {
			if x != nil && a == len(x.Shape)-1 && len(x.Shape) > 1 && x.Shape[a]%4 != 0 {
				return faultf(x, "it averages over %d channels, no multiple of 4", x.Shape[a])
			}
		}
		return fault{}
	},
}

// slopePerChannel: PRELU's alpha has a value for each channel, not for each
// place.
var slopePerChannel = check{
	name:   "alpha shape",
	advice: "share the slopes over height and width",
	fault: func(o *operation) fault {
		alpha := o.input(1)
		if alpha == nil {
			return fault{}
		}
		for i, d := range alpha.Shape {
			if i < len(alpha.Shape)-1 && d > 1 {
				return faultf(alpha, "alpha has shape %s", dims(alpha.Shape))
			}
		}
		return fault{}
	},
}

// softmaxRow: SOFTMAX works on one vector.
func softmaxRow(hi int) check {
	return check{
		name:   "softmax shape",
		advice: "leave SOFTMAX to the application",
		fault: func(o *operation) fault {
			x := o.x()
			if x == nil || len(x.Shape) == 0 {
				return fault{}
			}
			n := x.Shape[len(x.Shape)-1]
			switch {
			case n > 0 && x.Len() != n:
				return faultf(x, "shape %s is more than one vector", dims(x.Shape))
			case n > hi:
				return faultf(x, "%d elements, taken are up to %d", n, hi)
			}
			return fault{}
		},
	}
}

// constantPart: a constant that is concatenated is one of two parts, of zeros.
var constantPart = check{
	name:   "constant operand",
	advice: "pad with zeros instead",
	fault: func(o *operation) fault {
		t := o.constantInput()
		if t == nil {
			return fault{}
		}
		if len(o.data) > 2 {
			return faultf(t, "a constant among %d parts, taken is one of two", len(o.data))
		}
		_, zero, _ := quantOf(t)
		for _, q := range t.Data {
			if int64(int8(q)) != zero && t.Type == schema.TensorTypeINT8 || int64(q) != zero && t.Type == schema.TensorTypeUINT8 {
				return faultf(t, "the constant part is not all zeros")
			}
		}
		return fault{}
	},
}

// packsBatch: PACK does not make a new first dimension.
var packsBatch = check{
	name:   "batch axis",
	advice: "work on the inner dimensions only",
	fault: func(o *operation) fault {
		p, ok := o.Options.(*schema.PackOptionsT)
		if !ok {
			return fault{}
		}
		axis := int(p.Axis)
		if x := o.input(0); axis < 0 && x != nil {
			axis += len(x.Shape) + 1
		}
		if axis == 0 {
			return faultf(nil, "it packs along the batch")
		}
		return fault{}
	},
}

// oldResize: version 3 of the RESIZE ops came late to the compiler.
var oldResize = check{
	name:     "version",
	advice:   "compile with version 16, or resize without half_pixel_centers and align_corners",
	severity: Warning,
	source:   "google-coral/edgetpu#114, #187, #420: \"Operation version not supported\"",
	fault: func(o *operation) fault {
		if o.Version > 2 {
			return faultf(nil, "compilers up to version 15 take version 2 only, this is version %d", o.Version)
		}
		return fault{}
	},
}
