package target

import (
	"slices"

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
			checks:  []check{static(1), hasShape, velaQuantized, onlyWeightsPerChannel},
		},
		rules: map[schema.BuiltinOperator]rule{},
	}
	with(t.rules, npuRules)
	if g == u85 {
		with(t.rules, u85Rules)
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
	schema.BuiltinOperatorMAXIMUM:            {same: true},
	schema.BuiltinOperatorMINIMUM:            {same: true},

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
	schema.BuiltinOperatorRESHAPE:                 {types: wide, same: true},
	schema.BuiltinOperatorSQUEEZE:                 {types: wide, same: true},
	schema.BuiltinOperatorEXPAND_DIMS:             {types: wide, same: true},
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
	schema.BuiltinOperatorMAXIMUM:            {types: wide, same: true},
	schema.BuiltinOperatorMINIMUM:            {types: wide, same: true},
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

// hasShape: no value is a scalar.
var hasShape = check{
	name:   "scalar",
	advice: "Vela leaves it to the CPU; give the tensor a shape of [1]",
	fault: func(o *operation) fault {
		for _, t := range o.values() {
			if len(t.Shape) == 0 && !t.Constant() {
				return faultf(t, "it has no dimensions")
			}
		}
		return fault{}
	},
}

// velaQuantized: values and weights have positive scales.
var velaQuantized = check{
	name:   "quantization",
	advice: "quantize the tensor",
	fault: func(o *operation) fault {
		for _, t := range append(o.values(), o.weights) {
			if t == nil || !(i8 | u8 | i16).has(t.Type) {
				continue
			}
			if t.Quant == nil || len(t.Quant.Scale) == 0 {
				return faultf(t, "%s without a scale", t.Type)
			}
			for c, s := range t.Quant.Scale {
				if !(s > 0) {
					return faultf(t, "scale %d is %g", c, s)
				}
			}
		}
		return fault{}
	},
}

// weightSum: the magnitudes of a channel's weights do not overflow the
// accumulator.
var weightSum = check{
	name:   "weight sum",
	advice: "split the op along its inputs",
	fault: func(o *operation) fault {
		w := o.weights
		if w == nil || w.Type != schema.TensorTypeINT8 || len(w.Shape) == 0 || len(w.Data) < 65536 {
			return fault{}
		}
		axis := 0
		if o.Code == schema.BuiltinOperatorDEPTHWISE_CONV_2D {
			axis = len(w.Shape) - 1
		}
		inner := 1
		for _, d := range w.Shape[axis+1:] {
			inner *= d
		}
		sums := make([]int, max(w.Shape[axis], 0))
		for i, q := range w.Data {
			if c := i / max(inner, 1) % max(len(sums), 1); c < len(sums) {
				sums[c] += max(int(int8(q)), -int(int8(q)))
			}
		}
		for c, s := range sums {
			if s > 127<<16 {
				return faultf(w, "channel %d: magnitudes sum to %d, above %d", c, s, 127<<16)
			}
		}
		return fault{}
	},
}

// biasLength: the bias runs along the channels.
var biasLength = check{
	name:   "bias shape",
	advice: "give the bias one dimension",
	fault: func(o *operation) fault {
		b := o.bias
		if b == nil || len(b.Shape) == 0 || b.Shape[len(b.Shape)-1] == b.Len() {
			return fault{}
		}
		return faultf(b, "shape %s, its last dimension must hold all of it", dims(b.Shape))
	},
}

// strideUpTo: strides are at most hi.
func strideUpTo(hi int) check {
	return check{
		name:   "stride",
		advice: "use a smaller stride, and slice",
		fault: func(o *operation) fault {
			if w, ok := o.window(); ok && max(w.stride[0], w.stride[1]) > hi {
				return faultf(nil, "stride %s, taken are up to %d", dims(w.stride[:]), hi)
			}
			return fault{}
		},
	}
}

// npuStride: strides above 3 need windows that do not go beyond the input, and
// no dilation.
var npuStride = check{
	name:   "stride",
	advice: "pad before the op and use padding VALID",
	fault: func(o *operation) fault {
		w, ok := o.window()
		if ok && max(w.stride[0], w.stride[1]) > 3 && (o.padded(w) || w.dilation != [2]int{1, 1}) {
			return faultf(nil, "stride %s; above 3 it needs padding VALID and no dilation", dims(w.stride[:]))
		}
		return fault{}
	},
}

// padded reports whether padding SAME adds anything.
func (o *operation) padded(w window) bool {
	x, y := o.x(), o.y()
	if !w.same || x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
		return w.same
	}
	for i := range 2 {
		if (y.Shape[1+i]-1)*w.stride[i]+(w.kernel[i]-1)*w.dilation[i]+1 > x.Shape[1+i] {
			return true
		}
	}
	return false
}

