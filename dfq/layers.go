package dfq

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// LayerDiff is how far one activation of an INT8 model is from the same
// activation of its float twin, over all samples, real domain.
//
// Equalization divides channels by factors. What is compared is the INT8 value
// times its channel's factor, and steps are those of the scale times it. A channel
// that has copies in the INT8 model is the mean of all of them, which is what readers
// make of it. Channels that rounding left no weights, neither to write nor to read
// them, are left out.
type LayerDiff struct {
	Index     int     `json:"index"` // of the op in the INT8 model
	Op        string  `json:"op"`
	Name      string  `json:"name"`
	SQNR      float64 `json:"sqnr_db"`         // −200 if a value is NaN or infinite
	Alone     float64 `json:"alone_sqnr_db"`   // what the layer loses by itself, see CompareLayers
	Inputs    float64 `json:"inputs_sqnr_db"`  // what the rounding of its inputs alone makes it lose
	Outputs   float64 `json:"outputs_sqnr_db"` // of the model's outputs, the one harmed most, if what the layer loses alone were all
	MeanShift float64 `json:"mean_shift"`      // root mean square over channels of the mean error, over their deviation; 0 for a layer of constants
	MaxSteps  float64 `json:"max_error_steps"` // largest error, in steps of the output's scale
	Saturated float64 `json:"saturated"`       // share of values at an end of the tensor's range whose float value is over half a step beyond
}

