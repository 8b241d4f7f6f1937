// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/binary"
	"math"
)

// Kinds of messages, and the one byte of nil.
const (
	kindRequest      = 0
	kindResponse     = 1
	kindNotification = 2

	wireNil = 0xc0
)

// ---- writing: each function appends one msgpack value, or the head of one ----

func appendUint(b []byte, n uint64) []byte {
	switch {
	case n <= 0x7f:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

func appendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(f))
}

func appendBool(b []byte, yes bool) []byte {
	if yes {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendString(b []byte, s string) []byte { return append(appendStringHead(b, len(s)), s...) }

func appendStringHead(b []byte, n int) []byte {
	switch {
	case n <= 31:
		return append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
}

func appendBinHead(b []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, 0xc4, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
}

func appendArrayHead(b []byte, n int) []byte {
	switch {
	case n <= 15:
		return append(b, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendMapHead(b []byte, n int) []byte {
	switch {
	case n <= 15:
		return append(b, 0x80|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xde), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n))
}

// appendExt writes an ext.
func appendExt(b []byte, kind int8, data []byte) []byte {
	return append(appendExtHead(b, kind, len(data)), data...)
}

// appendExtHead writes the head of an ext. One of 16 bytes and type 112 has the long form: the short one may stand for a
// descriptor.
func appendExtHead(b []byte, kind int8, n int) []byte {
	switch {
	case n == 16 && kind != referenceType:
		return append(b, 0xd8, byte(kind))
	case n <= math.MaxUint8:
		return append(b, 0xc7, byte(n), byte(kind))
	case n <= math.MaxUint16:
		return append(binary.BigEndian.AppendUint16(append(b, 0xc8), uint16(n)), byte(kind))
	}
	return append(binary.BigEndian.AppendUint32(append(b, 0xc9), uint32(n)), byte(kind))
}

// ---- reading: the first value of b, and what comes after it. b has been scanned: all of it is there ----

func readUint(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, b, false
	}
	c := b[0]
	if c <= 0x7f {
		return uint64(c), b[1:], true
	}
	size := 0
	switch c {
	case 0xcc, 0xd0:
		size = 1
	case 0xcd, 0xd1:
		size = 2
	case 0xce, 0xd2:
		size = 4
	case 0xcf, 0xd3:
		size = 8
	}
	if size == 0 || len(b) < 1+size {
		return 0, b, false
	}
	for _, d := range b[1 : 1+size] {
		n = n<<8 | uint64(d)
	}
	negative := c >= 0xd0 && b[1]&0x80 != 0
	return n, b[1+size:], !negative
}

// readBytes reads a str or a bin.
func readBytes(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, b, false
	}
	head, n := 1, 0
	switch c := b[0]; {
	case c >= 0xa0 && c <= 0xbf:
		n = int(c & 0x1f)
	case (c == 0xd9 || c == 0xc4) && len(b) >= 2:
		head, n = 2, int(b[1])
	case (c == 0xda || c == 0xc5) && len(b) >= 3:
		head, n = 3, int(binary.BigEndian.Uint16(b[1:]))
	case (c == 0xdb || c == 0xc6) && len(b) >= 5:
		head, n = 5, int(binary.BigEndian.Uint32(b[1:]))
	default:
		return nil, b, false
	}
	if len(b)-head < n {
		return nil, b, false
	}
	return b[head : head+n], b[head+n:], true
}

// readExt reads an ext, which is all of raw.
func readExt(raw []byte) (kind int8, body []byte, ok bool) {
	head := 0
	switch c := raw[0]; {
	case c >= 0xc7 && c <= 0xc9:
		head = 1 + 1<<(c-0xc7)
	case c >= 0xd4 && c <= 0xd8:
		head = 1
	}
	if head == 0 || len(raw) <= head {
		return 0, nil, false
	}
	return int8(raw[head]), raw[head+1:], true
}

func readArrayHead(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) >= 1 && b[0]&0xf0 == 0x90:
		return int(b[0] & 15), b[1:], true
	case len(b) >= 3 && b[0] == 0xdc:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], true
	case len(b) >= 5 && b[0] == 0xdd:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], true
	}
	return 0, b, false
}

func readMapHead(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) >= 1 && b[0]&0xf0 == 0x80:
		return int(b[0] & 15), b[1:], true
	case len(b) >= 3 && b[0] == 0xde:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], true
	case len(b) >= 5 && b[0] == 0xdf:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], true
	}
	return 0, b, false
}

// readRaw cuts the first value off.
func readRaw(b []byte) (value, rest []byte, ok bool) {
	var s scanner
	s.begin(0)
	if done, err := s.run(b); err != nil || !done {
		return nil, b, false
	}
	return b[:s.pos], b[s.pos:], true
}
