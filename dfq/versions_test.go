package dfq

import (
	"bytes"
	"testing"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Versions that depend on shapes, options or scales, by the rules of the public
// LiteRT sources (versioning/op_version.cc and runtime_version.cc).
func TestVersions(t *testing.T) {
	one := func(code schema.BuiltinOperator, options any, shape []int, inputs func(b *Builder) []*tflite.Tensor) *tflite.Op {
		b := New(1)
		b.Op("y", code, options, shape, inputs(b)...)
		return b.Graph.Ops[0]
	}
	shapes := func(shapes ...[]int) func(b *Builder) []*tflite.Tensor {
		return func(b *Builder) []*tflite.Tensor {
			var in []*tflite.Tensor
			for _, s := range shapes {
				in = append(in, b.Input(s...))
			}
			return in
		}
	}
	scaled := func(a, b, out float32) *tflite.Op {
		op := one(schema.BuiltinOperatorMUL, nil, []int{1}, shapes([]int{1}, []int{1}))
		planned(op.Inputs[0], a, 0)
		planned(op.Inputs[1], b, 0)
		planned(op.Outputs[0], out, 0)
		return op
	}
	tests := []struct {
		name    string
		op      *tflite.Op
		version int
		runtime string
	}{
		{"convolution", one(schema.BuiltinOperatorCONV_2D, nil, []int{1, 1, 1, 4}, shapes([]int{1, 1, 1, 4}, []int{4, 1, 1, 4})), 3, "1.14.0"},
		{"grouped convolution", one(schema.BuiltinOperatorCONV_2D, nil, []int{1, 1, 1, 4}, shapes([]int{1, 1, 1, 4}, []int{4, 1, 1, 2})), 6, "2.10.0"},
		{"dense", one(schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{1, 4}, shapes([]int{1, 2}, []int{4, 2})), 4, "1.14.0"},
		{"dense that keeps its axes", one(schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{KeepNumDims: true}, []int{1, 1, 4}, shapes([]int{1, 1, 2}, []int{4, 2})), 5, "2.0.0"},
		{"transposed convolution", one(schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{}, []int{1}, shapes([]int{4})), 3, "2.3.0"},
		{"product that shrinks", scaled(0.1, 0.1, 0.02), 2, "1.14.0"},
		{"product that grows", scaled(0.1, 0.1, 0.01), 3, "1.15.0"},
		{"difference over five axes", one(schema.BuiltinOperatorSUB, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2}, []int{2})), 3, "2.3.0"},
		{"difference over five axes, not broadcast", one(schema.BuiltinOperatorSUB, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2}, []int{1, 1, 1, 1, 2})), 2, "1.14.0"},
		{"choice over five axes", one(schema.BuiltinOperatorSELECT, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2}, []int{1, 1, 1, 1, 2}, []int{1, 1, 1, 1, 2})), 3, "2.12.0"},
		{"choice", one(schema.BuiltinOperatorSELECT, nil, []int{1}, shapes([]int{2}, []int{2}, []int{2})), 1, "1.14.0"},
		{"update at INT32 places", one(schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE, nil, []int{2}, shapes([]int{2}, []int{1}, []int{1})), 1, "2.9.0"},
		{"transposition over seven", one(schema.BuiltinOperatorTRANSPOSE, nil, []int{1}, shapes([]int{1, 1, 1, 1, 1, 1, 2})), 8, "2.22.0"},
		{"slice that ends at an offset", one(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{Offset: true}, []int{1}, shapes([]int{2})), 8, "2.14.0"},
		{"PAD over five axes", one(schema.BuiltinOperatorPAD, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2}, []int{5, 2})), 4, "2.6.0"},
		{"transposition over five", one(schema.BuiltinOperatorTRANSPOSE, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2})), 4, "2.3.0"},
		{"transposition over four", one(schema.BuiltinOperatorTRANSPOSE, nil, []int{1}, shapes([]int{1, 1, 1, 2})), 2, "1.14.0"},
		{"slice over five", one(schema.BuiltinOperatorSLICE, nil, []int{1}, shapes([]int{1, 1, 1, 1, 2})), 5, "2.5.0"},
		{"slice with a new axis", one(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{NewAxisMask: 1}, []int{1}, shapes([]int{2})), 6, "2.6.0"},
		{"strided slice over five", one(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{}, []int{1}, shapes([]int{1, 1, 1, 1, 2})), 4, "2.2.0"},
		{"gathering in batches", one(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{BatchDims: 1}, []int{1}, shapes([]int{2, 2})), 5, "2.5.0"},
		{"half pixels", one(schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{HalfPixelCenters: true}, []int{1}, shapes([]int{1, 2, 2, 1})), 3, "2.2.0"},
		{"aligned corners", one(schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, &schema.ResizeNearestNeighborOptionsT{AlignCorners: true}, []int{1}, shapes([]int{1, 2, 2, 1})), 3, "2.3.0"},
		{"space to batch of rows", one(schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, []int{1}, shapes([]int{1, 2, 1})), 3, "2.3.0"},
		{"space to batch of images", one(schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, []int{1}, shapes([]int{1, 2, 2, 1})), 2, "1.14.0"},
	}
	for _, test := range tests {
		if v := spec(test.op).version(affine.Int8, test.op); v.number != test.version || v.runtime != test.runtime {
			t.Errorf("%s: version %d of %s, want %d of %s", test.name, v.number, v.runtime, test.version, test.runtime)
		}
	}
}

