package tflite

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"sync"

	flatbuffers "github.com/google/flatbuffers/go"

	"dfq/schema"
)

// FormatError says what is wrong with a file and where. Decode returns it as a
// *FormatError.
type FormatError struct {
	Table  string // the place: subgraphs[0].tensors[3].shape, op 12 CONV_2D "conv"
	Reason string
}

func (e *FormatError) Error() string { return "tflite: " + e.Table + ": " + e.Reason }

// A layout is the wire form of one table, read off the struct that flatc
// generates for it: fields stand in the order of their vtable slots, and their
// Go types have the sizes of the wire. A test compares all layouts with
// schema.fbs.
type layout struct {
	name  string
	slots []slot
	size  int64 // bytes of the Go struct
}

type kind uint8

const (
	scalar     kind = iota
	text            // a string
	blob            // a vector of bytes
	numbers         // a vector of scalars
	table           // one table
	tables          // a vector of tables
	unionType       // which member the next slot holds
	unionTable      // the member
)

// A slot is one entry of a vtable.
type slot struct {
	name   string
	kind   kind
	size   int       // of a scalar, or of one element of numbers and blob
	field  int       // index into the Go struct
	tables []*layout // the one table, or the members of a union from 1 on (0 is nil)
}

// modelLayout is the layout of the root and, through it, of every table.
var modelLayout = sync.OnceValue(func() *layout {
	return layoutOf(reflect.TypeFor[schema.ModelT](), map[reflect.Type]*layout{})
})

func layoutOf(t reflect.Type, known map[reflect.Type]*layout) *layout {
	if l := known[t]; l != nil {
		return l
	}
	l := &layout{name: strings.TrimSuffix(t.Name(), "T"), size: int64(t.Size())}
	known[t] = l
	for i := range t.NumField() {
		f := t.Field(i)
		l.slots = append(l.slots, slotsOf(f, i, known)...)
	}
	return l
}

func slotsOf(f reflect.StructField, field int, known map[reflect.Type]*layout) []slot {
	s := slot{name: f.Tag.Get("json"), field: field}
	sub := func(t reflect.Type) []*layout { return []*layout{layoutOf(t.Elem(), known)} }
	switch {
	case f.Type.Kind() == reflect.String:
		s.kind = text
	case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Pointer:
		s.kind, s.tables = tables, sub(f.Type.Elem())
	case f.Type.Kind() == reflect.Slice:
		s.kind, s.size = numbers, int(f.Type.Elem().Size())
		if f.Type.Elem().Kind() == reflect.Uint8 {
			s.kind = blob
		}
	case f.Type.Kind() == reflect.Pointer && isUnion(f.Type.Elem()):
		which := slot{name: s.name + "_type", kind: unionType, size: 1, field: field}
		s.kind, s.tables = unionTable, []*layout{nil}
		for _, member := range unionMembers(f.Type.Elem()) {
			s.tables = append(s.tables, layoutOf(member.Elem(), known))
		}
		return []slot{which, s}
	case f.Type.Kind() == reflect.Pointer:
		s.kind, s.tables = table, sub(f.Type)
	default:
		s.kind, s.size = scalar, int(f.Type.Size())
	}
	return []slot{s}
}

// isUnion recognizes the {Type, Value} pair that flatc makes of a union.
func isUnion(t reflect.Type) bool {
	f, ok := t.FieldByName("Value")
	return ok && f.Type.Kind() == reflect.Interface
}

// emptyTable is a table without fields, for unpacking defaults.
var emptyTable = flatbuffers.Table{Bytes: []byte{4, 0, 4, 0, 4, 0, 0, 0}, Pos: 4}

// unionMembers lists the pointer types of a union's members 1, 2, …: what
// unpacking an empty table as that member yields.
func unionMembers(union reflect.Type) []reflect.Type {
	var members []reflect.Type
	for {
		which := reflect.New(union.Field(0).Type).Elem()
		which.SetUint(uint64(len(members) + 1))
		unpack := which.MethodByName("UnPack")
		value := unpack.Call([]reflect.Value{reflect.ValueOf(emptyTable)})[0]
		if value.IsNil() {
			return members
		}
		members = append(members, value.Elem().FieldByName("Value").Elem().Type())
	}
}

