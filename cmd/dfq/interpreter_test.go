//go:build tflite

package main

import (
	"errors"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"
	. "dfq/tflite/tflitetest"
)

// A float model with an op newer than the library is run all the same, and what dfq does
// not know either is the library's error.
func TestNewerThanLibrary(t *testing.T) {
	for code, runs := range map[schema.BuiltinOperator]bool{schema.BuiltinOperatorSIGN: true, schema.BuiltinOperatorBITCAST: false} {
		m := Chain(Input(1, 3), Unary(code, nil))
		data, err := tflite.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		run, stop, err := (&modelFile{name: "m.tflite", data: data, model: m}).open()
		if of := (*interp.LibraryError)(nil); !runs {
			if !errors.As(err, &of) {
				t.Errorf("%s: %v, want the library's error", code, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		out, err := run([][]float32{{-3, 0, 2}})
		if err != nil || !slices.Equal(out[0], []float32{-1, 0, 1}) {
			t.Errorf("%s: %v, %v", code, out, err)
		}
		stop()
	}
}