// The oldest runtime that has all ops is written; where ops stay as they were, an
// entry of the file's own is only raised.
func TestMinRuntime(t *testing.T) {
	tile := func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("tile", schema.BuiltinOperatorTILE, nil, []int{1, 8}, x, b.Ints([]int{2}, 1, 2))
	}
	cos := Unary(schema.BuiltinOperatorCOS, nil)
	tests := []struct {
		name  string
		layer Layer
		old   string
		want  string
	}{
		{"old ops", Dense(4), "", "1.14.0"},
		{"an entry that is newer than need be", Dense(4), "2.3.0", "1.14.0"},
		{"TILE", Sequence(Dense(4), tile), "", "2.8.0"},
		{"float ops and a newer entry", Sequence(Dense(4), cos), "2.3.0", "2.3.0"},
		{"float ops and an older entry", Sequence(Dense(4), tile, cos), "2.3.0", "2.8.0"},
	}
	for _, test := range tests {
		m := Chain(Input(1, 4), test.layer)
		if test.old != "" {
			m.Metadata = []*tflite.Metadata{{Name: minRuntimeKey, Data: padded(test.old)}}
		}
		q, _ := quantize(t, m, &Options{Samples: 1, AllowFloat: true})
		if len(q.Metadata) != 1 || len(q.Metadata[0].Data) != 16 || string(bytes.TrimRight(q.Metadata[0].Data, "\x00")) != test.want {
			t.Errorf("%s: %q, want %s in 16 bytes", test.name, q.Metadata[0].Data, test.want)
		}
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{{"2.10.0", "2.9.0", true}, {"2.9.0", "2.10.0", false}, {"2.9.0", "2.9.0", false}, {"1.15.0", "2.0.0", false}, {"2.9.1", "2.9.0", true}} {
		if newer(test.a, test.b) != test.want {
			t.Errorf("%s newer than %s: not %v", test.a, test.b, test.want)
		}
	}
}

// Every row says what it takes, with as many conditions as versions, the last of
// which holds always.
func TestRowsAreComplete(t *testing.T) {
	for i, s := range ops {
		code := schema.BuiltinOperator(i)
		if s.versions == nil {
			if s.takes != "" || s.filter != nil || s.int16 != nil {
				t.Errorf("%s has no version", code)
			}
			continue
		}
		inputs, outputs := signature(s.takes)
		if len(inputs) == 0 || len(outputs) == 0 {
			t.Errorf("%s takes %q", code, s.takes)
		}
		for _, versions := range [][]version{s.versions, s.int16} {
			for k, v := range versions {
				if (v.when == nil) != (k == len(versions)-1) {
					t.Errorf("%s: version %d is never or not surely reached", code, v.number)
				}
				if k > 0 && newer(v.runtime, versions[k-1].runtime) {
					t.Errorf("%s: version %d is of a newer runtime than the special one before it", code, v.number)
				}
			}
		}
		if s.scale.kind == fixedScale && !(s.scale.params.Scale > 0) {
			t.Errorf("%s has a fixed scale of %g", code, s.scale.params.Scale)
		}
	}
}

func TestSignature(t *testing.T) {
	inputs, outputs := signature("iv?b*>v")
	if len(inputs) != 3 || inputs[0] != (operand{kind: 'i'}) || inputs[1] != (operand{kind: 'v', optional: true}) || inputs[2] != (operand{kind: 'b', many: true}) || len(outputs) != 1 {
		t.Errorf("%+v > %+v", inputs, outputs)
	}
	if got := string(kinds(inputs, 5)); got != "ivbbb" {
		t.Errorf("five inputs are %q", got)
	}
	if got := string(kinds(inputs, 2)); got != "iv" {
		t.Errorf("two inputs are %q", got)
	}
}
