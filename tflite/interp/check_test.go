//go:build tflite

package interp

import (
	"math"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// convGraph is a 3×3 convolution, with stride 2 and VALID padding, of 7×7 values.
func convGraph() *tflite.Graph {
	x, y, w, b := float("x", 1, 7, 7, 1), float("y", 1, 3, 3, 1), float("w", 1, 3, 3, 1), float("b", 1)
	w.SetFloats([]float32{0, 0, 0, 0, 1, 0, 0, 0, 0})
	b.SetFloats([]float32{100})
	return &tflite.Graph{
		Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{y},
		Ops: []*tflite.Op{{Code: schema.BuiltinOperatorCONV_2D, Version: 1,
			Inputs: []*tflite.Tensor{x, w, b}, Outputs: []*tflite.Tensor{y},
			Options: &schema.Conv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2, DilationHFactor: 1, DilationWFactor: 1}}},
	}
}

// one is a graph of one operator, which is given its inputs that are no constants.
func one(code schema.BuiltinOperator, options any, out *tflite.Tensor, inputs ...*tflite.Tensor) *tflite.Graph {
	g := &tflite.Graph{Outputs: []*tflite.Tensor{out}, Ops: []*tflite.Op{{Code: code, Version: 1, Options: options,
		Inputs: inputs, Outputs: []*tflite.Tensor{out}}}}
	for _, t := range inputs {
		if !t.Constant() {
			g.Inputs = append(g.Inputs, t)
		}
	}
	return g
}

// ints is an INT32 constant, without values a tensor that is none.
func ints(name string, v ...int32) *tflite.Tensor {
	t := &tflite.Tensor{Name: name, Shape: []int{len(v)}, Type: schema.TensorTypeINT32}
	if len(v) > 0 {
		t.SetInt32s(v)
	}
	return t
}

func shaped(t *tflite.Tensor, shape ...int) *tflite.Tensor {
	t.Shape = shape
	return t
}

