package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// links are a graph's edges. Each step of a pass looks them up once.
type links struct {
	graph     *tflite.Graph
	producers map[*tflite.Tensor]*tflite.Op
	uses      map[*tflite.Tensor][]tflite.Use
}

func linksOf(g *tflite.Graph) *links { return &links{g, g.Producers(), g.Uses()} }

// maker returns the op that writes t, if nothing but one reader sees t.
func (l *links) maker(t *tflite.Tensor) *tflite.Op {
	if len(l.uses[t]) != 1 || slices.Contains(l.graph.Outputs, t) {
		return nil
	}
	return l.producers[t]
}

// alone is maker for ops without activation.
func (l *links) alone(t *tflite.Tensor) *tflite.Op {
	if op := l.maker(t); op != nil && !fusedActivation(op) {
		return op
	}
	return nil
}

// filtersBehind lists the filters that read t, or t with a border of zeros, if
// nothing else does. For a t that is shifted they must not pad.
func (l *links) filtersBehind(t *tflite.Tensor, shifted bool) (filters []*tflite.Op, ok bool) {
	if slices.Contains(l.graph.Outputs, t) {
		return nil, false
	}
	for _, u := range l.uses[t] {
		f := openFilter(u.Op)
		switch {
		case f != nil && u.Input == f.input && !(shifted && (f == transposeConv || pads(u.Op))):
			filters = append(filters, u.Op)
		case u.Op.Code == schema.BuiltinOperatorPAD && u.Input == 0 && !shifted && channelCount(u.Op.Outputs[0]) == channelCount(t):
			more, ok := l.filtersBehind(u.Op.Outputs[0], shifted)
			if !ok {
				return nil, false
			}
			filters = append(filters, more...)
		default:
			return nil, false
		}
	}
	return filters, len(filters) > 0
}

// removeOps takes ops out of a graph.
func removeOps(g *tflite.Graph, ops map[*tflite.Op]bool) {
	g.Ops = slices.DeleteFunc(g.Ops, func(op *tflite.Op) bool { return ops[op] })
}
