//go:build tflite

package interp

import "fmt"

// runRaw is Run on the stored bytes of both sides: little endian, quantized
// where the tensor is.
func (in *Interpreter) runRaw(inputs [][]byte) ([][]byte, error) {
	err := in.invoke(len(inputs), func(i int, t tensor) error { return t.setRaw(inputs[i]) })
	if err != nil {
		return nil, err
	}
	return collect(in, tensor.raw)
}

// setRaw overwrites the tensor's bytes.
func (t tensor) setRaw(b []byte) error {
	if len(b) != len(t.bytes) {
		return fmt.Errorf("%d bytes given, %d needed", len(b), len(t.bytes))
	}
	copy(t.bytes, b)
	return nil
}

// raw returns a copy of the tensor's bytes.
func (t tensor) raw() ([]byte, error) { return append([]byte{}, t.bytes...), nil }
