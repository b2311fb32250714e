package ref

import (
	"slices"

	"dfq/dfq/internal/gemm"
	"dfq/schema"
)

func fullyConnected(c *call) {
	x, filter := c.realArg(0), c.realRank(1, 2)
	o := options[schema.FullyConnectedOptionsT](c)
	need(o.WeightsFormat == schema.FullyConnectedOptionsWeightsFormatDEFAULT, "weights format %v is not supported", o.WeightsFormat)
	n, k := filter.shape[0], filter.shape[1]
	need(k > 0 && len(x.f)%k == 0, "input shape %v for %d weights per output", x.shape, k)
	m := len(x.f) / k
	shape := []int{m, n}
	if last := len(x.shape) - 1; o.KeepNumDims {
		need(last >= 0 && x.shape[last] == k, "input shape %v for %d weights per output", x.shape, k)
		shape = append(slices.Clone(x.shape[:last]), n)
	}
	bias, weights, activate := c.bias(2, n), c.filterColumns(), c.activation()
	y := c.sums(shape...)
	if y == nil {
		return
	}
	setBias(y, bias)
	gemm.AddProduct(gemm.Panel{Data: y, Stride: n}, gemm.Panel{Data: x.f, Stride: k}, gemm.Panel{Data: weights, Stride: n}, m, n, k)
	activate(y)
}

// batchMatMul multiplies the matrices in the last two axes; the axes before
// them broadcast.
func batchMatMul(c *call) {
	o := options[schema.BatchMatMulOptionsT](c)
	a, b := c.matrices(0, o.AdjX), c.matrices(1, o.AdjY)
	m, k, n := a.rows, a.cols, b.cols
	need(b.rows == k, "product of %d×%d and %d×%d", m, k, b.rows, n)
	batch := broadcastShape(a.batch, b.batch)
	y := c.sums(append(slices.Clone(batch), m, n)...)
	clear(y)
	if len(y) == 0 {
		return
	}
	walk(batch, stretched(a.batch, batch), stretched(b.batch, batch), func(i, j int) {
		gemm.AddProduct(gemm.Panel{Data: y, Stride: n}, gemm.Panel{Data: a.f[i*m*k:], Stride: k}, gemm.Panel{Data: b.f[j*k*n:], Stride: n}, m, n, k)
		y = y[m*n:]
	})
}

// matrices is a tensor taken as matrices.
type matrices struct {
	f          []float32
	batch      []int
	rows, cols int
}

// matrices is input i, its matrices transposed if adjoint.
func (c *call) matrices(i int, adjoint bool) matrices {
	x := c.realArg(i)
	r := len(x.shape) - 2
	need(r >= 0, "input %d has shape %v, want matrices", i, x.shape)
	m := matrices{x.f, x.shape[:r], x.shape[r], x.shape[r+1]}
	if !adjoint || len(x.f) == 0 {
		if adjoint {
			m.rows, m.cols = m.cols, m.rows
		}
		return m
	}
	h, w := m.rows, m.cols
	shape := []int{len(x.f) / (h * w), h, w}
	t := value{typ: x.typ, f: make([]float32, len(x.f))}
	move(&t, view{strides: []int{h * w, 1, h}}, x, dense(shape), shape)
	return matrices{t.f, m.batch, w, h}
}
