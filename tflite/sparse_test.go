package tflite

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
)

// A sparseForm is one way to store a tensor sparse.
type sparseForm struct {
	shape      []int
	order      []int // dimensions, then those of blocks, as they are traversed
	blocks     []int // dimensions that are cut into blocks
	sizes      []int // of the blocks
	compressed []bool
	width      schema.SparseIndexVector
}

var sparseForms = []sparseForm{
	{shape: []int{5}, order: []int{0}, compressed: []bool{true}, width: schema.SparseIndexVectorInt32Vector},
	{shape: []int{4, 6}, order: []int{0, 1}, compressed: []bool{false, true}, width: schema.SparseIndexVectorUint8Vector},
	{shape: []int{4, 6}, order: []int{1, 0}, compressed: []bool{false, true}, width: schema.SparseIndexVectorUint16Vector},
	{shape: []int{4, 6}, order: []int{0, 1}, compressed: []bool{true, true}, width: schema.SparseIndexVectorUint8Vector},
	{shape: []int{4, 6}, order: []int{0, 1}, compressed: []bool{false, false}},
	{shape: []int{8, 16}, order: []int{0, 1, 2}, blocks: []int{1}, sizes: []int{4}, compressed: []bool{false, true, false}, width: schema.SparseIndexVectorUint8Vector},
	{shape: []int{8, 16}, order: []int{0, 1, 2, 3}, blocks: []int{0, 1}, sizes: []int{2, 4}, compressed: []bool{false, true, false, false}, width: schema.SparseIndexVectorInt32Vector},
	{shape: []int{8, 16}, order: []int{1, 0, 3, 2}, blocks: []int{1, 0}, sizes: []int{4, 2}, compressed: []bool{true, true, false, false}, width: schema.SparseIndexVectorUint16Vector},
	{shape: []int{3, 2, 2, 5}, order: []int{3, 0, 2, 1}, compressed: []bool{true, false, true, false}, width: schema.SparseIndexVectorUint8Vector},
	{shape: []int{300, 2}, order: []int{1, 0}, compressed: []bool{false, true}, width: schema.SparseIndexVectorUint16Vector},
}

// store writes a dense tensor in a form: it looks for what is not zero below
// every prefix of coordinates.
func (f sparseForm) store(dense []float32) *Tensor {
	rank := len(f.shape)
	steps := make([]int, rank+len(f.blocks)) // by dimension
	copy(steps, f.shape)
	for i, d := range f.blocks {
		steps[d] /= f.sizes[i]
		steps[rank+i] = f.sizes[i]
	}
	value := func(at []int) float32 { // at: coordinates in the order of traversal
		coordinate := make([]int, len(steps))
		for l, d := range f.order {
			coordinate[d] = at[l]
		}
		for i, d := range f.blocks {
			coordinate[d] = coordinate[d]*f.sizes[i] + coordinate[rank+i]
		}
		k := 0
		for d := range rank {
			k = k*f.shape[d] + coordinate[d]
		}
		return dense[k]
	}
	var holds func(prefix []int) bool
	holds = func(prefix []int) bool {
		if len(prefix) == len(steps) {
			return value(prefix) != 0
		}
		for i := range steps[f.order[len(prefix)]] {
			if holds(append(slices.Clone(prefix), i)) {
				return true
			}
		}
		return false
	}
	s := &schema.SparsityParametersT{TraversalOrder: int32s(f.order), BlockMap: int32s(f.blocks)}
	level := [][]int{{}}
	for l, d := range f.order {
		var next [][]int
		segments, indices := []int{0}, []int{}
		for _, prefix := range level {
			for i := range steps[d] {
				below := append(slices.Clone(prefix), i)
				if !f.compressed[l] || holds(below) {
					next = append(next, below)
					indices = append(indices, i)
				}
			}
			segments = append(segments, len(indices))
		}
		md := &schema.DimensionMetadataT{DenseSize: int32(steps[d])}
		if f.compressed[l] {
			md = &schema.DimensionMetadataT{Format: schema.DimensionTypeSPARSE_CSR, ArraySegments: f.vector(segments), ArrayIndices: f.vector(indices)}
		}
		s.DimMetadata = append(s.DimMetadata, md)
		level = next
	}
	t := &Tensor{Name: "w", Shape: f.shape, rest: &schema.TensorT{Sparsity: s}}
	var stored []float32
	for _, at := range level {
		stored = append(stored, value(at))
	}
	t.SetFloats(stored)
	return t
}