// dilationPair: SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND are taken around a
// convolution only, which they dilate.
var dilationPair = check{
	name:   "operator",
	advice: "use a convolution with a dilation",
	fault: func(o *operation) fault {
		if o.dilates() {
			return fault{}
		}
		return faultf(nil, "it does not stand around a convolution")
	},
}

// dilates reports whether o is one end of SPACE_TO_BATCH_ND → convolution →
// BATCH_TO_SPACE_ND with one block shape.
func (o *operation) dilates() bool {
	start := o.Op
	if o.Code == schema.BuiltinOperatorBATCH_TO_SPACE_ND {
		c := o.around.producers[o.x()]
		if c == nil || c.Inputs == nil {
			return false
		}
		start = o.around.producers[newOperation(c, o.around).x()]
	}
	c := o.around.next(start)
	end := o.around.next(c)
	if end == nil || start.Code != schema.BuiltinOperatorSPACE_TO_BATCH_ND || end.Code != schema.BuiltinOperatorBATCH_TO_SPACE_ND ||
		c.Code != schema.BuiltinOperatorCONV_2D && c.Code != schema.BuiltinOperatorDEPTHWISE_CONV_2D {
		return false
	}
	from, ok := newOperation(start, o.around).ints(1)
	to, ok2 := newOperation(end, o.around).ints(1)
	return ok && ok2 && slices.Equal(from, to)
}

// shortBias: a 64-bit bias belongs to 16-bit values; beside 8-bit ones it ends
// the compiler.
var shortBias = check{
	name:   "type",
	advice: "write the bias as 32-bit integers",
	fault: func(o *operation) fault {
		if x, b := o.x(), o.bias; x != nil && b != nil && b.Type == schema.TensorTypeINT64 && x.Type != schema.TensorTypeINT16 {
			return faultf(b, "the bias is INT64, the input %s", x.Type)
		}
		return fault{}
	},
}

// meanBatch: MEAN works on one sample.
var meanBatch = check{
	name:   "batch",
	advice: "set the model's batch to 1",
	fault: func(o *operation) fault {
		if x := o.x(); x != nil && len(x.Shape) > 3 && x.Shape[0] > 1 {
			return faultf(x, "shape %s has a batch above 1", dims(x.Shape))
		}
		return fault{}
	},
}

// meanChannels: MEAN over channels needs a tensor that is flat otherwise.
var meanChannels = check{
	name:   "reduction",
	advice: "average over height and width, then over channels",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) < 3 {
			return fault{}
		}
		last := len(x.Shape) - 1
		for _, d := range x.Shape[last-2:] {
			if d == 1 {
				return fault{}
			}
		}
		for _, a := range o.axes(1) {
			if a == last {
				return faultf(x, "it averages over the channels of %s", dims(x.Shape))
			}
		}
		return fault{}
	},
}

// gatherAxis: GATHER picks along the first dimension behind the batch.
var gatherAxis = check{
	name:   "axis",
	advice: "transpose, or leave GATHER to the CPU",
	fault: func(o *operation) fault {
		if p, ok := o.Options.(*schema.GatherOptionsT); ok && p.Axis != p.BatchDims {
			return faultf(nil, "axis %d is not batch_dims %d", p.Axis, p.BatchDims)
		}
		return fault{}
	},
}

// oneAlignment: RESIZE aligns corners or centres.
var oneAlignment = check{
	name:   "resize mode",
	advice: "use one of the two",
	fault: func(o *operation) fault {
		if align, half, _ := resizeFlags(o.Options); align && half {
			return faultf(nil, "align_corners and half_pixel_centers")
		}
		return fault{}
	},
}

// powerResize: RESIZE_BILINEAR goes by powers of two.
var powerResize = check{
	name:   "resize factor",
	advice: "resize by a power of two",
	fault: func(o *operation) fault {
		x, y := o.x(), o.y()
		if x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 || x.Shape[1] == 1 && x.Shape[2] == 1 {
			return fault{}
		}
		for i := range 2 {
			if f := resizeStep(o, i); f < 1 || f&(f-1) != 0 {
				return faultf(y, "%dx%d to %dx%d", x.Shape[1], x.Shape[2], y.Shape[1], y.Shape[2])
			}
		}
		return fault{}
	},
}

