// SPDX-License-Identifier: Apache-2.0

package objpool

import "encoding/binary"

// Large values beside the socket, as docs/PROTOCOL.md has it under "Descriptors". What is particular to Linux is in
// files_linux.go.

const (
	referenceType = 112      // the ext that stands for bytes of a file
	referenceSize = 2 + 16   // d8 70, and its body
	largeValue    = 64 << 10 // bytes from which on a value goes beside the socket
	maxFiles      = 64       // descriptors with one message

	referenceToBin = 0      // what a reference stands for
	referenceToExt = 0x0100 // the ext's type is added
)

// appendReference writes what stands for a value of that kind, the n bytes of a file.
func appendReference(b []byte, kind uint64, n int) []byte {
	b = append(b, 0xd8, referenceType)
	b = binary.BigEndian.AppendUint64(b, 0)
	return binary.BigEndian.AppendUint64(b, kind<<48|uint64(n))
}

// A reference says which bytes of a file stand for a value.
type reference struct {
	mark   int64
	offset int64
	isBin  bool
	ext    int8
	size   int
}

// readReference reads the ext at the beginning of b, which has referenceSize bytes.
func readReference(b []byte) reference {
	first, second := binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:])
	kind := second >> 48
	return reference{
		mark:   int64(first >> 48),
		offset: int64(first & (1<<48 - 1)),
		isBin:  kind == referenceToBin,
		ext:    int8(kind),
		size:   int(second & (1<<48 - 1)),
	}
}

// appendHead writes the head of the value that the reference stands for.
func (r reference) appendHead(b []byte) []byte {
	if r.isBin {
		return appendBinHead(b, r.size)
	}
	return append(binary.BigEndian.AppendUint32(append(b, 0xc9), uint32(r.size)), byte(r.ext))
}
