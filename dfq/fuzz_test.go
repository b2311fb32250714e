package dfq

import (
	"bytes"
	"math/rand/v2"
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

// seedModels are files to start from: chains of every kind of layer, one graph
// for each row of the op table, the trained model, and unusual structures, whole
// and damaged.
func seedModels(f *testing.F) [][]byte {
	f.Helper()
	models := []*tflite.Model{
		Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU6, NoBias), Residual(Depthwise(3, ReLU), Conv(4, 1)), Mean(), Dense(3), Softmax()),
		Chain(Input(1, 6, 6, 2), Pad(1), Depthwise(3, Valid, Multiplier(2)), Concat(Identity(), Conv(3, 1, ReLU)), Reshape(1, 252), Dense(4)),
		Chain(Input(2, 4), Dense(5, ReLU), Unary(schema.BuiltinOperatorRELU6, nil), Unary(schema.BuiltinOperatorCOS, nil), Dense(2)),
		halfFloats(),
		hybrid(),
	}
	for i := range ops {
		if ops[i].versions != nil {
			models = append(models, newOpCase(f, schema.BuiltinOperator(i), uint64(i)).model)
		}
	}
	var files [][]byte
	for _, m := range models {
		data, err := tflite.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, data)
	}
	digits, err := os.ReadFile(filepath.Join("..", "testdata", "digits.tflite"))
	if err != nil {
		f.Fatal(err)
	}
	files = append(files, digits, digits[:len(digits)/2], digits[:len(digits)-9])
	sparse, _ := Pruned()
	first := len(files)
	for _, m := range []*tflite.Model{sparse, branches(), loop(), twoSignatures(), remembering(), resources(), picture()} {
		files = append(files, encode(f, m))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, file := range slices.Concat(files[:8], files[first:]) {
		for range 20 {
			damaged := bytes.Clone(file)
			for range 1 + r.IntN(4) {
				damaged[r.IntN(len(file))] ^= 1 << r.IntN(8)
			}
			files = append(files, damaged)
		}
	}
	return files
}

// FuzzQuantize: whatever a file holds, Decode, Quantize and Encode return, with
// an error or a model that breaks no rule, and take no more memory than a
// bounded one.
func FuzzQuantize(f *testing.F) {
	for _, data := range seedModels(f) {
		f.Add(data, byte(0))
		f.Add(data, byte(1|2|4|16|32))
		f.Add(data, byte(1|128))
	}
	f.Fuzz(func(t *testing.T, data []byte, options byte) {
		m, err := tflite.Decode(data)
		if err != nil || large(m) {
			return
		}
		opts := &Options{Samples: 1, AllowFloat: options&1 != 0, PerTensor: options&2 != 0, IO: [...]IOType{Inner, Uint8, Float32, Int16}[options>>2&3],
			Absorb: options&16 != 0, Thorough: options&16 != 0, RelaxReLU6: options&32 != 0, NoCorrect: options&64 != 0, Activations: [...]IOType{Int8, Int16}[options>>7]}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		q, _, err := Quantize(m, opts)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<30 {
			t.Errorf("%d bytes allocated", n)
		}
		if err != nil {
			if _, place, _ := strings.Cut(err.Error(), ": "); !strings.ContainsAny(place, `"0123456789`) && place != "there is nothing to quantize" {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		file, err := tflite.Encode(q)
		if err != nil {
			t.Fatalf("the result cannot be written: %v", err)
		}
		again, err := tflite.Decode(file)
		if err != nil {
			t.Fatalf("the result cannot be read: %v", err)
		}
		for _, err := range CheckRules(again) {
			t.Error(err)
		}
	})
}

// large tells models that are within bounds and would take seconds.
func large(m *tflite.Model) bool {
	n := 0
	for _, g := range m.Graphs {
		for _, t := range g.Tensors() {
			n += t.Len()
		}
	}
	return n > 1<<22 && n < maxElements
}

// FuzzCheckRules: any model that Decode and Validate let pass can be judged.
func FuzzCheckRules(f *testing.F) {
	for i, data := range seedModels(f) {
		f.Add(data)
		if i >= 5 && i < 5+len(opForms) {
			continue
		}
		m, err := tflite.Decode(data)
		if err != nil {
			continue
		}
		if q, _, err := Quantize(m, &Options{Samples: 1, AllowFloat: true}); err == nil {
			file, err := tflite.Encode(q)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(file)
			f.Add(bytes.ReplaceAll(file, []byte{1, 0, 0, 0}, []byte{0, 0, 0, 0}))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := tflite.Decode(data)
		if err != nil || m.Validate() != nil {
			return
		}
		CheckRules(m)
	})
}
