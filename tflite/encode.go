package tflite

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"reflect"
	"sync"

	flatbuffers "github.com/google/flatbuffers/go"

	"dfq/schema"
)

// bufferAlign is the alignment the format demands of buffers, so that an
// interpreter can use a mapped file in place.
const bufferAlign = 16

// maxFile is the size a FlatBuffer must stay below: its offsets are 31 bits.
const maxFile = math.MaxInt32 - 1<<20

// Encode writes a .tflite file. The same model gives the same bytes, and what
// Decode makes of them encodes to the same bytes again.
//
// Constants with equal bytes share one buffer. Tensors keep the order of the
// file they came from; new ones follow. Operator codes are listed in order of
// first use. The Trailer goes behind the FlatBuffer; if it is a ZIP, its
// offsets are set right for the new place.
//
// Encode does not check the graph as a whole, which is Validate's job, only
// what it could not write or Decode would refuse.
func Encode(m *Model) ([]byte, error) {
	e := &encoder{
		file:   &schema.ModelT{Version: 3, Description: m.Description},
		buffer: [][]byte{nil}, // by convention buffer 0 is empty, for all that is no constant
		shared: map[uint64][]uint32{},
		seen:   map[span]uint32{},
		codes:  map[code]uint32{},
	}
	if err := e.model(m); err != nil {
		return nil, fmt.Errorf("tflite: %w", err)
	}
	data, err := e.write()
	if err != nil {
		return nil, fmt.Errorf("tflite: %w", err)
	}
	trailer, err := rebaseZIP(m.Trailer, len(data))
	if err != nil {
		return nil, fmt.Errorf("tflite: trailer: %w", err)
	}
	return append(data, trailer...), nil
}

// encoder builds the generated structs of a file. Buffers are kept aside,
// since the generated code does not align them.
type encoder struct {
	file   *schema.ModelT
	buffer [][]byte
	shared map[uint64][]uint32 // hash of a constant → buffers
	seen   map[span]uint32     // so that tensors with the very same slice are hashed once
	codes  map[code]uint32     // → index in file.OperatorCodes
}

// code is what makes an entry of the table of operator codes.
type code struct {
	builtin schema.BuiltinOperator
	custom  string
	version int32
}

// span is the identity of a slice that is not empty.
type span struct {
	first *byte
	n     int
}

// hashSeed keys a hash that only groups candidates, so its randomness does not
// reach the output.
var hashSeed = maphash.MakeSeed()

func (e *encoder) model(m *Model) error {
	index := map[*Graph]uint32{}
	tensors := make([]map[*Tensor]int32, len(m.Graphs))
	for i, g := range m.Graphs {
		index[g] = uint32(i)
		s, numbers, err := e.graph(g)
		if err != nil {
			if len(m.Graphs) > 1 {
				err = fmt.Errorf("subgraph %d %w", i, err)
			}
			return err
		}
		e.file.Subgraphs = append(e.file.Subgraphs, s)
		tensors[i] = numbers
	}
	for i, s := range m.Signatures {
		g, ok := index[s.Graph]
		if !ok {
			return fmt.Errorf("signature %d %q: its graph is not in the model", i, s.Key)
		}
		def, err := signature(s, g, tensors[g])
		if err != nil {
			return fmt.Errorf("signature %d %q: %w", i, s.Key, err)
		}
		e.file.SignatureDefs = append(e.file.SignatureDefs, def)
	}
	for _, md := range m.Metadata {
		e.file.Metadata = append(e.file.Metadata, &schema.MetadataT{Name: md.Name, Buffer: e.newBuffer(md.Data)})
	}
	for _, data := range m.metadataBuffers {
		e.file.MetadataBuffer = append(e.file.MetadataBuffer, int32(e.newBuffer(data)))
	}
	if m.rest != nil {
		e.file.ExternalBufferGroups = m.rest.ExternalBufferGroups
		e.file.ExternalBuffers = m.rest.ExternalBuffers
	}
	return nil
}

// newBuffer returns the index of a buffer of its own for data.
func (e *encoder) newBuffer(data []byte) uint32 {
	if data == nil {
		data = []byte{}
	}
	e.buffer = append(e.buffer, data)
	return uint32(len(e.buffer) - 1)
}

