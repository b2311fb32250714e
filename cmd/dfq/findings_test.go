package main

import (
	"strings"
	"testing"

	"dfq/dfq"
)

// However many findings there are, each name takes one line and its advice, and
// only warnings are shown where nothing else is.
func TestFindingsAreGrouped(t *testing.T) {
	var all []dfq.Finding
	add := func(name string, warning bool, index int, op string) {
		all = append(all, dfq.Finding{Name: name, Warning: warning, Index: index, Op: op, Tensor: "t", Fault: "it is " + name, Advice: "mend " + name})
	}
	add("dead", false, 3, "CONV_2D")
	add("guessed", true, -1, "")
	for i := range 300 {
		add("dead", false, 10+i, []string{"CONV_2D", "CUSTOM Detect", "CONV_2D"}[i%3])
	}
	add("guessed", true, -1, "")
	var got []string
	for _, g := range groupFindings(all) {
		got = append(got, g.severity()+" "+g.String())
	}
	want := `warning guessed: input "t": it is guessed; likewise 1 input (--report lists them)
note dead: op 3 CONV_2D "t": it is dead; likewise 200 CONV_2D, 100 CUSTOM Detect (--report lists them)`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	var b strings.Builder
	warnOfFindings(&b, all)
	if want := "dfq: warning: guessed: input \"t\": it is guessed; likewise 1 input (--report lists them)\ndfq: hint: mend guessed\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}
