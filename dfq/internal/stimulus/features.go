package stimulus

import (
	"math/rand/v2"
)

// spectrogram fills h frames of w features. Up to 20 features are taken for
// cepstral coefficients, of which the first is the loudness and the others are
// ever smaller and about uncorrelated; more for the logarithms of filter bank
// energies, which neighbours share.
func spectrogram(dst []float32, h, w, c int, rng *rand.Rand, u dials) {
	f := newFrames(h, rng, u)
	for ch := range c {
		for k := range w {
			var track []float64
			if w <= 20 {
				track = f.cepstral(k)
			} else {
				track = f.band(float64(k) / float64(w))
			}
			for t, v := range track {
				dst[(t*w+k)*c+ch] = float32(clamp(v))
			}
		}
	}
}

// frames is a sound: segments of steady timbre that glide into each other, and
// a loudness over time with silence, onsets and decays.
type frames struct {
	n        int
	loud     []float64 // 0 background … 1 loud
	seg      []int     // segment of each frame
	segments int
	level    float64 // loudness of the background, 0 … 0.7
	quiet    float64 // the same for the first cepstral coefficient: long tail downwards
	formants [][3]float64
	vivid    float64 // strength of the timbre
	rng      *rand.Rand
}

func newFrames(n int, rng *rand.Rand, u dials) *frames {
	f := &frames{n: n, loud: make([]float64, n), seg: make([]int, n), segments: 1, rng: rng, level: mul(0.7, u[0])}
	f.quiet = 0.9 - mul(0.9, mul(u[0], u[0]))
	f.vivid = exp2(mul(0.5, bell(u[1])))
	attack, decay := between(rng, 0.3, 0.9), between(rng, 0.05, 0.4)
	target, left := 0.0, 0
	for t := range n {
		if left == 0 {
			left = 2 + rng.IntN(max(1, n/4))
			target = 0
			if chance(rng, 0.6) {
				target = between(rng, 0.4, 1)
			}
			f.segments++
		}
		left--
		prev := 0.0
		if t > 0 {
			prev = f.loud[t-1]
		}
		rate := decay
		if target > prev {
			rate = attack
		}
		f.loud[t] = mix(prev, target, rate)
		f.seg[t] = f.segments - 1
	}
	for range f.segments {
		f.formants = append(f.formants, [3]float64{between(rng, 0.02, 0.3), between(rng, 0.2, 0.6), between(rng, 0.4, 1)})
	}
	return f
}

// glide is a track that moves towards its segment's value, with frame noise.
func (f *frames) glide(value func(seg int) float64, rate, noise float64) []float64 {
	values := make([]float64, f.segments)
	for i := range values {
		values[i] = value(i)
	}
	out := make([]float64, f.n)
	at := values[f.seg[0]]
	for t := range out {
		at = mix(at, values[f.seg[t]], rate)
		out[t] = at + mul(noise, normal(f.rng))
	}
	return out
}

// cepstral is the track of coefficient k. The first is loudness, low for
// silence with a long tail; the k-th spreads about as 0.35/(k+1.2) of it, and
// more while there is sound.
func (f *frames) cepstral(k int) []float64 {
	if k == 0 {
		out := f.glide(func(int) float64 { return 0 }, 1, 0.015)
		for t := range out {
			out[t] += mix(f.quiet, 0.97, f.loud[t])
		}
		return out
	}
	dev := mul(0.16, 0.35/(float64(k)+1.2))
	bias := mul(mul(0.4, dev), normal(f.rng))
	out := f.glide(func(int) float64 { return mul(dev, mul(normal(f.rng), exp2(mul(0.5, normal(f.rng))))) }, 0.4, mul(0.35, dev))
	for t := range out {
		out[t] = 0.82 + bias + mul(out[t], mul(f.vivid, mix(0.5, 1.8, f.loud[t])))
	}
	return out
}

// band is the track of the filter at place x on the frequency axis, 0 … 1:
// background with a downward tilt, formants, and a little noise.
func (f *frames) band(x float64) []float64 {
	tilt := mul(f.level+0.4, 1-mul(0.6, x))
	out := f.glide(func(seg int) float64 {
		v := 0.0
		for _, c := range f.formants[seg] {
			d := (x - c) / (0.06 + mul(0.1, c))
			v = max(v, 1/(1+mul(d, d)))
		}
		return v
	}, 0.5, 0.05)
	for t := range out {
		out[t] = mul(0.45, tilt) + mul(mul(f.loud[t], out[t]), 0.55) + 0.15
	}
	return out
}

// vector fills a flat feature vector: a smooth curve along its length, as
// spectra and sequences have, and heavy-tailed noise of each feature's own.
func vector(dst []float32, rng *rand.Rand, u dials) {
	side := 4
	for side*side < len(dst) {
		side *= 2
	}
	curve, step := newTile(side, 0.8, rng), float64(side)/float64(len(dst))
	level := mul(0.08, bell(u[0]))
	for i := range dst {
		x := mul(float64(i), step)
		own := mul(normal(rng), exp2(mul(0.5, normal(rng))))
		dst[i] = float32(clamp(0.5 + level + mul(0.12, curve.sample(x, 0)) + mul(0.05, own)))
	}
}
