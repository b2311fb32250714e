package dfq

import (
	"fmt"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// checkSpared checks which ops stay float, by index and name, and whether a kind of finding is
// there.
func checkSpared(t *testing.T, name string, r *Report, float []string, kind findingKind, finds bool) {
	t.Helper()
	if got := floatOps(r); !slices.Equal(got, float) {
		t.Errorf("%s: %q stay float, want %q", name, got, float)
	}
	if found := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Name == kind.name }); found != finds {
		t.Errorf("%s: found %s: %t", name, kind.name, found)
	}
}

// floatOps are the ops that stay float, by index and name.
func floatOps(r *Report) []string {
	var ops []string
	for _, op := range r.Float {
		ops = append(ops, fmt.Sprint(op.Index, " ", op.Name))
	}
	slices.Sort(ops)
	return ops
}

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
		front    Layer
		strict   bool
		float    []string
		least    float64 // dB
		finds    bool
		in16Bits bool
	}{
		"powers":           {spectrum(1e-9, 0), false, []string{"0 FULLY_CONNECTED", "1 MUL", "2 ADD", "3 LOG"}, 30, false, false},
		"through a filter": {spectrum(1e-9, 1), false, []string{"0 FULLY_CONNECTED", "1 FULLY_CONNECTED", "2 MUL", "3 ADD", "4 LOG"}, 30, false, false},
		"in 16 bits":       {spectrum(1e-16, 0), false, []string{"0 FULLY_CONNECTED", "1 MUL", "2 ADD", "3 LOG"}, 30, false, true},
		"few decades":      {spectrum(10, 0), false, []string{"3 LOG"}, 25, false, false},
		"through many":     {spectrum(1e-9, mostSpared), false, []string{"7 LOG"}, -200, true, false},
		"strict":           {spectrum(1e-9, 0), true, nil, -200, true, false},
	} {
		m := Chain(Input(8, 64), test.front, Dense(12, ReLU), Dense(4))
		opts := Options{AllowFloat: !test.strict, Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		if test.in16Bits {
			opts.Activations = Int16
		}
		if test.strict {
			opts.Target = "tflite-2.21"
		}
		q, r := quantize(t, m, &opts)
		checkSpared(t, name, r, test.float, hiddenBefore, test.finds)
		if sqnr := sqnrOf(t, m, q, evaluate, opts.Calibration); sqnr < test.least {
			t.Errorf("%s: %.1f dB", name, sqnr)
		}
	}
}

// boxesAndScores joins coordinates in pixels with scores below 1, as detectors do at their end.
func boxesAndScores(pixels float32) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		boxes := product(b, Conv(4, 1)(b, x), b.Floats([]int{1}, pixels))
		scores := Sequence(Conv(3, 1), Unary(schema.BuiltinOperatorLOGISTIC, nil))(b, x)
		shape := []int{1, 8, 8, 7}
		return Reshape(1, 64, 7)(b, b.Op("joined", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, shape, boxes, scores))
	}
}

func sliceChannels(b *Builder, x *tflite.Tensor, from, n int) *tflite.Tensor {
	rank := len(x.Shape)
	begin, size := make([]int, rank), slices.Clone(x.Shape)
	begin[rank-1], size[rank-1] = from, n
	return b.Op("part", schema.BuiltinOperatorSLICE, nil, size, x, b.Ints([]int{rank}, begin...), b.Ints([]int{rank}, size...))
}

// boxesOfScores decodes the first four of seven channels of a sigmoid to pixels, as YOLOv5 does.
func boxesOfScores(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	boxes := product(b, sliceChannels(b, x, 0, 4), b.Floats([]int{1}, 200))
	return b.Op("joined", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 3}, x.Shape, boxes, sliceChannels(b, x, 4, 3))
}

// scoresOnly runs a model whose answers are four coordinates and three scores, and shows these.
func scoresOnly(m *tflite.Model) (Runner, func(), error) {
	run, stop, err := evaluate(m)
	return func(in [][]float32) ([][]float32, error) {
		out, err := run(in)
		if err != nil || len(out[0])%7 > 0 {
			return out, err
		}
		var scores []float32
		for box := range slices.Chunk(out[0], 7) {
			scores = append(scores, box[4:]...)
		}
		return [][]float32{scores}, nil
	}, stop, err
}

// What joins boxes and scores at the end stays float, with what leads to it from the last
// filters and what follows; not where both are of one size, where filters follow, or where
// nothing is to stay float.
func TestSpareCrushed(t *testing.T) {
	again := Sequence(Reshape(1, 8, 8, 7), Conv(5, 1))
	for name, test := range map[string]struct {
		tail   Layer
		strict bool
		float  []string
		least  float64 // dB of the scores
		finds  bool
	}{
		"boxes and scores": {boxesAndScores(200), false, []string{"4 LOGISTIC", "5 CONCATENATION", "6 RESHAPE"}, 25, false},
		"of one size":      {boxesAndScores(0.2), false, nil, 15, false},
		"wide logits": {Sequence(func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return Sequence(Conv(7, 1), Scale(600), Unary(schema.BuiltinOperatorLOGISTIC, nil))(b, x)
		}, boxesOfScores), false, []string{"2 LOGISTIC", "3 SLICE", "4 MUL", "5 SLICE", "6 CONCATENATION"}, 25, false},
		"parts of one tensor": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			y := Sequence(Conv(7, 1), Scale(200, 200, 200, 200, 1, 1, 1))(b, x)
			return sliceChannels(b, y, 4, 3)
		}, false, nil, -200, false},
		"added, not joined": {func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			wide := Sequence(Conv(7, 1), Scale(200))(b, x)
			return b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, wide.Shape, wide, Conv(7, 1)(b, x))
		}, false, nil, 20, false},
		"a filter behind":    {Sequence(boxesAndScores(200), again), false, nil, -200, true},
		"nothing is to stay": {boxesAndScores(200), true, nil, -200, true},
	} {
		m := Chain(Input(1, 8, 8, 3), Conv(16, 3, ReLU), test.tail)
		opts := Options{AllowFloat: !test.strict, Calibration: Inputs(m, 1, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
		q, r := quantize(t, m, &opts)
		checkSpared(t, name, r, test.float, crushedInput, test.finds)
		if sqnr := sqnrOf(t, m, q, scoresOnly, opts.Calibration); sqnr < test.least {
			t.Errorf("%s: %.1f dB", name, sqnr)
		}
	}
}

// What stays float stops telling values apart as well, only further out: logits that it reads
// need no range of hundreds.
func TestRangeBeforeFloat(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(16, 3, ReLU), Conv(7, 1), Scale(600), Unary(schema.BuiltinOperatorLOGISTIC, nil), boxesOfScores)
	logits := m.Graphs[0].Ops[1].Outputs[0].Name
	_, r := quantize(t, m, &Options{AllowFloat: true, Calibration: Inputs(m, 1, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}})
	i := slices.IndexFunc(r.Tensors, func(x TensorReport) bool { return x.Name == logits })
	if i < 0 || len(r.Float) == 0 {
		t.Fatalf("%q has no range, or nothing stays float: what is tested?", logits)
	}
	if x := r.Tensors[i]; x.Seen.Hi < 100 || x.Range.Lo < -13.1 || x.Range.Hi > 11.1 || x.Range.Lo > -6.5 || x.Range.Hi < 5.5 {
		t.Errorf("logits: %+v", x)
	}
}
