package dfq

import (
	"fmt"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// spectrum is what turns sound into features, in small: bands whose powers are decades apart,
// some filters that pass them on, and log.
func spectrum(offset float32, filters int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		const bands = 16
		for n := range filters + 1 {
			w := b.Floats([]int{bands, x.Shape[1]}, 0)
			if n == 0 {
				w = b.Random(0, 1, w.Shape...)
			}
			v := w.Floats()
			for i := range v {
				switch band := i / x.Shape[1]; {
				case n == 0:
					v[i] /= float32(int(1) << band) // 6 dB of power from band to band
				case i%x.Shape[1] == band:
					v[i] = 1
				}
			}
			w.SetFloats(v)
			x = b.Op("bands", schema.BuiltinOperatorFULLY_CONNECTED, &schema.FullyConnectedOptionsT{}, []int{x.Shape[0], bands}, x, w)
		}
		power := b.Op("power", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, product(b, x, x), b.Floats([]int{1}, offset))
		return Unary(schema.BuiltinOperatorLOG, nil)(b, power)
	}
}

// What LOG reads of powers stays float as far back as it takes, and what follows is INT8;
// where LOG hardly tells small values apart, where that would take much of the network, or
// where nothing is to stay float, all is as ever.
func TestSpareSmall(t *testing.T) {
	for name, test := range map[string]struct {
		front  Layer
		strict bool
		float  []string
		least  float64 // dB
		finds  bool
	}{
		"powers":           {spectrum(1e-9, 0), false, []string{"0 FULLY_CONNECTED", "1 MUL", "2 ADD", "3 LOG"}, 30, false},
		"through a filter": {spectrum(1e-9, 1), false, []string{"0 FULLY_CONNECTED", "1 FULLY_CONNECTED", "2 MUL", "3 ADD", "4 LOG"}, 30, false},
		"few decades":      {spectrum(10, 0), false, []string{"3 LOG"}, 25, false},
		"through many":     {spectrum(1e-9, mostSpared), false, []string{"7 LOG"}, -200, true},
		"strict":           {spectrum(1e-9, 0), true, nil, -200, true},
	} {
		m := Chain(Input(8, 64), test.front, Dense(12, ReLU), Dense(4))
		opts := Options{AllowFloat: !test.strict, Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if test.strict {
			opts.Target = "tflite-2.21"
		}
		q, r := quantize(t, m, &opts)
		var got []string
		for _, op := range r.Float {
			got = append(got, fmt.Sprint(op.Index, " ", op.Name))
		}
		slices.Sort(got)
		if !slices.Equal(got, test.float) {
			t.Errorf("%s: %q stay float, want %q", name, got, test.float)
		}
		if sqnr := sqnrOf(t, m, q, evaluate, opts.Calibration); sqnr < test.least {
			t.Errorf("%s: %.1f dB", name, sqnr)
		}
		found := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Name == hiddenBefore.name })
		if found != test.finds {
			t.Errorf("%s: found what LOG makes of zeros: %t", name, found)
		}
	}
}
