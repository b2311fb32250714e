package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	"dfq/tflite/interp"
	build "dfq/tflite/tflitetest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dfq": main})
}

// TestScripts runs the command line as people do. Each script finds the digit
// classifier as model.tflite, its images and labels in digits/, and two samples
// that rise from -1 to 1 in numbers.npy; besides batchnorm.tflite with unfolded
// batch norms, open.tflite, whose images are of any size, answers.tflite, whose answers
// are, several.tflite with two signatures and a graph of neither, softmax.tflite with a SOFTMAX, and
// number.tflite, whose answer is one number, with its negative in negative.tflite
// and a custom op in its place in custom.tflite; pair.tflite, and broken.tflite, which is that in INT8 with
// weights that its kernel cannot read.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			ramp := make([]float32, 2*32*32)
			for i := range ramp {
				ramp[i] = float32(2*i)/float32(len(ramp)-1) - 1
			}
			return errors.Join(
				writeModel(filepath.Join(env.WorkDir, "batchnorm.tflite"), unfoldedModel()),
				os.WriteFile(filepath.Join(env.WorkDir, "numbers.npy"), npyOf("<f4", "(2, 32, 32, 1)", ramp), 0o666),
				writeModel(filepath.Join(env.WorkDir, "open.tflite"), openModel()),
				writeModel(filepath.Join(env.WorkDir, "answers.tflite"), openAnswers()),
				writeModel(filepath.Join(env.WorkDir, "several.tflite"), severalGraphs()),
				writeModel(filepath.Join(env.WorkDir, "softmax.tflite"), build.Chain(build.Input(1, 4), build.Dense(3), build.Softmax())),
				writeModel(filepath.Join(env.WorkDir, "number.tflite"), build.Chain(build.Input(1, 4), build.Dense(1))),
				writeModel(filepath.Join(env.WorkDir, "negative.tflite"), build.Chain(build.Input(1, 4), build.Dense(1), build.Unary(schema.BuiltinOperatorNEG, nil))),
				writeModel(filepath.Join(env.WorkDir, "custom.tflite"), customModel()),
				writeModel(filepath.Join(env.WorkDir, "pair.tflite"), pairModel()),
				writeModel(filepath.Join(env.WorkDir, "broken.tflite"), brokenModel()),
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
	norm := func(b *build.Builder, x *tflite.Tensor) *tflite.Tensor {
		y := b.Op("mul", schema.BuiltinOperatorMUL, &schema.MulOptionsT{}, x.Shape, x, b.Floats([]int{4}, 1, 2, 3, 4))
		return b.Op("add", schema.BuiltinOperatorADD, &schema.AddOptionsT{PotScaleInt16: true}, x.Shape, y, b.Floats([]int{4}, -1, 0, 1, 2))
	}
	relu := build.Unary(schema.BuiltinOperatorRELU, nil)
	return build.Chain(build.Input(1, 8, 8, 3), build.Conv(4, 3), norm, relu, norm, build.Conv(4, 3))
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

func writeModel(name string, m *tflite.Model) error {
	data, err := tflite.Encode(m)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}

func openModel() *tflite.Model {
	m := build.Chain(build.Input(1, 1, 1, 3), build.Conv(4, 3, build.ReLU, build.Stride(2)), build.Mean(), build.Dense(5))
	m.Graphs[0].Inputs[0].Signature = []int{-1, -1, -1, 3}
	return m
}

// openAnswers states no number of positions of its output, as converters do where one is
// computed; the graph has 64 of them.
func openAnswers() *tflite.Model {
	m := build.Chain(build.Input(1, 8, 8, 3), build.Conv(4, 3))
	out := m.Graphs[0].Outputs[0]
	out.Shape, out.Signature = []int{1, 1, 1, 4}, []int{-1, -1, -1, 4}
	return m
}

func customModel() *tflite.Model {
	m := build.Chain(build.Input(1, 4), build.Dense(1))
	op := m.Graphs[0].Ops[0]
	op.Code, op.Custom, op.Options = schema.BuiltinOperatorCUSTOM, "Unknown", nil
	return m
}

func pairModel() *tflite.Model { return build.Chain(build.Input(1, 4), build.Dense(2)) }

func brokenModel() *tflite.Model {
	m, _, err := dfq.Quantize(pairModel(), &dfq.Options{Inputs: []dfq.InputRange{{Range: dfq.Range{Lo: -1, Hi: 1}}}})
	if err != nil {
		panic(err)
	}
	for _, t := range m.Graphs[0].Ops[0].Inputs[1:] {
		t.Quant.Scale, t.Quant.Zero = []float32{t.Quant.Scale[0], t.Quant.Scale[0]}, []int64{0, 0}
	}
	return m
}

func severalGraphs() *tflite.Model {
	m := build.Chain(build.Input(1, 8, 8, 3), build.Conv(4, 3, build.ReLU), build.Mean())
	for _, name := range []string{"decode", "idle"} {
		g := build.Chain(build.Input(1, 4), build.Dense(3)).Graphs[0]
		g.Name = name
		m.Graphs = append(m.Graphs, g)
	}
	for _, g := range m.Graphs[:2] {
		m.Signatures = append(m.Signatures, &tflite.Signature{Key: g.Name, Graph: g})
	}
	return m
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}
