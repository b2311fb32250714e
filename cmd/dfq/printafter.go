package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"dfq/dfq"
	"dfq/tflite"
)

// graphPrinter prints the graph after the passes that were asked for.
type graphPrinter struct {
	to     io.Writer
	passes []string
	left   []string // of those that were named: they have not run so far
}

func newGraphPrinter(names []string, to io.Writer) (*graphPrinter, error) {
	passes, err := passesNamed(names)
	p := &graphPrinter{to: to, passes: passes}
	if !slices.Contains(names, everyPass) {
		p.left = slices.Clone(passes)
	}
	return p, err
}

// trace is for Options.Trace.
func (p *graphPrinter) trace(pass string, m *tflite.Model) {
	p.left = slices.DeleteFunc(p.left, func(name string) bool { return name == pass })
	if slices.Contains(p.passes, pass) {
		fmt.Fprintf(p.to, "== after %q\n%s\n", pass, m)
	}
}

// warn tells of passes that did not run.
func (p *graphPrinter) warn(stderr io.Writer) {
	for _, pass := range p.left {
		fmt.Fprintf(stderr, "dfq: warning: --print-after %q: the pass did not run; it runs %s\n", pass, dfq.RunsOnly(pass))
	}
}

// everyPass stands for all names of passes.
const everyPass = "all"

// passesNamed checks names of passes. Dashes may stand for their spaces.
func passesNamed(names []string) ([]string, error) {
	passes := dfq.Passes()
	var found []string
	for _, name := range names {
		if name == everyPass {
			return passes, nil
		}
		spaced := strings.ReplaceAll(name, "-", " ")
		if !slices.Contains(passes, spaced) {
			return nil, usageError{hintedError{fmt.Errorf("no pass is named %q", name),
				fmt.Sprintf("the passes are %s; or %s", strings.Join(passes, ", "), everyPass)}}
		}
		found = append(found, spaced)
	}
	return found, nil
}
