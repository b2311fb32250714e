package ref

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"dfq/tflite"
)

// floatModels are those of the shared models whose activations are float.
var floatModels = []string{
	"ad01_fp32", "blazeface_face_detection_front", "conv_fc_mnist", "deeplabv3_257_metadata", "deeplabv3_257_mv_gpu",
	"face_landmark_192_fp32", "hand_landmark_3d", "iris_landmark_fp32", "kws_float32", "mobilenet_v1_0.25_224",
	"mobilenet_v2_1.0_224_dequant", "palm_detection_full", "pose_cpm_demo_model", "pose_detection_c",
	"resnet8_cifar10_fp32", "resnet_6blk_750k_cifar10_fp32", "selfie_segmentation", "ulfd_rfb_320",
	"vww96_20blk_791k_float", "vww96_float", "yolox_nano_with_post_float32",
}

// sharedModel decodes a model and drops what follows its first op without a
// kernel.
func sharedModel(t testing.TB, name string) *tflite.Model {
	path := filepath.Join("..", "..", "..", "..", "shared", "models", name+".tflite")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("real model not here: %v", err)
	}
	m, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	g := m.Graphs[0]
	for i, op := range g.Ops {
		if !Supported(op) {
			t.Logf("cut before %s", g.Place(op))
			g.Ops = g.Ops[:i]
			g.Outputs = g.Ops[i-1].Outputs
			m.Signatures = nil
			break
		}
	}
	return m
}

// noise is uniform between lo and hi for every input of g.
func noise(g *tflite.Graph, seed uint64, lo, hi float32) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	inputs := make([][]float32, len(g.Inputs))
	for i, t := range g.Inputs {
		inputs[i] = make([]float32, t.Len())
		for k := range inputs[i] {
			inputs[i][k] = lo + (hi-lo)*r.Float32()
		}
	}
	return inputs
}

// waves is a smooth pattern between 0 and 1 for every input of g.
func waves(g *tflite.Graph) [][]float32 {
	inputs := make([][]float32, len(g.Inputs))
	for i, t := range g.Inputs {
		inputs[i] = make([]float32, t.Len())
		for k := range inputs[i] {
			inputs[i][k] = float32(0.5 + 0.3*math.Sin(float64(k)*0.011) + 0.2*math.Cos(float64(k)*0.00013))
		}
	}
	return inputs
}

func BenchmarkMobileNetV2(b *testing.B) { benchmarkShared(b, "mobilenet_v2_1.0_224_dequant") }

func BenchmarkShared(b *testing.B) {
	for _, name := range floatModels {
		b.Run(name, func(b *testing.B) { benchmarkShared(b, name) })
	}
}

func benchmarkShared(b *testing.B, name string) {
	m := sharedModel(b, name)
	e, err := New(m)
	if err != nil {
		b.Fatal(err)
	}
	inputs := waves(m.Graphs[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Run(inputs); err != nil {
			b.Fatal(err)
		}
	}
}
