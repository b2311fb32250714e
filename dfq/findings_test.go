package dfq

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// filterValue sets one output channel of the model's op i: weights to w, bias to b.
func filterValue(m *tflite.Model, i, channel int, w, b float32) *tflite.Model {
	op := m.Graphs[0].Ops[i]
	f := spec(op).filter
	weights, bias := op.Inputs[f.weights], op.Inputs[f.bias]
	values, lay := weights.Floats(), layoutOf(weights, f.out)
	for k := range values {
		if lay.channel(k) == channel {
			values[k] = w
		}
	}
	weights.SetFloats(values)
	biases := bias.Floats()
	biases[channel] = b
	bias.SetFloats(biases)
	return m
}

// even gives all output channels of all filters weights of one size, and small
// biases: what is built for other tests has channels far apart.
func even(m *tflite.Model) *tflite.Model {
	for _, op := range m.Graphs[0].Ops {
		f := spec(op).filter
		if f == nil {
			continue
		}
		w := op.Inputs[f.weights]
		values, lay := w.Floats(), layoutOf(w, f.out)
		norms := make([]float64, lay.channels)
		for i, x := range values {
			norms[lay.channel(i)] += float64(x) * float64(x)
		}
		for i := range values {
			values[i] *= float32(1.4 / math.Sqrt(norms[lay.channel(i)]))
		}
		w.SetFloats(values)
		if b := optional(op, f.bias); b != nil {
			biases := b.Floats()
			for i := range biases {
				biases[i] *= 0.1
			}
			b.SetFloats(biases)
		}
	}
	return m
}

// A graph for each finding, which shows that one and no other.
func TestFindings(t *testing.T) {
	image := Input(1, 8, 8, 3)
	conv := func() *tflite.Model { return even(Chain(image, Conv(4, 3, ReLU), Conv(3, 1))) }
	classifier := func() *tflite.Model { return even(Chain(image, Conv(4, 3, ReLU), Conv(3, 1), Mean())) } // dead channels carry no copies
	crushed := even(Chain(image, Concat(Conv(2, 1, ReLU), Conv(2, 1, ReLU)), Conv(3, 1)))
	filterValue(filterValue(crushed, 1, 0, 1e-3, 1e-3), 1, 1, 1e-3, 1e-3)
	ones := func(n int) [][][]float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = 1
		}
		return [][][]float32{{v}}
	}
	tests := []struct {
		kind    findingKind
		index   int
		op      string
		tensor  string
		numbers string // in the fault
		model   *tflite.Model
		change  func(*Options)
	}{
		{guessedRange, -1, "", "input", "it covers [", conv(), func(o *Options) { o.Inputs = nil }},
		{doubtedRange, -1, "", "input", "its range is [0, 255], but the graph seems to read about [-2.118, 2.64]: ±1 moves the first filter by 30.2 of its biases", conv(), func(o *Options) {
			o.Inputs[0].Range, o.Calibration = Range{0, 255}, nil
		}},
		{fedBack, -1, "", "state", `output "next" of the same shape was [-2, 1.908]`, recurrent(), func(o *Options) { o.Inputs = []InputRange{{Range: Range{-1, 1}}, {Range: Range{-1, 1}}} }},
		{hiddenBefore, 2, "RSQRT", "fourth", "of what it reads is less than half a step", fourthRoots(), func(o *Options) { o.Target = "tflite-2.21" }},
		{guessedRange, -1, "", "input", "is a guess", even(Chain(Input(1, 40), Dense(5, ReLU), Dense(3))), func(o *Options) { o.Inputs = nil }},
		{keptFloat, 1, "COS", "unary", "no int8 kernel", even(Chain(image, Conv(4, 3), Unary(schema.BuiltinOperatorCOS, &schema.CosOptionsT{}), Conv(3, 1))),
			func(o *Options) { o.AllowFloat = true }},
		{crushedInput, 2, "CONCATENATION", "conv_1", "of 256 steps", crushed, nil},
		{findingKind{saturation.name, true, "give the numbers that the model itself reads, of pixels p (p-M)/S; or state another range, if these are right"}, -1, "", "input", "which int8 holds; seen were [-1, 1]", conv(), func(o *Options) { o.Inputs[0].Range = Range{-0.5, 0.5} }},
		{sumOverflow, 0, "FULLY_CONNECTED", "dense", "1 of 2 channels (1)", filterValue(even(Chain(Input(1, 200000), Dense(2, ReLU), Dense(3))), 0, 1, 1, 0),
			func(o *Options) { o.Calibration = ones(200000) }},
		{hiddenValues, 1, "CONV_2D", "conv_1", "1 of 3 channels (0)", filterValue(conv(), 1, 0, 1e-3, 0), nil},
		{hiddenValues, 1, "CONV_2D", "conv_1", "are less than half a step", manySmall(), func(o *Options) {
			o.Calibration = o.Calibration[:4]
			o.Calibration[0][0][0] = 1e4
			o.Inputs[0].Range = Range{-1, 1e4}
		}},
		{findingKind{hiddenValues.name, true, "scale the model's inputs alike before it: they share one scale, whatever it does with them; or give small ones an input of their own"},
			-1, "", "input", "1 of 40 channels (3) have fewer than 8 steps", even(Chain(Input(1, 40), Dense(5, ReLU), Dense(3))), func(o *Options) {
				o.Calibration = Inputs(Chain(Input(1, 40)), 1, enoughValues, 1)
				for _, sample := range o.Calibration {
					sample[0][3] *= 0.02
				}
			}},
		{deadChannels, 0, "CONV_2D", "conv", "1 of 4 channels (2)", filterValue(classifier(), 0, 2, 0, 1), nil},
		{deadChannels, 0, "CONV_2D", "conv", "1 of 4 channels (1)", filterValue(classifier(), 0, 1, 0.01, -1), nil},
		// The bias of 1 takes a weight scale of 1/2³⁰/(2/255) = 1.2e-7; alone the
		// weights would have 1e-6/127 = 8e-9.
		{biasOverflow, 0, "CONV_2D", "conv", "1 of 4 channels (3)", filterValue(conv(), 0, 3, 1e-6, 1), nil},
	}
	for i, test := range tests {
		t.Run(fmt.Sprint(i, " ", test.kind.name), func(t *testing.T) {
			opts := &Options{Samples: 8, Inputs: []InputRange{{Range: Range{-1, 1}}}, Calibration: Inputs(test.model, 1, fewGiven, 1)}
			if test.change != nil {
				test.change(opts)
			}
			_, r := quantize(t, test.model, opts)
			if len(r.Findings) != 1 {
				t.Fatalf("%d findings: %v", len(r.Findings), r.Findings)
			}
			f := r.Findings[0]
			if f.Name != test.kind.name || f.Warning != test.kind.warning || f.Advice != test.kind.advice ||
				f.Index != test.index || f.Op != test.op || f.Tensor != test.tensor || !strings.Contains(f.Fault, test.numbers) {
				t.Errorf("%+v", f)
			}
			if len(r.Warnings) > 0 && len(opts.Calibration) >= fewGiven {
				t.Errorf("said as a warning as well: %q", r.Warnings)
			}
		})
	}
}

