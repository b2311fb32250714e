package tflite

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

// FuzzDecode: whatever a file holds, Decode returns, without a panic and
// without allocating more than a multiple of the file's size. What it accepts
// can be checked, densified, printed and written, and what was written reads the
// same.
func FuzzDecode(f *testing.F) {
	file := everything(f)
	f.Add(file)
	f.Add(bomb(100))
	f.Add(packModel(everythingTables()))
	for n := 0; n < len(file); n += 97 {
		f.Add(file[:n])
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		damaged := bytes.Clone(file)
		for range 1 + r.IntN(4) {
			damaged[r.IntN(len(file))] ^= 1 << r.IntN(8)
		}
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, allocated, err := measured(data)
		if limit := uint64(8<<20 + 32*len(data)); allocated > limit {
			t.Fatalf("%d bytes allocated for a file of %d", allocated, len(data))
		}
		if err != nil {
			return
		}
		m.Validate()
		m.Clone().Densify()
		text := m.String()
		once, err := Encode(m)
		if err != nil {
			return
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("written, but not to be read: %v", err)
		}
		twice, err := Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, twice) {
			t.Error("the second round differs")
		}
		if len(m.Trailer) == len(again.Trailer) && again.String() != text {
			t.Errorf("printed form before:\n%s\nafter:\n%s", text, again)
		}
	})
}

// measured decodes, and counts the bytes that are allocated in doing so.
func measured(data []byte) (m *Model, allocated uint64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err = Decode(data)
	runtime.ReadMemStats(&after)
	return m, after.TotalAlloc - before.TotalAlloc, err
}

func TestSharedAllocations(t *testing.T) {
	realModels(t, func(t *testing.T, data []byte) {
		m, allocated, err := measured(data)
		if err != nil {
			t.Fatal(err)
		}
		constants := 0
		for _, tensor := range m.Graphs[0].Tensors() {
			constants += len(tensor.Data)
		}
		if other := len(data) - constants; allocated > uint64(1<<20+16*other) {
			t.Errorf("%d bytes allocated for a file of %d, of which %d are no constants: are these copied?", allocated, len(data), other)
		}
	})
}
