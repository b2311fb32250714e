package dfq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// small is a network of every common kind of layer.
func small() *tflite.Model {
	return Chain(Input(1, 16, 16, 3), Conv(8, 3, ReLU6, Stride(2)), spread(), Residual(Depthwise(3, ReLU), Conv(8, 1)),
		Pool(schema.BuiltinOperatorMAX_POOL_2D, 2, Stride(2)), Concat(Identity(), Conv(4, 1, ReLU)), Mean(), Dense(5), Softmax())
}

func encode(t testing.TB, m *tflite.Model) []byte {
	t.Helper()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func quantize(t testing.TB, m *tflite.Model, opts *Options) (*tflite.Model, *Report) {
	t.Helper()
	q, r, err := Quantize(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	return q, r
}

// stated is an input in [−1, 1], and few samples.
func stated() *Options {
	return &Options{Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}}
}

func TestQuantizeLeavesItsArgumentAlone(t *testing.T) {
	for name, m := range map[string]*tflite.Model{"small": small(), "float16": halfFloats(), "hybrid": hybrid(), "activations": activations3()} {
		before := encode(t, m)
		for _, opts := range []*Options{{Samples: 2}, {Samples: 2, PerTensor: true, IO: Uint8, Absorb: true, RelaxReLU6: true}} {
			quantize(t, m, opts)
			if !bytes.Equal(before, encode(t, m)) {
				t.Errorf("%s: the model is another one afterwards\n%v", name, m)
			}
		}
	}
}

// One model and one seed make the same file, however many processors there are.
func TestDeterministic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var want []byte
	var wantReport []byte
	for _, n := range []int{1, 4, 4} {
		runtime.GOMAXPROCS(n)
		q, r := quantize(t, small(), &Options{PerTensor: true, Thorough: true})
		report, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got := encode(t, q)
		if want == nil {
			want, wantReport = got, report
		}
		if !bytes.Equal(got, want) {
			t.Errorf("other bytes with %d processors", n)
		}
		if !bytes.Equal(report, wantReport) {
			t.Errorf("another report with %d processors:\n%s\n%s", n, report, wantReport)
		}
	}
	q, _ := quantize(t, small(), &Options{PerTensor: true, Thorough: true, Seed: 1})
	if bytes.Equal(encode(t, q), want) {
		t.Error("another seed makes the same file: it is not used")
	}
}

// The boundary's type changes no number: UINT8 is INT8 and 128, float32 what the
// INT8 output means.
func TestBoundariesAgree(t *testing.T) {
	m := small()
	opts := stated()
	q, _ := quantize(t, m, opts)
	run := mustOpen(t, evaluate, q)
	for _, io := range []IOType{Uint8, Float32} {
		opts.IO = io
		other, _ := quantize(t, m, opts)
		g := other.Graphs[0]
		want := map[IOType]schema.TensorType{Uint8: schema.TensorTypeUINT8, Float32: schema.TensorTypeFLOAT32}[io]
		for _, x := range []*tflite.Tensor{g.Inputs[0], g.Outputs[0]} {
			if x.Type != want {
				t.Errorf("%q is %s, want %s", x.Name, x.Type, want)
			}
		}
		if g.Inputs[0].Name != m.Graphs[0].Inputs[0].Name || g.Outputs[0].Name != m.Graphs[0].Outputs[0].Name {
			t.Errorf("the names are %q and %q now", g.Inputs[0].Name, g.Outputs[0].Name)
		}
		runOther := mustOpen(t, evaluate, other)
		for _, in := range Inputs(m, 3, 4, 1) {
			a, err := run(in)
			if err != nil {
				t.Fatal(err)
			}
			b, err := runOther(in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a[0], b[0]) {
				t.Errorf("io %v: %v, want %v", io, b[0], a[0])
			}
		}
	}
}

