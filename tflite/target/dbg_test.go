package target_test

import (
	"os"
	"testing"

	"dfq/tflite"
)

func TestDump(t *testing.T) {
	for _, c := range npuCases() {
		if c.name == os.Getenv("CASE") {
			d, err := tflite.Encode(model(c.op))
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile("/tmp/w/lint/case.tflite", d, 0o644)
		}
	}
}

func TestArg(t *testing.T) {
	vela := findVela(t)
	for _, c := range npuCases() {
		if c.name == "ARG_MAX" {
			model(c.op)
			t.Log(compileEach(t, vela, "ethos-u55-256", []*tflite.Op{c.op}))
		}
	}
}
