//go:build tflite

package interp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

func float(name string, shape ...int) *tflite.Tensor {
	return &tflite.Tensor{Name: name, Type: schema.TensorTypeFLOAT32, Shape: shape}
}

// open encodes a graph and makes an interpreter for it.
func open(t *testing.T, g *tflite.Graph) *Interpreter {
	t.Helper()
	data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{g}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(data, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func run(t *testing.T, in *Interpreter, inputs ...[]float32) [][]float32 {
	t.Helper()
	out, err := in.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func equal(t *testing.T, got [][]float32, want ...[]float32) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// reluGraph is an addition of a constant and a RELU, with more outputs than
// that: the sum between the two, the input, the constant, and the result twice.
func reluGraph() *tflite.Graph {
	x, sum, y := float("x", 1, 4), float("sum", 1, 4), float("y", 1, 4)
	c := float("c", 1, 4)
	c.SetFloats([]float32{1, 2, 3, 4})
	return &tflite.Graph{
		Inputs:  []*tflite.Tensor{x},
		Outputs: []*tflite.Tensor{y, sum, x, c, y},
		Ops: []*tflite.Op{
			{Code: schema.BuiltinOperatorADD, Version: 1, Options: &schema.AddOptionsT{},
				Inputs: []*tflite.Tensor{x, c}, Outputs: []*tflite.Tensor{sum}},
			{Code: schema.BuiltinOperatorRELU, Version: 1,
				Inputs: []*tflite.Tensor{sum}, Outputs: []*tflite.Tensor{y}},
		},
	}
}

func TestAnyTensorAsOutput(t *testing.T) {
	in := open(t, reluGraph())
	x := []float32{-9, 1, -9, 1}
	y, sum, c := []float32{0, 3, 0, 5}, []float32{-8, 3, -6, 5}, []float32{1, 2, 3, 4}
	first := run(t, in, x)
	equal(t, first, y, sum, x, c, y)
	run(t, in, []float32{5, 5, 5, 5})
	equal(t, first, y, sum, x, c, y) // a later run leaves the slices alone
}

// A quantized model takes and gives real values; runRaw its stored ones.
func TestQuantizedBoundary(t *testing.T) {
	q := func(name string, scale float32, zero int64) *tflite.Tensor {
		return &tflite.Tensor{Name: name, Type: schema.TensorTypeINT8, Shape: []int{1, 4},
			Quant: &tflite.Quantization{Scale: []float32{scale}, Zero: []int64{zero}}}
	}
	x, y := q("x", 0.5, 10), q("y", 0.25, -128)
	in := open(t, &tflite.Graph{
		Inputs:  []*tflite.Tensor{x},
		Outputs: []*tflite.Tensor{y},
		Ops: []*tflite.Op{{Code: schema.BuiltinOperatorQUANTIZE, Version: 2,
			Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{y}}},
	})
	equal(t, run(t, in, []float32{-1, 0, 2.2, 1000}), []float32{0, 0, 2, 58.5})
	out, err := in.runRaw([][]byte{{8, 10, 14, 127}})
	if want := []byte{0x80, 0x80, 0x88, 0x6a}; err != nil || !bytes.Equal(out[0], want) {
		t.Errorf("raw: got %v, %v, want %v", out, err, want)
	}
}

// The length of an output may depend on the data.
func TestDataDependentShape(t *testing.T) {
	x := float("x", 4)
	where := &tflite.Tensor{Name: "where", Type: schema.TensorTypeINT64, Shape: []int{0, 1}}
	in := open(t, &tflite.Graph{
		Inputs:  []*tflite.Tensor{x},
		Outputs: []*tflite.Tensor{where},
		Ops: []*tflite.Op{{Code: schema.BuiltinOperatorWHERE, Version: 1,
			Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{where}}},
	})
	equal(t, run(t, in, []float32{0, 1, 0, 1}), []float32{1, 3})
	equal(t, run(t, in, []float32{0, 0, 0, 0}), []float32{})
	equal(t, run(t, in, []float32{1, 1, 1, 1}), []float32{0, 1, 2, 3})
}

func TestWrongInputs(t *testing.T) {
	in := open(t, reluGraph())
	for _, c := range []struct {
		inputs [][]float32
		want   string
	}{
		{nil, "0 inputs, the model has 1"},
		{make([][]float32, 2), "2 inputs, the model has 1"},
		{[][]float32{{1, 2, 3}}, `input 0 "x": 3 values given, 4 needed`},
		{[][]float32{{1, 2, 3, 4, 5}}, `input 0 "x": 5 values given, 4 needed`},
	} {
		if _, err := in.Run(c.inputs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Run(%v): %v, want %s", c.inputs, err, c.want)
		}
	}
	if _, err := in.runRaw([][]byte{make([]byte, 15)}); err == nil || !strings.Contains(err.Error(), "15 bytes given, 16 needed") {
		t.Errorf("runRaw: %v", err)
	}
	equal(t, run(t, in, []float32{0, 0, 0, 0})[:1], []float32{1, 2, 3, 4}) // none of this broke it
	in.Close()
	in.Close()
	if _, err := in.Run([][]float32{{1, 2, 3, 4}}); err == nil {
		t.Error("a closed interpreter runs")
	}
}

func TestGarbage(t *testing.T) {
	good, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{reluGraph()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, []byte("TFL3"), make([]byte, 1000), good[:len(good)/2], append([]byte("garbage!"), good...)} {
		if in, err := New(data, 1); err == nil {
			in.Close()
			t.Errorf("%d bytes of garbage make an interpreter", len(data))
		}
	}
	if _, err := New(good, 0); err == nil {
		t.Error("no threads, no error")
	}
}

// The message of the C library comes with its arguments.
func TestErrorIsTold(t *testing.T) {
	g := reluGraph()
	g.Ops[0].Code, g.Ops[0].Custom, g.Ops[0].Options = schema.BuiltinOperatorCUSTOM, "Frobnicate", nil
	data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{g}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(data, 1); err == nil || !strings.Contains(err.Error(), "custom op: Frobnicate") {
		t.Errorf("error %v does not name the operator", err)
	}
}

// In place or copied, the outputs are the same; only the copies outlive a call.
func TestInPlace(t *testing.T) {
	in := open(t, reluGraph())
	inputs := [][]float32{{-3, 1, 2, 0.5}}
	kept := run(t, in, inputs...)
	seen, err := in.RunInPlace(inputs)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, seen, kept...)
	run(t, in, []float32{9, 9, 9, 9})
	again := run(t, in, inputs...)
	equal(t, again, kept...)
}

// Several interpreters at work at once do not disturb each other.
func TestConcurrent(t *testing.T) {
	var group sync.WaitGroup
	defer group.Wait()
	for worker := range 4 {
		in := open(t, reluGraph())
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range 200 {
				v := float32(1000*worker + i)
				out, err := in.Run([][]float32{{v, v, v, v}})
				if err != nil || out[0][0] != v+1 {
					t.Errorf("worker %d: %v, %v", worker, out, err)
				}
			}
		}()
	}
}

// Two hundred interpreters leave no more behind than a few.
func TestNoLeak(t *testing.T) {
	g := reluGraph()
	c := g.Ops[0].Inputs[1]
	g.Inputs[0].Shape, c.Shape = []int{1, 1 << 18}, []int{1, 1 << 18}
	for _, out := range g.Outputs {
		out.Shape = []int{1, 1 << 18}
	}
	c.SetFloats(make([]float32, 1<<18))
	data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{g}})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 1<<18)
	cycle := func(times int) {
		for range times {
			in, err := New(data, 1)
			if err != nil {
				t.Fatal(err)
			}
			run(t, in, x)
			in.Close()
		}
	}
	cycle(20)
	before := resident(t)
	cycle(200)
	// Each cycle touches some 4 MB of C memory; a leak of an eighth shows.
	if grown := resident(t) - before; grown > 100<<20 {
		t.Errorf("200 cycles left %d MB behind", grown>>20)
	}
}