// The result answers as the float model does.
func TestQuantizedAnswers(t *testing.T) {
	m := small()
	m.Graphs[0].Ops = m.Graphs[0].Ops[:len(m.Graphs[0].Ops)-1] // logits, which say more
	m.Graphs[0].Outputs = m.Graphs[0].Ops[len(m.Graphs[0].Ops)-1].Outputs
	samples := Inputs(m, 3, 40, 1)
	least := map[bool]float64{true: 20, false: 26}
	for perTensor, least := range least {
		o := Options{PerTensor: perTensor, Calibration: Inputs(m, 4, 40, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if s := quantizedSQNR(t, m, o, evaluate, samples); s < least {
			t.Errorf("per tensor %v: %.1f dB, want %v", perTensor, s, least)
		}
	}
}

func TestSignaturesAndMetadataStay(t *testing.T) {
	m := small()
	g := m.Graphs[0]
	m.Signatures = []*tflite.Signature{{Key: "serve", Graph: g,
		Inputs:  []tflite.NamedTensor{{Name: "image", Tensor: g.Inputs[0]}},
		Outputs: []tflite.NamedTensor{{Name: "scores", Tensor: g.Outputs[0]}}}}
	m.Metadata = []*tflite.Metadata{{Name: "notes", Data: []byte("kept")}, {Name: minRuntimeKey, Data: padded("99.0.0")}}
	m.Trailer = []byte("PK-like bytes")
	m.Description = "a network"
	for _, io := range []IOType{Int8, Uint8, Float32} {
		q, _ := quantize(t, m, &Options{Samples: 2, IO: io})
		s := q.Signatures[0]
		if s.Inputs[0].Name != "image" || s.Inputs[0].Tensor != q.Graphs[0].Inputs[0] || s.Outputs[0].Tensor != q.Graphs[0].Outputs[0] {
			t.Errorf("io %v: the signature names other tensors\n%v", io, q)
		}
		if string(q.Metadata[0].Data) != "kept" || string(q.Trailer) != "PK-like bytes" || q.Description != "a network" {
			t.Errorf("io %v: metadata, trailer or description changed\n%v", io, q)
		}
		if v := string(bytes.TrimRight(q.Metadata[1].Data, "\x00")); v != "1.14.0" || len(q.Metadata) != 2 {
			t.Errorf("min_runtime_version %q, want that of the ops now", v)
		}
	}
}

// A DEQUANTIZE whose result is an output leaves a signature that still holds.
func TestSignatureOfAStoredConstant(t *testing.T) {
	m := halfFloats()
	g := m.Graphs[0]
	w := g.Ops[0].Outputs[0]
	g.Outputs = append(g.Outputs, w)
	m.Signatures = []*tflite.Signature{{Key: "serve", Graph: g, Outputs: []tflite.NamedTensor{{Name: "w", Tensor: w}}}}
	q, _ := quantize(t, m, &Options{Samples: 2})
	if got := q.Graphs[0].Outputs[1]; got.Type != schema.TensorTypeFLOAT32 || !slices.Equal(got.Floats(), []float32{1, -0.5, 0, 65504}) {
		t.Errorf("the output is %v", got)
	}
}

func TestAlreadyQuantized(t *testing.T) {
	q, _ := quantize(t, small(), stated())
	uint8Model, _ := quantize(t, small(), &Options{Samples: 2, IO: Uint8})
	dequantized, _ := quantize(t, small(), &Options{Samples: 2, IO: Float32})
	for name, m := range map[string]*tflite.Model{"int8": q, "uint8": uint8Model, "float boundary": dequantized} {
		if _, _, err := Quantize(m, nil); !errors.Is(err, ErrQuantized) {
			t.Errorf("%s: error %v, want ErrQuantized", name, err)
		}
	}
}

func TestSharedReferencesAreQuantized(t *testing.T) {
	for _, name := range []string{"kws_int8ref", "resnet8_cifar10_int8ref", "mobilenet_v2_1.0_224_uint8ref"} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Quantize(sharedModel(t, name), nil); !errors.Is(err, ErrQuantized) {
				t.Errorf("error %v, want ErrQuantized", err)
			}
		})
	}
}

