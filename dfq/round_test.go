package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/dfq/internal/affine"
)

// randomFilter is [outputs][kernels·taps] with a scale for each output.
func randomFilter(r *rand.Rand, outputs, inner int) ([]float32, layout, []float32) {
	w := make([]float32, outputs*inner)
	for i := range w {
		w[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
	}
	l := layout{channels: outputs, inner: inner}
	return w, l, weightScales(w, l, false)
}

// errorSum is the sum of rounding errors, in steps, over some elements.
func errorSum(w []float32, q []int8, scale float32, elements []int) float64 {
	sum := 0.0
	for _, i := range elements {
		sum += float64(q[i]) - float64(w[i])/float64(scale)
	}
	return sum
}

// Errors of an output sum to half a step at most, those of a kernel to far less
// than with each weight at its nearest, and no weight is further than a step from
// its real value.
func TestRoundedSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	kernelSums, nearestSums := 0.0, 0.0
	for range 300 {
		outputs, kernels, taps := 1+r.IntN(4), 1+r.IntN(8), 1+r.IntN(9)
		w, l, scales := randomFilter(r, outputs, kernels*taps)
		of := make([]int, len(w))
		for i := range of {
			of[i] = i % l.inner / taps
		}
		q := preserveSums(roundNearest(w, l, scales), w, l, scales, of)
		nearest := roundNearest(w, l, scales)
		for o := range outputs {
			var all []int
			for k := range kernels {
				var elements []int
				for tap := range taps {
					elements = append(elements, (o*kernels+k)*taps+tap)
				}
				if taps > 2 {
					kernelSums += math.Abs(errorSum(w, q, scales[o], elements))
					nearestSums += math.Abs(errorSum(w, nearest, scales[o], elements))
				}
				all = append(all, elements...)
			}
			if s := errorSum(w, q, scales[o], all); math.Abs(s) > 0.5+1e-6 && len(all) > 1 {
				t.Fatalf("%d outputs of %d kernels of %d taps: errors of an output sum to %.2f", outputs, kernels, taps, s)
			}
		}
		for i, x := range w {
			v := float64(x) / float64(scales[l.channel(i)])
			if d := math.Abs(float64(q[i]) - v); d >= 1+1e-6 {
				t.Fatalf("%.2f became %d", v, q[i])
			}
			if float64(nearest[i]) != math.Round(v) {
				t.Fatalf("%.2f is rounded to %d without sums", v, nearest[i])
			}
		}
	}
	if kernelSums > 0.7*nearestSums {
		t.Errorf("errors of kernels sum to %.0f in all, with each at its nearest to %.0f", kernelSums, nearestSums)
	}
}

// The flips cost no more than any other choice of as many: each is of a weight
// nearer to its other neighbour than those left alone.
func TestBalanceFlipsTheCheapest(t *testing.T) {
	q := []int8{0, 0, 0, 0, 0}
	e := []float64{-0.45, -0.1, -0.4, -0.3, -0.35} // the weights are 0.45, 0.1, 0.4, …; the sum −1.6
	balance(q, e, []int{0, 1, 2, 3, 4})
	for i, want := range []int8{1, 0, 1, 0, 0} {
		if q[i] != want {
			t.Errorf("weight %d is %d, want %d", i, q[i], want)
		}
	}
}

// No weight leaves the narrow range for the sake of a sum.
func TestRoundingStaysInTheNarrowRange(t *testing.T) {
	w := make([]float32, 64)
	for i := range w {
		w[i] = 126.6 // nearest is 127; the sum asks for more
	}
	w[0] = 127
	for _, sign := range []float32{1, -1} {
		for i := range w {
			w[i] *= sign
		}
		q := preserveSums(roundNearest(w, layout{1, 64}, []float32{1}), w, layout{1, 64}, []float32{1}, make([]int, len(w)))
		sum := 0.0
		for i, x := range q {
			if x < -affine.QMaxWeight || x > affine.QMaxWeight {
				t.Fatalf("weight %d is %d", i, x)
			}
			sum += float64(x) - float64(w[i])
		}
		if !(math.Abs(sum) <= 0.5) {
			t.Errorf("errors sum to %.2f", sum)
		}
	}
}

// quadratic is eᵀ·H·e over all outputs, e in steps.
func quadratic(w []float32, q []int8, scales, h []float32, k int) float64 {
	total := 0.0
	for at := 0; at < len(w); at += k {
		for i := range k {
			for m := range k {
				s := float64(scales[min(at/k, len(scales)-1)])
				total += (float64(q[at+i]) - float64(w[at+i])/s) * float64(h[i*k+m]) * (float64(q[at+m]) - float64(w[at+m])/s)
			}
		}
	}
	return total
}

