//go:build tflite

package interp

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"dfq/schema"
	"dfq/tflite"
)

// check refuses what the C library would not survive: it takes much of a file on
// trust, and some of what it does check ends the process.
//
// It knows what the file says, and not what is computed. These still end the
// process:
//   - indices made by other operators, where GATHER and GATHER_ND find them too
//     large, SCATTER_ND and SPARSE_TO_DENSE too large or negative, and SLICE
//     negative; many a sound model looks things up by what it has computed
//     (those that are inputs are looked at in each run);
//   - sizes made by other operators, as of RESIZE_BILINEAR or FILL, and outputs
//     that are larger than the file says, where there is no memory for them.
func check(m *tflite.Model) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if err := cmp.Or(checkLoops(m), checkVariables(m)); err != nil {
		return err
	}
	for _, g := range m.Graphs {
		variables := variablesOf(g)
		for _, t := range g.Tensors() {
			if variables[t] {
				continue
			}
			if err := checkTensor(t); err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
		}
		for _, op := range g.Ops {
			err := checkOp(op)
			if err == nil {
				err = checkIndices(g, op)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", g.Place(op), err)
			}
		}
	}
	return checkMemory(m)
}

// sparse reports whether a model has sparse constants.
func sparse(m *tflite.Model) bool {
	return slices.ContainsFunc(m.Graphs, func(g *tflite.Graph) bool { return slices.ContainsFunc(g.Tensors(), (*tflite.Tensor).Sparse) })
}

// checkLoops refuses graphs that two WHILEs run: the first leaves them with tensors that
// the second frees.
func checkLoops(m *tflite.Model) error {
	runs := map[int]*tflite.Op{}
	for _, g := range m.Graphs {
		for _, op := range g.Ops {
			if op.Code != schema.BuiltinOperatorWHILE {
				continue
			}
			for _, k := range op.Callees() {
				if first := runs[k]; first != nil && first != op {
					return fmt.Errorf("%s: it runs subgraph %d, as another WHILE does; the interpreter takes a graph for one loop only", g.Place(op), k)
				}
				runs[k] = op
			}
		}
	}
	return nil
}

// shapeOf is the shape of op's first input, nil if there is none.
func shapeOf(op *tflite.Op) []int {
	if len(op.Inputs) == 0 || op.Inputs[0] == nil {
		return nil
	}
	return op.Inputs[0].Shape
}

// checkTensor refuses types without numbers, which an operator that is not made
// for them takes for pointers, and scales that are no positive numbers.
func checkTensor(t *tflite.Tensor) error {
	switch t.Type {
	case schema.TensorTypeSTRING, schema.TensorTypeRESOURCE, schema.TensorTypeVARIANT:
		return fmt.Errorf("type %v does not hold numbers", t.Type)
	case schema.TensorTypeFLOAT32:
		return nil
	}
	if t.Quant == nil {
		return nil
	}
	for c, s := range t.Quant.Scale {
		if !(s > 0 && s <= math.MaxFloat32) {
			return fmt.Errorf("scale %d is %g, not a positive number", c, s)
		}
	}
	return nil
}

// optional tells which operators may leave inputs out. The kernels of all others
// read every input.
var optional = map[schema.BuiltinOperator]bool{
	schema.BuiltinOperatorCONV_2D:                      true,
	schema.BuiltinOperatorCONV_3D:                      true,
	schema.BuiltinOperatorTRANSPOSE_CONV:               true,
	schema.BuiltinOperatorFULLY_CONNECTED:              true,
	schema.BuiltinOperatorSVDF:                         true,
	schema.BuiltinOperatorLSTM:                         true,
	schema.BuiltinOperatorUNIDIRECTIONAL_SEQUENCE_LSTM: true,
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_LSTM:  true,
	schema.BuiltinOperatorBIDIRECTIONAL_SEQUENCE_RNN:   true,
}

// readsFlexBuffers are the library's custom operators.
var readsFlexBuffers = map[string]bool{
	"AudioSpectrogram":             true,
	"Mfcc":                         true,
	"NumericVerify":                true,
	"TFLite_Detection_PostProcess": true,
}

