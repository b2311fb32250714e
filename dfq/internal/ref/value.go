package ref

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/x448/float16"

	"dfq/schema"
	"dfq/tflite"
)

// A value is a tensor at run time. Exactly one of f and i holds its elements,
// in row-major order.
type value struct {
	typ   schema.TensorType // FLOAT32 with f; BOOL or an integer type with i
	shape []int             // never nil once set
	f     []float32         // real values, those of quantized tensors too
	i     []int64           // integers, and booleans as 0 and 1
	owned bool              // made by a kernel of this run
}

func (v *value) real() bool { return v.typ == schema.TensorTypeFLOAT32 }

func (v *value) len() int { return max(len(v.f), len(v.i)) }

// maxElements bounds what one run holds at a time.
const maxElements = tflite.MaxElements

// limitFor bounds what a run of g holds at a time: a few times what its tensors
// are said to hold, so that a small file which lies about its shapes, or has a
// TILE or FILL of huge ones, does not get far.
func limitFor(g *tflite.Graph) int {
	n := 1 << 24
	for _, t := range g.Tensors() {
		if d, err := size(t.Shape); err == nil {
			n = min(maxElements, n+2*d)
		}
	}
	return n
}

// size is the number of elements of a shape.
func size(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d > 0 && n > maxElements/d {
			return 0, fmt.Errorf("shape %v is larger than %d elements", shape, maxElements)
		}
		n *= d
	}
	return n, nil
}

// isReal reports whether values of t are kept as real numbers.
func isReal(t *tflite.Tensor) bool {
	switch t.Type {
	case schema.TensorTypeFLOAT32, schema.TensorTypeFLOAT16, schema.TensorTypeBFLOAT16, schema.TensorTypeFLOAT64:
		return true
	case schema.TensorTypeINT4, schema.TensorTypeINT8, schema.TensorTypeUINT8, schema.TensorTypeINT16:
		return quantized(t)
	}
	return false
}

func quantized(t *tflite.Tensor) bool { return t.Quant != nil && len(t.Quant.Scale) > 0 }

// decode is the value of a constant.
func decode(t *tflite.Tensor) (value, error) {
	n, err := size(t.Shape)
	if err != nil {
		return value{}, err
	}
	v := value{typ: t.Type, shape: shapeOf(t)}
	if f := decodeFloats(t); f != nil {
		v.typ, v.f = schema.TensorTypeFLOAT32, f
	} else if v.i = decodeInts(t, n); v.i == nil {
		return value{}, fmt.Errorf("type %v is not supported here", t.Type)
	}
	if v.len() != n {
		return value{}, fmt.Errorf("%d bytes of data for shape %v of %v", len(t.Data), t.Shape, t.Type)
	}
	if v.i != nil && isReal(t) {
		v.f, err = dequantize(t, v.i)
		v.typ, v.i = schema.TensorTypeFLOAT32, nil
	}
	return v, err
}

// shapeOf is never nil.
func shapeOf(t *tflite.Tensor) []int { return append([]int{}, t.Shape...) }

// zero is the first state of a variable, and the value of an empty tensor.
func zero(t *tflite.Tensor) (value, error) {
	n, err := size(t.Shape)
	if err != nil {
		return value{}, err
	}
	v := value{typ: t.Type, shape: shapeOf(t)}
	if isReal(t) {
		v.typ, v.f = schema.TensorTypeFLOAT32, make([]float32, n)
	} else {
		v.i = make([]int64, n)
	}
	return v, nil
}

// decodeFloats reads a constant of a float type, nil for other types.
func decodeFloats(t *tflite.Tensor) []float32 {
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		return t.Floats()
	case schema.TensorTypeFLOAT16:
		return elements(t.Data, 2, func(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() })
	case schema.TensorTypeBFLOAT16:
		return elements(t.Data, 2, func(b []byte) float32 {
			return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		})
	case schema.TensorTypeFLOAT64:
		return elements(t.Data, 8, func(b []byte) float32 {
			return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		})
	}
	return nil
}

// decodeInts reads a constant of n elements of an integer type or BOOL, nil
// for other types.
func decodeInts(t *tflite.Tensor, n int) []int64 {
	switch t.Type {
	case schema.TensorTypeBOOL:
		return elements(t.Data, 1, func(b []byte) int64 { return truth(b[0] != 0) })
	case schema.TensorTypeINT8:
		return elements(t.Data, 1, func(b []byte) int64 { return int64(int8(b[0])) })
	case schema.TensorTypeUINT8:
		return elements(t.Data, 1, func(b []byte) int64 { return int64(b[0]) })
	case schema.TensorTypeINT16:
		return elements(t.Data, 2, func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) })
	case schema.TensorTypeUINT16:
		return elements(t.Data, 2, func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) })
	case schema.TensorTypeINT32:
		return elements(t.Data, 4, func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) })
	case schema.TensorTypeUINT32:
		return elements(t.Data, 4, func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) })
	case schema.TensorTypeINT64, schema.TensorTypeUINT64:
		return elements(t.Data, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case schema.TensorTypeINT4:
		return nibbles(t.Data, n)
	}
	return nil
}

// elements decodes width bytes at a time.
func elements[T any](data []byte, width int, decode func([]byte) T) []T {
	v := make([]T, len(data)/width)
	for i := range v {
		v[i] = decode(data[i*width : (i+1)*width])
	}
	return v
}

// nibbles unpacks signed 4-bit values, the low half of a byte first.
func nibbles(data []byte, n int) []int64 {
	if len(data) != (n+1)/2 {
		return []int64{}
	}
	v := make([]int64, n)
	for i := range v {
		b := data[i/2]
		if i%2 == 0 {
			b <<= 4
		}
		v[i] = int64(int8(b) >> 4)
	}
	return v
}

