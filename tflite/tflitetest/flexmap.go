package tflitetest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// FlexMap writes options, which are ints, float64s or bools, as the FlexBuffers map that
// TensorFlow Lite's own custom operators read: the names, where they are, the values in 32
// bits and their types, and the root. https://flatbuffers.dev/internals/#flexbuffers
func FlexMap(options map[string]any) []byte {
	var b []byte
	names := slices.Sorted(maps.Keys(options))
	starts := make([]int, len(names))
	for i, name := range names {
		starts[i] = len(b)
		b = append(append(b, name...), 0)
	}
	u32 := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	u32(len(names))
	keys := len(b)
	for _, at := range starts {
		u32(len(b) - at)
	}
	u32(len(b) - keys)
	u32(4) // bytes of a name's place
	u32(len(names))
	values := len(b)
	var types []byte
	const in32Bits = 2
	for _, name := range names {
		switch v := options[name].(type) {
		case int:
			u32(v)
			types = append(types, 1<<2|in32Bits)
		case float64:
			u32(int(math.Float32bits(float32(v))))
			types = append(types, 3<<2|in32Bits)
		case bool:
			bit := 0
			if v {
				bit = 1
			}
			u32(bit)
			types = append(types, 26<<2|in32Bits)
		default:
			panic(fmt.Sprintf("option %q is a %T", name, v))
		}
	}
	b = append(b, types...)
	return append(b, byte(len(b)-values), 9<<2|2, 1)
}

// Custom adds a custom operator with such options.
func (b *Builder) Custom(name string, shape []int, options []byte, inputs ...*tflite.Tensor) *tflite.Tensor {
	y := b.Op("custom", schema.BuiltinOperatorCUSTOM, nil, shape, inputs...)
	op := b.Graph.Ops[len(b.Graph.Ops)-1]
	op.Custom, op.CustomOptions = name, options
	return y
}

// Cepstra makes 49 frames of n cepstral coefficients out of 16000 values of sound, with the
// library's own kernels; rate is the number of values per second.
func (b *Builder) Cepstra(n int, wave, rate *tflite.Tensor) *tflite.Tensor {
	spectra := b.Custom("AudioSpectrogram", []int{1, 49, 257}, FlexMap(map[string]any{"magnitude_squared": true, "stride": 320, "window_size": 480}), wave)
	return b.Custom("Mfcc", []int{1, 49, n}, FlexMap(map[string]any{"dct_coefficient_count": n, "filterbank_channel_count": 40,
		"lower_frequency_limit": 20.0, "upper_frequency_limit": 4000.0}), spectra, rate)
}
