// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// Values of types that programs have. Types with methods of their own for msgpack are read by these, through the msgpack
// library. All others are read here, because the library cuts integers for which a type has no room, and doesn't say where an
// error is.

var (
	rawType       = reflect.TypeOf(Raw(nil))
	extType       = reflect.TypeOf(Ext{})
	ndArrayGoType = reflect.TypeOf(NdArray{})

	ownDecoders = []reflect.Type{
		reflect.TypeOf((*msgpack.CustomDecoder)(nil)).Elem(), reflect.TypeOf((*msgpack.Unmarshaler)(nil)).Elem(),
		reflect.TypeOf((*encoding.BinaryUnmarshaler)(nil)).Elem(), reflect.TypeOf((*encoding.TextUnmarshaler)(nil)).Elem(),
	}
	typesThatDecode sync.Map // by reflect.Type: whether values of it decode themselves
)

var errTooDeep = errors.New("the value is nested too deeply")

// decodesItself reports whether a type, or a pointer to it, has a method for that.
func decodesItself(t reflect.Type) bool {
	if found, ok := typesThatDecode.Load(t); ok {
		return found.(bool)
	}
	pointer, does := reflect.PointerTo(t), false
	for _, own := range ownDecoders {
		does = does || t.Implements(own) || pointer.Implements(own)
	}
	typesThatDecode.Store(t, does)
	return does
}

// A placeError is an error, and where in the value it is: "points[2].x".
type placeError struct {
	steps []string // the innermost first
	cause error
}

const namedSteps = 8 // of a place

// Error says where, and what.
func (e *placeError) Error() string {
	var place strings.Builder
	for i := len(e.steps) - 1; i >= 0; i-- {
		step := e.steps[i]
		switch n := len(e.steps) - 1 - i; {
		case n == namedSteps:
			return "at " + place.String() + "…: " + e.cause.Error()
		case n > 0 && step[0] != '[':
			place.WriteByte('.')
		}
		place.WriteString(step)
	}
	return "at " + place.String() + ": " + e.cause.Error()
}

// Unwrap returns what.
func (e *placeError) Unwrap() error { return e.cause }

// within adds what is around it to an error's place.
func within(place string, err error) error {
	if inner, ok := err.(*placeError); ok {
		inner.steps = append(inner.steps, place)
		return inner
	}
	return &placeError{[]string{place}, err}
}

// A decoder reads values. `owned`: they may keep the memory that they are read from.
type decoder struct {
	owned bool
	depth int
}

// into reads the first value of b into v.
func (d decoder) into(b []byte, v reflect.Value) (rest []byte, err error) {
	t := v.Type()
	switch {
	case len(b) == 0:
		return b, errNotMsgpack
	case d.depth > maxDepth:
		return b, errTooDeep
	case t == rawType || t == extType || t == ndArrayGoType:
		return d.ours(b, v)
	case (t.PkgPath() != "" || v.Kind() == reflect.Struct) && decodesItself(t), v.Kind() == reflect.Interface && v.NumMethod() > 0:
		return byLibrary(b, v)
	case b[0] == wireNil:
		v.Set(reflect.Zero(t))
		return b[1:], nil
	}
	d.depth++
	switch kind := v.Kind(); {
	case kind >= reflect.Int && kind <= reflect.Float64:
		if number, rest, ok := readNumber(b); ok && number.set(v) {
			return rest, nil
		}
	case kind == reflect.Bool:
		if b[0] == 0xc2 || b[0] == 0xc3 {
			v.SetBool(b[0] == 0xc3)
			return b[1:], nil
		}
	case kind == reflect.String:
		if s, rest, ok := readBytes(b); ok {
			v.SetString(string(s))
			return rest, nil
		}
	case kind == reflect.Interface:
		value, rest, err := decodeNested(b, d.depth-1)
		if err == nil && value != nil {
			v.Set(reflect.ValueOf(value))
		}
		return rest, err
	case kind == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return d.into(b, v.Elem())
	default:
		return d.several(b, v)
	}
	return b, isNot(b, t)
}

// several reads what has other values in it, or bytes.
func (d decoder) several(b []byte, v reflect.Value) (rest []byte, err error) {
	kind := v.Kind()
	if (kind == reflect.Slice || kind == reflect.Array) && v.Type().Elem().Kind() == reflect.Uint8 {
		s, rest, ok := readBytes(b)
		switch {
		case ok && kind == reflect.Slice:
			v.SetBytes(kept(s, d.owned))
			return rest, nil
		case ok && len(s) <= v.Len():
			v.Set(reflect.Zero(v.Type()))
			reflect.Copy(v, reflect.ValueOf(s))
			return rest, nil
		}
		return b, isNot(b, v.Type())
	}
	if n, rest, ok := readArrayHead(b); ok && n <= len(rest) { // each has a byte at least
		switch kind {
		case reflect.Slice:
			return d.slice(n, rest, v)
		case reflect.Array:
			return d.array(n, rest, v)
		case reflect.Struct:
			return d.structOfList(n, rest, v)
		}
	}
	if n, rest, ok := readMapHead(b); ok && n <= len(rest)/2 {
		switch kind {
		case reflect.Map:
			return d.mapping(n, rest, v)
		case reflect.Struct:
			return d.structOfMap(n, rest, v)
		}
	}
	return b, isNot(b, v.Type())
}

