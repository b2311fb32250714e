package interp

import "dfq/tflite"

// Open returns what runs a model, on one thread and as RunInPlace does, and what frees
// it. It is a dfq.Interpreter.
func Open(m *tflite.Model) (run func(inputs [][]float32) ([][]float32, error), stop func(), err error) {
	data, err := tflite.Encode(m)
	if err != nil {
		return nil, nil, err
	}
	return OpenFile(data)
}

// OpenFile is Open for the bytes of a .tflite file.
func OpenFile(data []byte) (run func(inputs [][]float32) ([][]float32, error), stop func(), err error) {
	in, err := New(data, 1)
	if err != nil {
		return nil, nil, err
	}
	return in.RunInPlace, in.Close, nil
}
