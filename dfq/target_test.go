package dfq

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
	. "dfq/tflite/tflitetest"
)

// What a target asks beyond the specification is kept in a file for it, and not
// in one for none: the lint, which reads the target's rows by itself, says so.
func TestTargetKeepsRules(t *testing.T) {
	relu6 := Unary(schema.BuiltinOperatorRELU6, nil)
	tests := []struct {
		name, target, rule string
		model              *tflite.Model
	}{
		{"weights of a convolution", "nnapi-1.1", "per-channel weights", Chain(Input(1, 4, 4, 3), Conv(4, 3))},
		{"scale product of a convolution", "nnapi-1.1", "scale product", Chain(Input(1, 4, 4, 3), cancelled)},
		{"scale product of MUL", "nnapi-1.3", "scale product", Chain(Input(1, 4, 4, 3), smallProduct)},
		{"scale of MEAN", "nnapi-1.3", "same scale", Chain(Input(1, 4, 4, 3), Conv(4, 3), Mean())},
		{"scale of RELU6", "nnapi-1.3", "same scale", Chain(Input(1, 4, 4, 3), relu6)},
		{"no QUANTIZE", "nnapi-1.2", "type", Chain(Input(1, 4, 4, 3), unequalParts)},
		{"range inside RELU6", "hexagon-htp", "range beyond the activation", Chain(Input(1, 4, 4, 3), Concat(Sequence(Conv(4, 1), relu6), Conv(4, 1)))},
		{"range inside a RELU6 of its own", "hexagon-htp", "range beyond the activation", Chain(Input(1, 4, 4, 3), Concat(relu6, Conv(4, 1)))},
		{"batch", "mediatek", "dynamic shape", anyBatch(Chain(Input(1, 4), Dense(4)))},
		{"batch", "edgetpu", "dynamic shape", anyBatch(Chain(Input(1, 4), Dense(4)))},
		{"batch", "exynos", "dynamic shape", anyBatch(Chain(Input(1, 4), Dense(4)))},
		{"shape of RESHAPE", "exynos", "missing operand", Chain(Input(1, 1, 4), bareReshape)},
		{"SQUEEZE", "exynos", "operator", Chain(Input(1, 1, 4), squeezed)},
		{"SQUEEZE", "hexagon-htp", "operator", Chain(Input(1, 1, 4), squeezed)},
		{"PRELU", "exynos", "operator", Chain(Input(1, 8, 8, 3), Conv(8, 3), mixedPrelu(8), Conv(4, 1))},
		{"SQUEEZE of any batch", "mediatek", "operator", anyBatch(Chain(Input(1, 1, 4), squeezed))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			breaks := func(found []target.Finding) bool {
				return slices.ContainsFunc(found, func(f target.Finding) bool { return f.Rule == test.rule })
			}
			q, report := quantize(t, test.model, &Options{Samples: 1, Target: test.target})
			if breaks(report.Lint) {
				t.Errorf("for %s: %v\n%v", test.target, report.Lint, q)
			}
			q, _ = quantize(t, test.model, &Options{Samples: 1})
			found, err := target.Lint(q, test.target)
			if err != nil || !breaks(found) {
				t.Errorf("for no target, nothing breaks %q: %v %v\n%v", test.rule, found, err, q)
			}
		})
	}
}

// A clamp that has one scale on both sides does not take the steps of what it cuts off.
func TestClampsOfOneScale(t *testing.T) {
	b := New(3)
	x := Sequence(Conv(8, 3), Scale(300))(b, b.Input(1, 8, 8, 3))
	cut := Sequence(Unary(schema.BuiltinOperatorRELU_N1_TO_1, nil), Conv(4, 1))(b, x)
	m := b.Model(cut, Conv(2, 1)(b, x))
	opts := Options{Calibration: Inputs(m, 9, 16, 1), Inputs: stated().Inputs}
	sqnr := func(name string) float64 {
		opts.Target = name
		return quantizedSQNR(t, m, opts, evaluate, opts.Calibration)
	}
	if with, without := sqnr("nnapi-1.3"), sqnr(""); with < without-3 {
		t.Errorf("%.1f dB for NNAPI, %.1f without", with, without)
	}
}