func (d decoder) slice(n int, b []byte, v reflect.Value) ([]byte, error) {
	values := reflect.MakeSlice(v.Type(), n, n)
	b, err := d.elements(n, b, values)
	if err == nil {
		v.Set(values)
	}
	return b, err
}

func (d decoder) array(n int, b []byte, v reflect.Value) ([]byte, error) {
	if n > v.Len() {
		return b, fmt.Errorf("an array of %d is no %v", n, v.Type())
	}
	v.Set(reflect.Zero(v.Type()))
	return d.elements(n, b, v)
}

func (d decoder) elements(n int, b []byte, v reflect.Value) (rest []byte, err error) {
	for i := 0; i < n; i++ {
		if b, err = d.into(b, v.Index(i)); err != nil {
			return b, within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return b, nil
}

func (d decoder) mapping(n int, b []byte, v reflect.Value) (rest []byte, err error) {
	t := v.Type()
	values := reflect.MakeMapWithSize(t, n)
	for ; n > 0; n-- {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if b, err = d.into(b, key); err != nil {
			return b, within("a key", err)
		}
		if t.Key().Kind() == reflect.Interface && !key.IsNil() {
			key.Set(reflect.ValueOf(keyOf(key.Interface())))
		}
		if b, err = d.into(b, value); err != nil {
			return b, within(fmt.Sprintf("[%#v]", key.Interface()), err)
		}
		values.SetMapIndex(key, value)
	}
	v.Set(values)
	return b, nil
}

func (d decoder) structOfMap(n int, b []byte, v reflect.Value) (rest []byte, err error) {
	fields := fieldsOf(v.Type())
	for ; n > 0; n-- {
		name, rest, ok := readBytes(b)
		if !ok {
			return b, errors.New("a map whose keys are no strings is no struct")
		}
		b = rest
		i, known := fields.names[string(name)]
		if !known {
			if _, b, ok = readRaw(b); !ok {
				return b, errNotMsgpack
			}
		} else if b, err = d.field(b, fields.list[i], v); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (d decoder) structOfList(n int, b []byte, v reflect.Value) (rest []byte, err error) {
	fields := fieldsOf(v.Type())
	if n == 0 {
		v.Set(reflect.Zero(v.Type()))
		return b, nil
	}
	if n != len(fields.list) {
		return b, fmt.Errorf("an array of %d is no struct of %d fields", n, len(fields.list))
	}
	for _, each := range fields.list {
		if b, err = d.field(b, each, v); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (d decoder) field(b []byte, field structField, v reflect.Value) ([]byte, error) {
	place, err := field.in(v)
	if err == nil {
		b, err = d.into(b, place)
	}
	if err != nil {
		return b, within(field.name, err)
	}
	return b, nil
}

// ours reads a Raw, an Ext or an NdArray.
func (d decoder) ours(b []byte, v reflect.Value) ([]byte, error) {
	raw, rest, ok := readRaw(b)
	if !ok {
		return b, errNotMsgpack
	}
	if v.Type() == rawType {
		v.SetBytes(kept(raw, d.owned))
		return rest, nil
	}
	kind, body, ok := readExt(raw)
	switch {
	case raw[0] == wireNil:
		v.Set(reflect.Zero(v.Type()))
	case !ok || v.Type() == ndArrayGoType && kind != ndArrayType:
		return b, isNot(b, v.Type())
	case v.Type() == extType:
		v.Set(reflect.ValueOf(Ext{kind, kept(body, d.owned)}))
	default:
		array, err := readNdArray(kept(body, d.owned))
		if err != nil {
			return b, err
		}
		v.Set(reflect.ValueOf(array))
	}
	return rest, nil
}

// byLibrary has a type's own methods read a value.
func byLibrary(b []byte, v reflect.Value) ([]byte, error) {
	raw, rest, ok := readRaw(b)
	if !ok {
		return b, errNotMsgpack
	}
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(raw))
	dec.SetMapDecoder(decodeMap)
	dec.UseLooseInterfaceDecoding(true)
	return rest, dec.Decode(v.Addr().Interface())
}

// isNot says what a value is, and that it can't be read as a type.
func isNot(b []byte, t reflect.Type) error {
	if !canRead(t) {
		return fmt.Errorf("nothing is read as %v", t)
	}
	value, _, err := decodeAny(b)
	if err != nil {
		return err
	}
	what := "a value"
	switch value := value.(type) {
	case bool:
		what = fmt.Sprint(value)
	case int64, uint64, float64:
		what = fmt.Sprint(value)
	case string:
		what = "a string"
	case []byte:
		what = fmt.Sprintf("bytes (%d)", len(value))
	case []any:
		what = fmt.Sprintf("an array of %d", len(value))
	case map[string]any, map[any]any:
		what = "a map"
	case NdArray:
		what = "an array of numpy"
	case Ext:
		what = fmt.Sprintf("an ext of type %d", value.Type)
	}
	return fmt.Errorf("%s is no %v", what, t)
}

// canRead reports whether there are values for the kind of a type.
func canRead(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Complex64, reflect.Complex128, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	}
	return true
}
