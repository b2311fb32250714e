package dfq

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

var update = flag.Bool("update", false, "write the golden files anew; read them before they are committed")

// A golden file is the printed graph before and after one pass. Each case says
// what to look for in it.
func TestPassesGolden(t *testing.T) {
	tests := []struct {
		name string
		pass func(*job) error
		job  func() *job
	}{
		// The DEQUANTIZE op is gone; its constant is FLOAT32 with the values 1, −0.5,
		// 0, 65504, and each convolution has a copy of its own. The second
		// convolution, which had no bias, adds two zeros.
		{"normalize_float16", normalize, floatJob(halfFloats())},
		// The weights are FLOAT32: the first row halves, the second quarters.
		{"normalize_hybrid", normalize, floatJob(hybrid())},
		// "scale" and the MUL and ADD behind the first filter are in its weights, which
		// were ones, and its bias: 1·2·4 = 8 and (0.5·4 − 1) = 1, 1·2·(−1) = −2 and
		// 0.5·(−1) + 0 = −0.5. The division before the dense layer is in its weights: 1/2, 1/4.
		// The pair before the padding filter is a depthwise convolution with RELU6.
		{"fold_batch_norms", foldBatchNorms, floatJob(batchNorms())},
		// RELU moves into the convolution, which writes the RELU's tensor. RELU6
		// behind a fused RELU makes RELU6. The RELU of "add" stays, since "add" is
		// read twice, and so does RELU_N1_TO_1 behind a RELU6.
		{"fuse_activations", fuseActivations, floatJob(activations3())},
		// Gone: an op that nobody reads, and what a converter noted of a real
		// tensor's range. SHAPE and the arithmetic on it become the constant {1, 12}.
		{"normalize_fold", normalize, floatJob(computedShape())},
		// The second input of CONCATENATION has another scale than its output: a
		// QUANTIZE op brings it there. The constant third one needs none: 0.5 and 1
		// are stored in steps of 0.1 from −10 on, as −5 and 0.
		{"lower_concat", lower, concatJob},
		// COS stays float: DEQUANTIZE before it, QUANTIZE behind. The graph's second
		// output is what COS computes, not rounded, under its old name.
		{"lower_float", lower, floatOpJob},
		// Inputs and outputs are UINT8 under their old names, with zero points 128
		// higher, and QUANTIZE in between. The signature names the new tensors. "x"
		// is an input and an output.
		{"boundary_uint8", boundary, boundaryJob(Uint8)},
		{"boundary_float32", boundary, boundaryJob(Float32)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := test.job()
			got := "before\n" + j.model.String()
			if err := test.pass(j); err != nil {
				t.Fatal(err)
			}
			if err := j.model.Validate(); err != nil {
				t.Fatal(err)
			}
			golden(t, test.name, got+"\nafter\n"+j.model.String())
		})
	}
}

// golden compares got with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func floatJob(m *tflite.Model) func() *job {
	return func() *job {
		j, err := newJob(m, &Options{})
		if err != nil {
			panic(err)
		}
		return j
	}
}

// batchNorms is filters with arithmetic behind, between and before them.
func batchNorms() *tflite.Model {
	ones := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		op := b.Graph.Ops[len(b.Graph.Ops)-1]
		op.Inputs[1] = b.Floats(op.Inputs[1].Shape, 1)
		op.Inputs[2] = b.Floats(op.Inputs[2].Shape, 0.5)
		return x
	}
	return Chain(Input(1, 2, 2, 1), by(schema.BuiltinOperatorMUL, true, 0, nil, 2), Conv(2, 1), ones, mul(4, -1), add(-1, 0),
		Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), mul(3, -5), by(schema.BuiltinOperatorSUB, true, schema.ActivationFunctionTypeRELU6, []int{2}, 1, 2), Conv(2, 2, ReLU), ones,
		Pool(schema.BuiltinOperatorMAX_POOL_2D, 2, Valid), by(schema.BuiltinOperatorDIV, false, 0, []int{2}, 2, 4), Dense(1), ones)
}

