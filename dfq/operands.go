package dfq

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// What an op takes is written as inputs > outputs, one letter each:
//
//	v  values; those of one op are all of one type
//	i  INT32 or INT64: shapes, axes, indices
//	b  BOOL
//
// A letter followed by ? may be left out, one followed by * comes any number of
// times, at least once. "vvv?>v" is CONV_2D: input, weights, perhaps a bias.

// operand is one letter of a signature.
type operand struct {
	kind           byte
	optional, many bool
}

// signature splits what an op takes into inputs and outputs.
func signature(takes string) (inputs, outputs []operand) {
	list := &inputs
	for _, c := range []byte(takes) {
		switch c {
		case '>':
			list = &outputs
		case '?':
			(*list)[len(*list)-1].optional = true
		case '*':
			(*list)[len(*list)-1].many = true
		default:
			*list = append(*list, operand{kind: c})
		}
	}
	return inputs, outputs
}

// kinds returns the letter of each of n operands.
func kinds(list []operand, n int) []byte {
	var out []byte
	for _, o := range list {
		out = append(out, o.kind)
		for o.many && len(out) < n {
			out = append(out, o.kind)
		}
	}
	return out[:min(n, len(out))]
}

// Bounds of what a graph may ask for. They are far above every model for a
// phone and keep a broken file from asking for all memory.
const (
	maxInput    = 1 << 24            // elements of all graph inputs
	maxElements = tflite.MaxElements // of all tensors
	maxChannels = 1 << 22            // lengths of all last axes
	maxWindow   = 1 << 15            // a side, stride or dilation of a window
	maxProducts = 1 << 32            // elements that one pool looks at, products of one matrix with another
)

// checkGraph makes sure of what the passes take for granted of every op in the
// table: that its operands are there, and that filters fit their inputs. It
// says nothing of ops outside the table, which no pass looks into.
func checkGraph(g *tflite.Graph) error {
	if err := checkSizes(g); err != nil {
		return err
	}
	for _, op := range g.Ops {
		if err := checkOperands(op); err != nil {
			return fmt.Errorf("%s: %w", g.Place(op), err)
		}
	}
	return nil
}

// checkSizes bounds the memory that running the graph takes.
func checkSizes(g *tflite.Graph) error {
	// Lengths are added one by one, so a sum is over its bound long before it
	// can overflow.
	sum := func(tensors []*tflite.Tensor, of func(*tflite.Tensor) int, most int, what string) error {
		n := 0
		for _, t := range tensors {
			if n += of(t); n > most {
				return fmt.Errorf("%s: more than %d with tensor %q of shape %v", what, most, t.Name, t.Shape)
			}
		}
		return nil
	}
	length := func(t *tflite.Tensor) int {
		n := 1
		for _, d := range t.Shape {
			if n *= max(d, 1); n > maxElements { // beside an axis of 0, others can still be huge
				break
			}
		}
		return n
	}
	if err := sum(g.Inputs, length, maxInput, "elements of the graph's inputs"); err != nil {
		return err
	}
	all := g.Tensors()
	if err := sum(all, length, maxElements, "elements of all tensors"); err != nil {
		return err
	}
	return sum(all, channelCount, maxChannels, "channels of all tensors")
}

// checkOperands checks an op against its signature.
func checkOperands(op *tflite.Op) error {
	s := spec(op)
	if s.takes == "" {
		return nil
	}
	inputs, outputs := signature(s.takes)
	if err := checkCount("input", op.Inputs, inputs); err != nil {
		return err
	}
	if err := checkCount("output", op.Outputs, outputs); err != nil {
		return err
	}
	if s.matrices {
		return checkProducts(op)
	}
	return checkWindow(op)
}

// checkCount finds operands that are missing or too many.
func checkCount(what string, have []*tflite.Tensor, want []operand) error {
	if len(have) > len(want) && !want[len(want)-1].many {
		return fmt.Errorf("%d %ss, at most %d are known", len(have), what, len(want))
	}
	for i := range max(len(have), len(want)) {
		missing := i >= len(have) || have[i] == nil
		if missing && !want[min(i, len(want)-1)].optional {
			return fmt.Errorf("%s %d is missing", what, i)
		}
	}
	return nil
}

// checkWindow bounds the steps of a window, which are nowhere but in the options.
func checkWindow(op *tflite.Op) error {
	w, ok := op.Window()
	if !ok {
		return nil
	}
	if op.Options == nil {
		return errors.New("its options are missing")
	}
	steps := slices.Concat(w.Stride[:], w.Dilation[:])
	pool := spec(op).filter == nil
	if pool { // the size of a filter is that of its weights
		steps = append(steps, w.Kernel[:]...)
	}
	for _, n := range steps {
		if n < 1 || n > maxWindow {
			return fmt.Errorf("a stride, dilation or window size of %d", n)
		}
	}
	if pool {
		return checkPooling(op.Inputs[0], w)
	}
	return nil
}

// checkPooling bounds the time that one op can take without having weights of
// any size in the file.
func checkPooling(in *tflite.Tensor, w tflite.Window) error {
	if len(in.Shape) != 4 {
		return nil // "check support" says so
	}
	n := float64(in.Len())
	for axis := range 2 {
		n *= float64(min(w.Kernel[axis], in.Shape[1+axis])) / float64(w.Stride[axis])
	}
	if n > maxProducts {
		return fmt.Errorf("a window of %d × %d over shape %v", w.Kernel[0], w.Kernel[1], in.Shape)
	}
	return nil
}

// checkProducts does as checkPooling, for products of matrices.
func checkProducts(op *tflite.Op) error {
	a, b := op.Inputs[0], op.Inputs[1]
	if len(a.Shape) < 2 || len(b.Shape) < 2 {
		return nil // the run says so
	}
	rows, columns := a.Shape[len(a.Shape)-2], b.Shape[len(b.Shape)-1]
	if o, ok := op.Options.(*schema.BatchMatMulOptionsT); ok {
		if o.AdjX {
			rows = a.Shape[len(a.Shape)-1]
		}
		if o.AdjY {
			columns = b.Shape[len(b.Shape)-2]
		}
	}
	if n := math.Max(float64(a.Len())*float64(columns), float64(b.Len())*float64(rows)); n > maxProducts {
		return fmt.Errorf("a product of shapes %v and %v", a.Shape, b.Shape)
	}
	return nil
}

// misfit says in what way the types or shapes of op's operands do not fit
// together; empty if they do.
func misfit(op *tflite.Op) string {
	if why := mixedTypes(op); why != "" {
		return why
	}
	if f := spec(op).filter; f != nil {
		return f.misfit(op)
	}
	return ""
}

// mixedTypes says which operand is not of the type that op's signature wants.
func mixedTypes(op *tflite.Op) string {
	inputs, outputs := signature(spec(op).takes)
	var value *tflite.Tensor
	for _, list := range []struct {
		tensors []*tflite.Tensor
		kinds   []byte
	}{{op.Inputs, kinds(inputs, len(op.Inputs))}, {op.Outputs, kinds(outputs, len(op.Outputs))}} {
		for i, t := range list.tensors {
			if t == nil {
				continue
			}
			ok := true
			switch list.kinds[i] {
			case 'v':
				if value == nil {
					value = t
				}
				ok = t.Type == value.Type
			case 'i':
				ok = t.Type == schema.TensorTypeINT32 || t.Type == schema.TensorTypeINT64
			case 'b':
				ok = t.Type == schema.TensorTypeBOOL
			}
			if !ok {
				return fmt.Sprintf("its operand %q is %s", t.Name, t.Type)
			}
		}
	}
	return ""
}
