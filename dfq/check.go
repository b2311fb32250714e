package dfq

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dfq/schema"
	"dfq/tflite"
)

// UnsupportedError lists every op of a model that has no INT8 form, or no form
// with INT16 activations where these are asked for.
type UnsupportedError struct {
	Activations string // INT8 or INT16
	Ops         []UnsupportedOp
}

// UnsupportedOp is one op that has no such form, and why.
type UnsupportedOp struct {
	Graph  int    `json:"subgraph,omitempty"` // its number in the file
	Index  int    `json:"index"`              // in the graph
	Name   string `json:"op"`                 // operator, for a custom one its name
	Output string `json:"output"`             // name of its first output tensor
	Reason string `json:"reason"`
}

func (e *UnsupportedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ops cannot be %s:", len(e.Ops), e.Activations)
	for _, op := range e.Ops {
		fmt.Fprintf(&b, "\n  %s", op)
	}
	b.WriteString("\nallow them to stay float (--allow-float), or cut them off the model")
	return b.String()
}

func (op UnsupportedOp) String() string {
	s := fmt.Sprintf("op %d %s %q: %s", op.Index, op.Name, op.Output, op.Reason)
	if op.Graph > 0 {
		s = fmt.Sprintf("subgraph %d, %s", op.Graph, s)
	}
	return s
}

// checkSupport finds the ops that have no INT8 form, all at once. They are an
// error, or, where the options allow it, stay float.
func checkSupport(j *job) error {
	j.float = map[*tflite.Op]string{}
	touched := false
	producers := j.graph.Producers()
	j.unseen = behindUnknown(j.model, j.opts.Interpreter == nil)
	for _, op := range j.graph.Ops {
		touched = touched || touchesReal(op)
		reason := j.whyFloat(op, producers)
		if reason == "" && touchesReal(op) {
			reason = j.readsUnseen(op)
		}
		if reason != "" {
			j.keepFloat(op, reason)
		}
	}
	if !touched {
		return errNothing
	}
	if len(j.report.Float) > 0 && j.opts.AllowFloat {
		j.keepBetween()
	}
	return j.refuseFloat()
}

// keepFloat leaves op in float.
func (j *job) keepFloat(op *tflite.Op, why string) {
	j.float[op] = why
	j.report.Float = append(j.report.Float, UnsupportedOp{j.number, j.index[op], opName(op), outputName(op), why})
}

// refuseFloat is the error that ops stay float, where the options do not allow it.
func (j *job) refuseFloat() error {
	if len(j.report.Float) > 0 && !j.opts.AllowFloat {
		return &UnsupportedError{elementType(j.grid()).String(), j.report.Float}
	}
	return nil
}

// keepBetween leaves ops without weights in float that stand among ops which do, as
// the ADD of log(1 + eˣ) does: in INT8 they would gain nothing beside a QUANTIZE and a
// DEQUANTIZE, and lose what is small beside eˣ.
func (j *job) keepBetween() {
	between := map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		between[op] = j.float[op] == "" && touchesReal(op) && spec(op).filter == nil && !spec(op).matrices
	}
	stays := func(op *tflite.Op) bool { return op != nil && (between[op] || j.float[op] != "") }
	producers, uses := j.graph.Producers(), j.graph.Uses()
	inside := func(op *tflite.Op) bool {
		behind := false
		for _, t := range op.Inputs {
			if real(t) && !t.Constant() {
				if behind = stays(producers[t]); !behind {
					return false
				}
			}
		}
		for _, t := range op.Outputs {
			if real(t) && (len(uses[t]) == 0 || slices.Contains(j.graph.Outputs, t) || slices.ContainsFunc(uses[t], func(u tflite.Use) bool { return !stays(u.Op) })) {
				return false
			}
		}
		return behind
	}
	for changed := true; changed; {
		changed = false
		for _, op := range j.graph.Ops {
			if between[op] && !inside(op) {
				between[op], changed = false, true
			}
		}
	}
	for _, op := range j.graph.Ops {
		if between[op] {
			j.keepFloat(op, "it stands among ops that stay float")
		}
	}
}

var errNothing = errors.New("no op works on FLOAT32 tensors: there is nothing to quantize")

