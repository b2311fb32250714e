// Package dfq turns a float TensorFlow Lite model into a fully INT8 one, or one of
// INT16 activations and INT8 weights, without any data: Data-Free Quantization
// (Nagel et al., ICCV 2019) on the folded graph of a .tflite.
//
// The list called passes is the table of contents. Each pass is one short file;
// what a pass must know about an operator is one row of the table in ops.go.
// Until the pass "lower" the graph stays a float graph: a tensor's Quant only
// says what it will become.
package dfq

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
)

// A pass is one named step. It reads and rewrites the job's graph in place.
type pass struct {
	name string
	run  func(*job) error
	work float64   // rough share of the running time, for the progress bar
	only condition // of the conversions that it is part of
}

func (p pass) runs(o *Options) bool { return p.only.holds == nil || p.only.holds(o) }

// passes is what Quantize does, in order.
var passes = [...]pass{
	{name: "normalize", run: normalize, work: 0.02},                                       // float constants, explicit biases, one owner per constant
	{name: "fold batch norms", run: foldBatchNorms},                                       // MUL, ADD, SUB, DIV by constants into the filters beside them
	{name: "fuse activations", run: fuseActivations},                                      // RELU, RELU6, RELU_N1_TO_1 into the op before
	{name: "check support", run: checkSupport},                                            // all bad ops at once
	{name: "average sums", run: averageSums, only: withScaling},                           // SUM as n times MEAN, whose range need not hold all that could be summed
	{name: "relax relu6", run: relaxReLU6, only: withRelaxReLU6},                          // opt-in: it changes the float function
	{name: "find input range", run: findInputRanges, work: 0.1},                           // stated, from metadata, or from the graph's response
	{name: "estimate", run: estimate, work: 0.6},                                          // per-channel statistics of every tensor on made-up inputs
	{name: "even norms", run: evenNorms, only: withScaling},                               // what is divided by its deviation has channels of one deviation
	{name: "spare small values", run: spareSmall, only: withFloat},                        // opt-in: LOG and its like, and what leads to them, stay float where steps lose what they tell apart
	{name: "spare crushed values", run: spareCrushed, only: withFloatInt8},                // opt-in: what joins boxes and scores behind the last filters stays float
	{name: "absorb bias", run: absorbBias, only: withAbsorb},                              // opt-in: what a channel always adds, into the biases behind
	{name: "part gates", run: partGates, only: withScaling},                               // SiLU: the sigmoid gets an x of its own, so that channels can be scaled
	{name: "equalize", run: equalize, work: 0.1, only: withPerTensor},                     // per-tensor weights: channels against each other, exact in float
	{name: "fill ranges", run: fillRanges, work: 0.1, only: withPerChannel},               // per-channel weights: small channels up, for the activations' sake
	{name: "join gates", run: joinGates, only: withScaling},                               // and reads the old one again where nothing was scaled
	{name: "double channels", run: doubleChannels, only: withScaling},                     // dead channels carry copies of noisy ones
	{name: "prove float", run: proveFloat, work: 0.05},                                    // that the float graph still answers as the file's
	{name: "average by mean", run: averageByMean, only: withScaling},                      // pools over whole images whose averages need steps of their own
	{name: "part prelu", run: partPrelus, only: withTarget},                               // as the sum of its halves, for targets without it
	{name: "measure room", run: measureRoom, work: 0.3, only: withRoom},                   // by how much ranges may be wider at little cost; of classifiers: opt-in
	{name: "weigh outliers", run: weighOutliers, work: 0.2, only: withOutliers},           // whether ranges leave out what few of the inputs reach
	{name: "assign ranges", run: assignRanges, work: 0.05},                                // one scale per activation; same-scale groups; fixed outputs
	{name: "check scales", run: checkScales},                                              // ops whose kernels cannot work at these scales
	{name: "quantize weights", run: quantizeWeights, work: 0.08},                          // symmetric, per-channel or per-tensor
	{name: "correct biases", run: correctBiases, work: 0.02, only: withCorrection},        // what rounding the weights shifts
	{name: "correct empirically", run: correctEmpirically, work: 0.8, only: withThorough}, // opt-in: what is left of the shift, layer by layer
	{name: "quantize biases", run: quantizeBiases},                                        // integers at s_in·s_w, those of copies a part of a step apart
	{name: "collect findings", run: collectFindings},                                      // what the model's owner may want to know of it
	{name: "lower", run: lower, work: 0.02},                                               // integer types and data; QUANTIZE where two scales meet
	{name: "boundary", run: boundary},                                                     // int8, uint8 or float inputs and outputs
	{name: "restore shapes", run: restoreShapes},                                          // 1 in open dimensions, for which a size was taken
	{name: "fit target", run: fitTarget, only: withTarget},                                // forms that the target takes: RESHAPE for SQUEEZE
	{name: "set versions", run: setVersions},                                              // operator versions and min_runtime_version
	{name: "check int8 rules", run: checkRulesOfResult, work: 0.01},                       // every rule of the specification, on the result
}

