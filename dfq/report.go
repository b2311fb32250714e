package dfq

import (
	"fmt"
	"slices"
	"strings"

	"dfq/tflite"
	"dfq/tflite/target"
)

// Report is the record of a conversion.
type Report struct {
	Activations string `json:"activations"` // INT8, or INT16 with INT8 weights

	Ops       int               `json:"ops"`           // in the written main graph
	OpsInt8   int               `json:"ops_int8"`      // of these, working on tensors of that type
	Folded    int               `json:"ops_folded"`    // MUL, ADD, SUB and DIV by constants, taken into filters
	Depthwise int               `json:"ops_depthwise"` // 1×1 depthwise convolutions that others became
	Fused     int               `json:"ops_fused"`     // activations moved into the op before
	Float     []UnsupportedOp   `json:"ops_float"`     // kept in float, and why
	Inputs    []InputReport     `json:"inputs"`
	Equalized []EqualizedBlock  `json:"equalized"` // groups of tensors whose channels were scaled
	Parted    []string          `json:"parted"`    // tensors times their own sigmoid, which reads a copy of them
	Doubled   []DoubledChannels `json:"doubled"`   // noisy channels with copies in dead ones
	Absorbed  int               `json:"absorbed"`  // tensors whose high biases were absorbed

	// Dropped are corrections of layers that inputs held out did not bear out.
	Dropped []DroppedCorrection `json:"corrections_dropped"`

	// FloatSQNR is, for each output of real values that can be run here, how far the
	// float graph after absorption and equalization is from the file's, in dB on
	// made-up inputs, which flatters.
	FloatSQNR []float64 `json:"float_sqnr_db"`

	// FloatTwin is the float graph after equalization: what the INT8 model
	// approximates.
	FloatTwin *tflite.Model `json:"-"`

	// Lint is what Options.Target says of the result: an error is an op that it
	// does not take.
	Lint []target.Finding `json:"lint,omitempty"`

	// Subgraphs are the graphs of the file but the main one.
	Subgraphs []SubgraphReport `json:"subgraphs,omitempty"`

	Findings []Finding      `json:"findings"` // of the model; Warnings are of the conversion
	Warnings []string       `json:"warnings"`
	Tensors  []TensorReport `json:"tensors"` // every real activation, in file order
}

// SubgraphReport says what became of a graph that is not the main one.
type SubgraphReport struct {
	Index  int     `json:"index"`
	Name   string  `json:"name"`
	Kept   string  `json:"kept,omitempty"`   // why it is as it was; empty if it was quantized
	Report *Report `json:"report,omitempty"` // of its quantization
}

// InputReport says how one input's range was found.
type InputReport struct {
	Name   string `json:"name"`
	Shape  []int  `json:"shape"`
	Range  Range  `json:"range"`
	Source string `json:"source"` // "stated", "metadata", "inferred", "guessed"; "pixels" of UINT8 in the file; by dfq convert also "calibration"; empty for integers
	Why    string `json:"why"`
	// Encodings are the ways in which made-up inputs were scaled: one, or
	// several where the graph could not tell them apart.
	Encodings []Encoding `json:"encodings"`
}

// EqualizedBlock is a group of tensors whose channels were scaled together.
type EqualizedBlock struct {
	Tensors []string `json:"tensors"`
	GainDB  float64  `json:"gain_db"` // expected noise at the readers' outputs, before over after
}

// DoubledChannels are channels that dead channels of their tensor carry copies of.
type DoubledChannels struct {
	Tensor   string  `json:"tensor"`
	Channels []int   `json:"channels"` // one for each copy
	GainDB   float64 `json:"gain_db"`  // expected noise of the tensor and of those it is made from, before over after
}

// DroppedCorrection is a correction that one layer goes without.
type DroppedCorrection struct {
	Op         int    `json:"op"` // index in the file
	Code       string `json:"code"`
	Tensor     string `json:"tensor"`     // the op's output
	Correction string `json:"correction"` // "sum-preserving rounding", "second-order rounding", "bias correction" or "empirical bias correction"
}

// TensorReport says what was measured of a tensor and what it became.
type TensorReport struct {
	Name  string  `json:"name"`
	Seen  Range   `json:"seen"`  // on the inputs that statistics were drawn from
	Range Range   `json:"range"` // that the tensor holds
	Rule  string  `json:"rule"`  // how the range was chosen
	Scale float32 `json:"scale"`
	Zero  int64   `json:"zero_point"`
}

func newReport(m *tflite.Model, opts *Options) *Report {
	r := &Report{
		Activations: elementType(opts.grid()).String(),
		// In JSON a list of none is [], not null.
		Float: []UnsupportedOp{}, Inputs: []InputReport{}, Equalized: []EqualizedBlock{}, Parted: []string{}, Doubled: []DoubledChannels{},
		Dropped: []DroppedCorrection{}, FloatSQNR: []float64{}, Findings: []Finding{}, Warnings: []string{}, Tensors: []TensorReport{},
	}
	for _, t := range m.Graphs[0].Inputs {
		r.Inputs = append(r.Inputs, InputReport{Name: t.Name, Shape: t.Shape, Encodings: []Encoding{}})
	}
	return r
}

// dropCorrection records that op goes without a correction.
func (j *job) dropCorrection(op *tflite.Op, correction string) {
	j.report.Dropped = append(j.report.Dropped, DroppedCorrection{j.index[op], op.Code.String(), op.Outputs[0].Name, correction})
}

// warn adds a warning, once.
func (r *Report) warn(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(r.Warnings, w) {
		r.Warnings = append(r.Warnings, w)
	}
}

// inputRanges lists the inputs' ranges for messages.
func (r *Report) inputRanges() string {
	var s []string
	for _, in := range r.Inputs {
		s = append(s, fmt.Sprintf("%g, %g", in.Range.Lo, in.Range.Hi))
	}
	return strings.Join(s, "; ")
}

// finish counts what is in the written model.
func (r *Report) finish(m *tflite.Model) {
	r.Ops = len(m.Graphs[0].Ops)
	for _, op := range m.Graphs[0].Ops {
		if quantized(op) {
			r.OpsInt8++
		}
	}
}
