package dfq

import (
	"runtime"
	"sync"

	"dfq/tflite"
)

// inParallel runs work on several goroutines; next hands out the numbers 0 … n−1, each
// once. It returns the first error, and a panic of work is one of its caller. Each
// goroutine holds so many bytes meanwhile, see atOnce.
func inParallel(n, bytes int, work func(next func() (int, bool)) error) error {
	var (
		mu       sync.Mutex
		given    int
		first    error
		panicked any
		wait     sync.WaitGroup
	)
	next := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if given >= n || first != nil || panicked != nil {
			return 0, false
		}
		given++
		return given - 1, true
	}
	for range min(atOnce(bytes), n) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer func() {
				if r := recover(); r != nil {
					mu.Lock()
					defer mu.Unlock()
					panicked = r
				}
			}()
			if err := work(next); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		}()
	}
	wait.Wait()
	if panicked != nil {
		panic(panicked)
	}
	return first
}

// atOnce is how many goroutines may hold so many bytes each: one for each processor, but
// on a server of many no more than fit parallelMemory, and two.
func atOnce(bytes int) int {
	return min(runtime.GOMAXPROCS(0), max(2, parallelMemory/max(1, bytes)))
}

const parallelMemory = 1 << 30

// bytesToRun is about what a run of models takes: constants stand in the file and once
// more as the kernels want them, activations in the interpreter and, if they are asked
// for, in the answer.
func bytesToRun(models ...*tflite.Model) int {
	n := 0
	for _, m := range models {
		for _, g := range m.Graphs {
			for _, t := range g.Tensors() {
				n += 8 * t.Len()
			}
		}
	}
	return n
}

// eachInParallel calls do with the numbers 0 … n−1 on several goroutines, which hold so
// many bytes each, 0 where that is next to nothing.
func eachInParallel(n, bytes int, do func(i int)) {
	inParallel(n, bytes, func(next func() (int, bool)) error {
		for i, ok := next(); ok; i, ok = next() {
			do(i)
		}
		return nil
	})
}

// ordered returns a function that takes numbered results in any order, from any
// goroutine, and hands them to use one by one in the order of their numbers: sums
// then do not depend on who was first, and nothing waits but what is early.
func ordered[T any](use func(T)) func(number int, result T) {
	var mu sync.Mutex
	next, early := 0, map[int]T{}
	return func(number int, result T) {
		mu.Lock()
		defer mu.Unlock()
		early[number] = result
		for r, ok := early[next]; ok; r, ok = early[next] {
			use(r)
			delete(early, next)
			next++
		}
	}
}