// activations3 is a convolution, an addition and a dense layer, with activations
// behind them.
func activations3() *tflite.Model {
	b := New(1)
	x := b.Input(1, 2, 2, 2)
	y := Sequence(Conv(2, 1), Unary(schema.BuiltinOperatorRELU, nil))(b, x)
	y = Sequence(Depthwise(1, ReLU), Unary(schema.BuiltinOperatorRELU6, nil))(b, y)
	sum := b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, y, x)
	y = Unary(schema.BuiltinOperatorRELU, nil)(b, sum)
	y = b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU6}, x.Shape, y, sum)
	return b.Model(Unary(schema.BuiltinOperatorRELU_N1_TO_1, nil)(b, y))
}

// computedShape reshapes to [1, −1] through SHAPE, STRIDED_SLICE and PACK, as
// converters write it, and has an op that nobody reads.
func computedShape() *tflite.Model {
	b := New(1)
	x := b.Input(1, 2, 2, 3)
	x.Quant = &tflite.Quantization{Scale: []float32{0.1}, Zero: []int64{0}}
	shape := b.Tensor("shape", schema.TensorTypeINT32, 4)
	b.Add(schema.BuiltinOperatorSHAPE, &schema.ShapeOptionsT{OutType: schema.TensorTypeINT32}, list(x), shape)
	batch := b.Tensor("batch", schema.TensorTypeINT32)
	b.Add(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{ShrinkAxisMask: 1},
		list(shape, b.Ints([]int{1}, 0), b.Ints([]int{1}, 1), b.Ints([]int{1}, 1)), batch)
	packed := b.Tensor("packed", schema.TensorTypeINT32, 2)
	b.Add(schema.BuiltinOperatorPACK, &schema.PackOptionsT{ValuesCount: 2}, list(batch, b.Ints(nil, 12)), packed)
	Unary(schema.BuiltinOperatorTANH, nil)(b, x)
	return b.Model(b.Op("flat", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, []int{1, 12}, x, packed))
}

// planned gives tensors the quantization that "assign ranges" would.
func planned(t *tflite.Tensor, scale float32, zero int64) *tflite.Tensor {
	t.Quant = &tflite.Quantization{Scale: []float32{scale}, Zero: []int64{zero}}
	return t
}

func concatJob() *job {
	b := New(1)
	x, y, c := planned(b.Input(1, 2), 0.1, -10), planned(b.Input(1, 2), 0.02, 5), planned(b.Floats([]int{1, 2}, 0.5, 1), 0.1, -10)
	z := b.Op("z", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 1}, []int{1, 6}, x, y, c)
	return floatJob(b.Model(planned(z, 0.1, -10)))()
}

func floatOpJob() *job {
	b := New(1)
	x := planned(b.Input(1, 2), 0.1, -10)
	y := planned(Unary(schema.BuiltinOperatorRELU, nil)(b, x), 0.05, -128)
	z := planned(Unary(schema.BuiltinOperatorCOS, nil)(b, y), 0.01, 0)
	v := planned(Unary(schema.BuiltinOperatorABS, nil)(b, z), 0.01, -128)
	j := floatJob(b.Model(v, z))()
	j.float = map[*tflite.Op]string{j.graph.Ops[1]: "it has no int8 kernel"}
	return j
}

func boundaryJob(io IOType) func() *job {
	return func() *job {
		b := New(1)
		x := planned(b.Input(1, 2), 0.1, -10)
		y := planned(Unary(schema.BuiltinOperatorABS, nil)(b, x), 0.1, -128)
		x.Name, x.Type, y.Type = "x", schema.TensorTypeINT8, schema.TensorTypeINT8
		m := b.Model(y, x, y)
		m.Signatures = []*tflite.Signature{{Key: "serve", Graph: m.Graphs[0],
			Inputs:  []tflite.NamedTensor{{Name: "in", Tensor: x}},
			Outputs: []tflite.NamedTensor{{Name: "out", Tensor: y}, {Name: "same", Tensor: x}}}}
		j := floatJob(m)()
		j.opts.IO = io
		return j
	}
}
