package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"

	"github.com/spf13/cobra"
)

// allTargets stands for every target by name.
const allTargets = "all"

// targetNames lists the targets in help texts.
var targetNames = strings.Join(target.Names(), ", ") + ",\nand tflite-N.M for any release of TensorFlow Lite"

func unknownTarget(name string) error {
	_, err := target.LimitsOf(name, schema.TensorTypeINT8)
	return usageError{err}
}

func newLint() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint MODEL.tflite --target NAME",
		Short: "Tell whether a runtime, delegate or NPU takes a model",
		Long: `Hold a model against what a target accepts: operators and their versions, element
types, shapes, scales, fused activations. Each finding names the op, the tensor,
the rule, what to do, and where the target says so.

An error is an op, or a file, that the target does not take. A warning is one
that some versions of it refuse, or that costs accuracy. A note is an op that
runs elsewhere, with nothing to repair. Exit code 1 tells of errors; with
"--target all", a table of all targets, it does not.

Targets: ` + targetNames + `.`,
		Example: `  dfq lint model_int8.tflite --target ethos-u55
  dfq lint model_int8.tflite --target all`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			names := []string{name}
			if name == allTargets {
				names = target.Names()
			} else if target.Title(name) == "" {
				return unknownTarget(name)
			}
			f, err := readModel(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			lints := lint(f.model, names)
			if err := writeLints(cmd.OutOrStdout(), f.model, lints, asJSON, name == allTargets); err != nil {
				return err
			}
			if n := lints[0].Errors; n > 0 && name != allTargets {
				return fmt.Errorf("%s: errors for %s: %d", f.name, lints[0].Title, n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "target", "", "`NAME` of the target, or all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	must(cmd.MarkFlagRequired("target"))
	must(cmd.RegisterFlagCompletionFunc("target", cobra.FixedCompletions(append(target.Names(), allTargets), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// lintResult is what one target says of a model.
type lintResult struct {
	Target   string           `json:"target"`
	Title    string           `json:"title"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Notes    int              `json:"notes"`
	Findings []target.Finding `json:"findings"`
}

// lint holds a model against targets that exist.
func lint(m *tflite.Model, names []string) []lintResult {
	var results []lintResult
	for _, name := range names {
		found, err := target.Lint(m, name)
		must(err)
		results = append(results, lintOf(name, found))
	}
	return results
}

func lintOf(name string, found []target.Finding) lintResult {
	r := lintResult{Target: name, Title: target.Title(name), Findings: append([]target.Finding{}, found...)}
	for _, f := range found {
		switch f.Severity {
		case target.Error:
			r.Errors++
		case target.Warning:
			r.Warnings++
		default:
			r.Notes++
		}
	}
	return r
}

// refused counts the ops that the target does not take, and names their operators
// in the order of the file.
func (r *lintResult) refused() (n int, names []string) {
	ops := map[[2]int]bool{}
	for _, f := range r.Findings {
		if f.Refused() {
			ops[[2]int{f.Graph, f.Op}] = true
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return len(ops), names
}

// writeLints prints results: JSON, a table, or one target's findings.
func writeLints(w io.Writer, m *tflite.Model, results []lintResult, asJSON, table bool) error {
	var out strings.Builder
	switch {
	case asJSON && table:
		text, err := json.MarshalIndent(results, "", "  ")
		must(err)
		fmt.Fprintf(&out, "%s\n", text)
	case asJSON:
		text, err := json.MarshalIndent(results[0], "", "  ")
		must(err)
		fmt.Fprintf(&out, "%s\n", text)
	case table:
		lintTable(&out, results, countOps(m))
	default:
		results[0].text(&out)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// countOps counts the ops of all graphs.
func countOps(m *tflite.Model) int {
	n := 0
	for _, g := range m.Graphs {
		n += len(g.Ops)
	}
	return n
}

// lintTable prints a line for each target: how many of the model's ops it takes,
// and the operators of those that it does not.
func lintTable(w io.Writer, results []lintResult, ops int) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "target\t\tops taken\terrors\twarnings\tnotes\tnot taken")
	for _, r := range results {
		refused, names := r.refused()
		fmt.Fprintf(t, "%s\t%s\t%d of %d\t%d\t%d\t%d\t%s\n", r.Target, r.Title, ops-refused, ops, r.Errors, r.Warnings, r.Notes, strings.Join(names, ", "))
	}
	must(t.Flush())
}

// text lists the findings, those of one rule together, errors first. Notes, for
// which there is nothing to do, take one line.
func (r *lintResult) text(w io.Writer) {
	for _, severity := range []target.Severity{target.Error, target.Warning} {
		for i, f := range r.Findings {
			if f.Severity == severity && !r.listed(i) {
				fmt.Fprintf(w, "%s: %s\n", f.Severity, f.Rule)
				r.ops(w, f)
				fmt.Fprintf(w, "  to do: %s\n  source: %s\n", f.Advice, f.Source)
			}
		}
	}
	switch {
	case r.Errors+r.Warnings > 0:
		fmt.Fprintf(w, "%s: errors %d, warnings %d, notes %d\n", r.Title, r.Errors, r.Warnings, r.Notes)
	case r.Notes > 0:
		fmt.Fprintf(w, "%s takes the model, but not all of its ops\n", r.Title)
	default:
		fmt.Fprintf(w, "%s takes the model as it is\n", r.Title)
	}
	r.notes(w)
}

// notes names the operators that run elsewhere.
func (r *lintResult) notes(w io.Writer) {
	ops := map[string]map[[2]int]bool{}
	var names []string
	advice := ""
	for _, f := range r.Findings {
		if f.Severity != target.Note {
			continue
		}
		if ops[f.Name] == nil {
			ops[f.Name] = map[[2]int]bool{}
			names = append(names, f.Name)
		}
		ops[f.Name][[2]int{f.Graph, f.Op}] = true
		advice = f.Advice
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", len(ops[name]), name)
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "note: %s: %s\n", strings.Join(names, ", "), advice)
	}
}

// listed reports whether an earlier finding is told in the same group.
func (r *lintResult) listed(i int) bool {
	for _, f := range r.Findings[:i] {
		if sameGroup(f, r.Findings[i]) {
			return true
		}
	}
	return false
}

func sameGroup(a, b target.Finding) bool {
	return a.Severity == b.Severity && a.Rule == b.Rule && a.Advice == b.Advice && a.Source == b.Source
}

// ops lists the ops of a finding's group.
func (r *lintResult) ops(w io.Writer, group target.Finding) {
	for _, f := range r.Findings {
		if !sameGroup(f, group) {
			continue
		}
		where := ""
		if f.Graph > 0 {
			where = fmt.Sprintf("graph %d ", f.Graph)
		}
		fmt.Fprintf(w, "  %sop %d %s %q: %s\n", where, f.Op, f.Name, f.Tensor, f.Fault)
	}
}

// must is for errors that only a mistake of ours can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
