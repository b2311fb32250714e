package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dfq/tflite"
)

// readLabels reads lines of a file's name and its class, separated by tabs, or in
// a line without tabs by blanks or commas; what follows on the line, such as the
// class's name, is not read. Empty lines and lines that begin with # are none.
func readLabels(path string) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	classes := map[string]int{}
	lines, n := bufio.NewScanner(file), 1
	for ; lines.Scan(); n++ {
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff") // by which some editors mark UTF-8
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		separators := " ,"
		if strings.Contains(line, "\t") {
			separators = "\t"
		}
		fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) })
		if len(fields) < 2 {
			return nil, fmt.Errorf("%s:%d: %q is not \"file class\"", path, n, line)
		}
		class, err := strconv.Atoi(strings.TrimSpace(fields[1]))
		if err != nil {
			return nil, hintedError{fmt.Errorf("%s:%d: class %q is not a number", path, n, fields[1]),
				"a tab sets the class off from a file's name that has blanks or commas"}
		}
		name := filepath.Base(strings.TrimSpace(fields[0]))
		if old, twice := classes[name]; twice && old != class {
			return nil, fmt.Errorf("%s:%d: %q has two classes, %d and %d", path, n, name, old, class)
		}
		classes[name] = class
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w; lines are \"file class\"", path, n, err)
	}
	return classes, nil
}

// ranking gathers, for both models, the place of each sample's class among
// all classes. Nil gathers nothing.
type ranking struct {
	output  string
	class   []int
	lengths []int    // [sample] of the output, as it was computed
	places  [][2]int // [sample]{float, int8}, 0 for the largest entry
	of      int      // number of classes
}

func newRanking(labels string, offset int, samples []string, output *tflite.Tensor) (*ranking, error) {
	known, err := readLabels(labels)
	if err != nil {
		return nil, err
	}
	r := &ranking{output: output.Name, of: output.Len(), lengths: make([]int, len(samples)), places: make([][2]int, len(samples))}
	if n := len(output.Shape); n == 0 || output.Shape[n-1] != r.of || r.of < 2 {
		return nil, fmt.Errorf("--labels: the first output, %q, has shape %v, not one entry for each class", output.Name, output.Shape)
	}
	for _, name := range samples {
		class, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("%s: no line for %q", labels, name)
		}
		if class += offset; class < 0 || class >= r.of {
			return nil, fmt.Errorf("%s: class %d of %q, with offset %d, is none of the model's %d", labels, class-offset, name, offset, r.of)
		}
		r.class = append(r.class, class)
	}
	return r, nil
}

// note may be called from several goroutines for different samples.
func (r *ranking) note(sample int, want, got []float32) {
	if r == nil {
		return
	}
	if r.lengths[sample] = len(want); len(want) == r.of && len(got) == r.of {
		c := r.class[sample]
		r.places[sample] = [2]int{place(want, c), place(got, c)}
	}
}

// place is how many entries come before entry c when sorted: larger ones, and
// equal ones to its left. A NaN comes last.
func place(v []float32, c int) int {
	if v[c] != v[c] {
		return len(v)
	}
	before := 0
	for i, x := range v {
		if x > v[c] || x == v[c] && i < c {
			before++
		}
	}
	return before
}

// A score is the share of samples whose class is among the Top largest entries.
type score struct {
	Top   int     `json:"top"`
	Float float64 `json:"float"`
	INT8  float64 `json:"int8"`
}

// scores returns top-1, and top-5 where there are more than five classes.
func (r *ranking) scores() ([]score, error) {
	if r == nil {
		return nil, nil
	}
	for i, n := range r.lengths {
		if n != r.of {
			return nil, fmt.Errorf("--labels: the first output, %q, has %d entries for sample %d, but %d by its shape in the file", r.output, n, i, r.of)
		}
	}
	var out []score
	for _, top := range []int{1, 5} {
		if top >= r.of {
			break
		}
		var hits [2]int
		for _, p := range r.places {
			for k := range p {
				if p[k] < top {
					hits[k]++
				}
			}
		}
		n := float64(len(r.places))
		out = append(out, score{top, float64(hits[0]) / n, float64(hits[1]) / n})
	}
	return out, nil
}
