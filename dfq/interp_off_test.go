//go:build !tflite

package dfq

// interpreter is nil in a build without the C library.
var interpreter Interpreter
