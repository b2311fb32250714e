package target_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/target"
)

// foreign are custom operators of the real models that no release of TensorFlow
// Lite has a kernel for.
var foreign = map[string]bool{"Convolution2DTransposeBias": true}

// TestSharedRuntimes: the real models pass for the runtimes that every phone
// has, once they are converted. A note is no fault of the file: it tells of an op
// that XNNPACK has on float only, which the runtime's own kernel runs.
func TestSharedRuntimes(t *testing.T) {
	for _, file := range sharedModels(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tflite"), func(t *testing.T) {
			for _, c := range []struct{ made, held string }{{"", "tflite"}, {"", "tflite-2.9"}, {"", "xnnpack"}, {"tflite", "tflite"}} {
				found, err := target.Lint(converted(t, file, c.made), c.held)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range found {
					if f.Severity > target.Note && !foreign[f.Name] {
						t.Errorf("converted for %q, %s: %v", c.made, c.held, f)
					}
				}
			}
		})
	}
}

// sharedModels lists the real models beside the checkout, or skips.
func sharedModels(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "models", "*.tflite"))
	if len(files) == 0 {
		t.Skip("no models in ../shared/models")
	}
	return files
}

var conversions = map[[2]string]*tflite.Model{} // by file and target, of all tests

// converted reads a model and converts it, for a target or none, if it is a float
// one. How good its ranges are is not the matter here.
func converted(t *testing.T, file, name string) *tflite.Model {
	t.Helper()
	key := [2]string{file, name}
	if m := conversions[key]; m != nil {
		return m
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := dfq.Quantize(m, &dfq.Options{Samples: 1, AllowFloat: true, Target: name})
	if errors.Is(err, dfq.ErrQuantized) {
		q, err = m, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	conversions[key] = q
	return q
}
