package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
)

// summarize says in a few lines what was done.
func summarize(w io.Writer, in *modelFile, out string, model *tflite.Model, size int, real *calibration, r *dfq.Report) {
	if out == standard {
		out = "stdout"
	}
	row := func(head, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", head, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "%s -> %s\n", in.name, out)
	row("ops", "%d of %d %s%s, %d activations fused%s", r.OpsInt8, r.Ops, r.Activations, integerOps(model.Graphs[0]), r.Fused, batchNorms(r))
	row("size", "%s -> %s (%.0f %%)", kilobytes(len(in.data)), kilobytes(size), 100*float64(size)/float64(len(in.data)))
	inputRows(row, r.Inputs)
	if real != nil {
		row("statistics", "%s", real.what)
	}
	if groups := r.Equalized; len(groups) > 0 {
		row("equalized", "groups of tensors: %d, median gain %.1f dB", len(groups), medianGain(groups))
	}
	if n := len(r.Parted); n > 0 {
		row("parted", "%d SiLU: the sigmoid reads a copy, made by a 1x1 DEPTHWISE_CONV_2D each", n)
	}
	if n := countDoubled(r.Doubled); n > 0 {
		row("doubled", "%d noisy channels, with copies in dead ones", n)
	}
	if r.Absorbed > 0 {
		row("absorbed", "high biases of %d tensors", r.Absorbed)
	}
	for _, d := range countDropped(r.Dropped) {
		row("dropped", "%s", d)
	}
	if len(r.FloatSQNR) > 0 && len(r.Equalized)+len(r.Doubled)+r.Absorbed > 0 {
		row("proved", "the float graph then answers as the file's to %.0f dB on %s", slices.Min(r.FloatSQNR), provedOn(real))
	}
	finding := func(at string, g findings) {
		row(g.severity(), "%s%s", at, g)
		row("", "%s", g[0].Advice)
	}
	for _, g := range groupFindings(r.Findings) {
		finding("", g)
	}
	for _, s := range r.Subgraphs {
		if s.Report == nil {
			continue // a warning says why
		}
		row("subgraph", "%d %q: %d of %d ops INT8", s.Index, s.Name, s.Report.OpsInt8, s.Report.Ops)
		inputRows(row, s.Report.Inputs)
		for _, op := range s.Report.Float {
			row("float", "%s", op)
		}
		for _, g := range groupFindings(s.Report.Findings) {
			if g[0].Warning {
				finding(fmt.Sprintf("subgraph %d, ", s.Index), g)
			}
		}
	}
}

// inputRows says how the range of each input of a graph was found.
func inputRows(row func(head, format string, args ...any), inputs []dfq.InputReport) {
	for _, i := range inputs {
		if i.Source == "" {
			row("input", "%q %v: not real, left as it is", i.Name, i.Shape)
			continue
		}
		row("input", "%q %v: %s, %s", i.Name, i.Shape, interval(i.Range.Lo, i.Range.Hi), foundHow(i))
	}
}

// countDropped says for each correction how many layers go without it.
func countDropped(dropped []dfq.DroppedCorrection) []string {
	layers := map[string]int{}
	for _, d := range dropped {
		layers[d.Correction]++
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		lines = append(lines, fmt.Sprintf("%s, in %d of the layers: inputs held out did not bear it out", name, layers[name]))
	}
	return lines
}

// integerOps says how many ops work neither on real nor on quantized numbers, if
// there are any.
func integerOps(g *tflite.Graph) string {
	n := 0
	for _, op := range g.Ops {
		if !slices.ContainsFunc(slices.Concat(op.Inputs, op.Outputs), func(t *tflite.Tensor) bool {
			return t != nil && (t.Quant != nil || t.Type == schema.TensorTypeFLOAT32 || t.Type == schema.TensorTypeFLOAT16)
		}) {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d on integers such as shapes and indices", n)
}

// interval writes a range for people. Adding 0 makes 0 of −0.
func interval(lo, hi float64) string { return fmt.Sprintf("[%.4g, %.4g]", lo+0, hi+0) }

// batchNorms says what became of arithmetic with constants, if there was any.
func batchNorms(r *dfq.Report) string {
	s := ""
	if r.Folded > 0 {
		s += fmt.Sprintf(", %d ops by constants folded into filters", r.Folded)
	}
	if r.Depthwise > 0 {
		s += fmt.Sprintf(", %d depthwise convolutions made of others", r.Depthwise)
	}
	return s
}

// provedOn says on what the float steps were measured.
func provedOn(real *calibration) string {
	if real != nil {
		return "some of these inputs"
	}
	return "made-up inputs, on real ones to less"
}

func medianGain(groups []dfq.EqualizedBlock) float64 {
	gains := make([]float64, len(groups))
	for i, g := range groups {
		gains[i] = g.GainDB
	}
	slices.Sort(gains)
	return (gains[(len(gains)-1)/2] + gains[len(gains)/2]) / 2
}

func countDoubled(all []dfq.DoubledChannels) int {
	n := 0
	for _, d := range all {
		n += len(d.Channels)
	}
	return n
}

// foundHow says where an input's range comes from.
func foundHow(i dfq.InputReport) string {
	switch i.Source {
	case "stated":
		return "stated"
	case "":
		return "its integers"
	}
	return i.Source + ": " + i.Why
}

func kilobytes(n int) string { return fmt.Sprintf("%.1f kB", float64(n)/1000) }
