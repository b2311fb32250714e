package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// Filling ranges changes no output of the float graph, over all that passes
// scales on, and leaves every tensor the room that it had.
func TestFillKeepsTheFunction(t *testing.T) {
	keepsTheFunction(t, "fill ranges", false, func(t *testing.T, m *tflite.Model, opts *Options, j *job) {
		before, room := map[string]*tensorStats{}, map[string]*Range{}
		estimated := jobAfter(t, m, opts, "estimate")
		for tensor, r := range estimated.channelRooms() {
			before[tensor.Name], room[tensor.Name] = estimated.stats[tensor], r
		}
		silu := map[string]bool{} // tensors whose lower end may move, no further than what SiLU needs
		cut := map[string]bool{}  // those that SiLU reads: far below 0 it does not tell values apart
		for _, op := range j.parted {
			silu[op.Inputs[0].Name], cut[op.Inputs[0].Name] = true, true
			for _, u := range j.graph.Uses()[op.Inputs[0]] {
				silu[outputName(u.Op)] = true
			}
		}
		for tensor, s := range j.stats {
			if before[tensor.Name] == nil && silu[tensor.Name] {
				continue // what a parted gate reads
			}
			usual, old := s.usual(), before[tensor.Name].usual()
			if s.kept != nil {
				old = *room[tensor.Name]
			}
			lowest := old.Lo
			if silu[tensor.Name] {
				lowest = math.Min(old.Lo, -old.Hi/smallEnd)
			}
			if room := 1e-5 * (old.Hi - old.Lo); usual.Lo < lowest-room || usual.Lo > old.Lo+room || !(math.Abs(usual.Hi-old.Hi) <= room) {
				t.Errorf("%q has %v, before %v", tensor.Name, usual, old)
			}
			for c, m := range s.channels {
				b := before[tensor.Name].channels[c]
				if m.hi > b.hi*1.0001 && m.hi > usual.Hi/headroom*1.0001 || m.lo < b.lo*1.0001 && m.lo < lowest/headroom*1.0001 && !cut[tensor.Name] {
					t.Errorf("%q, channel %d was scaled from [%g, %g] to [%g, %g] and has no headroom in %v", tensor.Name, c, b.lo, b.hi, m.lo, m.hi, usual)
				}
			}
		}
	})
}

// Small channels that are scaled up are as wide in every sample. The samples with the
// widest of the others must not count as outliers for that: the usual range would
// shrink, and close the headroom.
func TestFillKeepsHeadroom(t *testing.T) {
	m := ChainSeed(1, Input(1, 16, 16, 3), Depthwise(1), Conv(8, 3, ReLU), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	m.Graphs[0].Ops[0].Inputs[1].SetFloats([]float32{1, 1, 1})
	m.Graphs[0].Ops[0].Inputs[2].SetFloats([]float32{0, 0, 0})
	samples := Inputs(m, 9, 32, 1)
	for i, s := range samples {
		for k := range s[0] {
			if k%3 == 0 {
				s[0][k] *= float32(math.Pow(float64(i+1)/32, 2))
			} else {
				s[0][k] /= 3
			}
		}
	}
	opts := &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}}
	usual := func(pass string) Range {
		j := jobAfter(t, m, opts, pass)
		if pass == "fill ranges" && len(j.report.Equalized) == 0 {
			t.Error("nothing was scaled: what is tested?")
		}
		return j.stats[j.graph.Ops[0].Outputs[0]].usual()
	}
	if before, after := usual("estimate"), usual("fill ranges"); before != after {
		t.Errorf("the usual range was %v and became %v", before, after)
	}
}

