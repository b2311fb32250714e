package dfq

import "dfq/tflite"

// unionFind are disjoint sets of tensors: by tensor another one of its set, up to the
// one that stands for the set, which has itself or none.
type unionFind map[*tflite.Tensor]*tflite.Tensor

// root is the tensor that stands for t's set.
func (u unionFind) root(t *tflite.Tensor) *tflite.Tensor {
	for u[t] != nil && u[t] != t {
		if up := u[u[t]]; up != nil {
			u[t] = up // half the way for whoever comes next
		}
		t = u[t]
	}
	return t
}

// join makes one set of a's and b's, for which a's root stands.
func (u unionFind) join(a, b *tflite.Tensor) {
	if a, b = u.root(a), u.root(b); a != b {
		u[b] = a
	}
}
