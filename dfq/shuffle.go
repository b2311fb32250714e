package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// markShuffles notes that channels run along several axes where networks move them past
// each other, so that the groups of a convolution see those of others:
//
//	[…, g·n] RESHAPE to […, g, n], TRANSPOSE to […, n, g], RESHAPE to […, n·g].
func markShuffles(g *tflite.Graph) {
	links := linksOf(g)
	made := func(t *tflite.Tensor, code schema.BuiltinOperator) *tflite.Op {
		if op := links.maker(t); op != nil && op.Code == code {
			return op
		}
		return nil
	}
	for _, join := range g.Ops {
		if join.Code != schema.BuiltinOperatorRESHAPE || !real(join.Inputs[0]) {
			continue
		}
		moved, n := join.Inputs[0], channelCount(join.Outputs[0])
		move := made(moved, schema.BuiltinOperatorTRANSPOSE)
		if move == nil {
			continue
		}
		apart := move.Inputs[0]
		part := made(apart, schema.BuiltinOperatorRESHAPE)
		if part == nil || channelCount(part.Inputs[0]) != n || channelCount(apart) == n || n < 2 || channelAxis(apart.Shape, n) < 0 {
			continue
		}
		apart.Channels, moved.Channels = n, n
		if permuted(move) == nil {
			apart.Channels, moved.Channels = 0, 0
		}
	}
}
