package dfq

import (
	"slices"

	"dfq/tflite"
)

// mostInFunction is twice what is in the longest form of GELU.
const mostInFunction = 64

// between lists, in an order in which they can run, the ops by which op's output is a function of x and
// nothing else, op last; nil if there are none, or if not all are of a kind.
func between(x *tflite.Tensor, op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op, kind func(*tflite.Op) bool) []*tflite.Op {
	var found []*tflite.Op
	met := 0
	var visit func(op *tflite.Op) bool
	visit = func(op *tflite.Op) bool {
		if slices.Contains(found, op) {
			return true
		}
		if met++; op == nil || met > mostInFunction || !kind(op) {
			return false
		}
		for _, t := range op.Inputs {
			if t != x && !(t.Constant() && (!real(t) || sameThroughout(t))) && !visit(producers[t]) {
				return false
			}
		}
		found = append(found, op)
		return true
	}
	if !visit(op) {
		return nil
	}
	return found
}

// sameThroughout reports whether t is a constant of one real number, once or many times.
func sameThroughout(t *tflite.Tensor) bool {
	v := t.Floats()
	return real(t) && len(v) > 0 && !slices.ContainsFunc(v, func(x float32) bool { return x != v[0] })
}
