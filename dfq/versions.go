package dfq

import (
	"bytes"
	"slices"

	"dfq/dfq/internal/affine"
	"dfq/schema"
	"dfq/tflite"
)

// setVersions writes the version of every op's quantized form, with the options
// that this form needs, and the oldest runtime that has them all.
func setVersions(j *job) error {
	oldest := "1.14.0" // the first with int8 kernels
	others := false    // ops whose needs dfq does not know
	for _, op := range j.graph.Ops {
		s, v := spec(op), version{}
		switch {
		case op.Code == schema.BuiltinOperatorQUANTIZE || op.Code == schema.BuiltinOperatorDEQUANTIZE:
			if !quantized(op) {
				continue
			}
			v = conversionVersion(op)
		case j.float[op] != "" || s.versions == nil || !quantized(op):
			others = true
			continue
		default:
			v = s.version(j.grid(), op)
		}
		op.Version = v.number
		if s.anyScale != nil && j.grid() == affine.Int16 {
			op.Options = s.anyScale(op.Options)
		}
		if newer(v.runtime, oldest) {
			oldest = v.runtime
		}
	}
	setMinRuntime(j.model, oldest, others || len(j.model.Graphs) > 1)
	return nil
}

// conversionVersion is the version of a QUANTIZE or DEQUANTIZE.
func conversionVersion(op *tflite.Op) version {
	int16 := slices.ContainsFunc(slices.Concat(op.Inputs, op.Outputs), func(t *tflite.Tensor) bool { return t != nil && t.Type == schema.TensorTypeINT16 })
	switch {
	case op.Code == schema.BuiltinOperatorQUANTIZE && int16:
		return version{number: 2, runtime: "2.4.0"} // from float since 1.15
	case op.Code == schema.BuiltinOperatorQUANTIZE:
		return version{number: 1, runtime: "1.14.0"}
	case int16:
		return version{number: 3, runtime: "1.15.0"}
	}
	return version{number: 2, runtime: "1.14.0"}
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