// constant returns the index of a buffer with the bytes of a constant.
func (e *encoder) constant(data []byte) uint32 {
	var id span
	if len(data) > 0 {
		id = span{&data[0], len(data)}
	}
	i, ok := e.seen[id]
	if !ok {
		i = e.sharedBuffer(data)
		e.seen[id] = i
	}
	return i
}

func (e *encoder) sharedBuffer(data []byte) uint32 {
	h := maphash.Bytes(hashSeed, data)
	for _, i := range e.shared[h] {
		if bytes.Equal(e.buffer[i], data) {
			return i
		}
	}
	i := e.newBuffer(data)
	e.shared[h] = append(e.shared[h], i)
	return i
}

func (e *encoder) graph(g *Graph) (*schema.SubGraphT, map[*Tensor]int32, error) {
	s := &schema.SubGraphT{Name: g.Name, DebugMetadataIndex: -1}
	if g.rest != nil {
		s.DebugMetadataIndex = g.rest.DebugMetadataIndex
	}
	tensors := g.Tensors()
	numbers := make(map[*Tensor]int32, len(tensors))
	for i, t := range tensors {
		numbers[t] = int32(i)
	}
	s.Tensors = make([]*schema.TensorT, len(tensors))
	for i, t := range tensors {
		var err error
		if s.Tensors[i], err = e.tensor(t, numbers); err != nil {
			return nil, nil, fmt.Errorf("tensor %d %q: %w", i, t.Name, err)
		}
	}
	s.Inputs, s.Outputs = indices(g.Inputs, numbers), indices(g.Outputs, numbers)
	s.Operators = make([]*schema.OperatorT, len(g.Ops))
	for i, op := range g.Ops {
		var err error
		if s.Operators[i], err = e.op(op, numbers); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", g.Place(op), err)
		}
	}
	return s, numbers, nil
}

// indices numbers tensors; nil becomes -1. The result is never nil, since
// readers expect these vectors even where they are empty.
func indices(tensors []*Tensor, numbers map[*Tensor]int32) []int32 {
	out := make([]int32, len(tensors))
	for i, t := range tensors {
		out[i] = -1
		if t != nil {
			out[i] = numbers[t]
		}
	}
	return out
}

