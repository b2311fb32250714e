//go:build tflite

package ref

import (
	"math"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"
)

// byteModels want inputs from 0 to 255, the others about -1 to 1.
var byteModels = []string{"pose_cpm_demo_model", "resnet8_cifar10_fp32", "resnet_6blk_750k_cifar10_fp32", "yolox_nano_with_post_float32"}

// floatWeights replaces INT8 weights by their real values.
func floatWeights(t testing.TB, m *tflite.Model) {
	for _, c := range m.Graphs[0].Tensors() {
		if c.Constant() && c.Type == schema.TensorTypeINT8 {
			v, err := decode(c)
			if err != nil {
				t.Fatal(err)
			}
			c.SetFloats(v.f)
			c.Quant = nil
		}
	}
}

// distance is the largest difference, relative to the range of want.
func distance(got, want []float32) float64 {
	lo, hi, worst := 0.0, 0.0, 0.0
	for i, w := range want {
		x, y := float64(got[i]), float64(w)
		if x != y && !(math.IsNaN(x) && math.IsNaN(y)) {
			d := math.Abs(x - y)
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			worst = max(worst, d)
		}
		if !math.IsInf(y, 0) && !math.IsNaN(y) {
			lo, hi = min(lo, y), max(hi, y)
		}
	}
	if hi == lo {
		return worst
	}
	return worst / (hi - lo)
}

// both runs a model here and in the interpreter.
func both(t *testing.T, m *tflite.Model, inputs [][]float32) (got, want [][]float32) {
	t.Helper()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	in, err := interp.New(data, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if want, err = in.Run(inputs); err != nil {
		t.Fatal(err)
	}
	e, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = e.Run(inputs); err != nil {
		t.Fatal(err)
	}
	return got, want
}

// observeAll makes every real tensor that an op writes a graph output, but for
// dequantized constants, which the interpreter does not compute where it reads
// the constants themselves.
func observeAll(g *tflite.Graph) {
	for _, op := range g.Ops {
		if op.Inputs[0].Constant() && op.Code == schema.BuiltinOperatorDEQUANTIZE {
			continue
		}
		for _, t := range op.Outputs {
			if t != nil && t.Type == schema.TensorTypeFLOAT32 && !slices.Contains(g.Outputs, t) {
				g.Outputs = append(g.Outputs, t)
			}
		}
	}
}

// Every inner tensor of every real model is as the interpreter has it.
func TestSharedAgainstInterpreter(t *testing.T) {
	for _, name := range floatModels {
		t.Run(name, func(t *testing.T) {
			m := sharedModel(t, name)
			floatWeights(t, m)
			g := m.Graphs[0]
			observeAll(g)
			kinds := map[string][][]float32{"noise": noise(g, 1, -1, 1), "waves": waves(g)}
			if slices.Contains(byteModels, name) {
				kinds["noise"] = noise(g, 1, 0, 255)
			}
			for kind, inputs := range kinds {
				got, want := both(t, m, inputs)
				worst := 0.0
				for i, o := range g.Outputs {
					if len(got[i]) != len(want[i]) {
						t.Fatalf("%s: output %d %q has %d values, want %d", kind, i, o.Name, len(got[i]), len(want[i]))
					}
					d := distance(got[i], want[i])
					worst = max(worst, d)
					if d > 1e-4 {
						t.Errorf("%s: output %d %q of %s differs by %.2g of its range", kind, i, o.Name, g.Producers()[o].Code, d)
					}
				}
				t.Logf("%s: %d tensors, largest difference %.2g of the range", kind, len(g.Outputs), worst)
			}
		})
	}
}

// A quantized model, evaluated in real numbers that are rounded to the grid of
// each tensor, stays near the interpreter's integer arithmetic.
func TestSharedQuantized(t *testing.T) {
	for name, inputs := range map[string]func(*tflite.Graph) [][]float32{
		"kws_int8ref":                   func(g *tflite.Graph) [][]float32 { return noise(g, 1, -60, 60) },
		"resnet8_cifar10_int8ref":       func(g *tflite.Graph) [][]float32 { return noise(g, 1, 0, 255) },
		"mobilenet_v2_1.0_224_uint8ref": func(g *tflite.Graph) [][]float32 { return noise(g, 1, -1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			m := sharedModel(t, name)
			g := m.Graphs[0]
			for _, op := range g.Ops {
				if !slices.Contains(g.Outputs, op.Outputs[0]) {
					g.Outputs = append(g.Outputs, op.Outputs[0])
				}
			}
			got, want := both(t, m, inputs(g))
			for i, o := range g.Outputs {
				if d := rms(got[i], want[i]); d > 0.02 {
					t.Errorf("output %d %q of %s: RMS difference is %.2g of its range", i, o.Name, g.Producers()[o].Code, d)
				}
			}
		})
	}
}

// rms is the root mean square of the differences, relative to the range of want.
func rms(got, want []float32) float64 {
	sum := 0.0
	for i, w := range want {
		d := float64(got[i] - w)
		sum += d * d
	}
	return math.Sqrt(sum/float64(len(want))) / float64(slices.Max(want)-slices.Min(want))
}
