package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// rangeCost is what the range [lo, hi] costs by definition: the squares of what
// is cut off, and the variance of rounding for the rest.
func rangeCost(values []float32, lo, hi float64) float64 {
	step := (math.Max(hi, 0) - math.Min(lo, 0)) / 255
	total := 0.0
	for _, x := range values {
		switch v := float64(x); {
		case v < lo:
			total += (lo - v) * (lo - v)
		case v > hi:
			total += (v - hi) * (v - hi)
		default:
			total += step * step / 12
		}
	}
	return total
}

// No range between seven eighths of the full one and the full one costs
// noticeably less than the one that is chosen.
func TestLeastErrorRange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	families := map[string]func() float64{
		"normal":    r.NormFloat64,
		"rectified": func() float64 { return math.Max(0, r.NormFloat64()) },
		"uniform":   r.Float64,
		"negative":  func() float64 { return -r.Float64() },
		"heavy":     func() float64 { return math.Exp(1.5*r.NormFloat64()) - 1 },
		"lopsided":  func() float64 { return math.Exp(2*r.NormFloat64()) - 0.5*r.Float64() },
		"constant":  func() float64 { return 3 },
	}
	for name, draw := range families {
		t.Run(name, func(t *testing.T) {
			values := make([]float32, 3000)
			all := Range{}
			for i := range values {
				values[i] = float32(draw())
				all = all.hull(Range{float64(values[i]), float64(values[i])})
			}
			got := leastErrorRange(values, all)
			if got.within(all) != got {
				t.Fatalf("%v is outside %v", got, all)
			}
			cost := rangeCost(values, got.Lo, got.Hi)
			for i := 0.875; i <= 1; i += 0.01 {
				for k := 0.875; k <= 1; k += 0.01 {
					if c := rangeCost(values, all.Lo*i, all.Hi*k); c < 0.97*cost {
						t.Fatalf("%v costs %g, [%g, %g] costs %g", got, cost, all.Lo*i, all.Hi*k, c)
					}
				}
			}
		})
	}
}

// A range is cut where that pays, and only there.
func TestLeastErrorRangeCuts(t *testing.T) {
	even := make([]float32, 2000)
	for i := range even {
		even[i] = float32(i) / 2000
	}
	if r := leastErrorRange(even, Range{0, 1}); r.Lo != 0 || r.Hi < 0.99 {
		t.Errorf("evenly spread values are cut to %v", r)
	}
	outlier := append([]float32{1.9}, even...)
	if hi := leastErrorRange(outlier, Range{0, 1.9}).Hi; hi > 1.05 {
		// Rounding 2000 values costs 2000·(1.9/255)²/12 = 0.009 there and a
		// quarter of that at 0.95, where cutting off costs 0.9: it does not pay.
		t.Logf("one outlier of two thousand keeps the range at %g", hi)
	} else {
		t.Errorf("cut to %g: the outlier's error is far more than rounding", hi)
	}
	many := make([]float32, 0, 1<<20)
	for range 500 {
		many = append(many, even...)
	}
	many = append(many, 1.9)
	if hi := leastErrorRange(many, Range{0, 1.9}).Hi; hi > 1.9*0.88 {
		t.Errorf("one outlier of a million keeps the range at %g", hi)
	}
}

// A made-up input that drives a tensor where no other does leaves its range as
// it was.
func TestUsual(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	stats := func(samples, positions int, outlier float32) *tensorStats {
		s := newTensorStats(2, false)
		for i := range samples {
			v := make([]float32, 2*positions)
			for k := range v {
				v[k] = float32(r.NormFloat64())
			}
			if i == 3 {
				v[1] = outlier
			}
			m := channelMoments(v, 2)
			s.join(m, nil, nil, samples)
		}
		s.Range = bounds(s.channels)
		return s
	}
	if r := stats(64, 100, 200).usual(); r.Hi > 5 || r.Hi < 2 || r.Lo > -2 {
		t.Errorf("%v with one sample of 64 at 200", r)
	}
	s := stats(64, 100, 0)
	if r := s.usual(); r.within(s.Range) != r || r.Hi < 0.7*s.Hi {
		t.Errorf("%v of %v without outliers", r, s.Range)
	}
	for _, s := range []*tensorStats{stats(7, 100, 200), stats(64, 4, 200)} {
		if hi := s.usual().Hi; hi != 200 {
			t.Errorf("%g: too little is known to call 200 an outlier", hi)
		}
	}
	for samples, want := range map[int]float64{64: 200, 256: 5} {
		if hi := stats(samples, 4, 200).usual().Hi; hi > want || hi < 2 {
			t.Errorf("%g with one sample of %d and 4 positions at 200, want %g at most", hi, samples, want)
		}
	}
	given := stats(256, 4, 200)
	given.given = true
	if hi := given.usual().Hi; hi != 200 {
		t.Errorf("%g, though a given sample has 200", hi)
	}
	rare := stats(256, 100, 0)
	for i := range 12 { // a kind of their own
		rare.seen.highs[2*20*i+1] = 50
	}
	rare.Range.Hi = 50
	if hi := rare.usual().Hi; hi > 5 {
		t.Errorf("%g by 12 of 256 made-up samples", hi)
	}
	rare.given = true
	if hi := rare.usual().Hi; hi > 5 {
		t.Errorf("%g by 12 of 256 photographs", hi)
	}
	rare.kinds = true
	if hi := rare.usual().Hi; hi != 50 {
		t.Errorf("%g, though 12 of 256 given samples of features have 50", hi)
	}
	rare.seen.highs[1] = 1000
	if hi := rare.usual().Hi; hi != 50 {
		t.Errorf("%g with one of 256 given samples at 1000", hi)
	}
	scaled := stats(64, 100, 200)
	scaled.seen.apply(2, func(c int, x float64) float64 { return x * float64(2-c) })
	if hi := scaled.usual().Hi; hi < 4 || hi > 10 {
		t.Errorf("%g after the first channel was doubled", hi)
	}
}

