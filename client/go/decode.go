// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

const timestampType = -1 // the ext

// maxDepth is how deeply a value may be nested. The daemon lets 32 levels through.
const maxDepth = 100

// Raw is a value as it stands on the wire, in msgpack. As the type of a result it leaves the decoding to the caller; as an
// argument it goes as it is.
type Raw = msgpack.RawMessage

// An Ext is a msgpack value of an extension type: what classes and clients of other languages agree on, such as numpy's arrays
// (docs/VALUES.md).
type Ext struct {
	Type int8
	Data []byte
}

// EncodeMsgpack writes the ext.
func (e Ext) EncodeMsgpack(enc *msgpack.Encoder) error {
	_, err := enc.Writer().Write(appendExt(nil, e.Type, e.Data))
	return err
}

// DecodeMsgpack reads an ext.
func (e *Ext) DecodeMsgpack(dec *msgpack.Decoder) error {
	raw, err := dec.DecodeRaw()
	if err != nil {
		return err
	}
	return decode(raw, e)
}

// An Outcome is the result of one task where errors are collected ([Options].Errors): a value, or an error.
type Outcome[T any] struct {
	Value T
	Err   error // nil, or an *Error
}

// DecodeMsgpack reads [error, value].
func (o *Outcome[T]) DecodeMsgpack(dec *msgpack.Decoder) error {
	n, err := dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if n != 2 {
		return errors.New("the outcome of a task is [error, value]: it takes the option Errors with \"collect\"")
	}
	failure, err := dec.DecodeRaw()
	if err != nil {
		return err
	}
	value, err := dec.DecodeRaw()
	if err != nil {
		return err
	}
	if len(failure) > 0 && failure[0] != wireNil {
		o.Err = readError(failure)
		return nil
	}
	return decode(value, &o.Value)
}

// decode reads the one value that raw is into v, a pointer. What v then refers to is not raw's memory.
func decode(raw []byte, v any) error { return decodeFrom(raw, false, v) }

// decodeFrom does the same. `owned`: v may keep raw's memory.
func decodeFrom(raw []byte, owned bool, v any) error {
	if len(raw) == 0 {
		return errors.New("there is no value")
	}
	done, err := decodePlain(raw, owned, v)
	if !done && err == nil {
		_, err = decoder{owned: owned}.into(raw, reflect.ValueOf(v).Elem())
	}
	return err
}

// decodeMap is how the msgpack library reads a map inside a value of type any.
func decodeMap(dec *msgpack.Decoder) (any, error) {
	raw, err := dec.DecodeRaw()
	if err != nil {
		return nil, err
	}
	value, _, err := decodeAny(raw)
	return value, err
}

// decodePlain reads values of the commonest types. False: it is for the decoder.
func decodePlain(raw []byte, owned bool, v any) (bool, error) {
	switch v := v.(type) {
	case *int:
		number, _, isNumber := readNumber(raw)
		n, ok := number.int()
		*v = int(n)
		return isNumber && ok && int64(int(n)) == n, nil
	case *int64:
		number, _, isNumber := readNumber(raw)
		n, ok := number.int()
		*v = n
		return isNumber && ok, nil
	case *float64:
		number, _, ok := readNumber(raw)
		*v = number.float()
		return ok, nil
	case *bool:
		*v = raw[0] == 0xc3
		return raw[0] == 0xc3 || raw[0] == 0xc2, nil
	case *string:
		s, _, ok := readBytes(raw)
		*v = string(s)
		return ok, nil
	case *[]byte:
		s, _, ok := readBytes(raw)
		if ok {
			*v = kept(s, owned)
		}
		return ok, nil
	case *Raw:
		*v = kept(raw, owned)
		return true, nil
	case *any:
		value, _, err := decodeAny(raw)
		*v = value
		return true, err
	case *struct{}:
		return true, nil // whatever it is
	}
	return false, nil
}

// kept returns bytes that may be kept.
func kept(b []byte, owned bool) []byte {
	if owned {
		return b[:len(b):len(b)]
	}
	return append(make([]byte, 0, len(b)), b...)
}

