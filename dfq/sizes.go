package dfq

import (
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/tflite"
)

// Sized returns m with a length for each dimension that the main graph's inputs
// leave open, m itself if they leave none. Open is what the signature of a shape
// has as -1 and the shape, for want of a number, as 1. The first axis of several
// counts samples and stays 1.
//
// Quantize draws its statistics at these sizes, and leaves in what it writes the
// shapes that were there. Options.Calibration has to have them.
func Sized(m *tflite.Model) *tflite.Model {
	if !slices.ContainsFunc(m.Graphs[0].Inputs, func(t *tflite.Tensor) bool { return len(unsized(t)) > 0 }) {
		return m
	}
	if checkGraph(m.Graphs[0]) != nil {
		return m // Quantize says what is wrong with it
	}
	trial := m.Clone()
	if trial.Densify() != nil {
		return m
	}
	g := trial.Graphs[0]
	outputs := 0
	for _, op := range g.Ops {
		outputs += len(op.Outputs)
	}
	inputs := cloneShapes(g.Inputs)
	best, most := inputs, -1
	for attempt := range attempts {
		setShapes(g.Inputs, inputs)
		for _, t := range g.Inputs {
			for _, d := range unsized(t) {
				t.Shape[d] = usualSizes[min(len(t.Shape), len(usualSizes)-1)][attempt]
			}
		}
		// The graph may not run at any size: some take multiples of a number.
		if n := len(ref.Shapes(g)) - len(g.Inputs); n > most {
			best, most = cloneShapes(g.Inputs), n
		}
		if most >= outputs {
			break
		}
	}
	c := m.Clone()
	setShapes(c.Graphs[0].Inputs, best)
	return c
}

const attempts = 3

// usualSizes are lengths for open dimensions, by rank: signals, tables and
// sequences, images, videos.
var usualSizes = [...][attempts]int{
	1: {16000, 16384, 1024},
	2: {64, 100, 16},
	3: {64, 100, 16},
	4: {224, 256, 96},
	5: {32, 64, 16},
}

// unsized lists the dimensions of an input that stand open and have no length.
func unsized(t *tflite.Tensor) []int {
	var list []int
	for d := range t.Shape {
		if t.IsOpen(d) && t.Shape[d] <= 1 && (d > 0 || len(t.Shape) == 1) {
			list = append(list, d)
		}
	}
	return list
}

// openCount is how many dimensions of t are open.
func openCount(t *tflite.Tensor) int {
	n := 0
	for d := range t.Shape {
		if t.IsOpen(d) {
			n++
		}
	}
	return n
}

func cloneShapes(ts []*tflite.Tensor) [][]int {
	shapes := make([][]int, len(ts))
	for i, t := range ts {
		shapes[i] = slices.Clone(t.Shape)
	}
	return shapes
}

func setShapes(ts []*tflite.Tensor, shapes [][]int) {
	for i, t := range ts {
		t.Shape = slices.Clone(shapes[i])
	}
}

// noteSizes keeps the shapes that the file has for inputs, if others are used.
func (j *job) noteSizes(file *tflite.Model) {
	for i, t := range file.Graphs[0].Inputs {
		if now := j.graph.Inputs[i].Shape; !slices.Equal(now, t.Shape) {
			j.fileShapes = cloneShapes(file.Graphs[0].Inputs)
			j.report.warn("input %q leaves its shape %v open: statistics are drawn at %v", t.Name, t.Signature, now)
		}
	}
}

// trueShapes records the shapes that tensors have when the graph runs. A file's
// own are nearly always right; an interpreter does not look at them. Where the
// inputs leave dimensions open, so do the tensors whose shapes are others elsewhere.
func trueShapes(g *tflite.Graph, shapes, elsewhere map[*tflite.Tensor][]int) error {
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

// elsewhere are the shapes that tensors have, and the integers that the graph computes, if every
// open dimension of the inputs is of another length; nil if none is open.
func elsewhere(g *tflite.Graph) (shapes map[*tflite.Tensor][]int, integers map[*tflite.Tensor][]int64) {
	here := cloneShapes(g.Inputs)
	setShapes(g.Inputs, here) // copies, as the old slices may be in use elsewhere
	defer setShapes(g.Inputs, here)
	open := false
	for _, t := range g.Inputs {
		for d := range t.Shape {
			switch {
			case !t.IsOpen(d):
				continue
			case d == 0 && len(t.Shape) > 1:
				t.Shape[d]++
			case len(t.Shape) >= 4:
				t.Shape[d] += 32 // what strides of five layers divide
			default:
				t.Shape[d] *= 2
			}
			open = true
		}
	}
	if !open {
		return nil, nil
	}
	return ref.ShapesAndIntegers(g)
}

// openWhere is the signature of a shape that is another one elsewhere.
func openWhere(shape, elsewhere []int) []int {
	if slices.Equal(shape, elsewhere) || len(shape) != len(elsewhere) {
		return nil
	}
	signature := slices.Clone(shape)
	for d := range signature {
		if elsewhere[d] != shape[d] {
			signature[d] = -1
		}
	}
	return signature
}

// restoreShapes gives the inputs the shapes that the file had, and every other
// open dimension a 1, as converters write them.
func restoreShapes(j *job) error {
	if j.fileShapes == nil {
		return nil
	}
	for _, t := range j.graph.Tensors() {
		t.Shape = slices.Clone(t.Shape)
		for d := range t.Shape {
			if t.IsOpen(d) && !t.Constant() {
				t.Shape[d] = 1
			}
		}
	}
	setShapes(j.graph.Inputs, j.fileShapes)
	return nil
}
