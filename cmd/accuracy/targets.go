package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"dfq/dfq"
	"dfq/internal/vela"
	"dfq/tflite"
	"dfq/tflite/target"
)

var byTarget = flag.Bool("targets", false, "print the table of models and targets instead")

// printTargets prints, for every float model of the shared folder and every
// target, how many ops the target takes of the file that is written for it; for
// Ethos-U also how many Vela places on the NPU.
func printTargets(names *regexp.Regexp) error {
	files, err := filepath.Glob(filepath.Join(*shared, "models", "*.tflite"))
	if err != nil {
		return err
	}
	modelName := func(file string) string { return strings.TrimSuffix(filepath.Base(file), ".tflite") }
	files = slices.DeleteFunc(files, func(file string) bool { return !names.MatchString(modelName(file)) })
	if len(files) == 0 {
		return fmt.Errorf("%s: no .tflite file that matches -models %q", filepath.Join(*shared, "models"), *only)
	}
	command, err := vela.Find()
	if err != nil {
		log.Print(err)
	}
	heads := target.Names()
	for i, name := range heads {
		if vela.Accelerators[name] != "" && command != nil {
			heads[i] += " / Vela"
		}
	}
	fmt.Printf("| model | %s |\n|---|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, file := range files {
		name := modelName(file)
		cells, err := targetCells(file, command)
		switch {
		case errors.Is(err, dfq.ErrQuantized):
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		default:
			fmt.Printf("| %s | %s |\n", name, strings.Join(cells, " | "))
		}
	}
	return nil
}

// targetCells converts a model for each target. One made-up input will do: no
// accuracy is measured.
func targetCells(file string, command []string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	float, err := tflite.Decode(data)
	if err != nil {
		return nil, err
	}
	var cells []string
	for _, name := range target.Names() {
		m, report, err := dfq.Quantize(float, &dfq.Options{Samples: 1, AllowFloat: true, Target: name})
		if err != nil {
			return nil, err
		}
		cell, warned := taken(report)
		if accelerator := vela.Accelerators[name]; accelerator != "" && command != nil {
			cell += " / " + placed(command, accelerator, m)
		}
		if warned {
			cell += " (!)"
		}
		cells = append(cells, cell)
	}
	return cells, nil
}

// taken says how many ops the target takes, and whether any has a warning.
func taken(r *dfq.Report) (cell string, warned bool) {
	elsewhere := map[[2]int]bool{}
	for _, f := range r.Lint {
		warned = warned || f.Severity == target.Warning
		if f.Refused() {
			elsewhere[[2]int{f.Graph, f.Op}] = true
		}
	}
	return share(r.Ops-len(elsewhere), r.Ops), warned
}

// placed says how many ops Vela places on the NPU. It drops those that only
// compute a shape, as the lint does.
func placed(command []string, accelerator string, m *tflite.Model) string {
	onCPU, err := vela.Compile(command, accelerator, m)
	if err != nil {
		return "breaks off"
	}
	ops := m.Graphs[0].Ops
	n := len(ops)
	for _, op := range ops {
		if onCPU[op.Outputs[0].Name] != "" {
			n--
		}
	}
	return share(n, len(ops))
}

func share(n, of int) string {
	if n == of {
		return "all"
	}
	return fmt.Sprintf("%d/%d", n, of)
}
