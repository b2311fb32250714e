package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// proveFloat measures how far the float graph is from the one that was read,
// after everything that is meant to change no answer: normalization, absorption
// and equalization. The inputs are the made-up ones, which flatters steps that
// rest on statistics of the same inputs; the report calls it so.
func proveFloat(j *job) error {
	j.report.FloatTwin = j.model.Clone()
	for _, t := range j.graph.Outputs {
		if j.unseen[t] || !real(t) {
			return nil // its op cannot be run here
		}
	}
	open := j.opts.Interpreter
	if open == nil {
		open = evaluate
	}
	samples := j.samples[:min(len(j.samples), provingSamples)]
	diff, err := Compare(j.source, j.model, open, len(samples), func(i int) ([][]float32, error) { return samples[i], nil }, nil)
	if err != nil {
		return err
	}
	for _, o := range diff.Outputs {
		j.report.FloatSQNR = append(j.report.FloatSQNR, o.SQNR)
		if o.SQNR < leastFloatSQNR {
			j.report.warn("output %q of the equalized float graph is only %.1f dB from the original on made-up inputs; try --no-equalize", o.Name, o.SQNR)
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
