package dfq

import (
	"math/rand/v2"
	"slices"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/tflitetest"
)

// A form makes a random graph of one op: it adds the op to f's builder.
type form func(f *former, code schema.BuiltinOperator)

// former is the state of one random graph.
type former struct {
	*tflitetest.Builder
	*rand.Rand
	lo, hi  float64 // range of every input
	results []*tflite.Tensor
}

func (f *former) between(lo, hi int) int { return lo + f.IntN(hi-lo+1) }
func (f *former) coin() bool             { return f.IntN(2) == 0 }

// shape has few elements, not the same number along all axes.
func (f *former) shape(rank int) []int {
	s := make([]int, rank)
	for i := range s {
		s[i] = f.between(1, 5)
	}
	s[rank-1] += 2
	return s
}

// operand is an input or, at times, a constant, which may be far larger or
// smaller than the inputs.
func (f *former) operand(shape ...int) *tflite.Tensor {
	if f.IntN(3) > 0 {
		return f.Input(shape...)
	}
	t := f.constant(shape...)
	v, by := t.Floats(), [...]float32{1, 1, 1000, 0.001}[f.IntN(4)]
	for i := range v {
		v[i] *= by
	}
	t.SetFloats(v)
	return t
}

func (f *former) constant(shape ...int) *tflite.Tensor {
	t := f.Floats(shape, 0)
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = float32(f.lo + (f.hi-f.lo)*f.Float64())
	}
	t.SetFloats(v)
	return t
}

func (f *former) ints(v ...int) *tflite.Tensor { return f.Ints([]int{len(v)}, v...) }
func (f *former) scalar(v int) *tflite.Tensor  { return f.Ints(nil, v) }

func (f *former) truths(shape ...int) *tflite.Tensor {
	t := f.Tensor("condition", schema.TensorTypeBOOL, shape...)
	t.Data = make([]byte, t.Len())
	for i := range t.Data {
		t.Data[i] = byte(f.IntN(2))
	}
	return t
}

// add adds the op; its outputs, of the given types, are the graph's.
func (f *former) add(code schema.BuiltinOperator, options any, inputs []*tflite.Tensor, types ...schema.TensorType) {
	if len(types) == 0 {
		types = []schema.TensorType{schema.TensorTypeFLOAT32}
	}
	for _, typ := range types {
		f.results = append(f.results, f.Tensor("result", typ))
	}
	f.Add(code, options, inputs, f.results...)
}

func list(t ...*tflite.Tensor) []*tflite.Tensor { return t }

// activation is one that all int8 kernels with fused activations know.
func (f *former) activation() schema.ActivationFunctionType {
	return schema.ActivationFunctionType(f.IntN(4))
}

func (f *former) padding() schema.Padding { return schema.Padding(f.IntN(2)) }

// bias is left out at times.
func (f *former) bias(in []*tflite.Tensor, n int) []*tflite.Tensor {
	if f.IntN(3) > 0 {
		return append(in, f.Random(0, 0.3*(f.hi-f.lo), n))
	}
	if f.coin() {
		return append(in, nil)
	}
	return in
}

// Shape classes. Every row of the table names the one that it belongs to.

func unaryForm(options any) form {
	return func(f *former, code schema.BuiltinOperator) {
		f.add(code, options, list(f.Input(f.shape(f.between(1, 4))...)))
	}
}

// rows are matrices, or more, of a length that a softmax makes sense on.
func rowsForm(options any) form {
	return func(f *former, code schema.BuiltinOperator) {
		f.add(code, options, list(f.Input(append(f.shape(f.between(1, 3)), f.between(4, 20))...)))
	}
}

// pair returns two operands, at least one of which is an input, whose shapes
// are the same or are broadcast.
func (f *former) pair(rank int) []*tflite.Tensor {
	a := f.shape(rank)
	b := append([]int{}, a...)
	switch f.IntN(4) {
	case 0: // one value for all
		b = nil
	case 1: // one for each channel
		b = b[rank-1:]
	case 2: // both ways
		b[f.IntN(rank)] = 1
		a[f.IntN(rank)] = 1
	}
	if f.coin() {
		return list(f.Input(a...), f.operand(b...))
	}
	return list(f.operand(b...), f.Input(a...))
}

