package stimulus

import "math/rand/v2"

func spectrogram(dst []float32, h, w, c int, rng *rand.Rand) { vector(dst, rng) }

func vector(dst []float32, rng *rand.Rand) {
	for i := range dst {
		dst[i] = float32(clamp(0.5 + mul(0.15, normal(rng))))
	}
}