// What counts as usual is what the two fences say, by hand.
func TestLargestUsual(t *testing.T) {
	for _, c := range []struct {
		seen []float64
		want float64
		why  string
	}{
		{[]float64{10, 10, 10, 11, 11, 12, 12, 14.8, 16}, 14.8, "quartiles 10 and 12: differences end at 15, factors at 14.4"},
		{[]float64{1, 1, 1, 2, 3, 3, 3, 8, 10}, 8, "quartiles 1 and 3: differences end at 6, factors at 9"},
		{[]float64{-2, -2, -1, 0, 1, 2, 3, 6, 10}, 6, "quartiles -1 and 3: differences end at 9, there are no factors"},
		{[]float64{5, 5, 5, 5, 5, 5, 5, 5, 100}, 5, "one outlier"},
	} {
		if got := largestUsual(slices.Clone(c.seen)); got != c.want {
			t.Errorf("%v: %g, want %g: %s", c.seen, got, c.want, c.why)
		}
	}
}

// Of a hundred samples the farthest is left out if it goes half as far again as all others.
func TestFarthestOfFew(t *testing.T) {
	for _, c := range []struct {
		others, farthest float64
		samples          int
		want             float64
		why              string
	}{
		{4, 6.1, 100, 4, "more than half as far again"},
		{4, 5.9, 100, 5.9, "less than half as far again"},
		{4, 6.1, 99, 6.1, "too few samples"},
		{-4, -1, 100, -1, "all answers are below 0"},
		{0, 3, 100, 3, "what is 0 nearly always has no size to compare"},
	} {
		v := slices.Repeat([]float64{c.others}, c.samples)
		v[7] = c.farthest
		if got := farthestOfFew(v); got != c.want {
			t.Errorf("%d samples of %g but one of %g: %g, want %g: %s", c.samples, c.others, c.farthest, got, c.want, c.why)
		}
	}
	four := slices.Concat(slices.Repeat([]float64{4}, 299), []float64{20, 20, 20, 20})
	if got := farthestOfFew(four); got != 20 {
		t.Errorf("four samples of 303 at 20, all others at 4: %g, since three at most are left out", got)
	}
}

