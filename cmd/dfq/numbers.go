package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dfq/tflite"
)

// numberSamples are the .npy and .bin files of a folder.
func numberSamples(dir string, inputs []*tflite.Tensor) (*samples, error) {
	files, err := filesIn(dir, ".npy", ".bin")
	if err != nil {
		return nil, err
	}
	k := len(inputs)
	if k == 0 {
		return nil, errors.New("--inputs: the model has no inputs")
	}
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
			if values[n], err = loadNumbers(path, t); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		return values, nil
	}
	return s, nil
}

// maxNpyHeader bounds the text before the numbers of a .npy file.
const maxNpyHeader = 1 << 16

// loadNumbers reads the values of one input, real domain.
func loadNumbers(path string, t *tflite.Tensor) ([]float32, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size := 4 * t.Len()
	data, err := io.ReadAll(io.LimitReader(file, int64(size)+maxNpyHeader))
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		if data, err = npyData(data, t.Shape); err != nil {
			return nil, err
		}
	}
	if len(data) != size {
		return nil, fmt.Errorf("its numbers take %d bytes or more, input %q of shape %v takes %d as float32", len(data), t.Name, t.Shape, size)
	}
	values := make([]float32, t.Len())
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values, nil
}

// The parts of a .npy header, which is a Python dictionary.
var (
	npyType    = regexp.MustCompile(`'descr':\s*'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order':\s*True`)
	npyShape   = regexp.MustCompile(`'shape':\s*\(([\d\s,]*)\)`)
)

// npyData returns the numbers of a .npy file as they are stored: float32, little
// endian, last axis innermost. Their shape must be the one given, up to axes of
// length 1. (Format: numpy.lib.format, versions 1 to 3.)
func npyData(file []byte, shape []int) ([]byte, error) {
	const magic = "\x93NUMPY"
	if len(file) < 12 || string(file[:len(magic)]) != magic {
		return nil, errors.New("not a .npy file")
	}
	start, length := 10, int(binary.LittleEndian.Uint16(file[8:]))
	if major := file[6]; major > 1 {
		start, length = 12, int(min(binary.LittleEndian.Uint32(file[8:]), maxNpyHeader))
	}
	if length > len(file)-start {
		return nil, errors.New("it ends inside its header")
	}
	header := file[start : start+length]
	kind, dims := npyType.FindSubmatch(header), npyShape.FindSubmatch(header)
	if kind == nil || dims == nil {
		return nil, errors.New("its header names no type or shape")
	}
	if string(kind[1]) != "<f4" || npyFortran.Match(header) {
		return nil, fmt.Errorf("it holds %q; save numpy.ascontiguousarray(a, 'float32')", kind[1])
	}
	var got []int
	for _, s := range strings.FieldsFunc(string(dims[1]), func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, err
		}
		got = append(got, n)
	}
	if !slices.Equal(squeeze(got), squeeze(shape)) {
		return nil, fmt.Errorf("its shape is %v, the input's %v", got, shape)
	}
	return file[start+length:], nil
}

// squeeze drops axes of length 1.
func squeeze(shape []int) []int {
	return slices.DeleteFunc(slices.Clone(shape), func(n int) bool { return n == 1 })
}