// cancelled subtracts a number from itself, which leaves a small bias of large
// weights.
func cancelled(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	o := &schema.Conv2DOptionsT{StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1}
	twice := b.Op("twice", schema.BuiltinOperatorCONV_2D, o, []int{1, 4, 4, 2}, x, b.Floats([]int{2, 1, 1, 3}, 1, 0, 0, 1, 0, 0), b.Floats([]int{2}, 0, 0))
	return b.Op("difference", schema.BuiltinOperatorCONV_2D, o, []int{1, 4, 4, 1}, twice, b.Floats([]int{1, 1, 1, 2}, 1, -1), b.Floats([]int{1}, 0.001))
}

// smallProduct is a product that is far smaller than its factors.
func smallProduct(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	large := b.Op("large", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{1}, 1000))
	none := b.Op("none", schema.BuiltinOperatorSUB, &schema.SubOptionsT{}, x.Shape, x, x)
	return b.Op("y", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, large, none)
}

// unequalParts joins a tensor with one of far larger range, and reads it elsewhere.
func unequalParts(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	one := []int{1}
	y := b.Op("small", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats(one, 0.5))
	z := b.Op("large", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, y, b.Floats(one, 100))
	return b.Op("stack", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, []int{1, 4, 4, 6}, y, z)
}

// anyBatch makes the batch of a model one that can vary.
func anyBatch(m *tflite.Model) *tflite.Model {
	for _, t := range m.Graphs[0].Tensors() {
		if !t.Constant() {
			t.Signature = append([]int{-1}, t.Shape[1:]...)
		}
	}
	return m
}

// bareReshape has its shape in its options only.
func bareReshape(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	return b.Op("reshaped", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{NewShape: []int32{1, 4}}, []int{1, 4}, x)
}

func squeezed(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	return b.Op("squeezed", schema.BuiltinOperatorSQUEEZE, &schema.SqueezeOptionsT{SqueezeDims: []int32{1}}, []int{1, 4}, x)
}

// A RESHAPE can leave one dimension open: what leaves more stays what it is.
func TestToReshape(t *testing.T) {
	for _, test := range []struct {
		signature []int
		want      []int // nil if it stays
	}{{nil, []int{1, 8, 4}}, {[]int{-1, 8, 4}, []int{-1, 8, 4}}, {[]int{1, -1, 4}, []int{1, -1, 4}}, {[]int{-1, -1, 4}, nil}} {
		m := Chain(Input(1, 1, 8, 4), func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("squeezed", schema.BuiltinOperatorSQUEEZE, &schema.SqueezeOptionsT{SqueezeDims: []int32{1}}, []int{1, 8, 4}, x)
		})
		op := m.Graphs[0].Ops[0]
		op.Outputs[0].Signature = test.signature
		toReshape(op)
		if stays := op.Code == schema.BuiltinOperatorSQUEEZE; stays != (test.want == nil) || !stays && !slices.Equal(op.Inputs[1].Ints(), test.want) {
			t.Errorf("signature %v: want a RESHAPE to %v\n%v", test.signature, test.want, m)
		}
	}
}

