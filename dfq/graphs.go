package dfq

import (
	"errors"
	"fmt"
	"slices"

	"dfq/tflite"
)

// Entries lists the graphs of m that a caller runs, by index: the main one, and
// those that a signature names and no op runs. Each of these becomes INT8 by
// itself. A graph that ops run stays float: what it is given, and how often, is
// known in part only, and the rounding errors of a loop's body would add up.
func Entries(m *tflite.Model) []int {
	list := []int{0}
	for k, why := range whyKept(m) {
		if k > 0 && why == "" {
			list = append(list, k)
		}
	}
	return list
}

// whyKept says of each graph behind the main one why it is no entry; empty if
// it is one.
func whyKept(m *tflite.Model) []string {
	why := make([]string, len(m.Graphs))
	for i, g := range m.Graphs {
		for _, op := range g.Ops {
			for _, k := range op.Callees() {
				if why[k] == "" {
					why[k] = fmt.Sprintf("%s of subgraph %d runs it", g.Place(op), i)
				}
			}
		}
	}
	for k, g := range m.Graphs {
		if why[k] == "" && !slices.ContainsFunc(m.Signatures, func(s *tflite.Signature) bool { return s.Graph == g }) {
			why[k] = "no op runs it and no signature names it"
		}
	}
	return why
}

// furtherGraphs quantizes the entries behind the main graph, each in the place
// of the main one for a while, and reports those that stay as they are. m is the
// file with its main graph quantized.
func furtherGraphs(file, m *tflite.Model, opts *Options, report *Report) (*tflite.Model, error) {
	o := *opts
	o.Inputs = o.Inputs[min(len(o.Inputs), len(m.Graphs[0].Inputs)):]
	o.Calibration, o.Progress = nil, nil
	for k, why := range whyKept(file) {
		if k == 0 {
			continue
		}
		s := SubgraphReport{Index: k, Name: m.Graphs[k].Name, Kept: why}
		if s.Kept == "" {
			in := m.Clone()
			in.SwapGraphs(0, k)
			out, r, err := quantizeMain(in, &o, k)
			switch {
			case errors.Is(err, errNothing), errors.Is(err, ErrQuantized):
				s.Kept = err.Error()
			case err != nil:
				return nil, fmt.Errorf("subgraph %d %q: %w", k, s.Name, err)
			default:
				out.SwapGraphs(0, k)
				m, s.Report = out, r
				for _, w := range r.Warnings {
					report.warn("subgraph %d %q: %s", k, s.Name, w)
				}
			}
			o.Inputs = o.Inputs[min(len(o.Inputs), len(in.Graphs[0].Inputs)):]
		}
		if s.Kept != "" {
			report.warn("subgraph %d %q stays as it is: %s", k, s.Name, s.Kept)
		}
		report.Subgraphs = append(report.Subgraphs, s)
	}
	return m, nil
}

// allUnsupported is err with the ops of all entries that "check support" finds, if it is
// of that pass: of several graphs it ended at the first.
func allUnsupported(m *tflite.Model, opts *Options, err error) error {
	var all *UnsupportedError
	for _, k := range Entries(m) {
		in := m.Clone()
		in.SwapGraphs(0, k)
		j, e := newJob(in, opts)
		if e != nil {
			return err
		}
		j.number = k
		if u := (*UnsupportedError)(nil); errors.As(j.run("check support"), &u) {
			if all == nil {
				all = &UnsupportedError{Activations: u.Activations}
			}
			all.Ops = append(all.Ops, u.Ops...)
		}
	}
	if all == nil {
		return err
	}
	return all
}
