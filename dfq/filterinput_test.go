package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	. "dfq/tflite/tflitetest"
)

// The error of a rounding is what it adds to the outputs, row by row: computed here
// one product at a time from the definition of each filter. The descent lessens it.
func TestSquaredError(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	const taps, channels, multiplier, n = 3, 4, 2, 10
	for _, depthwise := range []bool{false, true} {
		s := filterInput{rows: make([]float32, n*taps*channels), width: taps * channels}
		outputs, k := 5, taps*channels
		if depthwise {
			s.channels, outputs, k = channels, channels*multiplier, taps
		}
		for i := range s.rows {
			s.rows[i] = float32(1 + r.NormFloat64())
		}
		w, q, scales := make([]float32, outputs*k), make([]int8, outputs*k), make([]float32, outputs)
		for o := range scales {
			scales[o] = float32(0.1 + r.Float64())
		}
		for i := range w {
			w[i], q[i] = float32(r.NormFloat64()), int8(r.IntN(7)-3)
		}
		want := 0.0
		for o := range outputs {
			var y []float64
			for i := range n {
				sum := 0.0
				for tap := range taps {
					for c := range channels {
						at := o*k + tap*channels + c
						if depthwise {
							if c != o/multiplier {
								continue
							}
							at = tap*outputs + o
						}
						sum += (float64(scales[o])*float64(q[at]) - float64(w[at])) * float64(s.rows[i*s.width+tap*channels+c])
					}
				}
				y = append(y, sum)
			}
			mean, variance := 0.0, 0.0
			for _, v := range y {
				mean += v / n
			}
			for _, v := range y {
				variance += (v - mean) * (v - mean) / n
			}
			want += variance + keepMean*mean*mean
		}
		got := s.squaredError(w, q, scales)
		if !(math.Abs(got-want) <= 1e-4*want) {
			t.Errorf("depthwise %v: %g, want %g", depthwise, got, want)
		}
		for i, x := range w {
			o := i / k
			if depthwise {
				o = i % outputs
			}
			q[i] = int8(math.Round(float64(x / scales[o])))
		}
		nearest := s.squaredError(w, q, scales)
		if s.descend(w, q, scales); !(s.squaredError(w, q, scales) < 0.95*nearest) {
			t.Errorf("depthwise %v: the descent leaves %g of %g", depthwise, s.squaredError(w, q, scales), nearest)
		}
	}
}

// Second-order rounding is taken where inputs it was not fitted to bear it out, and
// dropped, with a word in the report, where they are of another kind.
func TestRoundingIsTakenOnEvidence(t *testing.T) {
	const k, outputs, n = 8, 4, 400
	m := Chain(Input(1, 1, 1, k), Conv(outputs, 1, Valid))
	for _, alike := range []bool{true, false} {
		j := jobAfter(t, m, stated(), "assign ranges")
		op := j.graph.Ops[0]
		f, w := spec(op).filter, op.Inputs[1]
		r := rand.New(rand.NewPCG(7, 3))
		rows := make([]float32, n*k)
		for i := range n {
			common := r.NormFloat64()
			for c := range k {
				sign := 1.0 // channels that rise together
				if !alike && i >= n*3/4 {
					sign = float64(1 - 2*(c%2)) // among the rows held out: against each other
				}
				rows[i*k+c] = float32(3*sign*common + 0.1*r.NormFloat64())
			}
		}
		j.stats[op.Inputs[0]].rows = rows
		if err := quantizeWeights(j); err != nil {
			t.Fatal(err)
		}
		nearest := roundNearest(w.Floats(), layoutOf(w, f.out), w.Quant.Scale)
		if alike == slices.Equal(j.weights[w], nearest) {
			t.Errorf("alike %v: rounded to nearest: %v", alike, !alike)
		}
		want := []DroppedCorrection{{0, "CONV_2D", op.Outputs[0].Name, "second-order rounding"}}
		if alike {
			want = nil
		}
		if got := slices.DeleteFunc(j.report.Dropped, func(d DroppedCorrection) bool { return d.Correction != "second-order rounding" }); !slices.Equal(got, want) {
			t.Errorf("alike %v: dropped %v, want %v", alike, got, want)
		}
	}
}

