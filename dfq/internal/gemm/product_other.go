//go:build !amd64 || noasm || gccgo || safe

package gemm

// AddProduct adds the product of a (m×k) and b (k×n) to c (m×n). Every element is summed
// up in the order of k, and every product is rounded to float32 before it is added.
func AddProduct(c, a, b Panel, m, n, k int) { addInOrder(c, a, b, m, n, k) }
