package tflite

import (
	"fmt"
	"slices"

	"dfq/schema"
)

// Decode reads a .tflite file. An error is a *FormatError.
//
// Constants and metadata alias data, which must stay unchanged as long as the
// model or a clone of it is in use.
//
// A tensor is a constant (Data is not nil) if its buffer holds bytes. One
// without elements needs none: it is a constant if nothing else gives it a
// value, that is if it is no variable, no input of its graph and no op's output.
// The same holds for a sparse one that stores nothing, which is all zero.
//
// What follows the FlatBuffer becomes the model's Trailer, except for buffers
// and custom options that the FlatBuffer refers to out there: these are
// resolved. Files with fields or option types newer than the schema are
// refused, since they would be lost in writing.
func Decode(data []byte) (m *Model, err error) {
	defer func() { // the last net: verify leaves nothing to panic about
		if r := recover(); r != nil {
			m, err = nil, &FormatError{"file", fmt.Sprint(r)}
		}
	}()
	end, err := verify(data)
	if err != nil {
		return nil, err
	}
	file := schema.GetRootAsModel(data, 0).UnPack()
	markAbsent(data, file)
	d := &decoder{data: data, file: file, end: end}
	if err := d.model(); err != nil {
		return nil, err
	}
	return d.m, nil
}

// decoder turns the unpacked tables of a file into a Model.
type decoder struct {
	data    []byte
	file    *schema.ModelT
	end     int      // of the FlatBuffer and of what it refers to behind itself
	far     uint64   // bytes referred to there
	buffers [][]byte // contents by index, wherever they are stored
	m       *Model
	tensors [][]*Tensor // by graph and index
	shared  int         // bytes of all constants, those that share a buffer counted each
}

// maxShare bounds how often, on average, the bytes of a file may be used as
// constants. Graphs may share all their weights; there are seldom over twenty.
const maxShare = 64

func (d *decoder) model() error {
	f := d.file
	if f.Version != 3 {
		return &FormatError{"model", fmt.Sprintf("version %d of the format, want 3", f.Version)}
	}
	if len(f.Subgraphs) == 0 {
		return &FormatError{"model", "no subgraph"}
	}
	d.m = &Model{Description: f.Description}
	steps := []func() error{d.readBuffers, d.readGraphs, d.readSignatures, d.readMetadata}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	d.m.Trailer = d.trailer()
	d.m.rest = &schema.ModelT{ExternalBufferGroups: f.ExternalBufferGroups, ExternalBuffers: f.ExternalBuffers}
	return nil
}

// outside returns bytes stored behind the FlatBuffer. Offsets 0 and 1 mean
// that there are none (1 is what a writer puts before it knows the place).
func (d *decoder) outside(offset, size uint64) ([]byte, error) {
	if offset <= 1 || size == 0 {
		return nil, nil
	}
	n := uint64(len(d.data))
	if offset > n || size > n-offset {
		return nil, fmt.Errorf("%d bytes at %d of a file of %d", size, offset, n)
	}
	if d.far += size; d.far > n {
		return nil, fmt.Errorf("%d bytes at %d overlap others", size, offset)
	}
	d.end = max(d.end, int(offset+size))
	return d.data[offset : offset+size : offset+size], nil
}

func (d *decoder) readBuffers() error {
	d.buffers = make([][]byte, len(d.file.Buffers))
	for i, b := range d.file.Buffers {
		d.buffers[i] = slices.Clip(b.Data)
		if len(b.Data) > 0 {
			continue
		}
		data, err := d.outside(b.Offset, b.Size)
		if err != nil {
			return &FormatError{fmt.Sprintf("buffer %d", i), err.Error()}
		}
		d.buffers[i] = data
	}
	return nil
}

// trailer is what follows the FlatBuffer. Zeros up to the next multiple of
// sixteen are padding of its last vector.
func (d *decoder) trailer() []byte {
	start := d.end
	for start < len(d.data) && start%bufferAlign != 0 && d.data[start] == 0 {
		start++
	}
	if start == len(d.data) {
		return nil
	}
	return slices.Clip(d.data[start:])
}

func (d *decoder) readGraphs() error {
	for i, s := range d.file.Subgraphs {
		g := &Graph{Name: s.Name}
		g.rest = &schema.SubGraphT{DebugMetadataIndex: s.DebugMetadataIndex}
		d.m.Graphs = append(d.m.Graphs, g)
		if err := d.graph(g, s); err != nil {
			if e, ok := err.(*FormatError); ok && len(d.file.Subgraphs) > 1 {
				e.Table = fmt.Sprintf("subgraph %d %s", i, e.Table)
			}
			return err
		}
		d.tensors = append(d.tensors, g.order)
	}
	return nil
}

