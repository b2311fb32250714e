package dfq

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dfq/dfq/internal/stimulus"
	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// spread gives every other channel a range a hundred times its neighbour's, which
// equalization is for.
func spread() Layer { return Scale(1, 30, 0.3, 4, 0.1) }

// rows joins x and others along the second axis.
func rows(others Layer) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("rows", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 1}, []int{1, 2 * x.Shape[1], x.Shape[2], x.Shape[3]}, x, others(b, x))
	}
}

// fused is a fused activation.
func fused(name string) Setting { return Activation(schema.EnumValuesActivationFunctionType[name]) }

// equalized are models with each kind of op that channel scales pass, are tied
// by, or stop at. The head of a network is left alone by rule, so each ends in
// three more layers.
var equalized = map[string]Layer{
	"chain":              Sequence(Conv(8, 3, ReLU), spread(), Conv(8, 3, ReLU), spread()),
	"depthwise":          Sequence(Conv(6, 3, ReLU), spread(), Depthwise(3, ReLU), spread()),
	"depth multiplier":   Sequence(Conv(6, 1, ReLU), spread(), Depthwise(3, ReLU, Multiplier(2)), spread()),
	"relu6":              Sequence(Conv(8, 3, ReLU6), Scale(0.01, 3, 0.1, 0.3), Depthwise(3, ReLU6), Scale(0.02, 2, 0.1, 0.3), Conv(8, 1, ReLU6)),
	"relu6 capped":       Sequence(Conv(8, 3, ReLU6), Scale(0.1, 30, 0.1, 3), Depthwise(3, ReLU6), Scale(0.2, 20, 0.1, 3)),
	"relu n1 to 1":       Sequence(Conv(8, 3, fused("RELU_N1_TO_1")), spread(), Conv(8, 3)),
	"residual":           Sequence(Conv(8, 3), spread(), Residual(Conv(16, 1, ReLU), spread(), Depthwise(3, ReLU), Conv(8, 1), spread())),
	"two residuals":      Sequence(Conv(8, 3), spread(), Residual(Conv(8, 1, ReLU), spread()), Residual(Depthwise(3), spread())),
	"residual relu6":     Sequence(Conv(8, 3), spread(), residualWith("RELU6")),
	"residual n1":        Sequence(Conv(8, 3), spread(), residualWith("RELU_N1_TO_1")),
	"concat":             Sequence(Conv(4, 3), spread(), Concat(Identity(), Sequence(Conv(4, 3, ReLU), spread()), Conv(3, 1))),
	"concat rows":        Sequence(Conv(8, 3), spread(), rows(func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return x })),
	"concat constants":   Sequence(Conv(8, 3), spread(), rows(func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return b.Random(0, 2, x.Shape...) })),
	"concat coordinates": Sequence(Conv(8, 3), spread(), Concat(Identity(), func(b *Builder, x *tflite.Tensor) *tflite.Tensor { return b.Random(0, 2, 1, x.Shape[1], x.Shape[2], 2) })),
	"pools":              Sequence(Conv(8, 3, ReLU), spread(), Pool(schema.BuiltinOperatorMAX_POOL_2D, 2), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 3)),
	"pool relu6":         Sequence(Conv(8, 3), spread(), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2, ReLU6)),
	"pool n1":            Sequence(Conv(8, 3), spread(), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2, fused("RELU_N1_TO_1"))),
	"pad":                Sequence(Conv(8, 3, ReLU), spread(), Pad(1)),
	"pad channels":       Sequence(Conv(8, 3), spread(), padChannels),
	"relu of its own":    Sequence(Conv(8, 3), spread(), Concat(Unary(schema.BuiltinOperatorRELU, nil), Identity())),
	"relu6 of its own":   Sequence(Conv(8, 3), spread(), Concat(Unary(schema.BuiltinOperatorRELU6, nil), Identity())),
	"leaky relu":         Sequence(Conv(8, 3), spread(), Unary(schema.BuiltinOperatorLEAKY_RELU, &schema.LeakyReluOptionsT{Alpha: 0.2})),
	"prelu":              Sequence(Conv(8, 3), spread(), prelu(false)),
	"prelu computed":     Sequence(Conv(8, 3), spread(), prelu(true)),
	"logistic":           Sequence(Conv(8, 3), spread(), Unary(schema.BuiltinOperatorLOGISTIC, nil)),
	"swish":              Sequence(Conv(8, 3), spread(), swish),
	"gate":               Sequence(Conv(8, 3), spread(), gatedLayer),
	"gate of two ways":   Sequence(Conv(8, 3), spread(), Residual(gatedTwoWays)),
	"mul by constant":    Sequence(Conv(8, 3), spread(), withConstant(schema.BuiltinOperatorMUL, 8)),
	"add of constant":    Sequence(Conv(8, 3), spread(), withConstant(schema.BuiltinOperatorADD, 8)),
	"sub of constant":    Sequence(Conv(8, 3), spread(), withConstant(schema.BuiltinOperatorSUB, 8)),
	"add of one number":  Sequence(Conv(8, 3), spread(), withConstant(schema.BuiltinOperatorADD, 1)),
	"maximum":            Sequence(Conv(8, 3), spread(), withConstant(schema.BuiltinOperatorMAXIMUM, 8)),
	"reshape":            Sequence(Conv(8, 3), spread(), Reshape(1, 64, 2, 16), Reshape(1, 16, 16, 8)),
	"reshape across":     Sequence(Conv(6, 3), spread(), Reshape(1, 12, 8, 16), Depthwise(3), Reshape(1, 16, 16, 6)),
	"transpose":          Sequence(Conv(8, 3), spread(), transposed),
	"mean over channels": Sequence(Conv(8, 3), spread(), Residual(meanOf(3))),
	"mean over rows":     Sequence(Conv(8, 3), spread(), Residual(meanOf(1))),
	"mean of computed":   Sequence(Conv(8, 3), spread(), Residual(meanOfComputed)),
	"resize":             Sequence(Conv(8, 3, ReLU), spread(), resize),
	"space to batch":     Sequence(Conv(8, 3), spread(), spaceToBatch),
	"dead channels":      Sequence(Conv(8, 3, ReLU), Scale(1, 0, 30, 0, 0.1), Depthwise(3, ReLU), Scale(0, 1), Conv(8, 1, ReLU)),
	"maximum of two":     Sequence(Conv(8, 3), spread(), ofTwo(schema.BuiltinOperatorMAXIMUM)),
	"minimum of two":     Sequence(Conv(8, 3), spread(), ofTwo(schema.BuiltinOperatorMINIMUM)),
	"absolute":           Sequence(Conv(8, 3), spread(), Unary(schema.BuiltinOperatorABS, nil)),
	"select":             Sequence(Conv(8, 3), spread(), selected),
	"update":             Sequence(Conv(8, 3), spread(), updated),
	"mirror pad":         Sequence(Conv(8, 3), spread(), mirrored(0)),
	"mirror pad channel": Sequence(Conv(8, 3), spread(), mirrored(2)),
	"split":              Sequence(Conv(8, 3), spread(), split(schema.BuiltinOperatorSPLIT, 3)),
	"split rows":         Sequence(Conv(8, 3), spread(), split(schema.BuiltinOperatorSPLIT, 1)),
	"split by sizes":     Sequence(Conv(8, 3), spread(), split(schema.BuiltinOperatorSPLIT_V, -1)),
	"expand dims":        Sequence(Conv(8, 3), spread(), expanded),
	"transpose of space": Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorTRANSPOSE, nil, 16, []int{0, 2, 1, 3})),
	"reverse":            Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorREVERSE_V2, nil, 16, []int{1})),
	"reverse channels":   Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorREVERSE_V2, nil, 16, []int{3})),
	"gather rows":        Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: 1}, 8, []int{0, 2, 4, 6, 8, 10, 12, 15})),
	"gather channels":    Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: 3}, 16, []int{1, 0, 2, 3, 7, 6, 5, 4})),
	"slice":              Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorSLICE, nil, 8, []int{0, 3, 0, 0}, []int{1, 8, 16, 8})),
	"strided slice":      Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{}, 8, []int{0, 0, 0, 0}, []int{1, 16, 16, 8}, []int{1, 2, 1, 1})),
	"slice from behind":  Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{EndMask: 8}, 16, []int{0, 0, 0, -1}, []int{1, 16, 16, 0}, []int{1, 1, 1, -1})),
	"slice channels":     Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorSLICE, nil, []int{1, 16, 16, 5}, []int{0, 0, 0, 2}, []int{1, 16, 16, 5})),
	"every other":        Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{}, []int{1, 16, 16, 3}, []int{0, 0, 0, -7}, []int{1, 16, 16, 7}, []int{1, 1, 1, 2})),
	"first of channels":  Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorSTRIDED_SLICE, &schema.StridedSliceOptionsT{BeginMask: 8}, []int{1, 16, 16, 3}, []int{0, 0, 0, 5}, []int{1, 16, 16, 3}, []int{1, 1, 1, 1})),
	"some channels":      Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorGATHER, &schema.GatherOptionsT{Axis: -1}, []int{1, 16, 16, 9}, []int{7, 0, 0, 3, 4, 4, 4, 1, 2})),
	"blocks to depth":    Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorSPACE_TO_DEPTH, &schema.SpaceToDepthOptionsT{BlockSize: 2}, []int{1, 8, 8, 32})),
	"depth to blocks":    Sequence(Conv(8, 3), spread(), into(schema.BuiltinOperatorDEPTH_TO_SPACE, &schema.DepthToSpaceOptionsT{BlockSize: 2}, []int{1, 32, 32, 2})),
	"pack":               Sequence(Conv(8, 3), spread(), stackedApart(1)),
	"pack channels":      Sequence(Conv(8, 3), spread(), stackedApart(4)),
	"shuffle":            Sequence(Conv(8, 3), spread(), shuffled(1, 16, 16, 2, 4)),
	"shuffle of rows":    Sequence(Conv(8, 3), spread(), shuffled(256, 4, 2)),
	"grouped shuffle":    Sequence(Conv(8, 3), spread(), Depthwise(3), spread(), shuffled(1, 16, 16, 4, 2), Depthwise(3), spread()),
	"shuffle with space": Sequence(Conv(8, 3), spread(), shuffled(1, 16, 4, 32)),
	"channels first":     Sequence(Conv(8, 3), spread(), first, Unary(schema.BuiltinOperatorLEAKY_RELU, &schema.LeakyReluOptionsT{Alpha: 0.2}), last, Depthwise(3), spread()),
	"tile":               Sequence(Conv(8, 3), spread(), moved(schema.BuiltinOperatorTILE, nil, 32, []int{1, 2, 1, 1})),
	"broadcast":          Sequence(Conv(8, 3), spread(), Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 2), moved(schema.BuiltinOperatorBROADCAST_TO, nil, 16, []int{1, 16, 16, 8})),
	"integers aside":     Sequence(Conv(8, 3), spread(), reshapedByComputedShape),
}

