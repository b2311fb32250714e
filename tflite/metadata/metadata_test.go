package metadata

import (
	"archive/zip"
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/google/go-cmp/cmp"

	"dfq/tflite"
)

// A row is a table to be packed: each value is of the slot of its index.
// nil leaves a slot out.
type row []any

// pack writes a row: strings, float lists, lists of rows, rows and bytes.
func (r row) pack(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	offsets := make([]flatbuffers.UOffsetT, len(r))
	for i, value := range r {
		switch v := value.(type) {
		case string:
			offsets[i] = b.CreateString(v)
		case []float32:
			b.StartVector(4, len(v), 4)
			for j := len(v) - 1; j >= 0; j-- {
				b.PrependFloat32(v[j])
			}
			offsets[i] = b.EndVector(len(v))
		case []row:
			items := make([]flatbuffers.UOffsetT, len(v))
			for j, item := range v {
				items[j] = item.pack(b)
			}
			offsets[i] = b.CreateVectorOfTables(items)
		case row:
			offsets[i] = v.pack(b)
		}
	}
	b.StartObject(len(r))
	for i, value := range r {
		if v, ok := value.(byte); ok {
			b.PrependByteSlot(i, v, 0)
		} else {
			b.PrependUOffsetTSlot(i, offsets[i], 0)
		}
	}
	return b.EndObject()
}

func packed(r row) []byte {
	b := flatbuffers.NewBuilder(0)
	b.FinishWithFileIdentifier(r.pack(b), []byte("M001"))
	return b.FinishedBytes()
}

// sample has every field that is read, and some that are not.
func sample() []byte {
	normalize := row{byte(1), row{[]float32{1, 2, 3}, []float32{4, 5, 6}}}
	threshold := row{byte(3), row{[]float32{9}}}
	stats := row{[]float32{7}, []float32{-7}} // max comes first
	in := row{"image", "a picture", nil, row{}, []row{threshold, normalize}, stats}
	out := row{"scores", nil, nil, nil, nil, nil, []row{{"labels.txt", "one per line", byte(2)}, {"more.txt"}}}
	graph := row{"main", "", []row{in, {}}, []row{out}}
	return packed(row{"Name", "What it does", "v2", []row{graph, {}}, "somebody", "MIT", []row{{"README"}}, "1.0.0"})
}

func model(data []byte) *tflite.Model {
	return &tflite.Model{Metadata: []*tflite.Metadata{{Name: "other", Data: []byte("x")}, {Name: entryName, Data: data}}}
}

func TestRead(t *testing.T) {
	m := model(sample())
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.SetOffset(12345) // as it stands in a file
	w, err := z.Create("labels.txt")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "cat\ndog\n")
	z.Close()
	m.Trailer = b.Bytes()

	got, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	want := &Info{
		Name: "Name", Description: "What it does", Version: "v2", Author: "somebody", License: "MIT",
		Inputs: []Tensor{
			{Name: "image", Description: "a picture", Mean: []float32{1, 2, 3}, Std: []float32{4, 5, 6}, Min: []float32{-7}, Max: []float32{7}},
			{},
		},
		Outputs: []Tensor{{Name: "scores", Files: []string{"labels.txt", "more.txt"}}},
		Files:   []File{{"labels.txt", 8}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadNone(t *testing.T) {
	if info, err := Read(&tflite.Model{Trailer: []byte("something")}); info != nil || err != nil {
		t.Errorf("%v, %v", info, err)
	}
	info, err := Read(model(packed(row{})))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Info{}, info); diff != "" {
		t.Errorf("metadata without anything: %s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	damaged := func(at int, bytes ...byte) []byte {
		data := sample()
		copy(data[at:], bytes)
		return data
	}
	wrongZIP := model(sample())
	wrongZIP.Trailer = []byte("PK\x05\x06\x00\x00\x00\x00\x09\x00\x09\x00\xff\x00\x00\x00\xff\x00\x00\x00\x00\x00")
	for name, test := range map[string]struct {
		model *tflite.Model
		want  string
	}{
		"empty":      {model(nil), "metadata TFLITE_METADATA: 0 bytes without the identifier"},
		"identifier": {model(damaged(4, 'M', '0', '0', '2')), "without the identifier M001"},
		"root":       {model(damaged(0, 255, 255, 0, 0)), "4 bytes at 65535"},
		"2 GB":       {model(damaged(0, 255, 255, 255, 255)), "4294967295 at 0"},
		"sharing":    {model(bomb()), "too many references"},
		"zip":        {wrongZIP, "associated files: zip: not a valid zip file"},
	} {
		info, err := Read(test.model)
		if err == nil || info != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// bomb has 1000 inputs that are one, with 1000 units that are one.
func bomb() []byte {
	b := flatbuffers.NewBuilder(0)
	same := func(offset flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		offsets := make([]flatbuffers.UOffsetT, 1000)
		for i := range offsets {
			offsets[i] = offset
		}
		return b.CreateVectorOfTables(offsets)
	}
	slots := func(slot int, vector flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		b.StartObject(slot + 1)
		b.PrependUOffsetTSlot(slot, vector, 0)
		return b.EndObject()
	}
	unit := row{byte(1), row{[]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}}}.pack(b)
	input := slots(tensorUnits, same(unit))
	graph := slots(graphInputs, same(input))
	b.FinishWithFileIdentifier(slots(modelGraphs, b.CreateVectorOfTables([]flatbuffers.UOffsetT{graph})), []byte("M001"))
	return b.FinishedBytes()
}

func TestReadDamaged(t *testing.T) {
	data := sample()
	for n := range data {
		_, err := Read(model(data[:n]))
		if enough := n >= len(data)-4; (err == nil) != enough { // the last four are the end of a string, which nothing needs
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 20000 {
		damaged := bytes.Clone(data)
		for range 1 + r.IntN(4) {
			damaged[r.IntN(len(data))] = byte(r.IntN(256))
		}
		if _, err := Read(model(damaged)); err != nil {
			refused++
		}
	}
	if refused < 1000 || refused > 19000 {
		t.Errorf("%d of 20000 damaged ones refused", refused)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(), []byte("PK\x05\x06"))
	f.Add(bomb(), []byte{})
	f.Fuzz(func(t *testing.T, data, trailer []byte) {
		m := model(data)
		m.Trailer = trailer
		if info, err := Read(m); (info == nil) == (err == nil) {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// TestSharedRead reads what the publishers of two models say of them: the values
// are those of MODELS.md, pixels x are given as x/127.5−1 and x/255.
func TestSharedRead(t *testing.T) {
	for name, want := range map[string]struct {
		mean, std float32
		files     []File
	}{
		"deeplabv3_257_metadata.tflite": {127.5, 127.5, []File{{"labelmap.txt", 141}}},
		"palm_detection_full.tflite":    {0, 255, []File{{"labels.txt", 4}}},
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "models", name))
		if err != nil {
			t.Skip("no model to read: ", err)
		}
		before := readFile(t, data)
		m, err := tflite.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tflite.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, readFile(t, again)); diff != "" {
			t.Errorf("%s: after reading and writing: %s", name, diff)
		}
		in := before.Inputs[0]
		if len(in.Mean) != 1 || in.Mean[0] != want.mean || len(in.Std) != 1 || in.Std[0] != want.std {
			t.Errorf("%s: mean %v, standard deviation %v", name, in.Mean, in.Std)
		}
		if diff := cmp.Diff(want.files, before.Files); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func readFile(t *testing.T, data []byte) *Info {
	m, err := tflite.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	info, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
