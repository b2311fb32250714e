package ref

import (
	"cmp"
	"math"

	"dfq/schema"
)

// A rowFunc sets dst from two operands of the same length.
type rowFunc func(dst, a, b []float32)

// arithmetic is the kernel of an elementwise op of two operands with
// broadcasting and a fused activation. Either function may be nil.
func arithmetic(real rowFunc, integer func(a, b int64) int64) kernel {
	return func(c *call) {
		a, b := c.arg(0), c.arg(1)
		need(a.typ == b.typ, "operands are %v and %v", a.typ, b.typ)
		shape := broadcastShape(a.shape, b.shape)
		av, bv := stretched(a.shape, shape), stretched(b.shape, shape)
		if a.real() {
			need(real != nil, "no kernel for real values")
			activate := c.activation()
			eachRow(c.reals(0, shape...), shape, a.f, av, b.f, bv, func(dst, a, b []float32) {
				real(dst, a, b)
				activate(dst)
			})
			return
		}
		need(integer != nil, "no kernel for %v", a.typ)
		limit := c.integerLimit(a.typ)
		eachRow(c.integers(0, a.typ, shape...), shape, a.i, av, b.i, bv, func(dst, a, b []int64) {
			for i, x := range a {
				dst[i] = limit(integer(x, b[i]))
			}
		})
	}
}

// integerLimit wraps integer results to their type and applies the fused
// activation.
func (c *call) integerLimit(typ schema.TensorType) func(int64) int64 {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch c.op.Activation() {
	case schema.ActivationFunctionTypeRELU:
		lo = 0
	case schema.ActivationFunctionTypeRELU6:
		lo, hi = 0, 6
	case schema.ActivationFunctionTypeRELU_N1_TO_1:
		lo, hi = -1, 1
	}
	return func(x int64) int64 { return min(max(wrap(typ, x), lo), hi) }
}

// comparison is the kernel of an elementwise op with a BOOL result.
func comparison(real func(a, b float32) bool, integer func(a, b int64) bool) kernel {
	return func(c *call) {
		a, b := c.arg(0), c.arg(1)
		need(a.typ == b.typ, "operands are %v and %v", a.typ, b.typ)
		shape := broadcastShape(a.shape, b.shape)
		dst := c.integers(0, schema.TensorTypeBOOL, shape...)
		av, bv := stretched(a.shape, shape), stretched(b.shape, shape)
		if a.real() {
			need(real != nil, "no kernel for real values")
			eachRow(dst, shape, a.f, av, b.f, bv, compareRow(real))
		} else {
			eachRow(dst, shape, a.i, av, b.i, bv, compareRow(integer))
		}
	}
}

func compareRow[T any](f func(a, b T) bool) func(dst []int64, a, b []T) {
	return func(dst []int64, a, b []T) {
		for i, x := range a {
			dst[i] = truth(f(x, b[i]))
		}
	}
}

func equal[T cmp.Ordered](a, b T) bool        { return a == b }
func notEqual[T cmp.Ordered](a, b T) bool     { return a != b }
func less[T cmp.Ordered](a, b T) bool         { return a < b }
func lessEqual[T cmp.Ordered](a, b T) bool    { return a <= b }
func greater[T cmp.Ordered](a, b T) bool      { return a > b }
func greaterEqual[T cmp.Ordered](a, b T) bool { return a >= b }

func rows(f func(a, b float32) float32) rowFunc {
	return func(dst, a, b []float32) {
		for i, x := range a {
			dst[i] = f(x, b[i])
		}
	}
}

func math2(f func(a, b float64) float64) func(a, b float32) float32 {
	return func(a, b float32) float32 { return float32(f(float64(a), float64(b))) }
}

func addRow(dst, a, b []float32) {
	b = b[:len(a)]
	for i, x := range a {
		dst[i] = x + b[i]
	}
}

func subRow(dst, a, b []float32) {
	b = b[:len(a)]
	for i, x := range a {
		dst[i] = x - b[i]
	}
}

func mulRow(dst, a, b []float32) {
	b = b[:len(a)]
	for i, x := range a {
		dst[i] = x * b[i]
	}
}

func preluRow(dst, a, b []float32) {
	b = b[:len(a)]
	for i, x := range a {
		if x < 0 {
			x *= b[i]
		}
		dst[i] = x
	}
}

func maximum[T cmp.Ordered](a, b T) T {
	if a > b {
		return a
	}
	return b
}

func minimum[T cmp.Ordered](a, b T) T {
	if a < b {
		return a
	}
	return b
}

func squaredDifference[T int64 | float32](a, b T) T { return (a - b) * (a - b) }

func quotient(a, b int64) int64 {
	need(b != 0, "division by zero")
	return a / b
}

func floorQuotient(a, b int64) int64 {
	q := quotient(a, b)
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func floorRemainder(a, b int64) int64 { return a - b*floorQuotient(a, b) }

// floorModulo has the sign of b.
func floorModulo(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

func integerPower(a, b int64) int64 {
	need(b >= 0, "negative exponent %d of an integer", b)
	p := int64(1)
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			p *= a
		}
		a *= a
	}
	return p
}

// rightShift is arithmetic; a shift beyond the width acts like the widest.
func rightShift(a, b int64) int64 { return a >> min(max(b, 0), 63) }

// addN adds any number of tensors of one shape.
func addN(c *call) {
	x := c.arg(0)
	sum := c.like(0, x, x.shape...)
	move(sum, dense(x.shape), x, dense(x.shape), x.shape)
	for i := 1; i < len(c.in); i++ {
		y := c.arg(i)
		need(y.typ == x.typ && y.len() == x.len(), "inputs 0 and %d differ in type or shape", i)
		addRow(sum.f, sum.f, y.f)
		for k, n := range y.i {
			sum.i[k] = wrap(x.typ, sum.i[k]+n)
		}
	}
}
