package target

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dfq/schema"
	"dfq/tflite"
)

// rule is what a target asks of one operator. The zero value of a field asks
// nothing, but for the fields of which a target's rule for all operators says
// otherwise.
type rule struct {
	versions [2]int      // lowest and highest operator version; 0: no bound
	types    types       // element types of the data inputs and outputs
	outputs  types       // of the outputs, where they differ
	weights  types       // of the weights
	bias     types       // of the bias
	ranks    [2]int      // fewest and most dimensions of data inputs and outputs; 0: no bound
	fused    activations // fused activations; 0: any

	perTensor  Severity // of weights with a scale for each channel; 0: they are taken
	same       Severity // of data inputs and outputs that do not share scale and zero point
	restricted Severity // of s_in·s_w ≥ s_out, for MUL the scales of both inputs
	clamped    bool     // the output holds nothing outside of its activation
	fixed      *quantization
	constant   []int // inputs that must be constants where they are there
	inputs     int   // fewest inputs

	checks    []check
	quantized string // what to do about a quantized type that is not taken; "": what holds for all targets
	relations string // where the target states perTensor, same and restricted; "": where all else
	source    string // where the target says so; "": in its main source
}

// over fills the fields that r leaves open with those of all.
func (r rule) over(all rule) rule {
	r.types = cmp.Or(r.types, all.types)
	r.weights = cmp.Or(r.weights, all.weights)
	r.bias = cmp.Or(r.bias, all.bias)
	r.ranks = cmp.Or(r.ranks, all.ranks)
	r.fused = cmp.Or(r.fused, all.fused)
	return r
}

// A check is a rule that fields cannot express.
type check struct {
	name     string
	fault    func(*operation) fault
	advice   string
	severity Severity // 0: Error
	source   string   // "": that of the row
}

// fault is what a check finds. No text: nothing.
type fault struct {
	text   string
	tensor *tflite.Tensor // nil: no tensor in particular
}

func faultf(t *tflite.Tensor, format string, args ...any) fault {
	return fault{fmt.Sprintf(format, args...), t}
}

// as returns the check with another severity.
func (c check) as(s Severity) check { c.severity = s; return c }

// from returns the check with a source of its own.
func (c check) from(source string) check { c.source = source; return c }

// advise returns the check with other advice.
func (c check) advise(advice string) check { c.advice = advice; return c }

// quantization is the scale and zero point that an op's output must have.
type quantization struct {
	scale float32
	zero  int64
}

// fraction16 is what int16 outputs have where those of int8 are fixed.
var fraction16 = &quantization{1. / 32768, 0}

// types is a set of element types.
type types uint64

const (
	f32  types = 1 << schema.TensorTypeFLOAT32
	f16  types = 1 << schema.TensorTypeFLOAT16
	i8   types = 1 << schema.TensorTypeINT8
	u8   types = 1 << schema.TensorTypeUINT8
	i16  types = 1 << schema.TensorTypeINT16
	u16  types = 1 << schema.TensorTypeUINT16
	i32  types = 1 << schema.TensorTypeINT32
	i64  types = 1 << schema.TensorTypeINT64
	i4   types = 1 << schema.TensorTypeINT4
	flag types = 1 << schema.TensorTypeBOOL
	ref  types = 1 << schema.TensorTypeRESOURCE
)

func (s types) has(t schema.TensorType) bool { return s&(1<<t) != 0 }

func (s types) String() string {
	var names []string
	for t := schema.TensorType(0); t < 64; t++ {
		if s.has(t) {
			names = append(names, t.String())
		}
	}
	return strings.Join(names, ", ")
}

// activations is a set of fused activations.
type activations uint

const (
	actNone  activations = 1 << schema.ActivationFunctionTypeNONE
	actReLU  activations = 1 << schema.ActivationFunctionTypeRELU
	actReLU6 activations = 1 << schema.ActivationFunctionTypeRELU6
	actReLU1 activations = 1 << schema.ActivationFunctionTypeRELU_N1_TO_1
	actTanh  activations = 1 << schema.ActivationFunctionTypeTANH

	actReLUs = actNone | actReLU | actReLU6 | actReLU1
)

// listed makes rows without rules.
func listed(codes ...schema.BuiltinOperator) map[schema.BuiltinOperator]rule {
	rules := map[schema.BuiltinOperator]rule{}
	for _, c := range codes {
		rules[c] = rule{}
	}
	return rules
}

// allBut makes rows without rules for all operators but these.
func allBut(codes ...schema.BuiltinOperator) map[schema.BuiltinOperator]rule {
	rules := map[schema.BuiltinOperator]rule{}
	for c := range schema.EnumNamesBuiltinOperator {
		if !slices.Contains(codes, c) {
			rules[c] = rule{}
		}
	}
	return rules
}

// with adds rows to others.
func with(rules, more map[schema.BuiltinOperator]rule) map[schema.BuiltinOperator]rule {
	maps.Copy(rules, more)
	return rules
}
