//go:build amd64 && !noasm && !gccgo && !safe

package gemm

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// addProduct is AddProduct by gonum, whose assembly keeps that order and those roundings
// and is about twice as fast as Go. It is for this processor alone: on others gonum is
// compiled, and some of their compilers fuse product and sum. Blocks are of a size for
// which it works without goroutines, on whole rows of a, which is its fastest way.
func addProduct(c, a, b Panel, m, n, k int) {
	const blockM, blockN = 64, 192
	if m == 0 || n == 0 || k == 0 {
		return
	}
	for j := 0; j < n; j += blockN {
		w := min(blockN, n-j)
		for i := 0; i < m; i += blockM {
			h := min(blockM, m-i)
			blas32.Gemm(blas.NoTrans, blas.NoTrans, 1,
				blas32.General{Rows: h, Cols: k, Stride: a.Stride, Data: a.Data[i*a.Stride:]},
				blas32.General{Rows: k, Cols: w, Stride: b.Stride, Data: b.Data[j:]},
				1, blas32.General{Rows: h, Cols: w, Stride: c.Stride, Data: c.Data[i*c.Stride+j:]})
		}
	}
}