// aroundLayer is a model with one of these layers in its middle, and options whose
// statistics are those of the inputs that are compared: what rests on them is exact
// there.
func aroundLayer(seed uint64, layer Layer) (*tflite.Model, Options) {
	tail := Sequence(Conv(8, 3, ReLU), spread(), Conv(8, 1, ReLU), spread(), Conv(8, 1, ReLU), Conv(4, 1))
	m := ChainSeed(seed+1, Input(1, 16, 16, 3), Conv(8, 1, ReLU), spread(), layer, tail)
	return m, Options{Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
}

// Equalization changes no output of the float graph.
func TestEqualizationKeepsTheFunction(t *testing.T) {
	keepsTheFunction(t, "equalize", true, nil)
}

// keepsTheFunction tells where a pass that scales channels changes an output, over
// all that passes scales on. also, if set, sees each model, its options, and the job
// after the pass.
func keepsTheFunction(t *testing.T, pass string, perTensor bool, also func(t *testing.T, m *tflite.Model, opts *Options, j *job)) {
	scaled := 0
	for name, layer := range equalized {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				m, opts := aroundLayer(seed, layer)
				opts.PerTensor = perTensor
				j := jobAfter(t, m, &opts, pass)
				scaled += len(j.report.Equalized)
				if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-4 {
					t.Errorf("seed %d: outputs changed by %.2g of their range; %d blocks were scaled\n%v", seed, d, len(j.report.Equalized), j.model)
				}
				if strings.Contains(name, "relu6") {
					belowCaps(t, jobAfter(t, m, &opts, "estimate"), j)
				}
				if also != nil {
					also(t, m, &opts, j)
				}
			}
		})
	}
	if scaled < len(equalized) {
		t.Errorf("only %d blocks of all models were scaled: what is tested?", scaled)
	}
}

