package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"dfq/dfq"
)

// findings are those of one name, at least one. A model of many layers may have
// many, of which the report holds all.
type findings []dfq.Finding

func (g findings) severity() string {
	if g[0].Warning {
		return "warning"
	}
	return "note"
}

// String is the first of them, and how many more there are at which ops.
func (g findings) String() string {
	f := g[0]
	f.Tensor = shortName(f.Tensor)
	s := fmt.Sprintf("%s: %s", f.Name, f)
	if len(g) == 1 {
		return s
	}
	var ops []string // once each, in the order of the first
	times := map[string]int{}
	for _, f := range g[1:] {
		op := f.Op
		if f.Index < 0 {
			op = "input"
		}
		if times[op]++; times[op] == 1 {
			ops = append(ops, op)
		}
	}
	for i, op := range ops {
		ops[i] = fmt.Sprintf("%d %s", times[op], op)
	}
	return fmt.Sprintf("%s; likewise %s (--report lists them)", s, strings.Join(ops, ", "))
}

// groupFindings groups findings by name, warnings first.
func groupFindings(all []dfq.Finding) []findings {
	var groups []findings
	for _, f := range all {
		k := slices.IndexFunc(groups, func(g findings) bool { return g[0].Name == f.Name })
		if k < 0 {
			k = len(groups)
			groups = append(groups, nil)
		}
		groups[k] = append(groups[k], f)
	}
	slices.SortStableFunc(groups, func(a, b findings) int {
		switch {
		case a[0].Warning == b[0].Warning:
			return 0
		case a[0].Warning:
			return -1
		}
		return 1
	})
	return groups
}

// warnOfFindings prints warnings where no summary shows them.
func warnOfFindings(w io.Writer, all []dfq.Finding) {
	for _, g := range groupFindings(all) {
		if g[0].Warning {
			fmt.Fprintf(w, "dfq: warning: %s\ndfq: hint: %s\n", g, g[0].Advice)
		}
	}
}
