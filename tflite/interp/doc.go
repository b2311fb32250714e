// Package interp runs .tflite models with the TensorFlow Lite C library, by way
// of go-tflite. It is the only package that needs cgo, and it does so only under
// the build tag tflite; without the tag it builds everywhere and New reports
// ErrUnavailable.
package interp

import "errors"

// LibraryError is what the C library itself said of a step: of a graph that it cannot
// run, mostly.
type LibraryError struct{ Step, Said string }

func (e *LibraryError) Error() string { return "interpreter: " + e.Step + ": " + e.Said }

// ErrUnavailable is what New returns in a program built without the tag tflite.
var ErrUnavailable = errors.New("interpreter not built in: this program was built without the tag tflite; " +
	"`make build` fetches the TensorFlow Lite C library and builds with it")