// resizeStep is the factor along height (0) or width (1), 0 if it is not whole.
func resizeStep(o *operation, i int) int {
	in, out := o.x().Shape[1+i], o.y().Shape[1+i]
	if align, _, _ := resizeFlags(o.Options); align {
		in, out = in-1, out-1
	}
	return factor(in, out)
}

// maxWindow: a pooling window fits the NPU.
var maxWindow = check{
	name:   "window",
	advice: "pool in two steps",
	fault: func(o *operation) fault {
		w, ok := o.window()
		if ok && (w.kernel[0] > 256 || w.kernel[0]*w.kernel[1] > 65536) {
			return faultf(nil, "window %s, taken are 256 high and 65536 elements", dims(w.kernel[:]))
		}
		return fault{}
	},
}

// averageWindow: with padding SAME, an average goes over 8x8 at most.
var averageWindow = check{
	name:   "window",
	advice: "pad before the op and use padding VALID, or use MEAN",
	fault: func(o *operation) fault {
		w, ok := o.window()
		if ok && w.same && max(w.kernel[0], w.kernel[1]) > 8 {
			return faultf(nil, "window %s with padding SAME, taken are up to 8x8", dims(w.kernel[:]))
		}
		return maxWindow.fault(o)
	},
}

// meanSize: what a MEAN averages over fits the NPU.
var meanSize = check{
	name:   "reduction",
	advice: "average in two steps",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil {
			return fault{}
		}
		n := 1
		for _, a := range o.axes(1) {
			if a < 0 || a >= len(x.Shape) {
				continue
			}
			if x.Shape[a] > 4096 {
				return faultf(x, "dimension %d has %d elements, taken are up to 4096", a, x.Shape[a])
			}
			n *= x.Shape[a]
		}
		hi := map[schema.TensorType]int{schema.TensorTypeINT8: 1 << 24, schema.TensorTypeUINT8: 1 << 23, schema.TensorTypeINT16: 1 << 16}[x.Type]
		if hi > 0 && n > hi {
			return faultf(x, "%d elements, taken are up to %d", n, hi)
		}
		return fault{}
	},
}

// argMaxDepth: ARG_MAX goes along at most 127 channels.
var argMaxDepth = check{
	name:   "axis",
	advice: "leave ARG_MAX to the application",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) == 0 {
			return fault{}
		}
		last := len(x.Shape) - 1
		for _, a := range o.axes(1) {
			if a != last {
				return faultf(x, "it goes along dimension %d, taken is the last", a)
			}
		}
		if x.Shape[last] > 127 {
			return faultf(x, "%d channels, taken are up to 127", x.Shape[last])
		}
		return fault{}
	},
}

// softmaxRows: SOFTMAX works on 65536 rows at most.
var softmaxRows = check{
	name:   "softmax shape",
	advice: "split the tensor",
	fault: func(o *operation) fault {
		x := o.x()
		if x == nil || len(x.Shape) < 2 {
			return fault{}
		}
		rows := 1
		for _, d := range x.Shape[max(0, len(x.Shape)-3) : len(x.Shape)-1] {
			rows *= d
		}
		if rows > 65536 {
			return faultf(x, "%d rows, taken are up to 65536", rows)
		}
		return fault{}
	},
}

// splitCount: the stated number of parts is that of the outputs.
var splitCount = check{
	name:   "outputs",
	advice: "this is a fault of the file",
	fault: func(o *operation) fault {
		n := -1
		switch p := o.Options.(type) {
		case *schema.SplitOptionsT:
			n = int(p.NumSplits)
		case *schema.SplitVOptionsT:
			n = int(p.NumSplits)
		}
		if n >= 0 && n != len(o.Outputs) {
			return faultf(nil, "%d parts but %d outputs", n, len(o.Outputs))
		}
		return fault{}
	},
}

// denseForm: FULLY_CONNECTED weights are a matrix.
var denseForm = check{
	name:   "weights shape",
	advice: "reshape the weights to a matrix",
	fault: func(o *operation) fault {
		w := o.weights
		if w == nil || len(w.Shape) < 3 {
			return fault{}
		}
		for _, d := range w.Shape[1 : len(w.Shape)-1] {
			if d != 1 {
				return faultf(w, "shape %s", dims(w.Shape))
			}
		}
		return fault{}
	},
}

