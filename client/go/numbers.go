// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/binary"
	"math"
	"reflect"
	"strconv"
)

// A number is one that has come: an integer ('u', or 'i' where it is negative), or a float ('f').
type number struct {
	kind byte
	bits uint64 // of an int64, where it is negative
	f    float64
}

func signedNumber(n int64) number {
	if n < 0 {
		return number{kind: 'i', bits: uint64(n)}
	}
	return number{kind: 'u', bits: uint64(n)}
}

func floatNumber(f float64) number { return number{kind: 'f', f: f} }

// readNumber reads a number.
func readNumber(b []byte) (n number, rest []byte, ok bool) {
	if len(b) == 0 {
		return n, b, false
	}
	c := b[0]
	switch {
	case c >= 0xe0:
		return signedNumber(int64(int8(c))), b[1:], true
	case c == 0xca && len(b) >= 5:
		return floatNumber(float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:])))), b[5:], true
	case c == 0xcb && len(b) >= 9:
		return floatNumber(math.Float64frombits(binary.BigEndian.Uint64(b[1:]))), b[9:], true
	}
	bits, rest, isUint := readUint(b)
	if isUint {
		return number{kind: 'u', bits: bits}, rest, true
	}
	if c < 0xd0 || c > 0xd3 || len(rest) == len(b) {
		return n, b, false
	}
	unused := 64 - 8*(len(b)-len(rest)-1)
	return signedNumber(int64(bits<<unused) >> unused), rest, true
}

// int gives an integer, or a float that is one.
func (n number) int() (int64, bool) {
	switch n.kind {
	case 'u':
		return int64(n.bits), n.bits <= math.MaxInt64
	case 'i':
		return int64(n.bits), true
	}
	return int64(n.f), n.f == math.Trunc(n.f) && n.f >= -1<<63 && n.f < 1<<63
}

func (n number) uint() (uint64, bool) {
	switch n.kind {
	case 'u':
		return n.bits, true
	case 'i':
		return 0, false
	}
	return uint64(n.f), n.f == math.Trunc(n.f) && n.f >= 0 && n.f < 1<<64
}

func (n number) float() float64 {
	switch n.kind {
	case 'u':
		return float64(n.bits)
	case 'i':
		return float64(int64(n.bits))
	}
	return n.f
}

// String writes the number.
func (n number) String() string {
	switch n.kind {
	case 'u':
		return strconv.FormatUint(n.bits, 10)
	case 'i':
		return strconv.FormatInt(int64(n.bits), 10)
	}
	return strconv.FormatFloat(n.f, 'g', -1, 64)
}

// set sets a variable of a type of numbers. False: it has no room for this one.
func (n number) set(v reflect.Value) bool {
	switch kind := v.Kind(); {
	case kind <= reflect.Int64:
		i, ok := n.int()
		if !ok || v.OverflowInt(i) {
			return false
		}
		v.SetInt(i)
	case kind <= reflect.Uintptr:
		u, ok := n.uint()
		if !ok || v.OverflowUint(u) {
			return false
		}
		v.SetUint(u)
	default:
		f := n.float()
		if v.OverflowFloat(f) && !math.IsInf(f, 0) {
			return false
		}
		v.SetFloat(f)
	}
	return true
}
