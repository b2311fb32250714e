// Package ref evaluates a tflite.Graph in float32, in plain Go: the twin of the
// interpreter in tests, and the source of statistics where no interpreter is
// built in.
//
// Kernels follow the arithmetic of TensorFlow Lite's reference kernels. Shapes
// are inferred while running, so graphs that compute their own shapes work.
// Quantized tensors hold real values on their grid: constants are dequantized
// beforehand, results are rounded to the grid of the tensor they go to.
//
// The sums of matrix products run in one fixed order, so results do not depend
// on the number of threads.
package ref

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"dfq/tflite"
)

// An Evaluator is a graph made ready to run. It keeps references to the
// graph's tensors and to the data of its constants, which must not change
// while it is in use. It may be used by several goroutines at once.
type Evaluator struct {
	tensors         []*tflite.Tensor // by slot
	fixed           []value          // by slot: constants and the zero state of variables
	inputs, outputs []int            // slots
	steps           []step
	runs            sync.Pool // of *run
}

// A step is one op, its tensors replaced by slots.
type step struct {
	place    string // names the op in errors
	op       *tflite.Op
	kernel   kernel
	prepared any   // what the op's prepare function made of its constants
	in, out  []int // slots, -1 for what is left out
	dead     []int // slots that nothing reads after this step
}

// A run is the state of one call of Run. Runs are kept for their buffers.
type run struct {
	values []value // by slot
	pool   pool
}

func newRun(slots, limit int) *run {
	return &run{values: make([]value, slots), pool: pool{limit: limit}}
}

// New prepares m's main graph for evaluation. Any tensor may be among the
// graph's outputs, inner ones, inputs and constants as well.
//
// The error names every op that has no kernel here, with its index, code and
// output tensor, or the first tensor that is read but never written.
func New(m *tflite.Model) (*Evaluator, error) {
	if len(m.Graphs) == 0 {
		return nil, errors.New("model has no graph")
	}
	g := m.Graphs[0]
	if err := checkOps(g); err != nil {
		return nil, err
	}
	b := builder{slots: map[*tflite.Tensor]int{}}
	if err := b.build(g); err != nil {
		return nil, err
	}
	e := &b.e
	e.runs.New = func() any { return newRun(len(e.tensors), maxElements) }
	return e, nil
}

// checkOps reports all ops that have no kernel.
func checkOps(g *tflite.Graph) error {
	var errs []error
	for _, op := range g.Ops {
		if !supported(op) {
			errs = append(errs, fmt.Errorf("%s: no float kernel for it", g.Place(op)))
		}
	}
	return errors.Join(errs...)
}

func supported(op *tflite.Op) bool {
	return op.Code >= 0 && int(op.Code) < len(ops) && ops[op.Code].kernel != nil
}

// A builder numbers tensors while it walks the ops.
type builder struct {
	e       Evaluator
	slots   map[*tflite.Tensor]int
	written []bool // by slot
}

func (b *builder) build(g *tflite.Graph) error {
	for i, t := range g.Inputs {
		s, err := b.write(t)
		if err != nil {
			return fmt.Errorf("graph input %d: %w", i, err)
		}
		b.e.inputs = append(b.e.inputs, s)
	}
	for _, op := range g.Ops {
		if err := b.step(g.Place(op), op); err != nil {
			return err
		}
	}
	for i, t := range g.Outputs {
		s, err := b.read(t)
		if err != nil {
			return fmt.Errorf("graph output %d: %w", i, err)
		}
		b.e.outputs = append(b.e.outputs, s)
	}
	b.e.markDead()
	return nil
}

func (b *builder) step(place string, op *tflite.Op) error {
	s := step{place: place, op: op, kernel: ops[op.Code].kernel}
	for _, t := range op.Inputs {
		slot := -1
		if t != nil {
			var err error
			if slot, err = b.read(t); err != nil {
				return fmt.Errorf("%s: %w", place, err)
			}
		}
		s.in = append(s.in, slot)
	}
	for _, t := range op.Outputs {
		slot := -1
		if t != nil {
			var err error
			if slot, err = b.write(t); err != nil {
				return fmt.Errorf("%s: %w", place, err)
			}
		}
		s.out = append(s.out, slot)
	}
	if prepare := ops[op.Code].prepare; prepare != nil {
		s.prepared = prepare(b.e.constants(s.in))
	}
	b.e.steps = append(b.e.steps, s)
	return nil
}

// constants lists the values of those slots that are constant, nil for others.
func (e *Evaluator) constants(slots []int) []*value {
	list := make([]*value, len(slots))
	for i, s := range slots {
		if s >= 0 && e.tensors[s].Constant() {
			list[i] = &e.fixed[s]
		}
	}
	return list
}

