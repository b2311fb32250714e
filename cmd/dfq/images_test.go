package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfq/dfq"
	"dfq/schema"
	"dfq/tflite"
	build "dfq/tflite/tflitetest"

	"github.com/google/go-cmp/cmp"
)

func TestCut(t *testing.T) {
	for _, c := range []struct {
		name   string
		bounds image.Rectangle
		frame  frame
		crop   float64
		want   image.Rectangle
	}{
		{"wide to square", image.Rect(0, 0, 400, 300), frame{224, 224, 3}, 1, image.Rect(50, 0, 350, 300)},
		{"tall to square", image.Rect(0, 0, 300, 401), frame{224, 224, 3}, 1, image.Rect(0, 50, 300, 350)},
		{"seven eighths", image.Rect(0, 0, 320, 256), frame{224, 224, 3}, 0.875, image.Rect(48, 16, 272, 240)},
		{"square to wide", image.Rect(0, 0, 640, 640), frame{240, 320, 3}, 1, image.Rect(0, 80, 640, 560)},
		{"bounds not at 0", image.Rect(10, 20, 30, 60), frame{5, 5, 1}, 1, image.Rect(10, 30, 30, 50)},
		{"one pixel", image.Rect(0, 0, 1, 1), frame{8, 8, 1}, 0.1, image.Rect(0, 0, 1, 1)},
	} {
		if got := c.frame.cut(c.bounds, c.crop); got != c.want {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

func save(t *testing.T, img image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.png")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoadExact: an image of the input's size comes through byte by byte, even
// where a crop is asked for.
func TestLoadExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	gray, rgb := image.NewGray(image.Rect(0, 0, 7, 5)), image.NewNRGBA(image.Rect(0, 0, 7, 5))
	var wantGray, wantRGB []byte
	for y := range 5 {
		for x := range 7 {
			c := color.NRGBA{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 255}
			gray.SetGray(x, y, color.Gray{c.G})
			rgb.SetNRGBA(x, y, c)
			wantGray = append(wantGray, c.G)
			wantRGB = append(wantRGB, c.R, c.G, c.B)
		}
	}
	for _, c := range []struct {
		img      image.Image
		channels int
		want     []byte
	}{{gray, 1, wantGray}, {rgb, 3, wantRGB}} {
		got, err := frame{5, 7, c.channels}.load(save(t, c.img), 0.875)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Error(d)
		}
	}
}

// TestLoadColors: gray becomes three equal channels; colors become luma by the
// weights 0.299, 0.587 and 0.114 of Rec. 601.
func TestLoadColors(t *testing.T) {
	one := func(c color.Color) string {
		img := image.NewNRGBA(image.Rect(0, 0, 1, 1))
		img.Set(0, 0, c)
		return save(t, img)
	}
	for _, c := range []struct {
		color    color.Color
		channels int
		want     []byte
	}{
		{color.Gray{77}, 3, []byte{77, 77, 77}},
		{color.NRGBA{200, 100, 50, 255}, 1, []byte{124}}, // 59.8 + 58.7 + 5.7
		{color.NRGBA{255, 255, 255, 0}, 1, []byte{0}},    // transparent
	} {
		got, err := frame{1, 1, c.channels}.load(one(c.color), 1)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v: %s", c.color, d)
		}
	}
}

// TestFitAverages: every pixel counts in scaling down, so thin stripes become
// their mean. Scaling that looks at a few pixels gives 0 or far more.
func TestFitAverages(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := 0; x < 64; x += 4 {
			img.SetGray(x, y, color.Gray{200})
		}
	}
	f := frame{8, 8, 1}
	for i, p := range f.pixels(f.fit(img, 1)) {
		if p < 44 || p > 56 {
			t.Errorf("pixel %d is %d, the mean is 50", i, p)
		}
	}
}

// claimed is a short file that claims to be a PNG of that size.
func claimed(t *testing.T, width, height uint32) string {
	t.Helper()
	header := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	header = append(binary.BigEndian.AppendUint32(header, height), "\x08\x02\x00\x00\x00"...) // RGB
	file := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header...)
	file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(header))
	path := filepath.Join(t.TempDir(), "claimed.png")
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoadHuge: a file that claims to be huge is refused before memory is taken
// for it.
func TestLoadHuge(t *testing.T) {
	if _, err := (frame{8, 8, 3}).load(claimed(t, 1<<16, 1<<16), 1); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("error %v", err)
	}
}

