package main

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/metadata"
)

// quantizedDigits is the INT8 form of the digit classifier.
func quantizedDigits(t *testing.T) *tflite.Model {
	t.Helper()
	in, err := readModel(filepath.Join("..", "..", "testdata", "digits.tflite"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := dfq.Quantize(in.model, &dfq.Options{Samples: 1, Inputs: []dfq.InputRange{{Range: dfq.Range{Lo: -1, Hi: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestInspectWrong: models that are sound files and yet make no sense as INT8
// models are shown, whatever is missing.
func TestInspectWrong(t *testing.T) {
	whole := quantizedDigits(t)
	shown := 0
	for seed := range uint64(3000) {
		m := whole.Clone()
		r := rand.New(rand.NewPCG(seed, 0))
		for range 1 + r.IntN(3) {
			damage(m.Graphs[0], r)
		}
		if m.Validate() != nil {
			continue
		}
		shown++
		in := inspect(&modelFile{model: m})
		if !strings.Contains(string(in.text()), "count") {
			t.Fatalf("seed %d: no table of ops", seed)
		}
		if _, err := in.json(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if shown < 1000 {
		t.Errorf("only %d of the damaged models are sound files", shown)
	}
}

// damage changes one thing about a graph.
func damage(g *tflite.Graph, r *rand.Rand) {
	op := g.Ops[r.IntN(len(g.Ops))]
	tensors := g.Tensors()
	t := tensors[r.IntN(len(tensors))]
	switch r.IntN(10) {
	case 0:
		op.Inputs = op.Inputs[:r.IntN(len(op.Inputs)+1)]
	case 1:
		op.Outputs = op.Outputs[:r.IntN(len(op.Outputs)+1)]
	case 2:
		if len(op.Inputs) > 0 {
			op.Inputs[r.IntN(len(op.Inputs))] = nil
		}
	case 3:
		op.Code = schema.BuiltinOperator(r.IntN(200))
	case 4:
		op.Options = nil
	case 5:
		t.Quant = nil
	case 6:
		q := &tflite.Quantization{Axis: r.IntN(6) - 1}
		for range r.IntN(4) {
			q.Scale = append(q.Scale, []float32{0, 1, float32(math.NaN()), float32(math.Inf(1))}[r.IntN(4)])
		}
		q.Zero = make([]int64, r.IntN(4))
		t.Quant = q
	case 7:
		t.Type = schema.TensorType(r.IntN(18))
	case 8:
		t.Shape = make([]int, r.IntN(6))
		for i := range t.Shape {
			t.Shape[i] = r.IntN(4)
		}
	case 9:
		if len(op.Inputs) > 0 {
			op.Inputs[r.IntN(len(op.Inputs))] = t
		}
	}
}

// TestInspectNotFinite: JSON has no NaN, metadata may.
func TestInspectNotFinite(t *testing.T) {
	nan := float32(math.NaN())
	in := &inspection{TFLite: &metadata.Info{Inputs: []metadata.Tensor{{Mean: []float32{nan}, Std: []float32{0}, Min: []float32{nan}, Max: []float32{nan}}}}}
	if _, err := in.json(); err != nil {
		t.Error(err)
	}
}

// smallModel is the INT8 form of one FULLY_CONNECTED, with metadata and a
// signature.
func smallModel(t testing.TB) []byte {
	t.Helper()
	x := &tflite.Tensor{Name: "x", Shape: []int{1, 4}}
	w := &tflite.Tensor{Name: "w", Shape: []int{2, 4}}
	w.SetFloats([]float32{1, 2, 3, 4, -1, 0, 1, 0})
	y := &tflite.Tensor{Name: "y", Shape: []int{1, 2}}
	g := &tflite.Graph{Name: "main", Inputs: []*tflite.Tensor{x}, Outputs: []*tflite.Tensor{y}, Ops: []*tflite.Op{{
		Code: schema.BuiltinOperatorFULLY_CONNECTED, Version: 1,
		Inputs: []*tflite.Tensor{x, w, nil}, Outputs: []*tflite.Tensor{y}, Options: &schema.FullyConnectedOptionsT{},
	}}}
	m, _, err := dfq.Quantize(&tflite.Model{
		Graphs: []*tflite.Graph{g},
		Signatures: []*tflite.Signature{{Key: "serving_default", Graph: g,
			Inputs: []tflite.NamedTensor{{Name: "in", Tensor: x}}, Outputs: []tflite.NamedTensor{{Name: "out", Tensor: y}}}},
		Metadata: []*tflite.Metadata{{Name: "note", Data: []byte("a note")}},
	}, &dfq.Options{Samples: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzInspect(f *testing.F) {
	f.Add(smallModel(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := tflite.Decode(data)
		if err != nil || m.Validate() != nil {
			return
		}
		in := inspect(&modelFile{data: data, model: m})
		in.text()
		_ = m.String()
		if _, err := in.json(); err != nil {
			t.Error(err)
		}
	})
}

// TestStoredRange: scale·(lo − zero) to scale·(hi − zero) of the integers of each type.
func TestStoredRange(t *testing.T) {
	for _, c := range []struct {
		typ  schema.TensorType
		zero float64
		want *dfq.Range
	}{
		{schema.TensorTypeINT8, -1, &dfq.Range{Lo: -63.5, Hi: 64}},
		{schema.TensorTypeUINT8, 128, &dfq.Range{Lo: -64, Hi: 63.5}},
		{schema.TensorTypeINT16, 0, &dfq.Range{Lo: -16384, Hi: 16383.5}},
		{schema.TensorTypeFLOAT32, 0, nil},
	} {
		if got := storedRange(c.typ, 0.5, c.zero); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.typ, got, c.want)
		}
	}
}
