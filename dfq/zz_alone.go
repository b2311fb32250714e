package dfq

import (
	"fmt"
	"math"
	"os"
	"sort"

	"dfq/schema"
	"dfq/tflite"
)

func init() {
	debugAlone = func(j *job) {
		if os.Getenv("ALONE") == "" {
			return
		}
		out := j.graph.Outputs
		base, _ := copyWithTensors(j.model, nil)
		clean(base)
		samples := j.samples[:8]
		ref := make([][]float32, len(samples))
		eachSample(j.opts, base, samples, func(i int, o [][]float32) { ref[i] = append([]float32{}, o[0]...) })
		type row struct {
			name string
			nsr  float64
		}
		var rows []row
		total := 0.0
		for _, t := range j.graph.Tensors() {
			if t.Constant() || !real(t) || t.Quant == nil || t == out[0] {
				continue
			}
			m, found := copyWithTensors(j.model, []*tflite.Tensor{t})
			q := t.Quant
			clean(m)
			f := found[0]
			qt := f.Clone()
			qt.Name += "_q"
			qt.Type = schema.TensorTypeINT8
			qt.Quant = q
			dq := f.Clone()
			dq.Name += "_dq"
			g := m.Graphs[0]
			var ops []*tflite.Op
			ins := func() {
				ops = append(ops, &tflite.Op{Code: schema.BuiltinOperatorQUANTIZE, Version: 1, Options: &schema.QuantizeOptionsT{}, Inputs: []*tflite.Tensor{f}, Outputs: []*tflite.Tensor{qt}},
					&tflite.Op{Code: schema.BuiltinOperatorDEQUANTIZE, Version: 2, Options: &schema.DequantizeOptionsT{}, Inputs: []*tflite.Tensor{qt}, Outputs: []*tflite.Tensor{dq}})
			}
			for _, in := range g.Inputs {
				if in == f {
					ins()
				}
			}
			for _, op := range g.Ops {
				for k, x := range op.Inputs {
					if x == f {
						op.Inputs[k] = dq
					}
				}
				ops = append(ops, op)
				for _, o := range op.Outputs {
					if o == f {
						ins()
					}
				}
			}
			g.Ops = ops
			s, n := make([]float64, len(samples)), make([]float64, len(samples))
			err := eachSample(j.opts, m, samples, func(i int, o [][]float32) {
				for k, x := range o[0] {
					s[i] += float64(ref[i][k]) * float64(ref[i][k])
					n[i] += float64(x-ref[i][k]) * float64(x-ref[i][k])
				}
			})
			if err != nil {
				fmt.Println(err)
			}
			S, N := 0.0, 0.0
			for i := range s {
				S += s[i]
				N += n[i]
			}
			rows = append(rows, row{t.Name, N / S})
			total += N / S
		}
		sort.Slice(rows, func(a, b int) bool { return rows[a].nsr > rows[b].nsr })
		fmt.Printf("sum of activation noise %.1f dB\n", -10*math.Log10(total))
		for i, r := range rows {
			if i < 30 {
				fmt.Printf("   %6.1f dB %s\n", -10*math.Log10(r.nsr), r.name)
			}
		}
	}
}

func clean(m *tflite.Model) {
	for _, t := range m.Graphs[0].Tensors() {
		t.Quant = nil
	}
}
