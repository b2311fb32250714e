package main

import (
	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
)

// fastest is the interpreter that conversions run float graphs on: TensorFlow
// Lite where it is built in, else nil, which stands for dfq's own.
func fastest() dfq.Interpreter {
	if !interp.Available {
		return nil
	}
	return func(m *tflite.Model) (dfq.Runner, func(), error) {
		data, err := tflite.Encode(m)
		if err != nil {
			return nil, nil, err
		}
		return open(data)
	}
}

// asRead opens files in the interpreter as they were read, byte by byte.
func asRead(files ...*modelFile) dfq.Interpreter {
	return func(m *tflite.Model) (dfq.Runner, func(), error) {
		for _, f := range files {
			if f.model == m {
				return open(f.data)
			}
		}
		panic("a model that was not read from a file")
	}
}

// open takes one thread: samples are run in parallel instead.
func open(data []byte) (dfq.Runner, func(), error) {
	in, err := interp.New(data, 1)
	if err != nil {
		return nil, nil, err
	}
	return in.RunInPlace, in.Close, nil
}
