package dfq

import (
	"errors"
	"testing"
)

// Every number is handed out once, and of errors the first one comes back.
func TestInParallel(t *testing.T) {
	seen := make([]int, 100)
	eachInParallel(len(seen), func(i int) { seen[i]++ })
	for i, n := range seen {
		if n != 1 {
			t.Errorf("%d was handed out %d times", i, n)
		}
	}
	failed := errors.New("failed")
	if err := inParallel(3, func(func() (int, bool)) error { return failed }); err != failed {
		t.Errorf("error %v, want %v", err, failed)
	}
}

// A panic reaches whoever waits for the work: a pass puts its name to it.
func TestInParallelPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != "broken" {
			t.Errorf("recovered %v", r)
		}
	}()
	eachInParallel(3, func(i int) {
		if i == 1 {
			panic("broken")
		}
	})
	t.Error("went on")
}
