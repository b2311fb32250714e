package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// plainPads writes PADV2 as PAD where it pads with zeros, or might as well: MAX_POOL_2D
// never sees what is less than a ReLU's output, so that around one 0 does what the −10⁴ or −∞
// does that converters from PyTorch write there. As a real number that would need a range.
func plainPads(g *tflite.Graph) {
	producers, uses := g.Producers(), g.Uses()
	unseen := func(op *tflite.Op) bool {
		y := op.Outputs[0]
		return rectified(producers[op.Inputs[0]]) && !slices.Contains(g.Outputs, y) && maxPoolsSeeMore(op, uses[y])
	}
	for _, op := range g.Ops {
		if op.Code != schema.BuiltinOperatorPADV2 || len(op.Inputs) != 3 || len(op.Outputs) != 1 {
			continue
		}
		if !real(op.Inputs[2]) || !op.Inputs[2].Constant() {
			continue
		}
		if v := op.Inputs[2].Floats(); len(v) == 1 && (v[0] == 0 || v[0] < 0 && unseen(op)) {
			op.Code, op.Options, op.Inputs = schema.BuiltinOperatorPAD, &schema.PadOptionsT{}, op.Inputs[:2]
		}
	}
}

// maxPoolsSeeMore reports whether what pad writes is read by MAX_POOL_2D alone, each of
// whose windows is larger than the borders, so that none lies in them as a whole.
func maxPoolsSeeMore(pad *tflite.Op, uses []tflite.Use) bool {
	borders := pad.Inputs[1]
	if borders == nil || !borders.Constant() || len(uses) == 0 {
		return false
	}
	by := borders.Ints()
	if len(by) != 8 || by[0] != 0 || by[1] != 0 || by[6] != 0 || by[7] != 0 {
		return false
	}
	for _, use := range uses {
		w, ok := use.Op.Window()
		if use.Op.Code != schema.BuiltinOperatorMAX_POOL_2D || !ok ||
			max(by[2], by[3]) >= w.Kernel[0] || max(by[4], by[5]) >= w.Kernel[1] {
			return false
		}
	}
	return true
}
