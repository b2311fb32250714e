package metadata

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A reader reads a FlatBuffer with every access checked. Tables are known by
// their position; 0, where no table can be, is an absent one, all of whose
// fields are absent. After the first error everything reads as absent.
type reader struct {
	data []byte
	left int // bytes still to be read: offsets may share what they point to
	err  error
}

// at returns n bytes at pos.
func (r *reader) at(pos, n int) []byte {
	switch {
	case r.err != nil:
	case pos < 0 || n < 0 || pos > len(r.data) || n > len(r.data)-pos:
		r.err = fmt.Errorf("%d bytes at %d of %d", n, pos, len(r.data))
	case n > r.left:
		r.err = fmt.Errorf("too many references to the same data")
	default:
		r.left -= n
		return r.data[pos : pos+n]
	}
	return nil
}

func (r *reader) u16(pos int) int {
	if b := r.at(pos, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// u32 reads an offset or a length, which are below 2³¹ in a FlatBuffer.
func (r *reader) u32(pos int) int {
	b := r.at(pos, 4)
	if b == nil {
		return 0
	}
	n := binary.LittleEndian.Uint32(b)
	if n > math.MaxInt32 {
		r.err = fmt.Errorf("%d at %d", n, pos)
		return 0
	}
	return int(n)
}

// follow returns where the offset at pos leads.
func (r *reader) follow(pos int) int {
	if offset := r.u32(pos); offset > 0 {
		return pos + offset
	}
	return 0
}

// field returns the position of a field of table, 0 if it is absent.
func (r *reader) field(table, slot int) int {
	if table == 0 {
		return 0
	}
	b := r.at(table, 4)
	if b == nil {
		return 0
	}
	vtable := table - int(int32(binary.LittleEndian.Uint32(b)))
	entry := 4 + 2*slot // after the sizes of the vtable and of the table
	if r.u16(vtable) < entry+2 {
		return 0
	}
	if offset := r.u16(vtable + entry); offset > 0 {
		return table + offset
	}
	return 0
}

// table returns the table, string or vector in a field, 0 if it is absent.
func (r *reader) table(table, slot int) int {
	if pos := r.field(table, slot); pos != 0 {
		return r.follow(pos)
	}
	return 0
}

func (r *reader) byte(table, slot int) byte {
	if pos := r.field(table, slot); pos != 0 {
		if b := r.at(pos, 1); b != nil {
			return b[0]
		}
	}
	return 0
}

// vector returns the bytes of a vector's elements of the given size, and their
// position.
func (r *reader) vector(table, slot, size int) (elements []byte, pos int) {
	if pos = r.table(table, slot); pos == 0 {
		return nil, 0
	}
	n := r.u32(pos)
	if n > len(r.data) { // so that the product does not overflow
		r.err = fmt.Errorf("length %d at %d of %d bytes", n, pos, len(r.data))
		return nil, 0
	}
	return r.at(pos+4, n*size), pos + 4
}

func (r *reader) text(table, slot int) string {
	b, _ := r.vector(table, slot, 1)
	return string(b)
}

func (r *reader) floats(table, slot int) []float32 {
	var out []float32
	for b, _ := r.vector(table, slot, 4); len(b) > 0; b = b[4:] {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return out
}

// tables returns the positions of the tables in a vector.
func (r *reader) tables(table, slot int) []int {
	b, pos := r.vector(table, slot, 4)
	var out []int
	for i := 0; i < len(b); i += 4 {
		out = append(out, r.follow(pos+i))
	}
	return out
}
