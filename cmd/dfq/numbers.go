package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dfq/tflite"
)

// numberSamples are inputs that were saved as numbers: a folder of .npy and .bin
// files, one for each input of each sample, or one .npy or .npz file whose
// arrays hold all samples along a first axis.
func numberSamples(path string, inputs []*tflite.Tensor, signatures []*tflite.Signature) (*samples, error) {
	if len(inputs) == 0 {
		return nil, errors.New("the model has no inputs")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return folderSamples(path, inputs)
	}
	arrays, err := openArrays(path, inputs, signatures)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := arraySamples(arrays, inputs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.what = fmt.Sprintf("%d inputs of %s", s.n, path)
	load := s.load
	s.load = func(i int) ([][]float32, error) {
		values, err := load(i)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return values, err
	}
	return s, nil
}

// folderSamples takes as many files in turn for a sample as there are inputs.
func folderSamples(dir string, inputs []*tflite.Tensor) (*samples, error) {
	files, err := filesIn(dir, numberFiles...)
	if err != nil {
		return nil, err
	}
	k := len(inputs)
	if len(files)%k != 0 {
		return nil, fmt.Errorf("%s: %d files are no whole samples: the model has %d inputs", dir, len(files), k)
	}
	s := &samples{n: len(files) / k}
	s.what = fmt.Sprintf("%d inputs of %s", s.n, dir)
	for i := range s.n {
		s.names = append(s.names, files[i*k])
	}
	s.load = func(i int) ([][]float32, error) {
		values := make([][]float32, k)
		for n, t := range inputs {
			path := filepath.Join(dir, files[i*k+n])
			var err error
			if values[n], err = loadNumbers(path, t); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		return values, nil
	}
	return s, nil
}

// loadNumbers reads the values of one input, real domain.
func loadNumbers(path string, t *tflite.Tensor) ([]float32, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	a := &array{kind: "<f4", shape: t.Shape, data: file, size: info.Size()}
	if want := 4 * int64(t.Len()); hasExtension(path, numberFiles[1:]) && a.size != want {
		return nil, fmt.Errorf("%d bytes, input %q of shape %v takes %d: a .bin file holds it as float32", a.size, t.Name, t.Shape, want)
	}
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		if a, err = readNpy(file, info.Size()); err != nil {
			return nil, err
		}
	}
	n, err := a.samplesOf(t)
	if err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, fmt.Errorf("it holds %d samples of input %q, each file of a folder holds one; name the file itself", n, t.Name)
	}
	return a.values(0, t.Len())
}

// arraySamples are the samples of one array for each input.
func arraySamples(arrays []*array, inputs []*tflite.Tensor) (*samples, error) {
	s := &samples{}
	for i, t := range inputs {
		n, err := arrays[i].samplesOf(t)
		if err != nil {
			return nil, err
		}
		if i > 0 && n != s.n {
			return nil, fmt.Errorf("%d samples of input %q, but %d of %q", s.n, inputs[0].Name, n, t.Name)
		}
		s.n = n
	}
	for i := range s.n {
		s.names = append(s.names, strconv.Itoa(i))
	}
	s.load = func(i int) ([][]float32, error) {
		values := make([][]float32, len(inputs))
		for k, t := range inputs {
			var err error
			if values[k], err = arrays[k].values(i, t.Len()); err != nil {
				return nil, fmt.Errorf("input %q: %w", t.Name, err)
			}
		}
		return values, nil
	}
	return s, nil
}
