package dfq

import (
	"math/rand/v2"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// window is how a spatial filter walks over its input, vertical first.
type window struct {
	tflite.Window
	in, out  [2]int // height and width
	channels int    // of the input
	before   [2]int // rows and columns of zeros before it
}

// patchReader is a spatial filter whose input patches are kept.
type patchReader struct {
	op     *tflite.Op
	window window
	rows   int
}

// leastDepthwiseRows is enough for depthwise filters, whose channels have only
// as many weights as there are taps.
const leastDepthwiseRows = 64

// patchReaders lists the spatial filters that read one of the given tensors.
func patchReaders(j *job, inputs []*tflite.Tensor) []patchReader {
	var out []patchReader
	for _, op := range j.graph.Ops {
		w, ok := windowOf(op)
		if !ok || j.float[op] != "" || !slices.Contains(inputs, op.Inputs[0]) {
			continue
		}
		rows := leastRows
		if spec(op).filter == depthwise {
			rows = leastDepthwiseRows
		}
		out = append(out, patchReader{op, w, rows})
	}
	return out
}

// observed is the number of the observation that shows the reader's input.
func (r patchReader) observed(all []observation) int {
	return slices.IndexFunc(all, func(o observation) bool { return o.tensor == r.op.Inputs[0] })
}

// windowOf reads op's window; false for a filter of one tap, whose patches are
// the input's rows, and for ops that walk otherwise.
func windowOf(op *tflite.Op) (window, bool) {
	f := spec(op).filter
	if f != conv && f != depthwise {
		return window{}, false
	}
	in, weights, out := op.Inputs[0].Shape, op.Inputs[1].Shape, op.Outputs[0].Shape
	if len(in) != 4 || len(weights) != 4 || len(out) != 4 || weights[1]*weights[2] == 1 {
		return window{}, false
	}
	w := window{in: [2]int(in[1:3]), out: [2]int(out[1:3]), channels: in[3]}
	w.Window, _ = op.Window()
	if w.Padding == schema.PaddingSAME {
		for k := range w.before {
			w.before[k] = max(0, (w.out[k]-1)*w.Stride[k]+(w.Kernel[k]-1)*w.Dilation[k]+1-w.in[k]) / 2
		}
	}
	return w, true
}

// somePatches copies the patches under n outputs, each as [tap][channel], zeros beyond
// the border.
func (w window) somePatches(v []float32, n int, random *rand.PCG) []float32 {
	outputs, taps := places(w.out[0]*w.out[1], n, random), w.Kernel[0]*w.Kernel[1]
	size := taps * w.channels
	patches := make([]float32, len(outputs)*size)
	for i, at := range outputs {
		y0, x0 := at/w.out[1]*w.Stride[0]-w.before[0], at%w.out[1]*w.Stride[1]-w.before[1]
		for tap := range taps {
			y, x := y0+tap/w.Kernel[1]*w.Dilation[0], x0+tap%w.Kernel[1]*w.Dilation[1]
			if y >= 0 && y < w.in[0] && x >= 0 && x < w.in[1] {
				copy(patches[i*size+tap*w.channels:][:w.channels], v[(y*w.in[1]+x)*w.channels:])
			}
		}
	}
	return patches
}
