// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"math"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

type level int16

func reads[T any](t *testing.T, want T, value any) {
	t.Helper()
	equal(t, must[T](t)(objpool.Call[T](soon(t), pool(t), "echo", value)), want)
}

func refuses[T any](t *testing.T, value any, message string) {
	t.Helper()
	_, err := objpool.Call[T](soon(t), pool(t), "echo", value)
	equal(t, asError(t, err).Code, objpool.BadValue)
	equal(t, err.Error(), "objpool: BAD_VALUE: the result can't be read as "+message)
}

func TestNumbersHaveRoom(t *testing.T) {
	const beyond = uint64(1) << 63
	refuses[int64](t, beyond, "int64: 9223372036854775808 is no int64")
	refuses[int](t, 1.5, "int: 1.5 is no int")
	refuses[uint64](t, -4, "uint64: -4 is no uint64")
	refuses[uint8](t, 300, "uint8: 300 is no uint8")
	refuses[level](t, -40000, "objpool_test.level: -40000 is no objpool_test.level")
	refuses[float32](t, 1e300, "float32: 1e+300 is no float32")
	refuses[[]int64](t, []any{1, beyond}, "[]int64: at [1]: 9223372036854775808 is no int64")
	reads(t, beyond, beyond)
	reads(t, int8(-128), -128)
	reads(t, uint16(2), 2.0)
	reads(t, level(3), 3.0)
	reads(t, float32(2.5), 2.5)
	reads(t, float32(math.Inf(1)), math.Inf(1))
	reads(t, time.Second, time.Second)
	reads(t, 0, nil)
}

func TestSlicesOfNumbers(t *testing.T) {
	reads(t, []int{1, 2, 0}, []any{1, 2.0, nil})
	reads(t, []float64{1, 2.5, 1 << 63}, []any{1, 2.5, uint64(1) << 63})
	reads(t, [][]uint32{{1}, {}, nil}, []any{[]int{1}, []int{}, nil})
	reads(t, []int(nil), nil)
	reads(t, []byte{1, 2}, []byte{1, 2})
	refuses[[]int](t, []any{"x"}, "[]int: at [0]: a string is no int")
}