// Pixels are no patches, also where a group has as many weights as the input channels.
func TestFilterInputOfGroups(t *testing.T) {
	b := New(1)
	x := b.Input(1, 8, 8, 8)
	y := b.Op("grouped", schema.BuiltinOperatorCONV_2D, &schema.Conv2DOptionsT{Padding: schema.PaddingVALID, StrideH: 1, StrideW: 1, DilationHFactor: 1, DilationWFactor: 1},
		[]int{1, 7, 7, 8}, Conv(8, 1)(b, x), b.Random(0, 0.3, 8, 2, 2, 2), b.Random(0, 0.3, 8))
	opts := stated()
	opts.Target = "tflite" // the newest
	j := jobAfter(t, b.Model(y), opts, "estimate")
	if in, ok := j.filterInputOf(j.graph.Ops[1], conv); ok {
		t.Errorf("a grouped filter reads rows of %d", in.width)
	}
}

// Two halves that say the same bear a correction out, two that contradict each other
// do not, and one that says nothing new never stands in the way.
func TestHalvesAgree(t *testing.T) {
	for _, c := range []struct {
		early, late []float64
		want        bool
	}{
		{[]float64{1, -2}, []float64{1.1, -1.8}, true},
		{[]float64{1, -2}, []float64{-1, 2}, false},
		{[]float64{1, 0}, []float64{0, 1}, false}, // nothing in common: each adds to the other's
		{[]float64{1}, []float64{0.1}, false},
		{[]float64{1}, []float64{0.6}, true},
		{[]float64{0, 0}, []float64{0, 0}, true},
	} {
		for _, share := range []float64{1. / 3, 0.5} {
			all := make([]float64, len(c.early))
			for o := range all {
				all[o] = share*c.early[o] + (1-share)*c.late[o]
			}
			if got := agree(all, c.early, share); got != c.want {
				t.Errorf("%v and %v, %.1f of all: %v", c.early, c.late, share, got)
			}
		}
	}
}

// A bias is left as it is where the halves of the inputs disagree, and the report
// says so.
func TestBiasCorrectionIsTakenOnEvidence(t *testing.T) {
	m := Chain(Input(1, 6, 6, 4), Conv(6, 3, Valid))
	for _, alike := range []bool{true, false} {
		j := jobAfter(t, m, stated(), "quantize weights")
		op := j.graph.Ops[0]
		s := j.stats[op.Inputs[0]]
		for c := range s.channels {
			s.channels[c].mean, s.early[c].mean = 0.5, 0.55
			if !alike {
				s.early[c].mean = 5 // the late half: −4
			}
		}
		before := op.Inputs[2].Floats()
		if err := correctBiases(j); err != nil {
			t.Fatal(err)
		}
		if kept := slices.Equal(before, op.Inputs[2].Floats()); kept == alike {
			t.Errorf("alike %v: bias left as it was: %v", alike, kept)
		}
		if dropped := len(j.report.Dropped) > 0; dropped == alike {
			t.Errorf("alike %v: %v", alike, j.report.Dropped)
		}
	}
}

// early holds the first half of the samples, whatever order they were run in.
func TestEarlyMoments(t *testing.T) {
	s := newTensorStats(1, false)
	for i := range 4 {
		s.join([]moments{{n: 1, mean: float64(i)}}, nil, []float32{float32(i)}, 4)
	}
	if m := s.early[0]; m.n != 2 || m.mean != 0.5 {
		t.Errorf("early: %+v", m)
	}
	if m := s.channels[0]; m.n != 4 || m.mean != 1.5 {
		t.Errorf("all: %+v", m)
	}
}
