package dfq

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// siluNet is a network whose second layer has channels of very different ranges, and
// SiLU behind it.
func siluNet(seed uint64, behind Layer) (*tflite.Model, *Options) {
	return netOf(seed, Sequence(Conv(8, 3), Scale(1, 40, 0.3, 4, 0.1), behind, Depthwise(3), Scale(2, 0.05, 7, 0.5, 20)))
}

func netOf(seed uint64, layers Layer) (*tflite.Model, *Options) {
	m := ChainSeed(seed, Input(1, 16, 16, 3), layers, Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	return m, &Options{Calibration: Inputs(m, 9, 16, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
}

// Parted gates change no output of the float graph, and the INT8 model comes closer to it
// by far, since rounding spares no channel otherwise.
func TestPartedGates(t *testing.T) {
	for seed := range uint64(4) {
		for _, perTensor := range []bool{false, true} {
			m, opts := siluNet(seed, swish)
			opts.PerTensor = perTensor
			j := jobAfter(t, m, opts, "join gates")
			if len(j.report.Parted) != 1 {
				t.Fatalf("parted %q\n%v", j.report.Parted, j.model)
			}
			if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-4 {
				t.Errorf("seed %d: outputs changed by %.2g of their range", seed, d)
			}
			again := jobAfter(t, j.model, &Options{Calibration: opts.Calibration, Inputs: opts.Inputs, PerTensor: perTensor}, "estimate")
			sameStatistics(t, "parted", j, again)

			plain := *opts
			plain.NoEqualize = true
			if with, without := quantizedSQNR(t, m, *opts, evaluate, opts.Calibration), quantizedSQNR(t, m, plain, evaluate, opts.Calibration); with < without+3 {
				t.Errorf("seed %d, per tensor %v: %.1f dB with gates parted, %.1f without", seed, perTensor, with, without)
			}
		}
	}
}

// A gate stays as it is where parting it would be wrong or gain nothing.
func TestGatesThatStay(t *testing.T) {
	times := func(other Layer, options *schema.MulOptionsT) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			return b.Op("mul", schema.BuiltinOperatorMUL, options, x.Shape, x, other(b, x))
		}
	}
	logistic := Unary(schema.BuiltinOperatorLOGISTIC, nil)
	for name, layer := range map[string]Layer{
		"near the head":     swish,
		"a third reader":    Concat(swish, Identity()),
		"another's sigmoid": times(Sequence(Conv(8, 1), logistic), &schema.MulOptionsT{}),
		"another function":  times(Unary(schema.BuiltinOperatorTANH, nil), &schema.MulOptionsT{}),
		"an activation":     times(logistic, &schema.MulOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU}),
		"of an activation":  Sequence(Unary(schema.BuiltinOperatorRELU, nil), swish),
		"sigmoid read twice": func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			y := logistic(b, x)
			z := b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
			return b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{}, x.Shape, z, y)
		},
	} {
		for _, perTensor := range []bool{false, true} {
			m, opts := siluNet(1, layer)
			if name == "near the head" {
				m = ChainSeed(1, Input(1, 16, 16, 3), Conv(8, 3), Scale(1, 40, 0.3, 4, 0.1), swish, Conv(8, 1), Conv(4, 1), Mean())
			}
			opts.PerTensor = perTensor
			j := jobAfter(t, m, opts, "join gates")
			if len(j.report.Parted) > 0 {
				t.Errorf("%s: parted %q", name, j.report.Parted)
			}
			for _, op := range j.graph.Ops {
				if strings.HasSuffix(outputName(op), "_gate") {
					t.Errorf("%s: %v is left\n%v", name, outputName(op), j.model)
				}
			}
			for x := range j.stats {
				if strings.HasSuffix(x.Name, "_gate") {
					t.Errorf("%s: statistics of %q are left", name, x.Name)
				}
			}
		}
	}
}

// With int16 activations, and where no channels are scaled, no op is added.
func TestGatesPartOnlyToBeScaled(t *testing.T) {
	for _, o := range []Options{{NoEqualize: true}, {Activations: Int16}} {
		m, opts := siluNet(1, swish)
		o.Calibration, o.Inputs = opts.Calibration, opts.Inputs
		q, report, err := Quantize(m, &o)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(q.Graphs[0].Ops); len(report.Parted) > 0 || n > len(m.Graphs[0].Ops) {
			t.Errorf("parted %q: %d ops of %d", report.Parted, n, len(m.Graphs[0].Ops))
		}
	}
}

// Layers are compared as what they would be without channels' factors, on both sides of
// a parted gate.
func TestLayersOfPartedGates(t *testing.T) {
	for _, perTensor := range []bool{false, true} {
		m, opts := siluNet(2, swish)
		opts.PerTensor = perTensor
		q, report, err := Quantize(m, opts)
		if err != nil || len(report.Parted) != 1 {
			t.Fatal(report.Parted, err)
		}
		before := fmt.Sprint(m)
		_, byName := layersOf(t, m, q, opts.Calibration)
		if fmt.Sprint(m) != before {
			t.Error("the float model was changed")
		}
		x := report.Parted[0]
		y := outputName(m.Graphs[0].Ops[slices.IndexFunc(m.Graphs[0].Ops, func(op *tflite.Op) bool { return op.Code == schema.BuiltinOperatorMUL })])
		for _, name := range []string{x, gateName(&tflite.Tensor{Name: x}), y} {
			if _, ok := byName[name]; !ok {
				t.Errorf("per tensor %v: no layer %q", perTensor, name)
			}
		}
		if l := byName[y]; l.SQNR < 25 {
			t.Errorf("per tensor %v: %q has %.1f dB", perTensor, y, l.SQNR)
		}
	}
}
