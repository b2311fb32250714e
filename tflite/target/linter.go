package target

import (
	"cmp"
	"fmt"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// linter gathers the findings of one op.
type linter struct {
	target *target
	op     *operation
	row    rule
	found  []Finding
}

// lint holds one op against its row.
func (t *target) lint(op *tflite.Op, around *links) []Finding {
	l := &linter{target: t, op: newOperation(op, around)}
	row, ok := t.rules[op.Code]
	if op.Code == schema.BuiltinOperatorCUSTOM {
		row, ok = rule{}, slices.Contains(t.custom, op.Custom)
	}
	if !ok {
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
		l.report(cmp.Or(c.severity, Error), c.name, c.fault(l.op), c.advice, c.source)
	}
	return l.found
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
	tensor := f.tensor
	for _, t := range l.op.Outputs {
		if tensor == nil {
			tensor = t
		}
	}
	finding := Finding{Severity: severity, Name: l.op.Code.String(), Rule: name, Fault: f.text, Advice: advice, Source: cmp.Or(source, l.row.source, l.target.source)}
	if l.op.Custom != "" {
		finding.Name = l.op.Custom
	}
	if tensor != nil {
		finding.Tensor = tensor.Name
	}
	l.found = append(l.found, finding)
}

func (l *linter) errorf(name, advice string, t *tflite.Tensor, format string, args ...any) {
	l.report(cmp.Or(l.target.broken, Error), name, faultf(t, format, args...), advice, "")
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
	if check("an input", l.op.data, l.row.types, adviceInt8) {
		check("an output", l.op.Outputs, cmp.Or(l.row.outputs, l.row.types), adviceInt8)
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
