package stimulus

import "math"

// Domain is where an input lives: real value = Lo + (Hi-Lo)·unit value.
type Domain struct{ Lo, Hi float64 }

// DomainFor estimates the domain of an input from the layer that reads it, for
// want of metadata. shape and kind are the input's; weights are the layer's
// filters as [out][height][width][channels], height × width being kernel (1 × 1
// for a dense layer on a vector); bias has one value per filter.
//
// It rests on what training leaves behind. Normalization, explicit or folded,
// keeps a layer's outputs of order one around zero, so
//
//   - the mean m of the input solves bias + m·Σw ≈ 0 over all filters, in the
//     least-squares sense: m = -Σ bias·Σw / Σ (Σw)²;
//   - its deviation makes the filters' root mean square response about 0.7.
//
// The width is true to a factor of about two, and chosen on the wide side. Images have
// better evidence than this. ok is false if the weights say nothing: no filter responds,
// or they do not fit the shape.
func DomainFor(shape []int, kind Kind, kernel [2]int, weights, bias []float32) (d Domain, ok bool) {
	f := frameOf(shape, kind)
	taps := kernel[0] * kernel[1] * f.c
	if kernel[0] < 1 || kernel[1] < 1 || taps == 0 || len(bias) == 0 || len(weights) != taps*len(bias) || kernel[0] > f.h || kernel[1] > f.w || f.planar {
		return Domain{}, false
	}
	// The signals look alike at every scale, so a part of a large plane will do.
	f.h, f.w = min(f.h, max(96, kernel[0])), min(f.w, max(96, kernel[1]))
	center, response := responses(f, kind, kernel, weights)
	mean := inputMean(weights, bias)
	if !(response > 1e-12) || math.IsInf(response, 0) || math.IsNaN(mean) || math.IsInf(mean, 0) {
		return Domain{}, false
	}
	// A domain too wide costs less than a bit, one too narrow clips: be generous.
	width := 1.4 * typicalResponse / response
	lo := mean - mul(width, center)
	return Domain{lo, lo + width}, true
}

// typicalResponse is the root mean square over filters of the deviation of
// their outputs, before activation: between 0.25 and 2.7 in 17 public
// networks, with the logarithm's mean here.
const typicalResponse = 0.72

// inputMean is the constant input that brings the filters' outputs closest to
// zero, shrunk towards zero as far as the fit may be chance (James and Stein).
func inputMean(weights, bias []float32) float64 {
	taps := len(weights) / len(bias)
	var bs, ss, bb float64
	for o, b := range bias {
		sum := 0.0
		for _, w := range weights[o*taps : (o+1)*taps] {
			sum += float64(w)
		}
		bs += mul(float64(b), sum)
		ss += mul(sum, sum)
		bb += mul(float64(b), float64(b))
	}
	if ss == 0 || bb == 0 || bs == 0 || len(bias) < 2 {
		return 0
	}
	fit := mul(bs, bs) / mul(bb, ss) // squared correlation
	keep := max(0, 1-(1-fit)/mul(float64(len(bias)-1), fit))
	return -mul(keep, bs/ss)
}

// responses runs the filters over a few made-up samples in the unit domain. It
// returns the mean of the samples, and the root mean square over filters of
// the deviation of their outputs.
func responses(f frame, kind Kind, kernel [2]int, weights []float32) (mean, rms float64) {
	const samples, places = 16, 6
	size := f.h * f.w * f.c
	x := make([]float32, size)
	taps := kernel[0] * kernel[1] * f.c
	filters := len(weights) / taps
	sum, sq := make([]float64, filters), make([]float64, filters)
	shape := []int{1, f.h, f.w, f.c}
	patch := make([]float32, 0, taps)
	count := 0.0
	for i := range uint64(samples) {
		Fill(x, shape, kind, 0, i)
		for _, v := range x {
			mean += float64(v) / float64(size*samples)
		}
		ny, nx := min(places, f.h-kernel[0]+1), min(places, f.w-kernel[1]+1)
		for p := range ny * nx {
			y0, x0 := place(p/nx, ny, f.h-kernel[0]), place(p%nx, nx, f.w-kernel[1])
			patch = patch[:0]
			for y := y0; y < y0+kernel[0]; y++ {
				patch = append(patch, x[(y*f.w+x0)*f.c:(y*f.w+x0+kernel[1])*f.c]...)
			}
			count++
			for o := range filters {
				r := dot(patch, weights[o*taps:(o+1)*taps])
				sum[o] += r
				sq[o] += mul(r, r)
			}
		}
	}
	for o := range filters {
		m := sum[o] / count
		rms += max(0, sq[o]/count-mul(m, m)) / float64(filters)
	}
	return mean, math.Sqrt(rms)
}

// place spreads n places evenly over 0 … last.
func place(i, n, last int) int {
	if n < 2 {
		return last / 2
	}
	return i * last / (n - 1)
}

func dot(a, b []float32) float64 {
	s := 0.0
	for i, v := range a {
		s += mul(float64(v), float64(b[i]))
	}
	return s
}
