//go:build tflite

package dfq

import (
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/draw"

	"dfq/tflite"
)

// Made-up inputs flatter whatever rests on statistics of their like, as a scale
// that goes as far as a RELU6 was seen to allow. So the float graph that is
// quantized is held against the file's on photographs: 40 dB, or 20 dB above what
// quantization leaves.
func TestSharedTwinOnPhotographs(t *testing.T) {
	for _, c := range []struct {
		name, images string
	}{
		{"deeplabv3_257_mv_gpu", "imagenet"},
		{"mobilenet_v1_0.25_224", "imagenet"},
		{"mobilenet_v2_1.0_224_dequant", "imagenet"},
		{"resnet8_cifar10_fp32", "cifar10"},
		{"resnet_6blk_750k_cifar10_fp32", "cifar10"},
		{"vww96_float", "imagenet"},
		{"vww96_20blk_791k_float", "imagenet"},
		{"blazeface_face_detection_front", "people"},
		{"face_landmark_192_fp32", "people"},
		{"hand_landmark_3d", "people"},
		{"iris_landmark_fp32", "people"},
		{"palm_detection_full", "people"},
		{"pose_cpm_demo_model", "people"},
		{"pose_detection_c", "people"},
		{"ulfd_rfb_320", "people"},
	} {
		for _, perTensor := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/per tensor %t", c.name, perTensor), func(t *testing.T) {
				m := sharedModel(t, c.name)
				q, r := quantize(t, m, &Options{PerTensor: perTensor, Interpreter: interpreter})
				photographs := sharedPhotographs(t, c.images, m.Graphs[0].Inputs[0], r.Inputs[0].Encodings[0], 16)
				sample := func(i int) ([][]float32, error) { return [][]float32{photographs[i]}, nil }
				twin, err := Compare(m, r.FloatTwin, interpreter, len(photographs), sample, nil)
				if err != nil {
					t.Fatal(err)
				}
				for k, o := range twin.Outputs {
					t.Logf("output %d: float graph %.1f dB", k, o.SQNR)
					if o.SQNR > 40 {
						continue
					}
					int8, err := Compare(m, q, interpreter, len(photographs), sample, nil)
					if err != nil {
						t.Fatal(err)
					}
					if i := int8.Outputs[k]; o.SQNR < i.SQNR+20 {
						t.Errorf("output %d: %.1f dB before quantization, %.1f after", k, o.SQNR, i.SQNR)
					}
				}
			})
		}
	}
}

// Equalization is a step that gains by itself, without the corrections that follow: no
// model loses more than half a dB by it.
func TestSharedEqualizationAlone(t *testing.T) {
	for _, c := range []struct {
		name, images string
	}{
		{"mobilenet_v1_0.25_224", "imagenet"},
		{"mobilenet_v2_1.0_224_dequant", "imagenet"},
		{"resnet8_cifar10_fp32", "cifar10"},
		{"vww96_float", "imagenet"},
	} {
		for _, perTensor := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/per tensor %t", c.name, perTensor), func(t *testing.T) {
				plain, equalized := withoutAndWith(t, c.name, c.images, 16, Options{PerTensor: perTensor, NoCorrect: true})
				t.Logf("plain %.1f dB, equalized %.1f dB", plain, equalized)
				if equalized < plain-0.5 {
					t.Errorf("equalization takes %.1f dB to %.1f dB", plain, equalized)
				}
			})
		}
	}
}

// A network whose answers are maps is scaled up to its outputs, and what shares a scale
// with others is scaled to fill it: pose_cpm joins maps of 0 to 1 with features, stage by
// stage, and each stage goes on from them.
func TestSharedMaps(t *testing.T) {
	plain, filled := withoutAndWith(t, "pose_cpm_demo_model", "people", 8, Options{})
	t.Logf("%.1f dB, with ranges filled %.1f dB", plain, filled)
	if filled < plain+5 {
		t.Errorf("filling ranges takes %.1f dB to %.1f dB", plain, filled)
	}
}

// withoutAndWith is the SQNR of a real model's first output on n photographs, without any
// scaling of channels and with it.
func withoutAndWith(t *testing.T, name, folder string, n int, opts Options) (without, with float64) {
	t.Helper()
	m := sharedModel(t, name)
	opts.Interpreter = interpreter
	on := func(o Options) float64 {
		q, r := quantize(t, m, &o)
		var samples [][][]float32
		for _, p := range sharedPhotographs(t, folder, m.Graphs[0].Inputs[0], r.Inputs[0].Encodings[0], n) {
			samples = append(samples, [][]float32{p})
		}
		return sqnrOf(t, m, q, interpreter, samples)
	}
	plain := opts
	plain.NoEqualize = true
	return on(plain), on(opts)
}

// sharedPhotographs are up to n evenly picked photographs, the central square of
// each, as an input reads them.
func sharedPhotographs(t *testing.T, folder string, input *tflite.Tensor, e Encoding, n int) [][]float32 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "images", folder, "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	n = min(n, len(files))
	if n == 0 {
		t.Skipf("no photographs in ../shared/images/%s", folder)
	}
	var out [][]float32
	for i := range n {
		f, err := os.Open(files[i*len(files)/n])
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := image.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		b := img.Bounds()
		side := min(b.Dx(), b.Dy())
		at := b.Min.Add(image.Pt((b.Dx()-side)/2, (b.Dy()-side)/2))
		rgba := image.NewRGBA(image.Rect(0, 0, input.Shape[2], input.Shape[1]))
		draw.BiLinear.Scale(rgba, rgba.Bounds(), img, image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}, draw.Src, nil)
		v := make([]float32, 0, input.Len())
		for p, x := range rgba.Pix {
			if p%4 < 3 {
				v = append(v, float32(x)/255)
			}
		}
		e.apply(v, v, 3, 1)
		out = append(out, v)
	}
	return out
}
