package dfq

import (
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// inGroupsOfChannels is a CONV_2D whose filters see depth channels each.
func inGroupsOfChannels(filters, depth int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		o := &schema.Conv2DOptionsT{Padding: schema.PaddingSAME, StrideW: 2, StrideH: 2, DilationWFactor: 1, DilationHFactor: 1, FusedActivationFunction: schema.ActivationFunctionTypeRELU6}
		return b.Op("grouped", schema.BuiltinOperatorCONV_2D, o, []int{1, x.Shape[1] / 2, x.Shape[2] / 2, filters}, x, b.Random(0, 0.3, filters, 3, 5, depth), b.Random(0, 0.3, filters))
	}
}

// Filters of one channel each are depthwise, and answer as before.
func TestWriteDepthwise(t *testing.T) {
	for name, test := range map[string]struct {
		channels, filters, depth int
		want                     schema.BuiltinOperator
		multiplier               int
	}{
		"one filter a channel":      {6, 6, 1, schema.BuiltinOperatorDEPTHWISE_CONV_2D, 1},
		"three filters a channel":   {6, 18, 1, schema.BuiltinOperatorDEPTHWISE_CONV_2D, 3},
		"groups of two channels":    {6, 6, 2, schema.BuiltinOperatorCONV_2D, 0},
		"one channel":               {1, 6, 1, schema.BuiltinOperatorCONV_2D, 0},
		"all channels, as is usual": {6, 4, 6, schema.BuiltinOperatorCONV_2D, 0},
	} {
		m := Chain(Input(1, 10, 8, test.channels), inGroupsOfChannels(test.filters, test.depth))
		c := m.Clone()
		writeDepthwise(c.Graphs[0])
		op := c.Graphs[0].Ops[0]
		if op.Code != test.want {
			t.Errorf("%s: it is %v", name, op.Code)
		}
		if o, ok := op.Options.(*schema.DepthwiseConv2DOptionsT); ok && int(o.DepthMultiplier) != test.multiplier {
			t.Errorf("%s: depth multiplier %d", name, o.DepthMultiplier)
		}
		if d := relativeChange(t, evaluate, m, c, 0); d > 1e-6 {
			t.Errorf("%s: outputs changed by %g", name, d)
		}
	}
}

// Filters in groups of more channels are split, one for each group, where the runtime has no INT8 kernel of groups.
func TestSplitGroups(t *testing.T) {
	m := Chain(Input(1, 12, 8, 6), inGroupsOfChannels(9, 2), inGroupsOfChannels(6, 3))
	for target, want := range map[string]string{
		"":            "SPLIT CONV_2D CONV_2D CONV_2D CONCATENATION SPLIT CONV_2D CONV_2D CONV_2D CONCATENATION",
		"tflite-2.16": "CONV_2D CONV_2D",
	} {
		opts := stated()
		opts.Target = target
		j := jobAfter(t, m, opts, "normalize")
		if got := codes(j.graph); got != want {
			t.Errorf("target %q: %s, want %s", target, got, want)
		}
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-6 {
			t.Errorf("target %q: outputs changed by %g", target, d)
		}
	}
	if interpreter == nil {
		t.Skip("what follows needs the interpreter: build with -tags tflite")
	}
	opts := Options{Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
	q, report := quantize(t, m, &opts)
	for _, f := range report.Findings {
		if f.Index >= 0 && m.Graphs[0].Ops[f.Index].Code.String() != f.Op {
			t.Errorf("of what is no op of the file: %v", f)
		}
	}
	if db := sqnrOf(t, jobAfter(t, m, &opts, "normalize").model, q, interpreter, opts.Calibration); !(db > 25) { // release 2.9 does not run m itself
		t.Errorf("%.1f dB", db)
	}
}
