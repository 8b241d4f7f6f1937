// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"math"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

type base struct {
	ID uint16 `msgpack:"id"`
}

type node struct {
	base
	Name     string           `msgpack:"name"`
	Small    int8             `msgpack:"small,omitempty"`
	Ratio    float32          `msgpack:"ratio,omitempty"`
	Children []node           `msgpack:"children,omitempty"`
	Next     *node            `msgpack:"next,omitempty"`
	Levels   map[string]level `msgpack:"levels,omitempty"`
	Pair     [2]uint8         `msgpack:"-"`
	Plain    int32
}

type keyword = map[string]any

// A number for which a field has no room is an error that names the field, at any depth.
func TestFieldsHaveRoom(t *testing.T) {
	refuses[node](t, keyword{"small": 300}, "objpool_test.node: at small: 300 is no int8")
	refuses[node](t, keyword{"small": -129}, "objpool_test.node: at small: -129 is no int8")
	refuses[node](t, keyword{"small": 1.5}, "objpool_test.node: at small: 1.5 is no int8")
	refuses[node](t, keyword{"Plain": uint64(1) << 31}, "objpool_test.node: at Plain: 2147483648 is no int32")
	refuses[node](t, keyword{"id": -1}, "objpool_test.node: at id: -1 is no uint16")
	refuses[node](t, keyword{"ratio": 1e300}, "objpool_test.node: at ratio: 1e+300 is no float32")
	refuses[node](t, keyword{"name": 5}, "objpool_test.node: at name: 5 is no string")
	refuses[node](t, keyword{"next": keyword{"children": []any{keyword{}, keyword{"small": 128}}}},
		"objpool_test.node: at next.children[1].small: 128 is no int8")
	refuses[node](t, keyword{"levels": keyword{"a": 1 << 20}}, `objpool_test.node: at levels["a"]: 1048576 is no objpool_test.level`)
	refuses[map[string]uint8](t, keyword{"a": 256}, `map[string]uint8: at ["a"]: 256 is no uint8`)
	refuses[map[int8]string](t, map[int]string{200: "a"}, `map[int8]string: at a key: 200 is no int8`)
	refuses[[2]int8](t, []int{1, 200}, "[2]int8: at [1]: 200 is no int8")
	refuses[[2]int8](t, []int{1, 2, 3}, "[2]int8: an array of 3 is no [2]int8")
	refuses[*uint8](t, 256, "*uint8: 256 is no uint8")
	refuses[[]node](t, []any{keyword{"children": keyword{}}}, "[]objpool_test.node: at [0].children: a map is no []objpool_test.node")
	refuses[complex128](t, 1, "complex128: nothing is read as complex128")
	refuses[[]objpool.Outcome[int8]](t, []any{[]any{nil, 300}}, "[]objpool.Outcome[int8]: at [0]: 300 is no int8")
}

type shadow struct {
	base
	ID string `msgpack:"id"`
}

type renamed struct {
	Inner *base `msgpack:"inner,noinline"`
	base  `msgpack:",inline"`
	Count int `msgpack:"count,alias:n"`
}

type listed struct {
	_msgpack struct{} `msgpack:",as_array"`
	When     time.Time
	Number   uint8
}

// What types can have that are not read by the msgpack library is read as it does.
func TestTypesOfResults(t *testing.T) {
	reads(t, node{base: base{7}, Small: -128, Ratio: 2.5, Children: []node{{Name: "x"}}, Levels: map[string]level{"a": 1}},
		keyword{"id": 7.0, "small": -128, "ratio": 2.5, "children": []any{keyword{"name": "x", "more": []any{1}}}, "levels": keyword{"a": 1}})
	reads(t, node{}, nil)
	reads(t, float32(math.Pi), math.Pi)
	reads(t, map[string]string{"a": "b"}, keyword{"a": []byte("b")})
	reads(t, map[any]any{int64(1): "x", "[2]": int64(2)}, objpool.Raw{0x82, 1, 0xa1, 'x', 0x91, 2, 2})
	reads(t, [2]int{1, 0}, []int{1})
	reads(t, [4]byte{1, 2}, []byte{1, 2})
	reads(t, [][]byte{{1}, nil}, []any{[]byte{1}, nil})
	reads(t, []*int{nil}, []any{nil})
	reads(t, any(map[string]any{"a": time.Unix(5, 7).UTC()}), keyword{"a": time.Unix(5, 7)})
	equal(t, must[renamed](t)(objpool.Call[renamed](soon(t), pool(t), "echo", keyword{"id": 5, "n": 6})), renamed{base: base{5}, Count: 6})
	got := must[listed](t)(objpool.Call[listed](soon(t), pool(t), "echo", listed{When: time.Unix(9, 0), Number: 200}))
	equal(t, []any{got.When.Unix(), got.Number}, []any{int64(9), uint8(200)})
	refuses[listed](t, []any{time.Unix(9, 0), 256}, "objpool_test.listed: at Number: 256 is no uint8")
	refuses[listed](t, []any{1}, "objpool_test.listed: an array of 1 is no struct of 2 fields")
	equal(t, must[shadow](t)(objpool.Call[shadow](soon(t), pool(t), "echo", keyword{"id": "text"})), shadow{ID: "text"})
}
