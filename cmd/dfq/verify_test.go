package main

import (
	"testing"

	"dfq/dfq"
)

// TestBars: each output is held against the bars that it has a figure for, and no
// bar goes by unmeasured.
func TestBars(t *testing.T) {
	class, number := dfq.OutputDiff{Name: "class", SQNR: -1, Agreement: 0.5}, dfq.OutputDiff{Name: "number", SQNR: 30, Agreement: -1}
	for _, c := range []struct {
		name    string
		flags   verifyFlags
		outputs []dfq.OutputDiff
		say     string // the error; empty for none
	}{
		{"no bar", verifyFlags{}, []dfq.OutputDiff{class, number}, ""},
		{"one output has classes", verifyFlags{barAgreement: true, minAgreement: 50}, []dfq.OutputDiff{class, number}, ""},
		{"it is below the bar", verifyFlags{barAgreement: true, minAgreement: 51}, []dfq.OutputDiff{number, class},
			"m is below the bar\n  output \"class\": agreement 50.00 %, less than 51 %"},
		{"none has classes", verifyFlags{barAgreement: true, minAgreement: 50}, []dfq.OutputDiff{number, number},
			`--min-agreement: no output has one, since none has classes along its last axis: "number", "number"`},
		{"none has, and the bar is 0", verifyFlags{barAgreement: true}, []dfq.OutputDiff{number},
			`--min-agreement: no output has one, since none has classes along its last axis: "number"`},
		{"0 dB", verifyFlags{barSQNR: true}, []dfq.OutputDiff{class, number}, "m is below the bar\n  output \"class\": SQNR -1.00 dB, less than 0 dB"},
		{"-1 dB", verifyFlags{barSQNR: true, minSQNR: -1}, []dfq.OutputDiff{class, number}, ""},
	} {
		v := &verification{INT8: "m", Diff: &dfq.Diff{Outputs: c.outputs}}
		v.Bars = belowBar(v.Diff, &c.flags)
		say := ""
		if err := v.failure(&c.flags); err != nil {
			say = err.Error()
		}
		if say != c.say {
			t.Errorf("%s: %q, not %q", c.name, say, c.say)
		}
	}
}