// resident is the process's memory in bytes.
func resident(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status on this system to read the process's memory from")
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(after, &kb); err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// shared is the folder of real models and images beside the checkout.
func shared(t testing.TB, names ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared"}, names...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: the real models and images are not beside the checkout", path)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func openShared(t *testing.T, name string) *Interpreter {
	t.Helper()
	in, err := New(read(t, shared(t, "models", name)), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// noise is seeded input for every input of a model: 0..1 where it is float, any
// byte where it is not.
func noise(t *testing.T, m *tflite.Model) [][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var inputs [][]byte
	for _, in := range m.Graphs[0].Inputs {
		var b []byte
		for range in.Len() {
			switch in.Type {
			case schema.TensorTypeFLOAT32:
				b, _ = binary.Append(b, binary.LittleEndian, r.Float32())
			case schema.TensorTypeINT8, schema.TensorTypeUINT8:
				b = append(b, byte(r.Uint32()))
			default:
				t.Fatalf("input %q is %v", in.Name, in.Type)
			}
		}
		inputs = append(inputs, b)
	}
	return inputs
}

// A real model that is decoded and encoded again computes the same bits.
func TestSharedRoundTrip(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "models"), "*.tflite"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := read(t, file)
			m, err := tflite.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := tflite.Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			var outputs [2][][]byte
			for i, d := range [][]byte{data, again} {
				in, err := New(d, 1)
				if filepath.Base(file) == "selfie_segmentation.tflite" {
					if err == nil || !strings.Contains(err.Error(), "Convolution2DTransposeBias") {
						t.Errorf("error %v does not name the custom operator", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				if outputs[i], err = in.runRaw(noise(t, m)); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.EqualFunc(outputs[0], outputs[1], bytes.Equal) {
				t.Error("outputs differ")
			}
		})
	}
}

// All that a real model computes on the way can be had as further outputs, and
// having it changes no result.
func TestSharedInnerTensors(t *testing.T) {
	for _, name := range []string{"mobilenet_v2_1.0_224_dequant.tflite", "kws_int8ref.tflite"} {
		t.Run(name, func(t *testing.T) {
			m, err := tflite.Decode(read(t, shared(t, "models", name)))
			if err != nil {
				t.Fatal(err)
			}
			want, err := openShared(t, name).runRaw(noise(t, m))
			if err != nil {
				t.Fatal(err)
			}
			g := m.Graphs[0]
			for _, op := range g.Ops {
				g.Outputs = append(g.Outputs, op.Outputs...)
			}
			out, err := open(t, g).runRaw(noise(t, m))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out[0], want[0]) {
				t.Error("the model's own output differs")
			}
			if last := out[len(out)-1]; !bytes.Equal(last, want[0]) {
				t.Error("the last operator's output is not the model's")
			}
		})
	}
}

// The source of the model measured 95.2 % on 3000 digits.
func TestSharedDigits(t *testing.T) {
	images := read(t, shared(t, "images", "mnist", "images_1500x28x28_u8.raw"))
	labels := read(t, shared(t, "images", "mnist", "labels_1500_u8.raw"))
	in := openShared(t, "conv_fc_mnist.tflite")
	right := 0
	x := make([]float32, 28*28)
	for i, label := range labels {
		for j := range x {
			x[j] = float32(images[i*len(x)+j]) / 255
		}
		if argmax(run(t, in, x)[0]) == int(label) {
			right++
		}
	}
	if share := float64(right) / float64(len(labels)); share < 0.93 || share > 0.98 {
		t.Errorf("%.1f %% of the digits are right, not 93 to 98 %%", 100*share)
	}
}

// Keyword spotting: the features are the int8 model's own stored input, so real
// values must lead it to the same bits, and the float model to the same words.
func TestSharedKeywords(t *testing.T) {
	float, quant := openShared(t, "kws_float32.tflite"), openShared(t, "kws_int8ref.tflite")
	files, err := filepath.Glob(filepath.Join(shared(t, "images", "kws"), "*.bin"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no features: %v", err)
	}
	right, agree := 0, 0
	for _, file := range files {
		stored := read(t, file)
		x := make([]float32, len(stored))
		for i, b := range stored {
			x[i] = float32(int(int8(b))-83) * 0.5847029
		}
		words := run(t, float, x)[0]
		byReal := run(t, quant, x)[0]
		byStored, err := quant.runRaw([][]byte{stored})
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range byStored[0] {
			if real := float32(int(int8(b))+128) / 256; byReal[i] != real {
				t.Fatalf("%s: class %d: %g by real values, %g by stored ones", file, i, byReal[i], real)
			}
		}
		if argmax(words) == argmax(byReal) {
			agree++
		}
		if strings.HasSuffix(file, fmt.Sprintf("_%d.bin", argmax(words))) {
			right++
		}
	}
	n := float64(len(files))
	if float64(right)/n < 0.85 || float64(agree)/n < 0.9 {
		t.Errorf("of %v keywords %d right, %d the same in float and int8", n, right, agree)
	}
}

func argmax(x []float32) int {
	best := 0
	for i := range x {
		if x[i] > x[best] {
			best = i
		}
	}
	return best
}

func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"mobilenet_v2_1.0_224_dequant.tflite", "kws_int8ref.tflite"} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", name, threads), func(b *testing.B) {
				data := read(b, shared(b, "models", name))
				m, err := tflite.Decode(data)
				if err != nil {
					b.Fatal(err)
				}
				in, err := New(data, threads)
				if err != nil {
					b.Fatal(err)
				}
				defer in.Close()
				x := make([]float32, m.Graphs[0].Inputs[0].Len())
				for b.Loop() {
					if _, err := in.Run([][]float32{x}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
