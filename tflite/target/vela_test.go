package target_test

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
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

// compileEach compiles ops together, without those that make Vela refuse the
// file, which it finds by halving.
func compileEach(t *testing.T, vela []string, accelerator string, ops []*tflite.Op) verdict {
	t.Helper()
	if len(ops) == 0 {
		return verdict{}
	}
	v, err := compile(t, vela, accelerator, graphOf(ops))
	switch {
	case err == nil:
		return v
	case len(ops) == 1:
		return verdict{ops[0].Outputs[0].Name: "refused: " + err.Error()}
	}
	v = verdict{}
	for i, op := range ops {
		if strings.Contains(err.Error(), "'"+op.Outputs[0].Name+"'") {
			v[op.Outputs[0].Name] = "refused: " + err.Error()
			maps.Copy(v, compileEach(t, vela, accelerator, slices.Delete(slices.Clone(ops), i, i+1)))
			return v
		}
	}
	maps.Copy(v, compileEach(t, vela, accelerator, ops[:len(ops)/2]))
	maps.Copy(v, compileEach(t, vela, accelerator, ops[len(ops)/2:]))
	return v
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

// TestVelaOps compiles small ops of many kinds with Vela: it and the lint agree
// on each.
func TestVelaOps(t *testing.T) {
	vela := findVela(t)
	for _, name := range []string{"ethos-u55", "ethos-u85"} {
		cases := npuCases()
		var ops []*tflite.Op
		for _, c := range cases {
			ops = append(ops, c.op)
		}
		m := model(ops...)
		v := compileEach(t, vela, accelerators[name], ops)
		found, err := target.Lint(m, name)
		if err != nil {
			t.Fatal(err)
		}
		said := map[int][]string{}
		for _, f := range found {
			if f.Severity == target.Error {
				said[f.Op] = append(said[f.Op], f.String())
			}
		}
		for i, c := range cases {
			y := c.op.Outputs[0].Name
			switch {
			case v[y] != "" && said[i] == nil:
				t.Errorf("%s: %s: the lint is content, Vela says: %s", name, c.name, v[y])
			case v[y] == "" && said[i] != nil:
				t.Errorf("%s: %s: Vela takes it, the lint says: %q", name, c.name, said[i])
			}
		}
	}
}
