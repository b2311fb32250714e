package target

import (
	"cmp"
	"fmt"
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

// lint holds one op against its row.
func (t *target) lint(op *tflite.Op, around *links) []Finding {
	l := &linter{target: t, op: newOperation(op, around)}
	row, ok := t.rules[op.Code]
	if op.Code == schema.BuiltinOperatorCUSTOM {
		row, ok = rule{}, slices.Contains(t.custom, op.Custom)
	}
	if !ok {
		l.row.source = ""
		l.report(t.missing, "operator", fault{text: t.title + " does not have this operator"}, t.missingAdvice, "")
		return l.found
	}
	l.row = row.over(t.all)
	l.versions()
	l.elementTypes()
	l.dimensions()
	l.activation()
	l.operands()
	l.quantization()
	for _, c := range slices.Concat(t.all.checks, row.checks) {
		severity := c.severity
		if severity == 0 {
			severity = Error
		}
		l.report(severity, c.name, c.fault(l.op), c.advice, c.source)
	}
	return l.found
}

// over fills the fields that r leaves open with those of all.
func (r rule) over(all rule) rule {
	if r.types == 0 {
		r.types = all.types
	}
	if r.weights == 0 {
		r.weights = all.weights
	}
	if r.bias == 0 {
		r.bias = all.bias
	}
	if r.ranks == [2]int{} {
		r.ranks = all.ranks
	}
	if r.fused == 0 {
		r.fused = all.fused
	}
	return r
}

// linter gathers the findings of one op.
type linter struct {
	target *target
	op     *operation
	row    rule
	found  []Finding
}

func (l *linter) report(severity Severity, name string, f fault, advice, source string) {
	if f.text == "" {
		return
	}
	switch {
	case severity == Note:
		advice = l.target.missingAdvice
	case (name == "operator" || name == "type") && l.op.convertsBoundary():
		advice = adviceIO
	}
	for _, s := range []string{l.row.source, l.target.source} {
		if source == "" {
			source = s
		}
	}
	tensor := f.tensor
	for _, t := range l.op.Outputs {
		if tensor == nil {
			tensor = t
		}
	}
	finding := Finding{Severity: severity, Name: l.op.Code.String(), Rule: name, Fault: f.text, Advice: advice, Source: source}
	if l.op.Custom != "" {
		finding.Name = l.op.Custom
	}
	if tensor != nil {
		finding.Tensor = tensor.Name
	}
	l.found = append(l.found, finding)
}

func (l *linter) errorf(name, advice string, t *tflite.Tensor, format string, args ...any) {
	severity := l.target.broken
	if severity == 0 {
		severity = Error
	}
	l.report(severity, name, faultf(t, format, args...), advice, "")
}

func (l *linter) versions() {
	lo, hi := l.row.versions[0], l.row.versions[1]
	v := max(l.op.Version, 1)
	switch {
	case hi > 0 && v > hi:
		l.errorf("version", adviceVersion, nil, "version %d, the highest taken is %d", v, hi)
	case v < lo:
		l.errorf("version", adviceVersion, nil, "version %d, the lowest taken is %d", v, lo)
	}
}

const (
	adviceVersion = "write the op in a form that has such a version; conversion for this target does"
	adviceWhole   = "convert it to INT8, inputs and outputs too"
	adviceInt8    = adviceWhole + "; an op that stays float runs on the CPU"
	adviceCPU     = "the CPU runs it; replace it where speed matters"
	adviceIndex   = "the CPU runs it; compute shapes and indices beforehand, or leave them to the application"
	adviceAlone   = "give it a type that is taken, or replace it: nothing else runs it, and the model fails"
	adviceIO      = "convert without --io, so that the model's inputs and outputs need no such op"
)

func (l *linter) elementTypes() {
	// One tensor tells it all: an op on another type has it on both sides.
	check := func(role string, ts []*tflite.Tensor, want types, advice string) bool {
		for _, t := range ts {
			if want != 0 && t != nil && !want.has(t.Type) {
				switch {
				case advice != adviceInt8:
				case l.target.alone && (f32 | f16).has(t.Type):
					advice = adviceWhole
				case l.target.alone:
					advice = adviceAlone
				case (f32 | f16 | i16).has(t.Type):
				case integer(t):
					advice = cmp.Or(l.row.quantized, adviceCPU)
				default:
					advice = adviceIndex
				}
				l.errorf("type", advice, t, "%s is %s, taken are %s", role, t.Type, want)
				return false
			}
		}
		return true
	}
	out := l.row.outputs
	if out == 0 {
		out = l.row.types
	}
	if check("an input", l.op.data, l.row.types, adviceInt8) {
		check("an output", l.op.Outputs, out, adviceInt8)
	}
	check("the weights tensor", []*tflite.Tensor{l.op.weights}, l.row.weights, "quantize the weights to 8 bits")
	check("the bias", []*tflite.Tensor{l.op.bias}, l.row.bias, "write the bias as 32-bit integers")
}

func (l *linter) dimensions() {
	lo, hi := l.row.ranks[0], l.row.ranks[1]
	for _, t := range slices.Concat(l.op.data, l.op.Outputs) {
		if t == nil {
			continue
		}
		if n := len(t.Shape); n < lo || hi > 0 && n > hi {
			l.errorf("rank", "reshape the tensor before and after the op", t, "%d dimensions, taken are %s", n, span(lo, hi))
			return
		}
	}
}

// span says lo to hi in words.
func span(lo, hi int) string {
	switch {
	case lo == hi:
		return fmt.Sprint(lo)
	case lo == 0:
		return fmt.Sprintf("up to %d", hi)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

func (l *linter) activation() {
	act := l.op.Activation()
	if l.row.fused != 0 && (act < 0 || act > 31 || l.row.fused&(1<<act) == 0) {
		l.errorf("fused activation", "make the activation an op of its own", nil, "%s is not taken here", act)
	}
}

func (l *linter) operands() {
	if i := l.row.inputs - 1; i >= 0 && l.op.input(i) == nil {
		l.errorf("missing operand", "write it; conversion for this target does", nil, "there is no input %d", i)
	}
	for _, i := range l.row.constant {
		if t := l.op.input(i); t != nil && !t.Constant() && !(l.target.unpacks && l.op.around.unpacked(t)) {
			l.errorf("constant operand", "fix the model's input shape, so that the operand can be computed beforehand", t, "input %d must be a constant", i)
		}
	}
}

func (l *linter) quantization() {
	if l.row.same > 0 {
		l.report(l.row.same, "same scale", l.op.sameScale(), "give them one scale and zero point; conversion for this target does", l.row.relations)
	}
	if w := l.op.weights; l.row.perTensor > 0 && w != nil && w.Quant != nil && len(w.Quant.Scale) > 1 {
		l.report(l.row.perTensor, "per-channel weights", faultf(w, "%d weight scales; %s", len(w.Quant.Scale), manyScales[l.row.perTensor]), "quantize these weights per tensor; conversion for this target does", l.row.relations)
	}
	if l.row.restricted > 0 {
		l.report(l.row.restricted, "scale product", l.op.growing(), "widen the output's range; conversion for this target does", l.row.relations)
	}
	if l.row.clamped {
		l.report(Warning, "range beyond the activation", l.op.beyondClamp(), "clamp the output's range to the activation; conversion for this target does", "")
	}
	if l.row.fixed == nil {
		return
	}
	for _, t := range l.op.Outputs {
		want := l.row.fixed
		switch {
		case t == nil || !(i8 | i16).has(t.Type):
			continue
		case t.Type == schema.TensorTypeINT16:
			want = fraction16
		}
		if s, z, ok := quantOf(t); !ok || s != want.scale || z != want.zero {
			l.errorf("output scale", "write the op's prescribed output scale and zero point", t,
				"scale %g and zero point %d, they must be %g and %d", s, z, want.scale, want.zero)
		}
	}
}

// manyScales says what becomes of weights with a scale for each channel.
var manyScales = [...]string{
	Warning: "older versions take one, or read the first one only and compute nonsense",
	Error:   "one is taken",
}
