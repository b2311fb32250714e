package stimulus

import (
	"math"
	"sync"
)

// Normalize turns made-up frames of features into such as were normalized one by one, as is
// usual with networks of sounds: each feature has its mean, of many samples, at zero, and an
// eighth of the domain as its deviation. dst was filled by Fill with the given shape.
func Normalize(dst []float32, shape []int, zero float64) {
	f := frameOf(shape, Spectrogram)
	n := featureNorms(f.h, f.w, f.c)
	for i, v := range dst {
		m := n[i%(f.w*f.c)]
		dst[i] = float32(clamp(zero + mul(0.125, (float64(v)-m.mean)/m.dev)))
	}
}

type featureNorm struct{ mean, dev float64 }

var norms sync.Map // [3]int: []featureNorm

// featureNorms are those of the features of a few samples, worked out once for each shape.
func featureNorms(h, w, c int) []featureNorm {
	key := [3]int{h, w, c}
	if n, ok := norms.Load(key); ok {
		return n.([]featureNorm)
	}
	const samples = 64
	out := make([]featureNorm, w*c)
	x := make([]float32, h*w*c)
	count := float64(samples * h)
	for s := range uint64(samples) {
		Fill(x, []int{1, h, w, c}, Spectrogram, 0, s)
		for i, v := range x {
			o := &out[i%(w*c)]
			o.mean += float64(v) / count
			o.dev += mul(float64(v), float64(v)) / count
		}
	}
	for i, o := range out {
		out[i].dev = math.Sqrt(max(o.dev-mul(o.mean, o.mean), 1e-12))
	}
	norms.Store(key, out)
	return out
}
