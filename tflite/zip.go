package tflite

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Records of a ZIP as its specification (APPNOTE.TXT, 4.3) numbers them.
const (
	zipEntry      = "PK\x01\x02" // of the directory; 46 bytes and three strings
	zipEntrySize  = 46
	zipEntryLocal = 42           // where in an entry the offset of the file's own header stands
	zipEnd        = "PK\x05\x06" // 22 bytes and a comment
	zipEndSize    = 22
	zipEndLength  = 12 // where in the end the length of the directory stands
	zipEndOffset  = 16 // and its offset
)

// rebaseZIP returns trailer for a place start bytes into a file. The offsets
// inside a ZIP count from the start of the file it is appended to, so they
// change with the length of the model. Everything but a ZIP stays as it is.
func rebaseZIP(trailer []byte, start int) ([]byte, error) {
	end := bytes.LastIndex(trailer, []byte(zipEnd))
	if end < 0 || len(trailer)-end < zipEndSize {
		return trailer, nil
	}
	u32 := binary.LittleEndian.Uint32
	length, offset := int64(u32(trailer[end+zipEndLength:])), int64(u32(trailer[end+zipEndOffset:]))
	if length == 1<<32-1 || offset == 1<<32-1 {
		return nil, errors.New("a ZIP64 archive, whose offsets cannot be moved: remove it from the model")
	}
	directory := int64(end) - length
	if directory < 0 {
		return trailer, nil
	}
	out := bytes.Clone(trailer)
	shift := func(at int64, by int64) bool {
		to := int64(u32(out[at:])) + by
		binary.LittleEndian.PutUint32(out[at:], uint32(to))
		return to >= 0 && to < 1<<32-1
	}
	by := directory + int64(start) - offset
	ok := shift(int64(end)+zipEndOffset, by)
	for at := directory; at < int64(end); {
		if int64(end)-at < zipEntrySize || string(out[at:at+4]) != zipEntry {
			return trailer, nil // not a ZIP after all, or one that no reader would accept
		}
		ok = ok && shift(at+zipEntryLocal, by)
		lengths := out[at+28:]
		for i := 0; i < 6; i += 2 {
			at += int64(binary.LittleEndian.Uint16(lengths[i:]))
		}
		at += zipEntrySize
	}
	if !ok {
		return trailer, nil
	}
	return out, nil
}