// readsUnseen says of what input nothing is known.
func (j *job) readsUnseen(op *tflite.Op) string {
	for _, t := range op.Inputs {
		if why := j.unseen[t]; why != "" {
			return "it reads what " + why + ": that has no known range"
		}
	}
	return ""
}

// whyFloat says why op cannot work on quantized tensors; empty if it can, or if
// it works on no real values at all. Ops whose form came after the newest runtime
// that a file for the target may need stay float.
func (j *job) whyFloat(op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op) string {
	if !touchesReal(op) && op.Code != schema.BuiltinOperatorCUSTOM {
		return ""
	}
	s, grid := spec(op), j.grid()
	if s.kernels(grid) == nil {
		return cmp.Or(outside(op), s.stays, fmt.Sprintf("it has no %s kernel", kernelName(grid)))
	}
	if why := misfit(op); why != "" {
		return why
	}
	if why := op.BroadcastsTooFar(elementType(grid)); why != "" {
		return why
	}
	v := s.version(grid, op)
	if v.number == 0 {
		return fmt.Sprintf("it has no %s kernel for these shapes or options", kernelName(grid))
	}
	if release := j.limits.Release(op.Code); release != "" && newer(v.runtime, release) {
		return fmt.Sprintf("its %s kernel came with TensorFlow Lite %s, this file is for %s", kernelName(grid), v.runtime, release)
	}
	if !int8Activation(op.Activation()) {
		return fmt.Sprintf("its fused activation has no %s kernel", kernelName(grid))
	}
	if s.holds != nil && openCount(op.Inputs[0]) > openCount(op.Outputs[0]) {
		return "its result grows with a dimension that is left open, and its kernel does not saturate"
	}
	if why := j.unquantizable(op, producers); why != "" {
		return why
	}
	return filterNotConstant(op)
}

// becomeINT8 reports whether all of ops, of which later ones read what earlier ones make, have
// an INT8 form that the target's runtime knows. It makes them the producers of their outputs.
func (j *job) becomeINT8(ops []*tflite.Op, producers map[*tflite.Tensor]*tflite.Op) bool {
	for _, op := range ops {
		for _, t := range op.Outputs {
			producers[t] = op
		}
		if j.whyFloat(op, producers) != "" {
			return false
		}
	}
	return true
}

// insteadOf says of new ops that they come from the place of op in the file.
func (j *job) insteadOf(op *tflite.Op, ops ...*tflite.Op) []*tflite.Op {
	for _, o := range ops {
		j.index[o] = j.index[op]
	}
	return ops
}

// inFile is the op in whose place op came.
func (j *job) inFile(op *tflite.Op) *tflite.Op { return j.source.Graphs[0].Ops[j.index[op]] }

// outside says what op reaches beyond its graph: graphs that it runs, values of
// earlier runs. It is empty for most ops.
func outside(op *tflite.Op) string {
	if callees := op.Callees(); len(callees) > 0 {
		return fmt.Sprintf("it runs subgraphs %v, which stay float", callees)
	}
	for _, t := range slices.Concat(op.Inputs, op.Outputs) {
		if t != nil && t.Type == schema.TensorTypeRESOURCE {
			return fmt.Sprintf("%q keeps values from run to run", t.Name)
		}
	}
	return ""
}

// unquantizable says which real operand can have no range.
func (j *job) unquantizable(op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op) string {
	for _, t := range op.Inputs {
		switch {
		case !real(t) || producers[t] != nil || slices.Contains(j.graph.Inputs, t):
		case !t.Constant():
			return fmt.Sprintf("its operand %q keeps values from run to run, or is stored outside the file", t.Name)
		case len(t.Data) != 4*t.Len():
			return fmt.Sprintf("its constant %q is stored sparse", t.Name)
		case slices.ContainsFunc(t.Floats(), notFinite):
			return fmt.Sprintf("its constant %q holds NaN or infinity", t.Name)
		}
	}
	return ""
}

func opName(op *tflite.Op) string {
	if op.Code == schema.BuiltinOperatorCUSTOM {
		return "CUSTOM " + tflite.Printable(op.Custom)
	}
	return op.Code.String()
}

func outputName(op *tflite.Op) string {
	for _, t := range op.Outputs {
		if t != nil {
			return t.Name
		}
	}
	return ""
}

// newer compares runtime versions like "2.10.0".
func newer(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x > y
		}
	}
	return false
}
