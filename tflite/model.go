// Package tflite is the TensorFlow Lite model as a small pointer graph: its
// types, Decode, Encode, Validate and a stable printed form.
//
// It knows the file format and nothing of quantization theory. Edits are edits
// of pointers and slices; indices into tables exist only on the wire, so they
// cannot go stale. What no pass reads rides along in the generated structs and
// is written back as it came.
package tflite

import (
	"encoding/binary"
	"math"
	"slices"

	"dfq/schema"
)

// Model is a whole file.
type Model struct {
	Description string
	Graphs      []*Graph // Graphs[0] is the main one; IF, WHILE and CALL name the others by index
	Signatures  []*Signature
	Metadata    []*Metadata // in file order; dfq's passes read only the entries they know

	// Trailer is what follows the FlatBuffer in the file: for a model with
	// TFLite Metadata a ZIP of associated files. Nil for most models. It is
	// read-only: the bytes may be the file's own.
	Trailer []byte

	// metadataBuffers are the blobs of a field that older tools filled beside
	// Metadata. They are written back.
	metadataBuffers [][]byte
	rest            *schema.ModelT // fields no pass reads
}

// Graph is one subgraph. Ops stand in execution order.
type Graph struct {
	Name            string
	Inputs, Outputs []*Tensor
	Ops             []*Op

	// loose are tensors that neither an op nor the boundary mentions. They are
	// written back, since a file that is read and written again loses nothing.
	loose []*Tensor
	order []*Tensor // the file's tensor order; new tensors follow it
	rest  *schema.SubGraphT
}

// Op is one operator.
type Op struct {
	Code            schema.BuiltinOperator
	Custom          string // name of a custom operator, when Code is CUSTOM
	Version         int
	Inputs, Outputs []*Tensor // nil = an optional input left out (-1 on the wire)
	Intermediates   []*Tensor // LSTM's inner tensors

	// Options is the generated struct of the operator's options, for example
	// *schema.Conv2DOptionsT, or nil. It may be of either of the format's two
	// unions of options. Passes replace it, never write into it: clones share it.
	Options any

	CustomOptions []byte // of a custom operator, in whatever form its kernel reads

	rest *schema.OperatorT // fields no pass reads
}

// Tensor is a value flowing between ops, or a constant.
//
// Shapes: activations NHWC; filters OHWI (CONV_2D, TRANSPOSE_CONV),
// 1HWO (DEPTHWISE_CONV_2D), OI (FULLY_CONNECTED).
type Tensor struct {
	Name      string
	Type      schema.TensorType
	Shape     []int
	Signature []int // shape with -1 for dimensions unknown at conversion, or nil
	Variable  bool  // keeps its value from one invocation to the next
	Channels  int   // how many values in a row are of different channels; 0: as many as the last axis has

	// Data is nil for activations; a constant without elements has an empty
	// slice. The bytes of a constant are read-only: they may be the file's own.
	// A pass that changes a constant sets a new slice.
	Data []byte

	Quant *Quantization // nil = not quantized

	rest *schema.TensorT // sparsity and other fields no pass reads
}

// Quantization maps stored q to real = Scale[c]·(q − Zero[c]).
type Quantization struct {
	Scale []float32 // one entry, or one per slice of Axis
	Zero  []int64
	Axis  int

	// Min and Max are what a converter recorded of the real range. Nothing
	// computes with them.
	Min, Max []float32

	// details and the tensors it names are block-wise or custom quantization.
	// Scale is empty then.
	details       *schema.QuantizationDetailsT
	scales, zeros *Tensor
}

// Signature is a named entry point: names for a graph's inputs and outputs.
type Signature struct {
	Key             string
	Graph           *Graph
	Inputs, Outputs []NamedTensor
	rest            *schema.SignatureDefT
}

// NamedTensor is one name of a Signature.
type NamedTensor struct {
	Name   string
	Tensor *Tensor
}

// Metadata is a named blob of the file, such as "TFLITE_METADATA" or
// "min_runtime_version".
type Metadata struct {
	Name string
	Data []byte
}

