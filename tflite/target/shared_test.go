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

// TestSharedRuntimes: the real models pass for the runtimes that every phone
// has, once they are converted. A note is no fault of the file.
func TestSharedRuntimes(t *testing.T) {
	for _, file := range sharedModels(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tflite"), func(t *testing.T) {
			m, whole := converted(t, file)
			if !whole {
				t.Skip("not fully INT8")
			}
			for _, name := range []string{"tflite", "tflite-2.9", "xnnpack"} {
				found, err := target.Lint(m, name)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range found {
					if f.Severity > target.Note {
						t.Errorf("%s: %v", name, f)
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

// conversion is a model as the tests want it.
type conversion struct {
	model *tflite.Model
	whole bool // nothing of it stays float
}

var conversions = map[string]conversion{} // by file, of all tests

// converted reads a model and converts it if it is a float one. How good its
// ranges are is not the matter here.
func converted(t *testing.T, file string) (m *tflite.Model, whole bool) {
	t.Helper()
	if c, ok := conversions[file]; ok {
		return c.model, c.whole
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err = tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := dfq.Quantize(m, &dfq.Options{Samples: 1})
	c := conversion{q, err == nil}
	var unsupported *dfq.UnsupportedError
	switch {
	case errors.Is(err, dfq.ErrQuantized):
		c = conversion{m, true}
	case errors.As(err, &unsupported):
		if c.model, _, err = dfq.Quantize(m, &dfq.Options{Samples: 1, AllowFloat: true}); err != nil {
			t.Skipf("not converted: %v", err)
		}
	case err != nil:
		t.Fatal(err)
	}
	conversions[file] = c
	return c.model, c.whole
}