func (e *encoder) tensor(t *Tensor, numbers map[*Tensor]int32) (*schema.TensorT, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	s := &schema.TensorT{}
	if t.rest != nil {
		*s = *t.rest
	}
	s.Name, s.Type, s.IsVariable = t.Name, t.Type, t.Variable
	s.Shape, s.ShapeSignature = int32s(t.Shape), int32s(t.Signature)
	s.Buffer = 0
	if t.Data != nil {
		s.Buffer = e.constant(t.Data)
	}
	if t.Quant != nil {
		var err error
		if s.Quantization, err = quantization(t.Quant, numbers); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func quantization(q *Quantization, numbers map[*Tensor]int32) (*schema.QuantizationParametersT, error) {
	s := &schema.QuantizationParametersT{Min: q.Min, Max: q.Max, Scale: q.Scale, ZeroPoint: q.Zero, QuantizedDimension: int32(q.Axis)}
	if q.details == nil {
		return s, nil
	}
	details := *q.details
	switch b := details.Value.(type) { // a copy, whose indices may be set
	case *schema.BlockwiseQuantizationT:
		c := *b
		details.Value = &c
	case *schema.MultiAxisQuantizationT:
		c := *b
		details.Value = &c
	}
	scales, zeros := blockwise(&details)
	for _, ref := range []struct {
		index  *int32
		tensor *Tensor
	}{{scales, q.scales}, {zeros, q.zeros}} {
		if ref.tensor == nil {
			continue
		}
		i, ok := numbers[ref.tensor]
		if !ok {
			return nil, fmt.Errorf("block-wise quantization: its tensor %q is not in the graph", ref.tensor.Name)
		}
		*ref.index = i
	}
	s.Details = &details
	return s, nil
}

func (e *encoder) op(op *Op, numbers map[*Tensor]int32) (*schema.OperatorT, error) {
	o := &schema.OperatorT{DebugMetadataIndex: -1}
	if op.rest != nil {
		*o = *op.rest
	}
	o.OpcodeIndex, o.CustomOptions = e.code(op), op.CustomOptions
	o.Inputs, o.Outputs = indices(op.Inputs, numbers), indices(op.Outputs, numbers)
	if op.Intermediates != nil {
		o.Intermediates = indices(op.Intermediates, numbers)
	}
	if op.Options == nil {
		return o, nil
	}
	m, ok := optionMembers()[reflect.TypeOf(op.Options)]
	switch {
	case !ok:
		return nil, fmt.Errorf("options are a %T, want a pointer to an options struct of package schema", op.Options)
	case m.second:
		o.BuiltinOptions2 = &schema.BuiltinOptions2T{Type: schema.BuiltinOptions2(m.number), Value: op.Options}
	default:
		o.BuiltinOptions = &schema.BuiltinOptionsT{Type: schema.BuiltinOptions(m.number), Value: op.Options}
	}
	return o, nil
}

// An optionMember is the place of an options struct in its union.
type optionMember struct {
	number int
	second bool // in BuiltinOptions2
}

var optionMembers = sync.OnceValue(func() map[reflect.Type]optionMember {
	members := map[reflect.Type]optionMember{}
	for i, t := range unionMembers(reflect.TypeFor[schema.BuiltinOptionsT]()) {
		members[t] = optionMember{i + 1, false}
	}
	for i, t := range unionMembers(reflect.TypeFor[schema.BuiltinOptions2T]()) {
		members[t] = optionMember{i + 1, true}
	}
	return members
})

// code returns the index of op's entry in the table of operator codes.
func (e *encoder) code(op *Op) uint32 {
	c := code{op.Code, op.Custom, int32(op.Version)}
	if i, ok := e.codes[c]; ok {
		return i
	}
	i := uint32(len(e.codes))
	e.codes[c] = i
	e.file.OperatorCodes = append(e.file.OperatorCodes, &schema.OperatorCodeT{
		// The older field has seven bits. Readers take the larger of the two.
		DeprecatedBuiltinCode: int8(min(op.Code, schema.BuiltinOperatorPLACEHOLDER_FOR_GREATER_OP_CODES)),
		BuiltinCode:           op.Code,
		CustomCode:            op.Custom,
		Version:               int32(op.Version),
	})
	return i
}

func signature(s *Signature, graph uint32, numbers map[*Tensor]int32) (*schema.SignatureDefT, error) {
	def := &schema.SignatureDefT{}
	if s.rest != nil {
		*def = *s.rest
	}
	def.SignatureKey, def.SubgraphIndex = s.Key, graph
	for _, list := range []struct {
		from []NamedTensor
		to   *[]*schema.TensorMapT
	}{{s.Inputs, &def.Inputs}, {s.Outputs, &def.Outputs}} {
		*list.to = make([]*schema.TensorMapT, 0, len(list.from))
		for _, n := range list.from {
			i, ok := numbers[n.Tensor]
			if !ok {
				return nil, fmt.Errorf("%q: its tensor is not in the graph", n.Name)
			}
			*list.to = append(*list.to, &schema.TensorMapT{Name: n.Name, TensorIndex: uint32(i)})
		}
	}
	return def, nil
}

// write makes the FlatBuffer. What the generated Pack does wrong, buffers and
// with them the root, is written here.
func (e *encoder) write() (data []byte, err error) {
	total := 0
	for _, b := range e.buffer {
		if total += len(b) + 2*bufferAlign; total > maxFile {
			return nil, errTooLarge
		}
	}
	defer func() { // the builder panics where it cannot grow
		if r := recover(); r == "cannot grow buffer beyond 2 gigabytes" {
			data, err = nil, errTooLarge
		} else if r != nil {
			panic(r)
		}
	}()
	b := flatbuffers.NewBuilder(min(total+total/8+1<<10, math.MaxInt32))
	b.Prep(bufferAlign, 0) // the whole length too, so that a trailer starts there
	f := e.file
	buffers := e.writeBuffers(b)
	codes := vector(b, f.OperatorCodes, writeCode)
	graphs := vector(b, f.Subgraphs, (*schema.SubGraphT).Pack)
	description := b.CreateString(f.Description)
	metadataBuffer := flatbuffers.UOffsetT(0)
	if f.MetadataBuffer != nil {
		b.StartVector(4, len(f.MetadataBuffer), 4)
		for i := len(f.MetadataBuffer) - 1; i >= 0; i-- {
			b.PrependInt32(f.MetadataBuffer[i])
		}
		metadataBuffer = b.EndVector(len(f.MetadataBuffer))
	}
	metadata := vector(b, f.Metadata, (*schema.MetadataT).Pack)
	signatures := vector(b, f.SignatureDefs, (*schema.SignatureDefT).Pack)
	groups := vector(b, f.ExternalBufferGroups, (*schema.ExternalBufferGroupT).Pack)
	external := vector(b, f.ExternalBuffers, (*schema.ExternalBufferT).Pack)

	schema.ModelStart(b)
	schema.ModelAddVersion(b, f.Version)
	schema.ModelAddOperatorCodes(b, codes)
	schema.ModelAddSubgraphs(b, graphs)
	schema.ModelAddDescription(b, description)
	schema.ModelAddBuffers(b, buffers)
	schema.ModelAddMetadataBuffer(b, metadataBuffer)
	schema.ModelAddMetadata(b, metadata)
	schema.ModelAddSignatureDefs(b, signatures)
	schema.ModelAddExternalBufferGroups(b, groups)
	schema.ModelAddExternalBuffers(b, external)
	b.FinishWithFileIdentifier(schema.ModelEnd(b), []byte("TFL3"))
	return b.FinishedBytes(), nil
}

var errTooLarge = fmt.Errorf("the model is larger than the 2 GB that a FlatBuffer can hold")

// vector writes a vector of tables; nil is left out.
func vector[T any](b *flatbuffers.Builder, items []T, write func(T, *flatbuffers.Builder) flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	if items == nil {
		return 0
	}
	offsets := make([]flatbuffers.UOffsetT, len(items))
	for i, item := range items {
		offsets[i] = write(item, b)
	}
	return b.CreateVectorOfTables(offsets)
}

// writeCode is Pack without the empty name of a custom operator, which would
// look like one to some readers.
func writeCode(c *schema.OperatorCodeT, b *flatbuffers.Builder) flatbuffers.UOffsetT {
	custom := flatbuffers.UOffsetT(0)
	if c.CustomCode != "" {
		custom = b.CreateString(c.CustomCode)
	}
	schema.OperatorCodeStart(b)
	schema.OperatorCodeAddDeprecatedBuiltinCode(b, c.DeprecatedBuiltinCode)
	schema.OperatorCodeAddCustomCode(b, custom)
	schema.OperatorCodeAddVersion(b, c.Version)
	schema.OperatorCodeAddBuiltinCode(b, c.BuiltinCode)
	return schema.OperatorCodeEnd(b)
}

// writeBuffers writes the buffers, each at a multiple of sixteen, and the
// vector of them. The last goes first, as FlatBuffers grow from the end.
func (e *encoder) writeBuffers(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	offsets := make([]flatbuffers.UOffsetT, len(e.buffer))
	for i := len(e.buffer) - 1; i >= 0; i-- {
		data := flatbuffers.UOffsetT(0)
		if e.buffer[i] != nil {
			data = alignedBytes(b, e.buffer[i])
		}
		schema.BufferStart(b)
		schema.BufferAddData(b, data)
		offsets[i] = schema.BufferEnd(b)
	}
	return b.CreateVectorOfTables(offsets)
}

// alignedBytes writes a vector of bytes that starts at a multiple of sixteen.
func alignedBytes(b *flatbuffers.Builder, data []byte) flatbuffers.UOffsetT {
	b.Prep(bufferAlign, len(data))
	return b.CreateByteVector(data)
}

func int32s(s []int) []int32 {
	if s == nil {
		return nil
	}
	out := make([]int32, len(s))
	for i, v := range s {
		out[i] = int32(v)
	}
	return out
}
