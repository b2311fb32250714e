// Command accuracy measures conversions of the models in a folder of real
// models and photographs: float and INT8 top-1, agreement, SQNR.
//
//	accuracy -shared ../shared
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
)

// model is one row of the table: which images it is measured on and what it
// expects of a pixel p: (p − mean)/std.
type model struct {
	name      string
	images    string
	crop      float64
	mean, std []float64
	offset    int // of the model's classes against the labels'
}

var (
	centred  = []float64{127.5}
	inMean   = []float64{0.485 * 255, 0.456 * 255, 0.406 * 255}
	inStd    = []float64{0.229 * 255, 0.224 * 255, 0.225 * 255}
	zero     = []float64{0}
	one      = []float64{1}
	byteSpan = []float64{255}
)

var models = []model{
	{"mobilenet_v1_0.25_224", "imagenet", 0.875, centred, centred, 1},
	{"mobilenet_v2_1.0_224_dequant", "imagenet", 0.875, inMean, inStd, 0},
	{"resnet8_cifar10_fp32", "cifar10", 1, zero, one, 0},
	{"resnet_6blk_750k_cifar10_fp32", "cifar10", 1, zero, one, 0},
	{"kws_float32", "kws", 1, zero, one, 0},
	{"conv_fc_mnist", "mnist", 1, zero, byteSpan, 0},
	{"deeplabv3_257_mv_gpu", "imagenet", 0.875, centred, centred, 0},
	{"vww96_float", "imagenet", 0.875, zero, byteSpan, 0},
	{"vww96_20blk_791k_float", "imagenet", 0.875, zero, byteSpan, 0},
	{"blazeface_face_detection_front", "people", 1, centred, centred, 0},
	{"face_landmark_192_fp32", "people", 1, zero, byteSpan, 0},
	{"hand_landmark_3d", "people", 1, zero, byteSpan, 0},
	{"iris_landmark_fp32", "people", 1, zero, byteSpan, 0},
	{"palm_detection_full", "people", 1, zero, byteSpan, 0},
	{"pose_cpm_demo_model", "people", 1, zero, one, 0},
	{"pose_detection_c", "people", 1, centred, centred, 0},
	{"ulfd_rfb_320", "people", 1, []float64{127}, []float64{128}, 0},
	{"yolox_nano_with_post_float32", "scenes", 1, zero, one, 0},
}

func load(m model, shared string, shape []int) (dataset, error) {
	dir := filepath.Join(shared, "images", m.images)
	switch m.images {
	case "kws":
		return keywords(dir)
	case "mnist":
		return digits(dir)
	}
	return images(dir, m.crop, shape[1], shape[2])
}

func (m model) encode(pixels []float32) []float32 {
	for i, p := range pixels {
		c := i % 3
		pixels[i] = float32((float64(p) - m.mean[min(c, len(m.mean)-1)]) / m.std[min(c, len(m.std)-1)])
	}
	return pixels
}

func open(m *tflite.Model) (dfq.Runner, func(), error) {
	data, err := tflite.Encode(m)
	if err != nil {
		return nil, nil, err
	}
	in, err := interp.New(data, 1)
	if err != nil {
		return nil, nil, err
	}
	return in.Run, in.Close, nil
}

func main() {
	log.SetFlags(0)
	shared := flag.String("shared", "../shared", "folder of models and images")
	only := flag.String("models", "", "regular expression of model names")
	half := flag.String("half", "", "score on the even or odd samples only")
	limit := flag.Int("n", 0, "score on so many samples at most")
	state := flag.Bool("state", false, "state the input range instead of finding it")
	flag.Parse()
	fmt.Printf("%-32s %5s | %-6s | %-11s | %6s %6s %7s | %s\n", "model", "n", "float", "weights", "top-1", "agree", "SQNR dB", "seconds to convert")
	for _, m := range models {
		if ok, _ := regexp.MatchString(*only, m.name); !ok {
			continue
		}
		if err := m.measure(*shared, *half, *limit, *state); err != nil {
			fmt.Printf("%-32s %v\n", m.name, err)
		}
	}
}

var noEqualize = flag.Bool("no-equalize", false, "leave out equalization")
var noAbsorb = flag.Bool("no-absorb", false, "leave out high-bias absorption")
var noCorrect = flag.Bool("no-correct", false, "leave out bias correction")
var twin = flag.Bool("twin", false, "also score the float graph after equalization")
var calibrate = flag.Int("calibrate", 0, "real samples instead of made-up inputs")
var layers = flag.Bool("layers", false, "print every layer's error")

