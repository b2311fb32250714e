package ref

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// smallConstant is how many elements Fold may store even if that is more than
// an op's inputs have.
const smallConstant = 1024

// Fold evaluates the ops that compute with constants alone, SHAPE and RANK of
// tensors of known shape among them, makes their outputs constants and drops
// the ops. Ops that write graph outputs, variables or quantized tensors stay,
// as do those whose result is larger than their inputs and not small.
//
// Shapes are known if they follow from the graph inputs' and no graph input has
// a dimension of -1 in its signature. If the graph has SHAPE or RANK ops, known
// shapes that the file records wrongly or leaves open, as converters do behind
// a computed RESHAPE, are corrected as well.
func Fold(g *tflite.Graph) (changed bool) {
	f := folder{known: map[*tflite.Tensor]*value{}}
	if slices.ContainsFunc(g.Ops, asksShape) {
		f.shapes = knownShapes(g)
		changed = f.correctShapes(g)
	}
	n := len(g.Ops)
	g.Ops = slices.DeleteFunc(slices.Clone(g.Ops), func(op *tflite.Op) bool { return f.fold(g, op) })
	return changed || len(g.Ops) < n
}

func asksShape(op *tflite.Op) bool {
	return op.Code == schema.BuiltinOperatorSHAPE || op.Code == schema.BuiltinOperatorRANK
}

type folder struct {
	known  map[*tflite.Tensor]*value // decoded constants
	shapes map[*tflite.Tensor][]int  // of tensors of known shape
}

// correctShapes records known shapes.
func (f *folder) correctShapes(g *tflite.Graph) (changed bool) {
	for _, op := range g.Ops {
		for _, t := range op.Outputs {
			if shape, ok := f.shapes[t]; ok && (!slices.Equal(shape, t.Shape) || slices.Contains(t.Signature, -1)) {
				t.Shape, t.Signature = shape, nil
				changed = true
			}
		}
	}
	return changed
}

// fold makes the outputs of op constants if it can.
func (f *folder) fold(g *tflite.Graph, op *tflite.Op) bool {
	if !Supported(op) || !foldable(g, op) {
		return false
	}
	c := call{op: op, pool: &pool{limit: smallConstant}}
	for _, t := range op.Inputs {
		v := f.input(op, t)
		if v == nil && t != nil {
			return false
		}
		c.in = append(c.in, v)
		if v != nil {
			c.pool.limit = max(c.pool.limit, v.len())
		}
	}
	for range op.Outputs {
		c.out = append(c.out, new(value))
	}
	if err := c.evaluate(ops[op.Code].kernel); err != nil {
		return false // whoever runs the graph will be told
	}
	constants := make([]tflite.Tensor, len(op.Outputs))
	for i, t := range op.Outputs {
		constants[i] = *t
		if encode(&constants[i], c.out[i]) != nil {
			return false
		}
	}
	for i, t := range op.Outputs {
		*t = constants[i]
	}
	return true
}

// foldable reports whether op's outputs may be constants.
func foldable(g *tflite.Graph, op *tflite.Op) bool {
	for _, t := range op.Outputs {
		if t == nil || t.Variable || quantized(t) || slices.Contains(g.Outputs, t) {
			return false
		}
	}
	return len(op.Inputs) > 0 && len(op.Outputs) > 0
}

// input is what is known of an op's input, or nil. Ops that ask for a shape
// get a value that has nothing else.
func (f *folder) input(op *tflite.Op, t *tflite.Tensor) *value {
	if t == nil {
		return nil
	}
	if shape, ok := f.shapes[t]; ok && asksShape(op) {
		return &value{shape: shape}
	}
	if v, ok := f.known[t]; ok || !t.Constant() {
		return v
	}
	v, err := decode(t)
	if err != nil {
		return nil
	}
	f.known[t] = &v
	return &v
}

// knownShapes are Shapes, if the graph inputs' own are known: otherwise nil.
func knownShapes(g *tflite.Graph) map[*tflite.Tensor][]int {
	if slices.ContainsFunc(g.Inputs, func(t *tflite.Tensor) bool { return slices.Contains(t.Signature, -1) }) {
		return nil
	}
	return Shapes(g)
}

// Shapes runs the graph on zeros as far as it can, at the shapes that the file
// has for its inputs, and lists the shapes that do not depend on the inputs'
// values. What a file records for other tensors is not looked at. Weighted sums, which
// are nearly all of the work, are left out: no shape is taken to follow from them.
func Shapes(g *tflite.Graph) map[*tflite.Tensor][]int {
	shapes, _ := ShapesAndIntegers(g)
	return shapes
}

// ShapesAndIntegers are Shapes, and the integers that the graph computes, where these
// do not depend on the inputs' values either: such as shapes themselves.
func ShapesAndIntegers(g *tflite.Graph) (shapes map[*tflite.Tensor][]int, integers map[*tflite.Tensor][]int64) {
	k := knowledge{shape: map[*tflite.Tensor]bool{}, value: map[*tflite.Tensor]bool{}}
	shapes, integers = map[*tflite.Tensor][]int{}, map[*tflite.Tensor][]int64{}
	var zeros [][]float32
	for _, t := range g.Inputs {
		n, err := size(t.Shape)
		if err != nil {
			return nil, nil
		}
		k.shape[t], shapes[t] = true, shapeOf(t)
		zeros = append(zeros, make([]float32, n))
	}
	head := *g
	head.Outputs = nil
	if i := slices.IndexFunc(g.Ops, func(op *tflite.Op) bool { return !Supported(op) }); i >= 0 {
		head.Ops = g.Ops[:i]
	}
	b := builder{slots: map[*tflite.Tensor]int{}}
	if b.build(&head) != nil {
		return nil, nil
	}
	r := newRun(len(b.e.tensors), limitFor(g))
	r.unmultiplied = true
	if b.e.start(r, zeros) != nil {
		return nil, nil
	}
	// An error ends the run; what is known by then is known.
	_ = b.e.run(r, func(s *step) {
		k.follow(s.op)
		for i, t := range s.op.Outputs {
			v := r.values[s.out[i]]
			if k.shape[t] {
				shapes[t] = slices.Clone(v.shape)
			}
			if k.value[t] && len(v.i) > 0 && len(v.i) <= smallConstant {
				integers[t] = slices.Clone(v.i)
			}
		}
	})
	return shapes, integers
}

// knowledge is which shapes and values do not depend on the graph inputs'
// values.
type knowledge struct{ shape, value map[*tflite.Tensor]bool }

// follow concludes from an op's inputs to its outputs. Real numbers and truth
// values do not make shapes, but for RANGE and WHERE; integers may.
func (k *knowledge) follow(op *tflite.Op) {
	values, shapes := true, true
	for _, t := range op.Inputs {
		if t == nil || t.Constant() {
			continue
		}
		values = values && k.value[t]
		shapes = shapes && k.shape[t]
		counts := !isReal(t) && t.Type != schema.TensorTypeBOOL
		if counts || op.Code == schema.BuiltinOperatorRANGE || op.Code == schema.BuiltinOperatorWHERE {
			shapes = shapes && k.value[t]
		}
	}
	switch {
	case asksShape(op):
		values, shapes = shapes, true
	case ops[op.Code].sums:
		values = false // see Shapes
	}
	for _, t := range op.Outputs {
		if t != nil {
			k.value[t], k.shape[t] = values && !t.Variable, shapes
		}
	}
}