// belowCaps tells of channels that scaling brought to a cap that they are not taken to reach
// on real inputs: it answers as before on what was seen, and no further.
func belowCaps(t *testing.T, before, after *job) {
	t.Helper()
	for k, op := range after.graph.Ops {
		if op.Activation() != schema.ActivationFunctionTypeRELU6 {
			continue
		}
		was := before.stats[before.graph.Ops[k].Outputs[0]].preActivation()
		for c, m := range after.stats[op.Outputs[0]].preActivation() {
			if reach := reachOf(m); reach > 6.001 && reach > 1.001*reachOf(was[c]) {
				t.Errorf("channel %d of %q may reach %g now, capped at 6, and might reach %g before", c, outputName(op), reach, reachOf(was[c]))
			}
		}
	}
}

// Scales pass what they can pass: the tensor behind the op is scaled too.
func TestEqualizationPasses(t *testing.T) {
	for name, behind := range map[string]string{
		"relu of its own": "unary", "pools": "pool", "concat": "concat", "concat rows": "rows", "concat coordinates": "concat", "pad": "pad", "mean over rows": "mean", "maximum of two": "of_two",
		"minimum of two": "of_two", "absolute": "unary", "select": "select", "update": "update", "mirror pad": "mirror", "split": "part",
		"split rows": "part", "split by sizes": "part", "expand dims": "expand", "transpose of space": "moved", "reverse": "moved",
		"gather rows": "moved", "slice": "moved", "strided slice": "moved", "tile": "moved", "broadcast": "moved", "gather channels": "moved",
		"slice from behind": "moved", "slice channels": "into", "every other": "into", "first of channels": "into", "some channels": "into",
		"blocks to depth": "into", "depth to blocks": "into", "pack": "unpacked", "shuffle": "joined", "shuffle of rows": "joined", "grouped shuffle": "joined",
	} {
		passed := false
		for seed := range uint64(5) {
			m, opts := aroundLayer(seed, equalized[name])
			opts.PerTensor = true
			j := jobAfter(t, m, &opts, "equalize")
			for _, b := range j.report.Equalized {
				passed = passed || slices.Contains(b.Tensors, behind)
			}
		}
		if !passed {
			t.Errorf("%s: %q is never scaled", name, behind)
		}
	}
}

// Ops that move channels leave none behind: what is a hundred times smaller than its
// neighbours gets as many steps behind them as before.
func TestLinkedChannels(t *testing.T) {
	for name, bars := range map[string][2]float64{ // per-tensor and per-channel, in dB
		"grouped shuffle": {22, 25}, "slice channels": {25, 24}, "some channels": {26, 28}, "pack": {20, 24}, "channels first": {20, 22},
	} {
		for k, perTensor := range []bool{true, false} {
			const seeds = 4
			mean := 0.0
			for seed := range uint64(seeds) {
				m, opts := aroundLayer(seed, equalized[name])
				opts.PerTensor = perTensor
				mean += quantizedSQNR(t, m, opts, evaluate, opts.Calibration) / seeds
			}
			if t.Logf("%s, per tensor %v: %.1f dB", name, perTensor, mean); mean < bars[k] {
				t.Errorf("less than %g dB", bars[k])
			}
		}
	}
}

