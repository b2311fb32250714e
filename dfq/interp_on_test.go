//go:build tflite

package dfq

import (
	"dfq/tflite"
	"dfq/tflite/interp"
)

// interpreter runs a model in the C library.
var interpreter Interpreter = func(m *tflite.Model) (Runner, func(), error) {
	data, err := tflite.Encode(m)
	if err != nil {
		return nil, nil, err
	}
	in, err := interp.New(data, 1)
	if err != nil {
		return nil, nil, err
	}
	return in.Run, in.Close, nil
}
