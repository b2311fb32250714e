package dfq

import (
	"runtime"
	"sync"
)

// inParallel runs work on as many goroutines as there are processors; next
// hands out the numbers 0 … n−1, each once. It returns the first error, and a panic
// of work is one of its caller.
func inParallel(n int, work func(next func() (int, bool)) error) error {
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
	for range min(runtime.GOMAXPROCS(0), n) {
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

// eachInParallel calls do with the numbers 0 … n−1, on as many goroutines as there are
// processors.
func eachInParallel(n int, do func(i int)) {
	inParallel(n, func(next func() (int, bool)) error {
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