// A walker visits every table, vector and string of a FlatBuffer. The first
// walk (verify) proves that unpacking stays inside data and within bounds of
// memory; the second (presence) repairs what unpacking blurs.
type walker struct {
	data []byte
	end  int   // end of the furthest byte that something refers to
	left int64 // bytes that unpacking may still allocate or alias

	presence bool // the second walk: v is what the table was unpacked into
}

// Offsets may share what they point to, so that a small file unpacks to a huge
// model. Real files need under four bytes of Go structs for each byte of
// theirs that is no constant.
const (
	unpackBytes   = 1 << 20
	unpackPerByte = 8
)

// verify checks the whole FlatBuffer at the start of data against the schema
// and returns where it ends. Afterwards the generated UnPack is safe: all it
// reads lies inside data, and what it allocates is bounded by a multiple of
// len(data).
func verify(data []byte) (end int, err error) {
	if len(data) < 8 {
		return 0, &FormatError{"file", fmt.Sprintf("%d bytes are too few for a model", len(data))}
	}
	if id := string(data[4:8]); id != "TFL3" {
		return 0, &FormatError{"file", fmt.Sprintf("identifier %q instead of \"TFL3\": this is not a TensorFlow Lite model", id)}
	}
	w := &walker{data: data, end: 8, left: unpackBytes + unpackPerByte*int64(len(data))}
	if e := w.offset(0, &slot{kind: table, tables: []*layout{modelLayout()}}, reflect.Value{}); e != nil {
		if e.Table == "" {
			e.Table = "model"
		}
		return 0, e
	}
	return w.end, nil
}

// markAbsent sets the empty slices of a verified and unpacked model to nil
// where the file has no vector at all, which UnPack does not tell apart.
func markAbsent(data []byte, model *schema.ModelT) {
	w := &walker{data: data, presence: true}
	w.table(int(binary.LittleEndian.Uint32(data)), modelLayout(), reflect.ValueOf(model).Elem())
}

func (w *walker) has(pos, n int) bool { return pos >= 0 && pos <= len(w.data) && n <= len(w.data)-pos }

func (w *walker) u16(pos int) int { return int(binary.LittleEndian.Uint16(w.data[pos:])) }

// take notes that n bytes at pos belong to the FlatBuffer and that unpacking
// them allocates some memory. It reports whether both are possible.
func (w *walker) take(pos, n int, allocates int64) *FormatError {
	if !w.has(pos, n) {
		return &FormatError{Reason: fmt.Sprintf("%d bytes at %d of a file of %d", n, pos, len(w.data))}
	}
	w.end = max(w.end, pos+n)
	if w.left -= allocates; w.left < 0 && !w.presence {
		return &FormatError{Reason: "too many references to the same data"}
	}
	return nil
}

// table walks the table at pos. v is the struct it was unpacked into, in the
// second walk.
func (w *walker) table(pos int, l *layout, v reflect.Value) *FormatError {
	if e := w.take(pos, 4, l.size); e != nil {
		return e
	}
	vtable := pos - int(int32(binary.LittleEndian.Uint32(w.data[pos:])))
	if e := w.take(vtable, 4, 0); e != nil {
		return e
	}
	// A long vtable is charged as memory: many tables may share it.
	size := w.u16(vtable)
	if e := w.take(vtable, size, int64(size)); e != nil {
		return e
	}
	if inline := w.u16(vtable + 2); size < 4 || size%2 != 0 || inline < 4 {
		return &FormatError{Reason: "broken vtable"}
	} else if e := w.take(pos, inline, 0); e != nil {
		return e
	}
	return w.slots(pos, w.data[vtable+4:vtable+size], l, v)
}