func (d *decoder) graph(g *Graph, s *schema.SubGraphT) (err error) {
	for i, t := range s.Tensors {
		tensor, err := d.tensor(t)
		if err != nil {
			return &FormatError{fmt.Sprintf("tensor %d %q", i, t.Name), err.Error()}
		}
		g.order = append(g.order, tensor)
	}
	for i, t := range s.Tensors {
		if err := g.details(g.order[i]); err != nil {
			return &FormatError{fmt.Sprintf("tensor %d %q", i, t.Name), err.Error()}
		}
	}
	if g.Inputs, err = pick(g.order, s.Inputs, false); err != nil {
		return &FormatError{"inputs", err.Error()}
	}
	if g.Outputs, err = pick(g.order, s.Outputs, false); err != nil {
		return &FormatError{"outputs", err.Error()}
	}
	for i, o := range s.Operators {
		op, err := d.op(o)
		if err != nil {
			return &FormatError{fmt.Sprintf("op %d", i), err.Error()}
		}
		g.Ops = append(g.Ops, op)
		if err := d.operands(g, op, o); err != nil {
			return &FormatError{g.Place(op), err.Error()}
		}
	}
	g.findLoose()
	g.markEmptyConstants()
	return nil
}

// findLoose gathers the tensors that are not to be found from ops or boundary.
func (g *Graph) findLoose() {
	mentioned := set(g.Tensors()) // without the loose ones, which are not known yet
	for _, t := range g.order {
		if !mentioned[t] {
			g.loose = append(g.loose, t)
		}
	}
}

// markEmptyConstants gives constants without elements, and sparse ones that are
// zero all over, their empty Data.
func (g *Graph) markEmptyConstants() {
	inputs, producers := set(g.Inputs), g.Producers()
	for _, t := range g.order {
		if t.Data == nil && (t.Len() == 0 || t.Sparse()) && !t.Variable && !inputs[t] && producers[t] == nil {
			t.Data = []byte{}
		}
	}
}

// pick turns indices into tensors, and -1 into nil where that is allowed.
func pick(tensors []*Tensor, indices []int32, optional bool) ([]*Tensor, error) {
	if indices == nil {
		return nil, nil
	}
	picked := make([]*Tensor, len(indices))
	for i, index := range indices {
		switch {
		case index == -1 && optional:
		case index < 0 || int(index) >= len(tensors):
			return nil, fmt.Errorf("tensor %d of %d", index, len(tensors))
		default:
			picked[i] = tensors[index]
		}
	}
	return picked, nil
}

func (d *decoder) tensor(s *schema.TensorT) (*Tensor, error) {
	t := &Tensor{Name: s.Name, Type: s.Type, Shape: ints(s.Shape), Signature: ints(s.ShapeSignature), Variable: s.IsVariable}
	switch {
	case int64(s.Buffer) < int64(len(d.buffers)):
		if data := d.buffers[s.Buffer]; len(data) > 0 {
			t.Data = data
		}
	case s.Buffer != 0: // 0 means no data, with or without a buffer 0
		return nil, fmt.Errorf("buffer %d of %d", s.Buffer, len(d.buffers))
	}
	if d.shared += len(t.Data); d.shared/maxShare > len(d.data) {
		return nil, fmt.Errorf("too many tensors share the same data")
	}
	rest := *s
	rest.Shape, rest.ShapeSignature, rest.Name = nil, nil, ""
	if q := s.Quantization; q != nil && (len(q.Scale) > 0 || q.Details != nil) {
		t.Quant = &Quantization{Scale: q.Scale, Zero: q.ZeroPoint, Axis: int(q.QuantizedDimension), Min: q.Min, Max: q.Max, details: q.Details}
		rest.Quantization = nil
	}
	t.rest = &rest
	return t, t.check()
}

// blockwise returns the fields of block-wise quantization that are indices of
// tensors, nil if details is of another kind.
func blockwise(details *schema.QuantizationDetailsT) (scales, zeros *int32) {
	if details == nil {
		return nil, nil
	}
	switch b := details.Value.(type) {
	case *schema.BlockwiseQuantizationT:
		return &b.Scales, &b.ZeroPoints
	case *schema.MultiAxisQuantizationT:
		return &b.Scales, &b.ZeroPoints
	}
	return nil, nil
}

// details resolves the tensors that block-wise quantization names. Zero points
// are often left out, which writes 0: that is not taken for a tensor.
func (g *Graph) details(t *Tensor) error {
	if t.Quant == nil {
		return nil
	}
	scales, zeros := blockwise(t.Quant.details)
	if scales == nil {
		return nil
	}
	found, err := pick(g.order, []int32{*scales, max(*zeros, 0)}, true)
	if err != nil {
		return fmt.Errorf("block-wise quantization: %w", err)
	}
	t.Quant.scales = found[0]
	if *zeros > 0 {
		t.Quant.zeros = found[1]
	}
	return nil
}

