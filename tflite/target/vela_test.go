package target_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dfq/dfq"
	"dfq/internal/vela"
	"dfq/tflite"
	"dfq/tflite/target"
)

// findVela returns the command that starts the Ethos-U compiler, or skips.
func findVela(t *testing.T) []string {
	t.Helper()
	command, err := vela.Find()
	if err != nil {
		t.Skip(err)
	}
	return command
}

// errorsByOutput gathers the errors of the lint by the first output of the op.
func errorsByOutput(t *testing.T, m *tflite.Model, name string) map[string][]string {
	t.Helper()
	found, err := target.Lint(m, name)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, f := range found {
		if y := m.Graphs[f.Graph].Ops[f.Op].Outputs; f.Severity == target.Error && len(y) > 0 {
			said[y[0].Name] = append(said[y[0].Name], f.String())
		}
	}
	return said
}

// TestVelaOps compiles small ops of many kinds: Vela and the lint agree on each.
// Those that the lint takes are compiled as one model. The others go in small
// groups, since Vela refuses a whole file for some faults and breaks down on
// others.
func TestVelaOps(t *testing.T) {
	command := findVela(t)
	for _, name := range []string{"ethos-u55", "ethos-u85"} {
		cases := npuCases()
		var taken, refused []*tflite.Op
		names := map[string]string{}
		for _, c := range cases {
			taken = append(taken, c.op)
		}
		said := errorsByOutput(t, model(taken...), name)
		for _, c := range cases {
			names[c.op.Outputs[0].Name] = c.name
		}
		taken = slices.DeleteFunc(taken, func(op *tflite.Op) bool {
			if said[op.Outputs[0].Name] == nil {
				return false
			}
			refused = append(refused, op)
			return true
		})
		for group := range slices.Chunk(taken, 60) {
			v, err := vela.Compile(command, vela.Accelerators[name], graphOf(group))
			if err != nil {
				t.Errorf("%s: Vela refuses what the lint takes: %v", name, err)
			}
			for y, why := range v {
				t.Errorf("%s: %s: the lint is content, Vela says: %s", name, names[y], why)
			}
		}
		unknown := 0
		for group := range slices.Chunk(refused, 12) {
			v, err := vela.Compile(command, vela.Accelerators[name], graphOf(group))
			if err != nil {
				unknown += len(group)
				continue
			}
			for _, op := range group {
				if y := op.Outputs[0].Name; v[y] == "" && !stricter[names[y]] {
					t.Errorf("%s: %s: Vela takes it, the lint says: %q", name, names[y], said[y])
				}
			}
		}
		t.Logf("%s: %d ops on the NPU, %d left to the CPU, %d in files that Vela refuses", name, len(taken), len(refused)-unknown, unknown)
	}
}

// stricter are cases that the lint counts as errors though Vela lets them pass.
var stricter = map[string]bool{
	"ADD scale 0": true, // Vela's own list asks for positive scales; the result would be nonsense
}

// TestSharedVela converts the real models, for no target and for the NPU, and
// compiles them: what the lint takes runs on the NPU as a whole, and every op that
// Vela leaves to the CPU is one that the lint names.
func TestSharedVela(t *testing.T) {
	files := sharedModels(t)
	command := findVela(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tflite"), func(t *testing.T) {
			plain := converted(t, file, "")
			for _, name := range []string{"ethos-u55", "ethos-u65", "ethos-u85"} {
				agree(t, command, name, plain)
			}
			for _, name := range []string{"ethos-u55", "ethos-u85"} {
				if m := converted(t, file, name); m.String() != plain.String() {
					agree(t, command, name, m)
				}
			}
		})
	}
}

// agree holds the lint of a model against what Vela makes of it.
func agree(t *testing.T, command []string, name string, m *tflite.Model) {
	t.Helper()
	said := errorsByOutput(t, m, name)
	v, err := vela.Compile(command, vela.Accelerators[name], m)
	switch {
	case err != nil && len(said) > 0:
		t.Logf("%s: the lint names %d ops, Vela breaks off: %.80s", name, len(said), err)
		return
	case err != nil:
		t.Errorf("%s: the lint is content, Vela breaks off: %v", name, err)
	}
	for _, op := range m.Graphs[0].Ops {
		y := op.Outputs[0].Name
		switch {
		case v[y] != "" && said[y] == nil:
			t.Errorf("%s: %s: the lint is content, Vela says: %s", name, m.Graphs[0].Place(op), v[y])
		case v[y] == "" && said[y] != nil:
			t.Errorf("%s: %s: Vela takes it, the lint says: %q", name, m.Graphs[0].Place(op), said[y])
		}
	}
	t.Logf("%s: %d ops, %d on the CPU", name, len(m.Graphs[0].Ops), len(said))
}

// TestVela16x8: a model of int16 activations, which the lint takes, runs on the
// NPU as a whole.
func TestVela16x8(t *testing.T) {
	command := findVela(t)
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "digits.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	float, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := dfq.Quantize(float, &dfq.Options{Activations: dfq.Int16, Samples: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ethos-u55", "ethos-u65", "ethos-u85"} {
		if said := errorsByOutput(t, m, name); len(said) > 0 {
			t.Errorf("%s: %v", name, said)
		}
		if v, err := vela.Compile(command, vela.Accelerators[name], m); err != nil || len(v) > 0 {
			t.Errorf("%s: %v, on the CPU: %v", name, err, v)
		}
	}
}
