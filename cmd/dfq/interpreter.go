package main

import (
	"errors"
	"fmt"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
	"dfq/tflite/target"
)

// fastest is the interpreter that conversions run float graphs on: TensorFlow
// Lite where it is built in, else nil, which stands for dfq's own.
func fastest() dfq.Interpreter {
	if !interp.Available {
		return nil
	}
	return func(m *tflite.Model) (dfq.Runner, func(), error) {
		run, stop, err := interp.Open(m) // on one thread: samples are run in parallel instead
		return orEvaluated(m, run, stop, err)
	}
}

// asRead opens files in the interpreter as they were read, byte by byte.
func asRead(files ...*modelFile) dfq.Interpreter {
	return func(m *tflite.Model) (dfq.Runner, func(), error) {
		for _, f := range files {
			if f.model == m {
				return f.open()
			}
		}
		panic("a model that was not read from a file")
	}
}

// open opens the file in the interpreter. Errors, those of runs as well, name it.
func (f *modelFile) open() (dfq.Runner, func(), error) {
	run, stop, err := interp.OpenFile(f.data)
	run, stop, err = orEvaluated(f.model, run, stop, err)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.name, err)
		if of := (*interp.LibraryError)(nil); !errors.As(err, &of) {
			return nil, nil, err
		}
		return nil, nil, hintedError{err, fmt.Sprintf("dfq runs TensorFlow Lite 2.9 without custom ops; %q names the ops that it does not have", "dfq lint --target "+target.Default)}
	}
	return func(inputs [][]float32) ([][]float32, error) {
		outputs, err := run(inputs)
		if err != nil {
			err = fmt.Errorf("%s: %w", f.name, err)
		}
		return outputs, err
	}, stop, nil
}

// orEvaluated is what opening m gave; a float model with ops newer than the library is run
// by dfq itself, if it can.
func orEvaluated(m *tflite.Model, run dfq.Runner, stop func(), err error) (dfq.Runner, func(), error) {
	if of := (*interp.LibraryError)(nil); errors.As(err, &of) {
		if run, stop, failed := dfq.Evaluate(m); failed == nil {
			return run, stop, nil
		}
	}
	return run, stop, err
}