// CompareLayers runs n samples through a float model and the INT8 model made
// from it and compares every activation that both have: tensors are matched by
// name. The order is that of the INT8 model's ops.
//
// What lies between two such activations is a layer. Each is also run alone, in
// both models: with the float model's values, rounded to the scales of the
// layer's inputs. The two differ by what this layer loses, in its weights and
// its output, whatever happened before; and what the float one makes of rounded
// inputs is off from what it makes of the values themselves by what the scales
// of its inputs cost.
func CompareLayers(float, int8 *tflite.Model, open Interpreter, n int, sample func(i int) ([][]float32, error)) ([]LayerDiff, error) {
	float, int8 = withTrueShapes(partedAlike(float, int8)), int8.Clone()
	tellApart(float.Graphs[0], int8.Graphs[0])
	c := matchLayers(float, int8)
	if len(c.layers) == 0 {
		return nil, nil
	}
	if err := c.findFactors(float, int8); err != nil {
		return nil, err
	}
	var models [4]*tflite.Model
	want, got := c.activations()
	models[0], models[1] = withOutputs(float, slices.Concat(want, float.Graphs[0].Outputs)), withOutputs(int8, got)
	models[2], c.fed[0] = inLayers(float, want)
	models[3], c.fed[1] = inLayers(int8, got)
	sums, kept := make([][]layerSums, n), make([]effectSample, c.effectCount(n))
	err := eachRun(open, models[:], n, func(i int, run []Runner) error {
		var keep *effectSample
		if i < len(kept) {
			keep = &kept[i]
		}
		inputs, err := sample(i)
		if err == nil {
			sums[i], err = c.compare(run, inputs, keep)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for k := range c.layers {
		var s layerSums
		for i := range sums {
			s.join(sums[i][k])
		}
		s.fill(&c.layers[k].LayerDiff)
	}
	if err := c.effects(float, open, kept); err != nil {
		return nil, err
	}
	var diffs []LayerDiff
	for _, l := range c.layers {
		diffs = append(diffs, l.LayerDiff)
	}
	return diffs, nil
}

// layerComparison is what is compared.
type layerComparison struct {
	layers []layer
	inputs []*tflite.Tensor // of the INT8 model
	fed    [2][]int         // whose values the float and the INT8 model read where they are cut into layers
}

// layer is one that is compared, by the activation that it ends with.
type layer struct {
	LayerDiff
	want, got *tflite.Tensor // the activation in the float and the INT8 model
	factors   []float64      // of its channels
	equal     [][]int        // its channels that are equal in the INT8 model, one that is its own before its copies
}

// activations are those of all layers.
func (c *layerComparison) activations() (want, got []*tflite.Tensor) {
	for _, l := range c.layers {
		want, got = append(want, l.want), append(got, l.got)
	}
	return want, got
}

// withTrueShapes returns m with the shapes that activations have when it runs, where
// these do not depend on the inputs' values: a file may leave them open.
func withTrueShapes(m *tflite.Model) *tflite.Model {
	c := m.Clone()
	for t, shape := range ref.Shapes(c.Graphs[0]) {
		t.Shape = shape
	}
	markShuffles(c.Graphs[0])
	return c
}

// tellApart numbers the tensors of one name that ops make. Of a name that the graphs have
// not equally often, none is taken for one of the other graph.
func tellApart(float, int8 *tflite.Graph) {
	made := [2]map[string][]*tflite.Tensor{}
	for i, g := range []*tflite.Graph{float, int8} {
		made[i] = map[string][]*tflite.Tensor{}
		for _, op := range g.Ops {
			for _, t := range op.Outputs {
				if t != nil {
					made[i][t.Name] = append(made[i][t.Name], t)
				}
			}
		}
	}
	for i, of := range []string{"float", "int8"} {
		for name, tensors := range made[i] {
			others := len(made[1-i][name])
			for k, t := range tensors {
				switch {
				case len(tensors) == 1 && others <= 1:
				case len(tensors) == others:
					t.Name = fmt.Sprintf("%s (%d)", name, k+1)
				default:
					t.Name = fmt.Sprintf("%s (%s, %d)", name, of, k+1)
				}
			}
		}
	}
}

// matchLayers pairs activations by name. Those of the INT8 model take the shapes of the
// float one where they leave them open.
func matchLayers(float, int8 *tflite.Model) *layerComparison {
	byName := map[string]*tflite.Tensor{}
	producers := float.Graphs[0].Producers()
	for _, t := range float.Graphs[0].Tensors() {
		if real(t) && producers[t] != nil {
			byName[t.Name] = t
		}
	}
	c := &layerComparison{inputs: int8.Graphs[0].Inputs}
	for i, op := range int8.Graphs[0].Ops {
		for _, t := range op.Outputs {
			f := byName[t.Name]
			if f == nil || !isQuantized(t) || scaleOf(t) == 0 || len(t.Quant.Zero) != 1 {
				continue
			}
			if len(t.Signature) == len(f.Shape) && slices.Contains(t.Signature, -1) {
				t.Shape = slices.Clone(f.Shape)
			}
			if f.Len() != t.Len() {
				continue
			}
			c.layers = append(c.layers, layer{LayerDiff: LayerDiff{Index: i, Op: opName(op), Name: t.Name}, want: f, got: t})
		}
	}
	return c
}

// compare runs one sample through the float model, the INT8 model, and both of
// them layer by layer. If keep is not nil it is filled.
func (c *layerComparison) compare(run []Runner, inputs [][]float32, keep *effectSample) ([]layerSums, error) {
	shown, err := run[0](inputs)
	if err != nil {
		return nil, err
	}
	want, answers := shown[:len(c.layers)], shown[len(c.layers):]
	got, err := run[1](inputs)
	if err != nil {
		return nil, err
	}
	given := make([][]float32, len(inputs))
	for i, v := range inputs {
		given[i] = rounded(v, c.inputs[i])
	}
	// What the layers are given: in the domain of the INT8 model, then in that of
	// the float one.
	own, outer := make([][]float32, len(want)), make([][]float32, len(want))
	for k, l := range c.layers {
		own[k] = rounded(l.withCopies(l.times(want[k], -1)), l.got)
		outer[k] = l.times(own[k], 1)
		for _, group := range l.equal {
			for _, to := range group[1:] { // dead in the float model
				for at := to; at < len(want[k]); at += len(l.factors) {
					outer[k][at] = want[k][at]
				}
			}
		}
	}
	float, err := run[2](append(slices.Clone(given), pick(outer, c.fed[0])...))
	if err != nil {
		return nil, err
	}
	alone, err := run[3](append(slices.Clone(given), pick(own, c.fed[1])...))
	if err != nil {
		return nil, err
	}
	sums := make([]layerSums, len(c.layers))
	for k, l := range c.layers {
		if n := len(want[k]); len(got[k]) != n || len(float[k]) != n || len(alone[k]) != n {
			float[k], alone[k] = want[k], l.times(want[k], -1) // no loss to be seen
			sums[k].model.notFinite++                          // as many as there are depends on the values: nothing to compare
			continue
		}
		whole, part := l.times(want[k], 0), l.times(float[k], 0)
		alone[k] = l.withMeans(alone[k])
		sums[k].add(whole, l.times(l.withMeans(got[k]), 1), l.factors, gridOf(l.got), params(l.got.Quant))
		sums[k].alone.add(part, l.times(alone[k], 1), 1)
		sums[k].inputs.add(whole, part, 1)
	}
	if keep != nil {
		keep.inputs = inputs
		for _, v := range answers {
			keep.answers = append(keep.answers, slices.Clone(v))
		}
		for k, l := range c.layers {
			keep.alone = append(keep.alone, l.plusLoss(want[k], float[k], l.times(alone[k], 1)))
		}
	}
	return sums, nil
}

// times returns v with each channel times its factor to the given power, 1 or −1;
// with 0, v without the channels that have no factor.
func (l *layer) times(v []float32, power int) []float32 {
	by := make([]float64, len(l.factors))
	same := true
	for c, f := range l.factors {
		if f != 0 {
			by[c] = math.Pow(f, float64(power))
		}
		same = same && by[c] == 1
	}
	if same {
		return v
	}
	out := make([]float32, len(v))
	for at := 0; at < len(v); at += len(by) {
		for c, f := range by {
			out[at+c] = float32(float64(v[at+c]) * f)
		}
	}
	return out
}

// withCopies returns v with the first channel of each group of equal ones in all.
func (l *layer) withCopies(v []float32) []float32 {
	return l.changed(v, func(at []float32, first int, copies []int) {
		for _, c := range copies {
			at[c] = at[first]
		}
	})
}

// withMeans returns v with the first channel of each group of equal ones their mean.
func (l *layer) withMeans(v []float32) []float32 {
	return l.changed(v, func(at []float32, first int, copies []int) {
		for _, c := range copies {
			at[first] += at[c]
		}
		at[first] /= float32(1 + len(copies))
	})
}

// changed returns v with change made at every position to every group of equal channels.
func (l *layer) changed(v []float32, change func(at []float32, first int, copies []int)) []float32 {
	if len(l.equal) == 0 {
		return v
	}
	v = slices.Clone(v)
	for at := range slices.Chunk(v, len(l.factors)) {
		for _, group := range l.equal {
			change(at, group[0], group[1:])
		}
	}
	return v
}

// plusLoss is want, and what got is off from from; channels without a factor have no loss.
func (l *layer) plusLoss(want, from, got []float32) []float32 {
	out := slices.Clone(want)
	for at := 0; at < len(out); at += len(l.factors) {
		for c, f := range l.factors {
			if f != 0 {
				out[at+c] += got[at+c] - from[at+c]
			}
		}
	}
	return out
}

// rounded returns v as t can hold it.
func rounded(v []float32, t *tflite.Tensor) []float32 {
	if scaleOf(t) == 0 || len(t.Quant.Zero) != 1 {
		return v
	}
	p := params(t.Quant)
	if t.Type == schema.TensorTypeUINT8 {
		p.Zero -= 128
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = p.Dequantize(gridOf(t).Quantize(p, x))
	}
	return out
}

func pick(values [][]float32, which []int) [][]float32 {
	var out [][]float32
	for _, k := range which {
		out = append(out, values[k])
	}
	return out
}

// WorstFirst sorts layers by SQNR.
func WorstFirst(layers []LayerDiff) {
	slices.SortStableFunc(layers, func(a, b LayerDiff) int { return cmp.Compare(a.SQNR, b.SQNR) })
}
