package dfq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	. "dfq/tflite/tflitetest"
)

func inOrder(x *tflite.Tensor, b *Builder, p ...int) *tflite.Tensor {
	shape := make([]int, len(p))
	for i, a := range p {
		shape[i] = x.Shape[a]
	}
	return b.Op("transpose", schema.BuiltinOperatorTRANSPOSE, nil, shape, x, b.Ints([]int{len(p)}, p...))
}

func first(b *Builder, x *tflite.Tensor) *tflite.Tensor { return inOrder(x, b, 0, 3, 1, 2) }
func last(b *Builder, x *tflite.Tensor) *tflite.Tensor  { return inOrder(x, b, 0, 2, 3, 1) }

func ofBoth(code schema.BuiltinOperator, b *Builder, x, y *tflite.Tensor) *tflite.Tensor {
	var o any
	switch code {
	case schema.BuiltinOperatorADD:
		o = &schema.AddOptionsT{PotScaleInt16: true}
	case schema.BuiltinOperatorMUL:
		o = &schema.MulOptionsT{}
	}
	return b.Op("binary", code, o, x.Shape, x, y)
}

// Ops with channels first are written with channels last, and answer the same.
func TestIslandsDissolve(t *testing.T) {
	relu := Unary(schema.BuiltinOperatorRELU, nil)
	for name, c := range map[string]struct {
		want  int // TRANSPOSE ops that are left
		build func(b *Builder, x *tflite.Tensor) []*tflite.Tensor
	}{
		"activation": {0, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			return []*tflite.Tensor{Conv(4, 1)(b, last(b, relu(b, first(b, x))))}
		}},
		"batch norm and residual": {0, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			a := first(b, x)
			y := ofBoth(schema.BuiltinOperatorMUL, b, first(b, Conv(6, 3)(b, x)), b.Random(1, 1, 6, 1, 1))
			y = ofBoth(schema.BuiltinOperatorADD, b, y, b.Random(0, 1, 1, 6, 1, 1))
			y = b.Op("prelu", schema.BuiltinOperatorPRELU, nil, y.Shape, y, b.Random(0.2, 0.1, 6, 1, 1))
			return []*tflite.Tensor{Conv(4, 1)(b, last(b, ofBoth(schema.BuiltinOperatorADD, b, y, a)))}
		}},
		"concatenation, padding and means": {0, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			a := first(b, x)
			y := b.Op("concat", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: 1}, []int{1, 12, 8, 10}, a, relu(b, a))
			y = b.Op("pad", schema.BuiltinOperatorPAD, &schema.PadOptionsT{}, []int{1, 12, 11, 15}, y, b.Ints([]int{4, 2}, 0, 0, 0, 0, 1, 2, 3, 2))
			m := b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: true}, []int{1, 12, 1, 1}, y, b.Ints([]int{2}, 2, -1))
			z := b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, y.Shape, y, b.Op("unary", schema.BuiltinOperatorLOGISTIC, nil, m.Shape, m))
			flat := b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{}, []int{1, 12}, z, b.Ints([]int{2}, 2, 3))
			return []*tflite.Tensor{Dense(3)(b, flat), Conv(4, 3)(b, last(b, z))}
		}},
		"an answer inside, and one behind": {1, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			y := relu(b, first(b, x))
			return []*tflite.Tensor{y, last(b, y), last(b, relu(b, y))}
		}},
		"two answers of one tensor": {3, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			y := relu(b, first(b, x))
			return []*tflite.Tensor{last(b, y), last(b, y)}
		}},
		"nothing but back": {0, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			return []*tflite.Tensor{Conv(4, 1)(b, last(b, first(b, x)))}
		}},
		"back to an answer": {2, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			return []*tflite.Tensor{last(b, first(b, x))}
		}},
		"no way back": {1, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			return []*tflite.Tensor{Dense(3)(b, Reshape(1, 480)(b, relu(b, first(b, x))))}
		}},
		"mean that turns axes": {1, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			y := relu(b, first(b, x))
			return []*tflite.Tensor{b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{}, []int{1, 6, 10}, y, b.Ints([]int{1}, 2))}
		}},
		"one within another": {0, func(b *Builder, x *tflite.Tensor) []*tflite.Tensor {
			y := first(b, x)
			z := last(b, relu(b, first(b, Conv(6, 1)(b, last(b, y)))))
			return []*tflite.Tensor{last(b, ofBoth(schema.BuiltinOperatorADD, b, first(b, z), y))}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(1)
			x := b.Input(1, 8, 10, 3)
			m := b.Model(c.build(b, Conv(6, 3)(b, x))...)
			j := jobAfter(t, m, &Options{Inputs: []InputRange{{Range: Range{-1, 1}}}}, "normalize")
			if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-6 {
				t.Errorf("answers changed by %.2g\n%v", d, j.model)
			}
			have := 0
			for _, op := range j.graph.Ops {
				if op.Code == schema.BuiltinOperatorTRANSPOSE {
					have++
				}
			}
			if have != c.want {
				t.Errorf("%d TRANSPOSE ops are left, not %d\n%v", have, c.want, j.model)
			}
			q, _, err := Quantize(m, &Options{Inputs: []InputRange{{Range: Range{-1, 1}}}})
			if err != nil {
				t.Fatal(err)
			}
			for k, o := range q.Graphs[0].Outputs {
				if w := m.Graphs[0].Outputs[k]; !slices.Equal(o.Shape, w.Shape) || o.Name != w.Name {
					t.Error(fmt.Sprint(o.Name, o.Shape, " for ", w.Name, w.Shape))
				}
			}
		})
	}
}

