package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// benchChain is a MobileNetV2 in small: 12 blocks of expansion, depthwise
// convolution and projection.
func benchChain() *tflite.Model {
	layers := []Layer{Input(1, 32, 32, 3), Conv(16, 3, ReLU6, Stride(2))}
	for range 12 {
		layers = append(layers, Residual(Conv(96, 1, ReLU6), Depthwise(3, ReLU6), Conv(16, 1)))
	}
	return Chain(append(layers, Mean(), Dense(10), Unary(schema.BuiltinOperatorLOGISTIC, nil))...)
}

// BenchmarkPass runs each pass on the same job, made ready by those before it.
func BenchmarkPass(b *testing.B) {
	m := benchChain()
	for i, p := range passes {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				j, err := newJob(m, &Options{PerTensor: true, Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}}})
				if err != nil {
					b.Fatal(err)
				}
				for _, before := range passes[:i] {
					if !before.runs(j.opts) {
						continue
					}
					if err := j.runPass(before); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if err := p.run(j); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkQuantizeChain(b *testing.B) { benchmarkQuantize(b, benchChain()) }

// BenchmarkQuantizeMobileNetV2 converts the real model, with the interpreter if
// it is built in.
func BenchmarkQuantizeMobileNetV2(b *testing.B) {
	benchmarkQuantize(b, sharedModel(b, "mobilenet_v2_1.0_224_dequant"))
}

func benchmarkQuantize(b *testing.B, m *tflite.Model) {
	for _, perTensor := range []bool{false, true} {
		name := "per channel"
		if perTensor {
			name = "per tensor"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Quantize(m, &Options{PerTensor: perTensor, Interpreter: interpreter}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