// Of given samples none is left out: what is rare in them is real.
func TestGivenSamplesAllCount(t *testing.T) {
	m := Chain(Input(1, 4, 4, 3), Conv(4, 3), Mean(), Dense(3))
	samples := Inputs(m, 9, 2*oneIn, 0.1)
	for i := range samples[5][0] {
		samples[5][0][i] *= 10
	}
	j := jobAfter(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
	for _, op := range j.graph.Ops[1:] {
		s := j.stats[op.Outputs[0]]
		if r := s.usual(); r != s.Range {
			t.Errorf("%q is in %v, usually in %v", outputName(op), s.Range, r)
		}
	}
}

// Each rule for ranges is what its name says.
func TestRangeRules(t *testing.T) {
	m := Chain(Input(1, 16, 16, 3), Conv(4, 3, ReLU6), Conv(4, 3, ReLU6))
	for rule, want := range map[RangeRule]func(*tensorStats) (lo, hi float64){
		MinMax: func(s *tensorStats) (lo, hi float64) { return s.Lo, s.Hi },
		SixDeviations: func(s *tensorStats) (lo, hi float64) {
			for _, m := range s.preActivation() {
				hi = math.Max(hi, math.Min(6, m.mean+6*math.Sqrt(m.square/m.n)))
			}
			return 0, hi
		},
	} {
		o := stated()
		o.Ranges = rule
		j := jobAfter(t, m, o, "assign ranges")
		x := j.graph.Ops[0].Outputs[0]
		wantLo, wantHi := want(j.stats[x])
		if lo, hi := affine.Int8.Range(params(x.Quant)); !(math.Abs(lo-wantLo) <= 1e-5) || !(math.Abs(hi-wantHi) <= 1e-5) {
			t.Errorf("rule %d gives [%g, %g], want [%g, %g]", rule, lo, hi, wantLo, wantHi)
		}
	}
}

// Ops that demand one scale get it, and tensors that they do not touch keep
// their own.
func TestScaleGroups(t *testing.T) {
	b := New(1)
	x := b.Input(1, 8, 8, 3)
	y := Conv(4, 1, ReLU)(b, x)
	pooled := Pool(schema.BuiltinOperatorMAX_POOL_2D, 2)(b, y)
	gate := Unary(schema.BuiltinOperatorLOGISTIC, nil)(b, pooled)
	joined := Concat(Identity(), Conv(2, 1))(b, pooled)
	m := b.Model(joined, gate)
	j := jobAfter(t, m, stated(), "assign ranges")
	at := func(t *tflite.Tensor) *tflite.Quantization {
		for _, c := range j.graph.Tensors() {
			if c.Name == t.Name {
				return c.Quant
			}
		}
		return nil
	}
	if params(at(y)) != params(at(pooled)) || params(at(pooled)) != params(at(joined)) {
		t.Errorf("pooling and concatenation have %v, %v, %v", at(y), at(pooled), at(joined))
	}
	if p := params(at(gate)); p.Scale != 1./256 || p.Zero != -128 {
		t.Errorf("LOGISTIC has %v", at(gate))
	}
	if p := params(at(x)); p.Scale != float32(2./255) {
		t.Errorf("the input in [−1, 1] has %v", at(x))
	}
}

// An operand of CONCATENATION with readers of its own and a far smaller range
// keeps it, and is rounded anew but once.
func TestSmallOperandsKeepTheirScale(t *testing.T) {
	b := New(1)
	x := b.Input(1, 8, 8, 3)
	small := Sequence(Conv(4, 1), Scale(0.001))(b, x)
	other := Conv(4, 1)(b, small)
	joined := Concat(Identity(), Identity(), Sequence(Conv(4, 1), Scale(100)))(b, small)
	q, _ := quantize(t, b.Model(other, joined), stated())
	quantizes := 0
	for _, op := range q.Graphs[0].Ops {
		if op.Code == schema.BuiltinOperatorQUANTIZE {
			quantizes++
			if from, to := scaleOf(op.Inputs[0]), scaleOf(op.Outputs[0]); from > to/1000 {
				t.Errorf("from scale %g to %g", from, to)
			}
		}
	}
	if quantizes != 1 {
		t.Errorf("%d QUANTIZE ops, want one\n%v", quantizes, q)
	}
}

// A part of a tensor that is far smaller than the whole keeps the whole's scale, in which it
// was rounded: another would round it again.
func TestPartsKeepTheScale(t *testing.T) {
	part := into(schema.BuiltinOperatorSLICE, nil, []int{1, 8, 8, 2}, []int{0, 0, 0, 2}, []int{1, 8, 8, 2})
	q, _ := quantize(t, Chain(Input(1, 8, 8, 3), Conv(4, 1), Scale(1, 1, 0.01, 0.01), part, Conv(2, 1)), stated())
	for _, op := range q.Graphs[0].Ops[1:] {
		if op.Code == schema.BuiltinOperatorQUANTIZE {
			t.Errorf("%q is rounded once more\n%v", op.Inputs[0].Name, q)
		}
	}
}

// Inputs of different ranges that are joined keep them, and what joins them holds both.
func TestJoinedInputs(t *testing.T) {
	b := New(1)
	x, y := b.Input(1, 8, 8, 2), b.Input(1, 8, 8, 2)
	joined := b.Op("joined", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, []int{1, 8, 8, 4}, x, y)
	opts := &Options{Samples: 4, Inputs: []InputRange{{Range: Range{-1, 1}}, {Range: Range{0, 8}}}}
	j := jobAfter(t, b.Model(Conv(2, 1)(b, joined)), opts, "assign ranges")
	op := j.graph.Ops[0]
	for k, want := range opts.Inputs {
		if lo, hi := affine.Int8.Range(params(op.Inputs[k].Quant)); !(math.Abs(lo-want.Range.Lo) <= 0.02) || !(math.Abs(hi-want.Range.Hi) <= 0.02) {
			t.Errorf("input %d has the range [%g, %g], want %v", k, lo, hi, want.Range)
		}
	}
	if lo, hi := affine.Int8.Range(params(op.Outputs[0].Quant)); lo > -0.5 || hi < 6 {
		t.Errorf("what joins them has the range [%g, %g]", lo, hi)
	}
}

// Answers have room beyond what made-up inputs reach, above more than below, and
// some beyond what a few real ones do. What is an input still, but for what was added to it, goes little further.
func TestAnswerRoom(t *testing.T) {
	m, cleaned := Chain(Input(1, 16, 16, 3), Conv(4, 3)), Chain(Input(1, 16, 16, 3), Residual(Conv(3, 3)))
	real := stated()
	real.Calibration = Inputs(m, 1, 16, 1)
	for _, c := range []struct {
		m            *tflite.Model
		opts         *Options
		below, above float64
	}{{m, stated(), 1.4, 2}, {m, real, 1.3, 1.3}, {cleaned, stated(), 1.3, 1.3}} {
		j := jobAfter(t, c.m, c.opts, "assign ranges")
		x := j.graph.Outputs[0]
		usual := j.stats[x].usual()
		lo, hi := affine.Int8.Range(params(x.Quant))
		// The ends lie on the grid of int8.
		if step := scaleOf(x); !(math.Abs(lo-c.below*usual.Lo) <= float64(step)) || !(math.Abs(hi-c.above*usual.Hi) <= float64(step)) {
			t.Errorf("usual is %v, the range [%g, %g]", usual, lo, hi)
		}
	}
}

// What ranges are chosen from meets every channel, of any number.
func TestSomeMeetEveryChannel(t *testing.T) {
	for channels := 1; channels <= 1000; channels++ {
		rows := make([]float32, leastRows*channels)
		for i := range rows {
			rows[i] = float32(i % channels)
		}
		seen := map[float32]int{}
		few := some(rows, channels, rangeValues)
		for _, x := range few {
			seen[x]++
		}
		if len(seen) < channels || len(rows) >= rangeValues && len(few) < rangeValues/4 {
			t.Errorf("%d of %d channels in %d values of %d", len(seen), channels, len(few), len(rows))
		}
	}
}

// One over the contrast of a whole image has room, that of each position has none.
func TestNormRoom(t *testing.T) {
	for name, test := range map[string]struct {
		axes []int
		room float64
	}{"of the image": {[]int{1, 2, 3}, normRoom}, "of each position": {[]int{3}, 1}} {
		b := New(1)
		x := Conv(4, 3)(b, b.Input(1, 8, 8, 3))
		mean := func(x *tflite.Tensor) *tflite.Tensor {
			shape := slices.Clone(x.Shape)
			for _, a := range test.axes {
				shape[a] = 1
			}
			return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, shape, x, b.Ints([]int{len(test.axes)}, test.axes...))
		}
		centre := mean(x)
		variance := mean(b.Op("square", schema.BuiltinOperatorSQUARED_DIFFERENCE, nil, x.Shape, x, centre))
		root := b.Op("root", schema.BuiltinOperatorRSQRT, nil, variance.Shape, variance)
		y := b.Op("product", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, root)
		j := jobAfter(t, b.Model(Sequence(Mean(), Dense(3))(b, y)), stated(), "assign ranges")
		for _, op := range j.graph.Ops {
			if op.Code != schema.BuiltinOperatorRSQRT {
				continue
			}
			_, hi := affine.Int8.Range(params(op.Outputs[0].Quant))
			if usual := LeastError.choose(j.stats[op.Outputs[0]]).Hi; !(math.Abs(hi/usual-test.room) <= 0.01) {
				t.Errorf("%s: up to %g, want %g times %g", name, hi, test.room, usual)
			}
		}
	}
}

