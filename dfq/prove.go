package dfq

import (
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// proveFloat measures how far the float graph is from the one that was read,
// after everything that is meant to change no answer: normalization, absorption
// and equalization. The inputs are the made-up ones, which flatters steps that
// rest on statistics of the same inputs; the report calls it so. Weights that are
// stored smaller are made float first: an op of int8 weights rounds its input as
// well, which is no step of ours.
func proveFloat(j *job) error {
	j.report.FloatTwin = j.model.Clone()
	for _, t := range j.graph.Outputs {
		if j.unseen[t] != "" || !real(t) {
			return nil // its op cannot be run here
		}
	}
	source := j.source.Clone()
	constants, err := floatConstants(source.Graphs[0])
	if err != nil {
		return err
	}
	replaceInSignatures(source, constants)
	samples := j.samples[:min(len(j.samples), provingSamples)]
	var answers [2][][][]float32 // of the file's graph and of this one, one after the other: both at once need twice the memory
	for side, m := range []*tflite.Model{source, j.model} {
		answers[side] = make([][][]float32, len(samples))
		if err := eachSample(j.opts, m, samples, func(i int, outputs [][]float32) {
			for _, v := range outputs {
				answers[side][i] = append(answers[side][i], slices.Clone(v))
			}
		}); err != nil {
			return err
		}
	}
	for k, t := range j.graph.Outputs {
		var sum errorSums
		for i := range samples {
			sum.add(answers[0][i][k], answers[1][i][k], 1)
		}
		d := sum.diff(t.Name)
		j.report.FloatSQNR = append(j.report.FloatSQNR, d.SQNR)
		if d.SQNR < leastFloatSQNR {
			j.report.warn("output %q of the equalized float graph is only %.1f dB from the original on made-up inputs; try --no-equalize", t.Name, d.SQNR)
		}
	}
	return nil
}

const (
	provingSamples = 4
	leastFloatSQNR = 40
)

// relaxReLU6 replaces RELU6 by RELU, as the paper does so that any scale may
// pass. It changes the function wherever the cap is reached.
func relaxReLU6(j *job) error {
	relaxed := 0
	for _, op := range j.graph.Ops {
		if activation(op) == schema.ActivationFunctionTypeRELU6 && j.float[op] == "" {
			op.Options = withActivation(op.Options, schema.ActivationFunctionTypeRELU)
			relaxed++
		}
		if op.Code == schema.BuiltinOperatorRELU6 && j.float[op] == "" {
			*op = tflite.Op{Code: schema.BuiltinOperatorRELU, Version: 1, Inputs: op.Inputs, Outputs: op.Outputs}
			relaxed++
		}
	}
	if relaxed > 0 {
		j.report.warn("%d RELU6 became RELU: the float function changed where they capped", relaxed)
	}
	return nil
}