// Absorption changes no output on the inputs that its statistics are of, which it follows, and
// leaves alone what zero padding, a cap or another reader would see through.
func TestAbsorptionKeepsTheFunction(t *testing.T) {
	raised := func(b *Builder, x *tflite.Tensor) *tflite.Tensor { // biases that keep every channel above zero
		op := b.Graph.Ops[len(b.Graph.Ops)-1]
		v := op.Inputs[2].Floats()
		for i := range v {
			v[i] += 20
		}
		op.Inputs[2].SetFloats(v)
		return x
	}
	low := Scale(0.03)
	tests := []struct {
		name  string
		layer Layer
		want  int // tensors absorbed from
	}{
		{"into a 1×1 filter", Sequence(Conv(6, 3, ReLU), raised, Conv(4, 1, ReLU)), 1},
		{"into an unpadded filter", Sequence(Conv(6, 3, ReLU), raised, Conv(4, 3, ReLU, Valid)), 1},
		{"into a depthwise filter", Sequence(Conv(6, 3, ReLU), raised, Depthwise(3, ReLU, Valid, Multiplier(2))), 1},
		{"into a dense layer", Sequence(Conv(6, 3, ReLU), raised, Dense(5)), 1},
		{"into two", Sequence(Conv(6, 3, ReLU), raised, Concat(Conv(2, 1), Conv(3, 1))), 1},
		{"not where zeros are padded", Sequence(Conv(6, 3, ReLU), raised, Conv(4, 3, ReLU)), 0},
		{"not beside another reader", Sequence(Conv(6, 3, ReLU), raised, Concat(Identity(), Conv(3, 1))), 0},
		{"below the cap of RELU6", Sequence(Conv(6, 3, ReLU6), raised, low, Conv(4, 1)), 1},
		{"not at the cap of RELU6", Sequence(Conv(6, 3, ReLU6), raised, Conv(4, 1)), 0},
		{"not without an activation", Sequence(Conv(6, 3), raised, Conv(4, 1)), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := Chain(Input(1, 12, 12, 3), test.layer)
			opts := &Options{Absorb: true, Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
			j := jobAfter(t, m, opts, "absorb bias")
			if j.report.Absorbed != test.want {
				t.Errorf("absorbed from %d tensors, want %d", j.report.Absorbed, test.want)
			}
			if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-5 {
				t.Errorf("outputs changed by %.2g of their range\n%v", d, j.model)
			}
			sameStatistics(t, test.name, j, jobAfter(t, j.model, opts, "estimate"))
		})
	}
}

// relativeChange runs two float models and returns the largest difference of
// their outputs over the outputs' largest magnitude, or over size where that is
// more.
func relativeChange(t *testing.T, open Interpreter, before, after *tflite.Model, size float64) float64 {
	t.Helper()
	a, b := mustOpen(t, open, before), mustOpen(t, open, after)
	worst := 0.0
	for _, in := range Inputs(before, 9, 4, 1) {
		want, err := a(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b(in)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			var s errorSums
			s.add(want[k], got[k], 1)
			size := math.Max(size, largest(want[k]))
			if s.notFinite > 0 {
				return math.Inf(1)
			}
			worst = math.Max(worst, s.max/math.Max(size, 1e-30))
		}
	}
	return worst
}

func largest(v []float32) float64 {
	most := 0.0
	for _, x := range v {
		most = math.Max(most, math.Abs(float64(x)))
	}
	return most
}

// Layers of the tests above.

func residualWith(activation string) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		y := Sequence(Conv(8, 3), spread())(b, x)
		return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true, FusedActivationFunction: schema.EnumValuesActivationFunctionType[activation]}, x.Shape, y, x)
	}
}

func padChannels(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	shape := []int{x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3] + 5}
	return b.Op("pad", schema.BuiltinOperatorPAD, &schema.PadOptionsT{}, shape, x, b.Ints([]int{4, 2}, 0, 0, 0, 0, 0, 0, 2, 3))
}

func prelu(computed bool) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		alpha := b.Random(0.2, 0.1, 1, 1, x.Shape[3])
		if computed {
			alpha = Conv(x.Shape[3], 1)(b, x)
		}
		return b.Op("prelu", schema.BuiltinOperatorPRELU, nil, x.Shape, x, alpha)
	}
}

func swish(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := Unary(schema.BuiltinOperatorLOGISTIC, nil)(b, x)
	return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, y)
}

func gatedLayer(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := Sequence(Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 16, Valid), Conv(8, 1), spread())(b, x)
	return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{FusedActivationFunction: schema.ActivationFunctionTypeRELU}, x.Shape, x, y)
}

