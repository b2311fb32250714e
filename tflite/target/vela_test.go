package target_test

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/target"
)

// findVela returns the command that starts the Ethos-U compiler, or skips.
func findVela(t *testing.T) []string {
	t.Helper()
	for _, command := range [][]string{{os.Getenv("VELA")}, {"vela"}, {"python3", "-m", "ethosu.vela"}} {
		if command[0] == "" {
			continue
		}
		if err := exec.Command(command[0], append(command[1:], "--version")...).Run(); err == nil {
			return command
		}
	}
	t.Skip("Python has no ethos-u-vela (pip install ethos-u-vela, or set VELA to its command)")
	return nil
}

// verdict is what Vela makes of a model: per output of the input model what it
// says against placing the op that makes it on the NPU; "" for one on the NPU.
type verdict map[string]string

// compile runs Vela on a model. The error is that of Vela's refusal of the file.
func compile(t *testing.T, vela []string, accelerator string, m *tflite.Model) (verdict, error) {
	t.Helper()
	data, err := tflite.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "m.tflite")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(vela[0], slices.Concat(vela[1:], []string{"--accelerator-config", accelerator, "--output-dir", dir, file})...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		_, after, ok := strings.Cut(out.String(), "RuntimeError: ")
		if !ok {
			words := out.String()
			after = err.Error() + ": " + words[max(0, len(words)-300):]
		}
		return nil, errors.New(strings.TrimSpace(after))
	}
	compiled, err := os.ReadFile(filepath.Join(dir, "m_vela.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := tflite.Decode(compiled)
	if err != nil {
		t.Fatal(err)
	}
	v := verdict{}
	for _, op := range c.Graphs[0].Ops {
		if op.Code == schema.BuiltinOperatorCUSTOM && op.Custom == "ethos-u" {
			continue
		}
		for _, y := range op.Outputs {
			v[y.Name] = cmp.Or(reason(out.String(), y.Name), "left to the CPU")
		}
	}
	return v, nil
}

// reason picks what Vela says of an op out of its words.
func reason(words, output string) string {
	_, after, ok := strings.Cut(words, "ofm: '"+output+"'\n")
	if !ok {
		return ""
	}
	before, _, _ := strings.Cut(after, "Warning")
	return strings.TrimSpace(before)
}

var accelerators = map[string]string{"ethos-u55": "ethos-u55-256", "ethos-u65": "ethos-u65-512", "ethos-u85": "ethos-u85-256"}

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
	vela := findVela(t)
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
			v, err := compile(t, vela, accelerators[name], graphOf(group))
			if err != nil {
				t.Errorf("%s: Vela refuses what the lint takes: %v", name, err)
			}
			for y, why := range v {
				t.Errorf("%s: %s: the lint is content, Vela says: %s", name, names[y], why)
			}
		}
		unknown := 0
		for group := range slices.Chunk(refused, 12) {
			v, err := compile(t, vela, accelerators[name], graphOf(group))
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

// TestSharedVela converts the real models and compiles them: what the lint takes
// runs on the NPU as a whole, and every op that Vela leaves to the CPU is one
// that the lint names.
func TestSharedVela(t *testing.T) {
	files := sharedModels(t)
	vela := findVela(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tflite"), func(t *testing.T) {
			m, _ := converted(t, file)
			for _, name := range []string{"ethos-u55", "ethos-u65", "ethos-u85"} {
				said := errorsByOutput(t, m, name)
				v, err := compile(t, vela, accelerators[name], m)
				switch {
				case err != nil && len(said) > 0:
					t.Logf("%s: the lint names %d ops, Vela breaks off: %.80s", name, len(said), err)
					continue
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
		})
	}
}
