package dfq

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// Finding is something about a model that its owner may want to know: where it
// loses accuracy, or space, and what to do about it.
type Finding struct {
	Name    string `json:"name"`    // what kind it is; stable: "dead-channels"
	Warning bool   `json:"warning"` // it costs accuracy, or may; otherwise it is good to know
	Index   int    `json:"index"`   // of the op in the file; −1 for an input of the model
	Op      string `json:"op,omitempty"`
	Tensor  string `json:"tensor"`
	Fault   string `json:"fault"`  // what was found, with its numbers
	Advice  string `json:"advice"` // what to do

	Channels []int `json:"channels,omitempty"` // all that it is about, where it is about some
}

// String is one line without the advice.
func (f Finding) String() string {
	if f.Index < 0 {
		return fmt.Sprintf("input %q: %s", f.Tensor, f.Fault)
	}
	return fmt.Sprintf("op %d %s %q: %s", f.Index, f.Op, f.Tensor, f.Fault)
}

// findingKind is what all findings of one name have in common.
type findingKind struct {
	name    string
	warning bool
	advice  string
}

var (
	guessedRange = findingKind{"guessed-input-range", true,
		"state it with --input-range LO,HI or --mean and --std: a wrong guess can cost all accuracy, and one that covers several costs some"}
	doubtedRange = findingKind{"doubted-input-range", true,
		"check it: --mean and --std are of pixels of 0..255, and numbers (--calibrate) are those that the model itself reads"}
	inferredRange = findingKind{"inferred-input-range", false,
		"check it; if it is another, state it with --input-range LO,HI or --mean and --std"}
	fedBack = findingKind{"fed-back-input", true,
		"if that output is given back as this input, as states are, state a range that holds it (--input-range), and give back real values (--io float32) where the two scales differ"}
	crushedInput = findingKind{"crushed-input", true,
		"allow what follows the last filters to stay float (--allow-float), cut the op off and make its inputs outputs of the model, or scale them to like ranges before and back behind it"}
	saturation = findingKind{"saturation", true,
		"convert with real data (--calibrate)"}
	sumOverflow = findingKind{"accumulator-overflow", true,
		"split the layer in two and add their outputs, or scale its inputs down"}
	hiddenValues = findingKind{"hidden-small-values", true,
		"give small channels an output of their own, or scale them up in the last layer; or write the model with a float op at its end"}
	hiddenBefore = findingKind{"zeros-before-log", true,
		"allow what is in front of it to stay float (--allow-float), cut that off and compute it in float, or try --activations int16"}
	biasOverflow = findingKind{"bias-near-overflow", false,
		"nothing is lost beside such a bias; a tool that chooses weight scales without regard to biases overflows here"}
	deadChannels = findingKind{"dead-channels", false,
		"nothing is lost, they are constants; prune them to save their time and space"}
	keptFloat = findingKind{"kept-float", false,
		"an NPU leaves it to the CPU; replace it by ops that have a quantized form, or cut it off the model"}
)

// findingKinds are all of them.
var findingKinds = []findingKind{guessedRange, doubtedRange, inferredRange, fedBack, crushedInput, saturation, sumOverflow, hiddenValues, hiddenBefore, biasOverflow, deadChannels, keptFloat}

// Bounds beyond which something is a finding.
const (
	// fewSteps are four bits: an input of a CONCATENATION that gets fewer
	// loses half of eight bits, or more of sixteen, to its neighbours.
	fewSteps = 16
	// hiddenSteps is the same for a channel of an output. It is lower, since room
	// above what was seen takes nearly a bit of each.
	hiddenSteps = 8
	// enoughValues of a channel show its range.
	enoughValues = 32
	// manyHidden is the share of an output's values, other than 0, that are rounded
	// to 0. Below one half the larger values are what is meant.
	manyHidden = 0.5
	// manySaturated is the share of values that are cut off. Ranges of least
	// expected error cut off up to a few in a thousand, and gain by it.
	manySaturated = 0.01
	// fewerSteps: a bias that takes a bit and more from the weights.
	fewerSteps = 2
)

