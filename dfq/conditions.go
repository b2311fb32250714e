package dfq

import "slices"

// A condition says which conversions a pass is part of: in the words of the command
// line, and of the options. The zero condition is that of every conversion.
type condition struct {
	words string
	holds func(*Options) bool
}

// Int16 activations have steps enough: what makes more of eight bits leaves them alone.
var (
	withTarget     = condition{"with --target", func(o *Options) bool { return o.Target != "" }}
	withRelaxReLU6 = condition{"with --relax-relu6", func(o *Options) bool { return o.RelaxReLU6 }}
	withAbsorb     = condition{"with --absorb", func(o *Options) bool { return o.Absorb }}
	withFloat      = condition{"with --allow-float", func(o *Options) bool { return o.AllowFloat }}
	withFloatInt8  = condition{"with --allow-float, without --activations int16", func(o *Options) bool { return o.AllowFloat && o.Activations != Int16 }}

	withScaling    = condition{"without --no-equalize and --activations int16", func(o *Options) bool { return !o.NoEqualize && o.Activations != Int16 }}
	withPerTensor  = condition{"with --per-tensor, or a --target that needs it, without --no-equalize", func(o *Options) bool { return o.PerTensor && !o.NoEqualize }}
	withPerChannel = condition{"without --per-tensor, --no-equalize and --activations int16", func(o *Options) bool { return !o.PerTensor && withScaling.holds(o) }}

	withCorrection = condition{"without --no-correct", func(o *Options) bool { return !o.NoCorrect }}
	withThorough   = condition{"with --thorough, without --no-correct", func(o *Options) bool { return o.Thorough && !o.NoCorrect }}

	withOutliers = condition{"for outputs of many positions; without --activations int16 and other --ranges than least-error", func(o *Options) bool { return o.Ranges == LeastError && o.Activations != Int16 }}

	// Ranges that a rule gives, or real inputs show, are not to be wider.
	withRoom = condition{"for outputs of many positions, or with --thorough; without --no-correct, --calibrate, --activations int16 and other --ranges than least-error",
		func(o *Options) bool {
			return withOutliers.holds(o) && !o.NoCorrect && len(o.Calibration) == 0
		}}
)

// RunsOnly says with which flags of the command line a pass runs; empty if it always does.
func RunsOnly(name string) string {
	if i := slices.IndexFunc(passes[:], func(p pass) bool { return p.name == name }); i >= 0 {
		return passes[i].only.words
	}
	return ""
}
