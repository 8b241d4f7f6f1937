// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
)

const (
	ndArrayType  = 81 // the ext
	ndArrayAlign = 64 // elements begin at a multiple of it
)

// An NdArray is an array of numpy, as an argument or a result (docs/VALUES.md, "Ext type 81"). [ArrayOf] makes one of a slice,
// and [Elements] gives the elements of one.
type NdArray struct {
	// DType is numpy's dtype.str, such as "<f8". "": the dtype is structured, and Descr has it.
	DType string
	// Descr is, of a structured array, its dtype.descr in msgpack.
	Descr Raw
	// Shape has the length of each dimension.
	Shape []int
	// Order is "C" (the last index runs fastest), "F" (the first one does), or "", which is "C".
	Order string
	// Data is the memory of the elements, in that order.
	Data []byte
}

// An Element is a type that elements of an [NdArray] can have.
type Element interface {
	~bool | ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64 |
		~complex64 | ~complex128
}

// ArrayOf makes an array of a slice, which is copied. Without a shape it has one dimension. A shape that does not fit the
// values is an error when the array is sent.
//
//	image := objpool.ArrayOf(pixels, 480, 640)
func ArrayOf[T Element](values []T, shape ...int) NdArray {
	if len(shape) == 0 {
		shape = []int{len(values)}
	}
	return NdArray{DType: dtypeOf[T]().String(), Shape: shape, Order: "C", Data: append([]byte{}, memoryOf(values)...)}
}

// Elements returns the elements of an array as values of type T, the last index running fastest. They are converted where the
// array has another type of numbers; one for which T has no room is an error.
//
//	prices, err := objpool.Elements[float64](array)
func Elements[T Element](a NdArray) ([]T, error) {
	from, ok := readDType(a.DType)
	if !ok {
		return nil, newError(BadValue, RanYes, "elements of dtype %s are no numbers: NdArray.Data has them", a.dtypeText())
	}
	n, err := a.count(from.size)
	if err != nil {
		return nil, newError(BadValue, RanYes, "%v", err)
	}
	values := make([]T, n)
	if from == dtypeOf[T]() && !a.isFortran() {
		copy(memoryOf(values), a.Data)
		return values, nil
	}
	var value T
	v, places := reflect.ValueOf(&value).Elem(), a.places(n)
	for i := range values {
		at := i
		if places != nil {
			at = places[i]
		}
		if !from.read(a.Data[at*from.size:(at+1)*from.size], v) {
			return nil, newError(BadValue, RanYes, "element %d of an array of dtype %s is no %v", i, a.DType, v.Type())
		}
		values[i] = value
	}
	return values, nil
}

// Len is how many elements the array has. -1: its shape has none.
func (a NdArray) Len() int {
	n, err := a.length()
	if err != nil {
		return -1
	}
	return n
}

func (a NdArray) isFortran() bool { return a.Order == "F" && len(a.Shape) > 1 }

func (a NdArray) dtypeText() string {
	if a.DType != "" {
		return a.DType
	}
	return "with fields"
}

// length multiplies the shape.
func (a NdArray) length() (int, error) {
	n := uint64(1)
	for _, each := range a.Shape {
		high, low := bits.Mul64(n, uint64(each))
		if each < 0 || high != 0 || low > math.MaxInt {
			return 0, fmt.Errorf("there is no array of shape %v", a.Shape)
		}
		n = low
	}
	return int(n), nil
}

// count is how many elements there are, if the data has as many of that size.
func (a NdArray) count(size int) (int, error) {
	n, err := a.length()
	if err != nil {
		return 0, err
	}
	if high, low := bits.Mul64(uint64(n), uint64(size)); high != 0 || low != uint64(len(a.Data)) {
		return 0, fmt.Errorf("an array of dtype %s and shape %v does not have %d bytes of data", a.DType, a.Shape, len(a.Data))
	}
	return n, nil
}