// dequantize converts stored integers q of t to real values.
func dequantize(t *tflite.Tensor, q []int64) ([]float32, error) {
	grid, err := gridOf(t)
	if err != nil {
		return nil, err
	}
	f := make([]float32, len(q))
	for i := range q {
		scale, zero := grid.at(i)
		f[i] = scale * float32(q[i]-zero)
	}
	return f, nil
}

// A grid tells the quantization parameters of each element.
type grid struct {
	scale    []float32
	zero     []int64
	inner    int // elements per step of the axis
	channels int // 1 if the parameters hold for all elements
}

func gridOf(t *tflite.Tensor) (grid, error) {
	q := t.Quant
	g := grid{scale: q.Scale, zero: q.Zero, inner: 1, channels: len(q.Scale)}
	if len(q.Zero) != len(q.Scale) {
		g.zero = make([]int64, len(q.Scale)) // left out means zero
	}
	if g.channels == 1 {
		return g, nil
	}
	if q.Axis < 0 || q.Axis >= len(t.Shape) || t.Shape[q.Axis] != len(q.Scale) {
		return g, fmt.Errorf("%d scales do not fit axis %d of shape %v", len(q.Scale), q.Axis, t.Shape)
	}
	for _, d := range t.Shape[q.Axis+1:] {
		g.inner *= d
	}
	return g, nil
}

func (g *grid) at(i int) (scale float32, zero int64) {
	c := 0
	if g.channels > 1 {
		c = i / g.inner % g.channels
	}
	return g.scale[c], g.zero[c]
}

// snap rounds a result to what its tensor can hold.
func snap(t *tflite.Tensor, v *value) {
	if v.f == nil || !quantized(t) {
		return
	}
	lo, hi, ok := integerRange(t.Type)
	if !ok || !isReal(t) {
		return
	}
	g, err := gridOf(t)
	need(err == nil, "%v", err)
	for i, x := range v.f {
		scale, zero := g.at(i)
		q := math.Round(float64(x/scale)) + float64(zero)
		q = min(max(q, float64(lo)), float64(hi))
		v.f[i] = scale * float32(q-float64(zero))
	}
}

// integerRange is the range of an integer type narrower than 64 bits.
func integerRange(t schema.TensorType) (lo, hi int64, ok bool) {
	switch t {
	case schema.TensorTypeINT4:
		return -8, 7, true
	case schema.TensorTypeINT8:
		return math.MinInt8, math.MaxInt8, true
	case schema.TensorTypeUINT8:
		return 0, math.MaxUint8, true
	case schema.TensorTypeINT16:
		return math.MinInt16, math.MaxInt16, true
	case schema.TensorTypeUINT16:
		return 0, math.MaxUint16, true
	case schema.TensorTypeINT32:
		return math.MinInt32, math.MaxInt32, true
	case schema.TensorTypeUINT32:
		return 0, math.MaxUint32, true
	}
	return 0, 0, false
}

// wrap reduces x to type t the way two's complement arithmetic does.
func wrap(t schema.TensorType, x int64) int64 {
	lo, hi, ok := integerRange(t)
	if !ok || lo <= x && x <= hi {
		return x
	}
	span := hi - lo + 1
	return ((x-lo)%span+span)%span + lo
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// fromReal makes the value of graph input t from real numbers.
func fromReal(t *tflite.Tensor, x []float32) value {
	v := value{typ: t.Type, shape: shapeOf(t)}
	switch {
	case isReal(t):
		v.typ, v.f = schema.TensorTypeFLOAT32, x
		if quantized(t) {
			v.f = slices.Clone(x)
			snap(t, &v)
		}
	case t.Type == schema.TensorTypeBOOL:
		v.i = make([]int64, len(x))
		for i, r := range x {
			v.i[i] = truth(r != 0)
		}
	default:
		v.i = make([]int64, len(x))
		for i, r := range x {
			v.i[i] = wrap(t.Type, toInt(math.Round(float64(r))))
		}
	}
	return v
}

// toInt truncates, saturates, and turns NaN into 0, on every architecture.
func toInt(x float64) int64 {
	switch {
	case x != x:
		return 0
	case x >= math.MaxInt64:
		return math.MaxInt64
	case x <= math.MinInt64:
		return math.MinInt64
	}
	return int64(x)
}

// toReal returns a copy of the elements as real numbers.
func (v *value) toReal() []float32 {
	if v.i == nil {
		return slices.Clone(v.f)
	}
	x := make([]float32, len(v.i))
	for i, n := range v.i {
		x[i] = float32(n)
	}
	return x
}

// encode makes t a constant with the value and shape of v.
func encode(t *tflite.Tensor, v *value) error {
	if t.Type != v.typ {
		return errors.New("type differs")
	}
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		t.SetFloats(v.f)
	case schema.TensorTypeBOOL, schema.TensorTypeINT8, schema.TensorTypeUINT8:
		t.Data = make([]byte, len(v.i))
		for i, n := range v.i {
			t.Data[i] = byte(n)
		}
	case schema.TensorTypeINT32:
		t.Data = make([]byte, 4*len(v.i))
		for i, n := range v.i {
			binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(n))
		}
	case schema.TensorTypeINT64:
		t.Data = make([]byte, 8*len(v.i))
		for i, n := range v.i {
			binary.LittleEndian.PutUint64(t.Data[8*i:], uint64(n))
		}
	default:
		return fmt.Errorf("type %v is not written", t.Type)
	}
	t.Shape = v.shape
	return nil
}
