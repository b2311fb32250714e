package dfq

import (
	"fmt"
	"math"
	"slices"

	"dfq/dfq/internal/stimulus"
	"dfq/schema"
	"dfq/tflite"
)

// otherScale is how far a range and what the graph shows may be apart. Ranges that
// images have are within a factor of 3 of each other, or 50 and more apart.
const otherScale = 16

// doubtRange warns of a range that is not of the scale that the graph shows: most
// likely pixels of 0..255 that were not normalized, or a mean and deviation for
// pixels of 0..1.
func (j *job) doubtRange(i int, t *tflite.Tensor, in *InputReport) error {
	if in.Source == "inferred" || !isImage(t) {
		return nil
	}
	if j.firstBiased(i) == nil && subtractedMean(j.graph, t) == 0 {
		return nil // nothing shows it
	}
	shown, why, err := j.inferImage(i, t)
	if err != nil {
		return err
	}
	r := hull(shown)
	if times := (in.Range.Hi - in.Range.Lo) / (r.Hi - r.Lo); times > otherScale || times < 1./otherScale {
		j.find(doubtedRange, nil, t, "its range is [%.4g, %.4g], but the graph seems to read about [%.4g, %.4g]: %s", in.Range.Lo, in.Range.Hi, r.Lo, r.Hi, why)
	}
	return nil
}

// Thresholds of the inference, in units that do not depend on a model.
const (
	// typicalAnswer is what a filter's answer deviates, over the size of its
	// bias, where the input is scaled as in training. Models of all kinds lie
	// within a factor of 5 of it; the scales to choose from are 128 apart.
	typicalAnswer = 0.4
	// sureSlope is how many standard errors the slope of bias against −Σw must
	// be away from zero before the offset counts as known.
	sureSlope = 2
)

// inferImage tells the encodings of an image apart.
func (j *job) inferImage(i int, t *tflite.Tensor) ([]Encoding, string, error) {
	switch mean := subtractedMean(j.graph, t); {
	case mean > 1 && mean < 255:
		return []Encoding{interval(0, 255)}, fmt.Sprintf("the graph first subtracts %.4g from it", mean), nil
	case mean > 0 && mean < 1:
		return []Encoding{interval(0, 1)}, fmt.Sprintf("the graph first subtracts %.4g from it", mean), nil
	}
	answer, err := j.firstResponse(i)
	if err != nil {
		return nil, "", err
	}
	slope, sure := biasSlope(j.firstFilter(t))
	unit := math.Abs(math.Log(answer / typicalAnswer))
	byteScale := math.Abs(math.Log(answer * 127.5 / typicalAnswer))
	centred, positive := sure && slope < 0, sure && slope > 0
	why := fmt.Sprintf("±1 moves the first filter by %.3g of its biases", answer)
	var es []Encoding
	if byteScale < unit {
		if !centred {
			es = append(es, interval(0, 255))
		}
		if !positive {
			es = append(es, interval(-128, 127))
		}
		why += ", so it holds some hundred"
	} else {
		if !centred {
			es = append(es, interval(0, 1))
		}
		if !positive {
			es = append(es, aroundZero(j.graph, answer)...)
		}
		why += ", so it holds about one"
	}
	switch {
	case centred:
		why += "; they show a mean of about 0"
	case positive:
		why += fmt.Sprintf("; they show a mean of about %.3g", slope)
	default:
		why += "; they do not show its mean"
	}
	return es, why, nil
}

// aroundZero are the encodings around zero of an input of about one, whose first
// filter answers ±1 with answer times its bias. Networks that pad like
// TensorFlow read [−1, 1]. The others mostly read ImageNet's mean and deviation,
// 2.2 times as wide: where the answer to ±1 is too weak as well, surely enough.
func aroundZero(g *tflite.Graph, answer float64) []Encoding {
	switch {
	case padsLikeTensorFlow(g):
		return []Encoding{interval(-1, 1)}
	case answer < typicalAnswer/2:
		return []Encoding{imageNet()}
	}
	return []Encoding{interval(-1, 1), imageNet()}
}

// firstFilter returns the first CONV_2D or FULLY_CONNECTED that reads t, maybe
// through ops that only move values.
func (j *job) firstFilter(t *tflite.Tensor) *tflite.Op {
	reach := map[*tflite.Tensor]bool{t: true}
	for _, op := range j.graph.Ops {
		if j.float[op] != "" || !slices.ContainsFunc(op.Inputs, func(t *tflite.Tensor) bool { return reach[t] }) {
			continue
		}
		s := spec(op)
		if s.filter == conv || s.filter == dense {
			return op
		}
		if s.scale.kind == sameScale {
			for _, o := range op.Outputs {
				reach[o] = true
			}
		}
	}
	return nil
}

// subtractedMean is what the graph itself takes off its input before all else,
// the mean over the channels: it reads (t − mean) times a positive factor. 0 where
// it does no such thing.
func subtractedMean(g *tflite.Graph, t *tflite.Tensor) float64 {
	uses := g.Uses()[t]
	if len(uses) != 1 {
		return 0
	}
	op := uses[0].Op
	l := lineOrFilter(op)
	if l == nil || l.x != t {
		return 0
	}
	mean := 0.0
	for c := range l.scale {
		if l.scale[c] <= 0 || l.shift[c] >= 0 {
			return 0
		}
		mean -= l.shift[c] / l.scale[c] / float64(len(l.scale))
	}
	return mean
}

