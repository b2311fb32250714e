// Package gemm multiplies matrices, to the same bits on every processor.
package gemm

// A Panel is part of a row-major matrix whose rows are Stride elements apart.
type Panel struct {
	Data   []float32
	Stride int
}

// addInOrder is AddProduct in plain Go.
func addInOrder(c, a, b Panel, m, n, k int) {
	for i := range m {
		row := c.Data[i*c.Stride:][:n]
		for l, x := range a.Data[i*a.Stride:][:k] {
			for j, y := range b.Data[l*b.Stride:][:n] {
				row[j] += float32(x * y) // the conversion keeps the two from being fused
			}
		}
	}
}