// job is what passes share. Each field names the pass that fills it.
type job struct {
	source *tflite.Model // as it was handed in, but dense and with sizes
	model  *tflite.Model
	graph  *tflite.Graph // model.Graphs[0]
	number int           // of that graph in the file
	opts   *Options
	limits target.Limits // of opts.Target
	report *Report

	index      map[*tflite.Op]int      // an op's place in the file
	pixels     map[*tflite.Tensor]bool // "normalize": inputs that the file has as UINT8, for a CAST
	fileShapes [][]int                 // of the inputs, where the file leaves them open; else nil

	float       map[*tflite.Op]string           // "check support", "check scales": ops kept in float, and why
	unseen      map[*tflite.Tensor]string       // "check support": behind ops that cannot be run, and why
	sampleCount int                             // "find input range": of how many samples statistics are drawn
	integers    []integers                      // "find input range": what inputs that are not real stand for
	input       func(i int) [][]float32         // "find input range": makes the i-th of the samples, or has it from the caller
	samples     [][][]float32                   // "estimate": the first of them, [sample][input]
	stats       map[*tflite.Tensor]*tensorStats // "estimate"
	patches     map[*tflite.Op][]float32        // "estimate": what spatial filters see, [patch][tap][channel]
	parted      map[*tflite.Tensor]*tflite.Op   // "part gates": by what is multiplied, the convolution that makes of it what its gate reads
	copies      map[*tflite.Op][][]int          // "double channels": by channel of a filter's output, itself and its copies; nil for a copy
	room        map[*tflite.Tensor]float64      // "measure room": by how much the range of an activation may be wider; 0 where nothing was measured
	ranges      RangeRule                       // "weigh outliers": how ranges are chosen; before, as opts.Ranges says
	lookedAt    map[*tflite.Tensor]Range        // "assign ranges": beyond it, all values of a tensor are alike to its readers
	weights     map[*tflite.Tensor][]int8       // "quantize weights"
	biases      map[*tflite.Tensor][]int32      // "quantize biases"
}

// Quantize returns a fully INT8 copy of a float model and a record of what was
// done. m is not changed. Nil options are the recommended ones. Of several graphs
// all Entries become INT8.
//
// Errors: *UnsupportedError lists all ops that have no INT8 form; ErrQuantized
// says that the model is quantized already; others name the op or tensor. A
// panic is a bug of this package and names the pass.
func Quantize(m *tflite.Model, opts *Options) (*tflite.Model, *Report, error) {
	if opts == nil {
		opts = &Options{}
	}
	model, report, err := quantizeMain(m, opts, 0)
	if err == nil {
		model, err = furtherGraphs(m, model, opts, report)
	}
	if u := (*UnsupportedError)(nil); errors.As(err, &u) {
		err = allUnsupported(m, opts, err)
	}
	if err == nil && opts.Target != "" {
		report.Lint, err = target.Lint(model, opts.Target)
	}
	if err != nil {
		return nil, nil, err
	}
	return model, report, nil
}

// quantizeMain quantizes the main graph of m, whose number in the file is given.
func quantizeMain(m *tflite.Model, opts *Options, number int) (*tflite.Model, *Report, error) {
	j, err := newJob(m, opts)
	if err != nil {
		return nil, nil, err
	}
	j.number = number
	if err := j.run(""); err != nil {
		return nil, nil, err
	}
	j.report.finish(j.model)
	return j.model, j.report, nil
}

// run runs the passes up to and with the one named last, or all.
func (j *job) run(last string) error {
	todo := slices.DeleteFunc(slices.Clone(passes[:]), func(p pass) bool { return !p.runs(j.opts) })
	done, all := 0.0, 0.0
	for _, p := range todo {
		all += p.work
	}
	for _, p := range todo {
		j.progress(p.name, done/all)
		switch err := j.runPass(p); {
		case errors.Is(err, ErrQuantized):
			return err // which no pass is to be named for
		case err != nil:
			return fmt.Errorf("%s: %w", p.name, err)
		}
		done += p.work
		if p.name == last {
			return nil
		}
	}
	j.progress("done", 1)
	return nil
}

func newJob(m *tflite.Model, opts *Options) (*job, error) {
	if err := CheckTypes(opts.Activations, opts.IO); err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	limits, err := target.LimitsOf(cmp.Or(opts.Target, target.Default), elementType(opts.grid()))
	if err != nil {
		return nil, err
	}
	if limits.PerTensor(schema.BuiltinOperatorCONV_2D) && !opts.PerTensor {
		asked := *opts
		asked.PerTensor = true // convolutions with one scale are what equalization is for
		opts = &asked
	}
	source := Sized(m).Clone()
	places := map[*tflite.Op]int{}
	for i, op := range source.Graphs[0].Ops {
		places[op] = i
	}
	if err := source.Densify(); err != nil {
		return nil, err
	}
	model := source.Clone()
	j := &job{source: source, model: model, graph: model.Graphs[0], opts: opts, limits: limits, ranges: opts.Ranges, report: newReport(model, opts), index: map[*tflite.Op]int{}}
	for i, op := range source.Graphs[0].Ops {
		j.index[model.Graphs[0].Ops[i]] = places[op]
	}
	j.noteSizes(m)
	return j, nil
}

func (j *job) grid() affine.Grid { return j.opts.grid() }

// runPass runs one pass and checks what it leaves: a graph that is not valid
// any more is our mistake, not the user's.
func (j *job) runPass(p pass) error {
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("dfq: pass %q: %v", p.name, r))
		}
	}()
	if err := p.run(j); err != nil {
		return err
	}
	if err := j.model.Validate(); err != nil {
		panic(err)
	}
	if j.opts.Trace != nil {
		j.opts.Trace(p.name, j.model)
	}
	return nil
}

func (j *job) progress(pass string, done float64) {
	if j.opts.Progress != nil {
		j.opts.Progress(pass, done)
	}
}

// Passes lists the names of the passes in order.
func Passes() []string {
	var names []string
	for _, p := range passes {
		names = append(names, p.name)
	}
	return names
}
