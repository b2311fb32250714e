// Command accuracy measures conversions of real models on real photographs and
// prints the accuracy table: float and INT8 top-1, agreement of arg-max with
// float, SQNR, with per-tensor and per-channel weights, after each step.
//
//	accuracy -shared ../shared
//
// Rules and thresholds of the passes were chosen on the odd samples of each
// folder; the table is scored on the even ones. The row "calibrated" uses 100 of
// the odd samples in place of made-up inputs.
//
//	accuracy -shared ../shared -targets
//
// prints instead what each target of package target takes of them.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
)

// model is a row of the table: which images it is measured on, whether their
// labels are its classes, and what it expects of a pixel p: (p − mean)/std.
type model struct {
	name      string
	images    string
	crop      float64
	mean, std []float64
	labelled  bool
	offset    int // of the model's classes against the labels'
}

var (
	half   = []float64{127.5}
	inMean = []float64{0.485 * 255, 0.456 * 255, 0.406 * 255}
	inStd  = []float64{0.229 * 255, 0.224 * 255, 0.225 * 255}
	zero   = []float64{0}
	one    = []float64{1}
	full   = []float64{255}
)

var models = []model{
	{"mobilenet_v1_0.25_224", "imagenet", 0.875, half, half, true, 1},
	{"mobilenet_v2_1.0_224_dequant", "imagenet", 0.875, inMean, inStd, true, 0},
	{"resnet8_cifar10_fp32", "cifar10", 1, zero, one, true, 0},
	{"resnet_6blk_750k_cifar10_fp32", "cifar10", 1, zero, one, true, 0},
	{"kws_float32", "kws", 1, zero, one, true, 0},
	{"conv_fc_mnist", "mnist", 1, zero, full, true, 0},
	{"deeplabv3_257_mv_gpu", "imagenet", 0.875, half, half, false, 0},
	{"vww96_float", "imagenet", 0.875, zero, full, false, 0},
	{"vww96_20blk_791k_float", "imagenet", 0.875, zero, full, false, 0},
	{"blazeface_face_detection_front", "people", 1, half, half, false, 0},
	{"face_landmark_192_fp32", "people", 1, zero, full, false, 0},
	{"hand_landmark_3d", "people", 1, zero, full, false, 0},
	{"iris_landmark_fp32", "people", 1, zero, full, false, 0},
	{"palm_detection_full", "people", 1, zero, full, false, 0},
	{"pose_cpm_demo_model", "people", 1, zero, one, false, 0},
	{"pose_detection_c", "people", 1, half, half, false, 0},
	{"ulfd_rfb_320", "people", 1, []float64{127}, []float64{128}, false, 0},
	{"selfie_segmentation", "people", 1, zero, full, false, 0},
	{"yolox_nano_with_post_float32", "people", 1, zero, one, false, 0},
	{"ad01_fp32", madeUp, 1, zero, one, false, 0},
}

// madeUp stands for a folder of images: there are no recordings for the model, so it is
// measured on made-up inputs of another seed.
const madeUp = "made up"

// cuts are ops, by their output, before which models end here: their real inputs become
// the outputs.
var cuts = map[string][]string{
	// A custom op, which the interpreter does not have.
	"selfie_segmentation": {"segment"},
	// Where heads put a box, whether there is an object, and which, into one tensor. In the
	// file boxes in pixels share a scale with scores from there on, which leaves nothing of
	// scores, and the order of rows behind non-maximum suppression has no SQNR.
	"yolox_nano_with_post_float32": {"model/tf.concat_11/concat", "model/tf.concat_14/concat", "model/tf.concat_16/concat"},
}

// steps are the rows of each model, each with one step of the method more.
var steps = []struct {
	name      string
	opts      dfq.Options
	calibrate int
}{
	{"plain", dfq.Options{NoEqualize: true, NoCorrect: true}, 0},
	{"+ equalization", dfq.Options{NoCorrect: true}, 0},
	{"+ absorption", dfq.Options{NoCorrect: true, Absorb: true}, 0}, // not in the default, since it gains nothing
	{"+ correction = default", dfq.Options{}, 0},
	{"thorough", dfq.Options{Thorough: true}, 0},
	{"calibrated", dfq.Options{}, 100},
}

var (
	shared = flag.String("shared", "../shared", "folder of models and images")
	only   = flag.String("models", "", "measure only models whose names match this regular expression")
	step   = flag.String("step", "", "measure only steps whose names match this regular expression")
	score  = flag.String("score", "even", "samples to score on: even, odd or all")
	limit  = flag.Int("n", 0, "score on so many samples at most")
	state  = flag.Bool("state", false, "state the input range instead of finding it")
	int16  = flag.Bool("int16", false, "measure 16x8: int16 activations")
	layers = flag.Bool("layers", false, "print every layer's error")
	seed   = flag.Uint64("seed", 0, "of made-up inputs")
	seeds  = flag.Int("seeds", 1, "convert with so many seeds, from -seed on, and print the means")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatalf("accuracy: %v", err)
	}
}

