// Package interp runs .tflite models with the TensorFlow Lite C library, by way
// of go-tflite. It is the only package that needs cgo, and it does so only under
// the build tag tflite; without the tag it builds everywhere and New reports
// ErrUnavailable.
package interp

import "errors"

// ErrUnavailable is what New returns in a program built without the tag tflite.
var ErrUnavailable = errors.New("interpreter not built in: this program was built without the tag tflite; " +
	"`make build` fetches the TensorFlow Lite C library and builds with it")
