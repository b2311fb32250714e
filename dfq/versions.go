package dfq

import (
	"bytes"

	"dfq/schema"
	"dfq/tflite"
)

// setVersions writes the version of every op's int8 form, and the oldest
// runtime that has them all.
func setVersions(j *job) error {
	oldest := "1.14.0" // the first with int8 kernels, QUANTIZE v1 and DEQUANTIZE v2
	others := false    // ops whose needs dfq does not know
	for _, op := range j.graph.Ops {
		switch {
		case op.Code == schema.BuiltinOperatorQUANTIZE || op.Code == schema.BuiltinOperatorDEQUANTIZE:
		case j.float[op] != "" || spec(op).versions == nil || !quantized(op):
			others = true
		default:
			v := spec(op).version(op)
			lowest, _ := j.limits.Versions(op.Code)
			op.Version = max(v.number, lowest)
			if newer(v.runtime, oldest) {
				oldest = v.runtime
			}
		}
	}
	setMinRuntime(j.model, oldest, others || len(j.model.Graphs) > 1)
	return nil
}

// quantized reports whether op touches an int8 tensor.
func quantized(op *tflite.Op) bool {
	for _, ts := range [][]*tflite.Tensor{op.Inputs, op.Outputs} {
		for _, t := range ts {
			if t != nil && t.Type == schema.TensorTypeINT8 && t.Quant != nil {
				return true
			}
		}
	}
	return false
}

const minRuntimeKey = "min_runtime_version"

// setMinRuntime records a runtime version as the format does: 16 bytes, padded
// with zeros. Where ops stay as they were, whose needs dfq does not know, an
// entry of the file's own is only ever raised.
func setMinRuntime(m *tflite.Model, runtime string, raiseOnly bool) {
	for _, md := range m.Metadata {
		if md.Name == minRuntimeKey {
			if old := string(bytes.TrimRight(md.Data, "\x00")); raiseOnly && newer(old, runtime) {
				runtime = old
			}
			md.Data = padded(runtime)
			return
		}
	}
	m.Metadata = append(m.Metadata, &tflite.Metadata{Name: minRuntimeKey, Data: padded(runtime)})
}

func padded(s string) []byte {
	b := make([]byte, 16)
	copy(b, s)
	return b
}
