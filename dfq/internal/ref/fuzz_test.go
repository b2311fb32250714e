package ref

import (
	"math"
	"reflect"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// optionsOf are the option structs that kernels read.
var optionsOf = map[schema.BuiltinOperator]any{
	schema.BuiltinOperatorCONV_2D:                      schema.Conv2DOptionsT{},
	schema.BuiltinOperatorDEPTHWISE_CONV_2D:            schema.DepthwiseConv2DOptionsT{},
	schema.BuiltinOperatorFULLY_CONNECTED:              schema.FullyConnectedOptionsT{},
	schema.BuiltinOperatorTRANSPOSE_CONV:               schema.TransposeConvOptionsT{},
	schema.BuiltinOperatorBATCH_MATMUL:                 schema.BatchMatMulOptionsT{},
	schema.BuiltinOperatorAVERAGE_POOL_2D:              schema.Pool2DOptionsT{},
	schema.BuiltinOperatorMAX_POOL_2D:                  schema.Pool2DOptionsT{},
	schema.BuiltinOperatorL2_POOL_2D:                   schema.Pool2DOptionsT{},
	schema.BuiltinOperatorADD:                          schema.AddOptionsT{},
	schema.BuiltinOperatorSUB:                          schema.SubOptionsT{},
	schema.BuiltinOperatorMUL:                          schema.MulOptionsT{},
	schema.BuiltinOperatorDIV:                          schema.DivOptionsT{},
	schema.BuiltinOperatorL2_NORMALIZATION:             schema.L2NormOptionsT{},
	schema.BuiltinOperatorSOFTMAX:                      schema.SoftmaxOptionsT{},
	schema.BuiltinOperatorLEAKY_RELU:                   schema.LeakyReluOptionsT{},
	schema.BuiltinOperatorGELU:                         schema.GeluOptionsT{},
	schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION: schema.LocalResponseNormalizationOptionsT{},
	schema.BuiltinOperatorFAKE_QUANT:                   schema.FakeQuantOptionsT{},
	schema.BuiltinOperatorCUMSUM:                       schema.CumsumOptionsT{},
	schema.BuiltinOperatorSUM:                          schema.ReducerOptionsT{},
	schema.BuiltinOperatorMEAN:                         schema.ReducerOptionsT{},
	schema.BuiltinOperatorREDUCE_MAX:                   schema.ReducerOptionsT{},
	schema.BuiltinOperatorREDUCE_MIN:                   schema.ReducerOptionsT{},
	schema.BuiltinOperatorREDUCE_PROD:                  schema.ReducerOptionsT{},
	schema.BuiltinOperatorREDUCE_ANY:                   schema.ReducerOptionsT{},
	schema.BuiltinOperatorREDUCE_ALL:                   schema.ReducerOptionsT{},
	schema.BuiltinOperatorRESHAPE:                      schema.ReshapeOptionsT{},
	schema.BuiltinOperatorSQUEEZE:                      schema.SqueezeOptionsT{},
	schema.BuiltinOperatorREVERSE_SEQUENCE:             schema.ReverseSequenceOptionsT{},
	schema.BuiltinOperatorMIRROR_PAD:                   schema.MirrorPadOptionsT{},
	schema.BuiltinOperatorCONCATENATION:                schema.ConcatenationOptionsT{},
	schema.BuiltinOperatorPACK:                         schema.PackOptionsT{},
	schema.BuiltinOperatorUNPACK:                       schema.UnpackOptionsT{},
	schema.BuiltinOperatorSTRIDED_SLICE:                schema.StridedSliceOptionsT{},
	schema.BuiltinOperatorSPACE_TO_DEPTH:               schema.SpaceToDepthOptionsT{},
	schema.BuiltinOperatorDEPTH_TO_SPACE:               schema.DepthToSpaceOptionsT{},
	schema.BuiltinOperatorGATHER:                       schema.GatherOptionsT{},
	schema.BuiltinOperatorONE_HOT:                      schema.OneHotOptionsT{},
	schema.BuiltinOperatorRESIZE_BILINEAR:              schema.ResizeBilinearOptionsT{},
	schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR:      schema.ResizeNearestNeighborOptionsT{},
}

// A script reads choices from fuzz data; at the end all choices are zero.
type script []byte

func (s *script) next() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

// number is mostly small, now and then extreme.
func (s *script) number() int {
	switch b := int(int8(s.next())); b {
	case 127:
		return math.MaxInt32
	case -128:
		return math.MinInt32
	case 126:
		return 1 << 20
	default:
		return b % 12
	}
}

// fill sets the fields of an option struct.
func (s *script) fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int8, reflect.Int32:
			f.SetInt(int64(s.number()))
		case reflect.Bool:
			f.SetBool(s.next()&1 != 0)
		case reflect.Float32:
			f.SetFloat(float64(s.number()))
		case reflect.Slice:
			list := make([]int32, s.next()%5)
			for k := range list {
				list[k] = int32(s.number())
			}
			f.Set(reflect.ValueOf(list))
		}
	}
}

// tensor is a constant of any type and a small shape.
func (s *script) tensor() *tflite.Tensor {
	t := real()
	for range s.next() % 6 {
		t.Shape = append(t.Shape, int(s.next()%6))
	}
	kind := s.next() % 5
	v, list := make([]float32, t.Len()), make([]int32, t.Len())
	for i := range v {
		n := s.number()
		v[i], list[i] = float32(n), int32(n)
	}
	switch t.SetFloats(v); kind {
	case 0, 1:
		t.Type = schema.TensorTypeINT32
		t.SetInt32s(list)
	case 2:
		t.Type = schema.TensorTypeBOOL
		t.Data = make([]byte, t.Len())
	}
	return t
}

// No op, however its shapes and options are made, panics or runs away.
func FuzzOps(f *testing.F) {
	for code := range ops {
		for _, tail := range []string{"", "\x02\x02\x03\x04\x01\x02\x03", "\x04\x01\x03\x03\x02\x03\x07\x09\x01\x02"} {
			f.Add(append([]byte{byte(code), 3, 1}, tail...))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		s := script(data)
		code := schema.BuiltinOperator(int(s.next()) % len(ops))
		var inputs []*tflite.Tensor
		n := int(s.next() % 6)
		outputs := int(s.next()%3) + 1
		for range n {
			inputs = append(inputs, s.tensor())
		}
		var options any
		if o, ok := optionsOf[code]; ok {
			v := reflect.New(reflect.TypeOf(o))
			s.fill(v.Elem())
			options = v.Interface()
		}
		e, err := New(single(code, options, outputs, inputs...))
		if err != nil {
			return
		}
		r := newRun(len(e.tensors), 1<<16)
		if err := e.start(r, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.run(r, func(*step) {}); err != nil {
			return
		}
		for i, v := range e.results(r) {
			if n, err := size(r.values[e.outputs[i]].shape); r.values[e.outputs[i]].shape != nil && (err != nil || n != len(v)) {
				t.Errorf("output %d has shape %v and %d values", i, r.values[e.outputs[i]].shape, len(v))
			}
		}
	})
}