// All unsupported ops are named at once, by their place in the file, whatever
// normalization drops before them.
func TestUnsupported(t *testing.T) {
	m := halfFloats() // a DEQUANTIZE, which goes, and two CONV_2D
	b := New(2)
	b.Graph = m.Graphs[0]
	y := Unary(schema.BuiltinOperatorRELU, nil)(b, m.Graphs[0].Outputs[0]) // is fused
	y = Unary(schema.BuiltinOperatorCOS, nil)(b, y)
	z := Unary(schema.BuiltinOperatorEXP, nil)(b, y)
	custom := b.Tensor("custom", schema.TensorTypeFLOAT32, 1, 2, 2, 2)
	b.Add(schema.BuiltinOperatorCUSTOM, nil, list(y), custom)
	b.Graph.Ops[6].Custom = "Thing"
	m = b.Model(z, Unary(schema.BuiltinOperatorTANH, nil)(b, custom))
	_, _, err := Quantize(m, &Options{Samples: 2})
	var u *UnsupportedError
	if !errors.As(err, &u) {
		t.Fatalf("error %v, want an UnsupportedError", err)
	}
	want := []string{
		`4 COS "unary_1": it has no int8 kernel`,
		`5 EXP "unary_2": its int8 kernel came with TensorFlow Lite 2.12.0`,
		`6 CUSTOM Thing "custom": it has no int8 kernel`,
		`7 TANH "unary_3": it reads what a custom op computes`,
	}
	if len(u.Ops) != len(want) {
		t.Fatalf("%v", err)
	}
	for i, op := range u.Ops {
		if got := fmt.Sprintf("%d %s %q: %s", op.Index, op.Name, op.Output, op.Reason); !strings.HasPrefix(got, want[i]) {
			t.Errorf("%s, want %s", got, want[i])
		}
		if !strings.Contains(err.Error(), op.Output) {
			t.Errorf("the message leaves out %q", op.Output)
		}
	}
	q, r := quantize(t, m, &Options{Samples: 2, AllowFloat: true})
	if len(r.Float) != len(want) {
		t.Errorf("the report lists %v", r.Float)
	}
	for _, err := range CheckRules(q) {
		t.Error(err)
	}
	if op := q.Graphs[0].Ops[0]; op.Code != schema.BuiltinOperatorCONV_2D || op.Inputs[0].Type != schema.TensorTypeINT8 {
		t.Errorf("what can be INT8 is not:\n%v", q)
	}
}

