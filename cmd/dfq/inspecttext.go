package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"dfq/tflite/metadata"
)

// text is the inspection for people. What comes from the file is quoted.
func (in *inspection) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(head, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", head, fmt.Sprintf(format, args...)) }
	row("file", "%s, %d bytes", in.File, in.Bytes)
	if in.Description != "" {
		row("description", "%q", in.Description)
	}
	if in.MinRuntime != "" {
		row("min runtime", "%q", in.MinRuntime)
	}
	for _, t := range in.Inputs {
		row("input", "%s", t)
	}
	for _, t := range in.Outputs {
		row("output", "%s", t)
	}
	for i, g := range in.Graphs {
		row("subgraph", "%d %q: %d ops, %d tensors", i, g.Name, g.Ops, g.Tensors)
	}
	row("weights", "%d bytes; %s; %d quantized per channel, %d per tensor", in.Weights.Bytes, typeList(in.Weights.Types), in.Weights.PerChannel, in.Weights.PerTensor)
	row("activations", "%s", typeList(in.Activations))
	row("int8 rules", "%s", in.verdict())
	for _, s := range in.Signatures {
		row("signature", "%s", s)
	}
	for _, md := range in.Metadata {
		row("metadata", "%q, %d bytes", md.Name, md.Bytes)
	}
	if in.Trailer > 0 {
		row("trailer", "%d bytes behind the model", in.Trailer)
	}
	if in.Unreadable != "" {
		row("unreadable", "%s", in.Unreadable)
	}
	w.Flush()
	if in.TFLite != nil {
		b.WriteString("\n")
		b.Write(metadataText(in.TFLite))
	}
	b.WriteString("\n")
	b.Write(in.opTable())
	for _, broken := range in.BrokenRules {
		fmt.Fprintf(&b, "broken rule: %s\n", broken)
	}
	return b.Bytes()
}

func (in *inspection) verdict() string {
	switch {
	case !in.INT8:
		return "do not apply: no activation is int8 or int16"
	case len(in.BrokenRules) > 0:
		return fmt.Sprintf("%d broken, listed below", len(in.BrokenRules))
	}
	return "all kept"
}

func (in *inspection) opTable() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "count\tint8\tint16\tversion\t  op\n")
	for _, op := range in.Ops {
		name := op.Name
		if custom, ok := strings.CutPrefix(name, "CUSTOM "); ok {
			name = fmt.Sprintf("CUSTOM %q", custom)
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t  %s\n", op.Count, op.INT8, op.INT16, op.Version, name)
	}
	w.Flush()
	return b.Bytes()
}

func (t tensorFacts) String() string {
	s := fmt.Sprintf("%q %s %v", t.Name, t.Type, t.Shape)
	if slices.Contains(t.Signature, -1) {
		s += fmt.Sprintf(" of signature %v", t.Signature)
	}
	if t.Scale != 0 {
		s += fmt.Sprintf(", scale %g, zero point %d", t.Scale, t.Zero)
	}
	if t.Range != nil {
		s += fmt.Sprintf(", range [%.4g, %.4g]", t.Range.Lo, t.Range.Hi)
	}
	return s
}

func typeList(types []typeFacts) string {
	if len(types) == 0 {
		return "none"
	}
	var parts []string
	for _, t := range types {
		s := fmt.Sprintf("%d %s", t.Tensors, t.Type)
		switch t.Quantized {
		case 0:
		case t.Tensors:
			s += " with scales"
		default:
			s += fmt.Sprintf(" (%d with scales)", t.Quantized)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// metadataText shows TFLite Metadata.
func metadataText(info *metadata.Info) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, field := range []struct{ name, value string }{
		{"name", info.Name}, {"description", info.Description}, {"version", info.Version},
		{"author", info.Author}, {"license", info.License},
	} {
		if field.value != "" {
			fmt.Fprintf(w, "model %s\t%q\n", field.name, field.value)
		}
	}
	for _, side := range []struct {
		name    string
		tensors []metadata.Tensor
	}{{"input", info.Inputs}, {"output", info.Outputs}} {
		for i, t := range side.tensors {
			fmt.Fprintf(w, "model %s %d\t%s\n", side.name, i, describeTensor(t))
		}
	}
	for _, f := range info.Files {
		fmt.Fprintf(w, "model file\t%q, %d bytes\n", f.Name, f.Size)
	}
	w.Flush()
	return b.Bytes()
}

func describeTensor(t metadata.Tensor) string {
	s := fmt.Sprintf("%q", t.Name)
	if t.Description != "" {
		s += fmt.Sprintf(" %q", t.Description)
	}
	if len(t.Mean) > 0 {
		s += fmt.Sprintf(", mean %v, std %v", t.Mean, t.Std)
	}
	if len(t.Min) > 0 {
		s += fmt.Sprintf(", min %v, max %v", t.Min, t.Max)
	}
	if len(t.Files) > 0 {
		s += fmt.Sprintf(", files %q", t.Files)
	}
	return s
}