// Channels that fill their own tensor, but not the one where they share a scale with
// others, are scaled up as well.
func TestFillSeesSharedScales(t *testing.T) {
	small := Sequence(Conv(4, 1, ReLU), Scale(0.02), Unary(schema.BuiltinOperatorRELU, nil))
	m := ChainSeed(3, Input(1, 16, 16, 3), Conv(8, 3, ReLU), Concat(small, Identity()), Conv(8, 1, ReLU), Conv(4, 1))
	reader := m.Graphs[0].Ops[slices.IndexFunc(m.Graphs[0].Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorCONCATENATION })+1]
	w := reader.Inputs[1]
	v := w.Floats()
	for i := range v {
		if i%12 < 4 { // what reads the small ones
			v[i] *= 50
		}
	}
	w.SetFloats(v)
	opts := &Options{Calibration: Inputs(m, 9, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
	plain := *opts
	plain.NoEqualize = true
	if with, without := quantizedSQNR(t, m, *opts, evaluate, opts.Calibration), quantizedSQNR(t, m, plain, evaluate, opts.Calibration); with < without+10 {
		t.Errorf("%.1f dB with ranges filled, %.1f without", with, without)
	}
}

// Filters whose weights lie on a grid of 8 bits already are not rounded again.
func TestFillLeavesGrids(t *testing.T) {
	m := ChainSeed(1, Input(1, 16, 16, 3), Conv(8, 1, ReLU), spread(), Conv(8, 3, ReLU), spread(), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	opts := &Options{Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
	if n := len(jobAfter(t, m, opts, "fill ranges").report.Equalized); n == 0 {
		t.Error("nothing was scaled although no weights lie on a grid")
	}
	for _, op := range m.Graphs[0].Ops {
		w := op.Inputs[1]
		lay, v := layoutOf(w, 0), w.Floats()
		most := channelMax(v, lay)
		for i, x := range v {
			step := most[lay.channel(i)] / 127
			v[i] = float32(math.Round(float64(x)/step) * step)
		}
		w.SetFloats(v)
	}
	if r := jobAfter(t, m, opts, "fill ranges").report.Equalized; len(r) > 0 {
		t.Errorf("scaled, and so rounded twice: %v", r)
	}
}

// parts splits off the last channel and joins it before the others.
func parts(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	p, q := b.Tensor("first", schema.TensorTypeFLOAT32, 1, 32, 32, 2), b.Tensor("last", schema.TensorTypeFLOAT32, 1, 32, 32, 1)
	b.Add(schema.BuiltinOperatorSPLIT_V, &schema.SplitVOptionsT{NumSplits: 2}, list(x, b.Ints([]int{2}, 2, 1), b.Ints(nil, 3)), p, q)
	return b.Op("joined", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, x.Shape, q, p)
}

// The importance of a channel is what noise there does to the outputs: here to
// the input, where it can be added. One filter deep it is exact; deeper, noise of
// several channels that come from one may add up or cancel.
func TestImportances(t *testing.T) {
	for name, layer := range map[string]Layer{
		"linear":    Conv(6, 1),
		"relu":      Conv(12, 1, ReLU),
		"space":     Conv(6, 3, Valid),
		"depthwise": Depthwise(3, Valid, Multiplier(2)),
		"joined":    Concat(Conv(5, 1), Conv(6, 1, ReLU)),
		"moved":     Sequence(into(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: 3}, []int{1, 32, 32, 3}, []int{2, 0, 1}), Conv(6, 1)),
		"parts":     Sequence(parts, Conv(6, 1)),
		"padded":    Sequence(padChannels, Conv(6, 1)),
		"pooled":    Sequence(Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2), Conv(4, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			m := Chain(Input(1, 32, 32, 3), layer)
			samples := Inputs(m, 9, 8, 1)
			j := jobAfter(t, m, &Options{Calibration: samples, Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
			importance := importances(j)[j.graph.Inputs[0]]
			power := 0.0
			for _, m := range j.stats[j.graph.Outputs[0]].channels {
				power += m.variance()
			}
			run, rng := mustOpen(t, evaluate, m), rand.New(rand.NewPCG(1, 2))
			for c := range 3 {
				const deviation = 1e-2
				noise, n := 0.0, 0.0
				for _, in := range samples {
					out, err := run(in)
					if err != nil {
						t.Fatal(err)
					}
					want := append([]float32(nil), out[0]...)
					noisy := append([]float32(nil), in[0]...)
					for i := c; i < len(noisy); i += 3 {
						noisy[i] += deviation * float32(rng.NormFloat64())
					}
					if out, err = run([][]float32{noisy}); err != nil {
						t.Fatal(err)
					}
					for i, x := range out[0] {
						noise += math.Pow(float64(x-want[i]), 2)
					}
					n += float64(len(want) / channelCount(j.graph.Outputs[0]))
				}
				measured := noise / n / power / (deviation * deviation)
				if r := importance[c] / measured; r < 0.85 || r > 1.18 {
					t.Errorf("channel %d: importance %.4g, measured %.4g", c, importance[c], measured)
				}
			}
		})
	}
}

// What is expected of channels between two filters of one tap where weights have a scale
// per row, by its definition: noise of uniform rounding, step²/12, in values that are not 0
// and in the rows that read them, by the importance of either.
func TestCostOfFilling(t *testing.T) {
	m := Chain(Input(1, 12, 12, 3), Conv(6, 1, ReLU), Conv(5, 1), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	j := jobAfter(t, m, &Options{Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
	x, reader := j.graph.Ops[0].Outputs[0], j.graph.Ops[1]
	blocks := newChannelScales(j).blocks(j)
	b := blocks[slices.IndexFunc(blocks, func(b *block) bool { return slices.Contains(b.tensors, x) })]
	b.measure(j)
	power := func(step float64) float64 { return step * step / 12 }
	importance, s, w := importances(j), j.stats[x], reader.Inputs[1].Floats()
	want, variance := 0.0, 0.0
	for c, m := range s.channels {
		variance += m.square / m.n
		kept, not0 := 0.0, 0.0
		for i := c; i < len(s.rows); i += 6 {
			kept++
			if s.rows[i] != 0 {
				not0++
			}
		}
		want += power(s.Hi/255) * not0 / kept * importance[x][c]
	}
	for o, e := range importance[reader.Outputs[0]] {
		largest := 0.0
		for _, x := range w[o*6:][:6] {
			largest = math.Max(largest, math.Abs(float64(x)))
		}
		want += power(largest/127) * e * variance
	}
	if got := newFilling(j, b, importance).cost(ones(len(b.vars))); !(math.Abs(got/want-1) < 1e-6) {
		t.Errorf("expected noise of %g, want %g", got, want)
	}
}
