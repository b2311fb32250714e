package dfq

import (
	"math/rand/v2"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// window is how a spatial filter walks over its input.
type window struct {
	h, w, channels     int // of the input
	kh, kw             int
	strideH, strideW   int
	dilateH, dilateW   int
	outH, outW         int
	paddingH, paddingW int // rows and columns of zeros before
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
	in, w, out := op.Inputs[0].Shape, op.Inputs[1].Shape, op.Outputs[0].Shape
	if len(in) != 4 || len(w) != 4 || len(out) != 4 || w[1]*w[2] == 1 {
		return window{}, false
	}
	p := window{h: in[1], w: in[2], channels: in[3], kh: w[1], kw: w[2], outH: out[1], outW: out[2]}
	var padding schema.Padding
	switch o := op.Options.(type) {
	case *schema.Conv2DOptionsT:
		padding = o.Padding
		p.strideH, p.strideW, p.dilateH, p.dilateW = int(o.StrideH), int(o.StrideW), int(o.DilationHFactor), int(o.DilationWFactor)
	case *schema.DepthwiseConv2DOptionsT:
		padding = o.Padding
		p.strideH, p.strideW, p.dilateH, p.dilateW = int(o.StrideH), int(o.StrideW), int(o.DilationHFactor), int(o.DilationWFactor)
	}
	if padding == schema.PaddingSAME {
		p.paddingH = max(0, (p.outH-1)*p.strideH+(p.kh-1)*p.dilateH+1-p.h) / 2
		p.paddingW = max(0, (p.outW-1)*p.strideW+(p.kw-1)*p.dilateW+1-p.w) / 2
	}
	return p, true
}

// somePatches copies the patches under n outputs, each as [tap][channel], zeros beyond
// the border.
func (p window) somePatches(v []float32, n int, random *rand.PCG) []float32 {
	outputs := places(p.outH*p.outW, n, random)
	size := p.kh * p.kw * p.channels
	patches := make([]float32, len(outputs)*size)
	for i, at := range outputs {
		y0, x0 := at/p.outW*p.strideH-p.paddingH, at%p.outW*p.strideW-p.paddingW
		for tap := range p.kh * p.kw {
			y, x := y0+tap/p.kw*p.dilateH, x0+tap%p.kw*p.dilateW
			if y >= 0 && y < p.h && x >= 0 && x < p.w {
				copy(patches[i*size+tap*p.channels:][:p.channels], v[(y*p.w+x)*p.channels:])
			}
		}
	}
	return patches
}