// Each of these ends the process if the C library sees it.
func TestRefused(t *testing.T) {
	int8s := func(t *tflite.Tensor, scale float32) {
		t.Type, t.Data = schema.TensorTypeINT8, nil
		t.Quant = &tflite.Quantization{Scale: []float32{scale}, Zero: []int64{0}}
	}
	for _, c := range []struct {
		name string
		g    *tflite.Graph
		edit func(op *tflite.Op)
		want string
	}{
		{"scale 0", reluGraph(), func(op *tflite.Op) { int8s(op.Inputs[0], 0) }, "scale"},
		{"scale -1", reluGraph(), func(op *tflite.Op) { int8s(op.Inputs[0], -1) }, "scale"},
		{"string", reluGraph(), func(op *tflite.Op) { op.Outputs[0].Type = schema.TensorTypeSTRING }, "numbers"},
		{"stride 0", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).StrideH = 0 }, "window"},
		{"stride huge", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).StrideW = 1 << 20 }, "window"},
		{"padding 7", convGraph(), func(op *tflite.Op) { op.Options.(*schema.Conv2DOptionsT).Padding = 7 }, "padding 7"},
		{"no options", convGraph(), func(op *tflite.Op) { op.Options = nil }, "window"},
		{"pooling without options", convGraph(), func(op *tflite.Op) {
			op.Code, op.Options, op.Inputs = schema.BuiltinOperatorMAX_POOL_2D, nil, op.Inputs[:1]
		}, "window"},
		{"depthwise without bias", convGraph(), func(op *tflite.Op) {
			op.Code, op.Inputs = schema.BuiltinOperatorDEPTHWISE_CONV_2D, op.Inputs[:2]
			op.Options = &schema.DepthwiseConv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2,
				DepthMultiplier: 1, DilationHFactor: 1, DilationWFactor: 1}
		}, "bias"},
		{"input left out", reluGraph(), func(op *tflite.Op) { op.Inputs[1] = nil }, "input 1 is left out"},
		{"reshape of another type", reluGraph(), func(op *tflite.Op) {
			op.Code, op.Options, op.Inputs = schema.BuiltinOperatorRESHAPE, nil, op.Inputs[:1]
			op.Outputs[0].Type = schema.TensorTypeUINT8
		}, "it makes UINT8 of FLOAT32"},
		{"sum of too small a scale", reluGraph(), func(op *tflite.Op) {
			int8s(op.Inputs[0], 1)
			int8s(op.Outputs[0], 1e-9)
		}, "too small"},
		{"comparison of a large scale", reluGraph(), func(op *tflite.Op) {
			op.Code, op.Options = schema.BuiltinOperatorLESS, nil
			int8s(op.Inputs[0], 1.5)
		}, "not below 1"},
		{"gather beyond", one(schema.BuiltinOperatorGATHER, nil, float("y", 2, 3), float("x", 4, 3), ints("i", 0, 4)), nil, `op 0 GATHER "y": index 4 in "i" is not below 4`},
		{"gather beyond the last axis", one(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: -1}, float("y", 4, 1), float("x", 4, 3), ints("i", 3)), nil, `index 3 in "i" is not below 3`},
		{"gather_nd beyond", one(schema.BuiltinOperatorGATHER_ND, nil, float("y"), float("x", 4, 3), ints("i", 3, 3)), nil, `index 3 in "i" is not below 3`},
		{"scatter beyond", one(schema.BuiltinOperatorSCATTER_ND, nil, float("y", 4), shaped(ints("i", 4), 1, 1), float("x", 1), ints("shape", 4)), nil, `index 4 in "i" is not below 4`},
		{"scatter before", one(schema.BuiltinOperatorSCATTER_ND, nil, float("y", 4), shaped(ints("i", -1), 1, 1), float("x", 1), ints("shape", 4)), nil, `index -1 in "i" is negative`},
		{"sparse beyond", one(schema.BuiltinOperatorSPARSE_TO_DENSE, nil, float("y", 4), ints("i", 1, 4), ints("shape", 4), float("x", 2), float("zero")), nil, `index 4 in "i" is not below 4`},
		{"slice before", one(schema.BuiltinOperatorSLICE, nil, float("y", 2), float("x", 4), ints("begin", -1), ints("size", 2)), nil, `index -1 in "begin" is negative`},
		{"many axes", one(schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{}, float("y", 4), float("x", 4, 3), ints("axes", make([]int32, 1000)...)), nil, `op 0 MEAN "y": 1000 axes for 2 dimensions`},
		{"negative radius", one(schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION, &schema.LocalResponseNormalizationOptionsT{Radius: -100000}, float("y", 1, 2, 2, 4), float("x", 1, 2, 2, 4)), nil, "radius -100000"},
		{"huge radius", one(schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION, &schema.LocalResponseNormalizationOptionsT{Radius: math.MaxInt32}, float("y", 1, 2, 2, 4), float("x", 1, 2, 2, 4)), nil, "radius 2147483647"},
		{"constant input", reluGraph(), func(op *tflite.Op) { op.Inputs[0].SetFloats(make([]float32, 4)) }, `input 0 "x": it is a constant`},
		{"huge in sum", one(schema.BuiltinOperatorNEG, nil, float("y", 1<<27), float("x", 1<<27+1)), nil, `268435457 elements, 134217729 of them in "x": more than 268435456`},
		{"huge resize", one(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, &schema.ResizeNearestNeighborOptionsT{}, float("y", 1, 1, 1, 3), float("x", 1, 1, 1, 3), ints("size", 40000, 40000)), nil, `4799999997 of them in "y"`},
		{"huge tile", one(schema.BuiltinOperatorTILE, nil, float("y", 4, 3), float("x", 4, 3), ints("times", 10000, 10000)), nil, `of them in "y"`},
		{"huge fill", one(schema.BuiltinOperatorFILL, nil, float("y", 4), ints("shape", 100000, 100000), float("x")), nil, `of them in "y"`},
		{"huge broadcast", one(schema.BuiltinOperatorBROADCAST_TO, nil, float("y", 4), float("x", 1), ints("shape", 100000, 100000)), nil, `of them in "y"`},
		{"huge padding", one(schema.BuiltinOperatorPAD, nil, float("y", 4), float("x", 4), shaped(ints("sides", 1<<30, 0), 1, 2)), nil, `of them in "y"`},
		{"huge range", one(schema.BuiltinOperatorRANGE, nil, ints("y"), ints("from", 0), ints("to", math.MaxInt32), ints("step", 1)), nil, `of them in "y"`},
		{"huge one-hot", one(schema.BuiltinOperatorONE_HOT, nil, float("y", 1, 4), ints("i", 0), ints("depth", math.MaxInt32), float("on"), float("off")), nil, `of them in "y"`},
		{"huge scatter", one(schema.BuiltinOperatorSCATTER_ND, nil, float("y", 4), shaped(ints("i", 0), 1, 1), float("x", 1), ints("shape", math.MaxInt32)), nil, `of them in "y"`},
		{"huge columns", one(schema.BuiltinOperatorCONV_2D, &schema.Conv2DOptionsT{StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1},
			float("y", 1, 4096, 4096, 1), float("x", 1, 4096, 4096, 1), float("w", 1, 128, 128, 1)), nil, `op 0 CONV_2D "y": its kernel lays out 274877906944 elements`},
		{"huge columns of a transposed convolution", one(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{StrideH: 1, StrideW: 1},
			float("y", 1, 4096, 4096, 1), ints("shape", 1, 4096, 4096, 1), float("w", 1, 128, 128, 1), float("x", 1, 4096, 4096, 1)), nil, `its kernel lays out 274877906944 elements`},
	} {
		if c.edit != nil {
			c.edit(c.g.Ops[0])
		}
		data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{c.g}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in, err := New(data, 1)
		if err == nil {
			in.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
	}
}

