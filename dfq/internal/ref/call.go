package ref

import (
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// A kernel evaluates one op: it reads c's inputs and sets all its outputs. It
// fails by need.
type kernel func(c *call)

// A call is one evaluation of one op.
type call struct {
	op           *tflite.Op
	in           []*value // nil = left out
	out          []*value // never nil
	prepared     any
	pool         *pool
	unmultiplied bool // weighted sums are not worked out: 0

	callees   []*Evaluator // the graphs that it runs
	graphRuns *int         // how often ops did so in this run
}

// failure is what need panics with: the cause, without the place.
type failure string

// need ends the kernel with an error unless ok.
func need(ok bool, format string, args ...any) {
	if !ok {
		panic(failure(fmt.Sprintf(format, args...)))
	}
}

// options is the op's option struct, or its zero value where the file has none.
func options[T any](c *call) *T {
	if o, ok := c.op.Options.(*T); ok && o != nil {
		return o
	}
	return new(T)
}

// arg is input i, of whatever type.
func (c *call) arg(i int) *value {
	v := c.optional(i)
	need(v != nil, "input %d is missing", i)
	return v
}

// optional is input i, or nil.
func (c *call) optional(i int) *value {
	if i >= len(c.in) || c.in[i] == nil {
		return nil
	}
	need(c.in[i].shape != nil, "input %d has no value", i)
	return c.in[i]
}

// realArg is input i, which must be of real values.
func (c *call) realArg(i int) *value {
	v := c.arg(i)
	need(v.real(), "input %d is %v, want real values", i, v.typ)
	return v
}

// realRank is input i, which must be of real values and that rank.
func (c *call) realRank(i, rank int) *value {
	v := c.realArg(i)
	need(len(v.shape) == rank, "input %d has shape %v, want rank %d", i, v.shape, rank)
	return v
}

// intArg is input i, which must be of integers or booleans.
func (c *call) intArg(i int) *value {
	v := c.arg(i)
	need(!v.real(), "input %d is of real values, want integers", i)
	return v
}

// ints lists the elements of integer input i.
func (c *call) ints(i int) []int {
	v := c.intArg(i)
	list := make([]int, len(v.i))
	for j, n := range v.i {
		list[j] = int(n)
	}
	return list
}

// scalar is the only element of integer input i.
func (c *call) scalar(i int) int {
	v := c.ints(i)
	need(len(v) == 1, "input %d has %d elements, want one", i, len(v))
	return v[0]
}

// axis counts a negative axis from the end.
func axis(a, rank int) int {
	need(-rank <= a && a < rank, "axis %d of rank %d", a, rank)
	if a < 0 {
		a += rank
	}
	return a
}

// result is output i.
func (c *call) result(i int) *value {
	need(i < len(c.out), "output %d is missing", i)
	return c.out[i]
}

// reals makes output i a tensor of real values. The elements are not cleared.
func (c *call) reals(i int, shape ...int) []float32 {
	v := c.result(i)
	n := c.pool.reserve(shape)
	*v = value{typ: schema.TensorTypeFLOAT32, shape: append([]int{}, shape...), f: c.pool.get(n), owned: true}
	return v.f
}

// sums makes output 0 a tensor of real values that are weighted sums of others, for the
// kernel to work out; nil: they are not asked for.
func (c *call) sums(shape ...int) []float32 {
	y := c.reals(0, shape...)
	if c.unmultiplied {
		clear(y)
		return nil
	}
	return y
}

// integers makes output i a tensor of an integer type or BOOL, all zero.
func (c *call) integers(i int, typ schema.TensorType, shape ...int) []int64 {
	v := c.result(i)
	n := c.pool.reserve(shape)
	*v = value{typ: typ, shape: append([]int{}, shape...), i: make([]int64, n), owned: true}
	return v.i
}

// like makes output i a tensor of the type of v.
func (c *call) like(i int, v *value, shape ...int) *value {
	if v.real() {
		c.reals(i, shape...)
	} else {
		c.integers(i, v.typ, shape...)
	}
	return c.out[i]
}

// indexType is INT64 if output i is declared so, otherwise INT32.
func (c *call) indexType(i int) schema.TensorType {
	if i < len(c.op.Outputs) && c.op.Outputs[i] != nil && c.op.Outputs[i].Type == schema.TensorTypeINT64 {
		return schema.TensorTypeINT64
	}
	return schema.TensorTypeINT32
}

// scratch calls f with a buffer of n floats of unknown content.
func (c *call) scratch(n int, f func([]float32)) {
	n = c.pool.reserve([]int{n})
	v := value{f: c.pool.get(n), owned: true}
	defer c.pool.free(&v)
	f(v.f)
}

// A pool keeps the buffers of one run for reuse.
type pool struct {
	spare [][]float32 // by ascending capacity
	live  int         // elements in use
	limit int         // of live
}

// reserve counts the elements of a shape against the limit of the run.
func (p *pool) reserve(shape []int) int {
	n, err := size(shape)
	need(err == nil, "%v", err)
	need(p.live+n <= p.limit, "shape %v: the run would hold more than %d elements", shape, p.limit)
	p.live += n
	return n
}

// get is the smallest buffer that holds n floats.
func (p *pool) get(n int) []float32 {
	if i, _ := p.find(n); i < len(p.spare) {
		b := p.spare[i]
		p.spare = slices.Delete(p.spare, i, i+1)
		return b[:n]
	}
	return make([]float32, n)
}

// free clears v and keeps its buffer if it is the run's.
func (p *pool) free(v *value) {
	if v.owned {
		p.live -= v.len()
		if cap(v.f) > 0 {
			i, _ := p.find(cap(v.f))
			p.spare = slices.Insert(p.spare, i, v.f)
		}
	}
	*v = value{}
}

// find is the place of the first spare buffer of at least n floats.
func (p *pool) find(n int) (int, bool) {
	return slices.BinarySearchFunc(p.spare, n, func(b []float32, n int) int { return cap(b) - n })
}
