package tflite

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"dfq/schema"
)

// Validate checks what an interpreter takes for granted: every graph on its
// own, that signatures and options refer to graphs that exist, and that no graph
// runs itself. It is cheap enough to follow every pass. The first fault found is
// returned.
func (m *Model) Validate() error {
	if len(m.Graphs) == 0 {
		return errors.New("the model has no graph")
	}
	boundaries := map[*Graph]boundary{}
	owner := map[*Tensor]int{}
	for i, g := range m.Graphs {
		place := func(err error) error { return fmt.Errorf("graph %d %q: %w", i, g.Name, err) }
		if _, ok := boundaries[g]; ok {
			return place(errors.New("it occurs twice in the model"))
		}
		boundaries[g] = boundary{set(g.Inputs), set(g.Outputs)}
		if err := g.Validate(); err != nil {
			return place(err)
		}
		for _, t := range g.Tensors() {
			if j, ok := owner[t]; ok {
				return place(fmt.Errorf("tensor %q belongs to graph %d", t.Name, j))
			}
			owner[t] = i
		}
		for _, op := range g.Ops {
			if err := checkCallees(op.Options, len(m.Graphs)); err != nil {
				return place(fmt.Errorf("%s: %w", g.Place(op), err))
			}
		}
	}
	if err := m.checkCalls(); err != nil {
		return err
	}
	for i, s := range m.Signatures {
		if err := s.validate(boundaries); err != nil {
			return fmt.Errorf("signature %d %q: %w", i, s.Key, err)
		}
	}
	return nil
}

// boundary holds a graph's inputs and outputs as sets.
type boundary struct{ inputs, outputs map[*Tensor]bool }

func set(tensors []*Tensor) map[*Tensor]bool {
	s := make(map[*Tensor]bool, len(tensors))
	for _, t := range tensors {
		s[t] = true
	}
	return s
}

// checkCallees checks the options that name graphs by index.
func checkCallees(options any, graphs int) (err error) {
	eachCallee(options, func(field string, v reflect.Value) {
		if n := integer(v); err == nil && (n < 0 || n >= graphs) {
			err = fmt.Errorf("%s %d of %d", field, n, graphs)
		}
	})
	return err
}

// maxNested bounds how deep graphs run each other. An interpreter takes a piece
// of its stack for each.
const maxNested = 256

// maxRuns bounds how many ops a graph runs, each as often as its graph is named. Forty
// graphs of which each runs the next one twice run the last 2⁴⁰ times.
const maxRuns = 1 << 22

