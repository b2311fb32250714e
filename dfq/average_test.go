package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// far is an image of which one pixel in each channel is far above the others.
func far(m *tflite.Model, n int) [][][]float32 {
	samples := Inputs(m, 3, n, 1)
	for i, s := range samples {
		for k := range s[0] {
			s[0][k] *= 0.05
		}
		for c := range 4 {
			s[0][(i*7%64)*4+c] = 1
		}
	}
	return samples
}

// A pool over the whole image becomes a MEAN where its averages need smaller steps,
// and only then.
func TestAverageByMean(t *testing.T) {
	pool := func(size int, set ...Setting) Layer { return Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, size, set...) }
	stated := Options{Inputs: []InputRange{{Range: Range{-1, 1}}}}
	tests := []struct {
		name    string
		pool    Layer
		samples func(*tflite.Model, int) [][][]float32
		change  func(*Options)
		want    bool
	}{
		{name: "far extremes", pool: pool(8, Valid), samples: far, want: true},
		{name: "larger than the image", pool: pool(9, Stride(8)), samples: far, want: true},
		{name: "averages as wide as the image", pool: pool(8, Valid), samples: func(m *tflite.Model, n int) [][][]float32 {
			samples := Inputs(m, 3, n, 1)
			for _, s := range samples {
				for k := range s[0] {
					s[0][k] = s[0][k%4]
				}
			}
			return samples
		}},
		{name: "a part of the image", pool: pool(4, Valid), samples: far},
		{name: "a clamp", pool: pool(8, Valid, ReLU6), samples: far},
		{name: "int16", pool: pool(8, Valid), samples: far, change: func(o *Options) { o.Activations = Int16 }},
		{name: "a target whose MEAN has one scale", pool: pool(8, Valid), samples: far, change: func(o *Options) { o.Target = "nnapi-1.3" }},
		{name: "plain rounding", pool: pool(8, Valid), samples: far, change: func(o *Options) { o.NoEqualize = true }},
	}
	for _, test := range tests {
		m := Chain(Input(1, 8, 8, 4), Depthwise(1), test.pool, Conv(3, 1))
		opts := stated
		opts.Calibration = test.samples(m, 16)
		if test.change != nil {
			test.change(&opts)
		}
		q, _, err := Quantize(m, &opts)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := false
		for _, op := range q.Graphs[0].Ops {
			got = got || op.Code == schema.BuiltinOperatorMEAN
		}
		if got != test.want {
			t.Errorf("%s: a MEAN: %v, want %v", test.name, got, test.want)
		}
	}
}

// With a step of its own an average is as exact as its own range allows, not as that
// of the image.
func TestAverageByMeanIsMoreExact(t *testing.T) {
	if interpreter == nil {
		t.Skip("needs the interpreter: build with -tags tflite")
	}
	m := Chain(Input(1, 8, 8, 4), Depthwise(1), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 8, Valid))
	samples := far(m, 32)
	held := func(o Options) float64 {
		o.Calibration, o.Inputs, o.Interpreter = samples[:16], []InputRange{{Range: Range{-1, 1}}}, interpreter
		return quantizedSQNR(t, m, o, interpreter, samples[16:])
	}
	by, without := held(Options{}), held(Options{NoEqualize: true})
	if by < without+6 {
		t.Errorf("%.1f dB with a MEAN, %.1f with the pool; want a bit more at least", by, without)
	}
}