// The descent never ends above where it began, keeps to the neighbours of each
// real value, and nearly always finds the best of all roundings of a few weights.
func TestDescent(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	best := 0
	const rounds, k = 200, 5
	for range rounds {
		w, l, scales := randomFilter(r, 1, k)
		rows := make([]float32, 40*k)
		for i := range rows { // channels that go together
			rows[i] = float32(1 + r.NormFloat64()*0.3)
			if i%k > 0 {
				rows[i] += rows[i-1]
			}
		}
		h := secondMoments(rows, k)
		q := roundNearest(w, l, scales)
		before := quadratic(w, q, scales, h, k)
		descend(w, q, scales, h, k)
		after := quadratic(w, q, scales, h, k)
		if after > before*(1+1e-4)+1e-6 {
			t.Fatalf("from %g to %g", before, after)
		}
		for i, x := range w {
			if d := math.Abs(float64(q[i]) - float64(x/scales[0])); d >= 1.5 || math.Abs(float64(q[i])) > affine.QMaxWeight {
				t.Fatalf("%g steps became %d", x/scales[0], q[i])
			}
		}
		least := math.Inf(1)
		try := make([]int8, k)
		for bits := range 1 << k {
			for i, x := range w {
				try[i] = int8(math.Max(-127, math.Min(127, math.Floor(float64(x/scales[0]))+float64(bits>>i&1))))
			}
			least = math.Min(least, quadratic(w, try, scales, h, k))
		}
		if after <= least*1.001+1e-6 {
			best++
		}
	}
	if best < rounds*19/20 { // 7 of 8 without flips of two at a time
		t.Errorf("the best rounding was found %d times of %d", best, rounds)
	}
}

// Outputs descend one by one: what others are makes no difference.
func TestDescentOfManyOutputs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 2))
	const outputs, k, n = 6, 9, 60
	w, l, scales := randomFilter(r, outputs, k)
	rows := make([]float32, n*k)
	for i := range rows {
		rows[i] = float32(1 + r.NormFloat64())
	}
	h := secondMoments(rows, k)
	all := roundNearest(w, l, scales)
	changed := slices.Clone(all)
	descend(w, all, scales, h, k)
	for o := range outputs {
		alone := slices.Clone(changed[o*k:][:k])
		descend(w[o*k:][:k], alone, scales[o:][:1], h, k)
		if !slices.Equal(alone, all[o*k:][:k]) {
			t.Errorf("output %d is rounded to %v, alone to %v", o, all[o*k:][:k], alone)
		}
	}
	if slices.Equal(all[(outputs-1)*k:], changed[(outputs-1)*k:]) {
		t.Error("the last output is left at its nearest: what is tested?")
	}
}

// Second moments by their definition: covariances, half of each off the diagonal but where
// two inputs are one, and keepMean of the means' products. There are more inputs than are
// worked out at once.
func TestSecondMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	const k, n = panelRows + 20, 50
	rows := make([]float32, n*k)
	for i := range rows {
		rows[i] = float32(0.5 + r.NormFloat64())
		if i%k == k-1 {
			rows[i] = rows[i-k+4] // the last input is the fourth
		}
	}
	mean := make([]float64, k)
	for i, x := range rows {
		mean[i%k] += float64(x) / n
	}
	h := secondMoments(rows, k)
	moment := func(a, b int) float64 {
		sum := keepMean * mean[a] * mean[b]
		for i := range n {
			sum += (float64(rows[i*k+a]) - mean[a]) * (float64(rows[i*k+b]) - mean[b]) / n
		}
		return sum
	}
	for a := range k {
		for b := range k {
			want := moment(a, b)
			if a != b && !(min(a, b) == 3 && max(a, b) == k-1) {
				want /= 2
			}
			if got := float64(h[a*k+b]); !(math.Abs(got-want) < 1e-4) {
				t.Fatalf("of inputs %d and %d: %g, want %g", a, b, got, want)
			}
		}
	}
}

// A product of more rows than are worked out at once is what its definition says.
func TestMatrixProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2))
	const m, n, k = 150, 7, 5
	a, b := make([]float32, m*k), make([]float32, k*n)
	for _, v := range [][]float32{a, b} {
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
	}
	for i, got := range matrixProduct(a, b, m, n, k) {
		want := 0.0
		for l := range k {
			want += float64(a[i/n*k+l]) * float64(b[l*n+i%n])
		}
		if !(math.Abs(float64(got)-want) < 1e-5) {
			t.Fatalf("row %d, column %d: %g, want %g", i/n, i%n, got, want)
		}
	}
}