func binaryForm(options func(schema.ActivationFunctionType) any) form {
	return func(f *former, code schema.BuiltinOperator) {
		rank := 4
		if f.IntN(4) == 0 {
			rank = f.between(1, 3)
		}
		var o any
		if options != nil {
			o = options(f.activation())
		}
		f.add(code, o, f.pair(rank))
	}
}

func compareForm(f *former, code schema.BuiltinOperator) {
	f.add(code, nil, f.pair(4), schema.TensorTypeBOOL)
}

func poolForm(f *former, code schema.BuiltinOperator) {
	f.add(code, &schema.Pool2DOptionsT{Padding: f.padding(), StrideH: int32(f.between(1, 3)), StrideW: int32(f.between(1, 3)),
		FilterHeight: int32(f.between(1, 4)), FilterWidth: int32(f.between(1, 4)), FusedActivationFunction: f.activation()},
		list(f.Input(f.between(1, 2), f.between(4, 9), f.between(4, 9), f.between(1, 20))))
}

func reduceForm(f *former, code schema.BuiltinOperator) {
	rank := f.between(2, 4)
	axes := f.Perm(rank)[:f.between(1, rank)]
	if rank == 4 && f.coin() {
		axes = []int{1, 2} // as behind a network's last convolution
	}
	axes[0] -= rank * f.IntN(2)
	f.add(code, &schema.ReducerOptionsT{KeepDims: f.coin()}, list(f.Input(f.shape(rank)...), f.ints(axes...)))
}

func convForm(f *former, code schema.BuiltinOperator) {
	groups, depth, n := 1, f.between(1, 6), f.between(1, 20)
	if f.IntN(4) == 0 {
		groups, depth = 2, max(depth, 2) // of one channel each, they are depthwise
		n *= 2
	}
	kh, kw := f.between(1, 3), f.between(1, 4)
	in := list(f.Input(f.between(1, 2), f.between(7, 9), f.between(8, 9), depth*groups), f.Filter("weights", kh*kw*depth, 0, n, kh, kw, depth))
	f.add(code, &schema.Conv2DOptionsT{Padding: f.padding(), StrideH: int32(f.between(1, 2)), StrideW: int32(f.between(1, 2)),
		DilationHFactor: int32(f.between(1, 2)), DilationWFactor: int32(f.between(1, 2)), FusedActivationFunction: f.activation()}, f.bias(in, n))
}

func depthwiseForm(f *former, code schema.BuiltinOperator) {
	k, multiplier, depth, dilation := f.between(1, 3), f.between(1, 3), f.between(1, 9), int32(f.between(1, 2))
	n := depth * multiplier
	in := list(f.Input(f.between(1, 2), f.between(7, 9), f.between(7, 9), depth), f.Filter("weights", k*k, 3, 1, k, k, n))
	stride := int32(1)
	if dilation == 1 {
		stride = int32(f.between(1, 2))
	}
	f.add(code, &schema.DepthwiseConv2DOptionsT{Padding: f.padding(), StrideH: stride, StrideW: stride, DepthMultiplier: int32(multiplier),
		DilationHFactor: dilation, DilationWFactor: dilation, FusedActivationFunction: f.activation()}, f.bias(in, n))
}

func denseForm(f *former, code schema.BuiltinOperator) {
	k, n, keep := f.between(3, 30), f.between(1, 20), f.coin()
	x := f.Input(f.between(1, 3), k)
	switch {
	case keep:
		x.Shape = []int{f.between(1, 3), f.between(1, 3), k}
	case f.coin(): // all axes but the first at once
		x.Shape = []int{f.between(1, 2), 2, f.between(1, 3), k}
		k *= 2 * x.Shape[2]
	}
	f.add(code, &schema.FullyConnectedOptionsT{KeepNumDims: keep, FusedActivationFunction: f.activation()}, f.bias(list(x, f.Filter("weights", k, 0, n, k)), n))
}

func transposeConvForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.between(1, 2), f.between(2, 5), f.between(2, 5), f.between(1, 6))
	kh, kw, sh, sw, p, n := f.between(1, 4), f.between(1, 4), f.between(1, 2), f.between(1, 2), f.padding(), f.between(1, 8)
	size := []int{x.Shape[0], x.Shape[1] * sh, x.Shape[2] * sw, n}
	if p == schema.PaddingVALID {
		size = []int{x.Shape[0], (x.Shape[1]-1)*sh + kh, (x.Shape[2]-1)*sw + kw, n}
	}
	in := list(f.ints(size...), f.Filter("weights", kh*kw*x.Shape[3], 0, n, kh, kw, x.Shape[3]), x)
	f.add(code, &schema.TransposeConvOptionsT{Padding: p, StrideH: int32(sh), StrideW: int32(sw)}, f.bias(in, n))
}

func matmulForm(f *former, code schema.BuiltinOperator) {
	m, k, n, ax, ay := f.between(1, 5), f.between(2, 9), f.between(1, 5), f.coin(), f.coin()
	a, b := []int{1, f.between(1, 3), m, k}, []int{2, 1, k, n}
	if ax {
		a[2], a[3] = k, m
	}
	if ay {
		b[2], b[3] = n, k
	}
	f.add(code, &schema.BatchMatMulOptionsT{AdjX: ax, AdjY: ay}, list(f.Input(a...), f.Input(b...)))
}

func preluForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.shape(4)...)
	alpha := []int{1, 1, x.Shape[3]}
	if f.coin() {
		alpha = x.Shape[1:]
	}
	f.add(code, nil, list(x, f.Random(0.2, 0.2, alpha...)))
}

// shapedForm is for ops of one input and a list of integers that depends on its
// shape.
func shapedForm(lo, hi int, options any, integers func(f *former, shape []int) []*tflite.Tensor) form {
	return func(f *former, code schema.BuiltinOperator) {
		x := f.Input(f.shape(f.between(lo, hi))...)
		f.add(code, options, append(list(x), integers(f, x.Shape)...))
	}
}

func padsFor(f *former, shape []int) []*tflite.Tensor {
	v := make([]int, 2*len(shape))
	for i := range v {
		v[i] = f.between(0, 2)
	}
	return list(f.Ints([]int{len(shape), 2}, v...))
}

func padV2Form(f *former, code schema.BuiltinOperator) {
	x, value := f.Input(f.shape(f.between(2, 5))...), f.lo
	if value == 0 { // of which it would be a PAD
		value = f.hi
	}
	f.add(code, nil, append(append(list(x), padsFor(f, x.Shape)...), f.Floats(nil, float32(value))))
}

func mirrorPadForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.between(3, 4), f.between(3, 5), 4)
	f.add(code, &schema.MirrorPadOptionsT{Mode: schema.MirrorPadMode(f.IntN(2))}, append(list(x), padsFor(f, x.Shape)...))
}

func squeezeForm(f *former, code schema.BuiltinOperator) {
	dims := [][]int32{nil, {0}, {-2}, {0, 2}}[f.IntN(4)]
	f.add(code, &schema.SqueezeOptionsT{SqueezeDims: dims}, list(f.Input(1, f.between(1, 4), 1, 3)))
}

func sliceForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.shape(f.between(1, 5))...)
	var begin, size []int
	for _, n := range x.Shape {
		b := f.between(0, n-1)
		begin, size = append(begin, b), append(size, f.between(1, n-b))
	}
	if f.coin() {
		size[0] = -1
	}
	f.add(code, nil, list(x, f.ints(begin...), f.ints(size...)))
}

func stridedSliceForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.shape(f.between(2, 5))...)
	o := &schema.StridedSliceOptionsT{}
	var begin, end, strides []int
	for i, n := range x.Shape {
		b := f.between(0, n-1)
		e, s := f.between(b+1, n), f.between(1, 2)
		if f.IntN(4) == 0 && i > 0 {
			o.ShrinkAxisMask |= 1 << i
			e, s = b+1, 1
		}
		begin, end, strides = append(begin, b), append(end, e), append(strides, s)
	}
	if o.ShrinkAxisMask == 0 && len(x.Shape) < 4 && f.coin() {
		o.NewAxisMask = 1
		begin, end, strides = append([]int{0}, begin...), append([]int{1}, end...), append([]int{1}, strides...)
	}
	f.add(code, o, list(x, f.ints(begin...), f.ints(end...), f.ints(strides...)))
}

