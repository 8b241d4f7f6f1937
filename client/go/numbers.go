// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding"
	"fmt"
	"math"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

var ownDecoders = []reflect.Type{
	reflect.TypeOf((*msgpack.CustomDecoder)(nil)).Elem(), reflect.TypeOf((*msgpack.Unmarshaler)(nil)).Elem(),
	reflect.TypeOf((*encoding.BinaryUnmarshaler)(nil)).Elem(), reflect.TypeOf((*encoding.TextUnmarshaler)(nil)).Elem(),
}

// decodeNumbers reads a number, or a slice of numbers or of such slices. The library would cut an integer for which the type has
// no room, and refuse a whole float where the type is an integer's. False: the value is for the library.
func decodeNumbers(raw []byte, v reflect.Value) (bool, error) {
	if !areNumbers(v.Type()) || raw[0] == wireNil {
		return false, nil
	}
	if v.Kind() == reflect.Slice {
		return decodeNumberSlice(raw, v)
	}
	if !decodeNumber(raw, v) {
		if value, _, err := decodeAny(raw); err == nil && isNumber(value) {
			return true, fmt.Errorf("%v is no %v", value, v.Type())
		}
		return false, nil
	}
	return true, nil
}

func areNumbers(t reflect.Type) bool {
	switch kind := t.Kind(); {
	case kind >= reflect.Int && kind <= reflect.Float64 && kind != reflect.Uintptr:
	case kind == reflect.Slice && t.Elem().Kind() != reflect.Uint8: // of uint8: bytes
		if !areNumbers(t.Elem()) {
			return false
		}
	default:
		return false
	}
	return t.PkgPath() == "" || !decodesItself(reflect.PointerTo(t))
}

func decodesItself(t reflect.Type) bool {
	for _, own := range ownDecoders {
		if t.Implements(own) {
			return true
		}
	}
	return false
}

func decodeNumberSlice(raw []byte, v reflect.Value) (bool, error) {
	n, raw, ok := readArrayHead(raw)
	if !ok || n > len(raw) { // each has a byte at least
		return false, nil
	}
	values := reflect.MakeSlice(v.Type(), n, n)
	for i := 0; i < n; i++ {
		value, rest, ok := readRaw(raw)
		if !ok {
			return true, errNotMsgpack
		}
		raw = rest
		if done, err := decodeNumbers(value, values.Index(i)); err != nil {
			return true, err
		} else if !done && value[0] != wireNil {
			return false, nil
		}
	}
	v.Set(values)
	return true, nil
}

// decodeNumber reads one number. False: it is none, or v has no room for it.
func decodeNumber(raw []byte, v reflect.Value) bool {
	switch kind := v.Kind(); {
	case kind <= reflect.Int64:
		n, ok := plainInt(raw)
		if !ok || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
	case kind <= reflect.Uint64:
		n, _, ok := readUint(raw)
		if !ok {
			var signed int64
			signed, ok = plainInt(raw)
			n, ok = uint64(signed), ok && signed >= 0
		}
		if !ok || v.OverflowUint(n) {
			return false
		}
		v.SetUint(n)
	default:
		f, ok := plainFloat(raw)
		if !ok || v.OverflowFloat(f) && !math.IsInf(f, 0) {
			return false
		}
		v.SetFloat(f)
	}
	return true
}

func isNumber(value any) bool {
	switch value.(type) {
	case int64, uint64, float64:
		return true
	}
	return false
}
