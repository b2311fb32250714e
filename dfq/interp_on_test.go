//go:build tflite

package dfq

import "dfq/tflite/interp"

// interpreter runs a model in the C library.
var interpreter Interpreter = interp.Open