// collectFindings looks at what the passes before have measured and chosen.
func collectFindings(j *job) error {
	for i, t := range j.graph.Inputs {
		j.findInput(t, j.report.Inputs[i])
		j.findSaturation(nil, t)
		if len(j.opts.Calibration) > 0 { // made-up ones say nothing of single channels
			j.findHidden(nil, t)
		}
	}
	j.findFedBack()
	j.findBeforeLog()
	for _, op := range j.report.Float {
		j.report.find(keptFloat, op.Index, op.Name, op.Output, "%s", op.Reason)
	}
	for _, op := range j.int8Ops() {
		if f := spec(op).filter; f != nil && j.stats[op.Inputs[f.input]] != nil {
			j.findInFilter(op, f)
		}
		if spec(op).joins() && spec(j.inFile(op)).joins() {
			j.findCrushed(op)
		}
		for _, t := range op.Outputs {
			if spec(op).scale.kind != sameScale { // there the op before has been told
				j.findSaturation(op, t)
			}
			if slices.Contains(j.graph.Outputs, t) {
				j.findHidden(op, t)
			}
		}
	}
	return nil
}

func (r *Report) find(kind findingKind, index int, op, tensor, fault string, args ...any) *Finding {
	r.Findings = append(r.Findings, Finding{Name: kind.name, Warning: kind.warning, Index: index, Op: op, Tensor: tensor, Fault: fmt.Sprintf(fault, args...), Advice: kind.advice})
	return &r.Findings[len(r.Findings)-1]
}

// find adds a finding at an op, or at an input of the model.
func (j *job) find(kind findingKind, op *tflite.Op, t *tflite.Tensor, fault string, args ...any) *Finding {
	if op == nil {
		return j.report.find(kind, -1, "", t.Name, fault, args...)
	}
	return j.report.find(kind, j.index[op], opName(op), t.Name, fault, args...)
}

// findInput says how surely an input's range is known.
func (j *job) findInput(t *tflite.Tensor, in InputReport) {
	switch {
	case in.Source == "guessed":
		j.find(guessedRange, nil, t, "its range [%.4g, %.4g] is a guess", in.Range.Lo, in.Range.Hi)
	case in.Source != "inferred":
	case len(in.Encodings) > 1:
		var names []string
		for _, e := range in.Encodings {
			names = append(names, e.Name)
		}
		j.find(guessedRange, nil, t, "its range could not be told from the graph alone; it covers %s", strings.Join(names, ", "))
	default:
		j.find(inferredRange, nil, t, "its range [%.4g, %.4g] was read off the graph's response", in.Range.Lo, in.Range.Hi)
	}
}

// findFedBack tells of inputs that look like states, since an output beside others has
// their shape, and hold less than it: of the inputs of one shape the first may be given
// the first of as many outputs, and so on. What a later run is given, no single run shows.
func (j *job) findFedBack() {
	if len(j.graph.Inputs) < 2 || len(j.graph.Outputs) < 2 {
		return
	}
	like := func(all []*tflite.Tensor, t *tflite.Tensor) []*tflite.Tensor {
		return slices.DeleteFunc(slices.Clone(all), func(o *tflite.Tensor) bool { return !real(o) || !slices.Equal(o.Shape, t.Shape) })
	}
	for _, t := range j.graph.Inputs {
		inputs, outputs := like(j.graph.Inputs, t), like(j.graph.Outputs, t)
		if len(inputs) != len(outputs) || !real(t) || t.Quant == nil {
			continue
		}
		o := outputs[slices.Index(inputs, t)]
		if o == t || o.Quant == nil || j.stats[o] == nil {
			continue
		}
		lo, hi := j.grid().Range(params(t.Quant))
		if s, step := j.stats[o], float64(scaleOf(t)); s.Lo < lo-step || s.Hi > hi+step {
			j.find(fedBack, nil, t, "it holds [%.4g, %.4g], and output %q of the same shape was [%.4g, %.4g]", lo, hi, o.Name, s.Lo, s.Hi)
		}
	}
}

