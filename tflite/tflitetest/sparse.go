package tflitetest

import (
	flatbuffers "github.com/google/flatbuffers/go"

	"dfq/schema"
	"dfq/tflite"
)

// Pruned is a dense layer whose weights are stored sparse, in blocks of 1 x 4 of
// which every second one is all zero and left out, and the same layer with them
// all.
func Pruned() (sparse, dense *tflite.Model) {
	const rows, columns, block = 8, 16, 4
	b := New(1)
	x := b.Input(1, columns)
	w := b.Random(0, 0.5, rows, columns)
	full := w.Floats()
	var kept []float32
	segments, indices := []int32{0}, []int32{}
	for r := range rows {
		for c := range columns / block {
			part := full[r*columns+c*block:][:block]
			if (r+c)%2 == 0 {
				clear(part)
				continue
			}
			kept, indices = append(kept, part...), append(indices, int32(c))
		}
		segments = append(segments, int32(len(indices)))
	}
	w.SetFloats(full)
	y := b.Op("dense", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, rows}, x, w, b.Random(0, 0.1, rows))
	dense = b.Model(y)

	data, err := tflite.Encode(dense)
	if err != nil {
		panic(err)
	}
	file := schema.GetRootAsModel(data, 0).UnPack()
	for _, s := range file.Subgraphs[0].Tensors {
		if s.Name != w.Name {
			continue
		}
		vector := func(v []int32) *schema.SparseIndexVectorT {
			return &schema.SparseIndexVectorT{Type: schema.SparseIndexVectorInt32Vector, Value: &schema.Int32VectorT{Values: v}}
		}
		s.Sparsity = &schema.SparsityParametersT{TraversalOrder: []int32{0, 1, 2}, BlockMap: []int32{1}, DimMetadata: []*schema.DimensionMetadataT{
			{Format: schema.DimensionTypeDENSE, DenseSize: rows},
			{Format: schema.DimensionTypeSPARSE_CSR, ArraySegments: vector(segments), ArrayIndices: vector(indices)},
			{Format: schema.DimensionTypeDENSE, DenseSize: block},
		}}
		stored := &tflite.Tensor{}
		stored.SetFloats(kept)
		file.Buffers[s.Buffer].Data = stored.Data
	}
	builder := flatbuffers.NewBuilder(0)
	builder.FinishWithFileIdentifier(file.Pack(builder), []byte("TFL3"))
	if sparse, err = tflite.Decode(builder.FinishedBytes()); err != nil {
		panic(err)
	}
	return sparse, dense
}
