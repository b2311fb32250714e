//go:build tflite

package interp

import (
	"math"
	"testing"

	ctflite "github.com/mattn/go-tflite"
)

func TestStore(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		kind  ctflite.TensorType
		scale float32
		zero  int64
		in    float32
		want  float32 // the real value of what is stored
	}{
		{ctflite.Float32, 0, 0, 1.0 / 3, 1.0 / 3},
		{typeFloat16, 0, 0, 1 + 1.0/1024, 1 + 1.0/1024},
		{typeFloat16, 0, 0, 1e9, inf},
		{typeFloat64, 0, 0, -2.5, -2.5},
		{ctflite.Bool, 0, 0, -7, 1},
		{ctflite.Bool, 0, 0, 0, 0},
		{ctflite.Int8, 0.5, 3, 0.25, 0.5},   // half away from zero
		{ctflite.Int8, 0.5, 3, -0.25, -0.5}, // on both sides
		{ctflite.Int8, 0.5, 3, 1000, 62},    // 127
		{ctflite.Int8, 0.5, 3, -inf, -65.5}, // -128
		{ctflite.UInt8, 0.5, 128, -inf, -64},
		{ctflite.UInt8, 0.5, 128, 1000, 63.5},
		{ctflite.UInt8, 0, 0, 7.4, 7},
		{ctflite.Int16, 0.25, 0, -8192.1, -8192},
		{ctflite.Int16, 0.25, 0, inf, 8191.75},
		{ctflite.Int32, 0, 0, -3.5, -4},
		{ctflite.Int32, 0, 0, inf, math.MaxInt32},
		{ctflite.Int32, 1e-3, 0, 5, 5},
		{ctflite.Int64, 0, 0, inf, math.MaxInt64},
		{ctflite.Int64, 0, 0, -inf, math.MinInt64},
		{ctflite.Int64, 0, 9, 12, 12}, // no scale: no zero point either
	} {
		s := tensor{kind: c.kind, scale: c.scale, zero: c.zero}
		s.bytes = make([]byte, s.size())
		if err := s.setReal([]float32{c.in}); err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		got, err := s.real()
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
}

func TestStoreRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		t tensor
		x []float32
	}{
		{tensor{kind: ctflite.Int8, scale: 1, bytes: make([]byte, 1)}, []float32{nan}},
		{tensor{kind: ctflite.Int8, scale: 1, bytes: make([]byte, 1)}, []float32{1, 2}},
		{tensor{kind: ctflite.Float32, bytes: make([]byte, 8)}, []float32{1}},
		{tensor{kind: ctflite.String, bytes: make([]byte, 1)}, []float32{1}},
	} {
		if err := c.t.setReal(c.x); err == nil {
			t.Errorf("%v into %+v: no error", c.x, c.t)
		}
	}
	if _, err := (tensor{kind: ctflite.String}).real(); err == nil {
		t.Error("strings read as numbers")
	}
}

// Every stored value of the 8-bit types comes back as itself.
func TestStoreIdentity(t *testing.T) {
	for _, kind := range []ctflite.TensorType{ctflite.Int8, ctflite.UInt8} {
		for _, scale := range []float32{0, 1.0 / 256, 0.0235, 3.4e-7} {
			for b := range 256 {
				s := tensor{kind: kind, scale: scale, zero: 11, bytes: []byte{byte(b)}}
				x, err := s.real()
				if err != nil {
					t.Fatal(err)
				}
				s.bytes[0] ^= 0x55
				if err := s.setReal(x); err != nil || s.bytes[0] != byte(b) {
					t.Fatalf("%v, scale %g: %d became %d through %g: %v", kind, scale, b, s.bytes[0], x[0], err)
				}
			}
		}
	}
}
