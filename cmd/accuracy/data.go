package main

import (
	"bufio"
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/image/draw"

	"dfq/dfq"
	"dfq/tflite"
	"dfq/tflite/interp"
)

// dataset is a list of samples, each the pixels (0 … 255, channel last) or
// values of one input, with a class or −1.
type dataset struct {
	n      int
	class  []int
	values func(i int) ([]float32, error)
}

// half keeps the samples of odd or even number: rules are chosen on one half and
// scored on the other.
func (d dataset) half(which string) dataset {
	first := map[string]int{"even": 0, "odd": 1}
	f, ok := first[which]
	if !ok {
		return d
	}
	return d.pick(func(i int) bool { return i%2 == f })
}

func (d dataset) pick(keep func(i int) bool) dataset {
	var index []int
	for i := range d.n {
		if keep(i) {
			index = append(index, i)
		}
	}
	out := dataset{n: len(index), values: func(i int) ([]float32, error) { return d.values(index[i]) }}
	for _, i := range index {
		out.class = append(out.class, d.class[i])
	}
	return out
}

// labelled reads dir/labels.txt: file, class, name.
func labelled(dir string) (files []string, classes []int, err error) {
	f, err := os.Open(filepath.Join(dir, "labels.txt"))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		c, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		files, classes = append(files, filepath.Join(dir, fields[0])), append(classes, c)
	}
	if err := s.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return files, classes, nil
}

// images are photographs, labelled if the folder has labels, at h × w.
func images(dir string, crop float64, h, w int) (dataset, error) {
	files, classes, err := labelled(dir)
	if os.IsNotExist(err) {
		files, err = filepath.Glob(filepath.Join(dir, "*.jpg"))
		for range files {
			classes = append(classes, -1)
		}
	}
	if err != nil {
		return dataset{}, err
	}
	cache := make([][]byte, len(files))
	return dataset{len(files), classes, func(i int) ([]float32, error) {
		if cache[i] == nil {
			rgb, err := loadRGB(files[i], crop, h, w)
			if err != nil {
				return nil, err
			}
			cache[i] = rgb
		}
		out := make([]float32, len(cache[i]))
		for k, b := range cache[i] {
			out[k] = float32(b)
		}
		return out, nil
	}}, nil
}

// loadRGB cuts the central square of crop times the shorter side and scales it.
func loadRGB(file string, crop float64, h, w int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	b := img.Bounds()
	side := int(crop*float64(min(b.Dx(), b.Dy())) + 0.5)
	at := image.Pt(b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2)
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(dst, dst.Bounds(), img, image.Rectangle{at, at.Add(image.Pt(side, side))}, draw.Src, nil)
	rgb := make([]byte, 0, 3*h*w)
	for p := 0; p < len(dst.Pix); p += 4 {
		rgb = append(rgb, dst.Pix[p], dst.Pix[p+1], dst.Pix[p+2])
	}
	return rgb, nil
}

// keywords are the int8 features of images/kws in real values.
func keywords(dir string) (dataset, error) {
	files, classes, err := labelled(dir)
	return dataset{len(files), classes, func(i int) ([]float32, error) {
		b, err := os.ReadFile(files[i])
		out := make([]float32, len(b))
		for k, q := range b {
			out[k] = (float32(int8(q)) - 83) * 0.5847029
		}
		return out, err
	}}, err
}

// otherInputs are made up with a seed that no table's conversion has.
func otherInputs(m *tflite.Model) (dataset, error) {
	const n = 128
	inputs, err := dfq.MadeUpInputs(m, &dfq.Options{Interpreter: interp.Open, Seed: 1 << 32}, n)
	return dataset{n, slices.Repeat([]int{-1}, n), func(i int) ([]float32, error) { return slices.Clone(inputs[i][0]), nil }}, err
}

// digits are the MNIST test images.
func digits(dir string) (dataset, error) {
	pixels, err := os.ReadFile(filepath.Join(dir, "images_1500x28x28_u8.raw"))
	if err != nil {
		return dataset{}, err
	}
	labels, err := os.ReadFile(filepath.Join(dir, "labels_1500_u8.raw"))
	if err != nil {
		return dataset{}, err
	}
	d := dataset{n: len(labels)}
	for _, c := range labels {
		d.class = append(d.class, int(c))
	}
	d.values = func(i int) ([]float32, error) {
		out := make([]float32, 784)
		for k, b := range pixels[784*i : 784*(i+1)] {
			out[k] = float32(b)
		}
		return out, nil
	}
	return d, nil
}
