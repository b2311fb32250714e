package dfq

import (
	"math"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// group is a set of tensors that share one scale.
type group struct {
	chosenRange
	fixed *affine.Params // nil: from lo and hi

	centred bool // zero point 0
}

func (r *group) params(g affine.Grid) affine.Params {
	if r.fixed != nil {
		return *r.fixed
	}
	if r.centred && !g.Symmetric {
		return affine.Params{Scale: affine.Symmetric(math.Max(-r.Lo, r.Hi))}
	}
	return g.Params(r.Lo, r.Hi)
}

// widen makes the scale at least least, times some room for rounding.
func (r *group) widen(g affine.Grid, least, room float64) {
	if g.Symmetric {
		r.Hi = math.Max(r.Hi, least*float64(g.Max)*room)
	} else {
		r.Hi = math.Max(r.Hi, r.Lo+float64(least*float64(g.Max-g.Min)*room))
	}
}

// groups are the groups of a graph's tensors.
type groups struct {
	grid affine.Grid
	sets unionFind
	of   map[*tflite.Tensor]*group // of roots

	lookedAt map[*tflite.Tensor]Range // beyond it, all values of a tensor are alike to its readers
}

func (g *groups) find(t *tflite.Tensor) *group { return g.of[g.sets.root(t)] }

func (g *groups) params(t *tflite.Tensor) affine.Params { return g.find(t).params(g.grid) }

// join puts a and b into one group; at most one of them may be fixed, or both
// to the same parameters.
func (g *groups) join(a, b *tflite.Tensor) {
	a, b = g.sets.root(a), g.sets.root(b)
	if a == b {
		return
	}
	x, y := g.of[a], g.of[b]
	if x.fixed == nil {
		x.fixed = y.fixed
		if y.fixed != nil {
			x.rule = y.rule
		}
	}
	x.Range = x.hull(y.Range)
	x.centred = x.centred || y.centred
	g.sets.join(a, b)
	delete(g.of, b)
}

// widenForKernels raises output scales to what the kernels can express.
func (g *groups) widenForKernels(ops []*tflite.Op, leastScale func(*tflite.Op) float64) {
	for range 8 { // a widened group may be the input of an earlier op's group
		changed := false
		for _, op := range ops {
			for _, t := range realOperands(op) {
				t.Quant = quantization(g.params(t))
			}
			least := float64(spec(op).reads[0])
			if g.grid == affine.Int8 {
				least = math.Max(least, constantStep(op))
			}
			for _, t := range op.Inputs {
				// A constant, which has no other reader, can have the steps that
				// the kernel works in.
				if least > 0 && real(t) && t.Constant() && float64(g.params(t).Scale) < least {
					g.find(t).widen(g.grid, least, 1.0001)
				}
			}
			if !real(op.Outputs[0]) {
				continue
			}
			out := g.find(op.Outputs[0])
			if need := leastScale(op); out.fixed == nil && float64(out.params(g.grid).Scale) < need {
				out.widen(g.grid, need, 1.01)
				changed = true
			}
			if holds := spec(op).holds; holds != nil {
				if r := holds(g.grid, op); r.Lo < out.Lo || r.Hi > out.Hi {
					// A little more: the ends themselves are rounded.
					out.Range = out.hull(Range{r.Lo * 1.01, r.Hi * 1.01})
					changed = true
				}
			}
		}
		if !changed {
			return
		}
	}
}