// The outermost that is not refused, and what is not known before it runs.
func TestNotRefused(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6}
	for _, g := range []*tflite.Graph{
		one(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: -1}, float("y", 2, 1), float("x", 2, 3), ints("i", 2)),
		one(schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{}, float("y"), float("x", 1, 2, 1, 3), ints("axes", 0, 1, 2, 3)),
		one(schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION, &schema.LocalResponseNormalizationOptionsT{Radius: math.MaxInt16, Bias: 1, Beta: 1}, float("y", 1, 1, 2, 3), float("x", 1, 1, 2, 3)),
		one(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, &schema.ResizeNearestNeighborOptionsT{}, float("y", 1, 1, 1, 1), float("x", 1, 2, 3, 1), ints("size", 1000, 1000)),
	} {
		run(t, open(t, g), x)
	}

	// How many places WHERE finds is not in the file.
	where := &tflite.Tensor{Name: "where", Type: schema.TensorTypeINT64, Shape: []int{1, 1}, Signature: []int{-1, 1}}
	y := &tflite.Tensor{Name: "y", Type: schema.TensorTypeINT64, Shape: []int{1, 1}}
	g := one(schema.BuiltinOperatorGATHER, nil, y, where, ints("i", 3))
	in := float("x", 6)
	g.Inputs = []*tflite.Tensor{in}
	g.Ops = append([]*tflite.Op{{Code: schema.BuiltinOperatorWHERE, Version: 1, Inputs: g.Inputs, Outputs: []*tflite.Tensor{where}}}, g.Ops...)
	equal(t, run(t, open(t, g), []float32{0, 1, 0, 1, 1, 1}), []float32{5})
	where.Shape, where.Signature = []int{0, 1}, nil
	equal(t, run(t, open(t, g), []float32{0, 1, 0, 1, 1, 1}), []float32{5})
}

// What XNNPACK does not survive runs without it, to the same result.
func TestWithoutXNNPACK(t *testing.T) {
	x := make([]float32, 49)
	for i := range x {
		x[i] = float32(i)
	}
	want := []float32{108, 110, 112, 122, 124, 126, 136, 138, 140}
	good := open(t, convGraph())
	if good.xnnpack == nil {
		t.Error("XNNPACK is not used at all")
	}
	equal(t, run(t, good, x), want)

	dead := convGraph()
	nobody := float("nobody", 1, 3, 3, 1)
	dead.Ops = append(dead.Ops, &tflite.Op{Code: schema.BuiltinOperatorRELU, Version: 1,
		Inputs: dead.Outputs, Outputs: []*tflite.Tensor{nobody}})
	wrong := convGraph()
	wrong.Outputs[0].Shape = []int{1, 7, 7, 1}
	for _, g := range []*tflite.Graph{dead, wrong} {
		in := open(t, g)
		if in.xnnpack != nil {
			t.Error("XNNPACK is used where it cannot be")
		}
		equal(t, run(t, in, x), want)
	}
}

