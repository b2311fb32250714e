package main

import (
	"archive/zip"
	"bytes"
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

	"github.com/x448/float16"
)

// An array is the numbers of a .npy file as they are stored, last axis
// innermost.
type array struct {
	kind  string // a key of npyTypes
	shape []int
	data  io.ReaderAt
	start int64 // of the numbers
	size  int64 // of the data, with what comes before the numbers
}

// npyTypes tells how numbers of a type are stored, by numpy's name for it.
var npyTypes = map[string]struct {
	size int
	get  func(b []byte) float64
}{
	"<f2": {2, func(b []byte) float64 { return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()) }},
	"<f4": {4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
	"<f8": {8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
	"|i1": {1, func(b []byte) float64 { return float64(int8(b[0])) }},
	"|u1": {1, func(b []byte) float64 { return float64(b[0]) }},
	"<i2": {2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) }},
	"<u2": {2, func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) }},
	"<i4": {4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) }},
	"<u4": {4, func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) }},
	"<i8": {8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) }},
	"<u8": {8, func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) }},
}

// The parts of a .npy header, which is a Python dictionary.
var (
	npyType    = regexp.MustCompile(`'descr':\s*'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order':\s*True`)
	npyShape   = regexp.MustCompile(`'shape':\s*\(([\d\s,]*)\)`)
)

// maxNpyHeader bounds the text before the numbers of a .npy file.
const maxNpyHeader = 1 << 16

// readNpy reads the head of a .npy file of that many bytes. (Format:
// numpy.lib.format, versions 1 to 3.)
func readNpy(r io.ReaderAt, size int64) (*array, error) {
	head := make([]byte, min(size, maxNpyHeader))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	const magic = "\x93NUMPY"
	if len(head) < 12 || string(head[:len(magic)]) != magic {
		return nil, errors.New("not a .npy file")
	}
	start, length := 10, int(binary.LittleEndian.Uint16(head[8:]))
	if major := head[6]; major > 1 {
		start, length = 12, int(min(binary.LittleEndian.Uint32(head[8:]), maxNpyHeader))
	}
	if length > len(head)-start {
		return nil, errors.New("it ends inside its header")
	}
	header := head[start : start+length]
	kind, dims := npyType.FindSubmatch(header), npyShape.FindSubmatch(header)
	if kind == nil || dims == nil {
		return nil, errors.New("its header names no type or shape")
	}
	a := &array{kind: string(kind[1]), data: r, start: int64(start + length), size: size}
	switch {
	case npyTypes[a.kind].size == 0:
		return nil, fmt.Errorf("it holds %q; save numpy.ascontiguousarray(a, 'float32')", kind[1])
	case npyFortran.Match(header):
		return nil, errors.New("it is in Fortran order; save numpy.ascontiguousarray(a)")
	}
	for _, s := range strings.FieldsFunc(string(dims[1]), func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("an axis of %s values is more than any file holds", s)
		}
		a.shape = append(a.shape, n)
	}
	return a, nil
}

// samplesOf is how many samples of an input a holds: one if it has the input's
// shape, up to axes of length 1, else as many as its first axis is long.
func (a *array) samplesOf(t *tflite.Tensor) (int, error) {
	n, shape := 1, squeeze(t.Shape)
	if !slices.Equal(squeeze(a.shape), shape) {
		if len(a.shape) == 0 || !slices.Equal(squeeze(a.shape[1:]), shape) {
			return 0, a.misfit(t)
		}
		n = a.shape[0]
	}
	width, bytes := int64(npyTypes[a.kind].size)*int64(t.Len()), a.size-a.start
	if n == 0 || width == 0 {
		return 0, errors.New("it holds no numbers")
	}
	if bytes%width != 0 || bytes/width != int64(n) {
		return 0, fmt.Errorf("its numbers take %d bytes, input %q of shape %v takes %d for each of %d samples", bytes, t.Name, t.Shape, width, n)
	}
	return n, nil
}

func (a *array) misfit(t *tflite.Tensor) error {
	one := t.Shape
	if len(one) > 0 && one[0] == 1 {
		one = one[1:]
	}
	all := strings.Replace(fmt.Sprint(one), "[", "[N ", 1)
	return fmt.Errorf("its shape is %v, that of input %q %v; N samples have %s", a.shape, t.Name, t.Shape, all)
}

