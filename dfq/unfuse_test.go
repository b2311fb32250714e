package dfq

import (
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// A TRANSPOSE_CONV with an activation, of version 4 as TensorFlow 2.13 and later write
// it, becomes one without and an op, which every runtime has in INT8.
func TestActivationOfTransposeConv(t *testing.T) {
	up := func(act schema.ActivationFunctionType) Layer {
		return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
			w := b.Filter("w", 4, 0, 6, 2, 2, 4)
			y := b.Op("up", schema.BuiltinOperatorTRANSPOSE_CONV, &schema.TransposeConvOptionsT{Padding: schema.PaddingVALID, StrideH: 2, StrideW: 2, FusedActivationFunction: act},
				[]int{1, 16, 16, 6}, b.Ints([]int{4}, 1, 16, 16, 6), w, x, b.Random(0, 0.3, 6))
			b.Graph.Ops[len(b.Graph.Ops)-1].Version = 4
			return y
		}
	}
	for act, want := range map[schema.ActivationFunctionType]string{
		schema.ActivationFunctionTypeRELU:         "CONV_2D TRANSPOSE_CONV RELU CONV_2D",
		schema.ActivationFunctionTypeRELU6:        "CONV_2D TRANSPOSE_CONV RELU6 CONV_2D",
		schema.ActivationFunctionTypeRELU_N1_TO_1: "CONV_2D TRANSPOSE_CONV RELU_N1_TO_1 CONV_2D",
		schema.ActivationFunctionTypeNONE:         "CONV_2D TRANSPOSE_CONV CONV_2D", // as beside one with an activation
	} {
		m := Chain(Input(1, 8, 8, 3), Conv(4, 3, ReLU), up(act), Conv(3, 3))
		opts := stated()
		opts.Interpreter, opts.Thorough = interpreter, true // which runs graphs of rounded values
		q, r, err := Quantize(m, opts)
		if err != nil {
			t.Fatal(act, err)
		}
		var names []string
		for _, op := range q.Graphs[0].Ops {
			names = append(names, op.Code.String())
			if op.Code == schema.BuiltinOperatorTRANSPOSE_CONV && (op.Version != 3 || fusedActivation(op)) {
				t.Errorf("%v: TRANSPOSE_CONV v%d with %v", act, op.Version, op.Activation())
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%v: %s, want %s", act, got, want)
		}
		if len(r.FloatSQNR) != 1 || r.FloatSQNR[0] < 100 {
			t.Errorf("%v: the float graph is %v dB from the file's", act, r.FloatSQNR)
		}
		if d := relativeChange(t, Evaluate, m, r.FloatTwin, 0); d > 1e-5 {
			t.Errorf("%v: the float graph changed by %g", act, d)
		}
	}
}