func run() error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: there are flags only", flag.Arg(0))
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-models: %w", err)
	}
	if *byTarget {
		return printTargets(names)
	}
	stepNames, err := regexp.Compile(*step)
	if err != nil {
		return fmt.Errorf("-step: %w", err)
	}
	if !slices.Contains([]string{"even", "odd", "all"}, *score) {
		return fmt.Errorf("-score %q: it is even, odd or all", *score)
	}
	if *seeds < 1 {
		return fmt.Errorf("-seeds %d: it is 1 or more", *seeds)
	}
	if *ofStatistics {
		fmt.Println("| model | inputs | range 10 % | median | 90 % | mean 10 % | median | 90 % | deviation 10 % | median | 90 % |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	} else {
		printHeader()
	}
	measured, failed := 0, 0
	for _, m := range models {
		if !names.MatchString(m.name) {
			continue
		}
		measured++
		if err := m.measure(stepNames); err != nil {
			log.Printf("%s: %v", m.name, err)
			failed++
		}
	}
	if measured == 0 {
		return fmt.Errorf("-models %q matches none of the table's models", *only)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d models failed", failed, measured)
	}
	return nil
}

func printHeader() {
	fmt.Println("| model | n | float top-1 | step | per-tensor: top-1 | agreement | SQNR dB | per-channel: top-1 | agreement | SQNR dB | float graph dB |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
}

func (m model) measure(stepNames *regexp.Regexp) error {
	data, err := os.ReadFile(filepath.Join(*shared, "models", m.name+".tflite"))
	if err != nil {
		return err
	}
	float, err := tflite.Decode(data)
	if err != nil {
		return err
	}
	cutBefore(float, cuts[m.name])
	all, err := m.load(float)
	if err != nil {
		return err
	}
	if all.n < 2 {
		return fmt.Errorf("%s: %d samples, each half needs one", filepath.Join(*shared, "images", m.images), all.n)
	}
	if *ofStatistics {
		return m.printStatistics(float, all)
	}
	scored := all.half(*score)
	if *limit > 0 && scored.n > *limit {
		stride := scored.n / *limit
		scored = scored.pick(func(i int) bool { return i%stride == 0 && i/stride < *limit })
	}
	rows := 0
	for _, s := range steps {
		if !stepNames.MatchString(s.name) || s.calibrate > 0 && m.images == madeUp {
			continue
		}
		rows++
		if err := m.row(float, scored, all.half("odd"), s.name, s.opts, s.calibrate); err != nil {
			return err
		}
	}
	if rows == 0 {
		return fmt.Errorf("-step %q matches no step", *step)
	}
	return nil
}

// cutBefore makes the real inputs of the named ops the outputs of m.
func cutBefore(m *tflite.Model, names []string) {
	if names == nil {
		return
	}
	g := m.Graphs[0]
	g.Outputs, m.Signatures = nil, nil
	producers := g.Producers()
	for _, op := range g.Ops {
		if len(op.Outputs) > 0 && slices.Contains(names, op.Outputs[0].Name) {
			for _, t := range op.Inputs {
				if from := producers[t]; from != nil && !from.Inputs[0].Constant() { // no weights behind a DEQUANTIZE
					g.Outputs = append(g.Outputs, t)
				}
			}
		}
	}
	g.KeepNeeded(nil)
}

// row converts with both kinds of weights and prints one line per output.
func (m model) row(float *tflite.Model, scored, held dataset, name string, opts dfq.Options, calibrate int) error {
	opts.Interpreter, opts.AllowFloat = interp.Open, true
	if *int16 {
		opts.Activations = dfq.Int16
	}
	if *state && m.pixels() {
		opts.Inputs = []dfq.InputRange{{Mean: m.mean, Std: m.std}}
	}
	for i := range min(calibrate, held.n) {
		in, err := m.sample(held, i*held.n/min(calibrate, held.n))
		if err != nil {
			return err
		}
		opts.Calibration = append(opts.Calibration, in)
	}
	var results [2]result
	for k, perTensor := range []bool{true, false} {
		opts.PerTensor = perTensor
		var bySeed []result
		for i := range *seeds {
			opts.Seed = *seed + uint64(i)
			start := time.Now()
			int8, report, err := dfq.Quantize(float, &opts)
			if err != nil {
				return err
			}
			log.Printf("%s %s: converted in %.2f s", m.name, name, time.Since(start).Seconds())
			if *layers {
				if err := m.printLayers(float, int8, scored); err != nil {
					return err
				}
			}
			r, err := m.compare(float, int8, report.FloatTwin, scored)
			if err != nil {
				return err
			}
			bySeed = append(bySeed, r)
		}
		results[k] = mean(bySeed)
	}
	for k := range results[0].outputs {
		cells := []string{m.name, fmt.Sprint(scored.n), percentOf(results[0].topFloat), name}
		for _, r := range results {
			top := ""
			if k == 0 {
				top = percentOf(r.topInt8)
			}
			cells = append(cells, top, percentOf(r.outputs[k].agreement), fmt.Sprintf("%.1f", r.outputs[k].sqnr))
		}
		cells = append(cells, fmt.Sprintf("%.0f / %.0f", results[0].outputs[k].twin, results[1].outputs[k].twin))
		fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	}
	return nil
}

// result is what one conversion scores, or the mean of what several do.
type result struct {
	topFloat, topInt8 float64 // −1: the model's classes are not the labels'
	outputs           []outputResult
}

type outputResult struct {
	agreement  float64 // −1: there is no arg-max
	sqnr, twin float64 // in dB; twin is the float graph's
}

func mean(results []result) result {
	m := result{outputs: make([]outputResult, len(results[0].outputs))}
	n := float64(len(results))
	for _, r := range results {
		m.topFloat += r.topFloat / n
		m.topInt8 += r.topInt8 / n
		for k, o := range r.outputs {
			m.outputs[k].agreement += o.agreement / n
			m.outputs[k].sqnr += o.sqnr / n
			m.outputs[k].twin += o.twin / n
		}
	}
	return m
}

func (m model) compare(float, int8, twin *tflite.Model, d dataset) (r result, err error) {
	sample := func(i int) ([][]float32, error) { return m.sample(d, i) }
	var mu sync.Mutex
	var rightFloat, rightInt8 int
	diff, err := dfq.Compare(float, int8, interp.Open, d.n, sample, func(i int, want, got [][]float32) {
		mu.Lock()
		defer mu.Unlock()
		if dfq.ArgMax(want[0]) == d.class[i]+m.offset {
			rightFloat++
		}
		if dfq.ArgMax(got[0]) == d.class[i]+m.offset {
			rightInt8++
		}
	})
	if err != nil {
		return r, err
	}
	r.topFloat, r.topInt8 = -1, -1
	if m.labelled {
		r.topFloat, r.topInt8 = float64(rightFloat)/float64(d.n), float64(rightInt8)/float64(d.n)
	}
	twinDiff, err := dfq.Compare(float, twin, interp.Open, min(d.n, 50), sample, nil)
	if err != nil {
		return r, err
	}
	for k, o := range diff.Outputs {
		r.outputs = append(r.outputs, outputResult{o.Agreement, o.SQNR, twinDiff.Outputs[k].SQNR})
	}
	return r, nil
}

func (m model) printLayers(float, int8 *tflite.Model, d dataset) error {
	ls, err := dfq.CompareLayers(float, int8, interp.Open, min(d.n, 16), func(i int) ([][]float32, error) { return m.sample(d, i) })
	for _, l := range ls {
		log.Printf("%4d %-20s %6.1f dB, alone %6.1f dB, outputs %6.1f dB  mean shift %6.3f  saturated %.4f  %s", l.Index, l.Op, l.SQNR, l.Alone, l.Outputs, l.MeanShift, l.Saturated, l.Name)
	}
	return err
}

// sample is input i of d as the model reads it.
func (m model) sample(d dataset, i int) ([][]float32, error) {
	v, err := d.values(i)
	for i, p := range v {
		c := i % 3
		v[i] = float32((float64(p) - m.mean[min(c, len(m.mean)-1)]) / m.std[min(c, len(m.std)-1)])
	}
	return [][]float32{v}, err
}

// pixels reports whether m is measured on images.
func (m model) pixels() bool { return m.images != "kws" && m.images != madeUp }

func (m model) load(float *tflite.Model) (dataset, error) {
	dir, shape := filepath.Join(*shared, "images", m.images), float.Graphs[0].Inputs[0].Shape
	switch m.images {
	case madeUp:
		return otherInputs(float)
	case "kws":
		return keywords(dir)
	case "mnist":
		return digits(dir)
	}
	return images(dir, m.crop, shape[1], shape[2])
}

// percentOf formats a share, nothing for a negative one.
func percentOf(share float64) string {
	if share < 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", 100*share)
}
