package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"
	"dfq/tflite/tflitetest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dfq": main})
}

// TestScripts runs the command line as people do. Each script finds the digit
// classifier as model.tflite, its images and labels in digits/, two samples that
// rise from -1 to 1 in numbers.npy, and in batchnorm.tflite a network with
// unfolded batch norms.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			ramp := make([]float32, 2*32*32)
			for i := range ramp {
				ramp[i] = float32(2*i)/float32(len(ramp)-1) - 1
			}
			unfolded, err := tflite.Encode(unfoldedModel())
			return errors.Join(err,
				os.WriteFile(filepath.Join(env.WorkDir, "batchnorm.tflite"), unfolded, 0o666),
				os.WriteFile(filepath.Join(env.WorkDir, "numbers.npy"), npyOf("<f4", "(2, 32, 32, 1)", ramp), 0o666),
				copyFile(filepath.Join(env.WorkDir, "model.tflite"), filepath.Join("..", "..", "testdata", "digits.tflite")),
				os.CopyFS(filepath.Join(env.WorkDir, "digits"), os.DirFS(filepath.Join("..", "..", "testdata", "digits"))),
			)
		},
		Condition: func(name string) (bool, error) {
			if name == "interpreter" {
				return interp.Available, nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// unfoldedModel has a batch norm behind a filter and one behind an activation.
func unfoldedModel() *tflite.Model {
	norm := func(b *tflitetest.Builder, x *tflite.Tensor) *tflite.Tensor {
		y := b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{4}, 1, 2, 3, 4))
		return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, y, b.Floats([]int{4}, -1, 0, 1, 2))
	}
	relu := tflitetest.Unary(schema.BuiltinOperatorRELU, nil)
	return tflitetest.Chain(tflitetest.Input(1, 8, 8, 3), tflitetest.Conv(4, 3), norm, relu, norm, tflitetest.Conv(4, 3))
}

// exits CODE PROGRAM ARGS... runs a program that must exit with CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}
