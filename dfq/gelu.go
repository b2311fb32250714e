package dfq

import (
	"math"
	"slices"

	"dfq/dfq/internal/ref"
	"dfq/schema"
	"dfq/tflite"
)

// writeGelus writes GELU for what converters make of it that have no error function: a
// rational function or e to the minus x², some thirty ops, of which DIV and EXP have an
// INT8 form in newer releases only, and lose more by it than GELU does. By TANH they stay
// where all have one, since fewer NPUs know GELU.
func writeGelus(j *job) {
	known := j.limits.Takes(schema.BuiltinOperatorGELU)
	producers, parts := j.graph.Producers(), map[*tflite.Op]bool{}
	for _, op := range j.graph.Ops {
		if op.Code != schema.BuiltinOperatorMUL || !real(op.Outputs[0]) || op.Outputs[0].Len() == 0 {
			continue
		}
		for _, x := range factorsOf(op, producers) {
			inside := between(x, op, producers, ofEachValue)
			better := func(o *tflite.Op) bool {
				return known && (o.Code == schema.BuiltinOperatorDIV || o.Code == schema.BuiltinOperatorEXP) || j.whyFloat(o, producers) != ""
			}
			if !slices.ContainsFunc(inside, better) || !isGelu(x, op.Outputs[0], inside) {
				continue
			}
			gelu := &tflite.Op{Code: schema.BuiltinOperatorGELU, Version: 1, Options: &schema.GeluOptionsT{}, Inputs: []*tflite.Tensor{x}, Outputs: op.Outputs}
			if j.whyFloat(gelu, producers) == "" {
				for _, o := range inside[:len(inside)-1] {
					parts[o] = true
				}
				op.Code, op.Version, op.Options, op.Inputs = gelu.Code, gelu.Version, gelu.Options, gelu.Inputs
				break
			}
		}
	}
	j.graph.KeepNeeded(func(op *tflite.Op) bool { return spec(op).versions == nil && !parts[op] })
}

// factorsOf are the activations whose product op is, and of a factor that is a product of
// its own those as well.
func factorsOf(op *tflite.Op, producers map[*tflite.Tensor]*tflite.Op) []*tflite.Tensor {
	var factors []*tflite.Tensor
	for _, t := range op.Inputs {
		if p := producers[t]; p != nil && p.Code == schema.BuiltinOperatorMUL {
			factors = append(factors, p.Inputs...)
		}
		factors = append(factors, t)
	}
	return slices.DeleteFunc(factors, func(t *tflite.Tensor) bool {
		return t.Constant() || !real(t) || !slices.Equal(t.Shape, op.Outputs[0].Shape)
	})
}

// ofEachValue reports whether op works on each value by itself.
func ofEachValue(op *tflite.Op) bool {
	switch op.Code {
	case schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB, schema.BuiltinOperatorMUL, schema.BuiltinOperatorDIV, schema.BuiltinOperatorPOW,
		schema.BuiltinOperatorMINIMUM, schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorABS, schema.BuiltinOperatorNEG, schema.BuiltinOperatorSIGN,
		schema.BuiltinOperatorEXP, schema.BuiltinOperatorTANH:
		return real(op.Outputs[0])
	}
	return false
}

// isGelu runs the ops, in their order, on values from −32 to 32.
func isGelu(x, y *tflite.Tensor, ops []*tflite.Op) bool {
	const n, far, most = 4097, 32, 1e-3
	own := map[*tflite.Tensor]*tflite.Tensor{}
	of := func(t *tflite.Tensor) *tflite.Tensor {
		if own[t] == nil {
			own[t] = &tflite.Tensor{Name: t.Name, Shape: []int{n}}
			if t.Constant() {
				own[t].Shape = nil
				own[t].SetFloats(t.Floats()[:1])
			}
		}
		return own[t]
	}
	g := &tflite.Graph{Inputs: []*tflite.Tensor{of(x)}, Outputs: []*tflite.Tensor{of(y)}}
	for _, op := range ops {
		c := *op
		c.Inputs, c.Outputs = nil, []*tflite.Tensor{of(op.Outputs[0])}
		for _, t := range op.Inputs {
			c.Inputs = append(c.Inputs, of(t))
		}
		g.Ops = append(g.Ops, &c)
	}
	e, err := ref.New(&tflite.Model{Graphs: []*tflite.Graph{g}})
	if err != nil {
		return false
	}
	in := make([]float32, n)
	for i := range in {
		in[i] = float32(far*float32(i)/((n-1)/2)) - far
	}
	out, err := e.Run([][]float32{in})
	if err != nil {
		return false
	}
	for i, v := range in {
		u := float64(v)
		if want := float64(u / 2 * (1 + math.Erf(u/math.Sqrt2))); !(math.Abs(float64(out[0][i])-want) < most) {
			return false
		}
	}
	return true
}
