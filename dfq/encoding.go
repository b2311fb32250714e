package dfq

import (
	"fmt"
	"math"
	"slices"

	"dfq/tflite/metadata"
)

// Encoding maps the unit domain of a made-up signal to what a model reads:
// u ↦ lo + u·(hi − lo), per channel, or one for all.
type Encoding struct {
	Name string    `json:"name"`
	Lo   []float64 `json:"lo"` // the real value of pixel 0; one entry, or one per channel
	Hi   []float64 `json:"hi"` // that of pixel 255
}

func interval(lo, hi float64) Encoding {
	return Encoding{fmt.Sprintf("[%g, %g]", lo, hi), []float64{lo}, []float64{hi}}
}

// normalized is the encoding of pixels p in 0 … 255 as (p − mean)/std.
func normalized(name string, mean, std []float64) Encoding {
	e := Encoding{Name: name}
	if len(mean) == 0 || len(std) == 0 {
		return e
	}
	for c := range max(len(mean), len(std)) {
		m, s := mean[min(c, len(mean)-1)], std[min(c, len(std)-1)]
		e.Lo = append(e.Lo, 0-m/s) // no -0
		e.Hi = append(e.Hi, (255-m)/s)
	}
	return e
}

// imageNet is the usual mean and deviation of ImageNet photographs.
func imageNet() Encoding {
	return normalized("ImageNet mean and deviation",
		[]float64{0.485 * 255, 0.456 * 255, 0.406 * 255}, []float64{0.229 * 255, 0.224 * 255, 0.225 * 255})
}

// Usable reports whether e is made of ranges that float32 holds and that are not empty.
func (e Encoding) Usable() bool {
	if len(e.Lo) == 0 || len(e.Hi) == 0 {
		return false
	}
	for c := range max(len(e.Lo), len(e.Hi)) {
		if lo, hi := e.Lo[min(c, len(e.Lo)-1)], e.Hi[min(c, len(e.Hi)-1)]; !(lo < hi) || hi-lo > math.MaxFloat32 || math.Abs(lo) > math.MaxFloat32 {
			return false
		}
	}
	return true
}

// apply maps the elements of unit, element i of channel i / inner % channels.
func (e Encoding) apply(dst, unit []float32, channels, inner int) {
	for i, u := range unit {
		c := i / inner % channels
		lo, hi := e.Lo[min(c, len(e.Lo)-1)], e.Hi[min(c, len(e.Hi)-1)]
		dst[i] = float32(lo + float64((hi-lo)*float64(u)))
	}
}

// middle is where 0 lies in the unit domain, and whether that is about the middle: features of
// such a range were normalized.
func (e Encoding) middle() (zero float64, ok bool) {
	zero = -e.Lo[0] / (e.Hi[0] - e.Lo[0])
	return zero, len(e.Lo) == 1 && math.Abs(zero-0.5) < 0.2
}

// hull is the range that holds all encodings.
func hull(encodings []Encoding) Range {
	r := Range{math.Inf(1), math.Inf(-1)}
	for _, e := range encodings {
		r = r.hull(Range{slices.Min(e.Lo), slices.Max(e.Hi)})
	}
	return r
}

// fromMetadata reads the range that a model states of itself; why is empty if
// it states none.
func fromMetadata(t metadata.Tensor) (e Encoding, why string) {
	if len(t.Mean) > 0 && len(t.Std) > 0 && !slices.Contains(t.Std, 0) {
		return normalized("metadata", cast[float64](t.Mean), cast[float64](t.Std)), fmt.Sprintf("NormalizationOptions: mean %v, std %v", t.Mean, t.Std)
	}
	if len(t.Min) > 0 && len(t.Max) > 0 && slices.Min(t.Min) < slices.Max(t.Max) {
		return Encoding{"metadata", cast[float64](t.Min), cast[float64](t.Max)}, fmt.Sprintf("Stats: min %v, max %v", t.Min, t.Max)
	}
	return Encoding{}, ""
}
