package dfq

import (
	"math"
	"math/rand/v2"

	"dfq/dfq/internal/stimulus"
	"dfq/schema"
	"dfq/tflite"
)

// integers says what the numbers of an input that is not real stand for, as far as the ops
// show that read them, maybe behind such as only change its shape or type.
type integers struct {
	rows  int  // of the smallest table that they pick from, as tokens do; 0: none
	mask  bool // they become real numbers, as a mask does of what is there
	image bool // these have the shape of an image
	rate  bool // a number of values per second of sound
}

func integersOf(g *tflite.Graph, input *tflite.Tensor) integers {
	var is integers
	same := map[*tflite.Tensor]bool{input: true}
	for _, op := range g.Ops {
		table, picks, axis := 0, 1, 0
		switch {
		case spec(op).reshapes, op.Code == schema.BuiltinOperatorCAST:
			if len(op.Inputs) > 0 && len(op.Outputs) > 0 && same[op.Inputs[0]] {
				same[op.Outputs[0]] = !real(op.Outputs[0])
				is.mask = is.mask || real(op.Outputs[0])
				is.image = is.image || real(op.Outputs[0]) && stimulus.KindFor(op.Outputs[0].Shape) == stimulus.Leaves
			}
			continue
		case keepsIntegers(op, same):
			same[op.Outputs[0]] = !real(op.Outputs[0])
			continue
		case op.Code == schema.BuiltinOperatorGATHER:
			if o, ok := op.Options.(*schema.GatherOptionsT); ok {
				axis = int(o.Axis)
			}
		case op.Code == schema.BuiltinOperatorEMBEDDING_LOOKUP:
			table, picks = 1, 0
		case op.Custom == mfcc:
			is.rate = is.rate || len(op.Inputs) > 1 && same[op.Inputs[1]]
			continue
		default:
			continue
		}
		if len(op.Inputs) < 2 || !same[op.Inputs[picks]] || op.Inputs[table] == nil {
			continue
		}
		shape := op.Inputs[table].Shape
		if axis < 0 {
			axis += len(shape)
		}
		if axis >= 0 && axis < len(shape) && (is.rows == 0 || shape[axis] < is.rows) {
			is.rows = shape[axis]
		}
	}
	return is
}

// keepsIntegers reports whether op makes of such integers others of the same kind: it chooses, as Keras has Embedding
// choose x + rows where x is below 0, else x; or it keeps them within constants.
func keepsIntegers(op *tflite.Op, same map[*tflite.Tensor]bool) bool {
	in := op.Inputs
	switch op.Code {
	case schema.BuiltinOperatorSELECT, schema.BuiltinOperatorSELECT_V2:
		return len(in) == 3 && (same[in[1]] || same[in[2]])
	case schema.BuiltinOperatorMAXIMUM, schema.BuiltinOperatorMINIMUM, schema.BuiltinOperatorFLOOR_MOD:
		return len(in) == 2 && same[in[0]] && in[1].Constant()
	}
	return false
}

// real is the encoding of an input t that holds such integers and that the graph itself
// turns into real numbers, where these are pixels, or of a type so small that they are
// likely to have all of its values: UINT8 is pixels in any shape, INT16 sound.
func (is integers) real(t *tflite.Tensor) (Encoding, bool) {
	if t.Quant != nil || !is.mask || is.rows > 0 {
		return Encoding{}, false
	}
	switch t.Type {
	case schema.TensorTypeUINT8:
		return interval(0, 255), true
	case schema.TensorTypeINT8:
		return interval(math.MinInt8, math.MaxInt8), true
	case schema.TensorTypeINT16:
		return interval(math.MinInt16, math.MaxInt16), true
	case schema.TensorTypeINT32, schema.TensorTypeINT64:
		return interval(0, 255), is.image
	}
	return Encoding{}, false
}

// sentence is from how many tokens on some at the end may be padding.
const sentence = 4

// fill makes such numbers up: any rows of the table, for half of a sentence at least, and behind it the
// first one, which is what padding has; the rate of made-up sounds; ones and then zeros, half of
// them ones at least; else zeros.
func (is integers) fill(v []float32, random *rand.Rand) {
	switch {
	case is.rows > 1:
		n := len(v)
		if n >= sentence {
			n = halfAtLeast(n, random)
		}
		for k := range n {
			v[k] = float32(random.IntN(is.rows))
		}
	case is.rate:
		for k := range v {
			v[k] = stimulus.SoundRate
		}
	case is.mask && len(v) > 0:
		for k := range halfAtLeast(len(v), random) {
			v[k] = 1
		}
	}
}

// halfAtLeast is a number from above half of n to n.
func halfAtLeast(n int, random *rand.Rand) int { return n/2 + random.IntN(n-n/2) + 1 }
