package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// writeUpsampling writes what repeats the rows or columns of an image as the
// RESIZE_NEAREST_NEIGHBOR that it is. Keras has UpSampling2D as EXPAND_DIMS, TILE and RESHAPE, once
// for rows and once for columns, of five dimensions that few NPUs take.
func writeUpsampling(g *tflite.Graph) {
	links := linksOf(g)
	for _, op := range g.Ops {
		x := repeatedImage(op, links)
		if x == nil {
			continue
		}
		y := op.Outputs[0]
		if before := links.maker(x); before != nil && before.Code == schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR &&
			resizesByRepeating(before) && repeatsEach(before.Inputs[0], y) {
			x = before.Inputs[0]
		}
		op.Code, op.Version, op.Options = schema.BuiltinOperatorRESIZE_NEAREST_NEIGHBOR, 2, &schema.ResizeNearestNeighborOptionsT{}
		op.Inputs = []*tflite.Tensor{x, integerList(y.Name+"_size", []int32{int32(y.Shape[1]), int32(y.Shape[2])})}
	}
	removeDeadOps(g)
}

// repeatedImage is the image whose rows or columns a RESHAPE, behind TILE and what makes an axis
// for it, has several times each; nil if op is no such RESHAPE.
func repeatedImage(op *tflite.Op, links *links) *tflite.Tensor {
	if op.Code != schema.BuiltinOperatorRESHAPE || !real(op.Outputs[0]) {
		return nil
	}
	tile := links.maker(op.Inputs[0])
	if tile == nil || tile.Code != schema.BuiltinOperatorTILE || !tile.Inputs[1].Constant() {
		return nil
	}
	wide := tile.Inputs[0]
	expand := links.maker(wide)
	if expand == nil || expand.Code != schema.BuiltinOperatorEXPAND_DIMS && expand.Code != schema.BuiltinOperatorRESHAPE {
		return nil
	}
	x, y, times := expand.Inputs[0], op.Outputs[0], tile.Inputs[1].Ints()
	axis := slices.IndexFunc(times, func(n int) bool { return n != 1 })
	if len(x.Shape) != 4 || len(times) != 5 || axis != 2 && axis != 3 || slices.ContainsFunc(times[axis+1:], func(n int) bool { return n != 1 }) {
		return nil
	}
	long := slices.Clone(x.Shape)
	long[axis-1] *= times[axis]
	if !slices.Equal(wide.Shape, slices.Insert(slices.Clone(x.Shape), axis, 1)) || !slices.Equal(y.Shape, long) || !repeatsEach(x, y) {
		return nil
	}
	return x
}

func resizesByRepeating(op *tflite.Op) bool {
	o, ok := op.Options.(*schema.ResizeNearestNeighborOptionsT)
	return ok && !o.AlignCorners && !o.HalfPixelCenters && repeatsEach(op.Inputs[0], op.Outputs[0])
}

// repeatsEach reports whether RESIZE_NEAREST_NEIGHBOR, which computes positions in float32, makes y
// of x by repeating each row and each column as often as all others. Only the batch may be open.
func repeatsEach(x, y *tflite.Tensor) bool {
	for d := 1; d <= 2; d++ {
		in, out := x.Shape[d], y.Shape[d]
		if in <= 0 || out <= 0 || out%in != 0 || x.IsOpen(d) || y.IsOpen(d) {
			return false
		}
		scale := float32(in) / float32(out)
		for i := range out {
			if int(float32(i)*scale) != i/(out/in) {
				return false
			}
		}
	}
	return true
}