// places says, for each element in the order of C, which one of the data it is. Nil: the data is in that order.
func (a NdArray) places(n int) []int {
	if !a.isFortran() {
		return nil
	}
	places, index := make([]int, n), make([]int, len(a.Shape))
	for i := range places {
		at, step := 0, 1
		for d, each := range index {
			at += each * step
			step *= a.Shape[d]
		}
		places[i] = at
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < a.Shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return places
}

// ---- on the wire ----

// head is what the ext has before the elements.
func (a NdArray) head() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b := appendArrayHead(make([]byte, 2, 2*ndArrayAlign), 3)
	if a.DType != "" {
		b = appendString(b, a.DType)
	} else {
		b = append(b, a.Descr...)
	}
	b = appendArrayHead(b, len(a.Shape))
	for _, each := range a.Shape {
		b = appendInt(b, int64(each))
	}
	b = appendString(b, orText(a.Order, "C"))
	for len(b)%ndArrayAlign != 0 {
		b = append(b, 0)
	}
	if len(b)-2 > math.MaxUint16 {
		return nil, errors.New("the description of an array is too long")
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b, nil
}

// check finds what no array has.
func (a NdArray) check() error {
	if a.Order != "" && a.Order != "C" && a.Order != "F" {
		return fmt.Errorf("the order of an array is C or F, and not %q", a.Order)
	}
	if a.DType != "" {
		if known, ok := readDType(a.DType); ok {
			_, err := a.count(known.size)
			return err
		}
		_, err := a.length()
		return err
	}
	if _, rest, ok := readRaw(a.Descr); !ok || len(rest) > 0 {
		return errors.New("an array has a DType, or a Descr of one msgpack value")
	}
	_, err := a.length()
	return err
}

func orText(text, usual string) string {
	if text == "" {
		return usual
	}
	return text
}

var errNoArray = errors.New("the bytes are no array of numpy")

// readNdArray reads the body of the ext. The array keeps b as its memory.
func readNdArray(b []byte) (a NdArray, err error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return a, errNoArray
	}
	head := int(binary.BigEndian.Uint16(b)) + 2
	a.Data = b[head:len(b):len(b)]
	n, b, ok := readArrayHead(b[2:head])
	if !ok || n != 3 {
		return a, errNoArray
	}
	dtype, b, ok := readRaw(b)
	if !ok {
		return a, errNoArray
	}
	if text, _, isText := readBytes(dtype); isText {
		a.DType = string(text)
	} else {
		a.Descr = append(Raw{}, dtype...)
	}
	if a.Shape, b, ok = readShape(b); !ok {
		return a, errNoArray
	}
	order, _, ok := readBytes(b)
	if a.Order = string(order); !ok {
		return a, errNoArray
	}
	return a, a.check()
}

func readShape(b []byte) (shape []int, rest []byte, ok bool) {
	n, b, ok := readArrayHead(b)
	if !ok || n > len(b) { // each has a byte at least
		return nil, b, false
	}
	shape = make([]int, n)
	for i := range shape {
		var each uint64
		if each, b, ok = readUint(b); !ok || each > math.MaxInt {
			return nil, b, false
		}
		shape[i] = int(each)
	}
	return shape, b, true
}

// EncodeMsgpack writes the ext.
func (a NdArray) EncodeMsgpack(enc *msgpack.Encoder) error {
	head, err := a.head()
	if err != nil {
		return err
	}
	_, err = enc.Writer().Write(append(append(appendExtHead(nil, ndArrayType, len(head)+len(a.Data)), head...), a.Data...))
	return err
}

// DecodeMsgpack reads an ext.
func (a *NdArray) DecodeMsgpack(dec *msgpack.Decoder) error {
	raw, err := dec.DecodeRaw()
	if err != nil {
		return err
	}
	return decode(raw, a)
}

// ---- elements ----

// A dtype is one of numbers: its kind ('b', 'i', 'u', 'f' or 'c'), how many bytes one has, and whether the first is the lowest.
type dtype struct {
	kind   byte
	size   int
	little bool
}