// Answers that made-up inputs bring to about 0 at best, as a map of what is rare, have room above all the
// same: counted from their mean.
func TestRoomOfAnswersAboutZero(t *testing.T) {
	for _, c := range []struct{ lo, hi, mean, want float64 }{
		{-8, 4, -2, 8}, // as usual: twice
		{-8, 0, -4, 4},
		{-8, -2, -6, 2},
		{-8, -4, -5, -3}, // and 0 is in every range
		{-8, 1.5, 1, 3},  // the mean is no farther away than 0
		{0, 4, 1, 8},
	} {
		x := &tflite.Tensor{Name: "answer", Shape: []int{1, 1}}
		s := newTensorStats(1, false)
		s.Range = Range{c.lo, c.hi}
		s.channels = []moments{{n: 1, mean: c.mean}}
		j := &job{opts: &Options{}, stats: map[*tflite.Tensor]*tensorStats{x: s}}
		got := (&rangePlan{job: j}).rangeOf(x, true, false)
		if math.Abs(got.Hi-c.want) > 1e-9 || math.Abs(got.Lo-roomBelow*c.lo) > 1e-9 {
			t.Errorf("seen %g to %g, mean %g: %v, want up to %g", c.lo, c.hi, c.mean, got.Range, c.want)
		}
	}
}