// padsLikeTensorFlow reports whether strided filters pad with SAME. Networks
// trained elsewhere pad both sides alike, which SAME does not on even sides: a
// .tflite then shows a PAD op before a filter without padding. With TensorFlow
// go zero-centred inputs in [−1, 1]; the mean and deviation of ImageNet come
// with the others.
func padsLikeTensorFlow(g *tflite.Graph) bool {
	producers := g.Producers()
	found := false
	for _, op := range g.Ops {
		w, _ := op.Window()
		if f := spec(op).filter; f != conv && f != depthwise || w.Stride[0] < 2 {
			continue
		}
		if p := producers[op.Inputs[0]]; w.Padding == schema.PaddingVALID && p != nil && p.Code == schema.BuiltinOperatorPAD {
			return false
		}
		found = found || w.Padding == schema.PaddingSAME
	}
	return found
}

// biasSlope is the slope of a filter's biases against −Σw over its output
// channels, an estimate of its mean input, and whether it is sureSlope standard
// errors away from zero.
func biasSlope(op *tflite.Op) (slope float64, sure bool) {
	if op == nil {
		return 0, false
	}
	f := spec(op).filter
	w, b := op.Inputs[f.weights], op.Inputs[f.bias].Floats()
	lay := layoutOf(w, f.out)
	x, y := make([]float64, lay.channels), cast[float64](b)
	for i, v := range w.Floats() {
		x[lay.channel(i)] -= float64(v)
	}
	n := float64(len(x))
	if n < 4 {
		return 0, false
	}
	var mx, my, sxx, sxy float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	for i := range x {
		sxx += float64((x[i] - mx) * (x[i] - mx))
		sxy += float64((x[i] - mx) * (y[i] - my))
	}
	if sxx == 0 {
		return 0, false
	}
	slope = sxy / sxx
	residual := 0.0
	for i := range x {
		e := y[i] - my - float64(slope*(x[i]-mx))
		residual += float64(e * e)
	}
	return slope, math.Abs(slope) > sureSlope*math.Sqrt(residual/(n-2)/sxx)
}

// inferFeatures guesses the range of an input that is no image from its first
// filter, see stimulus.DomainFor.
func (j *job) inferFeatures(t *tflite.Tensor, kind stimulus.Kind) (Encoding, string) {
	op := j.firstFilter(t)
	if op != nil {
		f := spec(op).filter
		w := op.Inputs[f.weights]
		kernel := kernelOver(t.Shape, w.Shape)
		if d, ok := stimulus.DomainFor(t.Shape, kind, kernel, w.Floats(), op.Inputs[f.bias].Floats()); ok {
			if e := interval(d.Lo*featureRoom, d.Hi*featureRoom); e.Usable() {
				return e, "from the first filter's weights and biases"
			}
		}
	}
	return interval(-1, 1), "nothing shows its range"
}

// kernelOver is the height and width of a filter over an input of features. A convolution along
// the time of [batch, time, features], or a dense layer at each time, reads all features.
func kernelOver(input, w []int) [2]int {
	switch {
	case len(w) == 4 && len(input) == 3 && w[1] == 1 && w[3] == input[2]:
		return [2]int{w[2], w[3]}
	case len(w) == 4:
		return [2]int{w[1], w[2]}
	case len(w) == 2 && len(input) == 3 && w[1] == input[2]:
		return [2]int{1, w[1]}
	}
	return [2]int{1, 1}
}

// featureRoom widens a guessed range: made-up features are less extreme than
// real ones.
const featureRoom = 1.5

// firstResponse runs a few made-up inputs with values of ±1 in input i and returns the
// median deviation of the channels of the first filter that it reaches over the size of
// that filter's biases. Filters without biases are passed over.
func (j *job) firstResponse(i int) (float64, error) {
	const samples = 4
	first := j.firstBiased(i)
	if first == nil {
		return typicalAnswer, nil
	}
	encodings := make([][]Encoding, len(j.graph.Inputs))
	for k := range encodings {
		encodings[k] = []Encoding{interval(0, 1)}
	}
	encodings[i] = []Encoding{interval(-1, 1)}
	probe, observed := probeModel(j.model, []*tflite.Tensor{first.Outputs[0]})
	answers := make([]float64, samples)
	input := func(s int) [][]float32 { return j.makeInput(encodings, s, j.opts.Seed+1) }
	err := eachSample(j.opts, probe, samples, input, func(s int, values [][]float32) {
		var deviations []float64
		for _, m := range channelMeans(values[0], channelCount(observed[0].value)) {
			deviations = append(deviations, m.deviation())
		}
		slices.Sort(deviations)
		answers[s] = deviations[len(deviations)/2]
	})
	mean := 1e-12 // its logarithm is asked for
	for _, a := range answers {
		mean += float64(a / samples)
	}
	return mean / rms(first.Inputs[spec(first).filter.bias].Floats()), err
}

// firstBiased is the first filter behind input i whose biases are not all 0; nil: there is none.
func (j *job) firstBiased(i int) *tflite.Op {
	reach := map[*tflite.Tensor]bool{j.graph.Inputs[i]: true}
	for _, op := range j.graph.Ops {
		if !slices.ContainsFunc(op.Inputs, func(t *tflite.Tensor) bool { return reach[t] }) {
			continue
		}
		for _, t := range op.Outputs {
			reach[t] = true
		}
		if f := spec(op).filter; f != nil && j.float[op] == "" && j.unseen[op.Outputs[0]] == "" && rms(op.Inputs[f.bias].Floats()) > 0 {
			return op
		}
	}
	return nil
}

func rms(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	return math.Sqrt(sum / float64(max(len(v), 1)))
}