// concatForm is for CONCATENATION and, with all operands of one shape, PACK.
func concatForm(f *former, code schema.BuiltinOperator) {
	rank := f.between(2, 4)
	shape, axis := f.shape(rank), f.between(0, rank-1)
	var in []*tflite.Tensor
	for i := range f.between(2, 4) {
		s := append([]int{}, shape...)
		s[axis] = f.between(1, 4)
		if i == 0 {
			in = append(in, f.Input(s...))
		} else {
			in = append(in, f.operand(s...))
		}
	}
	f.add(code, &schema.ConcatenationOptionsT{Axis: int32(axis - rank*f.IntN(2))}, in)
}

func packForm(f *former, code schema.BuiltinOperator) {
	shape := f.shape(f.between(1, 3))
	in := list(f.Input(shape...), f.operand(shape...), f.Input(shape...))
	f.add(code, &schema.PackOptionsT{Axis: int32(f.between(-1, len(shape))), ValuesCount: 3}, in)
}

func unpackForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.shape(3)...)
	axis := f.between(0, 2)
	f.add(code, &schema.UnpackOptionsT{Axis: int32(axis - 3*f.IntN(2)), Num: int32(x.Shape[axis])}, list(x), floats(x.Shape[axis])...)
}

func floats(n int) []schema.TensorType { return make([]schema.TensorType, n) } // FLOAT32 is 0

func splitForm(f *former, code schema.BuiltinOperator) {
	shape, axis, n := f.shape(f.between(1, 4)), 0, f.between(1, 3)
	axis = f.IntN(len(shape))
	shape[axis] = n * f.between(1, 2)
	f.add(code, &schema.SplitOptionsT{NumSplits: int32(n)}, list(f.scalar(axis-len(shape)*f.IntN(2)), f.Input(shape...)), floats(n)...)
}

func splitVForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(4, f.between(4, 6), 2)
	f.add(code, &schema.SplitVOptionsT{NumSplits: 3}, list(x, f.ints(1, -1, 2), f.scalar(1)), floats(3)...)
}

func selectForm(f *former, code schema.BuiltinOperator) {
	shape := f.shape(f.between(1, 4))
	f.add(code, nil, list(f.truths(shape...), f.Input(shape...), f.operand(shape...)))
}

func selectV2Form(f *former, code schema.BuiltinOperator) {
	f.add(code, nil, list(f.truths(3, 1), f.Input(2, 3, 2), f.operand(1, 2)))
}

func gatherForm(f *former, code schema.BuiltinOperator) {
	if f.IntN(3) == 0 {
		f.add(code, &schema.GatherOptionsT{Axis: 2, BatchDims: 1}, list(f.Input(2, 2, 4, 2), f.Ints([]int{2, 2}, f.IntN(4), f.IntN(4), f.IntN(4), 3)))
		return
	}
	x, axis := f.Input(f.shape(3)...), f.between(0, 2)
	n := x.Shape[axis] - 1
	f.add(code, &schema.GatherOptionsT{Axis: int32(axis)}, list(x, f.Ints([]int{2, 2}, f.between(0, n), f.between(0, n), n, 0)))
}

func gatherNDForm(f *former, code schema.BuiltinOperator) {
	f.add(code, nil, list(f.Input(3, 4, 2), f.Ints([]int{3, 2}, f.IntN(3), f.IntN(4), f.IntN(3), f.IntN(4), 2, 3)))
}

func scatterNDForm(f *former, code schema.BuiltinOperator) {
	// Every place once: an int8 kernel has no scale for sums.
	p := f.Perm(12)
	f.add(code, nil, list(f.Ints([]int{3, 2}, p[0]/4, p[0]%4, p[1]/4, p[1]%4, p[2]/4, p[2]%4), f.Input(3, 2), f.ints(3, 4, 2)))
}

func updateForm(f *former, code schema.BuiltinOperator) {
	x := f.shape(3)
	part, start := make([]int, 3), make([]int, 3)
	for i, n := range x {
		part[i] = f.between(1, n)
		start[i] = f.between(0, n-part[i])
	}
	f.add(code, nil, list(f.Input(x...), f.operand(part...), f.ints(start...)))
}

func embeddingForm(f *former, code schema.BuiltinOperator) {
	table := f.shape(f.between(2, 3))
	f.add(code, nil, list(f.ints(f.IntN(table[0]), 0, f.IntN(table[0])), f.Input(table...)))
}

