package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/metadata"

	"github.com/spf13/cobra"
)

func newInspect() *cobra.Command {
	var asJSON, asGraph bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL.tflite",
		Short: "Show what is in a model and how it is quantized",
		Long: `Show a model's inputs and outputs, its ops, what is quantized and how, its
metadata and signatures. A model that works on int8, or on int16 with scales, is
held against the rules of the INT8 quantization specification.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asGraph {
				return usagef("--json and --graph exclude each other")
			}
			f, err := readModel(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			var text []byte
			switch {
			case asGraph:
				text = []byte(f.model.String())
			case asJSON:
				if text, err = inspect(f).json(); err != nil {
					return err
				}
			default:
				text = inspect(f).text()
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&asGraph, "graph", false, "print the whole graph, a line for each op")
	return cmd
}

// inspection is what a model file holds.
type inspection struct {
	File        string         `json:"file"`
	Bytes       int            `json:"bytes"`
	Description string         `json:"description,omitempty"`
	MinRuntime  string         `json:"min_runtime_version,omitempty"`
	Inputs      []tensorFacts  `json:"inputs"`
	Outputs     []tensorFacts  `json:"outputs"`
	Graphs      []graphFacts   `json:"subgraphs"`
	Ops         []opFacts      `json:"ops"`         // of all graphs
	Weights     weightFacts    `json:"weights"`     // constants that ops read, of all graphs
	Activations []typeFacts    `json:"activations"` // of all graphs
	Signatures  []string       `json:"signatures,omitempty"`
	Metadata    []blobFacts    `json:"metadata,omitempty"`
	TFLite      *metadata.Info `json:"tflite_metadata,omitempty"`
	Unreadable  string         `json:"tflite_metadata_error,omitempty"`
	Trailer     int            `json:"trailer_bytes"` // behind the FlatBuffer
	INT8        bool           `json:"int8"`          // whether the main graph works on int8, or int16, at all
	BrokenRules []string       `json:"broken_int8_rules,omitempty"`
}

type tensorFacts struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Shape     []int      `json:"shape"`
	Signature []int      `json:"shape_signature,omitempty"`
	Scale     float32    `json:"scale,omitempty"`
	Zero      int64      `json:"zero_point,omitempty"`
	Range     *dfq.Range `json:"range,omitempty"` // real values that a quantized tensor can hold
}

type graphFacts struct {
	Name    string `json:"name"`
	Ops     int    `json:"ops"`
	Tensors int    `json:"tensors"`
}

type opFacts struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Count   int    `json:"count"`
	INT8    int    `json:"int8"`  // of these, with an int8 activation
	INT16   int    `json:"int16"` // of these, with an int16 one
}

type weightFacts struct {
	Bytes      int         `json:"bytes"`
	PerChannel int         `json:"quantized_per_channel"`
	PerTensor  int         `json:"quantized_per_tensor"`
	Types      []typeFacts `json:"types"`
}

type typeFacts struct {
	Type      string `json:"type"`
	Tensors   int    `json:"tensors"`
	Quantized int    `json:"quantized"` // of these, with a scale
}

type blobFacts struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

func inspect(f *modelFile) *inspection {
	m := f.model
	in := &inspection{
		File: f.name, Bytes: len(f.data), Description: m.Description, Trailer: len(m.Trailer),
		Inputs: tensorsFacts(m.Graphs[0].Inputs), Outputs: tensorsFacts(m.Graphs[0].Outputs),
	}
	var constants, activations []*tflite.Tensor
	for _, g := range m.Graphs {
		tensors := g.Tensors()
		in.Graphs = append(in.Graphs, graphFacts{g.Name, len(g.Ops), len(tensors)})
		for _, op := range g.Ops {
			in.countOp(op)
		}
		for _, t := range tensors {
			if t.Constant() {
				constants = append(constants, t)
			} else {
				activations = append(activations, t)
			}
		}
	}
	slices.SortStableFunc(in.Ops, func(a, b opFacts) int { return b.Count - a.Count })
	in.Weights = weightsFacts(constants)
	in.Activations = typesFacts(activations)
	for _, s := range m.Signatures {
		in.Signatures = append(in.Signatures, fmt.Sprintf("%q (%s) -> (%s)", s.Key, names(s.Inputs), names(s.Outputs)))
	}
	in.readMetadata(m)
	in.INT8, in.BrokenRules = brokenRules(m)
	return in
}

// brokenRules are the rules of the INT8 specification that a model breaks; int8 says whether these
// are for it.
func brokenRules(m *tflite.Model) (int8 bool, broken []string) {
	if int8 = slices.ContainsFunc(m.Graphs[0].Tensors(), func(t *tflite.Tensor) bool {
		return activationOf(t, schema.TensorTypeINT8) || activationOf(t, schema.TensorTypeINT16)
	}); int8 {
		for _, err := range dfq.CheckRules(m) {
			broken = append(broken, err.Error())
		}
	}
	return int8, broken
}

func (in *inspection) readMetadata(m *tflite.Model) {
	for _, md := range m.Metadata {
		in.Metadata = append(in.Metadata, blobFacts{md.Name, len(md.Data)})
		if md.Name == "min_runtime_version" {
			in.MinRuntime = string(bytes.TrimRight(md.Data, "\x00"))
		}
	}
	info, err := metadata.Read(m)
	if err != nil {
		in.Unreadable = err.Error()
	}
	in.TFLite = info
}

// json is the inspection for programs.
func (in *inspection) json() ([]byte, error) {
	if in.TFLite != nil {
		info := *in.TFLite
		info.Inputs, info.Outputs = finiteNumbers(info.Inputs), finiteNumbers(info.Outputs)
		clean := *in
		clean.TFLite = &info
		in = &clean
	}
	text, err := json.MarshalIndent(in, "", "  ")
	return append(text, '\n'), err
}

// finiteNumbers leaves out lists of numbers that JSON cannot express.
func finiteNumbers(tensors []metadata.Tensor) []metadata.Tensor {
	tensors = slices.Clone(tensors)
	for i := range tensors {
		t := &tensors[i]
		for _, list := range []*[]float32{&t.Mean, &t.Std, &t.Min, &t.Max} {
			if slices.ContainsFunc(*list, func(x float32) bool { return !finite(float64(x)) }) {
				*list = nil
			}
		}
	}
	return tensors
}

// activationOf reports whether t is a quantized activation of a type. It tells a
// graph that works on int8 from one that only stores its weights so.
func activationOf(t *tflite.Tensor, typ schema.TensorType) bool {
	return t != nil && !t.Constant() && t.Type == typ && t.Quant != nil
}

func (in *inspection) countOp(op *tflite.Op) {
	name := op.Code.String()
	if op.Code == schema.BuiltinOperatorCUSTOM {
		name += " " + op.Custom
	}
	i := slices.IndexFunc(in.Ops, func(o opFacts) bool { return o.Name == name && o.Version == op.Version })
	if i < 0 {
		i = len(in.Ops)
		in.Ops = append(in.Ops, opFacts{Name: name, Version: op.Version})
	}
	in.Ops[i].Count++
	works := func(typ schema.TensorType) bool {
		return slices.ContainsFunc(slices.Concat(op.Inputs, op.Outputs), func(t *tflite.Tensor) bool { return activationOf(t, typ) })
	}
	if works(schema.TensorTypeINT8) {
		in.Ops[i].INT8++
	}
	if works(schema.TensorTypeINT16) {
		in.Ops[i].INT16++
	}
}

func weightsFacts(constants []*tflite.Tensor) weightFacts {
	w := weightFacts{Types: typesFacts(constants)}
	for _, t := range constants {
		w.Bytes += len(t.Data)
		switch {
		case t.Quant == nil || t.Type != schema.TensorTypeINT8 && t.Type != schema.TensorTypeUINT8:
		case len(t.Quant.Scale) > 1:
			w.PerChannel++
		case len(t.Quant.Scale) == 1:
			w.PerTensor++
		}
	}
	return w
}

// typesFacts counts tensors by type, in order of appearance.
func typesFacts(tensors []*tflite.Tensor) []typeFacts {
	var facts []typeFacts
	for _, t := range tensors {
		i := slices.IndexFunc(facts, func(f typeFacts) bool { return f.Type == t.Type.String() })
		if i < 0 {
			i = len(facts)
			facts = append(facts, typeFacts{Type: t.Type.String()})
		}
		facts[i].Tensors++
		if t.Quant != nil && len(t.Quant.Scale) > 0 {
			facts[i].Quantized++
		}
	}
	return facts
}

func tensorsFacts(tensors []*tflite.Tensor) []tensorFacts {
	facts := []tensorFacts{}
	for _, t := range tensors {
		f := tensorFacts{Name: t.Name, Type: t.Type.String(), Shape: t.Shape, Signature: t.Signature}
		if q := t.Quant; q != nil && len(q.Scale) == 1 && len(q.Zero) == 1 && finite(float64(q.Scale[0])) {
			f.Scale, f.Zero = q.Scale[0], q.Zero[0]
			f.Range = storedRange(t.Type, float64(f.Scale), float64(f.Zero))
		}
		facts = append(facts, f)
	}
	return facts
}

// storedRange is the interval of real values that integers of a type express.
func storedRange(t schema.TensorType, scale, zero float64) *dfq.Range {
	var lo, hi float64
	switch t {
	case schema.TensorTypeINT8:
		lo, hi = math.MinInt8, math.MaxInt8
	case schema.TensorTypeUINT8:
		lo, hi = 0, math.MaxUint8
	case schema.TensorTypeINT16:
		lo, hi = math.MinInt16, math.MaxInt16
	default:
		return nil
	}
	return &dfq.Range{Lo: scale * (lo - zero), Hi: scale * (hi - zero)}
}

func names(named []tflite.NamedTensor) string {
	var out []string
	for _, n := range named {
		out = append(out, fmt.Sprintf("%q", n.Name))
	}
	return strings.Join(out, ", ")
}
