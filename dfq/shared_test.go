//go:build tflite

package dfq

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// A sharedCase is what is known of a real float model that lies beside the
// repository.
type sharedCase struct {
	name  string
	input Range          // what its makers feed it; empty where that is not known
	float map[string]int // ops that stay float, by name
}

var (
	unit    = Range{0, 1}
	centred = Range{-1, 1}
	pixels  = Range{0, 255}
)

var sharedCases = []sharedCase{
	{name: "ad01_fp32"},
	{name: "blazeface_face_detection_front", input: centred},
	{name: "conv_fc_mnist", input: unit},
	{name: "deeplabv3_257_metadata", input: centred},
	{name: "deeplabv3_257_mv_gpu", input: centred},
	{name: "face_landmark_192_fp32", input: unit},
	{name: "hand_landmark_3d", input: unit},
	{name: "iris_landmark_fp32", input: unit},
	{name: "kws_float32", input: Range{(-128 - 83) * 0.5847029, (127 - 83) * 0.5847029}}, // features, stored as int8
	{name: "mobilenet_v1_0.25_224", input: centred},
	{name: "mobilenet_v2_1.0_224_dequant", input: Range{-0.485 / 0.229, 0.594 / 0.225}},
	{name: "palm_detection_full", input: unit},
	{name: "pose_cpm_demo_model", input: pixels},
	{name: "pose_detection_c", input: centred},
	{name: "resnet8_cifar10_fp32", input: pixels},
	{name: "resnet_6blk_750k_cifar10_fp32", input: pixels},
	{name: "selfie_segmentation", input: unit, float: map[string]int{"CUSTOM Convolution2DTransposeBias": 1, "LOGISTIC": 1}},
	{name: "ulfd_rfb_320", input: Range{-127. / 128, 1}},
	{name: "vww96_20blk_791k_float", input: unit},
	{name: "vww96_float", input: unit},
	{name: "yolox_nano_with_post_float32", input: pixels, float: map[string]int{"EXP": 1, "SQRT": 1, "NON_MAX_SUPPRESSION_V4": 16, "CAST": 2,
		// and what leads there from the last filters, where boxes and scores share a tensor
		"LOGISTIC": 6, "CONCATENATION": 7, "TRANSPOSE": 5, "RESHAPE": 25, "STRIDED_SLICE": 27, "ADD": 5, "SUB": 4, "MUL": 7,
		"BROADCAST_TO": 1, "SCATTER_ND": 4, "GATHER_ND": 2}},
}

// custom reports whether a model has an op that the interpreter cannot run.
func (c sharedCase) custom() bool { return c.name == "selfie_segmentation" }

// Every real model becomes INT8, but for what is named; what is written is read
// back, breaks no rule, loads and runs.
func TestSharedModels(t *testing.T) {
	for _, c := range sharedCases {
		t.Run(c.name, func(t *testing.T) {
			m := sharedModel(t, c.name)
			for _, perTensor := range []bool{false, true} {
				q, r := quantize(t, m, &Options{PerTensor: perTensor, AllowFloat: c.float != nil, Samples: 4, Interpreter: interpreter})
				c.checkFloat(t, q, r)
				again, err := tflite.Decode(encode(t, q))
				if err != nil {
					t.Fatal(err)
				}
				for _, err := range CheckRules(again) {
					t.Error(err)
				}
				c.checkRuns(t, m, again)
				c.checkTwin(t, m, r)
				if !perTensor {
					c.checkRange(t, r)
				}
			}
		})
	}
}

// checkFloat holds the ops that stay float against the list.
func (c sharedCase) checkFloat(t *testing.T, q *tflite.Model, r *Report) {
	t.Helper()
	got := map[string]int{}
	for _, op := range r.Float {
		got[op.Name]++
	}
	if !maps.Equal(got, c.float) {
		t.Errorf("float are %v, want %v", got, c.float)
	}
	g := q.Graphs[0]
	left := map[string]int{}
	for _, op := range g.Ops {
		if touchesReal(op) && op.Code != schema.BuiltinOperatorQUANTIZE && op.Code != schema.BuiltinOperatorDEQUANTIZE {
			left[opName(op)]++
		}
	}
	if !maps.Equal(left, c.float) {
		t.Errorf("ops on float tensors in the result are %v, the report names %v", left, c.float)
	}
	if c.float == nil && r.OpsInt8+len(integerOps(g)) != r.Ops {
		t.Errorf("%d of %d ops are INT8", r.OpsInt8, r.Ops)
	}
}

// integerOps are those that work on no quantized tensor.
func integerOps(g *tflite.Graph) []*tflite.Op {
	return slices.DeleteFunc(slices.Clone(g.Ops), quantized)
}