// findSaturation tells of a tensor, many of whose values lie over a step beyond
// what int8 holds. A step is what ranges that kernels fix, as [0, 255/256], lack.
// Values that no reader tells from the range's end lose nothing there.
func (j *job) findSaturation(op *tflite.Op, t *tflite.Tensor) {
	s := j.stats[t]
	if s == nil || t.Quant == nil || len(s.rows) == 0 {
		return
	}
	lo, hi := j.grid().Range(params(t.Quant))
	step := float64(1.001 * float64(scaleOf(t)))
	within, ok := j.lookedAt[t]
	if !ok {
		within = everything
	}
	n := 0
	for _, v := range s.rows {
		x := max(within.Lo, min(within.Hi, float64(v)))
		if x < lo-step || x > hi+step {
			n++
		}
	}
	if share := float64(n) / float64(len(s.rows)); share > manySaturated {
		kind := saturation
		switch {
		case op == nil && len(j.opts.Calibration) > 0:
			kind.advice = "give the numbers that the model itself reads, of pixels p (p-M)/S; or state another range, if these are right"
		case op == nil:
			kind.advice = "state a wider input range"
		case len(j.opts.Calibration) > 0:
			kind.advice = "--ranges min-max clips nothing that the given inputs show"
		}
		j.find(kind, op, t, "%.1f %% of its values lie outside [%.4g, %.4g], which %s holds; seen were [%.4g, %.4g]", 100*share, lo, hi, kernelName(j.grid()), s.Lo, s.Hi)
	}
}

// findCrushed tells of the inputs of an op that joins them which are small beside the
// others, with which they share a scale.
func (j *job) findCrushed(op *tflite.Op) {
	out := op.Outputs[0]
	if out.Quant == nil {
		return
	}
	for _, t := range op.Inputs {
		s := j.stats[t]
		if s == nil || s.Hi == s.Lo {
			continue
		}
		if steps := (s.Hi - s.Lo) / float64(scaleOf(out)); steps < fewSteps {
			grid := j.grid()
			lo, hi := grid.Range(params(out.Quant))
			j.find(crushedInput, op, t, "its values, [%.4g, %.4g], get %.1f of %d steps: the scale they share is that of [%.4g, %.4g]", s.Lo, s.Hi, steps, grid.Max-grid.Min+1, lo, hi)
		}
	}
}

// findHidden tells of an output of op, or of an input of the model, with channels, or of
// an output with most values, too small for its scale. Where a kernel fixes the scale it says nothing: probabilities near 0 are
// what most classes should have.
func (j *job) findHidden(op *tflite.Op, t *tflite.Tensor) {
	s := j.stats[t]
	fixed := func(r TensorReport) bool { return r.Name == t.Name && r.Rule == fixedByKernel }
	if s == nil || t.Quant == nil || slices.ContainsFunc(j.report.Tensors, fixed) {
		return
	}
	step := float64(scaleOf(t))
	var small []int
	alive := 0
	for c, m := range s.channels {
		if m.hi > m.lo && m.n >= enoughValues {
			alive++
			if m.hi-m.lo < hiddenSteps*step {
				small = append(small, c)
			}
		}
	}
	if len(small) > 0 && (len(small) < alive || alive == 1) {
		kind := hiddenValues
		if op == nil {
			kind.advice = "scale the model's inputs alike before it: they share one scale, whatever it does with them; or give small ones an input of their own"
		}
		j.find(kind, op, t, "%d of %d channels (%s) have fewer than %d steps of its scale %.3g; all of [%.4g, %.4g] share it",
			len(small), len(s.channels), few(small), hiddenSteps, step, s.Lo, s.Hi).Channels = small
		return
	}
	if op == nil {
		return // zeros may be what an input has
	}
	tiny, nonzero := s.vanishing(step)
	if share := float64(tiny) / math.Max(1, float64(nonzero)); share > manyHidden {
		j.find(hiddenValues, op, t, "%.0f %% of its values are less than half a step of its scale %.3g and become 0; all of [%.4g, %.4g] share it",
			100*share, step, s.Lo, s.Hi)
	}
}