// readDType reads numpy's name of a dtype. False: it is not one of numbers that Go has.
func readDType(name string) (d dtype, ok bool) {
	if len(name) < 3 || (name[0] != '<' && name[0] != '>' && name[0] != '|') {
		return d, false
	}
	switch name[1:] {
	case "b1", "i1", "u1":
		return dtype{name[1], 1, true}, true
	case "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8", "c8":
		return dtype{name[1], int(name[2] - '0'), name[0] == '<'}, name[0] != '|'
	case "c16":
		return dtype{'c', 16, name[0] == '<'}, name[0] != '|'
	}
	return d, false
}

func (d dtype) String() string {
	order := "<"
	switch {
	case d.size == 1:
		order = "|"
	case !d.little:
		order = ">"
	}
	return fmt.Sprintf("%s%c%d", order, d.kind, d.size)
}

// isLittle: this machine has the lowest byte of a number first.
var isLittle = func() bool { one := uint16(1); return *(*byte)(unsafe.Pointer(&one)) == 1 }()

// dtypeOf is the dtype that T has in memory.
func dtypeOf[T Element]() dtype {
	var zero T
	d := dtype{size: int(unsafe.Sizeof(zero)), little: isLittle}
	switch kind := reflect.TypeOf(zero).Kind(); {
	case kind == reflect.Bool:
		d.kind = 'b'
	case kind <= reflect.Int64:
		d.kind = 'i'
	case kind <= reflect.Uint64:
		d.kind = 'u'
	case kind <= reflect.Float64:
		d.kind = 'f'
	default:
		d.kind = 'c'
	}
	d.little = d.little || d.size == 1
	return d
}

// memoryOf is the memory of a slice.
func memoryOf[T Element](values []T) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// read reads an element into v. False: v has no room for it.
func (d dtype) read(b []byte, v reflect.Value) bool {
	switch kind := v.Kind(); {
	case kind == reflect.Complex64 || kind == reflect.Complex128:
		v.SetComplex(d.complex(b))
		return true
	case kind == reflect.Bool:
		v.SetBool(d.bits(b) != 0)
		return d.kind == 'b'
	case d.kind == 'c':
		c := d.complex(b)
		return imag(c) == 0 && floatNumber(real(c)).set(v)
	}
	return d.number(b).set(v)
}

// number is a number that is not complex; false is 0, and true 1.
func (d dtype) number(b []byte) number {
	switch unused := 64 - 8*len(b); d.kind {
	case 'f':
		return floatNumber(d.float(b))
	case 'i':
		return signedNumber(int64(d.bits(b)<<unused) >> unused)
	}
	return number{kind: 'u', bits: d.bits(b)}
}

// bits are those of a number, or of a part of a complex one.
func (d dtype) bits(b []byte) uint64 {
	var order binary.ByteOrder = binary.BigEndian
	if d.little {
		order = binary.LittleEndian
	}
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}

func (d dtype) float(b []byte) float64 {
	switch n := d.bits(b); len(b) {
	case 2:
		return halfFloat(uint16(n))
	case 4:
		return float64(math.Float32frombits(uint32(n)))
	default:
		return math.Float64frombits(n)
	}
}

func (d dtype) complex(b []byte) complex128 {
	if d.kind != 'c' {
		return complex(d.number(b).float(), 0)
	}
	return complex(d.float(b[:len(b)/2]), d.float(b[len(b)/2:]))
}

// halfFloat is a float of 16 bits.
func halfFloat(n uint16) float64 {
	sign, exponent, fraction := 1.0, int(n>>10&31), float64(n&1023)
	if n&0x8000 != 0 {
		sign = -1
	}
	switch {
	case exponent == 0:
		return sign * math.Ldexp(fraction, -24)
	case exponent < 31:
		return sign * math.Ldexp(1024+fraction, exponent-25)
	case fraction == 0:
		return math.Inf(int(sign))
	}
	return math.NaN()
}
