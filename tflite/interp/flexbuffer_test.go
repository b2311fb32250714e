//go:build tflite

package interp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dfq/tflite"
	"dfq/tflite/tflitetest"
)

// customModels are the library's custom operators with options that they take.
func customModels() map[string]*tflite.Graph {
	model := func(name string, options []byte, shape []int, inputs ...[]int) *tflite.Graph {
		b := tflitetest.New(1)
		var in []*tflite.Tensor
		for _, s := range inputs {
			in = append(in, b.Input(s...))
		}
		switch name {
		case "Mfcc":
			in = append(in, b.Ints(nil, 16000))
		case "TFLite_Detection_PostProcess":
			in = append(in, b.Floats([]int{6, 4}, 0))
		}
		b.Custom(name, shape, options, in...)
		op := b.Graph.Ops[0]
		if name == "TFLite_Detection_PostProcess" {
			op.Outputs = append(op.Outputs, float("classes", 1, 3), float("scores", 1, 3), float("count", 1))
		}
		b.Model(op.Outputs...)
		return b.Graph
	}
	return map[string]*tflite.Graph{
		"spectrogram": model("AudioSpectrogram", tflitetest.FlexMap(map[string]any{"magnitude_squared": true, "stride": 8, "window_size": 16}),
			[]int{1, 7, 9}, []int{64, 1}),
		"mfcc": model("Mfcc", tflitetest.FlexMap(map[string]any{"dct_coefficient_count": 4, "filterbank_channel_count": 4,
			"lower_frequency_limit": 20.0, "upper_frequency_limit": 4000.0}), []int{1, 7, 4}, []int{1, 7, 129}),
		"detection": model("TFLite_Detection_PostProcess", tflitetest.FlexMap(map[string]any{"detections_per_class": 10, "h_scale": 5.0,
			"max_classes_per_detection": 1, "max_detections": 3, "nms_iou_threshold": 0.5,
			"nms_score_threshold": 0.0, "num_classes": 2, "use_regular_nms": false,
			"w_scale": 5.0, "x_scale": 10.0, "y_scale": 10.0}), []int{1, 3, 4}, []int{1, 6, 4}, []int{1, 6, 3}),
	}
}

// runGraph loads and runs a model of one graph.
func runGraph(g *tflite.Graph) error {
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
		if err := runGraph(g); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		good := g.Ops[0].CustomOptions
		for _, bad := range [][]byte{nil, {0}, good[:len(good)-1], good[1:], tflitetest.FlexMap(map[string]any{"stride": -1}), tflitetest.FlexMap(map[string]any{"stride": 1 << 17})} {
			g.Ops[0].CustomOptions = bad
			want := fmt.Sprintf("op 0 CUSTOM %s", g.Ops[0].Custom)
			if err := runGraph(g); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "FlexBuffers map") {
				t.Errorf("%s with options %v: %v", name, bad, err)
			}
		}
	}
}

// Whatever one byte of the options is, nothing worse follows than an error.
func TestDamagedCustomOptions(t *testing.T) {
	taken, refused := 0, 0
	for _, g := range customModels() {
		good := g.Ops[0].CustomOptions
		for at := range good {
			for _, v := range []byte{0, 1, 2, 3, 4, 8, 16, 37, 64, 106, 127, 128, 200, 255} {
				g.Ops[0].CustomOptions = slices.Clone(good)
				g.Ops[0].CustomOptions[at] = v
				if err := runGraph(g); err == nil {
					taken++
				} else {
					refused++
				}
			}
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d options were taken and %d refused, want some of both", taken, refused)
	}
}
