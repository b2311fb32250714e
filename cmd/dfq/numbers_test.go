package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
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
		{"short.bin", raw[:23], "23 bytes"},
		{"long.bin", append(bytes.Clone(raw), 0), "25 bytes"},
		{"short.npy", npy(1, header, values[:5]...), "20 bytes"},
		{"long.npy", npy(1, header, append(values, 7)...), "28 bytes"},
		{"turned.npy", npy(1, strings.Replace(header, "(1, 2, 3)", "(3, 2)", 1), values...), "shape is [3 2]"},
		{"double.npy", npy(1, strings.Replace(header, "<f4", "<f8", 1), values...), `holds "<f8"`},
		{"fortran.npy", npy(1, strings.Replace(header, "False", "True", 1), values...), "ascontiguousarray"},
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
	for i, name := range []string{"1_a.bin", "1_b.bin", "2_a.bin", "2_b.bin", "notes.txt"} {
		data, _ := binary.Append(nil, binary.LittleEndian, []float32{float32(i)})
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	one := &tflite.Tensor{Shape: []int{1}}
	s, err := numberSamples(dir, []*tflite.Tensor{one, one})
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
	if _, err := numberSamples(dir, []*tflite.Tensor{one, one, one}); err == nil {
		t.Error("4 files for 3 inputs are accepted")
	}
}

func FuzzNpyData(f *testing.F) {
	f.Add(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 1, 2, 3, 4, 5, 6))
	f.Add(npy(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }"))
	f.Fuzz(func(t *testing.T, file []byte) {
		data, err := npyData(file, []int{2, 3})
		if err == nil && !bytes.HasSuffix(file, data) {
			t.Error("the numbers are not the end of the file")
		}
	})
}
