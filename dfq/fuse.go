package dfq

import (
	"dfq/schema"
	"dfq/tflite"
)

// fuseActivations moves RELU, RELU6 and RELU_N1_TO_1 ops into the op before
// where it is their only input's producer and has none yet, and drops those
// that cut nothing any more. An int8 tensor then need not spend half its range
// on values that are cut away next.
func fuseActivations(j *job) error {
	links, fused := linksOf(j.graph), map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		act := spec(op).activation
		if act == schema.ActivationFunctionTypeNONE || !real(op.Inputs[0]) {
			continue
		}
		before := links.maker(op.Inputs[0])
		if before == nil || !takesActivation(before, act) {
			continue
		}
		both, ok := composed(before.Activation(), act)
		if !ok {
			continue
		}
		before.Options = withActivation(before.Options, both)
		before.Outputs[0] = op.Outputs[0]
		links.producers[op.Outputs[0]] = before
		fused[op] = true
	}
	removeOps(j.graph, fused)
	j.report.Fused = len(fused)
	return nil
}
