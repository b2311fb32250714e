package main

import (
	"testing"

	"dfq/dfq"
	"dfq/tflite"
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

// TestSameBoundary: models are compared where their inputs and outputs may hold as many
// numbers, whatever their order of dimensions; an open dimension has any length.
func TestSameBoundary(t *testing.T) {
	of := func(shapes ...[]int) (list []*tflite.Tensor) {
		for _, s := range shapes {
			v := &tflite.Tensor{Shape: s}
			for d, n := range s {
				if n < 0 { // open, and 1 for want of a number
					v.Signature, v.Shape = s, append([]int{}, s...)
					v.Shape[d] = 1
				}
			}
			list = append(list, v)
		}
		return list
	}
	image, classes := []int{1, 8, 8, 3}, []int{1, 10}
	for _, c := range []struct {
		name            string
		inputs, outputs []*tflite.Tensor
		same            bool
	}{
		{"the same", of(image), of(classes), true},
		{"channels first", of([]int{1, 3, 8, 8}), of([]int{10}), true},
		{"another size", of([]int{1, 9, 8, 3}), of(classes), false},
		{"other answers", of(image), of([]int{1, 11}), false},
		{"one input more", of(image, image), of(classes), false},
		{"one output more", of(image), of(classes, classes), false},
		{"open height", of([]int{1, -1, 8, 3}), of(classes), true},
		{"open height, another width", of([]int{1, -1, 9, 3}), of(classes), false},
		{"open, of other dimensions", of([]int{-1, 3}), of(classes), false},
	} {
		want, got := &tflite.Graph{Inputs: of(image), Outputs: of(classes)}, &tflite.Graph{Inputs: c.inputs, Outputs: c.outputs}
		for _, pair := range [][2]*tflite.Graph{{want, got}, {got, want}} {
			if err := sameBoundary(pair[0], pair[1]); (err == nil) != c.same {
				t.Errorf("%s: %v, same: %v", c.name, err, c.same)
			}
		}
	}
	if sameBoundary(&tflite.Graph{Inputs: of(image)}, &tflite.Graph{Inputs: of(image)}) == nil {
		t.Error("no outputs: nothing to compare")
	}
}