// gatedTwoWays is a map of one channel times a vector of channels: both are broadcast.
func gatedTwoWays(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	channels := Sequence(Pool(schema.BuiltinOperatorAVERAGE_POOL_2D, 4, Valid, Stride(4)), Conv(8, 1), spread(), Pool(schema.BuiltinOperatorMAX_POOL_2D, 4, Valid))(b, x)
	return b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, Conv(1, 1)(b, x), channels)
}

func withConstant(code schema.BuiltinOperator, n int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		var o any
		switch code {
		case schema.BuiltinOperatorADD:
			o = &schema.AddOptionsT{PotScaleInt16: true}
		case schema.BuiltinOperatorSUB:
			o = &schema.SubOptionsT{PotScaleInt16: true}
		}
		y := Reshape(256, 8)(b, x) // no image, or it would become a depthwise convolution
		return Reshape(x.Shape...)(b, b.Op("with", code, o, y.Shape, y, b.Random(0.5, 1, n)))
	}
}

func transposed(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := b.Op("transpose", schema.BuiltinOperatorTRANSPOSE, nil, []int{1, x.Shape[3], x.Shape[1], x.Shape[2]}, x, b.Ints([]int{4}, 0, 3, 1, 2))
	return b.Op("transpose", schema.BuiltinOperatorTRANSPOSE, nil, x.Shape, y, b.Ints([]int{4}, 0, 2, 3, 1))
}

func meanOf(axis int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape := append([]int{}, x.Shape...)
		shape[axis] = 1
		return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, shape, x, b.Ints([]int{1}, axis))
	}
}

// meanOfComputed is the mean over the channels, an axis that is an argument of
// the maximum of a constant: a number, though no constant.
func meanOfComputed(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	axis := b.Tensor("axis", schema.TensorTypeINT32)
	flat := Reshape(x.Len())(b, x)
	square := b.Op("square", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, flat.Shape, flat, flat)
	first := b.Op("first", schema.BuiltinOperatorSLICE, nil, []int{4}, square, b.Ints([]int{1}, 0), b.Ints([]int{1}, 4))
	ramp := b.Op("ramp", schema.BuiltinOperatorMINIMUM, nil, []int{4}, first, b.Floats([]int{4}, -4, -3, -2, -1))
	b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(ramp, b.Ints(nil, 0)), axis)
	return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, []int{1, 16, 16, 1}, x, axis)
}

// ofTwo is an op on x and what a filter makes of it.
func ofTwo(code schema.BuiltinOperator) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		return b.Op("of_two", code, nil, x.Shape, x, Sequence(Conv(8, 1), spread())(b, x))
	}
}

func selected(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	other := Sequence(Conv(8, 1), spread())(b, x)
	condition := b.Tensor("condition", schema.TensorTypeBOOL, x.Shape...)
	condition.Data = make([]byte, condition.Len())
	for i := range condition.Data {
		condition.Data[i] = byte(i % 3 % 2)
	}
	return b.Op("select", schema.BuiltinOperatorSELECT_V2, nil, x.Shape, condition, other, x)
}

func updated(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	part := Sequence(Conv(8, 3, Stride(2)), spread())(b, x)
	return b.Op("update", schema.BuiltinOperatorDYNAMIC_UPDATE_SLICE, nil, x.Shape, x, part, b.Ints([]int{4}, 0, 3, 2, 0))
}

func mirrored(channels int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape := []int{1, x.Shape[1] + 2, x.Shape[2], x.Shape[3] + channels}
		return b.Op("mirror", schema.BuiltinOperatorMIRROR_PAD, &schema.MirrorPadOptionsT{}, shape, x, b.Ints([]int{4, 2}, 0, 0, 1, 1, 0, 0, channels, 0))
	}
}

// split makes two of x, scales them apart and joins them again.
func split(code schema.BuiltinOperator, axis int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		shape := append([]int{}, x.Shape...)
		a := (axis + 4) % 4
		shape[a] /= 2
		p, q := b.Tensor("part", schema.TensorTypeFLOAT32, shape...), b.Tensor("part", schema.TensorTypeFLOAT32, shape...)
		if code == schema.BuiltinOperatorSPLIT {
			b.Add(code, &schema.SplitOptionsT{NumSplits: 2}, list(b.Ints(nil, axis), x), p, q)
		} else {
			b.Add(code, &schema.SplitVOptionsT{NumSplits: 2}, list(x, b.Ints([]int{2}, shape[a], shape[a]), b.Ints(nil, axis)), p, q)
		}
		y := Sequence(Depthwise(3), spread())(b, p)
		return b.Op("concat", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: int32(a)}, x.Shape, q, y)
	}
}

func expanded(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := b.Op("expand", schema.BuiltinOperatorEXPAND_DIMS, nil, []int{1, 1, 16, 16, 8}, x, b.Ints(nil, 1))
	return Reshape(x.Shape...)(b, y)
}

// moved is an op on x and vectors that leaves that many rows.
func moved(code schema.BuiltinOperator, options any, rows int, vectors ...[]int) Layer {
	return shaped("moved", code, options, []int{1, rows, 16, 8}, vectors...)
}

// into is an op on x and vectors that makes it another shape.
func into(code schema.BuiltinOperator, options any, shape []int, vectors ...[]int) Layer {
	return shaped("into", code, options, shape, vectors...)
}