// What Quantize cannot take is an error that names the place, not a panic.
func TestRefused(t *testing.T) {
	conv := func(m *tflite.Model) *tflite.Op { return m.Graphs[0].Ops[0] }
	tests := []struct {
		name  string
		spoil func(m *tflite.Model)
		want  string
	}{
		{"no ops", func(m *tflite.Model) { m.Graphs[0].Ops, m.Graphs[0].Outputs = nil, m.Graphs[0].Inputs }, "there is nothing to quantize"},
		{"missing weights", func(m *tflite.Model) { conv(m).Inputs[1] = nil }, `op 0 CONV_2D "conv": input 1 is missing`},
		{"one operand", func(m *tflite.Model) { conv(m).Inputs = conv(m).Inputs[:1] }, "input 1 is missing"},
		{"too many operands", func(m *tflite.Model) { conv(m).Inputs = append(conv(m).Inputs, nil) }, "4 inputs, at most 3"},
		{"missing output", func(m *tflite.Model) {
			last := m.Graphs[0].Ops[len(m.Graphs[0].Ops)-1]
			last.Outputs[0], m.Graphs[0].Outputs = nil, nil
		}, "output 0 is missing"},
		{"no options", func(m *tflite.Model) { conv(m).Options = nil }, "its options are missing"},
		{"stride 0", func(m *tflite.Model) {
			conv(m).Options = &schema.Conv2DOptionsT{DilationHFactor: 1, DilationWFactor: 1}
		}, "window size of 0"},
		{"stride beyond all pictures", func(m *tflite.Model) {
			conv(m).Options = &schema.Conv2DOptionsT{StrideH: 1 << 20, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1}
		}, "window size of 1048576"},
		{"a window that takes forever", func(m *tflite.Model) {
			b := New(1)
			*m = *b.Model(Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2000)(b, b.Input(1, 2000, 2000, 3)))
		}, "a window of 2000 × 2000"},
		{"a product that takes forever", func(m *tflite.Model) {
			b := New(1)
			x := b.Input(4096, 4096)
			*m = *b.Model(b.Op("square", schema.BuiltinOperatorBATCH_MATMUL, &schema.BatchMatMulOptionsT{}, x.Shape, x, x))
		}, "a product of shapes [4096 4096]"},
		{"weights of another rank", func(m *tflite.Model) { conv(m).Inputs[1].Shape = []int{72, 3} }, "do not fit input"},
		{"weights for another input", func(m *tflite.Model) { conv(m).Inputs[1].Shape = []int{8, 3, 1, 9} }, "CONV_2D"},
		{"short bias", func(m *tflite.Model) {
			b := conv(m).Inputs[2]
			b.Shape, b.Data = []int{7}, b.Data[:28]
		}, "CONV_2D"},
		{"weights of integers", func(m *tflite.Model) { conv(m).Inputs[1].Type = schema.TensorTypeINT32 }, `"conv_weights" is INT32`},
		{"NaN in weights", func(m *tflite.Model) { set(conv(m).Inputs[1], 3, math.NaN()) }, `"conv_weights" holds NaN or infinity`},
		{"infinite bias", func(m *tflite.Model) { set(conv(m).Inputs[2], 0, math.Inf(-1)) }, `"conv_weights_bias" holds NaN or infinity`},
		{"weights beyond what the capped output can be scaled from", func(m *tflite.Model) { set(conv(m).Inputs[1], 3, 1e25) }, "beyond what a kernel can scale down"},
		{"weights beyond any scale", func(m *tflite.Model) { set(m.Graphs[0].Ops[2].Inputs[1], 3, 1e34) }, "are so large that their product"},
		{"answers that are no numbers", func(m *tflite.Model) {
			set(m.Graphs[0].Ops[2].Inputs[1], 3, 3e38)
			set(m.Graphs[0].Ops[2].Inputs[2], 0, 3e38)
		}, "is not finite on made-up inputs"},
		{"weights that are computed", func(m *tflite.Model) {
			w := conv(m).Inputs[1]
			copy := &tflite.Tensor{Name: "computed", Type: w.Type, Shape: w.Shape}
			in := m.Graphs[0].Inputs[0]
			zero := &tflite.Tensor{Name: "sum", Type: w.Type, Shape: []int{}}
			axes := New(1).Ints([]int{4}, 0, 1, 2, 3)
			m.Graphs[0].Ops = append([]*tflite.Op{
				{Code: schema.BuiltinOperatorSUM, Version: 1, Options: &schema.ReducerOptionsT{}, Inputs: list(in, axes), Outputs: list(zero)},
				{Code: schema.BuiltinOperatorADD, Version: 1, Options: &schema.AddOptionsT{}, Inputs: list(w, zero), Outputs: list(copy)},
			}, m.Graphs[0].Ops...)
			m.Graphs[0].Ops[2].Inputs[1] = copy
		}, `op 2 CONV_2D "conv": its operand "computed" is not constant`},
		{"a variable", func(m *tflite.Model) {
			op := m.Graphs[0].Ops[3] // ADD
			op.Inputs[1] = &tflite.Tensor{Name: "state", Type: schema.TensorTypeFLOAT32, Shape: op.Outputs[0].Shape, Variable: true}
		}, `op 3 ADD "add": its operand "state" keeps values`},
		{"axis out of range", func(m *tflite.Model) {
			m.Graphs[0].Ops[6].Options = &schema.ConcatenationOptionsT{Axis: 7}
		}, "axis 7"},
		{"huge input", func(m *tflite.Model) { m.Graphs[0].Inputs[0].Shape = []int{1 << 14, 1 << 14, 1 << 14, 3} }, "elements of the graph's inputs"},
		{"huge tensor", func(m *tflite.Model) { conv(m).Outputs[0].Shape = []int{1, 1 << 15, 1 << 15, 8} }, "elements of all tensors"},
		{"input without elements", func(m *tflite.Model) { m.Graphs[0].Inputs[0].Shape = []int{1, 0, 16, 3} }, "CONV_2D"},
		{"every op on integers", func(m *tflite.Model) {
			b := New(1)
			x := b.Tensor("x", schema.TensorTypeINT32, 2)
			b.Graph.Inputs = list(x)
			y := b.Tensor("y", schema.TensorTypeINT32, 2)
			b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{}, list(x, x), y)
			*m = *b.Model(y)
		}, "there is nothing to quantize"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := small()
			test.spoil(m)
			_, _, err := Quantize(m, &Options{Samples: 1})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// Data of the user's that does not fit the model is refused.
func TestCalibrationRefused(t *testing.T) {
	m := small()
	n := m.Graphs[0].Inputs[0].Len()
	bad := make([]float32, n)
	bad[5] = float32(math.NaN())
	tests := []struct {
		calibration [][][]float32
		want        string
	}{
		{[][][]float32{{}}, "sample 0 of the given inputs: values for 0 inputs, the model has 1"},
		{[][][]float32{{make([]float32, n), make([]float32, n)}}, "values for 2 inputs"},
		{[][][]float32{{make([]float32, n-1)}}, fmt.Sprintf(`%d values for input "input" of shape [1 16 16 3]`, n-1)},
		{[][][]float32{{make([]float32, n)}, {}}, "sample 1 of the given inputs"},
		{[][][]float32{{bad}}, `value 5 for input "input" is NaN`},
	}
	for _, test := range tests {
		opts := stated()
		opts.Calibration = test.calibration
		if _, _, err := Quantize(m, opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", err, test.want)
		}
	}
}

func set(t *tflite.Tensor, i int, x float64) {
	v := t.Floats()
	v[i] = float32(x)
	t.SetFloats(v)
}

// Structures that are unusual but right.
func TestUnusualGraphs(t *testing.T) {
	tests := map[string]func() *tflite.Model{
		"an output twice": func() *tflite.Model {
			m := small()
			m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, m.Graphs[0].Outputs[0])
			return m
		},
		"the input as an output": func() *tflite.Model {
			m := small()
			m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, m.Graphs[0].Inputs[0])
			return m
		},
		"an inner tensor as an output": func() *tflite.Model {
			m := small()
			m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, m.Graphs[0].Ops[3].Outputs[0])
			return m
		},
		"a constant as an output": func() *tflite.Model {
			m := small()
			m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, m.Graphs[0].Ops[0].Inputs[2])
			return m
		},
		"one operand twice": func() *tflite.Model {
			b := New(1)
			x := b.Input(1, 4, 4, 2)
			return b.Model(b.Op("square", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, x))
		},
		"two inputs": func() *tflite.Model {
			b := New(1)
			x, y := b.Input(1, 4), b.Input(1, 4)
			return b.Model(b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, Dense(4)(b, x), y))
		},
		"an input that nothing reads": func() *tflite.Model {
			b := New(1)
			b.Input(3)
			return b.Model(Dense(4)(b, b.Input(1, 4)))
		},
		"an integer input": func() *tflite.Model {
			b := New(1)
			i := b.Tensor("index", schema.TensorTypeINT32, 1)
			b.Graph.Inputs = append(b.Graph.Inputs, i)
			return b.Model(b.Op("row", schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{}, []int{1, 4}, Dense(4)(b, b.Input(3, 4)), i))
		},
		"only constants": func() *tflite.Model {
			b := New(1)
			return b.Model(b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, []int{2}, b.Floats([]int{2}, 1, 2), b.Floats([]int{2}, 3, 4)))
		},
		"a dense layer on a picture": func() *tflite.Model { return Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), spread(), Dense(3)) },
		"an empty tensor": func() *tflite.Model {
			b := New(1)
			x := b.Input(1, 4)
			none := b.Op("none", schema.BuiltinOperatorSLICE, nil, []int{0, 4}, x, b.Ints([]int{2}, 0, 0), b.Ints([]int{2}, 0, 4))
			return b.Model(b.Op("both", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{}, []int{1, 4}, none, x))
		},
		"a shape that the file has wrong": func() *tflite.Model {
			m := small()
			m.Graphs[0].Ops[0].Outputs[0].Shape = []int{1, 1, 1, 1}
			return m
		},
		"a scalar": func() *tflite.Model {
			b := New(1)
			return b.Model(Unary(schema.BuiltinOperatorTANH, nil)(b, b.Input()))
		},
		"a capped filter behind a custom op": func() *tflite.Model {
			b := New(1)
			y := Conv(4, 3, ReLU)(b, b.Input(1, 8, 8, 3))
			z := b.Tensor("custom", schema.TensorTypeFLOAT32, y.Shape...)
			b.Add(schema.BuiltinOperatorCUSTOM, nil, list(y), z)
			b.Graph.Ops[1].Custom = "Mystery"
			return b.Model(Sequence(Conv(8, 1, ReLU6), Depthwise(3, ReLU6), Conv(4, 1))(b, z))
		},
		"a custom op at the end": func() *tflite.Model {
			b := New(1)
			y := Conv(4, 3)(b, b.Input(1, 8, 8, 3))
			z := b.Tensor("boxes", schema.TensorTypeFLOAT32, 1, 10, 4)
			b.Add(schema.BuiltinOperatorCUSTOM, nil, list(y), z)
			b.Graph.Ops[1].Custom = "Detect"
			return b.Model(z)
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			for k, io := range []IOType{Int8, Uint8, Float32} {
				m := make()
				q, _ := quantize(t, m, &Options{Samples: 2, AllowFloat: true, IO: io, PerTensor: k == 1})
				again, err := tflite.Decode(encode(t, q))
				if err != nil {
					t.Fatal(err)
				}
				for _, err := range CheckRules(again) {
					t.Error(err)
				}
				if len(q.Graphs[0].Inputs) != len(m.Graphs[0].Inputs) || len(q.Graphs[0].Outputs) != len(m.Graphs[0].Outputs) {
					t.Errorf("inputs or outputs are missing\n%v", q)
				}
			}
		})
	}
}

