// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

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
	value, _, err := decodeAny(raw)
	if err != nil {
		return err
	}
	ext, ok := value.(Ext)
	if !ok {
		return fmt.Errorf("%T is no ext", value)
	}
	*e = ext
	return nil
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
		done, err = decodeNumbers(raw, reflect.ValueOf(v).Elem())
	}
	if done || err != nil {
		return err
	}
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(raw))
	dec.SetMapDecoder(decodeMap)
	dec.UseLooseInterfaceDecoding(true)
	return dec.Decode(v)
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

// decodePlain reads values of the commonest types. False: it is for the library.
func decodePlain(raw []byte, owned bool, v any) (bool, error) {
	switch v := v.(type) {
	case *int:
		n, ok := plainInt(raw)
		*v = int(n)
		return ok && int64(int(n)) == n, nil
	case *int64:
		n, ok := plainInt(raw)
		*v = n
		return ok, nil
	case *uint64:
		n, _, ok := readUint(raw)
		*v = n
		return ok, nil
	case *float64:
		f, ok := plainFloat(raw)
		*v = f
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

// plainInt reads an integer, or a float that is one.
func plainInt(raw []byte) (int64, bool) {
	c := raw[0]
	if c <= 0x7f || c >= 0xe0 {
		return int64(int8(c)), true
	}
	switch {
	case c == 0xd0:
		return int64(int8(raw[1])), true
	case c == 0xd1:
		return int64(int16(binary.BigEndian.Uint16(raw[1:]))), true
	case c == 0xd2:
		return int64(int32(binary.BigEndian.Uint32(raw[1:]))), true
	case c == 0xd3:
		return int64(binary.BigEndian.Uint64(raw[1:])), true
	case c == 0xca || c == 0xcb:
		f, _ := plainFloat(raw)
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<63
	}
	n, _, ok := readUint(raw)
	return int64(n), ok && n <= math.MaxInt64
}

// plainFloat reads a float, or an integer as one.
func plainFloat(raw []byte) (float64, bool) {
	switch raw[0] {
	case 0xca:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(raw[1:]))), true
	case 0xcb:
		return math.Float64frombits(binary.BigEndian.Uint64(raw[1:])), true
	case 0xcf:
		return float64(binary.BigEndian.Uint64(raw[1:])), true
	}
	n, ok := plainInt(raw)
	return float64(n), ok
}

// decodeAny reads the first value of b as the Go value that it is: nil, bool, int64, uint64 (above int64's), float64, string, []byte,
// []any, map[string]any, map[any]any (where a key is no string), Ext.
func decodeAny(b []byte) (value any, rest []byte, err error) { return decodeNested(b, 0) }

func decodeNested(b []byte, depth int) (value any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, b, errNotMsgpack
	}
	if depth > maxDepth {
		return nil, b, errors.New("the value is nested too deeply")
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
	case c == 0xca || c == 0xcb:
		f, _ := plainFloat(raw)
		return f, rest, nil
	case c >= 0xc7 && c <= 0xc9:
		head := 1 + 1<<(c-0xc7)
		return Ext{int8(raw[head]), append([]byte{}, raw[head+1:]...)}, rest, nil
	case c >= 0xd4 && c <= 0xd8:
		return Ext{int8(raw[1]), append([]byte{}, raw[2:]...)}, rest, nil
	}
	if n, ok := plainInt(raw); ok {
		return n, rest, nil
	}
	n, _, _ := readUint(raw)
	return n, rest, nil
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
