package dfq

import (
	"errors"
	"math"
	"runtime"
	"testing"
)

// Every number is handed out once, and of errors the first one comes back.
func TestInParallel(t *testing.T) {
	seen := make([]int, 100)
	eachInParallel(len(seen), 0, func(i int) { seen[i]++ })
	for i, n := range seen {
		if n != 1 {
			t.Errorf("%d was handed out %d times", i, n)
		}
	}
	failed := errors.New("failed")
	if err := inParallel(3, 0, func(func() (int, bool)) error { return failed }); err != failed {
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
	eachInParallel(3, 0, func(i int) {
		if i == 1 {
			panic("broken")
		}
	})
	t.Error("went on")
}

// On many processors as much is done at once as memory is meant for, and never less
// than two.
func TestAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(64))
	for bytes, want := range map[int]int{0: 64, 1: 64, parallelMemory / 64: 64, parallelMemory / 10: 10, parallelMemory: 2, math.MaxInt: 2} {
		if got := atOnce(bytes); got != want {
			t.Errorf("%d at once that hold %d bytes each, want %d", got, bytes, want)
		}
	}
	runtime.GOMAXPROCS(1)
	if got := atOnce(parallelMemory); got != 1 {
		t.Errorf("%d at once on one processor", got)
	}
}