func shaped(name string, code schema.BuiltinOperator, options any, shape []int, vectors ...[]int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		operands := list(x)
		for _, v := range vectors {
			operands = append(operands, b.Ints([]int{len(v)}, v...))
		}
		return b.Op(name, code, options, shape, operands...)
	}
}

// stackedApart stacks x and what a filter makes of it along a new axis, and takes them apart
// again.
func stackedApart(axis int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		other := Sequence(Depthwise(3), spread())(b, x)
		stack := slices.Insert(slices.Clone(x.Shape), axis, 2)
		y := b.Op("packed", schema.BuiltinOperatorPACK, &schema.PackOptionsT{Axis: int32(axis), ValuesCount: 2}, stack, x, other)
		p, q := b.Tensor("unpacked", schema.TensorTypeFLOAT32, x.Shape...), b.Tensor("unpacked_too", schema.TensorTypeFLOAT32, x.Shape...)
		b.Add(schema.BuiltinOperatorUNPACK, &schema.UnpackOptionsT{Axis: int32(axis), Num: 2}, list(y), p, q)
		return b.Op("sum", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, p, q)
	}
}

// shuffled exchanges the last two axes of x in another shape.
func shuffled(shape ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		order := make([]int, len(shape))
		for i := range order {
			order[i] = i
		}
		last := len(order) - 1
		order[last-1], order[last] = last, last-1
		swapped := slices.Clone(shape)
		swapped[last-1], swapped[last] = shape[last], shape[last-1]
		y := b.Op("apart", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, shape, x, b.Ints([]int{len(shape)}, shape...))
		y = b.Op("moved", schema.BuiltinOperatorTRANSPOSE, nil, swapped, y, b.Ints([]int{len(order)}, order...))
		return b.Op("joined", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, x.Shape, y, b.Ints([]int{len(x.Shape)}, x.Shape...))
	}
}

func resize(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	shape := []int{1, 2 * x.Shape[1], 2 * x.Shape[2], x.Shape[3]}
	return b.Op("resize", schema.BuiltinOperatorRESIZE_BILINEAR, &schema.ResizeBilinearOptionsT{}, shape, x, b.Ints([]int{2}, shape[1], shape[2]))
}

func spaceToBatch(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := b.Op("batches", schema.BuiltinOperatorSPACE_TO_BATCH_ND, nil, []int{4, 8, 8, x.Shape[3]}, x, b.Ints([]int{2}, 2, 2), b.Ints([]int{2, 2}, 0, 0, 0, 0))
	y = Sequence(Depthwise(3), spread())(b, y)
	return b.Op("space", schema.BuiltinOperatorBATCH_TO_SPACE_ND, nil, x.Shape, y, b.Ints([]int{2}, 2, 2), b.Ints([]int{2, 2}, 0, 0, 0, 0))
}

// reshapedByComputedShape reshapes x to its own shape, which is computed from
// values, by way of a RESHAPE of integers.
func reshapedByComputedShape(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	top := b.Tensor("top", schema.TensorTypeINT32, 1, 16, 16)
	b.Add(schema.BuiltinOperatorARG_MAX, &schema.ArgMaxOptionsT{OutputType: schema.TensorTypeINT32}, list(x, b.Ints(nil, 3)), top)
	flat := b.Tensor("flat", schema.TensorTypeINT32, 256)
	b.Add(schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, list(top, b.Ints([]int{1}, 256)), flat)
	few := b.Tensor("few", schema.TensorTypeINT32, 4)
	b.Add(schema.BuiltinOperatorSLICE, nil, list(flat, b.Ints([]int{1}, 0), b.Ints([]int{1}, 4)), few)
	none := b.Tensor("none", schema.TensorTypeINT32, 4)
	b.Add(schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, list(few, b.Ints([]int{4}, 0, 0, 0, 0)), none)
	shape := b.Tensor("shape", schema.TensorTypeINT32, 4)
	b.Add(schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, list(none, b.Ints([]int{4}, 1, 16, 16, 8)), shape)
	return b.Op("reshape", schema.BuiltinOperatorRESHAPE, &schema.ReshapeOptionsT{}, x.Shape, x, shape)
}

// What an error in a weight adds to an output, with its mean taken out or not.
func TestErrorPower(t *testing.T) {
	values := []float32{3, 5, 4, 7, 6, 5}
	mean, square, variance := 0.0, 0.0, 0.0
	for _, x := range values {
		mean += float64(x) / float64(len(values))
		square += float64(x) * float64(x) / float64(len(values))
	}
	for _, x := range values {
		variance += (float64(x) - mean) * (float64(x) - mean) / float64(len(values))
	}
	m := channelMoments(values, 1)[0]
	for _, c := range []struct {
		opts Options
		want float64
	}{{Options{}, variance}, {Options{NoCorrect: true}, square}} {
		if got := (&job{opts: &c.opts}).errorPower(m); !(math.Abs(got/c.want-1) <= 1e-6) {
			t.Errorf("corrected %t: %g, want %g", !c.opts.NoCorrect, got, c.want)
		}
	}
}

