package tflitetest_test

import (
	"fmt"

	. "dfq/tflite/tflitetest"
)

// The printed form of the package comment's example.
func Example() {
	m := Chain(Input(1, 8, 8, 3),
		Conv(16, 3, ReLU),
		Residual(Depthwise(3, ReLU6), Conv(16, 1, NoBias)),
		Mean(), Dense(10), Softmax())
	if err := m.Validate(); err != nil {
		fmt.Println(err)
	}
	fmt.Print(m)
	// Output:
	// graph 0 "main"
	//   %0 "input" float32[1,8,8,3] = input
	//   %1 "conv_weights" float32[16,3,3,3] = #d0dd4be4
	//   %2 "conv_weights_bias" float32[16] = #6a02e5de
	//   %3 "conv" float32[1,8,8,16] = CONV_2D v1 (%0, %1, %2) {padding SAME, stride_w 1, stride_h 1, activation RELU}
	//   %4 "depthwise_weights" float32[1,3,3,16] = #4eb40555
	//   %5 "depthwise_weights_bias" float32[16] = #c44c3ca4
	//   %6 "depthwise" float32[1,8,8,16] = DEPTHWISE_CONV_2D v1 (%3, %4, %5) {padding SAME, stride_w 1, stride_h 1, depth_multiplier 1, activation RELU6}
	//   %7 "conv_weights_1" float32[16,1,1,16] = #0b9a3c62
	//   %8 "conv_1" float32[1,8,8,16] = CONV_2D v1 (%6, %7) {padding SAME, stride_w 1, stride_h 1}
	//   %9 "add" float32[1,8,8,16] = ADD v1 (%8, %3)
	//   %10 "integers" int32[2] = {1, 2}
	//   %11 "mean" float32[1,16] = MEAN v1 (%9, %10)
	//   %12 "dense_weights" float32[10,16] = #a395068d
	//   %13 "dense_weights_bias" float32[10] = #42f3996a
	//   %14 "dense" float32[1,10] = FULLY_CONNECTED v1 (%11, %12, %13)
	//   %15 "softmax" float32[1,10] = SOFTMAX v1 (%14) {beta 1}
	//   return %15
}
