// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// A structField is a field that may come: with tag `msgpack:"name"`, or by its own name. Tags are as the msgpack library has
// them.
type structField struct {
	name  string
	index []int // a way through embedded structs
}

// structFields are those of a struct.
type structFields struct {
	list  []structField
	names map[string]int // where they are in list
}

var fieldsOfTypes sync.Map // by reflect.Type

func fieldsOf(t reflect.Type) *structFields {
	if found, ok := fieldsOfTypes.Load(t); ok {
		return found.(*structFields)
	}
	made := &structFields{names: map[string]int{}}
	for i := 0; i < t.NumField(); i++ {
		made.read(t.Field(i))
	}
	fieldsOfTypes.Store(t, made)
	return made
}

// read adds a field, or those of an embedded struct.
func (f *structFields) read(field reflect.StructField) {
	name, options := readTag(field.Tag.Get("msgpack"))
	if name == "-" || !field.IsExported() && !field.Anonymous {
		return
	}
	if field.Anonymous && !options["noinline"] && f.inline(field, options["inline"]) || !field.IsExported() {
		return
	}
	f.add(structField{orText(name, field.Name), field.Index})
	for option := range options {
		if alias := strings.TrimPrefix(option, "alias:"); alias != option {
			f.names[alias] = len(f.list) - 1
		}
	}
}

func (f *structFields) add(field structField) {
	f.names[field.name] = len(f.list)
	f.list = append(f.list, field)
}

// inline adds the fields of an embedded struct. False: it has names that there are already, or is no such struct.
func (f *structFields) inline(field reflect.StructField, forced bool) bool {
	t := field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || decodesItself(t) {
		return false
	}
	inner := fieldsOf(t).list
	for _, each := range inner {
		if _, has := f.names[each.name]; has && !forced {
			return false
		}
	}
	for _, each := range inner {
		if _, has := f.names[each.name]; !has {
			f.add(structField{each.name, append(append([]int{}, field.Index...), each.index...)})
		}
	}
	return true
}

func readTag(tag string) (name string, options map[string]bool) {
	parts := strings.Split(tag, ",")
	options = map[string]bool{}
	for _, each := range parts[1:] {
		options[strings.TrimSpace(each)] = true
	}
	return parts[0], options
}

// in is the field of a struct. Embedded structs on the way are made.
func (f structField) in(v reflect.Value) (reflect.Value, error) {
	for i, each := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() && !v.CanSet() {
				return v, fmt.Errorf("the embedded %v is not exported", v.Type())
			}
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(each)
	}
	return v, nil
}
