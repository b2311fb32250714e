package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"

	"github.com/spf13/cobra"
)

type verifyFlags struct {
	ranges       rangeFlags
	samples      int
	seed         uint64
	images       string
	crop         float64
	inputs       string
	labels       string
	labelOffset  int
	minAgreement float64
	minSQNR      float64
	barAgreement bool // whether the bar is set; 0 is one, too
	barSQNR      bool
	layers       int
	withLayers   bool
	json         bool
	quiet        bool
}

func newVerify() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify FLOAT.tflite INT8.tflite",
		Short: "Compare an INT8 model with its float one in the interpreter",
		Long: `Run a float model and its INT8 or 16x8 one in the TensorFlow Lite interpreter on the same
inputs and show how far their outputs agree: on made-up inputs, on the images of
a folder, or on inputs that were saved as numbers.

  agreement   share of positions where both have the same largest entry along
              the last axis: images for a classifier, pixels for a segmentation
  SQNR        power of the float output over that of the difference, in dB

Images are cut to the largest centred rectangle that has the shape of the input,
times --crop, and scaled to it (bilinear, over all pixels that fall on one).
Images that have the input's size already are taken as they are. They are turned
to gray for an input of one channel. The EXIF orientation of a JPEG is not applied.
Their pixels become what the model reads as --input-range or
--mean and --std say, else as conversion would find; of several ranges that it
would not tell apart, the one that the INT8 model's input is nearest to.

Inputs of numbers are the .npy and .bin files (float32, little endian) of a
folder, in the order of their names, for a model with several inputs as many in
turn for each sample; or one .npy or .npz file whose arrays hold all samples
along a first axis.

Labels are lines "file class name"; the name is optional. In a line with tabs these
alone separate, for files with blanks in their names. An image without a label is
an error. Samples of one .npy or .npz file are named 0, 1, 2 and so on.

--layers compares inside: every activation of the INT8 model that is one of the
float model as well, on up to 32 of the samples, worst first. What lies between
two of them is a layer.

  SQNR        as above, each channel brought to the scale it has in the float
              model, since equalization changes it; of channels that are copies
              of one another the mean
  alone       SQNR of what the layer makes of inputs without error: what it loses
              by itself, in its weights and its output. Low for a culprit, not
              for its victims
  outputs     SQNR of the model's outputs, of the one harmed most, if that were
              all that is lost: how much the layer matters (on 4 samples)
  inputs      SQNR of the float layer on inputs that are rounded to their
              scales: what these cost here, whoever chose them
  mean shift  how far the channels' means are off, in standard deviations
  max error   in steps of the output's scale; over 255 where float lies far outside
  saturated   share of values at an end of the tensor's range whose float value
              lies beyond`,
		Example: `  dfq verify model.tflite model_int8.tflite --min-sqnr 15
  dfq verify model.tflite model_int8.tflite --images photos --crop 0.875 \
      --labels photos/labels.txt --label-offset 1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 3 && cmd.Flags().Changed("layers") {
				return fmt.Errorf("--layers takes its number with \"=\", as --layers=20; %d models are given", len(args))
			}
			return cobra.ExactArgs(2)(cmd, args)
		},
		ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			return verify(cmd, args[0], args[1], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.images, "images", "", "run the JPEG and PNG files in `DIR`")
	flags.Float64Var(&f.crop, "crop", 1, "central `SHARE` of an image's height and width to use, for ImageNet models often 0.875")
	flags.StringVar(&f.inputs, "inputs", "", "run the numbers in `PATH`, a folder or a file")
	f.ranges.add(flags)
	flags.StringVar(&f.labels, "labels", "", "`FILE` of each image's class, for top-1 and top-5 of both models")
	flags.IntVar(&f.labelOffset, "label-offset", 0, "`NUMBER` to add to each class: 1 for models whose class 0 is the background")
	flags.IntVar(&f.samples, "samples", 32, "`NUMBER` of made-up inputs")
	flags.Uint64Var(&f.seed, "seed", 1, "`NUMBER` that the made-up inputs come from; 0 are those of convert")
	flags.Float64Var(&f.minAgreement, "min-agreement", 0, "fail if an output agrees in less than `PERCENT`, or if none has an agreement")
	flags.Float64Var(&f.minSQNR, "min-sqnr", 0, "fail if an output has a SQNR below `DB`")
	flags.IntVar(&f.layers, "layers", 0, "also show the `N` worst layers; 0 for all")
	flags.Lookup("layers").NoOptDefVal = strconv.Itoa(defaultLayers)
	flags.BoolVar(&f.json, "json", false, "print as JSON")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no notes")
	cmd.MarkFlagDirname("images")
	return cmd
}

// verification is the result of a verify.
type verification struct {
	Float  string      `json:"float"`
	INT8   string      `json:"int8"`
	Inputs string      `json:"inputs"` // what was run
	Labels string      `json:"labels,omitempty"`
	Scores []score     `json:"scores,omitempty"`
	Diff   *dfq.Diff   `json:"diff"`
	Layers *layers     `json:"layers,omitempty"`
	Bars   []missedBar `json:"below_bar,omitempty"`
}

// A missedBar is an output that misses a bar.
type missedBar struct {
	Output string  `json:"output"`
	What   string  `json:"what"`
	Is     float64 `json:"is"`
	Bar    float64 `json:"bar"`
	Unit   string  `json:"unit"`
}

func verify(cmd *cobra.Command, floatName, int8Name string, f *verifyFlags) error {
	if err := f.check(cmd, floatName, int8Name); err != nil {
		return err
	}
	if !interp.Available {
		return interp.ErrUnavailable
	}
	want, err := readModel(floatName, cmd.InOrStdin())
	if err != nil {
		return err
	}
	got, err := readModel(int8Name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	for _, f := range []*modelFile{want, got} {
		if err := f.settle(); err != nil {
			return err
		}
	}
	if err := sameBoundary(want.model.Graphs[0], got.model.Graphs[0]); err != nil {
		return err
	}
	if !quantized(got.model.Graphs[0]) {
		fmt.Fprintf(cmd.ErrOrStderr(), "dfq: warning: %s is not quantized: what follows says nothing of an INT8 model\n", got.name)
	}
	if _, broken := brokenRules(got.model); len(broken) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "dfq: warning: %s breaks %d rules of the INT8 specification, the first: %s\n", got.name, len(broken), broken[0])
		fmt.Fprint(cmd.ErrOrStderr(), "dfq: hint: what follows may not be what a newer runtime computes; dfq inspect lists all rules that it breaks\n")
	}
	s, err := f.source(cmd.ErrOrStderr(), want.model, got.model)
	if err != nil {
		return err
	}
	v := &verification{Float: want.name, INT8: got.name, Inputs: s.what, Labels: f.labels}
	if err := v.run(cmd.ErrOrStderr(), f, s, want, got); err != nil {
		return err
	}
	if err := v.print(cmd.OutOrStdout(), f.json); err != nil {
		return err
	}
	return v.failure(f)
}

// run compares the models on all samples.
func (v *verification) run(stderr io.Writer, f *verifyFlags, s *samples, want, got *modelFile) error {
	var ranks *ranking
	if f.labels != "" {
		var err error
		if ranks, err = newRanking(f.labels, f.labelOffset, s.names, want.model.Graphs[0].Outputs[0]); err != nil {
			return err
		}
	}
	bar := newProgress(stderr, f.quiet)
	defer bar.clear()
	count := counter(func(done int) { bar.set("running samples", float64(done)/float64(s.n)) })
	var err error
	v.Diff, err = dfq.Compare(want.model, got.model, asRead(want, got), s.n, s.load, func(i int, a, b [][]float32) {
		ranks.note(i, a[0], b[0])
		count()
	})
	if err != nil {
		return err
	}
	if v.Scores, err = ranks.scores(); err != nil {
		return err
	}
	v.Bars = belowBar(v.Diff, f)
	if f.withLayers {
		v.Layers, err = compareLayers(want.model, got.model, s, f.layers)
	}
	return err
}

// check looks at the flags that need no model.
func (f *verifyFlags) check(cmd *cobra.Command, floatName, int8Name string) error {
	given := cmd.Flags().Changed
	f.withLayers, f.barAgreement, f.barSQNR = given("layers"), given("min-agreement"), given("min-sqnr")
	switch {
	case floatName == standard && int8Name == standard:
		return usagef("only one of the models can come from stdin")
	case f.images != "" && f.inputs != "":
		return usagef("--images and --inputs exclude each other")
	case (f.images != "" || f.inputs != "") && (given("samples") || given("seed")):
		return usagef("--samples and --seed are for made-up inputs")
	case f.labels != "" && f.images == "" && f.inputs == "":
		return usagef("--labels needs --images or --inputs")
	case given("label-offset") && f.labels == "":
		return usagef("--label-offset needs --labels")
	case f.inputs != "" && (given("input-range") || given("mean") || given("std")):
		return usagef("--input-range, --mean and --std are for images and made-up inputs; those of --inputs are taken as they are")
	case given("crop") && f.images == "":
		return usagef("--crop needs --images")
	case !goodCrop(f.crop):
		return usagef("--crop %g is not above 0 and up to 1", f.crop)
	case f.layers < 0:
		return usagef("--layers %d is less than 0", f.layers)
	case f.samples < 1:
		return usagef("--samples %d: at least 1 is needed", f.samples)
	case !(f.minAgreement >= 0 && f.minAgreement <= 100):
		return usagef("--min-agreement %g is no percentage", f.minAgreement)
	case !finite(f.minSQNR):
		return usagef("--min-sqnr %g is no number of dB", f.minSQNR)
	}
	return nil
}

// quantized reports whether a graph computes with integers that stand for others.
func quantized(g *tflite.Graph) bool {
	return slices.ContainsFunc(g.Tensors(), func(t *tflite.Tensor) bool {
		return activationOf(t, schema.TensorTypeINT8) || activationOf(t, schema.TensorTypeINT16) || activationOf(t, schema.TensorTypeUINT8)
	})
}

// sameBoundary says why two graphs cannot be held against each other.
func sameBoundary(want, got *tflite.Graph) error {
	for _, side := range []struct {
		name      string
		want, got []*tflite.Tensor
	}{{"inputs", want.Inputs, got.Inputs}, {"outputs", want.Outputs, got.Outputs}} {
		if len(side.want) != len(side.got) {
			return fmt.Errorf("the models have %d and %d %s: they are not the same network", len(side.want), len(side.got), side.name)
		}
		for i, t := range side.want {
			if !sameSize(t, side.got[i]) {
				return fmt.Errorf("%s %d: %q is %v in one model, %q is %v in the other: they are not the same network",
					strings.TrimSuffix(side.name, "s"), i, t.Name, t.Shape, side.got[i].Name, side.got[i].Shape)
			}
		}
	}
	if len(want.Outputs) == 0 {
		return errors.New("the models have no outputs")
	}
	return nil
}

// sameSize reports whether two tensors may have as many values: a dimension that either
// leaves open is of any length.
func sameSize(a, b *tflite.Tensor) bool {
	if a.Len() == b.Len() {
		return true
	}
	if len(a.Shape) != len(b.Shape) {
		return false
	}
	for d := range a.Shape {
		if a.Shape[d] != b.Shape[d] && !a.IsOpen(d) && !b.IsOpen(d) {
			return false
		}
	}
	return true
}

// belowBar lists what misses the bars that were set.
func belowBar(d *dfq.Diff, f *verifyFlags) []missedBar {
	var below []missedBar
	for _, o := range d.Outputs {
		if percent := 100 * o.Agreement; f.barAgreement && o.Agreement >= 0 && percent < f.minAgreement {
			below = append(below, missedBar{o.Name, "agreement", percent, f.minAgreement, "%"})
		}
		if f.barSQNR && !(o.SQNR >= f.minSQNR) {
			below = append(below, missedBar{o.Name, "SQNR", o.SQNR, f.minSQNR, "dB"})
		}
	}
	return below
}

// failure is the error for what misses a bar, or for a bar that nothing was held
// against.
func (v *verification) failure(f *verifyFlags) error {
	var names []string
	measured := false
	for _, o := range v.Diff.Outputs {
		names = append(names, strconv.Quote(o.Name))
		measured = measured || o.Agreement >= 0
	}
	if f.barAgreement && !measured {
		return hintedError{fmt.Errorf("--min-agreement: no output has one, since none has classes along its last axis: %s", strings.Join(names, ", ")),
			"set a bar with --min-sqnr"}
	}
	if len(v.Bars) == 0 {
		return nil
	}
	lines := []string{v.INT8 + " is below the bar"}
	for _, b := range v.Bars {
		lines = append(lines, fmt.Sprintf("  output %q: %s %.2f %s, less than %g %s", b.Output, b.What, b.Is, b.Unit, b.Bar, b.Unit))
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (v *verification) print(w io.Writer, asJSON bool) error {
	text := v.text
	if asJSON {
		text = func() ([]byte, error) {
			b, err := json.MarshalIndent(v, "", "  ")
			return append(b, '\n'), err
		}
	}
	b, err := text()
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

func (v *verification) text() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", v.Inputs)
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	if len(v.Scores) > 0 {
		fmt.Fprint(w, "accuracy\tfloat\tINT8\tchange\t\n")
		for _, s := range v.Scores {
			fmt.Fprintf(w, "top-%d\t%.2f %%\t%.2f %%\t%+.2f\t\n", s.Top, 100*s.Float, 100*s.INT8, 100*(s.INT8-s.Float))
		}
		w.Flush()
		b.WriteString("\n")
	}
	fmt.Fprint(w, "agreement\tSQNR\tmean error\tmax error\t   output\n")
	for _, o := range v.Diff.Outputs {
		agreement := "-"
		if o.Agreement >= 0 {
			agreement = fmt.Sprintf("%.2f %%", 100*o.Agreement)
		}
		fmt.Fprintf(w, "%s\t%.2f dB\t%.4g\t%.4g\t   %q\n", agreement, o.SQNR, o.MeanError, o.MaxError, o.Name)
	}
	err := w.Flush()
	if err == nil && v.Layers != nil {
		b.WriteString("\n")
		b.Write(v.Layers.text())
	}
	return b.Bytes(), err
}
