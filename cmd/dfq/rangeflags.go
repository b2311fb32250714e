package main

import (
	"math"
	"strconv"
	"strings"

	"dfq/dfq"
	"dfq/tflite"

	"github.com/spf13/pflag"
)

// rangeFlags state what numbers a model's inputs hold.
type rangeFlags struct {
	ranges    []string
	mean, std []float64
}

func (f *rangeFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.ranges, "input-range", nil, "real values of an input as `LO,HI`, or auto; once for each input, in order (default: found)")
	flags.Float64SliceVar(&f.mean, "mean", nil, "the input holds pixels p of 0..255 as (p-mean)/std; `M` or M,M,M by channel")
	flags.Float64SliceVar(&f.std, "std", nil, "see --mean; `S` or S,S,S by channel")
	flags.Lookup("mean").DefValue, flags.Lookup("std").DefValue = "", "" // not []
}

// inputs returns what is stated of a model's inputs, those of its main graph
// first.
func (f *rangeFlags) inputs(m *tflite.Model) ([]dfq.InputRange, error) {
	inputs := m.Graphs[0].Inputs
	if len(f.mean)+len(f.std) > 0 {
		if len(f.ranges) > 0 {
			return nil, usagef("--input-range and --mean/--std exclude each other")
		}
		return f.normalization(inputs)
	}
	total := 0
	for _, k := range dfq.Entries(m) {
		total += len(m.Graphs[k].Inputs)
	}
	if len(f.ranges) > total {
		return nil, usagef("--input-range is given %d times; inputs of the model: %d", len(f.ranges), total)
	}
	stated := make([]dfq.InputRange, len(f.ranges))
	for i, s := range f.ranges {
		if s == "auto" {
			continue
		}
		lo, hi, ok := parseRange(s)
		if !ok {
			return nil, usagef("--input-range %q is not LO,HI with LO below HI, in float32", s)
		}
		stated[i].Range = dfq.Range{Lo: lo, Hi: hi}
	}
	return stated, nil
}

// normalization returns the mean and deviation of the only input.
func (f *rangeFlags) normalization(inputs []*tflite.Tensor) ([]dfq.InputRange, error) {
	if len(f.mean) == 0 || len(f.std) == 0 {
		return nil, usagef("--mean and --std go together")
	}
	if len(inputs) != 1 {
		return nil, usagef("--mean and --std are for models with one input, this one has %d; use --input-range", len(inputs))
	}
	channels := 1
	if shape := inputs[0].Shape; len(shape) > 0 {
		channels = shape[len(shape)-1]
	}
	for _, list := range []struct {
		flag   string
		values []float64
	}{{"--mean", f.mean}, {"--std", f.std}} {
		if n := len(list.values); n != 1 && n != channels {
			return nil, usagef("%s has %d values, the input has %d channels", list.flag, n, channels)
		}
	}
	for i := range max(len(f.mean), len(f.std)) {
		mean, std := f.mean[min(i, len(f.mean)-1)], f.std[min(i, len(f.std)-1)]
		if !finite(mean) || !finite(std) || std <= 0 || !usable(-mean/std, (255-mean)/std) {
			return nil, usagef("--mean %g and --std %g do not normalize", mean, std)
		}
	}
	return []dfq.InputRange{{Mean: f.mean, Std: f.std}}, nil
}

func parseRange(s string) (lo, hi float64, ok bool) {
	left, right, found := strings.Cut(s, ",")
	lo, errLo := strconv.ParseFloat(strings.TrimSpace(left), 64)
	hi, errHi := strconv.ParseFloat(strings.TrimSpace(right), 64)
	return lo, hi, found && errLo == nil && errHi == nil && usable(lo, hi)
}

func usable(lo, hi float64) bool {
	return dfq.Encoding{Lo: []float64{lo}, Hi: []float64{hi}}.Usable()
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