// values reads sample i of n numbers. An error counts them from the array's first.
func (a *array) values(i, n int) ([]float32, error) {
	kind := npyTypes[a.kind]
	data := make([]byte, n*kind.size)
	if read, err := a.data.ReadAt(data, a.start+int64(i)*int64(len(data))); read < len(data) {
		return nil, err
	}
	values := make([]float32, n)
	for k := range values {
		v := float32(kind.get(data[k*kind.size:]))
		if !finite(float64(v)) {
			return nil, fmt.Errorf("number %d is %v", i*n+k, v)
		}
		values[k] = v
	}
	return values, nil
}

// squeeze drops axes of length 1.
func squeeze(shape []int) []int {
	return slices.DeleteFunc(slices.Clone(shape), func(n int) bool { return n == 1 })
}

// openArrays opens the one array of a .npy file or those of a .npz, one for each
// input: by the inputs' names, or those of a signature, if they bear them, else in their
// order. The file stays open.
func openArrays(path string, inputs []*tflite.Tensor, signatures []*tflite.Signature) ([]*array, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy":
		if len(inputs) != 1 {
			return nil, wrongCount(1, inputs)
		}
		a, err := readNpy(file, info.Size())
		return []*array{a}, err
	case ".npz":
		return readNpz(file, info.Size(), inputs, signatures)
	}
	return nil, errors.New("neither a folder nor a .npy or .npz file")
}

func wrongCount(arrays int, inputs []*tflite.Tensor) error {
	return fmt.Errorf("%d arrays, the model has %d inputs", arrays, len(inputs))
}

// maxUnpacked bounds what is unpacked from a ZIP, in bytes: it can claim, and
// be, a thousand times the size of the file.
const maxUnpacked = 1 << 32

// readNpz reads the arrays that numpy.savez and savez_compressed pack in a ZIP,
// those of the inputs only.
func readNpz(file io.ReaderAt, size int64, inputs []*tflite.Tensor, signatures []*tflite.Signature) ([]*array, error) {
	z, err := zip.NewReader(file, size)
	if err != nil {
		return nil, err
	}
	var entries, named []*zip.File
	byName := map[string]*zip.File{}
	for _, f := range z.File {
		if name, ok := strings.CutSuffix(f.Name, ".npy"); ok {
			entries = append(entries, f)
			byName[name] = f
		}
	}
	for _, t := range inputs {
		if f := entryOf(t, byName, signatures); f != nil {
			named = append(named, f)
		}
	}
	switch {
	case len(named) == len(inputs):
		entries = named
	case len(named) > 0 && len(entries) == len(inputs): // in their order they would contradict their names
		return nil, fmt.Errorf("%d of the model's %d inputs have an array of their name; name all, or none", len(named), len(inputs))
	}
	if len(entries) != len(inputs) {
		return nil, wrongCount(len(entries), inputs)
	}
	arrays := make([]*array, len(inputs))
	room := uint64(maxUnpacked)
	for i, f := range entries {
		if f.UncompressedSize64 > room {
			return nil, fmt.Errorf("%q: unpacked, the arrays are larger than %d GiB", f.Name, maxUnpacked>>30)
		}
		room -= f.UncompressedSize64
		if arrays[i], err = readEntry(f, inputs[i]); err != nil {
			return nil, fmt.Errorf("%q: %w", f.Name, err)
		}
	}
	return arrays, nil
}

// entryOf is the array that bears an input's name, or the one it has in a signature,
// which is what TensorFlow's own interpreter calls it by.
func entryOf(t *tflite.Tensor, byName map[string]*zip.File, signatures []*tflite.Signature) *zip.File {
	if f := byName[t.Name]; f != nil {
		return f
	}
	for _, s := range signatures {
		for _, in := range s.Inputs {
			if f := byName[in.Name]; f != nil && in.Tensor == t {
				return f
			}
		}
	}
	return nil
}

// readEntry unpacks the array of an input. What does not fit the input is
// refused by its header, before the rest is unpacked.
func readEntry(f *zip.File, t *tflite.Tensor) (*array, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := int64(f.UncompressedSize64)
	head := make([]byte, min(size, maxNpyHeader))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	a, err := readNpy(bytes.NewReader(head), size)
	if err != nil {
		return nil, err
	}
	if _, err := a.samplesOf(t); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data[copy(data, head):]); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // at the end the checksum is compared
		return nil, err
	}
	a.data = bytes.NewReader(data)
	return a, nil
}