// findBeforeLog tells of what LOG reads, and other ops that make large differences of
// small ones, which a scale for large values does not keep.
func (j *job) findBeforeLog() {
	producers := j.graph.Producers()
	for _, op := range j.graph.Ops {
		for _, k := range spec(op).magnifies {
			t := optional(op, k)
			s := j.stats[t]
			if s == nil || t.Quant == nil || producers[t] != nil && j.float[producers[t]] != "" && j.float[op] != "" {
				continue
			}
			step := float64(scaleOf(t))
			tiny, _ := s.vanishing(step)
			if share := float64(tiny) / float64(max(1, len(s.rows))); share > manySaturated {
				j.find(hiddenBefore, op, t, "%.2g %% of what it reads is less than half a step of the scale %.3g and becomes 0", 100*share, step)
			}
		}
	}
}

// vanishing counts the values that a step makes 0 of, and all that are not 0 before.
func (s *tensorStats) vanishing(step float64) (tiny, nonzero int) {
	for _, x := range s.rows {
		if x != 0 {
			nonzero++
			if math.Abs(float64(x)) < step/2 {
				tiny++
			}
		}
	}
	return tiny, nonzero
}

// findInFilter tells of the output channels of a filter that never change, and of
// those whose sums int32 has little room for.
func (j *job) findInFilter(op *tflite.Op, f *filter) {
	w, out, bias := op.Inputs[f.weights], op.Outputs[0], op.Inputs[f.bias].Floats()
	values, lay := w.Floats(), layoutOf(w, f.out)
	isDead, reach := j.dead(op, f, 1)
	bounds := channelMax(values, lay)
	plain := weightScales(values, lay, len(w.Quant.Scale) == 1)
	var dead, widened, over []int
	for o := range reach {
		k := min(o, len(plain)-1)
		scale := w.Quant.Scale[k]
		sum := (reach[o] + math.Abs(float64(bias[o]))) / float64(scale) / float64(scaleOf(op.Inputs[f.input]))
		switch {
		case isDead[o]:
			dead = append(dead, o)
		case sum > math.MaxInt32 && j.grid() == affine.Int8: // beside int16, sums have 64 bits
			over = append(over, o)
		case scale > fewerSteps*plain[k]:
			widened = append(widened, o)
		}
	}
	if wasFilter := spec(j.inFile(op)).filter != nil; len(dead) > 0 && wasFilter { // else there is none to prune
		j.find(deadChannels, op, out, "%d of %d channels (%s) are constant for inputs within what was seen",
			len(dead), lay.channels, few(dead)).Channels = dead
	}
	if len(over) > 0 {
		j.find(sumOverflow, op, out, "the sums of %d of %d channels (%s) may be beyond int32, for inputs as were seen",
			len(over), lay.channels, few(over)).Channels = over
	}
	if len(widened) > 0 {
		o := widened[0]
		j.find(biasOverflow, op, out, "%d of %d channels (%s) have weights so small beside their bias, as %.3g beside %.4g, that it fits 32 bits only with a larger weight scale",
			len(widened), lay.channels, few(widened), bounds[o], bias[o]).Channels = widened
	}
}

// few lists the first of some numbers.
func few(n []int) string {
	const most = 5
	var s []string
	for _, x := range n[:min(most, len(n))] {
		s = append(s, fmt.Sprint(x))
	}
	if len(n) > most {
		s = append(s, "…")
	}
	return strings.Join(s, ", ")
}
