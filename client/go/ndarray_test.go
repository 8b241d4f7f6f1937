// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	objpool "objpool.dev/go"
)

// The example of docs/VALUES.md.
func TestNdArrayOnTheWire(t *testing.T) {
	p, ctx := pool(t), soon(t)
	array := objpool.ArrayOf([]float64{1.5, 2.5})
	ext := must[objpool.Ext](t)(objpool.Call[objpool.Ext](ctx, p, "echo", array))
	equal(t, []any{ext.Type, len(ext.Data)}, []any{int8(81), 80})
	equal(t, hex.EncodeToString(ext.Data[:64]), "003e"+"93a33c66389102a143"+hex.EncodeToString(make([]byte, 53)))
	equal(t, must[[]float64](t)(objpool.Elements[float64](must[objpool.NdArray](t)(objpool.Call[objpool.NdArray](ctx, p, "echo", array)))),
		[]float64{1.5, 2.5})
	equal(t, must[any](t)(p.Call(ctx, "echo", array)).(objpool.NdArray).DType, "<f8")
	type holder struct {
		Image *objpool.NdArray `msgpack:"image"`
		List  []objpool.NdArray
	}
	held := must[holder](t)(objpool.Call[holder](ctx, p, "echo", holder{Image: &array, List: []objpool.NdArray{array}}))
	equal(t, []any{held.Image.Shape, held.List[0].Data}, []any{[]int{2}, array.Data})
	equal(t, must[holder](t)(objpool.Call[holder](ctx, p, "echo", holder{})), holder{})
	structured := objpool.NdArray{Descr: objpool.Raw{0x91, 0x92, 0xa1, 'x', 0xa3, '<', 'i', '4'}, Shape: []int{1}, Order: "F", Data: []byte{1, 0, 0, 0}}
	reads(t, structured, structured)
	reads(t, objpool.NdArray{}, nil)
}

func TestLargeNdArrays(t *testing.T) {
	p, ctx := pool(t), soon(t)
	values := make([]int32, 100_000)
	for i := range values {
		values[i] = int32(i * i)
	}
	_, before := objpool.Beside(p.Client())
	got := must[objpool.NdArray](t)(objpool.Call[objpool.NdArray](ctx, p, "echo", objpool.ArrayOf(values, 100, 1000)))
	equal(t, got.Shape, []int{100, 1000})
	if !bytes.Equal(got.Data, objpool.ArrayOf(values).Data) {
		t.Fatal("other elements have come")
	}
	if beside, after := objpool.Beside(p.Client()); beside && after == before {
		t.Fatal("the array did not come beside the socket")
	}
}

func elements[T objpool.Element](t *testing.T, want []T, a objpool.NdArray) {
	t.Helper()
	equal(t, must[[]T](t)(objpool.Elements[T](a)), want)
}

func TestElements(t *testing.T) {
	elements(t, []float64{1, 2, 3, 4, 5, 6}, objpool.NdArray{DType: "|u1", Shape: []int{2, 3}, Order: "F", Data: []byte{1, 4, 2, 5, 3, 6}})
	elements(t, []int16{258, -2}, objpool.NdArray{DType: ">i2", Shape: []int{2}, Data: []byte{1, 2, 0xff, 0xfe}})
	elements(t, []int64{1, -2}, objpool.ArrayOf([]float32{1, -2}))
	elements(t, []level{1, -2}, objpool.ArrayOf([]level{1, -2}))
	elements(t, []bool{true, false}, objpool.ArrayOf([]bool{true, false}))
	elements(t, []int{1, 0}, objpool.ArrayOf([]bool{true, false}))
	elements(t, []complex64{1 + 2i}, objpool.ArrayOf([]complex128{1 + 2i}))
	elements(t, []complex128{3}, objpool.ArrayOf([]uint16{3}))
	elements(t, []float64{1, 0.5, -2, 65504, math.Inf(-1), math.Ldexp(1, -24)}, objpool.NdArray{DType: "<f2", Shape: []int{6},
		Data: []byte{0, 0x3c, 0, 0x38, 0, 0xc0, 0xff, 0x7b, 0, 0xfc, 1, 0}})
	elements(t, []int{}, objpool.ArrayOf([]int{}))
	elements(t, []uint64{math.MaxUint64}, objpool.ArrayOf([]uint64{math.MaxUint64}))
	equal(t, objpool.ArrayOf(make([]int8, 6), 2, 3).Len(), 6)
}

func TestWrongNdArrays(t *testing.T) {
	for _, wrong := range []objpool.NdArray{
		objpool.ArrayOf([]int{1, 2}, 3), objpool.ArrayOf([]int{1}, -1), {Shape: []int{1}}, {DType: "<f8", Order: "X"},
		{DType: "<f8", Shape: []int{1 << 40, 1 << 40}}, {DType: "<f8", Shape: []int{1}},
	} {
		_, err := pool(t).Call(soon(t), "echo", wrong)
		equal(t, asError(t, err).Code, objpool.BadValue)
	}
	refuses[objpool.NdArray](t, []float64{1}, "objpool.NdArray: an array of 1 is no objpool.NdArray")
	refuses[objpool.NdArray](t, objpool.Ext{Type: 81, Data: []byte("x")}, "objpool.NdArray: the bytes are no array of numpy")
	_, err := objpool.Elements[int8](objpool.ArrayOf([]int{1, 200}))
	equal(t, err.Error(), "objpool: BAD_VALUE: element 1 of an array of dtype <i8 is no int8")
	_, err = objpool.Elements[int](objpool.NdArray{DType: "<M8[ns]", Shape: []int{0}})
	equal(t, asError(t, err).Code, objpool.BadValue)
	_, err = objpool.Elements[int](objpool.NdArray{DType: "<i8", Shape: []int{1 << 62}, Data: make([]byte, 8)})
	equal(t, asError(t, err).Code, objpool.BadValue)
}