// TestLoadLarge: a large image waits for another one, a smaller one does not.
func TestLoadLarge(t *testing.T) {
	small, large := claimed(t, 1<<12, 1<<12), claimed(t, 1<<12, 1<<12+1)
	loaded := make(chan error, 1)
	largeImage.Lock()
	_, err := frame{8, 8, 3}.load(small, 1)
	go func() {
		_, err := frame{8, 8, 3}.load(large, 1)
		loaded <- err
	}()
	select {
	case err := <-loaded:
		t.Error("two large images are decoded at a time")
		loaded <- err
	case <-time.After(200 * time.Millisecond):
	}
	largeImage.Unlock()
	for _, err := range []error{err, <-loaded} {
		if err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("error %v, the files end behind their header", err)
		}
	}
}

func TestEncodePixels(t *testing.T) {
	for _, c := range []struct {
		e    dfq.Encoding
		want []float32
	}{
		{dfq.Encoding{Lo: []float64{-1}, Hi: []float64{1}}, []float32{-1, 1, -0.6, -1, 1, -0.6}},
		{dfq.Encoding{Lo: []float64{0}, Hi: []float64{255}}, []float32{0, 255, 51, 0, 255, 51}},
		{dfq.Encoding{Lo: []float64{0, -1, -10}, Hi: []float64{1, 1, 40}}, []float32{0, 1, 0, 0, 1, 0}},
	} {
		pixels := []float32{0, 255, 51, 0, 255, 51}
		encodePixels(pixels, 3, c.e)
		if d := cmp.Diff(c.want, pixels); d != "" {
			t.Errorf("%v: %s", c.e, d)
		}
	}
}

// TestEncodingsTakeTurns: each encoding is that of as many calibration images as
// any other, also where every second or third image is picked.
func TestEncodingsTakeTurns(t *testing.T) {
	white := image.NewGray(image.Rect(0, 0, 1, 1))
	white.SetGray(0, 0, color.Gray{255})
	file, err := os.ReadFile(save(t, white))
	if err != nil {
		t.Fatal(err)
	}
	m := build.Chain(build.Input(1, 8, 8, 3), build.Conv(4, 3), build.Mean(), build.Dense(2))
	dir := t.TempDir()
	for n := range 3 * maxCalibration {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", n)), file, 0o666); err != nil {
			t.Fatal(err)
		}
		if n != 2*maxCalibration-1 && n != 3*maxCalibration-1 {
			continue
		}
		opts := &dfq.Options{}
		if _, err := (&convertFlags{calibrate: dir, crop: 1}).newCalibration(m, opts); err != nil {
			t.Fatal(err)
		}
		found, err := dfq.InputEncodings(m, opts)
		if err != nil {
			t.Fatal(err)
		}
		encodings := found[0].Encodings
		if len(encodings) < 2 {
			t.Fatalf("the model shows what it reads: %v", encodings)
		}
		for i, s := range opts.Calibration {
			if want := float32(encodings[i%len(encodings)].Hi[0]); s[0][0] != want {
				t.Errorf("sample %d of %d images: white is %g, not %g", i, n+1, s[0][0], want)
			}
		}
	}
}

// TestNearestEncoding: of encodings that the float model does not tell apart, pixels are
// given in the one that the INT8 model's input was quantized for.
func TestNearestEncoding(t *testing.T) {
	encodings := []dfq.Encoding{
		{Name: "unit", Lo: []float64{0}, Hi: []float64{1}},
		{Name: "centred", Lo: []float64{-1}, Hi: []float64{1}},
		{Name: "by channel", Lo: []float64{-2.1, -2, -1.8}, Hi: []float64{2.2, 2.4, 2.6}},
	}
	input := func(kind schema.TensorType, scale float32, zero int64) *tflite.Tensor {
		return &tflite.Tensor{Type: kind, Quant: &tflite.Quantization{Scale: []float32{scale}, Zero: []int64{zero}}}
	}
	for _, test := range []struct {
		input *tflite.Tensor
		want  string
	}{
		{input(schema.TensorTypeINT8, 1./255, -128), "unit"},
		{input(schema.TensorTypeINT8, 2./255, -1), "centred"},
		{input(schema.TensorTypeUINT8, 2./255, 127), "centred"},
		{input(schema.TensorTypeUINT8, 1./255, 0), "unit"},
		{input(schema.TensorTypeINT8, 4.7/255, -14), "by channel"},
		{input(schema.TensorTypeINT16, 1./32768, 0), "unit"}, // as far as "centred": the first
		{input(schema.TensorTypeINT16, 2.6/32768, 0), "by channel"},
		{&tflite.Tensor{Type: schema.TensorTypeFLOAT32}, "unit"},
	} {
		if got, _ := nearestEncoding(encodings, test.input); got.Name != test.want {
			t.Errorf("%v %v: %s, want %s", test.input.Type, test.input.Quant, got.Name, test.want)
		}
	}
}
