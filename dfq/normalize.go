package dfq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/x448/float16"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// ErrQuantized is the error for a model that is quantized already.
var ErrQuantized = errors.New("the model is quantized already; dfq starts from the float model it was made from")

// normalize brings a float graph into the one form that the other passes know.
//
// Before: constants stored as float16 or int8, shapes computed at run time,
// filters without bias, shared constants, pixels that a CAST makes real, images with
// channels first between two TRANSPOSE, squares, negations.
// After: every real constant is FLOAT32 and has one reader; what can be computed
// from constants is; every weighted op has a bias; pixels are real, channels last, and
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
	ref.Fold(g)
	stated := cloneShapes(g.Outputs)
	if err := trueShapes(g); err != nil {
		return err
	}
	for k, t := range g.Outputs {
		if len(t.Signature) == 0 && !slices.Equal(t.Shape, stated[k]) {
			j.report.warn("output %q has the shape %v, not %v as the file says", t.Name, t.Shape, stated[k])
		}
	}
	removeDeadOps(g)
	takePixels(j)
	unshareConstants(g)
	explicitBiases(g)
	dissolveIslands(j)
	plainPads(g)
	writeProducts(g)
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

// floatConstants turns constants that are stored smaller than they are used
// into FLOAT32 and drops the DEQUANTIZE ops that did so at run time. It returns
// the constants that took the place of ops' outputs.
func floatConstants(g *tflite.Graph) (map[*tflite.Tensor]*tflite.Tensor, error) {
	copies := map[*tflite.Tensor]*tflite.Tensor{}
	results := map[*tflite.Tensor]*tflite.Tensor{}
	var ops []*tflite.Op
	for _, op := range g.Ops {
		for k, t := range op.Inputs {
			if r := results[t]; r != nil {
				op.Inputs[k] = r
			}
		}
		if isStored(op) {
			c, err := floatCopy(op.Inputs[0], op.Outputs[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.Place(op), err)
			}
			results[op.Outputs[0]] = c
			continue
		}
		for _, k := range storedOperands(op) {
			t := op.Inputs[k]
			if copies[t] == nil {
				c, err := floatCopy(t, t)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", g.Place(op), err)
				}
				copies[t] = c
			}
			op.Inputs[k] = copies[t]
		}
		ops = append(ops, op)
	}
	for k, t := range g.Outputs {
		if r := results[t]; r != nil {
			g.Outputs[k] = r
		}
	}
	g.Ops = ops
	return results, nil
}

// isStored reports whether op is the DEQUANTIZE of a constant.
func isStored(op *tflite.Op) bool {
	return op.Code == schema.BuiltinOperatorDEQUANTIZE && len(op.Inputs) == 1 && len(op.Outputs) == 1 &&
		op.Inputs[0] != nil && op.Inputs[0].Constant() && real(op.Outputs[0])
}

// storedOperands lists the inputs of an op on real values that are constants of
// a smaller type: a hybrid op's weights. What a custom op does with its own is
// not known.
func storedOperands(op *tflite.Op) []int {
	if !slices.ContainsFunc(op.Outputs, real) || op.Code == schema.BuiltinOperatorCUSTOM || op.Code == schema.BuiltinOperatorDEQUANTIZE {
		return nil
	}
	inputs, _ := signature(spec(op).takes)
	kind := kinds(inputs, len(op.Inputs))
	var list []int
	for k, t := range op.Inputs {
		if t == nil || real(t) || !t.Constant() || t.Quant == nil || len(t.Quant.Scale) == 0 {
			continue
		}
		if k < len(kind) && kind[k] != 'v' {
			continue
		}
		list = append(list, k)
	}
	return list
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

// floatCopy returns a FLOAT32 copy of a float16 or quantized constant, with the
// name and shape of as.
func floatCopy(t, as *tflite.Tensor) (*tflite.Tensor, error) {
	var stored []float32
	switch t.Type {
	case schema.TensorTypeFLOAT32:
		stored = t.Floats()
	case schema.TensorTypeFLOAT16:
		for i := 0; i+1 < len(t.Data); i += 2 {
			stored = append(stored, float16.Frombits(binary.LittleEndian.Uint16(t.Data[i:])).Float32())
		}
	case schema.TensorTypeINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(int8(b)))
		}
	case schema.TensorTypeUINT8:
		for _, b := range t.Data {
			stored = append(stored, float32(b))
		}
	case schema.TensorTypeINT16:
		for i := 0; i+1 < len(t.Data); i += 2 {
			stored = append(stored, float32(int16(binary.LittleEndian.Uint16(t.Data[i:]))))
		}
	case schema.TensorTypeINT32, schema.TensorTypeINT64:
		for _, q := range t.Ints() {
			stored = append(stored, float32(q))
		}
	default:
		return nil, fmt.Errorf("constant %q is %s, which dfq cannot read as float", t.Name, t.Type)
	}
	if len(stored) != t.Len() || as.Len() != t.Len() {
		return nil, fmt.Errorf("constant %q of shape %v holds %d values for shape %v; sparse ones cannot be read", t.Name, t.Shape, len(stored), as.Shape)
	}
	c := t.Clone()
	c.Name, c.Shape, c.Quant = as.Name, slices.Clone(as.Shape), nil
	if q := t.Quant; q != nil && len(q.Scale) > 0 {
		scaleUp(stored, t)
	}
	c.SetFloats(stored)
	return c, nil
}

// scaleUp turns the stored numbers of t into real ones.
func scaleUp(v []float32, t *tflite.Tensor) {
	q, lay := t.Quant, layout{1, 1}
	if len(q.Scale) > 1 {
		lay = layoutOf(t, q.Axis)
	}
	for i := range v {
		c := lay.channel(i)
		zero := int64(0)
		if c < len(q.Zero) {
			zero = q.Zero[c]
		}
		v[i] = q.Scale[c] * (v[i] - float32(zero))
	}
}

// trueShapes records the shapes that tensors have when the graph runs. A file's
// own are nearly always right; an interpreter does not look at them. Where the
// inputs leave dimensions open, so do the tensors whose shapes follow them.
func trueShapes(g *tflite.Graph) error {
	shapes, elsewhere := ref.Shapes(g), shapesElsewhere(g)
	for _, op := range g.Ops {
		for _, t := range op.Outputs {
			shape, ok := shapes[t]
			switch other := elsewhere[t]; {
			case !ok:
			case other != nil:
				t.Shape, t.Signature = shape, openWhere(shape, other)
			case !slices.Equal(shape, t.Shape):
				t.Shape, t.Signature = shape, nil
			}
		}
	}
	return checkSizes(g)
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
