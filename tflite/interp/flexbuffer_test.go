//go:build tflite

package interp

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"dfq/schema"
	"dfq/tflite"
)

// entry is one of a FlexBuffers map, in 32 bits.
type entry struct {
	key   string
	kind  byte
	value uint32
}

// flexMapOf writes a map whose keys are in order: their text, the places of it, the
// values and their types, and the root.
func flexMapOf(entries ...entry) []byte {
	var b []byte
	starts := make([]int, len(entries))
	for i, e := range entries {
		starts[i] = len(b)
		b = append(append(b, e.key...), 0)
	}
	u32 := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	u32(len(entries))
	keys := len(b)
	for _, at := range starts {
		u32(len(b) - at)
	}
	u32(len(b) - keys)
	u32(4)
	u32(len(entries))
	values := len(b)
	for _, e := range entries {
		u32(int(e.value))
	}
	for _, e := range entries {
		b = append(b, e.kind<<2|2)
	}
	return append(b, byte(len(b)-values), flexMap<<2|2, 1)
}

func number(v float32) uint32 { return math.Float32bits(v) }

// customModels are the library's custom operators with options that they take.
func customModels() map[string]*tflite.Graph {
	custom := func(name string, options []byte, outputs []*tflite.Tensor, inputs ...*tflite.Tensor) *tflite.Graph {
		op := &tflite.Op{Code: schema.BuiltinOperatorCUSTOM, Custom: name, Version: 1, Inputs: inputs, Outputs: outputs, CustomOptions: options}
		g := &tflite.Graph{Outputs: outputs, Ops: []*tflite.Op{op}}
		for _, t := range inputs {
			if t.Data == nil {
				g.Inputs = append(g.Inputs, t)
			}
		}
		return g
	}
	anchors := float("anchors", 6, 4)
	anchors.SetFloats(make([]float32, 24))
	rate := shaped(ints("rate", 16000))
	return map[string]*tflite.Graph{
		"spectrogram": custom("AudioSpectrogram", flexMapOf(entry{"magnitude_squared", flexBool, 1}, entry{"stride", flexInt, 8}, entry{"window_size", flexInt, 16}),
			[]*tflite.Tensor{float("y", 1, 7, 9)}, float("x", 64, 1)),
		"mfcc": custom("Mfcc", flexMapOf(entry{"dct_coefficient_count", flexInt, 4}, entry{"filterbank_channel_count", flexInt, 4},
			entry{"lower_frequency_limit", flexFloat, number(20)}, entry{"upper_frequency_limit", flexFloat, number(4000)}),
			[]*tflite.Tensor{float("y", 1, 7, 4)}, float("x", 1, 7, 129), rate),
		"detection": custom("TFLite_Detection_PostProcess", flexMapOf(entry{"detections_per_class", flexInt, 10}, entry{"h_scale", flexFloat, number(5)},
			entry{"max_classes_per_detection", flexInt, 1}, entry{"max_detections", flexInt, 3}, entry{"nms_iou_threshold", flexFloat, number(0.5)},
			entry{"nms_score_threshold", flexFloat, number(0)}, entry{"num_classes", flexInt, 2}, entry{"use_regular_nms", flexBool, 0},
			entry{"w_scale", flexFloat, number(5)}, entry{"x_scale", flexFloat, number(10)}, entry{"y_scale", flexFloat, number(10)}),
			[]*tflite.Tensor{float("boxes", 1, 3, 4), float("classes", 1, 3), float("scores", 1, 3), float("count", 1)},
			float("x", 1, 6, 4), float("s", 1, 6, 3), anchors),
	}
}

// runCustom loads and runs a model of one custom operator.
func runCustom(g *tflite.Graph) error {
	data, err := tflite.Encode(&tflite.Model{Graphs: []*tflite.Graph{g}})
	if err != nil {
		return err
	}
	in, err := New(data, 1)
	if err != nil {
		return err
	}
	defer in.Close()
	inputs := make([][]float32, len(g.Inputs))
	for i, t := range g.Inputs {
		inputs[i] = make([]float32, t.Len())
	}
	_, err = in.Run(inputs)
	return err
}

func TestCustomOptions(t *testing.T) {
	for name, g := range customModels() {
		if err := runCustom(g); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		good := g.Ops[0].CustomOptions
		for _, bad := range [][]byte{nil, {0}, good[:len(good)-1], good[1:]} {
			g.Ops[0].CustomOptions = bad
			want := fmt.Sprintf("op 0 CUSTOM %s", g.Ops[0].Custom)
			if err := runCustom(g); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "FlexBuffers map") {
				t.Errorf("%s with options %v: %v", name, bad, err)
			}
		}
	}
}

// Whatever one byte of the options is, nothing worse follows than an error.
func TestDamagedCustomOptions(t *testing.T) {
	sound, refused := 0, 0
	for _, g := range customModels() {
		good := g.Ops[0].CustomOptions
		for at := range good {
			for _, v := range []byte{0, 1, 2, 3, 4, 8, 16, 37, 64, 106, 127, 128, 200, 255} {
				bad := append([]byte(nil), good...)
				bad[at] = v
				g.Ops[0].CustomOptions = bad
				if err := runCustom(g); err == nil {
					sound++
				} else {
					refused++
				}
			}
		}
	}
	if sound == 0 || refused == 0 {
		t.Errorf("%d options were taken and %d refused, want some of both", sound, refused)
	}
}
