package gemm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSameBits holds AddProduct to the order and the roundings that it promises, in
// shapes around the blocks it works in, on parts of wider matrices.
func TestSameBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(rows, stride int) Panel {
		p := Panel{make([]float32, rows*stride), stride}
		for i := range p.Data {
			p.Data[i] = float32(rng.NormFloat64())
		}
		return p
	}
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 9}, {64, 192, 64}, {65, 193, 65}, {130, 17, 300}, {1, 400, 27}, {2, 3, 0}, {0, 3, 2}} {
		m, n, k := s[0], s[1], s[2]
		a, b, c := random(m, k+3), random(k, n+1), random(m, n+2)
		want := slices.Clone(c.Data)
		for i := range m {
			for j := range n {
				for l := range k {
					// Products of float32 are exact in float64.
					p := float32(float64(a.Data[i*a.Stride+l]) * float64(b.Data[l*b.Stride+j]))
					at := &want[i*c.Stride+j]
					*at = float32(float64(*at) + float64(p)) // float64 is wide enough for the sum to be rounded as if once
				}
			}
		}
		plain := Panel{slices.Clone(c.Data), c.Stride}
		AddProduct(c, a, b, m, n, k)
		addInOrder(plain, a, b, m, n, k)
		for i := range want {
			if math.Float32bits(c.Data[i]) != math.Float32bits(want[i]) || math.Float32bits(plain.Data[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%d×%d×%d, element %d: %v, in plain Go %v, want %v", m, k, n, i, c.Data[i], plain.Data[i], want[i])
			}
		}
	}
}

// BenchmarkAddProduct multiplies as a pointwise convolution of 14×14 pixels from 576
// channels to 96 does, of which none is 0: gonum skips zeros.
func BenchmarkAddProduct(b *testing.B) {
	const m, n, k = 196, 96, 576
	x, y, z := Panel{slices.Repeat([]float32{1, -1}, m*k/2), k}, Panel{make([]float32, k*n), n}, Panel{make([]float32, m*n), n}
	run := func(name string, product func(c, a, b Panel, m, n, k int)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				product(z, x, y, m, n, k)
			}
			b.ReportMetric(m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
	run("this processor", AddProduct)
	run("plain Go", addInOrder)
}