// decodeAny reads the first value of b as the Go value that it is: nil, bool, int64, uint64 (above int64's), float64, string,
// []byte, []any, map[string]any, map[any]any (where a key is no string), time.Time, NdArray, Ext.
func decodeAny(b []byte) (value any, rest []byte, err error) { return decodeNested(b, 0) }

func decodeNested(b []byte, depth int) (value any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, b, errNotMsgpack
	}
	if depth > maxDepth {
		return nil, b, errTooDeep
	}
	if n, more, ok := readArrayHead(b); ok {
		return decodeSlice(n, more, depth)
	}
	if n, more, ok := readMapHead(b); ok {
		return decodeAnyMap(n, more, depth)
	}
	return decodeLeaf(b)
}

// decodeLeaf reads a value that has no others in it.
func decodeLeaf(b []byte) (value any, rest []byte, err error) {
	c := b[0]
	raw, rest, ok := readRaw(b)
	if !ok {
		return nil, b, errNotMsgpack
	}
	switch {
	case c == wireNil:
		return nil, rest, nil
	case c == 0xc2 || c == 0xc3:
		return c == 0xc3, rest, nil
	case c >= 0xa0 && c <= 0xbf || c >= 0xd9 && c <= 0xdb:
		s, _, _ := readBytes(raw)
		return string(s), rest, nil
	case c >= 0xc4 && c <= 0xc6:
		s, _, _ := readBytes(raw)
		return append([]byte{}, s...), rest, nil
	}
	if kind, body, ok := readExt(raw); ok {
		return anyExt(kind, append([]byte{}, body...)), rest, nil
	}
	number, _, _ := readNumber(raw)
	if number.kind == 'f' {
		return number.f, rest, nil
	}
	if n, ok := number.int(); ok {
		return n, rest, nil
	}
	return number.bits, rest, nil
}

// anyExt is the Go value that an ext is: a time, an array of numpy, or an Ext.
func anyExt(kind int8, body []byte) any {
	switch kind {
	case timestampType:
		if at, ok := readTimestamp(body); ok {
			return at
		}
	case ndArrayType:
		if array, err := readNdArray(body); err == nil {
			return array
		}
	}
	return Ext{kind, body}
}

func readTimestamp(b []byte) (time.Time, bool) {
	switch len(b) {
	case 4:
		return time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC(), true
	case 8:
		n := binary.BigEndian.Uint64(b)
		return time.Unix(int64(n&(1<<34-1)), int64(n>>34)).UTC(), n>>34 < 1e9
	case 12:
		nanoseconds := binary.BigEndian.Uint32(b)
		return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), int64(nanoseconds)).UTC(), nanoseconds < 1e9
	}
	return time.Time{}, false
}

func decodeSlice(n int, b []byte, depth int) (any, []byte, error) {
	values := make([]any, 0, atMost(n, len(b))) // each has a byte at least
	for ; n > 0; n-- {
		value, rest, err := decodeNested(b, depth+1)
		if err != nil {
			return nil, b, err
		}
		values, b = append(values, value), rest
	}
	return values, b, nil
}

func decodeAnyMap(n int, b []byte, depth int) (any, []byte, error) {
	named := make(map[string]any, atMost(n, len(b)/2))
	var other map[any]any
	for ; n > 0; n-- {
		key, rest, err := decodeNested(b, depth+1)
		if err != nil {
			return nil, b, err
		}
		value, rest, err := decodeNested(rest, depth+1)
		if err != nil {
			return nil, b, err
		}
		b = rest
		name, isName := key.(string)
		if isName && other == nil {
			named[name] = value
			continue
		}
		if other == nil {
			other = make(map[any]any, len(named)+1)
			for name, value := range named {
				other[name] = value
			}
		}
		other[keyOf(key)] = value
	}
	if other != nil {
		return other, b, nil
	}
	return named, b, nil
}

// keyOf makes a map's key of a value: what no key can be (bytes, a map) becomes its text.
func keyOf(value any) any {
	switch value := value.(type) {
	case nil, bool, int64, uint64, float64, string:
		return value
	case []byte:
		return string(value)
	}
	return fmt.Sprint(value)
}

func atMost(n, most int) int {
	if n > most {
		return most
	}
	return n
}
