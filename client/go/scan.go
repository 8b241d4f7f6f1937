// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/binary"
	"errors"
)

var errNotMsgpack = errors.New("the daemon has sent bytes that are not msgpack")

// A scanner finds the end of a msgpack value whose bytes come piece by piece. It never looks at a byte twice, but for the head of
// a value that is not whole yet.
type scanner struct {
	pos  int    // where it goes on
	left uint64 // how many values are missing
	refs []int  // where exts lie that may stand for descriptors
}

func (s *scanner) begin(pos int) {
	s.pos, s.left, s.refs = pos, 1, s.refs[:0]
}

// run goes on in b, which begins where it did before. True: the value ends at pos.
func (s *scanner) run(b []byte) (bool, error) {
	pos, left := s.pos, s.left
	for left > 0 {
		if pos >= len(b) {
			break
		}
		c := b[pos]
		size := uint64(1)
		switch {
		case c <= 0x7f || c >= 0xe0:
		case c <= 0x8f:
			left += 2 * uint64(c&15)
		case c <= 0x9f:
			left += uint64(c & 15)
		case c <= 0xbf:
			size += uint64(c & 31)
		default:
			more, whole, ok := long(b[pos:])
			if !ok {
				if c == 0xc1 {
					return false, errNotMsgpack
				}
				s.pos, s.left = pos, left
				return false, nil
			}
			size, left = whole, left+more
			if c == 0xd8 && len(b) >= pos+2 && b[pos+1] == referenceType {
				s.refs = append(s.refs, pos)
			}
		}
		if uint64(len(b)-pos) < size {
			s.dropRef(pos)
			break
		}
		pos += int(size)
		left--
	}
	s.pos, s.left = pos, left
	return left == 0, nil
}

// dropRef forgets an ext that is not whole: it will be met again.
func (s *scanner) dropRef(pos int) {
	if n := len(s.refs); n > 0 && s.refs[n-1] == pos {
		s.refs = s.refs[:n-1]
	}
}

// long reads the head of a value of more than one byte: how many values are in it, and how many bytes it has without them.
// False: the head is not whole, or there is no such value.
func long(b []byte) (more, size uint64, ok bool) {
	number := func(digits int) uint64 {
		switch {
		case len(b) < 1+digits:
			ok = false
			return 0
		case digits == 1:
			return uint64(b[1])
		case digits == 2:
			return uint64(binary.BigEndian.Uint16(b[1:]))
		}
		return uint64(binary.BigEndian.Uint32(b[1:]))
	}
	ok = true
	switch c := b[0]; c {
	case 0xc0, 0xc2, 0xc3:
		size = 1
	case 0xc4, 0xc5, 0xc6: // bin
		digits := 1 << (c - 0xc4)
		size = 1 + uint64(digits) + number(digits)
	case 0xc7, 0xc8, 0xc9: // ext
		digits := 1 << (c - 0xc7)
		size = 2 + uint64(digits) + number(digits)
	case 0xca:
		size = 5
	case 0xcb:
		size = 9
	case 0xcc, 0xcd, 0xce, 0xcf:
		size = 1 + 1<<(c-0xcc)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size = 1 + 1<<(c-0xd0)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // ext of a fixed size
		size = 2 + 1<<(c-0xd4)
	case 0xd9, 0xda, 0xdb: // str
		digits := 1 << (c - 0xd9)
		size = 1 + uint64(digits) + number(digits)
	case 0xdc, 0xdd: // array
		digits := 2 << (c - 0xdc)
		size, more = 1+uint64(digits), number(digits)
	case 0xde, 0xdf: // map
		digits := 2 << (c - 0xde)
		size, more = 1+uint64(digits), 2*number(digits)
	default:
		return 0, 0, false
	}
	return more, size, ok
}
