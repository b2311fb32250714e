//go:build tflite

package interp

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"

	ctflite "github.com/mattn/go-tflite"
	"github.com/x448/float16"
)

// Types of the C library that go-tflite has no name for.
const (
	typeFloat16 ctflite.TensorType = 10
	typeFloat64 ctflite.TensorType = 11
)

// tensor is one tensor of the C library, as it stands in memory.
type tensor struct {
	name  string
	kind  ctflite.TensorType
	scale float32 // 0: not quantized
	zero  int64
	bytes []byte
}

// size is the number of bytes of one element, 0 for a type without numbers.
func (t tensor) size() int {
	switch t.kind {
	case ctflite.Int8, ctflite.UInt8, ctflite.Bool:
		return 1
	case ctflite.Int16, typeFloat16:
		return 2
	case ctflite.Int32, ctflite.Float32:
		return 4
	case ctflite.Int64, typeFloat64:
		return 8
	}
	return 0
}

// setReal overwrites the tensor with real values.
func (t tensor) setReal(x []float32) error {
	size := t.size()
	if size == 0 {
		return fmt.Errorf("type %v does not hold numbers", t.kind)
	}
	if n := len(t.bytes) / size; len(x) != n {
		return fmt.Errorf("%d values given, %d needed", len(x), n)
	}
	if t.kind == ctflite.Float32 {
		copy(t.floats(), x)
		return nil
	}
	for i, v := range x {
		if err := t.put(t.bytes[i*size:], v); err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
	}
	return nil
}

// real returns a copy of the tensor's real values.
func (t tensor) real() ([]float32, error) {
	if t.kind == ctflite.Float32 {
		return slices.Clone(t.floats()), nil
	}
	size := t.size()
	if size == 0 {
		return nil, fmt.Errorf("type %v does not hold numbers", t.kind)
	}
	x := make([]float32, len(t.bytes)/size)
	for i := range x {
		x[i] = t.get(t.bytes[i*size:])
	}
	return x, nil
}

// realInPlace is real without the copy where the tensor itself holds them.
func (t tensor) realInPlace() ([]float32, error) {
	if t.kind == ctflite.Float32 {
		return t.floats(), nil
	}
	return t.real()
}

// floats is the memory of a FLOAT32 tensor.
func (t tensor) floats() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(t.bytes))), len(t.bytes)/4)
}

// put stores one real value at the start of b.
func (t tensor) put(b []byte, v float32) error {
	switch t.kind {
	case typeFloat16:
		binary.LittleEndian.PutUint16(b, float16.Fromfloat32(v).Bits())
		return nil
	case typeFloat64:
		binary.LittleEndian.PutUint64(b, math.Float64bits(float64(v)))
		return nil
	}
	if v != v {
		return fmt.Errorf("not a number, and type %v has none", t.kind)
	}
	switch t.kind {
	case ctflite.Bool:
		b[0] = 0
		if v != 0 {
			b[0] = 1
		}
	case ctflite.Int8:
		b[0] = byte(t.quantize(v, math.MinInt8, math.MaxInt8))
	case ctflite.UInt8:
		b[0] = byte(t.quantize(v, 0, math.MaxUint8))
	case ctflite.Int16:
		binary.LittleEndian.PutUint16(b, uint16(t.quantize(v, math.MinInt16, math.MaxInt16)))
	case ctflite.Int32:
		binary.LittleEndian.PutUint32(b, uint32(t.quantize(v, math.MinInt32, math.MaxInt32)))
	case ctflite.Int64:
		binary.LittleEndian.PutUint64(b, uint64(t.quantize(v, math.MinInt64, math.MaxInt64)))
	}
	return nil
}

// get loads one real value from the start of b.
func (t tensor) get(b []byte) float32 {
	switch t.kind {
	case typeFloat16:
		return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
	case typeFloat64:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case ctflite.Bool:
		return t.dequantize(int64(min(b[0], 1)))
	case ctflite.Int8:
		return t.dequantize(int64(int8(b[0])))
	case ctflite.UInt8:
		return t.dequantize(int64(b[0]))
	case ctflite.Int16:
		return t.dequantize(int64(int16(binary.LittleEndian.Uint16(b))))
	case ctflite.Int32:
		return t.dequantize(int64(int32(binary.LittleEndian.Uint32(b))))
	}
	return t.dequantize(int64(binary.LittleEndian.Uint64(b)))
}

// quantize maps a real value to lo..hi. The quotient is rounded to float32
// before it is rounded to an integer, as the operator QUANTIZE does it: a model
// with int8 inputs then sees what one with float inputs computes for itself.
func (t tensor) quantize(v float32, lo, hi int64) int64 {
	zero := t.zero
	if t.scale != 0 {
		v /= t.scale
	} else {
		zero = 0
	}
	q := math.Round(float64(v)) + float64(zero)
	switch {
	case q <= float64(lo):
		return lo
	case q >= float64(hi):
		return hi
	}
	return int64(q)
}

// dequantize maps a stored integer to its real value.
func (t tensor) dequantize(q int64) float32 {
	if t.scale == 0 {
		return float32(q)
	}
	return float32(float64(t.scale) * float64(q-t.zero))
}
