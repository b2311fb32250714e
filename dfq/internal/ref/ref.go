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
	prepared any          // what the op's prepare function made of its constants
	callees  []*Evaluator // the graphs that it runs
	in, out  []int        // slots, -1 for what is left out
	dead     []int        // slots that nothing reads after this step
}

// A run is the state of one call of Run. Runs are kept for their buffers.
type run struct {
	values    []value // by slot
	pool      pool
	graphRuns *int // by ops, so far

	unmultiplied bool // weighted sums are 0, for who asks for shapes alone
}

func newRun(slots, limit int) *run {
	return &run{values: make([]value, slots), pool: pool{limit: limit}, graphRuns: new(int)}
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
	return newEvaluator(m, 0, map[int]*Evaluator{0: nil})
}

// newEvaluator prepares graph k of m. graphs are those that are ready, or nil
// while they are being made so.
func newEvaluator(m *tflite.Model, k int, graphs map[int]*Evaluator) (*Evaluator, error) {
	g := m.Graphs[k]
	if err := checkOps(g); err != nil {
		return nil, err
	}
	b := builder{slots: map[*tflite.Tensor]int{}, model: m, graphs: graphs}
	if err := b.build(g); err != nil {
		return nil, err
	}
	e := &b.e
	limit := limitFor(g)
	e.runs.New = func() any { return newRun(len(e.tensors), limit) }
	return e, nil
}

// checkOps reports all ops that have no kernel.
func checkOps(g *tflite.Graph) error {
	var errs []error
	for _, op := range g.Ops {
		if !Supported(op) {
			errs = append(errs, fmt.Errorf("%s: no float kernel for it", g.Place(op)))
		}
	}
	return errors.Join(errs...)
}

// Supported reports whether op can be evaluated.
func Supported(op *tflite.Op) bool {
	return op.Code >= 0 && int(op.Code) < len(ops) && ops[op.Code].kernel != nil
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
	*r.graphRuns = 0
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
	c := &call{op: s.op, prepared: s.prepared, pool: &r.pool, callees: s.callees, graphRuns: r.graphRuns, unmultiplied: r.unmultiplied,
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
