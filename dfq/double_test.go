package dfq

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// dead takes the weights of some channels from the op before, whose biases become b:
// they answer b, or 0 behind a ReLU if that is negative.
func dead(b float32, channels ...int) Layer {
	return outputs(channels, func(w, bias []float32) {
		clear(w)
		bias[0] = b
	})
}

// outputs changes the weights and the bias of some outputs of the op before.
func outputs(channels []int, change func(w, bias []float32)) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		op := b.Graph.Ops[len(b.Graph.Ops)-1]
		f := spec(op).filter
		w, bias := op.Inputs[f.weights].Floats(), op.Inputs[f.bias].Floats()
		lay := layoutOf(op.Inputs[f.weights], f.out)
		for _, c := range channels {
			var at []int
			var own []float32
			for i, v := range w {
				if lay.channel(i) == c {
					at, own = append(at, i), append(own, v)
				}
			}
			change(own, bias[c:])
			for k, i := range at {
				w[i] = own[k]
			}
		}
		op.Inputs[f.weights].SetFloats(w)
		op.Inputs[f.bias].SetFloats(bias)
		return x
	}
}

// loud multiplies what the op before makes of a channel.
func loud(channel int, by float32) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		op := b.Graph.Ops[len(b.Graph.Ops)-1]
		f := spec(op).filter
		w := op.Inputs[f.weights].Floats()
		for i, at := range eachWeight(op, f) {
			if at.in == channel {
				w[i] *= by
			}
		}
		op.Inputs[f.weights].SetFloats(w)
		return x
	}
}

// behindDoubled are three more layers: the head of a network is left alone by rule.
var behindDoubled = Sequence(Conv(8, 3, ReLU), Conv(8, 3, ReLU), Conv(4, 1))

// doubled are networks whose channel 3 is loud and whose channels 1 and 5 are dead
// where they are read.
var doubled = map[string]Layer{
	"convolution":         Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), Conv(8, 1, ReLU), loud(3, 60)),
	"without activation":  Sequence(Conv(6, 3), dead(0, 1, 5), Conv(8, 3, ReLU), loud(3, 60)),
	"constant, one tap":   Sequence(Conv(6, 3, ReLU), dead(0.7, 1, 5), Conv(8, 1, ReLU), loud(3, 60)),
	"depthwise":           Sequence(Conv(6, 3, ReLU), Depthwise(3, ReLU), dead(-1, 1, 5), Conv(8, 1, ReLU), loud(3, 60)),
	"dead before":         Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), Depthwise(3), outputs([]int{1, 5}, func(_, b []float32) { b[0] = 0 }), Conv(8, 3, ReLU), loud(3, 60)),
	"two depthwise, pads": Sequence(Conv(6, 3, ReLU), Pad(1), Depthwise(3, ReLU, Valid), Depthwise(3, ReLU, Stride(2)), dead(-1, 1, 5), Pad(2), Conv(8, 3, ReLU, Valid), loud(3, 60)),
	"relu6":               Sequence(Conv(6, 3, ReLU6), Depthwise(3, ReLU6), outputs([]int{3}, func(_, b []float32) { b[0] = 5.5 }), dead(-1, 1, 5), Conv(8, 1, ReLU6), loud(3, 60)),
}

// firstDoubled are the channels that were doubled in what these networks are about: with
// weights at random some channel behind it is dead as well.
func firstDoubled(r *Report) []int {
	for _, d := range r.Doubled {
		if !strings.HasPrefix(d.Tensor, "conv_") {
			return d.Channels
		}
	}
	return nil
}

// Doubled channels change no output of the float graph, and what is known of the
// channels that carry copies is what estimation finds in the new graph.
func TestDoublingKeepsTheFunction(t *testing.T) {
	for name, layers := range doubled {
		for _, perTensor := range []bool{false, true} {
			m := ChainSeed(3, Input(1, 12, 12, 3), layers, behindDoubled)
			samples := Inputs(m, 7, 16, 1)
			opts := &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}, PerTensor: perTensor}
			j := jobAfter(t, m, opts, "double channels")
			if d := firstDoubled(j.report); len(d) != 2 {
				t.Errorf("%s: doubled %+v, want copies in both dead channels", name, j.report.Doubled)
				continue
			}
			if d, err := Compare(m, j.model, evaluate, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, nil); err != nil || d.Outputs[0].SQNR < 100 {
				t.Errorf("%s: the float graph answers as before to %+v dB, %v", name, d, err)
			}
			again := jobAfter(t, j.model, opts, "estimate")
			sameStatistics(t, name, j, again)
		}
	}
}

