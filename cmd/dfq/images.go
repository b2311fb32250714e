package main

import (
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math"
	"os"
	"sync"

	"dfq/tflite"

	"golang.org/x/image/draw"
)

// A frame is the size of the images that a model reads.
type frame struct {
	height, width, channels int
}

// frameOf returns the frame of an input of shape [1, height, width, channels].
func frameOf(t *tflite.Tensor) (frame, error) {
	s := t.Shape
	if len(s) != 4 || s[0] != 1 || s[1] < 1 || s[2] < 1 || s[3] != 1 && s[3] != 3 {
		return frame{}, fmt.Errorf("input %q has shape %v, not that of one image: [1, height, width, 1 or 3]", t.Name, s)
	}
	return frame{s[1], s[2], s[3]}, nil
}

// A small file can claim any size. Decoded, a pixel takes up to 8 bytes.
const (
	maxPixels   = 1 << 28 // in one image; there are cameras of 200 megapixels
	largePixels = 1 << 24 // images of more are decoded one at a time
)

var largeImage sync.Mutex

// load reads an image file and returns its pixels as the model takes them, row
// by row, channels innermost.
func (f frame) load(path string, crop float64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if config.Width > maxPixels/max(config.Height, 1) {
		return nil, fmt.Errorf("%s: %d×%d pixels are too many", path, config.Width, config.Height)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if config.Width*config.Height > largePixels {
		largeImage.Lock()
		defer largeImage.Unlock()
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f.pixels(f.fit(img, crop)), nil
}

// fit cuts and scales an image to the frame. What is transparent becomes black.
func (f frame) fit(img image.Image, crop float64) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, f.width, f.height))
	if img.Bounds().Size() == out.Bounds().Size() {
		draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
		return out
	}
	// draw.BiLinear widens with the reduction, so that every pixel counts. It is
	// how most image models were trained (Pillow's and torchvision's bilinear);
	// draw.ApproxBiLinear skips pixels, draw.CatmullRom sharpens.
	draw.BiLinear.Scale(out, out.Bounds(), img, f.cut(img.Bounds(), crop), draw.Src, nil)
	return out
}

// goodCrop reports whether a share of an image's sides can be cut out.
func goodCrop(share float64) bool { return share > 0 && share <= 1 }

// cut returns the largest centred rectangle inside b that has the frame's
// shape, with both sides times crop.
func (f frame) cut(b image.Rectangle, crop float64) image.Rectangle {
	scale := crop * math.Min(float64(b.Dx())/float64(f.width), float64(b.Dy())/float64(f.height))
	side := func(length, limit int) int {
		return min(max(int(math.Round(scale*float64(length))), 1), limit)
	}
	w, h := side(f.width, b.Dx()), side(f.height, b.Dy())
	corner := b.Min.Add(image.Pt((b.Dx()-w)/2, (b.Dy()-h)/2))
	return image.Rectangle{corner, corner.Add(image.Pt(w, h))}
}

// pixels drops the fourth channel, or turns color to luma (Rec. 601).
func (f frame) pixels(img *image.RGBA) []byte {
	out := make([]byte, 0, f.height*f.width*f.channels)
	for i := 0; i < len(img.Pix); i += 4 {
		p := img.Pix[i : i+4]
		if f.channels == 1 {
			gray := color.GrayModel.Convert(color.RGBA{p[0], p[1], p[2], 255}).(color.Gray)
			out = append(out, gray.Y)
		} else {
			out = append(out, p[:3]...)
		}
	}
	return out
}
