package dfq

import (
	"fmt"
	"strconv"
	"strings"

	"dfq/schema"
	"dfq/tflite"
)

// newestRuntime is the newest TensorFlow Lite runtime that a written file may
// need. Ops whose int8 form came later stay float.
const newestRuntime = "2.9.0"

// UnsupportedError lists every op of a model that has no INT8 form.
type UnsupportedError struct {
	Ops []UnsupportedOp
}

// UnsupportedOp is one op that has no INT8 form, and why.
type UnsupportedOp struct {
	Index  int    `json:"index"`  // in the graph as dfq reads it
	Name   string `json:"op"`     // operator, for a custom one its name
	Output string `json:"output"` // name of its first output tensor
	Reason string `json:"reason"`
}

func (e *UnsupportedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ops cannot be INT8:", len(e.Ops))
	for _, op := range e.Ops {
		fmt.Fprintf(&b, "\n  op %d %s %q: %s", op.Index, op.Name, op.Output, op.Reason)
	}
	b.WriteString("\nallow them to stay float (--allow-float), or cut them off the model")
	return b.String()
}

// checkSupport finds the ops that have no INT8 form, all at once. They are an
// error, or, where the options allow it, stay float.
func checkSupport(j *job) error {
	j.float = map[*tflite.Op]string{}
	var unsupported []UnsupportedOp
	for i, op := range j.graph.Ops {
		reason := whyFloat(op)
		if reason == "" {
			continue
		}
		j.float[op] = reason
		unsupported = append(unsupported, UnsupportedOp{i, opName(op), outputName(op), reason})
	}
	if len(unsupported) > 0 && !j.opts.AllowFloat {
		return &UnsupportedError{unsupported}
	}
	j.report.Float = unsupported
	return nil
}

// whyFloat says why op cannot work on int8 tensors; empty if it can, or if it
// works on no real values at all.
func whyFloat(op *tflite.Op) string {
	touchesReal := false
	for _, ts := range [][]*tflite.Tensor{op.Inputs, op.Outputs} {
		for _, t := range ts {
			touchesReal = touchesReal || real(t)
		}
	}
	if !touchesReal && op.Code != schema.BuiltinOperatorCUSTOM {
		return ""
	}
	s := spec(op)
	if s.versions == nil {
		return "it has no int8 kernel"
	}
	v := s.version(op)
	if v.number == 0 {
		return "it has no int8 kernel for these shapes or options"
	}
	if newer(v.runtime, newestRuntime) {
		return fmt.Sprintf("its int8 kernel came with TensorFlow Lite %s; files are written for %s", v.runtime, newestRuntime)
	}
	if f := s.filter; f != nil {
		for _, i := range []int{f.weights, f.bias} {
			if t := op.Inputs[i]; t != nil && !t.Constant() {
				return fmt.Sprintf("its operand %q is not constant", t.Name)
			}
		}
	}
	switch activation(op) {
	case schema.ActivationFunctionTypeTANH, schema.ActivationFunctionTypeSIGN_BIT:
		return "its fused activation has no int8 kernel"
	}
	return ""
}

func opName(op *tflite.Op) string {
	if op.Code == schema.BuiltinOperatorCUSTOM {
		return "CUSTOM " + op.Custom
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