// sameStatistics compares what two jobs know of the same graph.
func sameStatistics(t *testing.T, name string, a, b *job) {
	t.Helper()
	near := func(x, y, of float64) bool { return math.Abs(x-y) <= 1e-4*of+1e-6 }
	other := map[string]*tensorStats{}
	for x, s := range b.stats {
		other[x.Name] = s
	}
	for x, s := range a.stats {
		o := other[x.Name]
		if o == nil {
			t.Errorf("%s: no %q in the other", name, x.Name)
			continue
		}
		for c, m := range s.channels {
			want, pre, early := o.channels[c], o.preActivation()[c], o.early[c]
			size := max(want.hi, -want.lo, pre.hi, -pre.lo)
			if !near(m.lo, want.lo, size) || !near(m.hi, want.hi, size) || !near(m.mean, want.mean, size) || !near(m.deviation(), want.deviation(), size) ||
				!near(s.preActivation()[c].mean, pre.mean, size) || !near(s.early[c].mean, early.mean, size) {
				t.Errorf("%s: channel %d of %q is %+v, found again %+v", name, c, x.Name, m, want)
			}
		}
		for _, v := range [][2][]float32{{s.rows, o.rows}, {s.seen.lows, o.seen.lows}, {s.seen.highs, o.seen.highs}} {
			for i, y := range v[0] {
				if !near(float64(y), float64(v[1][i]), o.Hi-o.Lo) {
					t.Fatalf("%s: value %d kept of %q is %g, found again %g", name, i, x.Name, y, v[1][i])
				}
			}
		}
	}
	patches := map[string][]float32{}
	for op, v := range b.patches {
		patches[op.Outputs[0].Name] = v
	}
	for op, v := range a.patches {
		for i, y := range v {
			if want := patches[op.Outputs[0].Name][i]; !near(float64(y), float64(want), 10) {
				t.Fatalf("%s: patch value %d of %q is %g, found again %g", name, i, op.Outputs[0].Name, y, want)
			}
		}
	}
}

// The INT8 model's reader of copies is closer to the float one than where there is no
// dead channel: there are live ones in its place, which nobody reads.
func TestDoublingPays(t *testing.T) {
	still := Sequence(loud(0, 0.01), loud(2, 0.01), loud(4, 0.01)) // the noise is that of channel 3
	unread := Sequence(loud(1, 0), loud(5, 0), loud(3, 60))
	tests := map[string][2]Layer{
		"convolution": {doubled["convolution"], Sequence(Conv(6, 3, ReLU), Conv(8, 1, ReLU), unread)},
		"depthwise":   {doubled["depthwise"], Sequence(Conv(6, 3, ReLU), Depthwise(3, ReLU), Conv(8, 1, ReLU), unread)},
	}
	for name, layers := range tests {
		var sqnr [2]float64
		for k, l := range layers {
			for seed := range uint64(4) {
				m := ChainSeed(seed, Input(1, 24, 24, 3), l, still, behindDoubled)
				samples := Inputs(m, 7, 16, 1)
				q, r := quantize(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}})
				if (firstDoubled(r) != nil) != (k == 0) {
					t.Errorf("%s: doubled %+v", name, r.Doubled)
				}
				_, byName := layersOf(t, m, q, samples)
				sqnr[k] += byName["conv_1"].SQNR / 4
			}
		}
		if sqnr[0] < sqnr[1]+0.8 { // the reader's own output is rounded too
			t.Errorf("%s: %.1f dB with copies, %.1f without", name, sqnr[0], sqnr[1])
		}
	}
}