// A filter of zeros and a bias, and one of zeros alone, keep their values.
func TestDeadChannels(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(4, 3))
	w, b := m.Graphs[0].Ops[0].Inputs[1], m.Graphs[0].Ops[0].Inputs[2]
	v := w.Floats()
	clear(v[:len(v)/2]) // channels 0 and 1
	w.SetFloats(v)
	set(b, 0, 0.7)
	set(b, 1, 0)
	for _, perTensor := range []bool{false, true} {
		q, _ := quantize(t, m, &Options{PerTensor: perTensor, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}})
		out, err := mustOpen(t, evaluate, q)(Inputs(m, 1, 1, 1)[0])
		if err != nil {
			t.Fatal(err)
		}
		step := float64(scaleOf(q.Graphs[0].Outputs[0]))
		for i := 0; i < len(out[0]); i += 4 {
			if d := math.Abs(float64(out[0][i])-0.7) / step; d > 0.51 {
				t.Fatalf("per tensor %v: a channel that is always 0.7 gives %v, %.2f steps off", perTensor, out[0][i], d)
			}
			if out[0][i+1] != 0 {
				t.Fatalf("per tensor %v: a channel that is always 0 gives %v", perTensor, out[0][i+1])
			}
		}
	}
}

// A bias far beyond its filter's answers stays within int32, by a wider weight
// scale, and means what it meant.
func TestBiasOverflow(t *testing.T) {
	for _, bias := range []float64{1e6, -3e9} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 3), Scale(1e-4))
		set(m.Graphs[0].Ops[0].Inputs[2], 2, bias)
		for _, perTensor := range []bool{false, true} {
			q, _ := quantize(t, m, &Options{PerTensor: perTensor, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}})
			b := q.Graphs[0].Ops[0].Inputs[2]
			scale := b.Quant.Scale[min(2, len(b.Quant.Scale)-1)]
			stored := b.Ints()[2]
			if !(math.Abs(float64(stored)) <= 1<<30+1) {
				t.Errorf("bias %g, per tensor %v: stored as %d", bias, perTensor, stored)
			}
			if got := float64(scale) * float64(stored); !(math.Abs(got/bias-1) <= 1e-6) {
				t.Errorf("bias %g, per tensor %v: means %g", bias, perTensor, got)
			}
		}
	}
}