func oneHotForm(f *former, code schema.BuiltinOperator) {
	f.add(code, &schema.OneHotOptionsT{Axis: int32(f.between(-1, 1))}, list(f.ints(f.IntN(4), -1, 3), f.scalar(f.between(3, 5)), f.Input(), f.operand()))
}

func sparseToDenseForm(f *former, code schema.BuiltinOperator) {
	if f.coin() {
		f.add(code, nil, list(f.ints(f.IntN(3), 3, f.between(4, 6)), f.ints(7), f.Input(3), f.operand()))
		return
	}
	f.add(code, nil, list(f.Ints([]int{2, 2}, 0, f.IntN(4), 2, f.IntN(4)), f.ints(3, 4), f.Input(2), f.operand()))
}

func diagonalForm(f *former, code schema.BuiltinOperator) {
	x := f.shape(f.between(2, 3))
	if code == schema.BuiltinOperatorMATRIX_DIAG {
		f.add(code, nil, list(f.Input(x...)))
		return
	}
	n := len(x) - 2
	f.add(code, nil, list(f.Input(x...), f.operand(append(slices.Clone(x[:n]), min(x[n], x[n+1]))...)))
}

func fillForm(f *former, code schema.BuiltinOperator) {
	f.add(code, nil, list(f.ints(f.shape(3)...), f.Input()))
}

func resizeForm(options func(half, corners bool) any) form {
	return func(f *former, code schema.BuiltinOperator) {
		k := f.IntN(3)
		f.add(code, options(k == 1, k == 2), list(f.Input(f.between(1, 2), f.between(2, 6), f.between(2, 6), f.between(1, 5)), f.ints(f.between(1, 11), f.between(1, 9))))
	}
}

func spaceToBatchForm(f *former, code schema.BuiltinOperator) {
	b, c := f.between(1, 3), f.between(1, 2)
	if f.IntN(3) == 0 {
		f.add(code, nil, list(f.Input(2, 4*b, 3), f.ints(b), f.Ints([]int{1, 2}, b, 0)))
		return
	}
	x := f.Input(f.between(1, 2), b*f.between(1, 3), c*f.between(1, 3), 3)
	f.add(code, nil, list(x, f.ints(b, c), f.Ints([]int{2, 2}, f.between(0, 1)*b, 0, f.between(0, 1)*c, c)))
}

func batchToSpaceForm(f *former, code schema.BuiltinOperator) {
	if f.IntN(3) == 0 {
		f.add(code, nil, list(f.Input(6, 3, 4), f.ints(3), f.Ints([]int{1, 2}, 1, 0)))
		return
	}
	x := f.Input(6*f.between(1, 2), f.between(2, 3), f.between(2, 3), 3)
	f.add(code, nil, list(x, f.ints(2, 3), f.Ints([]int{2, 2}, f.between(0, 1), f.between(0, 2), f.between(0, 2), 1)))
}

func spaceToDepthForm(f *former, code schema.BuiltinOperator) {
	b := f.between(1, 3)
	f.add(code, &schema.SpaceToDepthOptionsT{BlockSize: int32(b)}, list(f.Input(2, b*f.between(1, 3), b*2, f.between(1, 3))))
}

func depthToSpaceForm(f *former, code schema.BuiltinOperator) {
	b := f.between(1, 3)
	f.add(code, &schema.DepthToSpaceOptionsT{BlockSize: int32(b)}, list(f.Input(2, 2, f.between(1, 3), b*b*f.between(1, 3))))
}

func argForm(options any) form {
	return func(f *former, code schema.BuiltinOperator) {
		f.add(code, options, list(f.Input(f.shape(3)...), f.scalar(f.between(-3, 2))), schema.TensorTypeINT32)
	}
}

func topKForm(f *former, code schema.BuiltinOperator) {
	x := f.Input(f.shape(2)...)
	f.add(code, nil, list(x, f.scalar(f.between(1, x.Shape[1]))), schema.TensorTypeFLOAT32, schema.TensorTypeINT32)
}

func describeForm(options any) form {
	return func(f *former, code schema.BuiltinOperator) {
		f.add(code, options, list(f.Input(f.shape(f.between(1, 4))...)), schema.TensorTypeINT32)
	}
}

