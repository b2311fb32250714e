package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"dfq/tflite/interp"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dfq": main})
}

// TestScripts runs the command line as people do. Each script finds the digit
// classifier as model.tflite, its images and labels in digits/, and two samples
// that rise from -1 to 1 in numbers.npy.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			ramp := make([]float32, 2*32*32)
			for i := range ramp {
				ramp[i] = float32(2*i)/float32(len(ramp)-1) - 1
			}
			return errors.Join(
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