// The trained model of the repository, whole.
func TestDigits(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "digits.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	q, r := quantize(t, m, nil)
	if r.OpsInt8 != r.Ops || len(r.Float) > 0 {
		t.Errorf("%d of %d ops are INT8", r.OpsInt8, r.Ops)
	}
	for _, op := range q.Graphs[0].Ops {
		if touchesReal(op) {
			t.Errorf("%s works on float tensors", q.Graphs[0].Place(op))
		}
	}
}

// An op of int8 weights rounds its input as well. That is no step of ours, and the
// proof of the float steps does not count it.
func TestProofOfStoredWeights(t *testing.T) {
	b := New(1)
	x := b.Input(1, 64)
	w := b.Tensor("w", schema.TensorTypeINT8, 4, 64)
	q := make([]int8, 4*64)
	for i := range q {
		q[i] = int8(i*37%251 - 125)
	}
	w.SetInt8s(q)
	w.Quant = &tflite.Quantization{Scale: []float32{0.01}, Zero: []int64{0}}
	m := b.Model(b.Op("y", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, 4}, x, w))
	b.Graph.Ops[0].Version = 3
	_, r := quantize(t, m, &Options{Interpreter: interpreter, Inputs: []InputRange{{Range: Range{-1, 1}}}})
	if len(r.FloatSQNR) != 1 || r.FloatSQNR[0] < 100 || len(r.Warnings) > 0 {
		t.Errorf("float SQNR %v, warnings %q", r.FloatSQNR, r.Warnings)
	}
}