// opForms says which shape class each row belongs to.
var opForms = map[schema.BuiltinOperator]form{
	schema.BuiltinOperatorCONV_2D:           convForm,
	schema.BuiltinOperatorDEPTHWISE_CONV_2D: depthwiseForm,
	schema.BuiltinOperatorFULLY_CONNECTED:   denseForm,
	schema.BuiltinOperatorTRANSPOSE_CONV:    transposeConvForm,
	schema.BuiltinOperatorBATCH_MATMUL:      matmulForm,

	schema.BuiltinOperatorADD: binaryForm(func(a schema.ActivationFunctionType) any {
		return &schema.AddOptionsT{PotScaleInt16: true, FusedActivationFunction: a}
	}),
	schema.BuiltinOperatorSUB: binaryForm(func(a schema.ActivationFunctionType) any {
		return &schema.SubOptionsT{PotScaleInt16: true, FusedActivationFunction: a}
	}),
	schema.BuiltinOperatorMUL:                binaryForm(func(a schema.ActivationFunctionType) any { return &schema.MulOptionsT{FusedActivationFunction: a} }),
	schema.BuiltinOperatorDIV:                binaryForm(func(a schema.ActivationFunctionType) any { return &schema.DivOptionsT{FusedActivationFunction: a} }),
	schema.BuiltinOperatorSQUARED_DIFFERENCE: binaryForm(nil),
	schema.BuiltinOperatorMAXIMUM:            binaryForm(nil),
	schema.BuiltinOperatorMINIMUM:            binaryForm(nil),

	schema.BuiltinOperatorAVERAGE_POOL_2D: poolForm,
	schema.BuiltinOperatorMAX_POOL_2D:     poolForm,
	schema.BuiltinOperatorMEAN:            reduceForm,
	schema.BuiltinOperatorSUM:             reduceForm,
	schema.BuiltinOperatorREDUCE_MAX:      reduceForm,
	schema.BuiltinOperatorREDUCE_MIN:      reduceForm,
	schema.BuiltinOperatorREDUCE_PROD:     reduceForm,

	schema.BuiltinOperatorRELU:             unaryForm(nil),
	schema.BuiltinOperatorRELU6:            unaryForm(nil),
	schema.BuiltinOperatorRELU_N1_TO_1:     unaryForm(nil),
	schema.BuiltinOperatorRELU_0_TO_1:      unaryForm(nil),
	schema.BuiltinOperatorLEAKY_RELU:       unaryForm(&schema.LeakyReluOptionsT{Alpha: 0.3}),
	schema.BuiltinOperatorPRELU:            preluForm,
	schema.BuiltinOperatorELU:              unaryForm(nil),
	schema.BuiltinOperatorHARD_SWISH:       unaryForm(nil),
	schema.BuiltinOperatorGELU:             unaryForm(&schema.GeluOptionsT{}),
	schema.BuiltinOperatorABS:              unaryForm(nil),
	schema.BuiltinOperatorRSQRT:            unaryForm(nil),
	schema.BuiltinOperatorEXP:              unaryForm(nil),
	schema.BuiltinOperatorLOG:              unaryForm(nil),
	schema.BuiltinOperatorSQRT:             unaryForm(nil),
	schema.BuiltinOperatorLOGISTIC:         unaryForm(nil),
	schema.BuiltinOperatorTANH:             unaryForm(nil),
	schema.BuiltinOperatorSOFTMAX:          rowsForm(&schema.SoftmaxOptionsT{Beta: 0.7}),
	schema.BuiltinOperatorLOG_SOFTMAX:      rowsForm(nil),
	schema.BuiltinOperatorL2_NORMALIZATION: rowsForm(&schema.L2NormOptionsT{}),

	schema.BuiltinOperatorCONCATENATION: concatForm,
	schema.BuiltinOperatorPACK:          packForm,
	schema.BuiltinOperatorUNPACK:        unpackForm,
	schema.BuiltinOperatorSPLIT:         splitForm,
	schema.BuiltinOperatorSPLIT_V:       splitVForm,
	schema.BuiltinOperatorSELECT:        selectForm,
	schema.BuiltinOperatorSELECT_V2:     selectV2Form,

	schema.BuiltinOperatorPAD:        shapedForm(2, 5, nil, padsFor),
	schema.BuiltinOperatorPADV2:      padV2Form,
	schema.BuiltinOperatorMIRROR_PAD: mirrorPadForm,
	schema.BuiltinOperatorRESHAPE: shapedForm(2, 4, nil, func(f *former, s []int) []*tflite.Tensor {
		return list(f.ints(s[0], -1))
	}),
	schema.BuiltinOperatorSQUEEZE: squeezeForm,
	schema.BuiltinOperatorEXPAND_DIMS: shapedForm(1, 4, nil, func(f *former, s []int) []*tflite.Tensor {
		return list(f.scalar(f.between(-len(s)-1, len(s))))
	}),
	schema.BuiltinOperatorTRANSPOSE: shapedForm(2, 6, nil, func(f *former, s []int) []*tflite.Tensor {
		return list(f.ints(f.Perm(len(s))...))
	}),
	schema.BuiltinOperatorSLICE:         sliceForm,
	schema.BuiltinOperatorSTRIDED_SLICE: stridedSliceForm,
	schema.BuiltinOperatorGATHER:        gatherForm,
	schema.BuiltinOperatorGATHER_ND:     gatherNDForm,
	schema.BuiltinOperatorSCATTER_ND:    scatterNDForm,

	schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE: updateForm,
	schema.BuiltinOperatorEMBEDDING_LOOKUP:     embeddingForm,
	schema.BuiltinOperatorONE_HOT:              oneHotForm,
	schema.BuiltinOperatorSPARSE_TO_DENSE:      sparseToDenseForm,
	schema.BuiltinOperatorMATRIX_DIAG:          diagonalForm,
	schema.BuiltinOperatorMATRIX_SET_DIAG:      diagonalForm,

	schema.BuiltinOperatorTILE: shapedForm(1, 4, nil, func(f *former, s []int) []*tflite.Tensor {
		return list(f.ints(f.shape(len(s))...))
	}),
	schema.BuiltinOperatorBROADCAST_TO: shapedForm(2, 4, nil, func(f *former, s []int) []*tflite.Tensor {
		to := append([]int{f.between(1, 3)}, s...)
		for i := range s {
			if s[i] == 1 {
				to[i+1] = f.between(1, 4)
			}
		}
		return list(f.ints(to...))
	}),
	schema.BuiltinOperatorFILL: fillForm,
	schema.BuiltinOperatorREVERSE_V2: shapedForm(1, 4, nil, func(f *former, s []int) []*tflite.Tensor {
		return list(f.ints(f.IntN(len(s))))
	}),
	schema.BuiltinOperatorRESIZE_BILINEAR: resizeForm(func(half, corners bool) any {
		return &schema.ResizeBilinearOptionsT{AlignCorners: corners, HalfPixelCenters: half}
	}),
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR: resizeForm(func(half, corners bool) any {
		return &schema.ResizeNearestNeighborOptionsT{AlignCorners: corners, HalfPixelCenters: half}
	}),
	schema.BuiltinOperatorSPACE_TO_DEPTH:    spaceToDepthForm,
	schema.BuiltinOperatorDEPTH_TO_SPACE:    depthToSpaceForm,
	schema.BuiltinOperatorSPACE_TO_BATCH_ND: spaceToBatchForm,
	schema.BuiltinOperatorBATCH_TO_SPACE_ND: batchToSpaceForm,

	schema.BuiltinOperatorARG_MAX:       argForm(&schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}),
	schema.BuiltinOperatorARG_MIN:       argForm(&schema.ArgMinOptionsT{OutputType: schema.TensorTypeINT32}),
	schema.BuiltinOperatorTOPK_V2:       topKForm,
	schema.BuiltinOperatorEQUAL:         compareForm,
	schema.BuiltinOperatorNOT_EQUAL:     compareForm,
	schema.BuiltinOperatorGREATER:       compareForm,
	schema.BuiltinOperatorGREATER_EQUAL: compareForm,
	schema.BuiltinOperatorLESS:          compareForm,
	schema.BuiltinOperatorLESS_EQUAL:    compareForm,
	schema.BuiltinOperatorSHAPE:         describeForm(&schema.ShapeOptionsT{OutType: schema.TensorTypeINT32}),
	schema.BuiltinOperatorRANK:          describeForm(nil),
}