func (f sparseForm) vector(v []int) *schema.SparseIndexVectorT {
	out := &schema.SparseIndexVectorT{Type: f.width}
	switch f.width {
	case schema.SparseIndexVectorUint8Vector:
		values := make([]byte, len(v))
		for i, x := range v {
			values[i] = byte(x)
		}
		out.Value = &schema.Uint8VectorT{Values: values}
	case schema.SparseIndexVectorUint16Vector:
		values := make([]uint16, len(v))
		for i, x := range v {
			values[i] = uint16(x)
		}
		out.Value = &schema.Uint16VectorT{Values: values}
	default:
		out.Value = &schema.Int32VectorT{Values: int32s(v)}
	}
	return out
}

func oneConstant(t *Tensor) *Model {
	return &Model{Graphs: []*Graph{{Outputs: []*Tensor{t}}}}
}

// Whatever the form, through a file and back, the numbers are the same.
func TestDensify(t *testing.T) {
	for i, f := range sparseForms {
		for _, share := range []float64{0, 0.1, 0.5, 1} {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			want := make([]float32, (&Tensor{Shape: f.shape}).Len())
			for k := range want {
				if r.Float64() < share {
					want[k] = float32(r.NormFloat64())
				}
			}
			data, err := Encode(oneConstant(f.store(want)))
			if err != nil {
				t.Fatal(err)
			}
			m, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			w := m.Graphs[0].Outputs[0]
			c := m.Clone()
			if err := c.Densify(); err != nil {
				t.Fatalf("form %d, %g: %v", i, share, err)
			}
			if got := c.Graphs[0].Outputs[0]; got.Sparse() || !slices.Equal(got.Floats(), want) {
				t.Errorf("form %d, %g: %v, want %v", i, share, got.Floats(), want)
			}
			if !w.Sparse() {
				t.Errorf("form %d: the model that was cloned is dense too", i)
			}
		}
	}
}

