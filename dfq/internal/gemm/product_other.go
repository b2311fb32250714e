//go:build !amd64 || noasm || gccgo || safe

package gemm

func addProduct(c, a, b Panel, m, n, k int) { addInOrder(c, a, b, m, n, k) }
