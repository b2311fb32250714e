// Package target knows what runtimes, delegates and NPUs accept of a .tflite
// file, and holds models against it.
//
// What a target accepts is data: one row for each operator, each with its
// source. A row says which versions, element types, ranks, fused activations,
// constant operands and scale relations the target takes; rules that no field
// of a row can express are named functions beside it. An operator without a
// row is one that the target does not take.
//
// The rows tell what a target's own public sources and documents say. Only for
// Ethos-U is the real compiler at hand, and the tests hold the rows against it.
package target

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dfq/schema"
	"dfq/tflite"
)

// Severity is how much a finding matters.
type Severity int

// The severities, mildest first.
const (
	Note    Severity = iota + 1 // the op runs elsewhere, as it always will: there is nothing to repair
	Warning                     // some versions of the target refuse it, or it costs accuracy or speed
	Error                       // the target does not take the op, or not the file
)

func (s Severity) String() string {
	return [...]string{"", "note", "warning", "error"}[s]
}

// MarshalText writes the severity as its name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Finding is one rule of a target that a model breaks.
type Finding struct {
	Target   string   `json:"target"`
	Severity Severity `json:"severity"`
	Graph    int      `json:"graph"`            // index of the subgraph
	Op       int      `json:"op"`               // index in the subgraph, execution order
	Name     string   `json:"name"`             // the operator: "CONV_2D", or the name of a custom one
	Tensor   string   `json:"tensor,omitempty"` // the tensor at fault, else the op's first output
	Rule     string   `json:"rule"`             // short and stable: "version", "scale ratio", …
	Fault    string   `json:"fault"`            // what is wrong, with its numbers
	Advice   string   `json:"advice"`           // what to do
	Source   string   `json:"source"`           // where the target says so
}

// String is one line without the advice and the source.
func (f Finding) String() string {
	return fmt.Sprintf("%s: op %d %s %q: %s: %s", f.Severity, f.Op, f.Name, f.Tensor, f.Rule, f.Fault)
}

// Refused reports whether the target does not take the op, be it that it fails or
// that others run it. Of warnings only those of XNNPACK say so.
func (f Finding) Refused() bool { return f.Severity != Warning || f.Target == xnnpack.name }

// target is a consumer of .tflite files.
type target struct {
	name   string
	title  string // for people
	source string // of every row and rule that names none of its own

	// release is the newest release of TensorFlow Lite, N.M, that is sure to load
	// the file: the target itself, or what the target is part of. "": the target
	// reads files by itself.
	release string

	rules  map[schema.BuiltinOperator]rule
	all    rule     // what holds for every operator with a row
	custom []string // custom operators it takes

	missing       Severity // of an operator without a row
	broken        Severity // of a broken field of a row; 0: Error
	missingAdvice string

	// unpacks: the target computes constants of FLOAT16 in float32 beforehand, so
	// that the DEQUANTIZE of one is a constant to it.
	unpacks bool

	alone      bool // no runtime beside it runs what the target does not take
	fixedBatch bool // shapes are best known in whole, the first dimension as well

	// dropsShapes: the target takes the shape of a tensor from the file, not
	// from a RESHAPE's operand, and drops the ops that only compute that.
	dropsShapes bool
}

// targets in the order in which they are listed.
var targets = []*target{
	runtime("tflite", newest),
	runtime(Default, presumed),
	xnnpack,
	nnapi(1), nnapi(2), nnapi(3),
	edgeTPU,
	ethosU("ethos-u55", u55), ethosU("ethos-u65", u55), ethosU("ethos-u85", u85),
	hexagon,
	mediatek,
	exynos,
	googleTensor,
	micro,
}

// Names lists the targets. Besides, "tflite-N.M" stands for any release of the
// TensorFlow Lite runtime.
func Names() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}

// Title is a target's name for people, "" if there is no such target.
func Title(name string) string {
	t, err := find(name)
	if err != nil {
		return ""
	}
	return t.title
}

func find(name string) (*target, error) {
	i := slices.IndexFunc(targets, func(t *target) bool { return t.name == name })
	if i >= 0 {
		return targets[i], nil
	}
	if release, ok := strings.CutPrefix(name, "tflite-"); ok && isRelease(release) {
		return runtime(name, release), nil
	}
	return nil, fmt.Errorf("unknown target %q: it is one of %s, or tflite-N.M for a release of TensorFlow Lite", name, strings.Join(Names(), ", "))
}

// isRelease reports whether s reads N.M.
func isRelease(s string) bool {
	major, minor, ok := strings.Cut(s, ".")
	for _, n := range []string{major, minor} {
		if _, err := strconv.ParseUint(n, 10, 16); err != nil {
			ok = false
		}
	}
	return ok
}

// Lint holds m against what the named target accepts. The findings come in the
// order of the ops, the worst of an op first. m must be valid. An error means
// that there is no such target.
func Lint(m *tflite.Model, name string) ([]Finding, error) {
	t, err := find(name)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for gi, g := range m.Graphs {
		for i, fs := range t.lintGraph(g) {
			for _, f := range fs {
				f.Target, f.Graph, f.Op = t.name, gi, i
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// lintGraph returns the findings of each op of a graph, the worst first.
func (t *target) lintGraph(g *tflite.Graph) [][]Finding {
	around := &links{g.Uses(), g.Producers(), g.Outputs}
	found := make([][]Finding, len(g.Ops))
	taken, dropped := map[*tflite.Op]bool{}, map[*tflite.Op]bool{}
	for i, op := range slices.Backward(g.Ops) {
		if t.dropsShapes && around.onlyShapes(op, taken, dropped) {
			dropped[op] = true
			continue
		}
		fs := t.lint(op, around)
		slices.SortStableFunc(fs, func(a, b Finding) int { return int(b.Severity - a.Severity) })
		taken[op] = len(fs) == 0 || fs[0].Severity < Error
		found[i] = fs
	}
	return found
}