// op reads which operator it is, operands all else.
func (d *decoder) op(s *schema.OperatorT) (*Op, error) {
	if int64(s.OpcodeIndex) >= int64(len(d.file.OperatorCodes)) {
		return nil, fmt.Errorf("operator code %d of %d", s.OpcodeIndex, len(d.file.OperatorCodes))
	}
	c := d.file.OperatorCodes[s.OpcodeIndex]
	// Codes up to 127 stand in the older, narrower field, and often in both.
	op := &Op{Code: max(c.BuiltinCode, schema.BuiltinOperator(c.DeprecatedBuiltinCode)), Custom: c.CustomCode, Version: int(c.Version)}
	if op.Code < 0 {
		return nil, fmt.Errorf("operator code %d", op.Code)
	}
	return op, nil
}

func (d *decoder) operands(g *Graph, op *Op, s *schema.OperatorT) error {
	var errs [3]error
	op.Inputs, errs[0] = pick(g.order, s.Inputs, true)
	op.Outputs, errs[1] = pick(g.order, s.Outputs, true)
	op.Intermediates, errs[2] = pick(g.order, s.Intermediates, true)
	for i, field := range [...]string{"inputs", "outputs", "intermediates"} {
		if errs[i] != nil {
			return fmt.Errorf("%s: %w", field, errs[i])
		}
	}
	rest := *s
	rest.Inputs, rest.Outputs, rest.Intermediates = nil, nil, nil
	switch {
	case s.BuiltinOptions != nil:
		op.Options, rest.BuiltinOptions = s.BuiltinOptions.Value, nil
	case s.BuiltinOptions2 != nil:
		op.Options, rest.BuiltinOptions2 = s.BuiltinOptions2.Value, nil
	}
	data, err := d.outside(s.LargeCustomOptionsOffset, s.LargeCustomOptionsSize)
	if err != nil {
		return fmt.Errorf("custom options: %w", err)
	}
	op.CustomOptions = slices.Clip(s.CustomOptions)
	if data != nil { // behind the FlatBuffer
		op.CustomOptions = data
	}
	rest.CustomOptions, rest.LargeCustomOptionsOffset, rest.LargeCustomOptionsSize = nil, 0, 0
	op.rest = &rest
	return nil
}

func (d *decoder) readSignatures() error {
	for i, s := range d.file.SignatureDefs {
		place := fmt.Sprintf("signature %d %q", i, s.SignatureKey)
		if int64(s.SubgraphIndex) >= int64(len(d.m.Graphs)) {
			return &FormatError{place, fmt.Sprintf("subgraph %d of %d", s.SubgraphIndex, len(d.m.Graphs))}
		}
		sig := &Signature{Key: s.SignatureKey, Graph: d.m.Graphs[s.SubgraphIndex], rest: &schema.SignatureDefT{DeprecatedTag: s.DeprecatedTag}}
		var err error
		if sig.Inputs, err = named(d.tensors[s.SubgraphIndex], s.Inputs); err != nil {
			return &FormatError{place, err.Error()}
		}
		if sig.Outputs, err = named(d.tensors[s.SubgraphIndex], s.Outputs); err != nil {
			return &FormatError{place, err.Error()}
		}
		d.m.Signatures = append(d.m.Signatures, sig)
	}
	return nil
}

func named(tensors []*Tensor, list []*schema.TensorMapT) ([]NamedTensor, error) {
	var out []NamedTensor
	for _, entry := range list {
		if int64(entry.TensorIndex) >= int64(len(tensors)) {
			return nil, fmt.Errorf("%q: tensor %d of %d", entry.Name, entry.TensorIndex, len(tensors))
		}
		out = append(out, NamedTensor{entry.Name, tensors[entry.TensorIndex]})
	}
	return out, nil
}

func (d *decoder) readMetadata() error {
	for i, s := range d.file.Metadata {
		if int64(s.Buffer) >= int64(len(d.buffers)) {
			return &FormatError{fmt.Sprintf("metadata %d %q", i, s.Name), fmt.Sprintf("buffer %d of %d", s.Buffer, len(d.buffers))}
		}
		d.m.Metadata = append(d.m.Metadata, &Metadata{s.Name, d.buffers[s.Buffer]})
	}
	for i, b := range d.file.MetadataBuffer {
		if b < 0 || int(b) >= len(d.buffers) {
			return &FormatError{fmt.Sprintf("metadata_buffer %d", i), fmt.Sprintf("buffer %d of %d", b, len(d.buffers))}
		}
		d.m.metadataBuffers = append(d.m.metadataBuffers, d.buffers[b])
	}
	return nil
}

func ints(s []int32) []int {
	if s == nil {
		return nil
	}
	out := make([]int, len(s))
	for i, v := range s {
		out[i] = int(v)
	}
	return out
}