// checkCalls refuses graphs that run themselves, by way of others or not, those
// nested too deep, since an interpreter prepares a graph together with those that
// it runs, and those that would take forever. Options name graphs that exist.
func (m *Model) checkCalls() error {
	depth := make([]int, len(m.Graphs)) // with all that a graph runs; -1 while its ops are followed
	runs := make([]int, len(m.Graphs))  // ops
	var follow func(i int) error
	follow = func(i int) error {
		g := m.Graphs[i]
		depth[i] = -1
		deepest := 0
		runs[i] = len(g.Ops)
		for _, op := range g.Ops {
			most, all := 0, 0
			for _, k := range op.Callees() {
				if depth[k] < 0 {
					return fmt.Errorf("graph %d %q: %s: it runs graph %d %q, which runs this one: no graph may run itself",
						i, g.Name, g.Place(op), k, m.Graphs[k].Name)
				}
				if depth[k] == 0 {
					if err := follow(k); err != nil {
						return err
					}
				}
				if deepest = max(deepest, depth[k]); deepest == maxNested {
					return fmt.Errorf("graph %d %q: %s: it runs graphs nested more than %d deep", i, g.Name, g.Place(op), maxNested)
				}
				most, all = max(most, runs[k]), all+runs[k]
			}
			if op.Code == schema.BuiltinOperatorIF {
				all = most // one of two
			}
			if runs[i] += all; runs[i] > maxRuns {
				return fmt.Errorf("graph %d %q: %s: with the graphs that it runs, and these run, it is over %d ops", i, g.Name, g.Place(op), maxRuns)
			}
		}
		depth[i] = 1 + deepest
		return nil
	}
	for i := range m.Graphs {
		if depth[i] == 0 {
			if err := follow(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Signature) validate(boundaries map[*Graph]boundary) error {
	b, ok := boundaries[s.Graph]
	if !ok {
		return errors.New("its graph is not in the model")
	}
	for _, n := range s.Inputs {
		if !b.inputs[n.Tensor] {
			return fmt.Errorf("input %q is no input of its graph", n.Name)
		}
	}
	for _, n := range s.Outputs {
		if !b.outputs[n.Tensor] {
			return fmt.Errorf("output %q is no output of its graph", n.Name)
		}
	}
	return nil
}

// Validate checks one graph: values exist before they are read and are written
// once, and every tensor is sound in itself.
func (g *Graph) Validate() error {
	for i, t := range g.Tensors() {
		if err := t.validate(); err != nil {
			return fmt.Errorf("tensor %d %q: %w", i, t.Name, err)
		}
	}
	written := map[*Tensor]bool{}
	for i, t := range g.Inputs {
		switch {
		case t == nil:
			return fmt.Errorf("input %d is missing", i)
		case t.Constant():
			return fmt.Errorf("input %d %q: it is a constant", i, t.Name)
		}
		written[t] = true
	}
	for _, op := range g.Ops {
		if err := op.validate(written); err != nil {
			return fmt.Errorf("%s: %w", g.Place(op), err)
		}
	}
	for i, t := range g.Outputs {
		switch {
		case t == nil:
			return fmt.Errorf("output %d is missing", i)
		case !written[t] && !t.given():
			return fmt.Errorf("output %d %q: nothing writes it", i, t.Name)
		}
	}
	return nil
}

// given reports whether t has a value without any op writing it.
func (t *Tensor) given() bool {
	return t.Constant() || t.Variable || t.rest != nil && t.rest.ExternalBuffer != 0
}

// validate checks op after the ops that wrote the tensors in written, and adds
// its outputs to them.
func (op *Op) validate(written map[*Tensor]bool) error {
	if op.Code == schema.BuiltinOperatorCUSTOM && op.Custom == "" {
		return errors.New("a custom operator without a name")
	}
	if op.Options != nil {
		if _, ok := optionMembers()[reflect.TypeOf(op.Options)]; !ok {
			return fmt.Errorf("options are a %T, want a pointer to an options struct of package schema", op.Options)
		}
	}
	for i, t := range op.Inputs {
		if t != nil && !written[t] && !t.given() {
			return fmt.Errorf("input %d %q: nothing has written it before", i, t.Name)
		}
	}
	for i, t := range op.Outputs {
		switch {
		case t == nil:
			continue
		case t.Constant():
			return fmt.Errorf("output %d %q: it is a constant", i, t.Name)
		case written[t]:
			return fmt.Errorf("output %d %q: it has been written before", i, t.Name)
		}
		written[t] = true
	}
	return nil
}

func (t *Tensor) validate() error {
	if err := t.check(); err != nil {
		return err
	}
	if t.Variable && len(t.Data) > 0 {
		return errors.New("a variable with constant data")
	}
	if t.Quant == nil {
		return nil
	}
	return t.Quant.validate(t)
}

// check tests what both reading and writing rely on: a shape that can be
// multiplied out, data of the right length, and matching quantization lists.
func (t *Tensor) check() error {
	size, err := t.byteSize()
	if err != nil {
		return err
	}
	if t.Data != nil && size >= 0 && !t.Sparse() && len(t.Data) != size {
		return fmt.Errorf("%d bytes of data, but %s%v takes %d", len(t.Data), t.Type, t.Shape, size)
	}
	if q := t.Quant; q != nil && len(q.Zero) > 0 && len(q.Scale) > 0 && len(q.Zero) != len(q.Scale) {
		return fmt.Errorf("%d scales, but %d zero points", len(q.Scale), len(q.Zero))
	}
	return nil
}

// byteSize is the length in bytes of t's data, -1 if type and shape do not
// determine it.
func (t *Tensor) byteSize() (int, error) {
	bits, ok := elementBits[t.Type]
	if !ok {
		return 0, fmt.Errorf("type %d is newer than the format known here", t.Type)
	}
	n := 1
	for _, dim := range t.Shape {
		if dim < 0 || dim > math.MaxInt32 {
			return 0, fmt.Errorf("shape %v", t.Shape)
		}
		if dim > 0 && n > math.MaxInt/256/dim { // 256: no element has more bits
			return 0, fmt.Errorf("shape %v has too many elements", t.Shape)
		}
		n *= max(dim, 1)
	}
	if bits == 0 {
		return -1, nil
	}
	if slices.Contains(t.Shape, 0) {
		return 0, nil
	}
	return (n*bits + 7) / 8, nil
}

// elementBits is the size of one element in a buffer, 0 where it varies.
// Types under eight bits are packed.
var elementBits = map[schema.TensorType]int{
	schema.TensorTypeFLOAT32:       32,
	schema.TensorTypeFLOAT16:       16,
	schema.TensorTypeINT32:         32,
	schema.TensorTypeUINT8:         8,
	schema.TensorTypeINT64:         64,
	schema.TensorTypeSTRING:        0,
	schema.TensorTypeBOOL:          8,
	schema.TensorTypeINT16:         16,
	schema.TensorTypeCOMPLEX64:     64,
	schema.TensorTypeINT8:          8,
	schema.TensorTypeFLOAT64:       64,
	schema.TensorTypeCOMPLEX128:    128,
	schema.TensorTypeUINT64:        64,
	schema.TensorTypeRESOURCE:      0,
	schema.TensorTypeVARIANT:       0,
	schema.TensorTypeUINT32:        32,
	schema.TensorTypeUINT16:        16,
	schema.TensorTypeINT4:          4,
	schema.TensorTypeBFLOAT16:      16,
	schema.TensorTypeINT2:          2,
	schema.TensorTypeUINT4:         4,
	schema.TensorTypeFLOAT8_E4M3FN: 8,
	schema.TensorTypeFLOAT8_E5M2:   8,
}

func (q *Quantization) validate(t *Tensor) error {
	n := len(q.Scale)
	if n == 0 && q.details == nil {
		return errors.New("quantization without a scale")
	}
	if n > 1 {
		if q.Axis < 0 || q.Axis >= len(t.Shape) || t.Shape[q.Axis] != n {
			return fmt.Errorf("%d scales on axis %d of shape %v", n, q.Axis, t.Shape)
		}
	}
	for c, s := range q.Scale {
		if !(s >= 0) || math.IsInf(float64(s), 1) {
			return fmt.Errorf("scale %v of channel %d", s, c)
		}
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch t.Type {
	case schema.TensorTypeINT8:
		lo, hi = math.MinInt8, math.MaxInt8
	case schema.TensorTypeUINT8:
		lo, hi = 0, math.MaxUint8
	case schema.TensorTypeINT16:
		lo, hi = math.MinInt16, math.MaxInt16
	}
	for c, z := range q.Zero {
		if z < lo || z > hi {
			return fmt.Errorf("zero point %d of channel %d is out of the range of %s", z, c, t.Type)
		}
	}
	return nil
}
