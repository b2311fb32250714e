package dfq

import (
	"math"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

// instance normalizes over axes, by a form of its own.
func instance(form func(f formula, x, mean, variance *tflite.Tensor) *tflite.Tensor, axes ...int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		f, over := formula{b}, slices.Clone(x.Shape)
		for _, a := range axes {
			over[a] = 1
		}
		mean := func(of *tflite.Tensor) *tflite.Tensor {
			return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, over, of, b.Ints([]int{len(axes)}, axes...))
		}
		m := mean(x)
		return form(f, x, m, f.plus(mean(f.of(schema.BuiltinOperatorSQUARED_DIFFERENCE, x, m)), float32(1e-5)))
	}
}

// The forms of a norm, from x, its mean, and its variance with what keeps that from 0.
func byRoot(f formula, x, m, v *tflite.Tensor) *tflite.Tensor {
	return f.over(f.of(schema.BuiltinOperatorSUB, x, m), f.of(schema.BuiltinOperatorSQRT, v, nil))
}

func byReciprocal(f formula, x, m, v *tflite.Tensor) *tflite.Tensor {
	return f.times(f.of(schema.BuiltinOperatorSUB, x, m), f.of(schema.BuiltinOperatorRSQRT, v, nil))
}

// withSlopes is what Keras has: the slopes go into the reciprocal, and the shift comes last.
func withSlopes(f formula, x, m, v *tflite.Tensor) *tflite.Tensor {
	r := f.times(f.of(schema.BuiltinOperatorRSQRT, v, nil), f.Floats([]int{4}, 1, -2, 0.5, 3))
	return f.plus(f.times(x, r), f.of(schema.BuiltinOperatorSUB, f.Floats([]int{4}, 1, 2, -1, 0), f.times(m, r)))
}

// groupedNorm is instance normalization of groups of channels.
func groupedNorm(groups int) Layer {
	return func(b *Builder, x *tflite.Tensor) *tflite.Tensor {
		wide := Reshape(1, x.Shape[1]*x.Shape[2], groups, x.Shape[3]/groups)(b, x)
		return Reshape(x.Shape...)(b, instance(byReciprocal, 1, 3)(b, wide))
	}
}

// unevenFilters has outputs of very different size, of which the last is dead.
func unevenFilters(b *Builder, x *tflite.Tensor) *tflite.Tensor {
	y := Conv(4, 3)(b, x)
	op := b.Graph.Producers()[y]
	for _, of := range op.Inputs[1:] {
		v := of.Floats()
		for i := range v {
			v[i] *= []float32{1, 0.02, 0.1, 0}[i*4/len(v)]
		}
		of.SetFloats(v)
	}
	return y
}

// What divides channels by their own deviation gets channels of one deviation, those of a group together, and
// the float graph answers as before. Nothing is done where something else sees how large a channel is.
func TestEvenNorms(t *testing.T) {
	for name, test := range map[string]struct {
		norm Layer
		even int // channels of one deviation
	}{
		"by a root":        {instance(byRoot, 1, 2), 1},
		"by a reciprocal":  {instance(byReciprocal, 1, 2), 1},
		"with slopes":      {instance(withSlopes, 1, 2), 1},
		"each in a group":  {groupedNorm(4), 1},
		"two in a group":   {groupedNorm(2), 2},
		"over channels":    {instance(byReciprocal, 3), 0},
		"over everything":  {instance(byReciprocal, 1, 2, 3), 0},
		"read elsewhere":   {Residual(instance(byReciprocal, 1, 2)), 0},
		"the mean as well": {instance(func(f formula, x, m, v *tflite.Tensor) *tflite.Tensor { return f.plus(byReciprocal(f, x, m, v), m) }, 1, 2), 0},
		"another power": {instance(func(f formula, x, m, v *tflite.Tensor) *tflite.Tensor {
			return f.times(byReciprocal(f, x, m, v), f.of(schema.BuiltinOperatorRSQRT, v, nil))
		}, 1, 2), 0},
		"no norm": {instance(func(f formula, x, m, v *tflite.Tensor) *tflite.Tensor { return f.of(schema.BuiltinOperatorSUB, x, m) }, 1, 2), 0},
	} {
		m := Chain(Input(1, 8, 8, 3), unevenFilters, test.norm, Conv(3, 3))
		for _, perTensor := range []bool{false, true} {
			opts := &Options{Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}, PerTensor: perTensor, Target: "tflite-2.21"}
			j := jobAfter(t, m, opts, "even norms")
			x := j.graph.Ops[0].Outputs[0]
			if even := strings.HasSuffix(x.Name, "_even"); even != (test.even > 0) {
				t.Errorf("%s, per tensor %v: evened %v", name, perTensor, even)
				continue
			}
			if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-5 {
				t.Errorf("%s, per tensor %v: outputs changed by %g", name, perTensor, d)
			}
			if test.even == 0 {
				continue
			}
			var all [2]moments // of the first channels, and of those behind them
			for c, m := range j.stats[x].channels[:2*test.even] {
				all[c/test.even] = all[c/test.even].join(m)
			}
			if a, b := all[0].variance(), all[1].variance(); math.Abs(math.Log(a/b)) > 0.7 {
				t.Errorf("%s: variances of %g and %g", name, a, b)
			}
		}
	}
}

// Norms of uneven channels are as exact as those of even ones.
func TestEvenNormsAreMoreExact(t *testing.T) {
	m := Chain(Input(1, 8, 8, 3), unevenFilters, instance(byReciprocal, 1, 2), Conv(3, 3))
	opts := Options{Calibration: Inputs(m, 1, 8, 1), Inputs: []InputRange{{Range: Range{-1, 1}}}}
	with := quantizedSQNR(t, m, opts, evaluate, opts.Calibration)
	opts.NoEqualize = true
	if without := quantizedSQNR(t, m, opts, evaluate, opts.Calibration); with < without+10 {
		t.Errorf("%.1f dB, without %.1f", with, without)
	}
}