// recurrent is a layer beside a state that doubles with each run.
func recurrent() *tflite.Model {
	b := New(1)
	y := evenDense(b, 3, b.Input(1, 5))
	state := b.Input(1, 4)
	state.Name = "state"
	next := sum(b, state, state)
	next.Name = "next"
	return b.Model(y, next)
}

// fourthRoots are the square roots of 1/x⁴.
func fourthRoots() *tflite.Model {
	b := New(1)
	x := b.Input(1, 8, 8, 3)
	square := b.Op("square", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, x)
	fourth := b.Op("fourth", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, square, square)
	root := b.Op("root", schema.BuiltinOperatorRSQRT, nil, x.Shape, fourth)
	return b.Model(b.Op("share", schema.BuiltinOperatorLOGISTIC, nil, x.Shape, root))
}

// manySmall is an output that follows its input, pixel by pixel.
func manySmall() *tflite.Model {
	m := Chain(Input(1, 8, 8, 1), Conv(1, 1), Conv(1, 1))
	return filterValue(filterValue(m, 0, 0, 1, 0), 1, 0, 1, 0)
}

// Most values before a LOGISTIC may lie where it is 0 or 1: its input's range leaves
// them out on purpose, and nothing is to be said of it.
func TestNoFindingWhereNobodyLooks(t *testing.T) {
	m := Chain(Input(1, 8, 8, 1), Conv(1, 1), Unary(schema.BuiltinOperatorLOGISTIC, nil))
	_, r := quantize(t, filterValue(m, 0, 0, 1, 0), &Options{Samples: 8, Inputs: []InputRange{{Range: Range{-100, 100}}}})
	before := r.Tensors[1]
	if before.Seen.Hi-before.Seen.Lo < 4*(before.Range.Hi-before.Range.Lo) {
		t.Fatalf("the range was not cut: %+v", before)
	}
	if len(r.Findings) > 0 {
		t.Errorf("%v", r.Findings)
	}
}

// A range that the graph shows surely is good to know, no warning.
func TestFindingsOfInputs(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), Conv(4, 3))
	for _, test := range []struct {
		in   InputReport
		want string
	}{
		{InputReport{Source: "stated"}, ""},
		{InputReport{Source: "metadata"}, ""},
		{InputReport{Source: "inferred", Range: Range{-1, 1}, Encodings: []Encoding{interval(-1, 1)}}, "inferred-input-range"},
		{InputReport{Source: "inferred", Range: Range{-1, 1}, Encodings: []Encoding{interval(0, 1), interval(-1, 1)}}, "guessed-input-range"},
		{InputReport{Source: "guessed", Range: Range{-1, 1}, Encodings: []Encoding{interval(-1, 1)}}, "guessed-input-range"},
	} {
		j, err := newJob(m, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		j.findInput(j.graph.Inputs[0], test.in)
		var names []string
		for _, f := range j.report.Findings {
			names = append(names, f.Name)
		}
		if strings.Join(names, " ") != test.want {
			t.Errorf("%+v: %q, want %q", test.in, names, test.want)
		}
	}
}

// Nothing is found in sound models, however their weights are quantized.
func TestNoFindings(t *testing.T) {
	for name, m := range map[string]*tflite.Model{"small": even(small()), "residuals": even(residuals()),
		"concat": even(Chain(Input(1, 8, 8, 3), Concat(Conv(4, 3, ReLU), Conv(4, 1)), Conv(3, 1)))} {
		for _, perTensor := range []bool{false, true} {
			opts := stated()
			opts.PerTensor = perTensor
			if _, r := quantize(t, m, opts); len(r.Findings) > 0 {
				t.Errorf("%s, per tensor %v: %v", name, perTensor, r.Findings)
			}
		}
	}
}

// The README explains every kind, and names are not used twice.
func TestFindingKinds(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range findingKinds {
		if slices.Contains(names, k.name) || k.advice == "" {
			t.Errorf("%+v", k)
		}
		names = append(names, k.name)
		if !strings.Contains(string(readme), "| `"+k.name+"` |") {
			t.Errorf("the README has no row for %s", k.name)
		}
	}
}
