package ref

import (
	"math"

	"dfq/schema"
)

// unary is the kernel of an elementwise op of one operand. Either function may
// be nil.
func unary(real func(float32) float32, integer func(int64) int64) kernel {
	return func(c *call) {
		x := c.arg(0)
		if x.real() {
			need(real != nil, "no kernel for real values")
			y := c.reals(0, x.shape...)
			for i, v := range x.f {
				y[i] = real(v)
			}
			return
		}
		need(integer != nil, "no kernel for %v", x.typ)
		y := c.integers(0, x.typ, x.shape...)
		for i, v := range x.i {
			y[i] = wrap(x.typ, integer(v))
		}
	}
}

func math1(f func(float64) float64) func(float32) float32 {
	return func(x float32) float32 { return float32(f(float64(x))) }
}

func square[T int64 | float32](x T) T   { return x * x }
func negative[T int64 | float32](x T) T { return -x }

func absolute(x int64) int64 { return max(x, -x) }

func sign[T int64 | float32](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // zero, and NaN
}

func logistic(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

func hardSwish(x float32) float32 { return x * min(max(x+3, 0), 6) / 6 }

func elu(x float32) float32 {
	if x < 0 {
		return float32(math.Expm1(float64(x)))
	}
	return x
}

func leakyReLU(c *call) {
	alpha := options[schema.LeakyReluOptionsT](c).Alpha
	unary(func(x float32) float32 {
		if x < 0 {
			return x * alpha
		}
		return x
	}, nil)(c)
}

// gelu is x·Φ(x), or the approximation of Φ by tanh.
func gelu(c *call) {
	f := func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }
	if options[schema.GeluOptionsT](c).Approximate {
		f = func(x float64) float64 {
			return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+float64(0.044715*x*x*x))))
		}
	}
	unary(math1(f), nil)(c)
}

func zerosLike(c *call) {
	x := c.arg(0)
	clear(c.like(0, x, x.shape...).f)
}

// cast converts to the type of the output tensor.
func cast(c *call) {
	x := c.arg(0)
	need(len(c.op.Outputs) == 1 && c.op.Outputs[0] != nil, "output 0 is missing")
	to := c.op.Outputs[0]
	switch {
	case isReal(to):
		copy(c.reals(0, x.shape...), x.toReal())
	case x.real():
		y := c.integers(0, to.Type, x.shape...)
		for i, v := range x.f {
			if to.Type == schema.TensorTypeBOOL {
				y[i] = truth(v != 0)
			} else {
				y[i] = wrap(to.Type, toInt(float64(v)))
			}
		}
	default:
		y := c.integers(0, to.Type, x.shape...)
		for i, v := range x.i {
			if to.Type == schema.TensorTypeBOOL {
				v = truth(v != 0)
			}
			y[i] = wrap(to.Type, v)
		}
	}
}

// copyReals is the kernel of QUANTIZE and DEQUANTIZE: values are real on both
// sides, and every result is rounded to the grid of its tensor.
func copyReals(c *call) {
	x := c.realArg(0)
	copy(c.reals(0, x.shape...), x.f)
}

// fakeQuant rounds to a grid of 2^bits values over a range that is shifted
// until zero is on the grid.
func fakeQuant(c *call) {
	o := options[schema.FakeQuantOptionsT](c)
	need(2 <= o.NumBits && o.NumBits <= 16 && o.Min < o.Max, "%d bits for range %v to %v", o.NumBits, o.Min, o.Max)
	lo, hi := 0.0, float64(int(1)<<o.NumBits-1)
	if o.NarrowRange {
		lo = 1
	}
	scale := (float64(o.Max) - float64(o.Min)) / (hi - lo)
	zero := min(max(math.Round(lo-float64(o.Min)/scale), lo), hi)
	unary(func(x float32) float32 {
		q := math.Floor(min(max(float64(x)/scale+zero, lo), hi) + 0.5)
		return float32((q - zero) * scale)
	}, nil)(c)
}
