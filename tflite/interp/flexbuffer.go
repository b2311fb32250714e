//go:build tflite

package interp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of FlexBuffers values: those that options have, and that of the map.
// https://flatbuffers.dev/internals/#flexbuffers
const (
	flexInt    = 1
	flexUint   = 2
	flexFloat  = 3
	flexString = 5
	flexMap    = 9
	flexBool   = 26
)

// maxOption is the largest whole number that options may hold. They are sizes, and
// kernels take what is there.
const maxOption = 1 << 16

// checkFlexBuffer refuses options that are no FlexBuffers map of sound numbers. The
// kernels of custom ops follow its offsets without a look at where they lead.
func checkFlexBuffer(data []byte) error {
	n := len(data)
	if n < 3 {
		return fmt.Errorf("its options are %d bytes, no FlexBuffers map", n)
	}
	// From the end: the width of the root, its type, and the root.
	width, packed := int(data[n-1]), data[n-2]
	f := flexBuffer(data[:n-2])
	if !validWidth(width) || packed>>2 != flexMap {
		return errors.New("its options are no FlexBuffers map")
	}
	at, ok := f.follow(n-2-width, width)
	if !ok || !f.isMap(at, 1<<(packed&3)) {
		return fmt.Errorf("its options are no FlexBuffers map of numbers, whole ones from 0 to %d", maxOption)
	}
	return nil
}

func validWidth(w int) bool { return w == 1 || w == 2 || w == 4 || w == 8 }

// flexBuffer is all of a FlexBuffers message before its root's type.
type flexBuffer []byte

// isMap reports whether at a place there is a map of options, of width bytes each, with
// all that it leads to within the buffer. Before its values are the place and the width
// of its keys, and their number; behind them their types.
func (f flexBuffer) isMap(at, width int) bool {
	count, ok1 := f.number(at-width, width)
	keyWidth, ok2 := f.number(at-2*width, width)
	keys, ok3 := f.follow(at-3*width, width)
	if !ok1 || !ok2 || !ok3 || keyWidth > 8 || !validWidth(int(keyWidth)) || count > uint64(len(f)) {
		return false
	}
	n, w := int(count), int(keyWidth)
	if named, ok := f.number(keys-w, w); !ok || named != count || at+n*width+n > len(f) {
		return false
	}
	for i := range n {
		key, ok := f.follow(keys+i*w, w)
		if !ok || !f.endsWithin(key) || !f.isOption(at+i*width, width, f[at+n*width+i]>>2) {
			return false
		}
	}
	return true
}

// isOption reports whether the value at a place is one that an option may have.
func (f flexBuffer) isOption(at, width int, kind byte) bool {
	v, ok := f.number(at, width)
	switch kind {
	case flexInt:
		return ok && v <= maxOption && v < 1<<(8*width-1) // or it is negative
	case flexUint, flexBool:
		return ok && v <= maxOption
	case flexFloat:
		return ok
	case flexString: // no kernel has one, but numbers are read from text as well
		at, ok = f.follow(at, width)
		return ok && f.endsWithin(at)
	}
	return false
}

// follow is the place that the offset at a place leads to, backwards.
func (f flexBuffer) follow(at, width int) (int, bool) {
	offset, ok := f.number(at, width)
	if !ok || offset > uint64(at) {
		return 0, false
	}
	return at - int(offset), true
}

// number is the unsigned integer at a place, of 1, 2, 4 or 8 bytes.
func (f flexBuffer) number(at, width int) (uint64, bool) {
	if at < 0 || at+width > len(f) {
		return 0, false
	}
	var wide [8]byte
	copy(wide[:], f[at:at+width])
	return binary.LittleEndian.Uint64(wide[:]), true
}

// endsWithin reports whether the text at a place ends in the buffer.
func (f flexBuffer) endsWithin(at int) bool { return bytes.IndexByte(f[at:], 0) >= 0 }
