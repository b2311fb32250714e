package stimulus

import (
	"math"
	"math/rand/v2"
	"testing"
)

// normalizedLayer makes random filters and biases whose outputs, on made-up
// samples in the domain d, have the deviation dev and a mean of about zero:
// what training with batch normalization and folding leaves.
func normalizedLayer(shape []int, kind Kind, kernel [2]int, filters int, d Domain, dev float64) (w, b []float32) {
	f := frameOf(shape, kind)
	taps := kernel[0] * kernel[1] * f.c
	rng := rand.New(rand.NewPCG(11, 12))
	for range filters {
		one := make([]float32, taps)
		lean, sum := rng.NormFloat64(), 0.0
		for i := range one {
			one[i] = float32(rng.NormFloat64() + 0.3*lean)
		}
		center, response := responses(f, kind, kernel, one)
		for i := range one {
			one[i] *= float32(dev / (response * (d.Hi - d.Lo)))
			sum += float64(one[i])
		}
		mean := d.Lo + (d.Hi-d.Lo)*center
		w, b = append(w, one...), append(b, float32(-mean*sum+0.2*rng.NormFloat64()))
	}
	return w, b
}

func TestDomainForFeatures(t *testing.T) {
	for _, c := range []struct {
		shape  []int
		kind   Kind
		kernel [2]int
	}{
		{[]int{1, 200}, Vector, [2]int{1, 1}},
		{[]int{1, 49, 10, 1}, Spectrogram, [2]int{10, 4}},
	} {
		want := Domain{-70, -10}
		w, b := normalizedLayer(c.shape, c.kind, c.kernel, 64, want, 1)
		got, ok := DomainFor(c.shape, c.kind, c.kernel, w, b)
		if width := got.Hi - got.Lo; !ok || width < 40 || width > 90 {
			t.Errorf("%v: guessed %v, %v, want about %v", c.kind, got, ok, want)
		}
		if d := math.Abs(got.Lo + got.Hi - want.Lo - want.Hi); d > 60 {
			t.Errorf("%v: centre of %v is far from that of %v", c.kind, got, want)
		}
	}
}

func TestDomainForRefuses(t *testing.T) {
	shape := []int{1, 32, 32, 3}
	w := make([]float32, 27*4)
	for name, f := range map[string]func() (Domain, bool){
		"no response": func() (Domain, bool) { return DomainFor(shape, Leaves, [2]int{3, 3}, w, make([]float32, 4)) },
		"no filter":   func() (Domain, bool) { return DomainFor(shape, Leaves, [2]int{3, 3}, nil, nil) },
		"other size":  func() (Domain, bool) { return DomainFor(shape, Leaves, [2]int{5, 3}, w, make([]float32, 4)) },
		"kernel too big": func() (Domain, bool) {
			return DomainFor([]int{1, 2, 2, 3}, Leaves, [2]int{3, 3}, w, make([]float32, 4))
		},
		"negative kernel": func() (Domain, bool) { return DomainFor(shape, Leaves, [2]int{-3, 3}, w, make([]float32, 4)) },
	} {
		if d, ok := f(); ok {
			t.Errorf("%s: guessed %v", name, d)
		}
	}
}
