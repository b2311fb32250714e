package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/target"

	"github.com/spf13/cobra"
)

type convertFlags struct {
	out, report string
	target      string
	allowCPU    bool
	perTensor   bool
	activations string
	rangeRule   string
	io          string
	ranges      rangeFlags
	calibrate   string
	crop        float64
	noEqualize  bool
	noCorrect   bool
	absorb      bool
	thorough    bool
	relaxReLU6  bool
	allowFloat  bool
	seed        uint64
	printAfter  []string
	quiet       bool
}

var rangeRules = map[string]dfq.RangeRule{"least-error": dfq.LeastError, "min-max": dfq.MinMax, "six-deviations": dfq.SixDeviations}

var ioTypes = map[string]dfq.IOType{"": dfq.Inner, "int8": dfq.Int8, "int16": dfq.Int16, "uint8": dfq.Uint8, "float32": dfq.Float32}

func newConvert() *cobra.Command {
	f := &convertFlags{}
	cmd := &cobra.Command{
		Use:   "convert IN.tflite [-o OUT.tflite]",
		Short: "Turn a float model into a fully INT8 one",
		Long: `Turn a float model into a fully INT8 one, without data.

OUT is IN with _int8 added to its name if it is not stated. "-" stands for stdin
and stdout. A summary goes to stderr.

With --activations int16 what is computed has 16 bits and weights keep 8, which is
called 16x8 (OUT: _16x8). It comes closer to the float model and is slower. Fewer
ops have such a kernel.

Statistics come from made-up inputs. With --calibrate they come from real ones:
the JPEG and PNG files of a folder, its .npy and .bin files (one for each input
of each sample, in the order of their names), or one .npy or .npz file whose
arrays hold all samples along a first axis. At most 200 are used, evenly picked.
Pixels become what the model reads as --input-range or --mean and --std say, else
as is found; numbers are taken as they are.

With --target the file is what that runtime or NPU takes, as far as it can be:
weights per tensor or per channel, operator versions, scale relations, ranges.
What it says of the result is printed as "dfq lint" does. If it will not take
some of the ops, nothing is written, and the exit code is 1; --allow-cpu writes
the file all the same, for a runtime that leaves these ops to the CPU.

Targets: ` + targetNames + `.`,
		Example: `  dfq convert model.tflite
  dfq convert model.tflite -o small.tflite --input-range -1,1
  dfq convert model.tflite --target ethos-u55
  dfq convert - -o - --per-tensor < model.tflite > small.tflite`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			return convert(cmd, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "write to `FILE`")
	flags.StringVar(&f.target, "target", "", "write for the runtime or NPU `NAME`")
	flags.BoolVar(&f.allowCPU, "allow-cpu", false, "write the file even if the target will not take some ops")
	flags.BoolVar(&f.perTensor, "per-tensor", false, "one scale for all of a weight tensor, for accelerators that need it")
	flags.StringVar(&f.activations, "activations", "int8", "`TYPE` of what is computed: int8 or int16")
	flags.StringVar(&f.io, "io", "", "`TYPE` of inputs and outputs: int8, uint8, int16 or float32 (default: that of activations)")
	f.ranges.add(flags)
	flags.StringVar(&f.calibrate, "calibrate", "", "take real inputs from `PATH` in place of made-up ones")
	flags.Float64Var(&f.crop, "crop", 1, "central `SHARE` of the height and width of images to use")
	flags.StringVar(&f.rangeRule, "ranges", "least-error", "`RULE` for the ranges of int8 activations: least-error, min-max or six-deviations, as in the paper")
	flags.BoolVar(&f.noEqualize, "no-equalize", false, "leave out cross-layer equalization, copies in dead channels, and MEAN in place of pools")
	flags.BoolVar(&f.noCorrect, "no-correct", false, "leave out bias correction and all rounding but to the nearest")
	flags.BoolVar(&f.thorough, "thorough", false, "correct biases layer by layer, and widen ranges where that costs little also of classifiers and large graphs; over twice as long")
	flags.BoolVar(&f.absorb, "absorb", false, "absorb high biases, as the paper does: exact only as far as made-up inputs are like real ones")
	flags.BoolVar(&f.relaxReLU6, "relax-relu6", false, "replace RELU6 by RELU, which lets more be equalized but changes what the model computes")
	flags.BoolVar(&f.allowFloat, "allow-float", false, "keep ops in float that have no INT8 form, or no INT16 one, or lose what they tell apart in it")
	flags.Uint64Var(&f.seed, "seed", 0, "`NUMBER` that the made-up inputs come from")
	flags.StringArrayVar(&f.printAfter, "print-after", nil, "print the graph after a `PASS`, or all; several times for several")
	flags.StringVar(&f.report, "report", "", "write a record of the conversion as JSON to `FILE`")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no summary, no progress; warnings only")
	cmd.RegisterFlagCompletionFunc("target", cobra.FixedCompletions(target.Names(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("ranges", cobra.FixedCompletions([]string{"least-error", "min-max", "six-deviations"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("activations", cobra.FixedCompletions([]string{"int8", "int16"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("io", cobra.FixedCompletions([]string{"int8", "uint8", "int16", "float32"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("print-after", cobra.FixedCompletions(append(dfq.Passes(), everyPass), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func convert(cmd *cobra.Command, name string, f *convertFlags) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := f.check(cmd); err != nil {
		return err
	}
	f.out, f.report = onStdout(f.out), onStdout(f.report)
	if f.out == "" {
		f.out = f.defaultOut(name)
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	printer, err := newGraphPrinter(f.printAfter, stdout)
	if err != nil {
		return err
	}
	if f.out == standard || f.report == standard {
		printer.to = stderr
	}
	opts.Trace = printer.trace
	in, err := readModel(name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := f.checkOutputs(in, stdout); err != nil {
		return err
	}
	if opts.Inputs, err = f.ranges.inputs(in.model); err != nil {
		return err
	}
	var real *calibration
	if f.calibrate != "" {
		if real, err = f.newCalibration(in.model, opts); err != nil {
			return f.explain(in.name, err)
		}
	}
	bar := newProgress(stderr, f.quiet || len(f.printAfter) > 0)
	defer bar.clear()
	opts.Progress = bar.set
	model, report, err := dfq.Quantize(in.model, opts)
	bar.clear()
	if err != nil {
		return f.explain(in.name, err)
	}
	printer.warn(stderr)
	real.note(report)
	said := lintOf(f.target, report.Lint)
	if said.Errors > 0 && !f.allowCPU {
		said.text(stderr)
		return refusal(in.name, said, countOps(model), len(report.Float))
	}
	size, err := f.write(cmd.Context(), stdout, model, report)
	if err != nil {
		return err
	}
	if f.quiet {
		warnOfFindings(stderr, report.Findings)
	} else {
		summarize(stderr, in, f.out, model, size, real, report)
	}
	if f.target != "" && (!f.quiet || said.Errors > 0) {
		said.text(stderr)
	}
	for _, w := range report.Warnings {
		fmt.Fprintf(stderr, "dfq: warning: %s\n", w)
	}
	return nil
}

// refusal is the error for a result that its target will not take as a whole.
func refusal(name string, said lintResult, ops, float int) error {
	refused, _ := said.refused()
	hint := "--allow-cpu writes the file all the same, and leaves these ops to the CPU"
	if float > 0 {
		hint += fmt.Sprintf("; %d ops are float by --allow-float: without it one that has an INT8 form gets it, and any other is an error", float)
	}
	return hintedError{fmt.Errorf("%s: %s will not take %d of %d ops; nothing is written", name, said.Title, refused, ops), hint}
}

// write writes the model and the record of its making, and returns the model's
// size.
func (f *convertFlags) write(ctx context.Context, stdout io.Writer, model *tflite.Model, report *dfq.Report) (int, error) {
	data, err := tflite.Encode(model)
	if err != nil {
		return 0, err
	}
	results := []result{{f.out, data}}
	if f.report != "" {
		record, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return 0, err
		}
		results = append(results, result{f.report, append(record, '\n')})
	}
	return len(data), writeResults(ctx, stdout, results...)
}

// defaultOut names the quantized model after the float one.
func (f *convertFlags) defaultOut(in string) string {
	if in == standard {
		return standard
	}
	suffix := "_int8.tflite"
	if f.activations == "int16" {
		suffix = "_16x8.tflite"
	}
	return strings.TrimSuffix(in, ".tflite") + suffix
}

// check looks at the flags that need no model.
func (f *convertFlags) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case given("crop") && f.calibrate == "":
		return usagef("--crop needs --calibrate")
	case given("crop") && isNumbers(f.calibrate):
		return usagef("--crop is for images, --calibrate %s has none", f.calibrate)
	case f.allowCPU && f.target == "":
		return usagef("--allow-cpu needs --target")
	case f.target != "" && target.Title(f.target) == "":
		return unknownTarget(f.target)
	case !goodCrop(f.crop):
		return usagef("--crop %g is not above 0 and up to 1", f.crop)
	}
	return nil
}

// options translates the flags that need no model.
func (f *convertFlags) options() (*dfq.Options, error) {
	activations, ok := ioTypes[f.activations]
	if !ok || activations != dfq.Int8 && activations != dfq.Int16 {
		return nil, usagef("--activations %q: it is int8 or int16", f.activations)
	}
	ioType, ok := ioTypes[f.io]
	if !ok {
		return nil, usagef("--io %q: it is int8, uint8, int16 or float32", f.io)
	}
	if err := dfq.CheckTypes(activations, ioType); err != nil {
		return nil, usagef("--io %s: %w", f.io, err)
	}
	ranges, ok := rangeRules[f.rangeRule]
	if !ok {
		return nil, usagef("--ranges %q: it is least-error, min-max or six-deviations", f.rangeRule)
	}
	return &dfq.Options{
		Target:      f.target,
		PerTensor:   f.perTensor,
		Activations: activations,
		IO:          ioType,
		Ranges:      ranges,
		NoEqualize:  f.noEqualize,
		NoCorrect:   f.noCorrect,
		Thorough:    f.thorough,
		Absorb:      f.absorb,
		RelaxReLU6:  f.relaxReLU6,
		AllowFloat:  f.allowFloat,
		Seed:        f.seed,
		Interpreter: fastest(),
	}, nil
}

// checkOutputs refuses to write over the model and the calibration data, into folders that
// are not there, two things to one place, and a model to a terminal.
func (f *convertFlags) checkOutputs(in *modelFile, stdout io.Writer) error {
	for _, to := range []string{f.out, f.report} {
		if to == standard {
			if out, ok := stdout.(*os.File); ok && isFile(out, in.info) {
				return usagef("stdout is the model itself")
			}
		} else if to != "" && sameFile(in.info, to) {
			return usagef("%s is the model itself; dfq does not write over what it reads", to)
		} else if to != "" && f.calibrate != "" && isData(f.calibrate, to) {
			return usagef("%s is calibration data; dfq does not write over what it reads", to)
		} else if folder, _ := filepath.Split(linked(to)); to != "" && !isFolder(cmp.Or(folder, ".")) {
			return fmt.Errorf("%s: there is no folder %s", to, folder)
		}
	}
	if f.out == standard && isTerminal(stdout) {
		return usageError{hintedError{errors.New("a model is not for a terminal"), "write it to a file with -o, or into a pipe"}}
	}
	if f.report != "" && samePath(f.report, f.out) {
		return usagef("--report and -o are both %s", f.out)
	}
	return nil
}

// explain adds what to do about an error of a conversion.
func (f *convertFlags) explain(name string, err error) error {
	var unsupported *dfq.UnsupportedError
	if errors.As(err, &unsupported) {
		var b strings.Builder
		fmt.Fprintf(&b, "%s: %d ops have no %s form", name, len(unsupported.Ops), unsupported.Activations)
		for _, op := range unsupported.Ops {
			fmt.Fprintf(&b, "\n  %s", op)
		}
		keep := "--allow-float keeps them in float, with all else " + unsupported.Activations
		if f.target != "" && !f.allowCPU {
			keep += ", and --allow-cpu leaves them to the CPU where " + target.Title(f.target) + " takes no float"
		}
		return hintedError{errors.New(b.String()), keep + "; or cut them off the model"}
	}
	return fmt.Errorf("%s: %w", name, err)
}
