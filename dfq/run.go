package dfq

import (
	"fmt"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/tflite"
)

// eachSample runs n samples through m and hands the outputs to visit. Both functions are
// called from several goroutines, once per sample; what visit keeps by sample number
// does not depend on how many there are.
func eachSample(opts *Options, m *tflite.Model, n int, sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	m, pick := runnable(m)
	picked := func(i int) [][]float32 { return pick(sample(i)) }
	return inParallel(n, bytesToRun(m), func(next func() (int, bool)) error { return runAll(opts, m, next, picked, visit) })
}

// inTurn is eachSample on one goroutine.
func inTurn(opts *Options, m *tflite.Model, n int, sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	m, pick := runnable(m)
	i := -1
	next := func() (int, bool) { i++; return i, i < n }
	return runAll(opts, m, next, func(i int) [][]float32 { return pick(sample(i)) }, visit)
}

// runAll runs the samples that next names through a runnable model.
func runAll(opts *Options, m *tflite.Model, next func() (int, bool), sample func(i int) [][]float32, visit func(i int, outputs [][]float32)) error {
	open := opts.Interpreter
	if open == nil {
		open = evaluate
	}
	run, stop, err := open(m)
	if err != nil {
		return err
	}
	defer stop()
	for i, ok := next(); ok; i, ok = next() {
		outputs, err := run(sample(i))
		if err != nil {
			return err
		}
		visit(i, outputs)
	}
	return nil
}

// outputsOf are m's outputs in the first n of the samples that were kept, [sample][output].
func (j *job) outputsOf(m *tflite.Model, n int) ([][][]float32, error) {
	return outputsOn(j.opts, m, n, j.sample)
}

// outputsOn are m's outputs in n samples, [sample][output].
func outputsOn(opts *Options, m *tflite.Model, n int, sample func(i int) [][]float32) ([][][]float32, error) {
	values := make([][][]float32, n)
	return values, eachSample(opts, m, n, sample, func(i int, outputs [][]float32) {
		for _, v := range outputs {
			values[i] = append(values[i], slices.Clone(v))
		}
	})
}

// evaluate is the Interpreter that needs no C library.
func evaluate(m *tflite.Model) (Runner, func(), error) {
	e, err := ref.New(m)
	if err != nil {
		return nil, nil, err
	}
	return e.Run, func() {}, nil
}

// Evaluate is the Interpreter of float graphs that needs no C library. It has kernels for
// all that this package makes INT8, of releases newer than that library as well.
func Evaluate(m *tflite.Model) (Runner, func(), error) {
	c := m.Clone()
	if err := c.Densify(); err != nil {
		return nil, nil, err
	}
	for _, g := range c.Graphs {
		if t := quantizedActivation(g); t != nil {
			return nil, nil, fmt.Errorf("tensor %q is %s: %w", t.Name, t.Type, ErrQuantized)
		}
		if _, err := floatConstants(g); err != nil {
			return nil, nil, err
		}
	}
	return evaluate(c)
}

// eachRun calls do with the numbers of n samples and a Runner for each of the models, from
// several goroutines.
func eachRun(open Interpreter, models []*tflite.Model, n int, do func(i int, run []Runner) error) error {
	return inParallel(n, bytesToRun(models...), func(next func() (int, bool)) error {
		var run []Runner
		for _, m := range models {
			r, stop, err := open(m)
			if err != nil {
				return err
			}
			defer stop()
			run = append(run, r)
		}
		for i, ok := next(); ok; i, ok = next() {
			if err := do(i, run); err != nil {
				return fmt.Errorf("sample %d: %w", i, err)
			}
		}
		return nil
	})
}
