// Package gemm multiplies matrices, to the same bits on every processor.
package gemm

// A Panel is part of a row-major matrix whose rows are Stride elements apart.
type Panel struct {
	Data   []float32
	Stride int
}

// AddProduct adds the product of a (m×k) and b (k×n) to c (m×n). Every element is summed
// up in the order of k, and every product is rounded to float32 before it is added.
func AddProduct(c, a, b Panel, m, n, k int) { addProduct(c, a, b, m, n, k) }

// addInOrder is AddProduct in plain Go. It takes four rows of b at a time, so that c is
// read and written a quarter as often. The conversions keep products from being fused
// with sums.
func addInOrder(c, a, b Panel, m, n, k int) {
	of := func(l int) []float32 { return b.Data[l*b.Stride:][:n] }
	for i := range m {
		row, x := c.Data[i*c.Stride:][:n], a.Data[i*a.Stride:][:k]
		l := 0
		for ; l+4 <= k; l += 4 {
			x0, x1, x2, x3 := x[l], x[l+1], x[l+2], x[l+3]
			b0, b1, b2, b3 := of(l), of(l + 1)[:n], of(l + 2)[:n], of(l + 3)[:n]
			for j, y := range b0 {
				sum := row[j] + float32(x0*y)
				sum += float32(x1 * b1[j])
				sum += float32(x2 * b2[j])
				row[j] = sum + float32(x3*b3[j])
			}
		}
		for ; l < k; l++ {
			for j, y := range of(l) {
				row[j] += float32(x[l] * y)
			}
		}
	}
}