func checkOp(op *tflite.Op) error {
	if readsFlexBuffers[op.Custom] {
		if err := checkFlexBuffer(op.CustomOptions); err != nil {
			return err
		}
	}
	for i, t := range op.Inputs {
		if t == nil && !optional[op.Code] {
			return fmt.Errorf("input %d is left out", i)
		}
	}
	if n := len(op.Inputs); n > 0 && op.Inputs[n-1] != nil {
		if why := op.BroadcastsTooFar(op.Inputs[n-1].Type); why != "" { // the last one, as the first of SELECT_V2 are truth values
			return errors.New(why)
		}
	}
	switch op.Code {
	case schema.BuiltinOperatorRESHAPE, schema.BuiltinOperatorSQUEEZE, schema.BuiltinOperatorEXPAND_DIMS:
		// These copy as many bytes as the input has.
		if len(op.Inputs) > 0 && len(op.Outputs) > 0 && op.Outputs[0] != nil && op.Inputs[0].Type != op.Outputs[0].Type {
			return fmt.Errorf("it makes %v of %v", op.Outputs[0].Type, op.Inputs[0].Type)
		}
	case schema.BuiltinOperatorSOFTMAX, schema.BuiltinOperatorLOG_SOFTMAX:
		if s := shapeOf(op); len(s) > 0 && s[len(s)-1] == 0 {
			return fmt.Errorf("a shape of %v: the kernel divides by the last dimension", s)
		}
	case schema.BuiltinOperatorDEPTHWISE_CONV_2D:
		if len(op.Inputs) != 3 {
			return fmt.Errorf("%d inputs, not 3: the kernel cannot do without a bias", len(op.Inputs))
		}
	case schema.BuiltinOperatorADD, schema.BuiltinOperatorSUB:
		// The kernel's multiplier 2·in/(2^15·out) must be below 1; with 2^20 at 8 bits.
		if in, out := largestScale(op.Inputs), largestScale(op.Outputs); out > 0 && 2*in >= out*(1<<15) {
			return fmt.Errorf("output scale %g is too small for input scale %g", out, in)
		}
	case schema.BuiltinOperatorEQUAL, schema.BuiltinOperatorNOT_EQUAL,
		schema.BuiltinOperatorGREATER, schema.BuiltinOperatorGREATER_EQUAL,
		schema.BuiltinOperatorLESS, schema.BuiltinOperatorLESS_EQUAL:
		// The kernel takes the scale itself for its multiplier.
		if in := largestScale(op.Inputs); in >= 1 {
			return fmt.Errorf("input scale %g is not below 1", in)
		}
	case schema.BuiltinOperatorMEAN, schema.BuiltinOperatorSUM, schema.BuiltinOperatorREDUCE_PROD,
		schema.BuiltinOperatorREDUCE_MAX, schema.BuiltinOperatorREDUCE_MIN,
		schema.BuiltinOperatorREDUCE_ANY, schema.BuiltinOperatorREDUCE_ALL:
		// The kernel has room for four axes, or a few more. A shape without
		// dimensions may be one that was unknown when the file was made.
		if len(op.Inputs) > 1 {
			if n, rank := op.Inputs[1].Len(), len(op.Inputs[0].Shape); n > min(max(rank, 4), 8) {
				return fmt.Errorf("%d axes for %d dimensions", n, rank)
			}
		}
	case schema.BuiltinOperatorSTRIDED_SLICE:
		// The kernel counts a new axis wrong behind an ellipsis that stands for none.
		if o, _ := op.Options.(*schema.StridedSliceOptionsT); o != nil && o.EllipsisMask != 0 && o.NewAxisMask != 0 && len(op.Inputs) > 1 {
			n := op.Inputs[1].Len()
			added := bits.OnesCount32(uint32(o.NewAxisMask) & (1<<min(n, 31) - 1))
			if n-added-1 >= len(op.Inputs[0].Shape) {
				return errors.New("an ellipsis for no axis beside a new axis")
			}
		}
	case schema.BuiltinOperatorLOCAL_RESPONSE_NORMALIZATION:
		if o, _ := op.Options.(*schema.LocalResponseNormalizationOptionsT); o != nil && (o.Radius < 0 || o.Radius > math.MaxInt16) {
			return fmt.Errorf("radius %d", o.Radius)
		}
	}
	if w, ok := op.Window(); ok {
		return checkWindow(w)
	}
	return nil
}

// largestScale is the largest per-tensor scale, 0 without one.
func largestScale(tensors []*tflite.Tensor) float64 {
	largest := 0.0
	for _, t := range tensors {
		if t != nil && t.Type != schema.TensorTypeFLOAT32 && t.Quant != nil && len(t.Quant.Scale) == 1 {
			largest = max(largest, float64(t.Quant.Scale[0]))
		}
	}
	return largest
}

// checkWindow refuses windows that kernels divide by or multiply up without a look.
func checkWindow(w tflite.Window) error {
	if w.Padding != schema.PaddingSAME && w.Padding != schema.PaddingVALID {
		return fmt.Errorf("padding %d", w.Padding)
	}
	for axis := range 2 {
		for _, n := range [...]int{w.Kernel[axis], w.Stride[axis], w.Dilation[axis]} {
			if n < 1 || n > math.MaxInt16 {
				return errors.New("size, stride or dilation of the window is missing or out of bounds")
			}
		}
	}
	return nil
}