func (m model) measure(shared, half string, limit int, state bool) error {
	data, err := os.ReadFile(filepath.Join(shared, "models", m.name+".tflite"))
	if err != nil {
		return err
	}
	float, err := tflite.Decode(data)
	if err != nil {
		return err
	}
	d, err := load(m, shared, float.Graphs[0].Inputs[0].Shape)
	if err != nil {
		return err
	}
	all := d
	sampleAll := func(i int) ([][]float32, error) {
		v, err := all.values(i)
		return [][]float32{m.encode(v)}, err
	}
	d = d.half(half)
	if limit > 0 && d.n > limit {
		step := d.n / limit
		d = d.pick(func(i int) bool { return i%step == 0 && i/step < limit })
	}
	sample := func(i int) ([][]float32, error) {
		v, err := d.values(i)
		return [][]float32{m.encode(v)}, err
	}
	wanted := truth(float, sample, d)
	for _, weights := range []string{"per-tensor", "per-channel"} {
		opts := &dfq.Options{PerTensor: weights == "per-tensor", Interpreter: open, AllowFloat: true, NoEqualize: *noEqualize, NoCorrect: *noCorrect, NoAbsorb: *noAbsorb}
		if state {
			opts.Inputs = []dfq.InputRange{{Mean: m.mean, Std: m.std}}
			if m.images == "kws" {
				opts.Inputs = []dfq.InputRange{{Range: dfq.Range{Lo: -123.37, Hi: 25.73}}}
			}
		}
		if *calibrate > 0 {
			for i := range *calibrate {
				in, err := sampleAll(i * (all.n / *calibrate))
				if err != nil {
					return err
				}
				opts.Calibration = append(opts.Calibration, in)
			}
		}
		start := time.Now()
		int8, report, err := dfq.Quantize(float, opts)
		if err != nil {
			return err
		}
		for _, w := range report.Warnings {
			fmt.Println("  ", w)
		}
		fmt.Printf("   %+v\n", report.Inputs)
		if *twin {
			df, err := dfq.Compare(float, report.FloatTwin, open, d.n, sample, nil)
			if err != nil {
				return err
			}
			for _, o := range df.Outputs {
				fmt.Printf("%-32s       |        | float twin  |        %6.1f %7.1f\n", m.name, 100*o.Agreement, o.SQNR)
			}
		}
		seconds := time.Since(start).Seconds()
		if *layers {
			ls, err := dfq.CompareLayers(float, int8, open, min(d.n, 16), sample)
			if err != nil {
				return err
			}
			for _, l := range ls {
				fmt.Printf("%4d %-20s %6.1f dB shift %6.3f sat %.4f  %.60s\n", l.Index, l.Op, l.SQNR, l.MeanShift, l.Saturated, l.Name)
			}
		}
		if err := m.score(wanted, int8, sample, d, weights, seconds); err != nil {
			return err
		}
	}
	return nil
}

// truth is what the float model answers.
func truth(float *tflite.Model, sample func(i int) ([][]float32, error), d dataset) *tflite.Model {
	return float
}

func (m model) score(float, int8 *tflite.Model, sample func(i int) ([][]float32, error), d dataset, weights string, seconds float64) error {
	var mu sync.Mutex
	var rightFloat, rightInt8 int
	diff, err := dfq.Compare(float, int8, open, d.n, sample, func(i int, want, got [][]float32) {
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
		return err
	}
	for k, o := range diff.Outputs {
		topF, top := "", ""
		if len(d.class) > 0 && d.class[0] >= 0 && k == 0 && m.name[:3] != "vww" && m.name[:4] != "deep" {
			topF, top = percent(rightFloat, d.n), percent(rightInt8, d.n)
		}
		agree := ""
		if o.Agreement >= 0 {
			agree = fmt.Sprintf("%.1f", 100*o.Agreement)
		}
		fmt.Printf("%-32s %5d | %-6s | %-11s | %6s %6s %7.1f | %.2f\n", m.name, d.n, topF, weights, top, agree, o.SQNR, seconds)
	}
	return nil
}

func percent(k, n int) string { return fmt.Sprintf("%.1f", 100*float64(k)/float64(n)) }