// The tensor of another test's file, whose elements are known.
func TestDensifyEverything(t *testing.T) {
	m, err := Decode(everything(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Densify(); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Graphs[0].Tensors() {
		if want := []float32{0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; w.Name == "sparse" && !slices.Equal(w.Floats(), want) {
			t.Errorf("%v, want %v", w.Floats(), want)
		}
	}
	if _, err := Encode(m); err != nil {
		t.Error(err)
	}
}

// DENSIFY of a constant becomes that constant.
func TestDensifyOp(t *testing.T) {
	f := sparseForms[1]
	want := make([]float32, 24)
	want[7], want[23] = 1, -2
	w := f.store(want)
	dense := &Tensor{Name: "dense", Type: w.Type, Shape: w.Shape}
	other := &Tensor{Name: "other", Type: w.Type, Shape: w.Shape}
	m := oneConstant(other)
	m.Graphs[0].Ops = []*Op{
		{Code: schema.BuiltinOperatorDENSIFY, Version: 1, Options: &schema.DensifyOptionsT{}, Inputs: []*Tensor{w}, Outputs: []*Tensor{dense}},
		{Code: schema.BuiltinOperatorNEG, Version: 1, Inputs: []*Tensor{dense}, Outputs: []*Tensor{other}},
	}
	if err := m.Densify(); err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if g := m.Graphs[0]; len(g.Ops) != 1 || !slices.Equal(g.Ops[0].Inputs[0].Floats(), want) {
		t.Errorf("%v", m)
	}
}

// Sparsity that contradicts itself is an error that names the tensor.
func TestDensifyRefuses(t *testing.T) {
	csr := func(w *Tensor, l int) (segments, indices []byte) {
		md := w.rest.Sparsity.DimMetadata[l]
		return md.ArraySegments.Value.(*schema.Uint8VectorT).Values, md.ArrayIndices.Value.(*schema.Uint8VectorT).Values
	}
	tests := map[string]func(w *Tensor, s *schema.SparsityParametersT){
		"no order":                 func(w *Tensor, s *schema.SparsityParametersT) { s.TraversalOrder = nil },
		"a dimension twice":        func(w *Tensor, s *schema.SparsityParametersT) { s.TraversalOrder[1] = 0 },
		"a dimension out of range": func(w *Tensor, s *schema.SparsityParametersT) { s.TraversalOrder[1] = -1 },
		"too few described":        func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata = s.DimMetadata[:2] },
		"none described":           func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[1] = nil },
		"a block of no dimension":  func(w *Tensor, s *schema.SparsityParametersT) { s.BlockMap[0] = 2 },
		"a block that does not fit": func(w *Tensor, s *schema.SparsityParametersT) {
			s.DimMetadata[2].DenseSize = 3
		},
		"a block of nothing":     func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[2].DenseSize = 0 },
		"another dense size":     func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[0].DenseSize = 7 },
		"an unknown format":      func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[0].Format = 2 },
		"no segments":            func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[1].ArraySegments = nil },
		"no indices":             func(w *Tensor, s *schema.SparsityParametersT) { s.DimMetadata[1].ArrayIndices = nil },
		"an index out of range":  func(w *Tensor, s *schema.SparsityParametersT) { _, i := csr(w, 1); i[0] = 4 },
		"segments that fall":     func(w *Tensor, s *schema.SparsityParametersT) { p, _ := csr(w, 1); p[1] = 200 },
		"segments from one":      func(w *Tensor, s *schema.SparsityParametersT) { p, _ := csr(w, 1); p[0] = 1 },
		"too few elements":       func(w *Tensor, s *schema.SparsityParametersT) { w.Data = w.Data[4:] },
		"a part of an element":   func(w *Tensor, s *schema.SparsityParametersT) { w.Data = w.Data[1:] },
		"elements without bytes": func(w *Tensor, s *schema.SparsityParametersT) { w.Type = schema.TensorTypeINT4 },
		"a shape for all memory": func(w *Tensor, s *schema.SparsityParametersT) { w.Shape = []int{1 << 30, 1 << 20} },
		"a shape for much of it": func(w *Tensor, s *schema.SparsityParametersT) { w.Shape = []int{1 << 13, 1 << 14} },
		"dense steps without end": func(w *Tensor, s *schema.SparsityParametersT) {
			s.DimMetadata[1] = &schema.DimensionMetadataT{DenseSize: 4}
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			dense := make([]float32, 8*16)
			for i := range dense[:40] {
				dense[i] = float32(i)
			}
			w := sparseForms[5].store(dense)
			spoil(w, w.rest.Sparsity)
			if err := oneConstant(w).Densify(); err == nil || !strings.Contains(err.Error(), `tensor "w": sparsity: `) {
				t.Errorf("error %v, want one that names the tensor", err)
			}
		})
	}
}

// Many tensors of a few bytes each cannot ask for all memory.
func TestDensifyTotal(t *testing.T) {
	m := &Model{Graphs: []*Graph{{}}}
	for i := range 3 {
		n := 1 << 25
		w := &Tensor{Name: fmt.Sprint(i), Type: schema.TensorTypeFLOAT32, Shape: []int{n}, Data: binary.LittleEndian.AppendUint32(nil, 1)}
		one := func(v ...int32) *schema.SparseIndexVectorT {
			return &schema.SparseIndexVectorT{Type: schema.SparseIndexVectorInt32Vector, Value: &schema.Int32VectorT{Values: v}}
		}
		w.rest = &schema.TensorT{Sparsity: &schema.SparsityParametersT{TraversalOrder: []int32{0}, DimMetadata: []*schema.DimensionMetadataT{
			{Format: schema.DimensionTypeSPARSE_CSR, ArraySegments: one(0, 1), ArrayIndices: one(int32(n - 1))}}}}
		m.Graphs[0].Outputs = append(m.Graphs[0].Outputs, w)
	}
	if err := m.Densify(); err == nil || !strings.Contains(err.Error(), `tensor "2"`) {
		t.Errorf("error %v, want one for the third tensor of 128 MB", err)
	}
}
