package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/target"
	build "dfq/tflite/tflitetest"
)

// TestFailures: whatever keeps a row from being printed is an error.
func TestFailures(t *testing.T) {
	shared := t.TempDir()
	model, err := tflite.Encode(build.Chain(build.Input(1, 8, 8, 3), build.Conv(4, 3)))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"models/resnet8_cifar10_fp32.tflite": string(model),
		"images/cifar10/labels.txt":          "a.png 1\n",
		"models/vww96_float.tflite":          "no model",
		"models/kws_float32.tflite":          string(model),
		"images/kws/labels.txt":              "a 1\nb 2\n",
	} {
		path := filepath.Join(shared, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		flags []string // names and values
		say   string
	}{
		{[]string{"shared", "nonexistent"}, "20 of 20 models failed"},
		{[]string{"shared", "nonexistent", "targets", "true"}, "no .tflite file that matches"},
		{[]string{"models", "("}, "-models: error parsing regexp"},
		{[]string{"models", "(", "targets", "true"}, "-models: error parsing regexp"},
		{[]string{"models", "none"}, `-models "none" matches none`},
		{[]string{"step", "("}, "-step: error parsing regexp"},
		{[]string{"score", "evn"}, `-score "evn": it is even, odd or all`},
		{[]string{"seeds", "0"}, "-seeds 0: it is 1 or more"},
		{[]string{"models", "resnet8", "step", "none"}, "1 of 1 models failed"}, // one sample is too few
		{[]string{"models", "kws", "step", "none"}, "1 of 1 models failed"},
		{[]string{"models", "vww96_float"}, "1 of 1 models failed"},
		{[]string{"models", "vww96_float", "targets", "true"}, "vww96_float: "},
	} {
		defaults := map[string]string{"shared": shared, "models": "", "step": "", "score": "even", "seeds": "1", "targets": "false"}
		for name, value := range defaults {
			must(t, flag.Set(name, value))
		}
		for i := 0; i < len(c.flags); i += 2 {
			must(t, flag.Set(c.flags[i], c.flags[i+1]))
		}
		if err := run(); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%q: error %v, which does not say %q", c.flags, err, c.say)
		}
	}
}

// TestLabelled: a list that cannot be read to its end is none.
func TestLabelled(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "labels.txt"), []byte("a.png 1\n"+strings.Repeat("b", 1<<17)), 0o666))
	if _, _, err := labelled(dir); err == nil || !strings.Contains(err.Error(), "labels.txt: ") {
		t.Errorf("error %v", err)
	}
}

// TestTaken: an op counts as taken by the rule of the lint, and once.
func TestTaken(t *testing.T) {
	found := func(name string, op int, s target.Severity) target.Finding {
		return target.Finding{Target: name, Op: op, Severity: s}
	}
	for _, c := range []struct {
		lint   []target.Finding
		cell   string
		warned bool
	}{
		{nil, "all", false},
		{[]target.Finding{found("tflm", 0, target.Error), found("tflm", 0, target.Error), found("tflm", 1, target.Warning)}, "3/4", true},
		{[]target.Finding{found("xnnpack", 0, target.Note), found("xnnpack", 1, target.Warning)}, "2/4", true},
	} {
		if cell, warned := taken(&dfq.Report{Ops: 4, Lint: c.lint}); cell != c.cell || warned != c.warned {
			t.Errorf("%v: %s and %t, not %s and %t", c.lint, cell, warned, c.cell, c.warned)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
