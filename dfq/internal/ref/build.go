package ref

import (
	"errors"
	"fmt"
	"slices"

	"dfq/tflite"
)

// A builder numbers tensors while it walks the ops.
type builder struct {
	e       Evaluator
	slots   map[*tflite.Tensor]int
	written []bool // by slot

	model  *tflite.Model      // nil: ops that run other graphs have none
	graphs map[int]*Evaluator // of model, by index; nil while it is being made
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
	var err error
	if s.callees, err = b.callees(op); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
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
