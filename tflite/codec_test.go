package tflite

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/google/go-cmp/cmp"

	"dfq/schema"
)

// realModels calls f with every shared real model; the test is skipped where
// they are not.
func realModels(t *testing.T, f func(t *testing.T, data []byte)) {
	paths, _ := filepath.Glob(filepath.Join("..", "..", "shared", "models", "*.tflite"))
	if len(paths) == 0 {
		t.Skip("no models in ../shared/models")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, data)
		})
	}
}

func decode(t *testing.T, data []byte) *Model {
	t.Helper()
	m, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encode(t *testing.T, m *Model) []byte {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// floatBytes and intBytes are data of constants.
func floatBytes(v ...float32) []byte {
	var t Tensor
	t.SetFloats(v)
	return t.Data
}

func intBytes(v ...int32) []byte {
	var t Tensor
	t.SetInt32s(v)
	return t.Data
}

// packModel writes m as other tools may: not aligned, and with what no
// converter would write, if m has it.
func packModel(m *schema.ModelT) []byte { return packTable(reflect.ValueOf(m)) }

// tensor returns a tensor as it stands in a file.
func tensor(name string, buffer uint32, typ schema.TensorType, shape ...int32) *schema.TensorT {
	return &schema.TensorT{Name: name, Buffer: buffer, Type: typ, Shape: shape}
}

const (
	f32 = schema.TensorTypeFLOAT32
	i32 = schema.TensorTypeINT32
	i8  = schema.TensorTypeINT8
)

// everything is a file with all that a file can have: several graphs,
// signatures, variables, custom options, sparsity, all kinds of quantization,
// metadata, external buffers, and behind the FlatBuffer a buffer, the options
// of an operator and a ZIP.
func everything(t testing.TB) []byte {
	m := everythingTables()
	data := packModel(m)
	grow := func(add []byte) uint64 {
		data = append(data, make([]byte, -len(data)&15)...)
		at := uint64(len(data))
		data = append(data, add...)
		return at
	}
	farBuffer, farOptions := grow(floatBytes(7, 8, 9)), grow([]byte("far options"))
	root := schema.GetRootAsModel(data, 0)
	var buffer schema.Buffer
	root.Buffers(&buffer, 5)
	var graph schema.SubGraph
	root.Subgraphs(&graph, 0)
	var op schema.Operator
	graph.Operators(&op, 4)
	if !buffer.MutateOffset(farBuffer) || !op.MutateLargeCustomOptionsOffset(farOptions) {
		t.Fatal("no offsets to set")
	}
	return append(data, zipAt(t, len(data))...)
}

// zipAt makes a ZIP whose offsets are right behind start bytes.
func zipAt(t testing.TB, start int) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.SetOffset(int64(start))
	for name, content := range map[string]string{"labels.txt": "cat\ndog\n"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	w, err := z.CreateHeader(&zip.FileHeader{Name: "stored.txt"})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "as it is")
	if err := z.SetComment("a comment"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func everythingTables() *schema.ModelT {
	buffers := [][]byte{
		nil,
		floatBytes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
		floatBytes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), // the same again
		{1, 2, 3, 4, 5, 6},
		[]byte("\x01\x00\x00\x00\x0c\x00\x00\x00\x11\x00\x00\x00hello"), // strings: count, offsets
		nil, // far away
		{0x21, 0x43, 0x05},
		floatBytes(5, 6),
		{}, // present and empty
		[]byte("one blob"),
		[]byte("1.14.0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		intBytes(1, -1),
		{1}, // a condition
	}
	m := &schema.ModelT{
		Version:     3,
		Description: "everything",
		OperatorCodes: []*schema.OperatorCodeT{
			{DeprecatedBuiltinCode: 127, BuiltinCode: schema.BuiltinOperatorADD_N, Version: 1}, // not used
			{DeprecatedBuiltinCode: 3, Version: 3},                                             // CONV_2D as old files have it
			{DeprecatedBuiltinCode: 32, BuiltinCode: 32, CustomCode: "Mine", Version: 1},
			{DeprecatedBuiltinCode: 118, BuiltinCode: schema.BuiltinOperatorIF, Version: 1},
			{DeprecatedBuiltinCode: 127, BuiltinCode: schema.BuiltinOperatorSTABLEHLO_COMPOSITE, Version: 1},
			{DeprecatedBuiltinCode: 16, BuiltinCode: 16, Version: 4}, // LSTM
			{DeprecatedBuiltinCode: 0, BuiltinCode: 0, Version: 1},   // ADD
		},
		MetadataBuffer: []int32{9, 9},
		Metadata: []*schema.MetadataT{
			{Name: "blob", Buffer: 9}, {Name: "same as a constant", Buffer: 3}, {Name: "min_runtime_version", Buffer: 10}, {Name: "none", Buffer: 0},
		},
		SignatureDefs: []*schema.SignatureDefT{
			{SignatureKey: "serve", Inputs: []*schema.TensorMapT{{Name: "x", TensorIndex: 0}}, Outputs: []*schema.TensorMapT{{Name: "y", TensorIndex: 8}, {Name: "z", TensorIndex: 10}}, DeprecatedTag: "old"},
			{SignatureKey: "part", SubgraphIndex: 1, Inputs: []*schema.TensorMapT{{Name: "a", TensorIndex: 0}}, Outputs: []*schema.TensorMapT{}},
		},
		ExternalBufferGroups: []*schema.ExternalBufferGroupT{{Name: "weights.bin"}},
		ExternalBuffers:      []*schema.ExternalBufferT{{Id: 1, Group: 0, Offset: 64, Length: 24, Packing: "none"}},
	}
	for _, data := range buffers {
		m.Buffers = append(m.Buffers, &schema.BufferT{Data: data})
	}
	m.Buffers[5] = &schema.BufferT{Offset: 2, Size: 12}
	m.Subgraphs = []*schema.SubGraphT{everythingMain(), branch("then", 2), branch("else", 1)}
	return m
}

// branch is a graph of one input, one output and nothing between.
func branch(name string, constant uint32) *schema.SubGraphT {
	return &schema.SubGraphT{
		Name:               name,
		Tensors:            []*schema.TensorT{tensor(name+" in", 0, f32, 10), tensor(name+" const", constant, f32, 10), tensor(name+" out", 0, f32, 10)},
		Inputs:             []int32{0},
		Outputs:            []int32{2},
		Operators:          []*schema.OperatorT{{OpcodeIndex: 6, Inputs: []int32{0, 1}, Outputs: []int32{2}, DebugMetadataIndex: -1}},
		DebugMetadataIndex: -1,
	}
}

func everythingMain() *schema.SubGraphT {
	const (
		image = iota
		unused
		filter
		bias
		state
		conv
		sparse
		words
		custom
		far
		branched
		blocks
		scales
		external
		nothing
		variants
		axes
		inner
		condition
		gate
		tensors
	)
	ts := make([]*schema.TensorT, tensors)
	ts[image] = tensor("image", 0, f32, 1, 4, 4, 2)
	ts[image].ShapeSignature = []int32{-1, 4, 4, 2}
	ts[unused] = tensor("unused", 1, f32, 10)
	ts[filter] = tensor("filter", 3, i8, 3, 1, 1, 2)
	ts[filter].Quantization = &schema.QuantizationParametersT{Scale: []float32{0.5, 0.25, 0.125}, ZeroPoint: []int64{0, 0, 0}, Min: []float32{-1}, Max: []float32{1}}
	ts[bias] = tensor("bias", 5, f32, 3)
	ts[state] = tensor("state", 0, f32, 1, 3)
	ts[state].IsVariable = true
	ts[conv] = tensor("conv", 0, f32, 1, 4, 4, 3)
	ts[conv].Quantization = &schema.QuantizationParametersT{Min: []float32{-6}, Max: []float32{6}} // recorded, not quantized
	ts[sparse] = tensor("sparse", 7, f32, 4, 4)
	ts[sparse].Sparsity = &schema.SparsityParametersT{
		TraversalOrder: []int32{0, 1},
		DimMetadata: []*schema.DimensionMetadataT{
			{Format: schema.DimensionTypeDENSE, DenseSize: 4},
			{
				Format:        schema.DimensionTypeSPARSE_CSR,
				ArraySegments: &schema.SparseIndexVectorT{Type: schema.SparseIndexVectorUint8Vector, Value: &schema.Uint8VectorT{Values: []byte{0, 1, 2, 2, 2}}},
				ArrayIndices:  &schema.SparseIndexVectorT{Type: schema.SparseIndexVectorUint16Vector, Value: &schema.Uint16VectorT{Values: []uint16{3, 0}}},
			},
		},
	}
	ts[words] = tensor("words", 4, schema.TensorTypeSTRING, 1)
	ts[custom] = tensor("custom", 0, f32, 2)
	ts[custom].Quantization = &schema.QuantizationParametersT{Details: &schema.QuantizationDetailsT{
		Type: schema.QuantizationDetailsCustomQuantization, Value: &schema.CustomQuantizationT{Custom: []byte("own")}}}
	ts[far] = tensor("far", 0, i32)
	ts[branched] = tensor("branched", 0, f32, 10)
	ts[blocks] = tensor("blocks", 6, schema.TensorTypeINT4, 5)
	ts[blocks].Quantization = &schema.QuantizationParametersT{Details: &schema.QuantizationDetailsT{
		Type: schema.QuantizationDetailsBlockwiseQuantization, Value: &schema.BlockwiseQuantizationT{Scales: scales, ZeroPoints: 0, BlockSize: 5}}}
	ts[scales] = tensor("scales", 7, f32, 2)
	ts[external] = tensor("external", 0, f32, 6)
	ts[external].ExternalBuffer = 1
	ts[nothing] = tensor("nothing", 0, f32)
	ts[variants] = tensor("variants", 0, schema.TensorTypeVARIANT)
	ts[variants].HasRank = true
	ts[variants].VariantTensors = []*schema.VariantSubTypeT{{Shape: []int32{2}, Type: i32, HasRank: true}}
	ts[axes] = tensor("axes", 8, i32, 0)
	ts[inner] = tensor("inner", 0, i8, 3)
	ts[condition] = tensor("condition", 12, schema.TensorTypeBOOL)
	ts[gate] = tensor("gate", 0, f32, 1, 3)
	return &schema.SubGraphT{
		Name: "main", Tensors: ts, Inputs: []int32{image, variants}, Outputs: []int32{custom, branched}, DebugMetadataIndex: 5,
		Operators: []*schema.OperatorT{
			{
				OpcodeIndex: 1, Inputs: []int32{image, filter, bias}, Outputs: []int32{conv}, DebugMetadataIndex: 6,
				BuiltinOptions: &schema.BuiltinOptionsT{Type: schema.BuiltinOptionsConv2DOptions, Value: &schema.Conv2DOptionsT{
					StrideW: 1, StrideH: 1, DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: schema.ActivationFunctionTypeRELU6}},
			},
			{
				OpcodeIndex: 2, Inputs: []int32{conv, sparse, words, axes, -1, blocks, external}, Outputs: []int32{custom}, DebugMetadataIndex: -1,
				CustomOptions: []byte("flexbuffer"), MutatingVariableInputs: []bool{false, true},
			},
			{
				OpcodeIndex: 5, Inputs: []int32{conv, -1, state}, Outputs: []int32{gate}, Intermediates: []int32{inner, -1}, DebugMetadataIndex: -1,
				BuiltinOptions: &schema.BuiltinOptionsT{Type: schema.BuiltinOptionsLSTMOptions, Value: &schema.LSTMOptionsT{CellClip: 10}},
			},
			{
				OpcodeIndex: 3, Inputs: []int32{condition, unused}, Outputs: []int32{branched}, DebugMetadataIndex: -1,
				BuiltinOptions: &schema.BuiltinOptionsT{Type: schema.BuiltinOptionsIfOptions, Value: &schema.IfOptionsT{ThenSubgraphIndex: 1, ElseSubgraphIndex: 2}},
			},
			{
				OpcodeIndex: 4, Inputs: []int32{variants}, Outputs: []int32{far}, DebugMetadataIndex: -1,
				LargeCustomOptionsOffset: 2, LargeCustomOptionsSize: 11,
				BuiltinOptions2: &schema.BuiltinOptions2T{Type: schema.BuiltinOptions2StableHLOCompositeOptions, Value: &schema.StableHLOCompositeOptionsT{
					Name: "composite", DecompositionSubgraphIndex: 1, CompositeAttributes: []byte{1, 2, 3}, Version: 1}},
			},
		},
	}
}

// normalized unpacks a file and numbers buffers and operator codes by what is
// in them, in order of use, so that two files with the same meaning are equal.
func normalized(t *testing.T, data []byte) *schema.ModelT {
	if _, err := verify(data); err != nil {
		t.Fatal(err)
	}
	m := schema.GetRootAsModel(data, 0).UnPack()
	markAbsent(data, m)
	contents := []*schema.BufferT{{}}
	number := map[string]uint32{"": 0}
	buffer := func(i uint32) uint32 {
		b := m.Buffers[i]
		content := string(b.Data)
		if b.Offset > 1 {
			content = string(data[b.Offset : b.Offset+b.Size])
		}
		n, ok := number[content]
		if !ok {
			n = uint32(len(contents))
			number[content] = n
			contents = append(contents, &schema.BufferT{Data: []byte(content)})
		}
		return n
	}
	var codes []*schema.OperatorCodeT
	codeNumber := map[schema.OperatorCodeT]uint32{}
	for _, g := range m.Subgraphs {
		for _, tensor := range g.Tensors {
			tensor.Buffer = buffer(tensor.Buffer)
		}
		for _, o := range g.Operators {
			c := *m.OperatorCodes[o.OpcodeIndex]
			c.BuiltinCode = max(c.BuiltinCode, schema.BuiltinOperator(c.DeprecatedBuiltinCode))
			c.DeprecatedBuiltinCode = 0
			n, ok := codeNumber[c]
			if !ok {
				n = uint32(len(codes))
				codeNumber[c] = n
				codes = append(codes, &c)
			}
			o.OpcodeIndex = n
			if at := o.LargeCustomOptionsOffset; at > 1 {
				o.CustomOptions = data[at : at+o.LargeCustomOptionsSize]
				o.LargeCustomOptionsOffset, o.LargeCustomOptionsSize = 0, 0
			}
		}
	}
	for _, md := range m.Metadata {
		md.Buffer = buffer(md.Buffer)
	}
	for i, b := range m.MetadataBuffer {
		m.MetadataBuffer[i] = int32(buffer(uint32(b)))
	}
	m.Buffers, m.OperatorCodes = contents, codes
	if len(m.SignatureDefs) == 0 { // a list without entries is left out
		m.SignatureDefs = nil
	}
	if len(m.Metadata) == 0 {
		m.Metadata = nil
	}
	return m
}

// checkRoundTrip reads and writes a file twice: nothing may be lost the first
// time, and nothing change the second time.
func checkRoundTrip(t *testing.T, data []byte) {
	before := bytes.Clone(data)
	once := encode(t, decode(t, data))
	twice := encode(t, decode(t, once))
	if !bytes.Equal(once, twice) {
		t.Errorf("the second round differs: %d bytes, then %d", len(once), len(twice))
	}
	if !bytes.Equal(data, before) {
		t.Error("the input was changed")
	}
	if a, b := normalized(t, data), normalized(t, once); !reflect.DeepEqual(a, b) {
		t.Errorf("file (-), read and written again (+):\n%s", cmp.Diff(a, b))
	}
	if again := encode(t, decode(t, data).Clone()); !bytes.Equal(once, again) {
		t.Error("a clone encodes differently")
	}
	checkBuffers(t, once)
}

// checkBuffers checks that buffers are aligned, that the first is empty, and
// that no two constants are equal.
func checkBuffers(t *testing.T, data []byte) {
	m := schema.GetRootAsModel(data, 0)
	users := map[uint32]string{} // buffer → graph's tensor
	for g := range m.SubgraphsLength() {
		var graph schema.SubGraph
		m.Subgraphs(&graph, g)
		for i := range graph.TensorsLength() {
			var tensor schema.Tensor
			graph.Tensors(&tensor, i)
			if tensor.IsVariable() && tensor.Buffer() != 0 {
				t.Errorf("variable %s has buffer %d", tensor.Name(), tensor.Buffer())
			}
			users[tensor.Buffer()] = string(tensor.Name())
		}
	}
	for i := range m.MetadataLength() {
		var md schema.Metadata
		m.Metadata(&md, i)
		if user, ok := users[md.Buffer()]; ok {
			t.Errorf("metadata %s shares buffer %d with %s", md.Name(), md.Buffer(), user)
		}
	}
	constants := map[string]int{}
	for i := range m.BuffersLength() {
		var b schema.Buffer
		m.Buffers(&b, i)
		if i == 0 && b.DataLength() != 0 {
			t.Error("buffer 0 is not empty")
		}
		tab := b.Table()
		if o := flatbuffers.UOffsetT(tab.Offset(4)); o != 0 && tab.Vector(o)%16 != 0 {
			t.Errorf("buffer %d starts at %d", i, tab.Vector(o))
		}
		if _, ok := users[uint32(i)]; !ok || i == 0 {
			continue
		}
		if j, ok := constants[string(b.DataBytes())]; ok {
			t.Errorf("buffers %d and %d are equal", j, i)
		}
		constants[string(b.DataBytes())] = i
	}
}

func TestSharedRoundTrip(t *testing.T) { realModels(t, checkRoundTrip) }

func TestRoundTripEverything(t *testing.T) {
	data := everything(t)
	checkRoundTrip(t, data)
	m := decode(t, data)
	checkRoundTrip(t, data[:len(data)-len(m.Trailer)])
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
}

// TestWithoutAVector covers files in which vectors are missing altogether.
func TestWithoutAVector(t *testing.T) {
	m := &schema.ModelT{Version: 3, Subgraphs: []*schema.SubGraphT{{Tensors: []*schema.TensorT{{Name: "t"}}}}}
	got := decode(t, packModel(m)).Graphs[0]
	if tensor := got.Tensors()[0]; tensor.Shape != nil || tensor.Signature != nil || tensor.Data != nil {
		t.Errorf("%+v", tensor)
	}
	m.Subgraphs[0].Tensors[0].Shape = []int32{}
	got = decode(t, packModel(m)).Graphs[0]
	if tensor := got.Tensors()[0]; tensor.Shape == nil || len(tensor.Shape) > 0 {
		t.Errorf("shape %v of a scalar", tensor.Shape)
	}
}

func TestDecodeEverything(t *testing.T) {
	m := decode(t, everything(t))
	g := m.Graphs[0]
	named := map[string]*Tensor{}
	for _, tensor := range g.Tensors() {
		named[tensor.Name] = tensor
	}
	if got := named["bias"].Floats(); !reflect.DeepEqual(got, []float32{7, 8, 9}) {
		t.Errorf("constant behind the FlatBuffer: %v", got)
	}
	if got := string(g.Ops[4].CustomOptions); got != "far options" {
		t.Errorf("custom options behind the FlatBuffer: %q", got)
	}
	var ops []string
	for _, op := range g.Ops {
		ops = append(ops, g.Place(op))
	}
	if diff := cmp.Diff([]string{
		`op 0 CONV_2D "conv"`,
		`op 1 CUSTOM Mine "custom"`,
		`op 2 LSTM "gate"`,
		`op 3 IF "branched"`,
		`op 4 STABLEHLO_COMPOSITE "far"`,
	}, ops); diff != "" {
		t.Error(diff)
	}
	if _, ok := g.Ops[4].Options.(*schema.StableHLOCompositeOptionsT); !ok {
		t.Errorf("options of the second union: %T", g.Ops[4].Options)
	}
	for name, constant := range map[string]bool{"axes": true, "state": false, "image": false, "custom": false, "words": true, "external": false} {
		if named[name].Constant() != constant {
			t.Errorf("%s: constant %v", name, named[name].Constant())
		}
	}
	if q := named["conv"].Quant; q != nil {
		t.Errorf("recorded ranges alone are no quantization: %v", q)
	}
	if op := g.Ops[1]; op.Inputs[4] != nil || op.Inputs[3] != named["axes"] {
		t.Error("optional input")
	}
	if cap(named["filter"].Data) != 6 {
		t.Error("appending to a constant would write into the file")
	}
}

// TestBlockwise drops tensors, so that the scales' number changes.
func TestBlockwise(t *testing.T) {
	m := decode(t, everything(t))
	m = m.Clone()
	g := m.Graphs[0]
	g.Ops[3].Inputs[1] = g.Ops[3].Inputs[0] // "unused" is no longer mentioned
	again := decode(t, encode(t, m))
	for _, tensor := range again.Graphs[0].Tensors() {
		if tensor.Name == "blocks" {
			scales := tensor.Quant.scales
			if scales.Name != "scales" || *tensor.Quant.details.Value.(*schema.BlockwiseQuantizationT) != (schema.BlockwiseQuantizationT{Scales: 11, BlockSize: 5}) {
				t.Errorf("scales %q, %+v", scales.Name, tensor.Quant.details.Value)
			}
		}
	}
}

// TestNewOps encodes a graph made from nothing.
func TestNewOps(t *testing.T) {
	in, out := &Tensor{Name: "in", Shape: []int{2}}, &Tensor{Name: "out", Shape: []int{2}}
	g := &Graph{Inputs: []*Tensor{in}, Outputs: []*Tensor{out}, Ops: []*Op{{Code: schema.BuiltinOperatorGELU, Version: 2, Inputs: []*Tensor{in, nil}, Outputs: []*Tensor{out}}}}
	m := normalized(t, encode(t, &Model{Graphs: []*Graph{g}}))
	op := m.Subgraphs[0].Operators[0]
	if op.DebugMetadataIndex != -1 || m.Subgraphs[0].DebugMetadataIndex != -1 {
		t.Errorf("debug metadata %d, %d", op.DebugMetadataIndex, m.Subgraphs[0].DebugMetadataIndex)
	}
	data := encode(t, &Model{Graphs: []*Graph{g}})
	code := schema.GetRootAsModel(data, 0).UnPack().OperatorCodes[0]
	if *code != (schema.OperatorCodeT{DeprecatedBuiltinCode: 127, Version: 2, BuiltinCode: schema.BuiltinOperatorGELU}) {
		t.Errorf("%+v", code)
	}
	var raw schema.OperatorCode
	schema.GetRootAsModel(data, 0).OperatorCodes(&raw, 0)
	if raw.CustomCode() != nil {
		t.Error("a builtin operator has a custom name")
	}
}

func TestTrailer(t *testing.T) {
	plain := encode(t, decode(t, everything(t)))
	plain = plain[:len(plain)-len(decode(t, plain).Trailer)]
	if m := decode(t, plain); m.Trailer != nil {
		t.Fatalf("%d bytes of trailer", len(m.Trailer))
	}
	for name, trailer := range map[string][]byte{
		"bytes":          []byte("some bytes"),
		"zeros first":    append(make([]byte, 40), 1),
		"only zeros":     make([]byte, 100),
		"no ZIP":         []byte("PK\x05\x06"),
		"a wrong ZIP":    append([]byte("PK\x05\x06"), bytes.Repeat([]byte{9}, 40)...),
		"ZIP at nothing": zipAt(t, 0),
	} {
		data := append(bytes.Clone(plain), trailer...)
		m := decode(t, data)
		if !bytes.Equal(m.Trailer, trailer) {
			t.Errorf("%s: %d bytes became %d", name, len(trailer), len(m.Trailer))
		}
		out := encode(t, m)
		if again := encode(t, decode(t, out)); !bytes.Equal(out, again) {
			t.Errorf("%s: the second round differs", name)
		}
		if name != "ZIP at nothing" && !bytes.Equal(out, data) {
			t.Errorf("%s: was changed", name)
		}
	}
	m := decode(t, append(bytes.Clone(plain), "PK\x05\x06"+strings.Repeat("\xff", 18)...))
	if _, err := Encode(m); err == nil || !strings.Contains(err.Error(), "ZIP64") {
		t.Errorf("ZIP64: %v", err)
	}
}

// TestZIPStaysReadable changes the length of a model with a ZIP behind it and
// reads the files out of it, as Go does and as Python does, which TFLite's own
// tools use.
func TestZIPStaysReadable(t *testing.T) {
	m := decode(t, everything(t))
	m.Metadata = append(m.Metadata, &Metadata{"more", make([]byte, 1000)})
	m.Trailer = append([]byte("left over"), m.Trailer...)
	data := encode(t, m)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(content)
	}
	if diff := cmp.Diff(map[string]string{"labels.txt": "cat\ndog\n", "stored.txt": "as it is"}, got); diff != "" || z.Comment != "a comment" {
		t.Errorf("%s, comment %q", diff, z.Comment)
	}
	// The offsets themselves, which both readers would guess around.
	end := bytes.LastIndex(data, []byte("PK\x05\x06"))
	directory := int(binary.LittleEndian.Uint32(data[end+16:]))
	if string(data[directory:directory+4]) != "PK\x01\x02" {
		t.Errorf("no directory at %d", directory)
	}
	first := int(binary.LittleEndian.Uint32(data[directory+42:]))
	if string(data[first:first+4]) != "PK\x03\x04" {
		t.Errorf("no file at %d", first)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to read the ZIP with")
	}
	path := filepath.Join(t.TempDir(), "m.tflite")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), z.namelist(), z.read('labels.txt'))", path).CombinedOutput()
	if want := "None ['labels.txt', 'stored.txt'] b'cat\\ndog\\n'\n"; err != nil || string(out) != want {
		t.Errorf("python: %s %v", out, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	zeros := func(n int) []byte { return make([]byte, n) }
	for _, test := range []struct {
		want   string
		damage func(m *schema.ModelT, g *schema.SubGraphT)
	}{
		{"model: version 2 of the format", func(m *schema.ModelT, g *schema.SubGraphT) { m.Version = 2 }},
		{"model: no subgraph", func(m *schema.ModelT, g *schema.SubGraphT) { m.Subgraphs = nil }},
		{`subgraph 0 tensor 3 "bias": buffer 13 of 13`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[3].Buffer = 13 }},
		{`tensor 3 "bias": buffer 4294967295 of 13`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[3].Buffer = math.MaxUint32 }},
		{`tensor 1 "unused": 40 bytes of data, but FLOAT32[11] takes 44`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[1].Shape[0]++ }},
		{`tensor 11 "blocks": 3 bytes of data, but INT4[7] takes 4`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[11].Shape[0] = 7 }},
		{"shape [1 4 -4 2]", func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[0].Shape[2] = -4 }},
		{"too many elements", func(m *schema.ModelT, g *schema.SubGraphT) {
			g.Tensors[0].Shape = []int32{math.MaxInt32, math.MaxInt32, 0, math.MaxInt32}
		}},
		{"type 99 is newer", func(m *schema.ModelT, g *schema.SubGraphT) { g.Tensors[0].Type = 99 }},
		{"3 scales, but 2 zero points", func(m *schema.ModelT, g *schema.SubGraphT) {
			g.Tensors[2].Quantization.ZeroPoint = []int64{0, 0}
		}},
		{`"blocks": block-wise quantization: tensor 20 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) {
			g.Tensors[11].Quantization.Details.Value.(*schema.BlockwiseQuantizationT).Scales = 20
		}},
		{"inputs: tensor -1 of 20", func(m *schema.ModelT, g *schema.SubGraphT) { g.Inputs[0] = -1 }},
		{"outputs: tensor 20 of 20", func(m *schema.ModelT, g *schema.SubGraphT) { g.Outputs[0] = 20 }},
		{`op 0 CONV_2D "conv": inputs: tensor 20 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[0].Inputs[0] = 20 }},
		{`op 0 CONV_2D "conv": inputs: tensor -2 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[0].Inputs[0] = -2 }},
		{"op 0 CONV_2D: outputs: tensor 20 of 20", func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[0].Outputs[0] = 20 }},
		{`op 2 LSTM "gate": intermediates: tensor 20 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[2].Intermediates[0] = 20 }},
		{"op 1: operator code 7 of 7", func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[1].OpcodeIndex = 7 }},
		{"op 4: operator code -1", func(m *schema.ModelT, g *schema.SubGraphT) {
			m.OperatorCodes[4].BuiltinCode, m.OperatorCodes[4].DeprecatedBuiltinCode = -1, -1
		}},
		{`op 4 STABLEHLO_COMPOSITE "far": custom options: 11 bytes at 1000000`, func(m *schema.ModelT, g *schema.SubGraphT) { g.Operators[4].LargeCustomOptionsOffset = 1000000 }},
		{"buffer 5: 18446744073709551615 bytes at 2", func(m *schema.ModelT, g *schema.SubGraphT) { m.Buffers[5].Size = math.MaxUint64 }},
		{"buffer 5: 12 bytes at 18446744073709551615", func(m *schema.ModelT, g *schema.SubGraphT) { m.Buffers[5].Offset = math.MaxUint64 }},
		{"overlap", func(m *schema.ModelT, g *schema.SubGraphT) {
			for range 2 {
				m.Buffers = append(m.Buffers, &schema.BufferT{Offset: 8, Size: 3000})
			}
		}},
		{`signature 1 "part": subgraph 3 of 3`, func(m *schema.ModelT, g *schema.SubGraphT) { m.SignatureDefs[1].SubgraphIndex = 3 }},
		{`signature 0 "serve": "x": tensor 20 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) { m.SignatureDefs[0].Inputs[0].TensorIndex = 20 }},
		{`"y": tensor 4294967295 of 20`, func(m *schema.ModelT, g *schema.SubGraphT) {
			m.SignatureDefs[0].Outputs[0].TensorIndex = math.MaxUint32
		}},
		{`metadata 0 "blob": buffer 13 of 13`, func(m *schema.ModelT, g *schema.SubGraphT) { m.Metadata[0].Buffer = 13 }},
		{"metadata_buffer 0: buffer -1 of 13", func(m *schema.ModelT, g *schema.SubGraphT) { m.MetadataBuffer[0] = -1 }},
		{"same data", func(m *schema.ModelT, g *schema.SubGraphT) {
			m.Buffers[1].Data = zeros(200000)
			for range 100 {
				g.Tensors = append(g.Tensors, tensor("many", 1, i8, 200000))
			}
			m.Subgraphs[1].Tensors, m.Subgraphs[2].Tensors, g.Tensors[1].Shape = nil, nil, []int32{50000}
		}},
	} {
		m := everythingTables()
		test.damage(m, firstGraph(m))
		_, err := Decode(packModel(m))
		var format *FormatError
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, &format) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	if _, err := Decode(packModel(everythingTables())); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func firstGraph(m *schema.ModelT) *schema.SubGraphT { return m.Subgraphs[0] }

// TestUnknownUnionMember sets the type of an operator's options to one that is
// not known yet.
func TestUnknownUnionMember(t *testing.T) {
	data := everything(t)
	var g schema.SubGraph
	schema.GetRootAsModel(data, 0).Subgraphs(&g, 0)
	var op schema.Operator
	g.Operators(&op, 0)
	if !op.MutateBuiltinOptionsType(200) {
		t.Fatal("no options")
	}
	_, err := Decode(data)
	if want := "subgraphs[0].operators[0].builtin_options: type 200 is newer"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, test := range []struct {
		want   string
		damage func(m *Model)
	}{
		{`subgraph 0 tensor 2 "filter": 5 bytes of data`, func(m *Model) { m.Graphs[0].Ops[0].Inputs[1].Data = make([]byte, 5) }},
		{`op 0 CONV_2D "conv": options are a schema.Conv2DOptionsT`, func(m *Model) { m.Graphs[0].Ops[0].Options = schema.Conv2DOptionsT{} }},
		{`signature 0 "serve": its graph is not in the model`, func(m *Model) { m.Signatures[0].Graph = &Graph{} }},
		{`signature 0 "serve": "x": its tensor is not in the graph`, func(m *Model) { m.Signatures[0].Inputs[0].Tensor = &Tensor{} }},
		{`"blocks": block-wise quantization: its tensor "scales" is not in the graph`, func(m *Model) { m.Graphs[0].loose = nil }},
		{"larger than the 2 GB", func(m *Model) {
			huge := make([]byte, 1<<28) // never touched, and shared by eight entries
			for range 8 {
				m.Metadata = append(m.Metadata, &Metadata{"huge", huge})
			}
		}},
	} {
		m := decode(t, everything(t))
		test.damage(m)
		if _, err := Encode(m); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestElementSizes(t *testing.T) {
	for typ, name := range schema.EnumNamesTensorType {
		if _, ok := elementBits[typ]; !ok {
			t.Errorf("%s has no size", name)
		}
	}
	for _, test := range []struct {
		typ  schema.TensorType
		n    int
		want int
	}{{schema.TensorTypeINT4, 3, 2}, {schema.TensorTypeINT2, 5, 2}, {f32, 3, 12}, {schema.TensorTypeCOMPLEX128, 2, 32}, {f32, 0, 0}} {
		got, err := (&Tensor{Type: test.typ, Shape: []int{test.n}}).byteSize()
		if err != nil || got != test.want {
			t.Errorf("%s: %d bytes, %v; want %d", fmt.Sprint(test.typ, test.n), got, err, test.want)
		}
	}
}
