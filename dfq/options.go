package dfq

import (
	"errors"
	"fmt"
	"math"

	"dfq/dfq/internal/affine"
	"dfq/tflite"
)

// Runner evaluates a model: one slice per graph input and output, in the real
// domain on both sides, whatever the tensors' types, row by row. The outputs are
// valid until the next call. Nobody writes to either side.
type Runner = func(inputs [][]float32) (outputs [][]float32, err error)

// Interpreter makes a Runner of a model; close, which is not nil, frees what it
// holds. Both are called from several goroutines at once, each of which uses its own
// Runner. An error of a Runner ends what runs it and is returned, so a Runner can
// also cancel a conversion.
type Interpreter func(m *tflite.Model) (run Runner, close func(), err error)

// Options of Quantize. The zero value is the recommended setting.
type Options struct {
	PerTensor bool // one scale for all of a weight tensor, for accelerators that need it

	// Target is the runtime or NPU that the file is for, a name that package
	// target knows; empty: TensorFlow Lite 2.9 and later. What it asks beyond the
	// INT8 specification is kept; what it will not take is in Report.Lint.
	Target string

	// Activations is the type of what is computed: Int8, or Int16 with weights
	// that stay int8 and biases of int64, which is called 16x8.
	Activations IOType

	IO IOType // type of the written model's inputs and outputs

	// Inputs states what each input holds, those of the main graph before those
	// of other Entries. Inputs beyond its length, and empty entries, are found:
	// from metadata, else from the graph's response.
	Inputs []InputRange

	// Calibration, if not empty, is real data in place of made-up inputs:
	// [sample][input] of the main graph, in the real domain. Inputs have the
	// shapes of the Sized model. It says nothing of the inputs' own ranges: state
	// them in Inputs, or they are found as without data.
	Calibration [][][]float32

	Ranges RangeRule // of int8 activations

	NoEqualize bool // leave out scaling channels against each other, copies in dead ones, and MEAN in place of pools and sums
	NoCorrect  bool // leave out bias correction and all rounding but to the nearest

	Thorough bool // correct biases layer by layer too, and give room to ranges also of classifiers and large graphs: over twice as long

	Absorb     bool // absorb high biases, as the paper does: exact only as far as made-up inputs are like real ones
	RelaxReLU6 bool // replace RELU6 by RELU, as the paper does: it changes the function

	AllowFloat bool   // keep ops in float, between DEQUANTIZE and QUANTIZE, that have no INT8 form or lose what they tell apart in it
	Seed       uint64 // of the made-up inputs
	Samples    int    // made-up inputs to run; 0: 64 to 256, by their size

	// Interpreter runs float graphs. Nil means dfq's own evaluator in Go.
	Interpreter Interpreter

	// Trace, if set, is called after each pass, with the graph that is worked on:
	// to be read during the call. Progress, if set, is called with the share of the
	// work done, from 0 to 1. Both are called by the goroutine that called Quantize.
	Trace    func(pass string, m *tflite.Model)
	Progress func(pass string, done float64)
}

// IOType is an element type of a written model.
type IOType int

// The types that a model boundary can have. Activations are Int8 or Int16. No
// kernel leads from 8 bits to 16, so beside Int16 activations the boundary is
// Int16 or Float32, and beside Int8 ones it is not Int16.
const (
	Inner IOType = iota // of the boundary: as the activations; of these: Int8
	Int8
	Int16
	Uint8
	Float32
)

// Range is an interval of real values.
type Range struct {
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

// within is the part of r that lies in o, hull the range that holds both.
func (r Range) within(o Range) Range { return Range{math.Max(r.Lo, o.Lo), math.Min(r.Hi, o.Hi)} }
func (r Range) hull(o Range) Range   { return Range{math.Min(r.Lo, o.Lo), math.Max(r.Hi, o.Hi)} }

// InputRange states what an input holds: an interval; or the mean and deviation
// by which pixels of 0 … 255 are normalized, one for all channels or one each; or
// encodings as InputEncodings finds them, of which made-up inputs have one in turn.
// Of several that are given, encodings count before mean and deviation, and these
// before the interval.
type InputRange struct {
	Range
	Mean, Std []float64
	Encodings []Encoding
}

func (r InputRange) empty() bool {
	return r.Range == Range{} && len(r.Mean) == 0 && len(r.Std) == 0 && len(r.Encodings) == 0
}

func (r InputRange) encodings() []Encoding {
	switch {
	case len(r.Encodings) > 0:
		return r.Encodings
	case len(r.Std) > 0:
		return []Encoding{normalized("stated mean and deviation", r.Mean, r.Std)}
	}
	return []Encoding{interval(r.Lo, r.Hi)}
}

// CheckTypes refuses types of activations, and of inputs and outputs, that no
// kernel brings together.
func CheckTypes(activations, io IOType) error {
	is16 := activations == Int16
	switch {
	case activations < Inner || activations > Int16:
		return fmt.Errorf("activations of type %d: they are Int8 or Int16", activations)
	case io < Inner || io > Float32:
		return fmt.Errorf("inputs and outputs of type %d: there is no such type", io)
	case is16 && (io == Int8 || io == Uint8):
		return errors.New("no QUANTIZE kernel leads from 8-bit inputs to int16 activations: inputs and outputs must be int16 or float32")
	case !is16 && io == Int16:
		return errors.New("no QUANTIZE kernel leads from int8 activations to int16 outputs: inputs and outputs must be int8, uint8 or float32")
	}
	return nil
}

// grid is what activations are kept in.
func (o *Options) grid() affine.Grid {
	if o.Activations == Int16 {
		return affine.Int16
	}
	return affine.Int8
}