// slots walks the fields of the table at pos; offsets is its vtable's list.
func (w *walker) slots(pos int, offsets []byte, l *layout, v reflect.Value) *FormatError {
	member := 0
	for i := 0; i < max(len(l.slots), len(offsets)/2); i++ {
		offset := 0
		if 2*i < len(offsets) {
			offset = int(binary.LittleEndian.Uint16(offsets[2*i:]))
		}
		switch {
		case offset == 0:
			member = 0 // which a union's type would have set, in the slot before it
			if w.presence && i < len(l.slots) {
				setAbsent(v.Field(l.slots[i].field))
			}
			continue
		case i >= len(l.slots):
			return &FormatError{Reason: fmt.Sprintf("field %d is newer than the format known here: a newer version of this program may read it", i)}
		}
		s := &l.slots[i]
		if e := w.slot(pos+offset, s, &member, v); e != nil {
			e.Table = joinPlace(s.name, e.Table)
			return e
		}
	}
	return nil
}

// joinPlace joins names as in subgraphs[0].tensors[3].
func joinPlace(outer, inner string) string {
	if inner == "" || inner[0] == '[' {
		return outer + inner
	}
	return outer + "." + inner
}

func setAbsent(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		v.SetZero()
	}
}

// slot walks one field that is present. member carries the type of a union
// from its first slot to its second.
func (w *walker) slot(pos int, s *slot, member *int, v reflect.Value) *FormatError {
	field := v
	if w.presence {
		field = v.Field(s.field)
	}
	switch s.kind {
	case scalar:
		return w.take(pos, s.size, 0)
	case unionType:
		if e := w.take(pos, 1, 0); e != nil {
			return e
		}
		*member = int(w.data[pos])
		return nil
	case unionTable:
		m := *member
		if m >= len(s.tables) {
			return &FormatError{Reason: fmt.Sprintf("type %d is newer than the format known here: a newer version of this program may read it", m)}
		}
		if m == 0 {
			return w.take(pos, 4, 0)
		}
		if w.presence {
			field = field.Elem().FieldByName("Value").Elem()
		}
		return w.offset(pos, &slot{kind: table, tables: s.tables[m : m+1]}, field)
	}
	return w.offset(pos, s, field)
}

// offset follows the offset at pos to a table, string or vector.
func (w *walker) offset(pos int, s *slot, v reflect.Value) *FormatError {
	if e := w.take(pos, 4, 0); e != nil {
		return e
	}
	offset := binary.LittleEndian.Uint32(w.data[pos:])
	if offset == 0 || uint64(offset) > uint64(len(w.data)-pos) {
		return &FormatError{Reason: fmt.Sprintf("offset %d at %d leads out of a file of %d bytes", offset, pos, len(w.data))}
	}
	pos += int(offset)
	if s.kind == table {
		if w.presence {
			v = v.Elem()
		}
		return w.table(pos, s.tables[0], v)
	}
	return w.vector(pos, s, v)
}

// vector walks the string or vector at pos.
func (w *walker) vector(pos int, s *slot, v reflect.Value) *FormatError {
	if e := w.take(pos, 4, 0); e != nil {
		return e
	}
	element, allocates := s.size, int64(s.size)
	switch s.kind {
	case text:
		element, allocates = 1, 1
	case tables:
		element, allocates = 4, 8
	}
	n := int(binary.LittleEndian.Uint32(w.data[pos:]))
	if n < 0 || n > (len(w.data)-pos-4)/element {
		return &FormatError{Reason: fmt.Sprintf("length %d at %d is more than a file of %d bytes holds", uint32(n), pos, len(w.data))}
	}
	if e := w.take(pos+4, n*element, int64(n)*allocates); e != nil {
		return e
	}
	if end := pos + 4 + n; s.kind == text && end < len(w.data) && w.data[end] == 0 {
		w.end = max(w.end, end+1) // the terminator belongs to the string
	}
	if s.kind != tables {
		return nil
	}
	one := &slot{kind: table, tables: s.tables}
	for i := range n {
		var item reflect.Value
		if w.presence {
			item = v.Index(i)
		}
		if e := w.offset(pos+4+4*i, one, item); e != nil {
			e.Table = joinPlace(fmt.Sprintf("[%d]", i), e.Table)
			return e
		}
	}
	return nil
}
