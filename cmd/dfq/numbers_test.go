package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"dfq/tflite"

	"github.com/google/go-cmp/cmp"
)

// npy builds a file as numpy.lib.format describes it: magic, version, length of
// the header, and the header filled up with blanks to a multiple of 64 bytes.
func npy(major byte, header string, numbers ...float32) []byte {
	start := 10
	if major > 1 {
		start = 12
	}
	header += strings.Repeat(" ", 63-(start+len(header))%64) + "\n"
	b := append([]byte("\x93NUMPY"), major, 0)
	if major > 1 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	}
	b = append(b, header...)
	b, _ = binary.Append(b, binary.LittleEndian, numbers)
	return b
}

func TestLoadNumbers(t *testing.T) {
	values := []float32{1, -2.5, 3e-9, 4, 5, 6}
	raw, _ := binary.Append(nil, binary.LittleEndian, values)
	const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }"
	for _, c := range []struct {
		name string
		data []byte
		fail string // in the error; empty for success
	}{
		{"a.npy", npy(1, header, values...), ""},
		{"version2.npy", npy(2, header, values...), ""},
		{"squeezed.NPY", npy(1, strings.Replace(header, "(1, 2, 3)", "(2, 3)", 1), values...), ""},
		{"a.bin", raw, ""},
		{"short.bin", raw[:23], `23 bytes, input "x" of shape [2 1 3] takes 24: a .bin file holds it as float32`},
		{"long.bin", append(bytes.Clone(raw), 0), "25 bytes, "},
		{"short.npy", npy(1, header, values[:5]...), "take 20 bytes"},
		{"long.npy", npy(1, header, append(values, 7)...), "take 28 bytes"},
		{"turned.npy", npy(1, strings.Replace(header, "(1, 2, 3)", "(3, 2)", 1), values...), `shape is [3 2], that of input "x" [2 1 3]; N samples have [N 2 1 3]`},
		{"two.npy", npy(1, strings.Replace(header, "(1, 2, 3)", "(2, 2, 3)", 1), append(values, values...)...), `holds 2 samples of input "x", each file of a folder holds one`},
		{"complex.npy", npy(1, strings.Replace(header, "<f4", "<c8", 1), values...), `holds "<c8"`},
		{"big_endian.npy", npy(1, strings.Replace(header, "<f4", ">f4", 1), values...), `holds ">f4"`},
		{"nan.npy", npy(1, header, 1, 2, 3, 4, float32(math.NaN()), 6), "number 4 is NaN"},
		{"inf.bin", bytes.Repeat([]byte{0, 0, 0x80, 0xff}, 6), "number 0 is -Inf"},
		{"fortran.npy", npy(1, strings.Replace(header, "False", "True", 1), values...), "it is in Fortran order; save numpy.ascontiguousarray(a)"},
		{"headless.npy", npy(1, "{}", values...), "no type or shape"},
		{"cut.npy", npy(1, header)[:50], "inside its header"},
		{"raw.npy", raw, "not a .npy"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, c.data, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := loadNumbers(path, &tflite.Tensor{Name: "x", Shape: []int{2, 1, 3}})
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: error %v, which does not say %q", c.name, err, c.fail)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			if d := cmp.Diff(values, got); d != "" {
				t.Errorf("%s: %s", c.name, d)
			}
		}
	}
}

// TestNumberSamples: consecutive files are the inputs of one sample.
func TestNumberSamples(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"1_a.bin", "1_b.bin", "2_a.bin", "2_b.bin", "notes.txt", "._2_a.bin"} {
		data, _ := binary.Append(nil, binary.LittleEndian, []float32{float32(i)})
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	one := &tflite.Tensor{Shape: []int{1}}
	s, err := numberSamples(dir, []*tflite.Tensor{one, one}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"1_a.bin", "2_a.bin"}, s.names); d != "" {
		t.Error(d)
	}
	got, err := s.load(1)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]float32{{2}, {3}}, got); d != "" {
		t.Error(d)
	}
	if _, err := numberSamples(dir, []*tflite.Tensor{one, one, one}, nil); err == nil {
		t.Error("4 files for 3 inputs are accepted")
	}
}