// Kernels take a bias of any number of axes.
func TestBiasesOfMoreAxes(t *testing.T) {
	layers := Sequence(Conv(8, 3, ReLU), dead(-3, 6, 7), loud(1, 50), Conv(8, 3, ReLU), Conv(8, 3, ReLU), Conv(8, 3, ReLU), Conv(4, 1), Mean(), Dense(3))
	for _, perTensor := range []bool{false, true} {
		opts := &Options{PerTensor: perTensor, Inputs: stated().Inputs, Samples: 8}
		want, report := quantize(t, Chain(Input(1, 16, 16, 3), layers), opts)
		if len(report.Doubled) == 0 {
			t.Fatal("no channel is doubled: what is tested?")
		}
		for _, shape := range [][]int{{1}, {1, 1, 1}} {
			m := Chain(Input(1, 16, 16, 3), layers)
			for _, op := range m.Graphs[0].Ops {
				if f := spec(op).filter; f != nil {
					bias := op.Inputs[f.bias]
					bias.Shape = append(slices.Clone(shape), bias.Len())
				}
			}
			if got, _ := quantize(t, m, opts); !bytes.Equal(encode(t, got), encode(t, want)) {
				t.Errorf("per-tensor %v: biases of %d axes lead to another file", perTensor, len(shape)+1)
			}
		}
	}
}

// Outputs of integers do not keep the others from the proof.
func TestProofBesideIntegers(t *testing.T) {
	b := New(1)
	y := Conv(4, 3)(b, b.Input(1, 8, 8, 3))
	best := b.Tensor("best", schema.TensorTypeINT32, 1, 8, 8)
	b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(y, b.Ints(nil, 3)), best)
	if _, r := quantize(t, b.Model(best, y), stated()); len(r.FloatSQNR) != 1 || r.FloatSQNR[0] < 100 {
		t.Errorf("float SQNR %v", r.FloatSQNR)
	}
}

// A filter without bias, which the interpreter does not run, is no reason to fail.
func TestProofWithoutBiases(t *testing.T) {
	if interpreter == nil {
		t.Skip("needs the interpreter: build with -tags tflite")
	}
	o := stated()
	o.Interpreter = interpreter
	m := Chain(Input(1, 8, 8, 3), Conv(4, 3, NoBias, ReLU), Depthwise(3, NoBias, ReLU), Conv(4, 1, NoBias))
	if _, r := quantize(t, m, o); len(r.FloatSQNR) != 1 || r.FloatSQNR[0] < 100 {
		t.Errorf("float SQNR %v", r.FloatSQNR)
	}
}

// Where finite inputs lead beyond what is finite, they are told of as given ones.
func TestCalibrationThatIsTooLarge(t *testing.T) {
	m := small()
	set(m.Graphs[0].Ops[2].Inputs[1], 3, 3e38)
	set(m.Graphs[0].Ops[2].Inputs[2], 0, 3e38)
	opts := stated()
	opts.Calibration = Inputs(m, 1, 4, 1)
	if _, _, err := Quantize(m, opts); err == nil || !strings.Contains(err.Error(), "is not finite on the given inputs") {
		t.Errorf("error %v", err)
	}
}

// Progress never goes back and ends with 1.
func TestProgress(t *testing.T) {
	for _, thorough := range []bool{false, true} {
		opts, last := stated(), 0.0
		opts.Thorough = thorough
		opts.Progress = func(pass string, done float64) {
			if done < last || done > 1+1e-9 {
				t.Errorf("%q: %g after %g", pass, done, last)
			}
			last = done
		}
		quantize(t, small(), opts)
		if last != 1 {
			t.Errorf("ended with %g", last)
		}
	}
}

// Few given inputs are told of.
func TestFewGivenInputs(t *testing.T) {
	m := small()
	for n, want := range map[int]int{fewGiven - 1: 1, fewGiven: 0} {
		opts := stated()
		opts.Calibration = Inputs(m, 1, n, 1)
		if _, r := quantize(t, m, opts); len(r.Warnings) != want {
			t.Errorf("%d inputs: warnings %q", n, r.Warnings)
		}
	}
}
