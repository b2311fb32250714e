package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfq/tflite"

	"github.com/google/go-cmp/cmp"
)

func labelsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "labels.txt")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadLabels(t *testing.T) {
	got, err := readLabels(labelsFile(t, "\ufeff# comment\na.jpg 3 great_white_shark\r\n\n  b.jpg\t0\nfolder/c.png,12,\"a, b\"\nd 1, e.png \t 7\tf\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]int{"a.jpg": 3, "b.jpg": 0, "c.png": 12, "d 1, e.png": 7}, got); d != "" {
		t.Error(d)
	}
	if got, err := readLabels(labelsFile(t, "\ufeffa.jpg 3\r\n")); err != nil || got["a.jpg"] != 3 {
		t.Errorf("behind a byte order mark: %v, %v", got, err)
	}
	for text, say := range map[string]string{
		"a.jpg\n":            `labels.txt:1: "a.jpg" is not`,
		"file class\n":       `labels.txt:1: class "class" is not a number`,
		"a.jpg 1\na.jpg 2\n": `labels.txt:2: "a.jpg" has two classes, 1 and 2`,
	} {
		if _, err := readLabels(labelsFile(t, text)); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: error %v does not say %q", text, err, say)
		}
	}
}

func TestPlace(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		v    []float32
		c    int
		want int
	}{
		{[]float32{0, 3, 1, 2}, 1, 0},
		{[]float32{0, 3, 1, 2}, 0, 3},
		{[]float32{5, 5, 5}, 0, 0}, // as arg-max does, ties go to the left
		{[]float32{5, 5, 5}, 2, 2},
		{[]float32{nan, 1}, 0, 2},
		{[]float32{nan, 1}, 1, 0},
	} {
		if got := place(c.v, c.c); got != c.want {
			t.Errorf("entry %d of %v comes after %d, not %d", c.c, c.v, got, c.want)
		}
	}
}

func TestRanking(t *testing.T) {
	labels := labelsFile(t, "a 0\nb 1\n")
	output := &tflite.Tensor{Name: "out", Shape: []int{1, 7}}
	r, err := newRanking(labels, 1, []string{"b", "a"}, output)
	if err != nil {
		t.Fatal(err)
	}
	r.note(0, []float32{0, 0, 9, 0, 0, 0, 0}, []float32{0, 0, 9, 0, 0, 0, 0}) // class 2: both right
	r.note(1, []float32{0, 9, 0, 0, 0, 0, 0}, []float32{9, 1, 8, 7, 6, 0, 0}) // class 1: right, fifth
	got, err := r.scores()
	if d := cmp.Diff([]score{{1, 1, 0.5}, {5, 1, 1}}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	r.note(1, []float32{0, 9}, []float32{9, 1}) // shorter than its shape
	if _, err := r.scores(); err == nil || !strings.HasSuffix(err.Error(), `"out", has 2 entries for sample 1, but 7 by its shape in the file`) {
		t.Errorf("error %v", err)
	}
	if _, err := newRanking(labels, 6, []string{"b"}, output); err == nil {
		t.Error("class 7 of 7 is accepted")
	}
	if _, err := newRanking(labels, 0, []string{"c"}, output); err == nil {
		t.Error("a sample without label is accepted")
	}
	if _, err := newRanking(labels, 0, nil, &tflite.Tensor{Shape: []int{1, 4, 4, 7}}); err == nil {
		t.Error("a segmentation is taken for a classifier")
	}
	var none *ranking
	none.note(0, nil, nil)
	if got, err := none.scores(); got != nil || err != nil {
		t.Error("scores of nothing", err)
	}
}
