package dfq

import (
	"errors"
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// ErrQuantized is the error for a model that is quantized already.
var ErrQuantized = errors.New("the model is quantized already; dfq starts from the float model it was made from")

// normalize brings a float graph into the one form that the other passes know.
//
// Before: constants stored as float16 or int8, shapes computed at run time,
// filters without bias, shared constants, activations fused into TRANSPOSE_CONV,
// TRANSPOSE of six axes, pixels that a CAST makes real, images with
// channels first between two TRANSPOSE, rows and columns repeated by TILE, dilated
// filters between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, filters in groups, squares,
// negations, GELU and L2 norms in parts, quotients by roots.
// After: every real constant is FLOAT32 and has one reader; what can be computed
// from constants is; every weighted op has a bias, and TRANSPOSE_CONV no activation; pixels are real, channels last, and
// squares and negations products. The function that the graph computes is the same.
func normalize(j *job) error {
	if err := checkGraph(j.graph); err != nil {
		return err
	}
	if t := quantizedActivation(j.graph); t != nil {
		return fmt.Errorf("tensor %q is %s: %w", t.Name, t.Type, ErrQuantized)
	}
	g := j.graph
	constants, err := floatConstants(g)
	if err != nil {
		return err
	}
	replaceInSignatures(j.model, constants)
	dropRanges(g)
	if err := j.knowShapes(); err != nil {
		return err
	}
	takePixels(j)
	unshareConstants(g)
	explicitBiases(g)
	j.unfuse(g)
	dissolveIslands(j)
	j.narrowTransposes(g)
	plainPads(g)
	writeUpsampling(g)
	j.writeDilated(g)
	flattenNorms(g)
	writeDepthwise(g)
	splitGroups(j)
	writeProducts(g)
	writeGelus(j)
	writeL2Norms(j)
	writeReciprocalRoots(j)
	markShuffles(g)
	return nil
}

// quantizedActivation returns an activation that holds quantized values, or nil.
func quantizedActivation(g *tflite.Graph) *tflite.Tensor {
	producers := g.Producers()
	for _, t := range g.Tensors() {
		switch t.Type {
		case schema.TensorTypeINT8, schema.TensorTypeUINT8, schema.TensorTypeINT16:
			if t.Quant != nil && !t.Constant() && (producers[t] != nil || slices.Contains(g.Inputs, t)) {
				return t
			}
		}
	}
	return nil
}

// dropRanges forgets what a file says of the ranges of real tensors. From here
// on a tensor's Quant says what it will become.
func dropRanges(g *tflite.Graph) {
	for _, t := range g.Tensors() {
		if real(t) {
			t.Quant = nil
		}
	}
}

// removeDeadOps drops ops whose outputs nobody reads. Ops that dfq does not
// know may have effects and stay.
func removeDeadOps(g *tflite.Graph) {
	g.KeepNeeded(func(op *tflite.Op) bool { return spec(op).versions == nil })
}

// unshareConstants gives every reader its own copy of a real constant, since
// two readers may want two scales. Encode stores equal bytes once.
func unshareConstants(g *tflite.Graph) {
	readers := map[*tflite.Tensor]int{}
	for _, t := range g.Outputs {
		readers[t] = 1
	}
	for _, op := range g.Ops {
		for i, t := range op.Inputs {
			if !real(t) || !t.Constant() {
				continue
			}
			if n := readers[t]; n > 0 {
				c := t.Clone()
				c.Name = fmt.Sprintf("%s_copy%d", t.Name, n)
				op.Inputs[i] = c
			}
			readers[t]++
		}
	}
}

// explicitBiases gives every weighted op a bias of one axis, of zeros where it has none:
// a place for corrections, and what CONV_2D and NNAPI demand. Kernels count the elements
// of a bias alone, so that files have others.
func explicitBiases(g *tflite.Graph) {
	for _, op := range g.Ops {
		f := spec(op).filter
		if f == nil {
			continue
		}
		if bias := optional(op, f.bias); bias != nil {
			if bias.Constant() {
				bias.Shape, bias.Signature = []int{bias.Len()}, nil
			}
			continue
		}
		w := op.Inputs[f.weights]
		if !real(w) || !w.Constant() || len(w.Shape) <= f.out || w.Len() == 0 {
			continue // "check support" says what is wrong with it
		}
		bias := &tflite.Tensor{Name: w.Name + "_bias", Shape: []int{w.Shape[f.out]}}
		bias.SetFloats(make([]float32, w.Shape[f.out]))
		for len(op.Inputs) <= f.bias {
			op.Inputs = append(op.Inputs, nil)
		}
		op.Inputs[f.bias] = bias
	}
}