// XNNPACK takes sums and products of any file, however far apart the scales are.
func TestSumsAndProductsForXNNPACK(t *testing.T) {
	times := func(b *Builder, x *tflite.Tensor, name string, factor float32) *tflite.Tensor {
		return b.Op(name, schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{1}, factor))
	}
	plus := func(b *Builder, name string, code schema.BuiltinOperator, x, y *tflite.Tensor) *tflite.Tensor {
		return b.Op(name, code, nil, x.Shape, x, y)
	}
	for name, layer := range map[string]Layer{
		// 1000·max(x, 0) · (1000·max(−x, 0) + 0.001)
		"product": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			relu := Unary(schema.BuiltinOperatorRELU, nil)
			up, down := times(b, relu(b, x), "up", 1000), times(b, relu(b, times(b, x, "negative", -1)), "down", 1000)
			return plus(b, "y", schema.BuiltinOperatorMUL, up, plus(b, "more", schema.BuiltinOperatorADD, down, b.Floats([]int{1}, 0.001)))
		},
		// x + a constant for each place, far below a step of x
		"constant": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return plus(b, "y", schema.BuiltinOperatorADD, times(b, x, "large", 1e4), b.Random(0, 1e-3, x.Shape...))
		},
		// a constant for each place, far below a step of x, from x
		"subtracted": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return plus(b, "y", schema.BuiltinOperatorSUB, times(b, x, "large", 1e4), b.Random(0, 1e-3, x.Shape...))
		},
		// 10⁴·x + (−9999)·x
		"sum": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			large := times(b, x, "large", 1e4)
			return plus(b, "y", schema.BuiltinOperatorADD, large, times(b, x, "less", -9999))
		},
		// 10⁴·x − 9999·x
		"difference": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			large := times(b, x, "large", 1e4)
			return plus(b, "y", schema.BuiltinOperatorSUB, large, times(b, x, "less", 9999))
		},
	} {
		q, _ := quantize(t, Chain(Input(1, 4, 4, 3), layer), &Options{Samples: 1})
		found, err := target.Lint(q, "xnnpack")
		if err != nil || slices.ContainsFunc(found, func(f target.Finding) bool { return f.Severity > target.Note }) {
			t.Errorf("%s: %v %v\n%v", name, found, err, q)
		}
	}
}

// An op is INT8 where the target's release has its kernel, or the target itself
// takes it; elsewhere it stays float, and the reason names the release.
func TestTargetReleases(t *testing.T) {
	exp := Chain(Input(1, 4), Dense(4), Unary(schema.BuiltinOperatorEXP, &schema.ExpOptionsT{}))
	tests := []struct {
		target string
		int8   bool
	}{
		{"", false}, {"tflite-2.9", false}, {"tflite-2.11", false}, {"tflite-2.12", true}, {"tflite", true},
		{"xnnpack", false},  // loaded by a runtime like any other file
		{"ethos-u55", true}, // its compiler has EXP
		{"tflm", false},     // has EXP on float only
	}
	for _, test := range tests {
		q, _, err := Quantize(exp, &Options{Samples: 1, Target: test.target})
		var unsupported *UnsupportedError
		switch {
		case test.int8 && err != nil:
			t.Errorf("%q: %v", test.target, err)
		case test.int8 && q.Graphs[0].Ops[1].Version != 2:
			t.Errorf("%q: EXP version %d, int8 needs 2", test.target, q.Graphs[0].Ops[1].Version)
		case !test.int8 && (!errors.As(err, &unsupported) || !strings.Contains(err.Error(), "2.12.0")):
			t.Errorf("%q: EXP became INT8, or the reason is wrong: %v", test.target, err)
		}
	}
	if _, _, err := Quantize(exp, &Options{Target: "toaster"}); err == nil || !strings.Contains(err.Error(), "toaster") {
		t.Errorf("an unknown target: %v", err)
	}
}

// Each row's versions are those that the same release of TensorFlow Lite has: the
// tables of both packages come from different columns of the same sources.
func TestRowsAndReleases(t *testing.T) {
	for i, s := range ops {
		code := schema.BuiltinOperator(i)
		for _, v := range s.versions {
			major, rest, _ := strings.Cut(v.runtime, ".")
			minor, _, _ := strings.Cut(rest, ".")
			limits, err := target.LimitsOf("tflite-"+major+"."+minor, schema.TensorTypeINT8)
			if err != nil {
				t.Fatal(err)
			}
			if lowest, highest := limits.Versions(code); v.number < lowest || v.number > highest || !limits.Takes(code) {
				t.Errorf("%s version %d is written for %s, which has %d to %d", code, v.number, v.runtime, lowest, highest)
			}
		}
	}
}
