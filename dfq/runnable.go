package dfq

import (
	"fmt"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// behindUnknown are the tensors of which nothing is to be learnt by running the
// graph here, with a clause that says why: what some ops compute, and all that
// follows from it.
func behindUnknown(m *tflite.Model, inGo bool) map[*tflite.Tensor]string {
	u := unknowns{m, inGo, map[int]string{}}
	behind := map[*tflite.Tensor]string{}
	for _, op := range m.Graphs[0].Ops {
		why := u.op(op)
		for _, t := range op.Inputs {
			if why == "" {
				why = behind[t]
			}
		}
		for _, t := range op.Outputs {
			if t != nil && why != "" {
				behind[t] = why
			}
		}
	}
	return behind
}

// unknowns finds the ops that cannot be run here.
type unknowns struct {
	model  *tflite.Model
	inGo   bool           // there is no interpreter
	graphs map[int]string // what is known of graphs that ops run
}

// libraryRuns are custom operators that TensorFlow Lite has itself, and that other ops
// follow: what makes features of sounds.
var libraryRuns = map[string]bool{"AudioSpectrogram": true, mfcc: true}

const mfcc = "Mfcc"

// op says why op cannot be run, or why a run here says nothing of runs
// elsewhere; empty if it does.
func (u *unknowns) op(op *tflite.Op) string {
	if op.Code == schema.BuiltinOperatorCUSTOM && (u.inGo || !libraryRuns[op.Custom]) {
		return "a custom op computes"
	}
	for _, t := range slices.Concat(op.Inputs, op.Outputs) {
		switch {
		case t == nil:
		case !numeric(t):
			return fmt.Sprintf("%s makes with %s tensors", op.Code, t.Type)
		case t.Variable && !spec(op).wholeSequence:
			return "depends on earlier runs"
		}
	}
	for _, k := range op.Callees() {
		if why := u.graph(k); why != "" {
			return why
		}
	}
	if u.inGo && !ref.Supported(op) {
		return fmt.Sprintf("%s computes, which cannot be run without the TensorFlow Lite library", op.Code)
	}
	return ""
}

// graph is op for all ops of graph k.
func (u *unknowns) graph(k int) string {
	if why, ok := u.graphs[k]; ok {
		return why
	}
	why := ""
	for _, op := range u.model.Graphs[k].Ops {
		if why = u.op(op); why != "" {
			break
		}
	}
	u.graphs[k] = why
	return why
}

// numeric reports whether a tensor holds numbers, and not text or a handle of
// something elsewhere.
func numeric(t *tflite.Tensor) bool {
	switch t.Type {
	case schema.TensorTypeSTRING, schema.TensorTypeRESOURCE, schema.TensorTypeVARIANT:
		return false
	}
	return true
}

// runnable returns m with what its outputs need and nothing else, but for inputs
// that hold no numbers, which no evaluator here takes, and what picks the inputs
// that are left out of all of them.
func runnable(m *tflite.Model) (*tflite.Model, func(inputs [][]float32) [][]float32) {
	g := *m.Graphs[0]
	all := g.Inputs
	g.Inputs = slices.DeleteFunc(slices.Clone(all), func(t *tflite.Tensor) bool { return !numeric(t) })
	pick := func(inputs [][]float32) [][]float32 {
		if len(inputs) != len(all) {
			return inputs // the run will say so
		}
		var left [][]float32
		for i, v := range inputs {
			if numeric(all[i]) {
				left = append(left, v)
			}
		}
		return left
	}
	g.KeepNeeded(nil)
	run := &tflite.Model{Graphs: []*tflite.Graph{{Name: g.Name, Inputs: g.Inputs, Outputs: g.Outputs, Ops: g.Ops}}}
	needed := map[int]bool{}
	var need func(ops []*tflite.Op)
	need = func(ops []*tflite.Op) {
		for _, op := range ops {
			for _, k := range op.Callees() {
				if !needed[k] {
					needed[k] = true
					need(m.Graphs[k].Ops)
				}
			}
		}
	}
	need(g.Ops)
	for k := 1; len(needed) > 0 && k < len(m.Graphs); k++ {
		if needed[k] {
			run.Graphs = append(run.Graphs, m.Graphs[k])
		} else {
			run.Graphs = append(run.Graphs, &tflite.Graph{}) // in its place, since ops count
		}
	}
	return run, pick
}