// The mean of equal channels is that of one rounded to steps m times as small, whatever
// their number m, and a 0 stays 0. What a depthwise filter reads is apart by itself: what
// that makes of its outputs counts.
func TestCopiesAreRoundedApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for name, layers := range doubled {
		m := ChainSeed(3, Input(1, 12, 12, 3), layers, behindDoubled)
		j := jobAfter(t, m, &Options{Calibration: Inputs(m, 7, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}, "quantize weights")
		raised := map[*tflite.Tensor][]float64{} // by how much a channel is, in the mean where it is not 0
		for _, op := range j.graph.Ops {
			out := op.Outputs[0]
			if op.Code == schema.BuiltinOperatorPAD {
				raised[out] = raised[op.Inputs[0]]
			}
			if j.copies[op] == nil {
				continue
			}
			raised[out] = j.copyOffsets(op)
			if spec(op).filter == depthwise {
				share := j.stats[op.Inputs[0]].share(func(x float64) bool { return x != 0 })
				for i, at := range eachWeight(op, depthwise) {
					raised[out][at.out] += float64(op.Inputs[1].Floats()[i]) * share[at.in] * raised[op.Inputs[0]][at.in]
				}
			}
			step := float64(scaleOf(out))
			for _, equal := range j.copies[op] {
				n := float64(len(equal))
				for range 100 {
					x, mean := rng.Float64()*50, 0.0
					for _, c := range equal {
						shift := raised[out][c] / step
						mean += math.Round(x+shift) / n
						if math.Round(shift) != 0 {
							t.Fatalf("%s: channel %d is raised by %g steps, and 0 with it", name, c, shift)
						}
					}
					if between := n*x - math.Floor(n*x); math.Abs(between-0.5) > 1e-3 && math.Abs(mean-math.Round(n*x)/n) > 1e-6 {
						t.Fatalf("%s: %g steps became %g in the mean of %g channels", name, x, mean, n)
					}
				}
			}
		}
	}
}

