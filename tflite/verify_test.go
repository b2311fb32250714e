package tflite

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/google/go-cmp/cmp"

	"dfq/schema"
)

// allTables returns the struct type of every table, with its layout.
func allTables() map[reflect.Type]*layout {
	known := map[reflect.Type]*layout{}
	layoutOf(reflect.TypeFor[schema.ModelT](), known)
	return known
}

func TestLayoutsCoverSchema(t *testing.T) {
	fbs, err := os.ReadFile("../schema/schema.fbs")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^table (\w+)`).FindAllSubmatch(fbs, -1) {
		want = append(want, strings.ToLower(string(m[1]))) // flatc changes the case of some names
	}
	for _, l := range allTables() {
		got = append(got, strings.ToLower(l.name))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables of schema.fbs (-) and layouts (+):\n%s", diff)
	}
}

// random fills v with values that differ from the format's defaults. full
// leaves no field out; otherwise vectors and tables may be absent or empty.
func random(r *rand.Rand, v reflect.Value, full bool) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int32, reflect.Int64:
		v.SetInt(2 + r.Int64N(100))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(2 + r.Uint64N(100))
	case reflect.Float32:
		v.SetFloat(float64(r.Float32()) + 0.25)
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(9)))
	case reflect.Slice:
		n := r.IntN(4)
		if n == 3 && !full {
			return // absent
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			random(r, v.Index(i), true)
		}
	case reflect.Pointer:
		if r.IntN(4) == 0 && !full {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		random(r, v.Elem(), full)
	case reflect.Struct:
		if isUnion(v.Type()) {
			members := unionMembers(v.Type())
			i := r.IntN(len(members))
			v.Field(0).SetUint(uint64(i + 1))
			value := reflect.New(members[i].Elem())
			random(r, value.Elem(), full)
			v.Field(1).Set(value)
			return
		}
		for i := range v.NumField() {
			random(r, v.Field(i), full && r.IntN(8) > 0)
		}
	default:
		panic(v.Type())
	}
}

// packTable writes any table as the root.
func packTable(v reflect.Value) []byte {
	b := flatbuffers.NewBuilder(0)
	offset := v.MethodByName("Pack").Call([]reflect.Value{reflect.ValueOf(b)})[0]
	b.FinishWithFileIdentifier(flatbuffers.UOffsetT(offset.Uint()), []byte("TFL3"))
	return b.FinishedBytes()
}

func walk(data []byte, l *layout) (*walker, error) {
	w := &walker{data: data, left: math.MaxInt64}
	if e := w.offset(0, &slot{kind: table, tables: []*layout{l}}, reflect.Value{}); e != nil {
		return w, e
	}
	return w, nil
}

// TestLayoutSlots packs, for every field of every table, a table with that
// field alone. It must stand in the slot that the layout says, hold as many
// bytes, and be accepted; one byte less must not be.
func TestLayoutSlots(t *testing.T) {
	fields := 0
	for typ, l := range allTables() {
		for i, s := range l.slots {
			if s.kind == unionType {
				continue
			}
			fields++
			v, set := alone(l, typ, s.field)
			data := packTable(v)
			place := fmt.Sprintf("%s.%s", l.name, s.name)
			pos := int(binary.LittleEndian.Uint32(data))
			vtable := pos - int(int32(binary.LittleEndian.Uint32(data[pos:])))
			for j := 4; j < int(binary.LittleEndian.Uint16(data[vtable:])); j += 2 {
				used := binary.LittleEndian.Uint16(data[vtable+j:]) != 0
				slot := (j - 4) / 2
				if want := slot == i || s.kind == unionTable && slot == i-1 || slices.Contains(set, slot); used != want {
					t.Errorf("%s: slot %d used: %v", place, slot, used)
				}
			}
			w, err := walk(data, l)
			if err != nil || len(data)-w.end >= 8 {
				t.Errorf("%s: %v, end at %d of %d", place, err, w.end, len(data))
			}
			last := w.end - 1
			if len(set) > 0 {
				last-- // strings are written behind the field, with a zero that may be missing
			}
			if _, err := walk(data[:last], l); err == nil {
				t.Errorf("%s: accepted without the last byte", place)
			}
		}
	}
	t.Logf("%d fields", fields)
}

// alone returns a table with one field that is not the default; the others
// are. Slots of strings, which Pack always writes, are returned.
func alone(l *layout, typ reflect.Type, field int) (v reflect.Value, always []int) {
	v = reflect.New(typ)
	for i, s := range l.slots {
		if s.kind == text {
			always = append(always, i)
		}
	}
	setDefaults(v)
	f := v.Elem().Field(field)
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Slice:
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		if f.Type().Elem().Kind() == reflect.Pointer {
			f.Index(0).Set(reflect.New(f.Type().Elem().Elem()))
		}
	default:
		random(rand.New(rand.NewPCG(1, 1)), f, true)
	}
	return v, always
}

// setDefaults sets the fields whose default is not zero. Reading it from an
// unpacked table needs the generated reader, of which Go has no list by name.
func setDefaults(v reflect.Value) {
	if options := defaultOptions(v.Interface()); options.IsValid() {
		for i := range options.NumField() {
			if options.Field(i).Kind() != reflect.Slice {
				v.Elem().Field(i).Set(options.Field(i))
			}
		}
	}
	switch t := v.Interface().(type) {
	case *schema.OperatorT:
		t.DebugMetadataIndex = -1
	case *schema.SubGraphT:
		t.DebugMetadataIndex = -1
	case *schema.OperatorCodeT:
		t.Version = 1
	}
}

func TestRandomModels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var want schema.ModelT
		random(r, reflect.ValueOf(&want).Elem(), true)
		data := packTable(reflect.ValueOf(&want))
		if _, err := verify(data); err != nil {
			t.Fatal(err)
		}
		got := schema.GetRootAsModel(data, 0).UnPack()
		markAbsent(data, got)
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Fatalf("absent and empty vectors (-want +got):\n%s", diff)
		}
	}
}

// TestRandomDamage flips bytes: whatever verify accepts, UnPack must survive.
func TestRandomDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for range 300 {
		var m schema.ModelT
		random(r, reflect.ValueOf(&m).Elem(), true)
		data := packTable(reflect.ValueOf(&m))
		for range 50 {
			damaged := slices.Clone(data)
			for range 1 + r.IntN(3) {
				damaged[8+r.IntN(len(data)-8)] = byte(r.IntN(256))
			}
			if _, err := verify(damaged); err != nil {
				continue
			}
			accepted++
			markAbsent(damaged, schema.GetRootAsModel(damaged, 0).UnPack())
		}
	}
	if accepted < 100 {
		t.Errorf("only %d damaged models were accepted: the test shows little", accepted)
	}
}

// bomb packs a model whose n subgraphs are one, with n tensors that are one.
func bomb(n int) []byte {
	b := flatbuffers.NewBuilder(0)
	same := func(offset flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		return b.CreateVectorOfTables(slices.Repeat([]flatbuffers.UOffsetT{offset}, n))
	}
	tensors := same((&schema.TensorT{Name: "t"}).Pack(b))
	schema.SubGraphStart(b)
	schema.SubGraphAddTensors(b, tensors)
	graphs := same(schema.SubGraphEnd(b))
	schema.ModelStart(b)
	schema.ModelAddVersion(b, 3)
	schema.ModelAddSubgraphs(b, graphs)
	b.FinishWithFileIdentifier(schema.ModelEnd(b), []byte("TFL3"))
	return b.FinishedBytes()
}

func TestVerifyBoundsSharing(t *testing.T) {
	if _, err := Decode(bomb(10)); err != nil {
		t.Errorf("some sharing: %v", err)
	}
	_, err := Decode(bomb(10000))
	if err == nil || !strings.Contains(err.Error(), "too many references") {
		t.Errorf("10000 × 10000 tensors in a file of 80 kB: %v", err)
	}
}

// Options of the second union without a type are of no type, not of that of the
// first union.
func TestUnionWithoutType(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	first := (&schema.Conv2DOptionsT{}).Pack(b)
	second := (&schema.StablehloConvolutionOptionsT{BatchGroupCount: 1}).Pack(b) // a field that Conv2DOptions has not
	schema.OperatorStart(b)
	schema.OperatorAddBuiltinOptionsType(b, schema.BuiltinOptionsConv2DOptions)
	schema.OperatorAddBuiltinOptions(b, first)
	schema.OperatorAddBuiltinOptions2(b, second)
	b.Finish(schema.OperatorEnd(b))
	data, l := b.FinishedBytes(), allTables()[reflect.TypeFor[schema.OperatorT]()]
	if _, err := walk(data, l); err != nil {
		t.Fatal(err)
	}
	op := schema.GetRootAsOperator(data, 0)
	file := op.UnPack()
	w := &walker{data: data, presence: true}
	if e := w.table(int(op.Table().Pos), l, reflect.ValueOf(file).Elem()); e != nil || file.BuiltinOptions == nil || file.BuiltinOptions2 != nil {
		t.Errorf("%v, options %v and %v", e, file.BuiltinOptions, file.BuiltinOptions2)
	}
}

func TestVerifyRefuses(t *testing.T) {
	// A model of a file identifier and a table without fields, to be damaged:
	// root offset at 0, vtable at 8, table at 12.
	minimal := []byte{12, 0, 0, 0, 'T', 'F', 'L', '3', 4, 0, 4, 0, 4, 0, 0, 0}
	if _, err := verify(minimal); err != nil {
		t.Fatal(err)
	}
	set := func(at int, bytes ...byte) []byte {
		data := slices.Clone(minimal)
		copy(data[at:], bytes)
		return data
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "file: 0 bytes"},
		{"another format", []byte("PK\x03\x04zip file"), "not a TensorFlow Lite model"},
		{"root outside", set(0, 200), "offset 200 at 0 leads out"},
		{"root at itself", set(0, 0), "offset 0 at 0"},
		{"root beyond 2 GB", set(0, 255, 255, 255, 255), "leads out"},
		{"table at the very end", set(0, 16), "4 bytes at 16"},
		{"vtable before the file", set(12, 127), "4 bytes at -115"},
		{"vtable behind the file", set(12, 255, 0, 0, 128), "2147483"},
		{"vtable too long", set(8, 200), "200 bytes at 8"},
		{"vtable of odd length", set(8, 5), "broken vtable"},
		{"vtable too short", set(8, 2), "broken vtable"},
		{"table too long", set(10, 200), "200 bytes at 12"},
		{"table too short", set(10, 3), "broken vtable"},
		{"unknown field", append(set(0, 42), append([]byte{26, 0, 8, 0}, append(make([]byte, 20), 4, 0, 26, 0, 0, 0, 1, 0, 0, 0)...)...), "field 10 is newer"},
	} {
		_, err := verify(test.data)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}
