// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// What the msgpack library is about to write is looked at first. The library has no limit of depth: a value that contains
// itself would end the process. Nor does the library say where in a value its error is.

var (
	errUintptr = errors.New("a uintptr has no form")
	errorType  = reflect.TypeOf((*error)(nil)).Elem()

	ownEncoders = []reflect.Type{
		reflect.TypeOf((*msgpack.CustomEncoder)(nil)).Elem(), reflect.TypeOf((*msgpack.Marshaler)(nil)).Elem(),
		reflect.TypeOf((*encoding.BinaryMarshaler)(nil)).Elem(), reflect.TypeOf((*encoding.TextMarshaler)(nil)).Elem(),
	}
	typesThatEncode sync.Map // by reflect.Type: whether values of it encode themselves
	flatTypes       sync.Map // by reflect.Type: whether its values have a depth that the type says
	sentFields      sync.Map // by reflect.Type
	nestingFields   sync.Map // by reflect.Type
)

// encodesItself reports whether a type, or a pointer to it, has a method for that.
func encodesItself(t reflect.Type) bool {
	if found, ok := typesThatEncode.Load(t); ok {
		return found.(bool)
	}
	pointer, does := reflect.PointerTo(t), t == errorType // which the library writes as text
	for _, own := range ownEncoders {
		does = does || t.Implements(own) || pointer.Implements(own)
	}
	typesThatEncode.Store(t, does)
	return does
}

// isFlat reports whether no value of a type is too deep: it can't contain itself, nor a value of any type.
func isFlat(t reflect.Type) bool {
	if kind := t.Kind(); kind == reflect.String || kind <= reflect.Uint64 {
		return true
	}
	if found, ok := flatTypes.Load(t); ok {
		return found.(bool)
	}
	return findFlat(t, map[reflect.Type]bool{})
}

// findFlat is isFlat of a type that lies within those of `around`.
func findFlat(t reflect.Type, around map[reflect.Type]bool) bool {
	if found, ok := flatTypes.Load(t); ok {
		return found.(bool)
	}
	if around[t] {
		return false
	}
	around[t] = true
	flat := encodesItself(t) || hasFlatParts(t, around)
	delete(around, t)
	flatTypes.Store(t, flat)
	return flat
}

func hasFlatParts(t reflect.Type, around map[reflect.Type]bool) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Uintptr:
		return false
	case reflect.Map:
		return findFlat(t.Key(), around) && findFlat(t.Elem(), around)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return findFlat(t.Elem(), around)
	case reflect.Struct:
		for _, field := range sentFieldsOf(t) {
			if !findFlat(t.Field(field.index).Type, around) {
				return false
			}
		}
	}
	return true
}

// A sentField is a field of a struct that is written.
type sentField struct {
	name  string
	index int
}

func sentFieldsOf(t reflect.Type) []sentField {
	if found, ok := sentFields.Load(t); ok {
		return found.([]sentField)
	}
	var made []sentField
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("msgpack"), ",")
		if name != "-" && (field.IsExported() || field.Anonymous) {
			made = append(made, sentField{orText(name, field.Name), i})
		}
	}
	sentFields.Store(t, made)
	return made
}

// nestingFieldsOf are those that are not flat.
func nestingFieldsOf(t reflect.Type) []sentField {
	if found, ok := nestingFields.Load(t); ok {
		return found.([]sentField)
	}
	var made []sentField
	for _, field := range sentFieldsOf(t) {
		if !isFlat(t.Field(field.index).Type) {
			made = append(made, field)
		}
	}
	nestingFields.Store(t, made)
	return made
}

// A walk goes through a value as the msgpack library does.
type walk struct {
	skipsFlat bool
	leaf      func(v reflect.Value) error // for what has no other values in it
}

// checkDepth finds in a value what the library must not see.
func checkDepth(v reflect.Value, depth int) error {
	return walk{true, refuseUintptr}.value(v, depth)
}

func refuseUintptr(v reflect.Value) error {
	if v.Kind() == reflect.Uintptr {
		return errUintptr // the library would panic
	}
	return nil
}

// findFault finds where the library's error in a value is.
func findFault(v reflect.Value, depth int, fault error) error {
	enc := msgpack.NewEncoder(io.Discard)
	if err := (walk{false, enc.EncodeValue}).value(v, depth); err != nil {
		return err
	}
	return fault
}

func (w walk) value(v reflect.Value, depth int) error {
	switch {
	case !v.IsValid(): // what is in an interface that is nil, or behind such a pointer
		return nil
	case depth > maxDepth:
		return errTooDeep
	case w.skipsFlat:
		if isFlat(v.Type()) {
			return nil
		}
	case encodesItself(v.Type()): // such types are flat
		return w.leaf(v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return w.value(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return w.elements(v, depth+1)
	case reflect.Map:
		return w.mapping(v, depth+1)
	case reflect.Struct:
		return w.fields(v, depth+1)
	}
	return w.leaf(v)
}

func (w walk) elements(v reflect.Value, depth int) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return nil
	}
	for i := 0; i < v.Len(); i++ {
		if err := w.value(v.Index(i), depth); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func (w walk) mapping(v reflect.Value, depth int) error {
	for each := v.MapRange(); each.Next(); {
		if err := w.value(each.Key(), depth); err != nil {
			return within("a key", err)
		}
		if err := w.value(each.Value(), depth); err != nil {
			return within(fmt.Sprintf("[%#v]", each.Key()), err)
		}
	}
	return nil
}

func (w walk) fieldsOf(t reflect.Type) []sentField {
	if w.skipsFlat {
		return nestingFieldsOf(t)
	}
	return sentFieldsOf(t)
}

func (w walk) fields(v reflect.Value, depth int) error {
	for _, field := range w.fieldsOf(v.Type()) {
		if err := w.value(v.Field(field.index), depth); err != nil {
			return within(field.name, err)
		}
	}
	return nil
}