// What noise in an input channel does to a filter's outputs: its covariance between
// two taps of a kernel is smooth, its variance 1.
func TestNoiseBehindAFilter(t *testing.T) {
	for name, layer := range map[string]Layer{"conv": Conv(5, 3), "pointwise": Conv(5, 1), "depthwise": Depthwise(3)} {
		m := Chain(Input(1, 8, 8, 3), Conv(6, 3, ReLU), layer, Conv(4, 1), Conv(4, 1), Conv(4, 1), Conv(4, 1))
		j := jobAfter(t, m, &Options{PerTensor: true, Calibration: Inputs(m, 1, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
		op := j.graph.Ops[1]
		f := spec(op).filter
		v := newChannelScales(j)
		w, shape := op.Inputs[f.weights].Floats(), op.Inputs[f.weights].Shape
		variance := outputVariances(j.stats[op.Outputs[0]].preActivation())
		r := (&block{v: v}).newReader(j, op).perTensor(0, variance) // no variable is free: all gains are in the last place
		want := 0.0
		kernel := func(o int, taps []float64) {
			for a, x := range taps {
				for b, y := range taps {
					covariance := smooth
					if a == b {
						covariance = 1
					}
					want += x * y * covariance / variance[o]
				}
			}
		}
		switch name {
		case "depthwise": // [1, height, width, channel]
			for c := range shape[3] {
				var taps []float64
				for p := range shape[1] * shape[2] {
					taps = append(taps, float64(w[p*shape[3]+c]))
				}
				kernel(c, taps)
			}
		default: // [output, height, width, channel]
			for o := range shape[0] {
				for c := range shape[3] {
					var taps []float64
					for p := range shape[1] * shape[2] {
						taps = append(taps, float64(w[(o*shape[1]*shape[2]+p)*shape[3]+c]))
					}
					kernel(o, taps)
				}
			}
		}
		if got := r.gain[0]; !(math.Abs(got/want-1) <= 1e-6) {
			t.Errorf("%s: gain of %g, want %g", name, got, want)
		}
	}
}

// What a mean over the image leaves of noise in activations and of errors in weights,
// each over what it is at one position: sameEverywhere is about the ratio of the two.
func TestErrorsOfWeightsAreNotAveragedAway(t *testing.T) {
	const side, patch, channels, samples, draws = 7, 8, 3, 64, 200
	var images [][]float32 // [sample][position and channel], as a deep layer sees it: each position an area of the image
	var all [channels]moments
	for s := range samples {
		shape := []int{1, side * patch, side * patch, channels}
		pixels, image := make([]float32, shape[1]*shape[2]*channels), make([]float32, side*side*channels)
		stimulus.Fill(pixels, shape, stimulus.Leaves, 1, uint64(s))
		for i, x := range pixels {
			row, column, c := i/channels/shape[2]/patch, i/channels%shape[2]/patch, i%channels
			image[(row*side+column)*channels+c] += x / (patch * patch)
		}
		for c, m := range channelMoments(image, channels) {
			all[c] = all[c].join(m)
		}
		images = append(images, image)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var rounding, errors struct{ here, behind float64 } // power at one position, and behind the mean
	for range draws {
		var w, e [channels]float64
		for c := range w {
			w[c], e[c] = r.NormFloat64(), r.Float64()-0.5
			rounding.here += w[c] * w[c] / 12
			errors.here += e[c] * e[c] * all[c].variance()
		}
		for _, image := range images {
			a, b := 0.0, 0.0
			for i, v := range image {
				c, x := i%channels, float64(v)
				a += w[c] * (math.Round(x*255) - x*255) / (side * side)
				b += e[c] * (x - all[c].mean) / (side * side)
			}
			rounding.behind += a * a / samples
			errors.behind += b * b / samples
		}
	}
	activations, weights := rounding.behind/rounding.here, errors.behind/errors.here
	if ratio := weights / activations; ratio < sameEverywhere/2 || ratio > sameEverywhere*4 {
		t.Errorf("a mean leaves %.3f of noise in activations and %.3f of errors in weights, the ratio is %.1f; %d is taken for it", activations, weights, ratio, sameEverywhere)
	} else {
		t.Logf("a mean leaves %.3f and %.3f, the ratio is %.1f", activations, weights, ratio)
	}
}

// eachScaledBlock calls f with the blocks of a network and random scales for each, within
// its bounds.
func eachScaledBlock(t *testing.T, perTensor bool, f func(j *job, b *block, s []float64)) {
	t.Helper()
	tail := Sequence(Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
	m := Chain(Input(1, 12, 12, 3), Conv(8, 3, ReLU6), spread(), Depthwise(3, ReLU), spread(), Concat(Conv(4, 1), Sequence(Conv(5, 3), spread())),
		Residual(Conv(6, 1, ReLU), Conv(9, 3)), Conv(8, 1, ReLU), tail)
	j := jobAfter(t, m, &Options{PerTensor: perTensor, Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
	v := newChannelScales(j)
	v.boundByCaps(j)
	r, n := rand.New(rand.NewPCG(1, 2)), 0
	for _, b := range v.blocks(j) {
		if b.measure(j) {
			n++
			s := make([]float64, len(b.vars))
			for p := range s {
				s[p] = max(math.Exp(2*r.NormFloat64()), v.least[b.vars[p]])
			}
			f(j, b, s)
		}
	}
	if n < 4 {
		t.Errorf("%d blocks: what is tested?", n)
	}
}

// Scales keep to their bounds, and those of RELU6 leave what a channel is taken to reach
// below the cap.
func TestScalesKeepToTheirBounds(t *testing.T) {
	for _, perTensor := range []bool{true, false} {
		caps := 0
		eachScaledBlock(t, perTensor, func(j *job, b *block, _ []float64) {
			for _, x := range b.tensors {
				op := j.graph.Producers()[x]
				for c, m := range j.stats[x].preActivation() {
					i := b.v.of(x, c)
					if op.Activation() != schema.ActivationFunctionTypeRELU6 || b.v.fixed[i] {
						continue
					}
					caps++
					reach := max(0, 1.25*m.hi, m.mean+6*math.Sqrt(m.square/m.n))
					if least := b.v.least[i]; !(math.Abs(6*least-reach) < 1e-9) {
						t.Errorf("channel %d of %q, which may reach %g, may be scaled by %g", c, x.Name, reach, least)
					}
				}
			}
			for _, i := range b.vars {
				b.v.least[i] = 0.97
			}
			if perTensor {
				newEqualizing(j, b).solve()
			} else {
				newFilling(j, b, importances(j)).solve()
			}
			for _, i := range b.vars {
				if b.v.s[i] < 0.97 {
					t.Errorf("per tensor %v: a channel of %v is scaled by %g, below its bound of 0.97", perTensor, b.names(), b.v.s[i])
				}
			}
		})
		if caps < 3 {
			t.Errorf("%d channels have a cap: what is tested?", caps)
		}
	}
}

// What scales are expected to cost before they are applied, they cost once they are: the
// objectives follow by formula what is measured anew then.
func TestCostOfAppliedScales(t *testing.T) {
	same := func(what string, b *block, before, after float64) {
		if !(math.Abs(after/before-1) < 1e-4) {
			t.Errorf("%s: scales of %v cost %g as expected, %g once they are applied", what, b.names(), before, after)
		}
	}
	apply := func(j *job, b *block, s []float64) []float64 {
		for p, x := range s {
			b.v.s[b.vars[p]] = x
		}
		b.v.apply(j, b)
		b.measure(j)
		return ones(len(s))
	}
	eachScaledBlock(t, true, func(j *job, b *block, s []float64) {
		before := newEqualizing(j, b).cost(s)
		one := apply(j, b, s)
		same("equalize", b, before, newEqualizing(j, b).cost(one))
	})
	eachScaledBlock(t, false, func(j *job, b *block, s []float64) {
		before := newFilling(j, b, importances(j)).cost(s)
		one := apply(j, b, s)
		same("fill ranges", b, before, newFilling(j, b, importances(j)).cost(one))
	})
}

// What is expected of channels between two filters of one tap, by its definition: noise of
// uniform rounding, step²/12, in the activation and in both filters' weights, that of
// weights as sameEverywhere has it, over the variances of what is read behind.
func TestCostOfEqualization(t *testing.T) {
	for name, second := range map[string]Layer{"conv": Conv(6, 1, ReLU), "depthwise": Depthwise(1, ReLU)} {
		m := Chain(Input(1, 12, 12, 3), Conv(6, 1), second, Scale(1, 0.01), Conv(8, 1, ReLU), Conv(8, 1, ReLU), Conv(4, 1))
		j := jobAfter(t, m, &Options{PerTensor: true, Calibration: Inputs(m, 9, 4, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}, "estimate")
		before, behind := j.graph.Ops[0], j.graph.Ops[1]
		x := before.Outputs[0]
		v := newChannelScales(j)
		v.fixed[v.of(x, 2)] = true // noise in it counts all the same
		blocks := v.blocks(j)
		b := blocks[slices.IndexFunc(blocks, func(b *block) bool { return slices.Contains(b.tensors, x) })]
		b.measure(j)
		power := func(step float64) float64 { return step * step / 12 }
		largest := func(w []float32) (most float64) {
			for _, x := range w {
				most = math.Max(most, math.Abs(float64(x)))
			}
			return most
		}
		variance := func(m moments) float64 { return m.square / m.n }
		w1, w2 := before.Inputs[1].Floats(), behind.Inputs[1].Floats()
		input, outputs, mean := 0.0, j.stats[behind.Outputs[0]].preActivation(), 0.0
		for _, m := range j.stats[before.Inputs[0]].channels {
			input += variance(m)
		}
		for _, m := range outputs {
			mean += variance(m) / 6
		}
		activation, weights := 0.0, 0.0 // what noise of variance 1 does in the activation, and in the weights behind
		for o, m := range outputs {
			over := math.Max(variance(m), 0.01*mean)
			for c, read := range j.stats[x].channels {
				w := float64(w2[c])
				switch {
				case name == "conv":
					w = float64(w2[o*6+c])
				case c != o:
					continue
				}
				activation += w * w / over
				weights += variance(read) / over
			}
		}
		want := power((j.stats[x].Hi-j.stats[x].Lo)/255)*activation + 16*(power(largest(w2)/127)*weights+power(largest(w1)/127)*input*activation)
		if got := newEqualizing(j, b).cost(ones(len(b.vars))); !(math.Abs(got/want-1) < 1e-6) {
			t.Errorf("%s: expected noise of %g, want %g", name, got, want)
		}
	}
}
