package target

import "dfq/schema"

// Default is what files are written for if no target is named.
const Default = "tflite-" + presumed

// Limits tells a conversion what a target accepts.
type Limits struct {
	t           *target
	activations schema.TensorType
}

// LimitsOf returns the limits of the named target on files whose activations are
// INT8 or INT16.
func LimitsOf(name string, activations schema.TensorType) (Limits, error) {
	t, err := find(name)
	return Limits{t, activations}, err
}

// Takes reports whether the target has a row for an operator that takes such
// activations.
func (l Limits) Takes(code schema.BuiltinOperator) bool {
	r, ok := l.t.rules[code]
	r = r.over(l.t.all)
	return ok && (r.types == 0 || r.types.has(l.activations))
}

// Release returns the newest release of TensorFlow Lite, as "2.9", that an
// operator's quantized form may need; "" if it may need any. What a target does not
// take itself is left to a runtime beside it, of which no more is presumed than
// of the default target.
func (l Limits) Release(code schema.BuiltinOperator) string {
	if l.t.release == "" && !l.Takes(code) {
		return presumed
	}
	if l.t.release == newest {
		return ""
	}
	return l.t.release
}

// Versions returns the lowest and the highest version that the target takes of
// an operator. 0 is no bound.
func (l Limits) Versions(code schema.BuiltinOperator) (lowest, highest int) {
	v := l.t.rules[code].versions
	return v[0], v[1]
}

// PerTensor reports whether an operator's weights should have one scale for all
// channels: the target, or a version of it in use, takes no more.
func (l Limits) PerTensor(code schema.BuiltinOperator) bool { return l.t.rules[code].perTensor > 0 }

// SameScale reports whether an operator's data inputs and outputs must share
// scale and zero point.
func (l Limits) SameScale(code schema.BuiltinOperator) bool { return l.t.rules[code].same > 0 }

// RestrictedScale reports whether input scale times weight scale, for MUL the
// product of both input scales, must stay below the output scale.
func (l Limits) RestrictedScale(code schema.BuiltinOperator) bool {
	return l.t.rules[code].restricted > 0
}

// Clamped reports whether the output's range must lie inside the clamp of the
// operator's activation.
func (l Limits) Clamped(code schema.BuiltinOperator) bool { return l.t.rules[code].clamped }

// Inputs returns how many inputs an operator must have at least, 0 if its
// kernels tell.
func (l Limits) Inputs(code schema.BuiltinOperator) int { return l.t.rules[code].inputs }

// FixedBatch reports whether the first dimension of shapes should be known
// beforehand, like the others.
func (l Limits) FixedBatch() bool { return l.t.fixedBatch }