// What must not be doubled is left alone: all of these would change answers, or carry
// their copies where they are not summed.
func TestNotDoubled(t *testing.T) {
	reader := Sequence(Conv(8, 1, ReLU), loud(3, 60))
	tests := map[string]Layer{
		"no dead channel": Sequence(Conv(6, 3, ReLU), reader),
		"alive beyond what was seen": Sequence(Conv(6, 3, ReLU), outputs([]int{1, 5}, func(w, b []float32) {
			reach := float32(0)
			for _, x := range w {
				reach += max(x, -x)
			}
			b[0] = -1.2 * reach // for inputs in [-1, 1] it cannot be above 0, for slightly larger ones it can
		}), reader),
		"constant at a border":  Sequence(Conv(6, 3, ReLU), dead(0.7, 1, 5), Conv(8, 3, ReLU), loud(3, 60)),
		"constant before a pad": Sequence(Conv(6, 3, ReLU), dead(0.7, 1, 5), Pad(1), Conv(8, 1, ReLU), loud(3, 60)),
		"read twice":            Sequence(Conv(8, 3, ReLU), dead(-1, 1, 5), Residual(Conv(8, 1), loud(3, 60))),
		"bound both ways":       Sequence(Conv(6, 3, fused("RELU_N1_TO_1")), dead(0, 1, 5), reader),
		"padded channels":       Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), padChannels, Conv(8, 1, ReLU), loud(5, 60)),
		"depth multiplier":      Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), Depthwise(3, ReLU, Multiplier(2)), reader),
		"a pool in between":     Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), reader),
		"nothing to gain":       Sequence(Conv(6, 3, ReLU), dead(-1, 1, 5), Conv(8, 1, ReLU), loud(0, 0), loud(2, 0), loud(3, 0), loud(4, 0)),
	}
	for name, layers := range tests {
		m := ChainSeed(3, Input(1, 12, 12, 3), layers, behindDoubled)
		opts := &Options{Calibration: Inputs(m, 7, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if j := jobAfter(t, m, opts, "double channels"); firstDoubled(j.report) != nil {
			t.Errorf("%s: doubled %+v", name, j.report.Doubled)
		}
	}
	answer := ChainSeed(3, Input(1, 12, 12, 3), doubled["convolution"], behindDoubled)
	answer.Graphs[0].Outputs = append(answer.Graphs[0].Outputs, answer.Graphs[0].Ops[0].Outputs[0])
	if j := jobAfter(t, answer, &Options{Samples: 16, Inputs: []InputRange{{Range: Range{-1, 1}}}}, "double channels"); firstDoubled(j.report) != nil {
		t.Errorf("itself an answer: doubled %+v", j.report.Doubled)
	}
	head := Chain(Input(1, 12, 12, 3), doubled["convolution"], Mean(), Dense(4))
	opts := &Options{Calibration: Inputs(head, 7, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
	if j := jobAfter(t, head, opts, "double channels"); len(j.report.Doubled) > 0 {
		t.Errorf("near the head: doubled %+v", j.report.Doubled)
	}
}

// Spares go one by one to the channel that gains most from one more of its kind: of 8
// to 2, of 2 to 1/2, then of 2 to 8/9, and of 8/9 to 1/2. 10 become 1.
func TestNoisiest(t *testing.T) {
	sources, gain := noisiest([]float64{2, 0, 8}, 4)
	if !slices.Equal(sources, []int{2, 0, 2, 2}) || !(math.Abs(gain-10) <= 1e-9) {
		t.Errorf("%v for %g dB, want [2 0 2 2] for 10", sources, gain)
	}
	// None is worth a copy where it takes less than half a percent away.
	even := make([]float64, 200)
	for i := range even {
		even[i] = 1
	}
	if sources, gain := noisiest(even, 4); len(sources) > 0 || gain != 0 {
		t.Errorf("%v for %g dB, want none", sources, gain)
	}
}

// The weights of copies add up to the channel's, and all but the last of them are
// whole steps of the scale they are given, also where that scale is the smaller for it.
func TestSharedWeights(t *testing.T) {
	for _, factor := range []float32{0.5, 5} { // the channel's weights are not, and are, the largest
		m := ChainSeed(3, Input(1, 12, 12, 3), Conv(6, 3, ReLU), Conv(8, 3, ReLU), loud(3, factor), behindDoubled)
		opts := &Options{Calibration: Inputs(m, 7, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		j := jobAfter(t, m, opts, "fill ranges")
		c := j.chainFrom(j.graph.Ops[0], j.graph.Uses())
		w := c.reader.Inputs[conv.weights]
		whole := w.Floats()
		c.shareWeights(j, [][]int{{0}, nil, {2}, {3, 1, 5}, {4}, nil})
		shared := w.Floats()
		scales := weightScales(shared, layoutOf(w, conv.out), false)
		apartFromGrid, n := 0.0, 0.0
		for i, x := range whole {
			if i%6 != 3 {
				if i%6 != 1 && i%6 != 5 && shared[i] != x {
					t.Errorf("a weight that nobody shares was %g and became %g", x, shared[i])
				}
				continue
			}
			sum := 0.0
			for _, c := range []int{3, 1, 5} {
				sum += float64(shared[i-3+c])
			}
			if !(math.Abs(sum-float64(x)) <= 1e-6) {
				t.Errorf("%g became %g", x, sum)
			}
			step := float64(scales[i/(3*3*6)])
			for _, c := range []int{3, 1} {
				steps := float64(shared[i-3+c]) / step
				apartFromGrid += math.Abs(steps - math.Round(steps))
				n++
			}
		}
		if off := apartFromGrid / n; off > 0.1 { // 0.25 for weights at random
			t.Errorf("shared weights are %.2f steps off a whole number", off)
		}
	}
}

// Copies are found in an INT8 model by its weights, and what is compared is the mean of a
// channel and its copies; the layers that make them and read them are compared as they are. So they are where the
// channels before were scaled, and all weights changed their proportions.
func TestLayersWithCopies(t *testing.T) {
	scaled := Sequence(Conv(8, 3, ReLU), Scale(1, 0.1, 0.02, 0.3), Conv(6, 3, ReLU), dead(-1, 1, 5), Conv(8, 1, ReLU), loud(3, 60))
	tests := map[string]Layer{"scaled before": scaled}
	maps.Copy(tests, doubled)
	for name, layers := range tests {
		m := ChainSeed(3, Input(1, 12, 12, 3), layers, behindDoubled)
		samples := Inputs(m, 7, 16, 1)
		q, r := quantize(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}})
		reader := "conv_1"
		if name == "scaled before" {
			reader = "conv_2"
			if len(r.Equalized) == 0 {
				t.Errorf("%s: nothing was scaled", name)
			}
		}
		if len(r.Doubled) == 0 {
			t.Errorf("%s: nothing was doubled", name)
		}
		all, _ := layersOf(t, m, q, samples)
		for _, l := range all {
			if l.SQNR < 25 || l.Alone < 33 {
				t.Errorf("%s: %+v", name, l)
			}
			if l.Name == reader {
				break
			}
		}
	}
}