// MaxElements bounds the elements of all tensors of what dfq runs: 1 GiB of
// float32. It is far above every model for a phone and keeps a broken file from
// asking for all memory.
const MaxElements = 1 << 28

// Len is the number of elements: the product of Shape, 1 for a scalar.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Constant reports whether t has a value of its own in the file.
func (t *Tensor) Constant() bool { return t.Data != nil }

// IsOpen reports whether t is of any length along axis d.
func (t *Tensor) IsOpen(d int) bool { return len(t.Signature) == len(t.Shape) && t.Signature[d] < 0 }

// Floats returns a copy of the values of a FLOAT32 constant.
func (t *Tensor) Floats() []float32 {
	v := make([]float32, len(t.Data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return v
}

// SetFloats makes t a FLOAT32 constant with the given values.
func (t *Tensor) SetFloats(v []float32) {
	t.Type = schema.TensorTypeFLOAT32
	t.Data = make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(x))
	}
}

// Ints returns a copy of the values of an INT32 or INT64 constant, nil for
// any other type.
func (t *Tensor) Ints() []int {
	switch t.Type {
	case schema.TensorTypeINT32:
		v := make([]int, len(t.Data)/4)
		for i := range v {
			v[i] = int(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
		return v
	case schema.TensorTypeINT64:
		v := make([]int, len(t.Data)/8)
		for i := range v {
			v[i] = int(int64(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
		return v
	}
	return nil
}

// SetInt32s makes t an INT32 constant with the given values.
func (t *Tensor) SetInt32s(v []int32) {
	t.Type = schema.TensorTypeINT32
	t.Data = make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(x))
	}
}

// SetInt64s makes t an INT64 constant with the given values.
func (t *Tensor) SetInt64s(v []int64) {
	t.Type = schema.TensorTypeINT64
	t.Data = make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(t.Data[8*i:], uint64(x))
	}
}

// SetInt16s makes t an INT16 constant with the given values.
func (t *Tensor) SetInt16s(v []int16) {
	t.Type = schema.TensorTypeINT16
	t.Data = make([]byte, 2*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint16(t.Data[2*i:], uint16(x))
	}
}

// SetInt8s makes t an INT8 constant with the given values.
func (t *Tensor) SetInt8s(v []int8) {
	t.Type = schema.TensorTypeINT8
	t.Data = make([]byte, len(v))
	for i, x := range v {
		t.Data[i] = byte(x)
	}
}

// A Use is one place where a tensor is read.
type Use struct {
	Op    *Op
	Input int // index into Op.Inputs
}

// Uses lists the readers of every tensor, in execution order. It is derived
// afresh: ask again after an edit.
func (g *Graph) Uses() map[*Tensor][]Use {
	uses := map[*Tensor][]Use{}
	for _, op := range g.Ops {
		for i, t := range op.Inputs {
			if t != nil {
				uses[t] = append(uses[t], Use{op, i})
			}
		}
	}
	return uses
}

// KeepNeeded drops the ops that no graph output depends on, and none of the ops for
// which wanted, if set, says so. Of what ops do for an effect only CALL_ONCE is seen,
// which gives variables that are read their first values.
func (g *Graph) KeepNeeded(wanted func(*Op) bool) {
	live := map[*Tensor]bool{}
	for _, t := range g.Outputs {
		live[t] = true
	}
	var ops []*Op
	reads := false
	for _, op := range slices.Backward(g.Ops) {
		first := reads && op.Code == schema.BuiltinOperatorCALL_ONCE
		if !first && (wanted == nil || !wanted(op)) && !slices.ContainsFunc(op.Outputs, func(t *Tensor) bool { return live[t] }) {
			continue
		}
		for _, t := range op.Inputs {
			live[t] = t != nil
		}
		reads = reads || op.Code == schema.BuiltinOperatorREAD_VARIABLE
		ops = append(ops, op)
	}
	slices.Reverse(ops)
	g.Ops = ops
}

// Producers maps every tensor that an op writes to that op.
func (g *Graph) Producers() map[*Tensor]*Op {
	producers := map[*Tensor]*Op{}
	for _, op := range g.Ops {
		for _, t := range op.Outputs {
			if t != nil {
				producers[t] = op
			}
		}
	}
	return producers
}

// Tensors lists every tensor once: those of the file in file order, then new
// ones in order of appearance.
func (g *Graph) Tensors() []*Tensor {
	seen := map[*Tensor]bool{nil: true}
	used := map[*Tensor]bool{}
	var found, all []*Tensor
	visit := func(ts []*Tensor) {
		for _, t := range ts {
			if t != nil && !used[t] {
				used[t] = true
				found = append(found, t)
			}
		}
	}
	visit(g.Inputs)
	for _, op := range g.Ops {
		visit(op.Inputs)
		visit(op.Outputs)
		visit(op.Intermediates)
	}
	visit(g.Outputs)
	visit(g.loose)
	for _, ts := range [][]*Tensor{g.order, found} {
		for _, t := range ts {
			if used[t] && !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// Clone returns a deep copy of everything but the read-only bytes of constants,
// option structs and fields no pass reads.
func (m *Model) Clone() *Model {
	c := *m
	c.Signatures = nil
	tensors := map[*Tensor]*Tensor{nil: nil}
	graphs := map[*Graph]*Graph{nil: nil}
	c.Graphs = make([]*Graph, len(m.Graphs))
	for i, g := range m.Graphs {
		c.Graphs[i] = g.clone(tensors)
		graphs[g] = c.Graphs[i]
	}
	for _, s := range m.Signatures {
		d := *s
		d.Graph = graphs[s.Graph]
		d.Inputs = cloneNamed(s.Inputs, tensors)
		d.Outputs = cloneNamed(s.Outputs, tensors)
		c.Signatures = append(c.Signatures, &d)
	}
	c.Metadata = make([]*Metadata, len(m.Metadata))
	for i, md := range m.Metadata {
		d := *md
		c.Metadata[i] = &d
	}
	return &c
}

// clone copies g; tensors gathers old → new.
func (g *Graph) clone(tensors map[*Tensor]*Tensor) *Graph {
	list := func(ts []*Tensor) []*Tensor {
		if ts == nil {
			return nil
		}
		out := make([]*Tensor, len(ts))
		for i, t := range ts {
			if t == nil {
				continue
			}
			if tensors[t] == nil {
				tensors[t] = t.Clone()
			}
			out[i] = tensors[t]
		}
		return out
	}
	c := *g
	c.order = list(g.order)
	for _, t := range c.order {
		if t.Quant != nil {
			q := list([]*Tensor{t.Quant.scales, t.Quant.zeros})
			t.Quant.scales, t.Quant.zeros = q[0], q[1]
		}
	}
	c.Inputs, c.Outputs, c.loose = list(g.Inputs), list(g.Outputs), list(g.loose)
	c.Ops = make([]*Op, len(g.Ops))
	for i, op := range g.Ops {
		d := *op
		d.Inputs, d.Outputs, d.Intermediates = list(op.Inputs), list(op.Outputs), list(op.Intermediates)
		c.Ops[i] = &d
	}
	return &c
}

func cloneNamed(named []NamedTensor, tensors map[*Tensor]*Tensor) []NamedTensor {
	out := slices.Clone(named)
	for i := range out {
		out[i].Tensor = tensors[out[i].Tensor]
	}
	return out
}

// Clone returns a copy of t that shares only its read-only data.
func (t *Tensor) Clone() *Tensor {
	c := *t
	c.Shape = slices.Clone(t.Shape)
	c.Signature = slices.Clone(t.Signature)
	if t.Quant != nil {
		q := *t.Quant
		q.Scale, q.Zero = slices.Clone(q.Scale), slices.Clone(q.Zero)
		c.Quant = &q
	}
	return &c
}
