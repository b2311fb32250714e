package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// writeDilated writes a convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND as the dilated
// one that it is. TensorFlow has them so, and leaves them so in models of open batch and of one
// axis; NPUs know dilation, and few the other two.
func (j *job) writeDilated(g *tflite.Graph) {
	links, gone, before := linksOf(g), map[*tflite.Op]bool{}, map[*tflite.Op]*tflite.Op{}
	for _, op := range g.Ops {
		d := dilatedBefore(op, links)
		if d == nil {
			continue
		}
		if pad := d.rewrite(); pad != nil {
			first := d.conv
			if d.expand != nil {
				first = d.expand
			}
			before[first], j.index[pad] = pad, j.index[d.conv]
		}
		gone[d.space], gone[d.batch] = true, true
	}
	var all []*tflite.Op
	for _, op := range g.Ops {
		if pad := before[op]; pad != nil {
			all = append(all, pad)
		}
		if !gone[op] {
			all = append(all, op)
		}
	}
	g.Ops = all
}

// dilated is a convolution by its parts. Where the image is a row, an op makes an axis for the
// convolution and another takes it away.
type dilated struct {
	space, expand, conv, squeeze, batch *tflite.Op

	axes    []int    // of the convolution's input, that are dilated
	by      []int    // along each axis
	borders [][2]int // of zeros before and behind, less what is cut off behind the convolution
}

// dilatedBefore is what ends with op, a BATCH_TO_SPACE_ND; nil if it is something else.
func dilatedBefore(op *tflite.Op, links *links) *dilated {
	d := &dilated{batch: op}
	if op.Code != schema.BuiltinOperatorBATCH_TO_SPACE_ND || !real(op.Outputs[0]) || !op.Inputs[1].Constant() || !op.Inputs[2].Constant() {
		return nil
	}
	d.by = op.Inputs[1].Ints()
	last := links.maker(op.Inputs[0])
	if last != nil && spec(last).reshapes {
		d.squeeze, last = last, links.maker(last.Inputs[0])
	}
	if d.conv = last; last == nil || openFilter(last) == nil || openFilter(last) == transposeConv {
		return nil
	}
	w, ok := d.conv.Window()
	if !ok || w.Padding != schema.PaddingVALID || w.Stride != [2]int{1, 1} || w.Dilation != [2]int{1, 1} {
		return nil
	}
	first := links.maker(d.conv.Inputs[conv.input])
	if first != nil && spec(first).reshapes {
		d.expand, first = first, links.maker(first.Inputs[0])
	}
	if d.space = first; first == nil || first.Code != schema.BuiltinOperatorSPACE_TO_BATCH_ND || (d.expand == nil) != (d.squeeze == nil) ||
		!first.Inputs[1].Constant() || !first.Inputs[2].Constant() || !slices.Equal(first.Inputs[1].Ints(), d.by) {
		return nil
	}
	x, image := d.space.Inputs[0], d.conv.Inputs[conv.input]
	switch {
	case d.expand == nil && len(x.Shape) == 4 && len(d.by) == 2:
		d.axes = []int{1, 2}
	case d.expand != nil && len(x.Shape) == 3 && len(d.by) == 1 && len(d.batch.Outputs[0].Shape) == 3 && image.Shape[3] == x.Shape[2]:
		along := 1 // the other one is of length 1
		if image.Shape[1] == 1 {
			along = 2
		}
		if image.Shape[3-along] != 1 || w.Kernel[2-along] != 1 {
			return nil
		}
		d.axes = []int{along}
	default:
		return nil
	}
	pads, crops := d.space.Inputs[2].Ints(), op.Inputs[2].Ints()
	if len(pads) != 2*len(d.by) || len(crops) != len(pads) || slices.Min(d.by) < 1 || min(slices.Min(pads), slices.Min(crops)) < 0 {
		return nil // whoever runs the graph will be told
	}
	for i := range d.by {
		border := [2]int{pads[2*i] - crops[2*i], pads[2*i+1] - crops[2*i+1]}
		if border[0] < 0 || border[1] < 0 || x.IsOpen(1+i) {
			return nil
		}
		d.borders = append(d.borders, border)
	}
	return d
}

// rewrite makes the convolution a dilated one between what was read first and what was written
// last. It returns a PAD to go before, where zeros lie around other than by SAME.
func (d *dilated) rewrite() (pad *tflite.Op) {
	x, y := d.space.Inputs[0], d.batch.Outputs[0]
	w, _ := d.conv.Window()
	dilation, none, same := [2]int{1, 1}, true, true
	for i, axis := range d.axes {
		dilation[axis-1] = d.by[i]
		reach := d.by[i] * (w.Kernel[axis-1] - 1)
		none = none && d.borders[i] == [2]int{}
		same = same && d.borders[i] == [2]int{reach / 2, reach - reach/2}
	}
	padding := schema.PaddingVALID
	if same && !none {
		padding = schema.PaddingSAME
	}
	switch o := d.conv.Options.(type) {
	case *schema.Conv2DOptionsT:
		c := *o // clones share it
		c.DilationHFactor, c.DilationWFactor, c.Padding = int32(dilation[0]), int32(dilation[1]), padding
		d.conv.Options = &c
	case *schema.DepthwiseConv2DOptionsT:
		c := *o
		c.DilationHFactor, c.DilationWFactor, c.Padding = int32(dilation[0]), int32(dilation[1]), padding
		d.conv.Options = &c
	}
	if !none && !same {
		x, pad = d.padded(x)
	}
	if d.expand == nil {
		d.conv.Inputs[conv.input], d.conv.Outputs[0] = x, y
		return pad
	}
	along := d.axes[0]
	d.expand.Inputs[0], d.squeeze.Outputs[0] = x, y
	asImage(d.expand.Outputs[0], x, along)
	asImage(d.conv.Outputs[0], y, along)
	d.expand.Outputs[0].Name, d.conv.Outputs[0].Name = y.Name+"_image", y.Name+"_filtered" // they hold other values than before
	toReshape(d.expand)
	toReshape(d.squeeze)
	return pad
}

// padded is x with the borders around.
func (d *dilated) padded(x *tflite.Tensor) (*tflite.Tensor, *tflite.Op) {
	y := x.Clone()
	y.Name = d.batch.Outputs[0].Name + "_padded"
	by := make([]int32, 2*len(x.Shape))
	for i, border := range d.borders {
		by[2*(1+i)], by[2*(1+i)+1] = int32(border[0]), int32(border[1])
		y.Shape = slices.Clone(y.Shape)
		y.Shape[1+i] += border[0] + border[1]
		if len(y.Signature) > 0 {
			y.Signature = slices.Clone(y.Signature)
			y.Signature[1+i] = y.Shape[1+i]
		}
	}
	list := integerList(y.Name+"_borders", by)
	list.Shape = []int{len(x.Shape), 2}
	return y, &tflite.Op{Code: schema.BuiltinOperatorPAD, Version: 1, Options: &schema.PadOptionsT{}, Inputs: []*tflite.Tensor{x, list}, Outputs: []*tflite.Tensor{y}}
}

// asImage gives t the shape of a row, its places along one axis of an image.
func asImage(t, row *tflite.Tensor, along int) {
	t.Shape = slices.Insert(slices.Clone(row.Shape), 3-along, 1)
	t.Signature = nil
	if row.IsOpen(0) {
		t.Signature = slices.Clone(t.Shape)
		t.Signature[0] = -1
	}
}
