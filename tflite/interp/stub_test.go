//go:build !tflite

package interp

import (
	"errors"
	"testing"
)

func TestUnavailable(t *testing.T) {
	in, err := New(nil, 1)
	if in != nil || !errors.Is(err, ErrUnavailable) || Available {
		t.Errorf("New = %v, %v, Available = %v; want nil, ErrUnavailable, false", in, err, Available)
	}
	if _, err := new(Interpreter).Run(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Run: %v", err)
	}
	if _, err := new(Interpreter).RunInPlace(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("RunInPlace: %v", err)
	}
}