// One slope for all channels is none for each of them.
func TestSharedSlope(t *testing.T) {
	const channels = 64
	x, slope, y := float("x", 1, 2, 2, channels), float("slope", 1, 1, 1), float("y", 1, 2, 2, channels)
	slope.SetFloats([]float32{0.5})
	values, want := make([]float32, x.Len()), make([]float32, x.Len())
	for i := range values {
		values[i], want[i] = float32(i-100), float32(i-100)
		if i < 100 {
			want[i] /= 2
		}
	}
	equal(t, run(t, open(t, one(schema.BuiltinOperatorPRELU, nil, y, x, slope)), values), want)
}

// Indices that are given are looked at before each run.
func TestGivenIndices(t *testing.T) {
	ids := ints("ids")
	ids.Shape = []int{2}
	table := float("table", 3, 2)
	table.SetFloats([]float32{1, 2, 3, 4, 5, 6})
	in := open(t, one(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, float("y", 2, 2), table, ids))
	equal(t, run(t, in, []float32{2, 0}), []float32{5, 6, 1, 2})
	for given, want := range map[float32]string{3: "index 3 in \"ids\" is not below 3", -1: "index -1 in \"ids\" is negative"} {
		_, err := in.Run([][]float32{{0, given}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "op 0 GATHER") {
			t.Errorf("%g: %v, want %q", given, err, want)
		}
	}
	equal(t, run(t, in, []float32{1, 1}), []float32{3, 4, 3, 4})
}

// What kernels end the process for is an error, and what they do not is none.
func TestBroadcastLimits(t *testing.T) {
	wide, part, channels := []int{1, 2, 3, 2, 4}, []int{1, 1, 3, 1, 4}, []int{4}
	for _, test := range []struct {
		code    schema.BuiltinOperator
		options any
		b       []int
		refused bool
	}{
		{schema.BuiltinOperatorADD, &schema.AddOptionsT{}, part, false},
		{schema.BuiltinOperatorSQUARED_DIFFERENCE, nil, part, false},
		{schema.BuiltinOperatorPRELU, nil, part, true},
		{schema.BuiltinOperatorPRELU, nil, wide, false},
		{schema.BuiltinOperatorPRELU, nil, channels, false},
		{schema.BuiltinOperatorPOW, nil, part, true},
		{schema.BuiltinOperatorMAXIMUM, nil, channels, false},
	} {
		b := float("b", test.b...)
		b.SetFloats(make([]float32, b.Len()))
		g := one(test.code, test.options, float("y", wide...), float("a", wide...), b)
		if test.refused {
			data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{g}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = New(data, 1); err == nil || !strings.Contains(err.Error(), "4 dimensions at most, these are 5") {
				t.Errorf("%v of %v: %v", test.code, test.b, err)
			}
			continue
		}
		run(t, open(t, g), make([]float32, 48))
	}
}

// XNNPACK writes beyond an output that is smaller than a step.
func TestSmallTransposeConv(t *testing.T) {
	w, y := float("w", 1, 5, 4, 1), float("y", 1, 1, 5, 1)
	w.SetFloats(make([]float32, 20))
	shape := ints("shape", 1, 1, 5, 1)
	g := one(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: schema.PaddingSAME, StrideH: 3, StrideW: 1}, y, shape, w, float("x", 1, 1, 5, 1))
	in := open(t, g)
	if in.xnnpack != nil {
		t.Error("XNNPACK is used where it cannot be")
	}
	equal(t, run(t, in, []float32{1, 2, 3, 4, 5}), make([]float32, 5))
}
