// Package vela runs Vela, Arm's compiler for Ethos-U: the PyPI package
// ethos-u-vela.
package vela

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"dfq/schema"
	"dfq/tflite"
)

// errMissing says how to get Vela.
var errMissing = errors.New("no ethos-u-vela in Python (pip install ethos-u-vela, or set VELA to its command)")

// Find returns the command that starts Vela, or errMissing.
func Find() ([]string, error) {
	for _, command := range [][]string{{os.Getenv("VELA")}, {"vela"}, {"python3", "-m", "ethosu.vela"}} {
		if command[0] == "" {
			continue
		}
		if err := exec.Command(command[0], append(command[1:], "--version")...).Run(); err == nil {
			return command, nil
		}
	}
	return nil, errMissing
}

// Accelerators are the configurations that stand for the targets of the lint.
var Accelerators = map[string]string{"ethos-u55": "ethos-u55-256", "ethos-u65": "ethos-u65-512", "ethos-u85": "ethos-u85-256"}

// Compile runs Vela on a model of one graph. For each tensor that an op on the
// CPU makes it returns what Vela says against placing the op on the NPU. An error
// is Vela's refusal of the file, or its breakdown.
func Compile(command []string, accelerator string, m *tflite.Model) (onCPU map[string]string, err error) {
	data, err := tflite.Encode(m)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vela")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "m.tflite")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.Command(command[0], slices.Concat(command[1:], []string{"--accelerator-config", accelerator, "--output-dir", dir, file})...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, refusal(err, out.String())
	}
	if data, err = os.ReadFile(filepath.Join(dir, "m_vela.tflite")); err != nil {
		return nil, err
	}
	compiled, err := tflite.Decode(data)
	if err != nil {
		return nil, err
	}
	onCPU = map[string]string{}
	for _, op := range compiled.Graphs[0].Ops {
		if op.Code == schema.BuiltinOperatorCUSTOM && op.Custom == "ethos-u" {
			continue
		}
		for _, y := range op.Outputs {
			onCPU[y.Name] = cmp.Or(reason(out.String(), y.Name), "left to the CPU")
		}
	}
	return onCPU, nil
}

// refusal picks the reason why Vela ended early out of its words.
func refusal(err error, words string) error {
	if _, after, ok := strings.Cut(words, "RuntimeError: "); ok {
		return errors.New(strings.TrimSpace(after))
	}
	return errors.New(err.Error() + ": " + strings.TrimSpace(words[max(0, len(words)-300):]))
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