// checkRuns runs the written model on a made-up input; its answers are numbers.
func (c sharedCase) checkRuns(t *testing.T, m, q *tflite.Model) {
	t.Helper()
	run, stop, err := interpreter(q)
	if c.custom() {
		if err == nil || !strings.Contains(err.Error(), "Convolution2DTransposeBias") {
			t.Errorf("error %v, want one that names the custom op", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	inputs, err := MadeUpInputs(m, &Options{Interpreter: interpreter}, 1)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := run(inputs[0])
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range outputs {
		if len(v) == 0 && c.float == nil || slices.ContainsFunc(v, notFinite) {
			t.Errorf("output %d: %d values, some not finite", k, len(v))
		}
	}
}

// checkTwin compares the float graph after equalization with the original.
func (c sharedCase) checkTwin(t *testing.T, m *tflite.Model, r *Report) {
	t.Helper()
	if c.custom() {
		return // it cannot be run here
	}
	inputs, err := MadeUpInputs(m, &Options{Interpreter: interpreter}, 4)
	if err != nil {
		t.Fatal(err)
	}
	if c.name == "kws_float32" {
		// Its weights are stored as int8, and the interpreter rounds what they are
		// multiplied with; the float network is the one with their real values.
		m = jobAfter(t, m, &Options{}, "normalize").model
	}
	before, after := mustOpen(t, interpreter, m), mustOpen(t, interpreter, r.FloatTwin)
	for i, in := range inputs[:2] {
		want, err := before(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := after(in)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			if d := difference(want[k], got[k]); d > 1e-4 {
				t.Errorf("input %d: output %d of the equalized float graph differs by %.2g of its range", i, k, d)
			}
		}
	}
}

// difference is the largest difference over the range of want.
func difference(want, got []float32) float64 {
	var s errorSums
	if len(want) != len(got) {
		return math.Inf(1)
	}
	s.add(want, got, 1)
	if s.notFinite > 0 {
		return math.Inf(1)
	}
	lo, hi := 0.0, 1e-30
	for _, x := range want {
		lo, hi = math.Min(lo, float64(x)), math.Max(hi, float64(x))
	}
	return s.max / (hi - lo)
}

// checkRange holds the range that was found against the one that is known: it
// covers it, and is not of another scale.
func (c sharedCase) checkRange(t *testing.T, r *Report) {
	t.Helper()
	in := r.Inputs[0]
	t.Logf("[%.4g, %.4g] %s: %s", in.Range.Lo, in.Range.Hi, in.Source, in.Why)
	if c.input == (Range{}) {
		return
	}
	width := c.input.Hi - c.input.Lo
	slack := 0.01 * width
	if in.Range.Lo > c.input.Lo+slack || in.Range.Hi < c.input.Hi-slack {
		t.Errorf("[%g, %g] does not cover [%g, %g]", in.Range.Lo, in.Range.Hi, c.input.Lo, c.input.Hi)
	}
	if in.Range.Hi-in.Range.Lo > 6*width {
		t.Errorf("[%g, %g] is of another scale than [%g, %g]", in.Range.Lo, in.Range.Hi, c.input.Lo, c.input.Hi)
	}
}

// Statistics from the interpreter and from the evaluator in Go are the same to
// 1e-4 of each tensor's range.
func TestSharedStatistics(t *testing.T) {
	for _, c := range sharedCases {
		t.Run(c.name, func(t *testing.T) {
			m := sharedModel(t, c.name)
			stats := func(open Interpreter) (*job, map[string]*tensorStats) {
				j := jobAfter(t, m, &Options{AllowFloat: true, Samples: 2, Interpreter: open, Inputs: []InputRange{{Range: centred}}}, "estimate")
				byName := map[string]*tensorStats{}
				for i, x := range j.graph.Tensors() {
					if s := j.stats[x]; s != nil {
						byName[fmt.Sprintf("%d %s", i, x.Name)] = s
					}
				}
				return j, byName
			}
			_, a := stats(interpreter)
			_, b := stats(evaluate)
			if len(a) != len(b) || len(a) == 0 {
				t.Fatalf("%d and %d tensors", len(a), len(b))
			}
			worst, where := 0.0, ""
			for name, s := range a {
				o := b[name]
				width := math.Max(s.Hi-s.Lo, 1e-30)
				d := math.Max(math.Abs(s.Lo-o.Lo), math.Abs(s.Hi-o.Hi)) / width
				for i, m := range s.channels {
					d = math.Max(d, math.Max(math.Abs(m.mean-o.channels[i].mean), math.Abs(m.deviation()-o.channels[i].deviation()))/width)
				}
				if d > worst {
					worst, where = d, name
				}
			}
			t.Logf("%d tensors; largest difference %.2g of the range, %s", len(a), worst, where)
			if worst > 1e-4 {
				t.Error("too large")
			}
		})
	}
}

// What Quantize gives does not depend on whether a signature, metadata or files
// ride along: the ZIP behind the model is there afterwards.
func TestSharedMetadataStays(t *testing.T) {
	m := sharedModel(t, "deeplabv3_257_metadata")
	q, r := quantize(t, m, &Options{Samples: 1, Interpreter: interpreter})
	if string(q.Trailer) != string(m.Trailer) || len(m.Trailer) == 0 {
		t.Errorf("a trailer of %d bytes became one of %d", len(m.Trailer), len(q.Trailer))
	}
	if r.Inputs[0].Source != "metadata" || r.Inputs[0].Range != centred {
		t.Errorf("the input is %+v", r.Inputs[0])
	}
	for _, md := range m.Metadata {
		if md.Name != minRuntimeKey && !slices.ContainsFunc(q.Metadata, func(o *tflite.Metadata) bool { return o.Name == md.Name && string(o.Data) == string(md.Data) }) {
			t.Errorf("metadata %q is gone", md.Name)
		}
	}
}

// The interpreter's arithmetic and exact arithmetic on the same INT8 graph are
// a step apart here and there, so that answers are far closer than either is to
// float.
func TestKernelsAddUp(t *testing.T) {
	m := small()
	m.Graphs[0].Ops = m.Graphs[0].Ops[:len(m.Graphs[0].Ops)-1]
	m.Graphs[0].Outputs = m.Graphs[0].Ops[len(m.Graphs[0].Ops)-1].Outputs
	q, _ := quantize(t, m, stated())
	ideal, kernel := mustOpen(t, evaluate, q), mustOpen(t, interpreter, q)
	step := float64(scaleOf(q.Graphs[0].Outputs[0]))
	for _, in := range Inputs(m, 1, 10, 1) {
		a, err := ideal(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := kernel(in)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a[0] {
			if d := math.Abs(float64(a[0][i]-b[0][i])) / step; d > 3.01 {
				t.Errorf("output %d: %.0f steps apart", i, d)
			}
		}
	}
}