// npyOf builds a .npy file of any numbers, typed as numpy names them.
func npyOf(kind, shape string, numbers any) []byte {
	b := npy(1, fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", kind, shape))
	b, _ = binary.Append(b, binary.LittleEndian, numbers)
	return b
}

// TestNpyTypes: each type of number, at the ends of what it can hold.
func TestNpyTypes(t *testing.T) {
	for _, c := range []struct {
		kind    string
		numbers any
		want    []float32
	}{
		{"<f2", []uint16{0xc000, 0x3c00}, []float32{-2, 1}},
		{"<f4", []float32{-2, 1e30}, []float32{-2, 1e30}},
		{"<f8", []float64{-2, 1e30}, []float32{-2, 1e30}},
		{"|i1", []int8{-128, 127}, []float32{-128, 127}},
		{"|u1", []uint8{0, 255}, []float32{0, 255}},
		{"<i2", []int16{-32768, 32767}, []float32{-32768, 32767}},
		{"<u2", []uint16{0, 65535}, []float32{0, 65535}},
		{"<i4", []int32{-1 << 31, 1 << 30}, []float32{-1 << 31, 1 << 30}},
		{"<u4", []uint32{0, 1 << 31}, []float32{0, 1 << 31}},
		{"<i8", []int64{-1 << 63, 1 << 62}, []float32{-1 << 63, 1 << 62}},
		{"<u8", []uint64{0, 1 << 63}, []float32{0, 1 << 63}},
	} {
		file := npyOf(c.kind, "(2,)", c.numbers)
		a, err := readNpy(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		got, err := a.values(0, 2)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", c.kind, err, d)
		}
	}
}

// zipOf packs files as numpy.savez_compressed does.
func zipOf(t *testing.T, names []string, files ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, name := range names {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(files[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestArrays: samples along a first axis, inputs by name, else by order.
func TestArrays(t *testing.T) {
	a, b := npyOf("|u1", "(3, 1, 2)", []uint8{1, 2, 3, 4, 5, 6}), npyOf("<f4", "(3, 1)", []float32{7, 8, 9})
	inputs := []*tflite.Tensor{{Name: "a", Shape: []int{1, 2}}, {Name: "b", Shape: []int{1, 1}}}
	signatures := []*tflite.Signature{{Inputs: []tflite.NamedTensor{{Name: "first", Tensor: inputs[0]}, {Name: "second", Tensor: inputs[1]}}}}
	flipped := zipOf(t, []string{"a.npy"}, a)
	flipped[bytes.LastIndex(flipped, binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(a)))] ^= 1
	for _, c := range []struct {
		name   string
		data   []byte
		inputs []*tflite.Tensor
		want   [][][]float32
		fail   string
	}{
		{"one.npy", a, inputs[:1], [][][]float32{{{1, 2}}, {{3, 4}}, {{5, 6}}}, ""},
		{"order.npz", zipOf(t, []string{"x.npy", "y.npy"}, a, b), inputs, [][][]float32{{{1, 2}, {7}}, {{3, 4}, {8}}, {{5, 6}, {9}}}, ""},
		{"names.npz", zipOf(t, []string{"b.npy", "notes", "a.npy"}, b, nil, a), inputs, [][][]float32{{{1, 2}, {7}}, {{3, 4}, {8}}, {{5, 6}, {9}}}, ""},
		{"signature.npz", zipOf(t, []string{"second.npy", "first.npy"}, b, a), inputs, [][][]float32{{{1, 2}, {7}}, {{3, 4}, {8}}, {{5, 6}, {9}}}, ""},
		{"half.npz", zipOf(t, []string{"b.npy", "x.npy"}, b, a), inputs, nil, "1 of the model's 2 inputs have an array of their name"},
		{"spare.npz", zipOf(t, []string{"c.npy", "a.npy"}, []byte("no array"), a), inputs[:1], [][][]float32{{{1, 2}}, {{3, 4}}, {{5, 6}}}, ""},
		{"turned.npz", zipOf(t, []string{"b.npy", "a.npy"}, a, b), inputs, nil, `"a.npy": its shape is [3 1], that of input "a" [1 2]; N samples have [N 2]`},
		{"flipped.npz", flipped, inputs[:1], nil, `"a.npy": zip: checksum error`},
		{"few.npz", zipOf(t, []string{"a.npy"}, a), inputs, nil, "1 arrays, the model has 2 inputs"},
		{"uneven.npz", zipOf(t, []string{"a.npy", "b.npy"}, a, npyOf("<f4", "(2, 1)", []float32{7, 8})), inputs, nil, `3 samples of input "a", but 2 of "b"`},
		{"claims.npy", npyOf("|u1", "(1000000000000, 2)", []uint8{1, 2}), inputs[:1], nil, "numbers take 2 bytes"},
		{"overflow.npy", npyOf("<f8", "(9223372036854775807, 2)", []uint8{1, 2}), inputs[:1], nil, "numbers take 2 bytes"},
		{"none.npy", npyOf("|u1", "(0, 2)", []uint8{}), inputs[:1], nil, "no numbers"},
		{"broken.npz", a, inputs, nil, "zip"},
		{"text.txt", a, inputs[:1], nil, "neither a folder nor"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, c.data, 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := numberSamples(path, c.inputs, signatures)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: error %v, which does not say %q", c.name, err, c.fail)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := loadAll(s)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", c.name, err, d)
		}
	}
}

// TestNotFinite: the error names the file, the input and the number, once each.
func TestNotFinite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nan.npy")
	if err := os.WriteFile(path, npyOf("<f4", "(2, 2)", []float32{1, 2, 3, float32(math.NaN())}), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := numberSamples(path, []*tflite.Tensor{{Name: "a", Shape: []int{1, 2}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(1); err == nil || err.Error() != path+`: input "a": number 3 is NaN` {
		t.Error(err)
	}
}

// TestNpzBomb: what fits no input by its header is not unpacked.
func TestNpzBomb(t *testing.T) {
	const size = 1 << 24
	inputs := []*tflite.Tensor{{Name: "a", Shape: []int{1, 2}}}
	for say, shape := range map[string]string{
		"its shape is [2097152 8]":        "(2097152, 8)",
		"its numbers take 16777216 bytes": "(2, 2)",
	} {
		file := zipOf(t, []string{"a.npy"}, npyOf("|u1", shape, make([]uint8, size)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readNpz(bytes.NewReader(file), int64(len(file)), inputs, nil)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("error %v, which does not say %q", err, say)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > size/4 {
			t.Errorf("%s: %d bytes were taken for a file of %d", shape, taken, len(file))
		}
	}
}

// TestPick: as many as asked for, spread over all, in order.
func TestPick(t *testing.T) {
	s := &samples{n: 10, what: "10 numbers", load: func(i int) ([][]float32, error) { return [][]float32{{float32(i)}}, nil }}
	for i := range s.n {
		s.names = append(s.names, strconv.Itoa(i))
	}
	few := s.pick(3)
	got, err := loadAll(few)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][][]float32{{{1}}, {{5}}, {{8}}}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"1", "5", "8"}, few.names); d != "" || few.what != "3 of 10 numbers, evenly picked" {
		t.Errorf("%q: %s", few.what, d)
	}
	if s.pick(10) != s {
		t.Error("10 of 10 are not all")
	}
}

func FuzzReadNpy(f *testing.F) {
	f.Add(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 1, 2, 3, 4, 5, 6))
	f.Add(npy(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }"))
	f.Add(npyOf("|u1", "(2, 1, 2, 3)", []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := readNpy(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		n, err := a.samplesOf(&tflite.Tensor{Shape: []int{2, 3}})
		if err != nil {
			return
		}
		if size := int64(n) * 6 * int64(npyTypes[a.kind].size); a.start+size != int64(len(file)) {
			t.Errorf("%d samples take %d bytes of %d", n, size, int64(len(file))-a.start)
		}
		if v, err := a.values(n-1, 6); err == nil && len(v) != 6 {
			t.Errorf("%d numbers", len(v))
		}
	})
}