// transposedStride: TRANSPOSE_CONV goes by 1x1 or 2x2, or along one dimension.
var transposedStride = check{
	name:   "stride",
	advice: "use a stride of 2, or a RESIZE and a CONV_2D",
	fault: func(o *operation) fault {
		w, ok := o.window()
		x := o.x()
		if !ok || x == nil || len(x.Shape) != 4 {
			return fault{}
		}
		switch w.stride {
		case [2]int{1, 1}, [2]int{2, 2}:
			return fault{}
		case [2]int{1, 2}:
			if x.Shape[1] == 1 && w.kernel[0] == 1 {
				return fault{}
			}
		case [2]int{2, 1}:
			if x.Shape[2] == 1 && w.kernel[1] == 1 {
				return fault{}
			}
		}
		return faultf(nil, "stride %s, taken are 1x1 and 2x2", dims(w.stride[:]))
	},
}

// transposedShape: the output of TRANSPOSE_CONV is what stride and kernel make
// of the input.
var transposedShape = check{
	name:   "output shape",
	advice: "pad or slice after the op",
	fault: func(o *operation) fault {
		w, ok := o.window()
		x, y := o.x(), o.y()
		if !ok || x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
			return fault{}
		}
		for i := range 2 {
			want := x.Shape[1+i] * w.stride[i]
			if !w.same {
				want += max(w.kernel[i]-w.stride[i], 0)
			}
			if y.Shape[1+i] != want {
				return faultf(y, "shape %s, dimension %d must be %d", dims(y.Shape), 1+i, want)
			}
		}
		return fault{}
	},
}

// transposedInt32: TRANSPOSE of 32-bit values has few forms.
var transposedInt32 = check{
	name:   "type",
	advice: "transpose the 8-bit values",
	fault: func(o *operation) fault {
		x := o.x()
		perm, ok := o.ints(1)
		if x == nil || !ok || x.Type != schema.TensorTypeINT32 {
			return fault{}
		}
		for _, taken := range [][]int{{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2}} {
			if n := len(perm); n <= 4 && slices.Equal(shifted(taken[4-n:], n-4), perm) {
				return fault{}
			}
		}
		return faultf(x, "INT32 by %v; only neighbours among height, width and channels can change places", perm)
	},
}

// shifted adds d to all of v.
func shifted(v []int, d int) []int {
	w := slices.Clone(v)
	for i := range w {
		w[i] += d
	}
	return w
}

// forwardSlice: STRIDED_SLICE keeps something, goes forward, and skips only
// along height and width.
var forwardSlice = check{
	name:   "slice step",
	advice: "slice with steps of 1, or along height and width",
	fault: func(o *operation) fault {
		steps, _ := o.ints(3)
		for i, s := range steps {
			if s < 1 || s > 1 && (i == len(steps)-1 || len(steps) > 3 && i < len(steps)-3) {
				return faultf(nil, "step %d along dimension %d", s, i)
			}
		}
		if y := o.y(); y != nil && y.Len() == 0 {
			return faultf(y, "nothing is left")
		}
		return fault{}
	},
}

// resizeFactor: RESIZE doubles, up to three times; with half_pixel_centers up
// to half times.
func resizeFactor(half int) check {
	return check{
		name:   "resize factor",
		advice: "resize by 2, 4 or 8, or in several steps",
		fault: func(o *operation) fault {
			x, y := o.x(), o.y()
			if x == nil || y == nil || len(x.Shape) != 4 || len(y.Shape) != 4 {
				return fault{}
			}
			h, w := x.Shape[1], x.Shape[2]
			oh, ow := y.Shape[1], y.Shape[2]
			if h == 1 && w == 1 || h == oh && w == ow {
				return fault{}
			}
			_, centres, _ := resizeFlags(o.Options)
			fh, fw := resizeStep(o, 0), resizeStep(o, 1)
			if fh != fw && !(oh == 1 && fh == 1) && !(ow == 1 && fw == 1) {
				return faultf(y, "factors %dx%d", fh, fw)
			}
			f := max(fh, fw)
			hi := 8
			if centres {
				hi = half
			}
			if min(fh, fw) == 0 || f != 2 && f != 4 && f != 8 || f > hi {
				return faultf(y, "%dx%d to %dx%d", x.Shape[1], x.Shape[2], y.Shape[1], y.Shape[2])
			}
			return fault{}
		},
	}
}

// factor is out/in where that is a whole number, else 0.
func factor(in, out int) int {
	if in < 1 || out%in != 0 {
		return 0
	}
	return out / in
}
