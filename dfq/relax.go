package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// relaxReLU6 replaces RELU6 by RELU, as the paper does so that any scale may
// pass. It changes the function wherever the cap is reached.
func relaxReLU6(j *job) error {
	relaxed := 0
	for _, op := range j.graph.Ops {
		if op.Activation() == schema.ActivationFunctionTypeRELU6 && j.float[op] == "" {
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