// Random graphs with their axes in many orders answer the same, by the same names, with
// fewer TRANSPOSE ops.
func TestIslandsOfRandomGraphs(t *testing.T) {
	orders := [][]int{{0, 3, 1, 2}, {0, 2, 3, 1}, {0, 1, 3, 2}, {0, 2, 1, 3}, {3, 0, 1, 2}, {0, 3, 2, 1}}
	gone := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := New(seed)
		all := []*tflite.Tensor{b.Input(1, 2+r.IntN(3), 2+r.IntN(3), 3)}
		for range 4 + r.IntN(14) {
			x := all[max(0, len(all)-1-r.IntN(4))]
			if len(x.Shape) == 4 && x.Len() < 2500 {
				all = append(all, oneMore(r, b, x, all, orders))
			}
		}
		outputs := list(all[len(all)-1])
		for _, y := range all[1 : len(all)-1] {
			if r.IntN(5) == 0 {
				outputs = append(outputs, y)
			}
		}
		m := b.Model(outputs...)
		j := jobAfter(t, m, &Options{AllowFloat: true, Inputs: []InputRange{{Range: Range{-1, 1}}}}, "normalize")
		fewer := transposes(m.Graphs[0]) - transposes(j.graph)
		gone += fewer
		if d := relativeChange(t, evaluate, m, j.model, 0); d > 1e-5 || fewer < 0 {
			t.Fatalf("seed %d: answers changed by %.2g, %d TRANSPOSE ops fewer\n%v\n%v", seed, d, fewer, m, j.model)
		}
		for k, y := range j.graph.Outputs {
			if want := outputs[k]; y.Name != want.Name || !slices.Equal(y.Shape, want.Shape) {
				t.Errorf("seed %d: output %q of shape %v is %q of %v", seed, want.Name, want.Shape, y.Name, y.Shape)
			}
		}
	}
	if gone < 400 {
		t.Errorf("%d TRANSPOSE ops are gone from all graphs: the test shows little", gone)
	}
}

func transposes(g *tflite.Graph) (n int) {
	for _, op := range g.Ops {
		if op.Code == schema.BuiltinOperatorTRANSPOSE {
			n++
		}
	}
	return n
}

// oneMore is some op on x.
func oneMore(r *rand.Rand, b *Builder, x *tflite.Tensor, all []*tflite.Tensor, orders [][]int) *tflite.Tensor {
	shape, axis := slices.Clone(x.Shape), 1+r.IntN(3)
	behind := axis - 4*r.IntN(2) // the same axis, maybe counted from the last
	switch r.IntN(9) {
	case 0:
		return Unary(schema.BuiltinOperatorRELU, nil)(b, x)
	case 1:
		for i := range shape {
			if r.IntN(2) == 0 {
				shape[i] = 1
			}
		}
		c := b.Random(1, 1, shape[r.IntN(4):]...)
		if r.IntN(2) == 0 {
			return b.Op("less", schema.BuiltinOperatorSUB, &schema.SubOptionsT{}, x.Shape, c, x)
		}
		return b.Op("times", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, c)
	case 2:
		alike := func(y *tflite.Tensor) bool { return slices.Equal(y.Shape, x.Shape) }
		return sum(b, x, all[slices.IndexFunc(all, alike)])
	case 3:
		shape[axis] *= 2
		return b.Op("twice", schema.BuiltinOperatorCONCATENATION, &schema.ConcatenationOptionsT{Axis: int32(behind)}, shape, x, x)
	case 4:
		by := []int{0, 0, r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2)}
		for i := range shape {
			shape[i] += by[2*i] + by[2*i+1]
		}
		return b.Op("padded", schema.BuiltinOperatorPAD, &schema.PadOptionsT{}, shape, x, b.Ints([]int{4, 2}, by...))
	case 5:
		keep := r.IntN(2) == 0
		if shape[axis] = 1; !keep {
			shape = slices.Delete(shape, axis, axis+1)
		}
		return b.Op("mean", schema.BuiltinOperatorMEAN, &schema.ReducerOptionsT{KeepDims: keep}, shape, x, b.Ints([]int{1}, behind))
	}
	return inOrder(x, b, orders[r.IntN(2+r.IntN(5))]...)
}