// read is the slot of a tensor that must have a value by now.
func (b *builder) read(t *tflite.Tensor) (int, error) {
	if t == nil {
		return 0, errors.New("missing tensor")
	}
	if s, ok := b.slots[t]; ok {
		return s, nil
	}
	v, err := initial(t)
	if err != nil {
		return 0, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	s := b.add(t)
	b.e.fixed[s] = v
	return s, nil
}

// write is a new slot for a tensor that an op or the caller writes.
func (b *builder) write(t *tflite.Tensor) (int, error) {
	if t == nil {
		return 0, errors.New("missing tensor")
	}
	if _, ok := b.slots[t]; ok || t.Constant() {
		return 0, fmt.Errorf("tensor %q: has a value before it is written", t.Name)
	}
	s := b.add(t)
	b.written[s] = true
	return s, nil
}

func (b *builder) add(t *tflite.Tensor) int {
	s := len(b.e.tensors)
	b.slots[t] = s
	b.e.tensors = append(b.e.tensors, t)
	b.e.fixed = append(b.e.fixed, value{})
	b.written = append(b.written, false)
	return s
}

// initial is the value of a tensor that nothing writes.
func initial(t *tflite.Tensor) (value, error) {
	switch {
	case t.Constant():
		return decode(t)
	case t.Variable, slices.Contains(t.Shape, 0):
		return zero(t)
	}
	return value{}, errors.New("is read before it is written")
}

// markDead finds the step after which each intermediate is not read again.
func (e *Evaluator) markDead() {
	seen := map[int]bool{-1: true}
	for _, s := range e.outputs {
		seen[s] = true
	}
	produced := map[int]bool{}
	for i := range e.steps {
		for _, s := range e.steps[i].out {
			produced[s] = true
		}
	}
	for i := len(e.steps) - 1; i >= 0; i-- {
		st := &e.steps[i]
		for _, s := range slices.Concat(st.in, st.out) {
			if produced[s] && !seen[s] {
				seen[s] = true
				st.dead = append(st.dead, s)
			}
		}
	}
}

// Run evaluates the graph: one slice per graph input, one per graph output, in
// the real domain and row-major order. Values of integer and boolean tensors
// are converted from and to float32. Inputs are not written to and the outputs
// are the caller's.
func (e *Evaluator) Run(inputs [][]float32) ([][]float32, error) {
	if len(inputs) != len(e.inputs) {
		return nil, fmt.Errorf("%d inputs, the graph has %d", len(inputs), len(e.inputs))
	}
	r := e.runs.Get().(*run)
	defer e.runs.Put(r)
	defer r.reset()
	if err := e.start(r, inputs); err != nil {
		return nil, err
	}
	if err := e.run(r, func(*step) {}); err != nil {
		return nil, err
	}
	return e.results(r), nil
}

// start sets constants and inputs.
func (e *Evaluator) start(r *run, inputs [][]float32) error {
	copy(r.values, e.fixed)
	for i, s := range e.inputs {
		t := e.tensors[s]
		n, err := size(t.Shape)
		if err == nil && n != len(inputs[i]) {
			err = fmt.Errorf("%d values for shape %v", len(inputs[i]), t.Shape)
		}
		if err != nil {
			return fmt.Errorf("input %d %q: %w", i, t.Name, err)
		}
		r.values[s] = fromReal(t, inputs[i])
	}
	return nil
}

// run evaluates step after step, calls done, and frees what is not read again.
func (e *Evaluator) run(r *run, done func(*step)) error {
	for i := range e.steps {
		s := &e.steps[i]
		c := r.call(s)
		if err := c.evaluate(s.kernel); err != nil {
			return fmt.Errorf("%s: %w", s.place, err)
		}
		done(s)
		for i, slot := range s.out {
			if slot < 0 {
				r.pool.free(c.out[i])
			}
		}
		for _, slot := range s.dead {
			r.pool.free(&r.values[slot])
		}
	}
	return nil
}

func (r *run) call(s *step) *call {
	c := &call{op: s.op, prepared: s.prepared, pool: &r.pool,
		in: make([]*value, len(s.in)), out: make([]*value, len(s.out))}
	for i, slot := range s.in {
		if slot >= 0 {
			c.in[i] = &r.values[slot]
		}
	}
	for i, slot := range s.out {
		c.out[i] = new(value)
		if slot >= 0 {
			c.out[i] = &r.values[slot]
		}
	}
	return c
}

// evaluate calls the kernel and rounds its results to the grids of their
// tensors. A file can be wrong in more ways than kernels look for, so an index
// out of range in a kernel is an error and no panic.
func (c *call) evaluate(k kernel) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = errors.New(string(p))
		case runtime.Error:
			err = fmt.Errorf("shapes or indices do not fit together: %w", p)
		default:
			panic(p)
		}
	}()
	k(c)
	for i, t := range c.op.Outputs {
		need(c.out[i].shape != nil, "kernel has no output %d", i)
		if t != nil {
			snap(t, c.out[i])
		}
	}
	return nil
}

// results hands the output values over: a buffer that the run owns goes to the
// caller, everything else is copied.
func (e *Evaluator) results(r *run) [][]float32 {
	results := make([][]float32, len(e.outputs))
	for i, s := range e.outputs {
		v := &r.values[s]
		if v.owned && v.f != nil {
			v.owned = false
			r.pool.live -= len(v.f)
			results[i] = v.f
		} else {
			results[i] = v.toReal()
		}
	}
	return results
}

// reset takes all buffers back, after a failed run as well.
func (r *run) reset() {
	for i := range r.values {
		r.pool.free(&r.values[i])
	}
}
