// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"errors"
	"fmt"
	"testing"

	objpool "objpool.dev/go"
)

type ring struct {
	Value int   `msgpack:"value"`
	Next  *ring `msgpack:"next"`
}

type tree map[string]tree

type loop *loop

type inList []inList

// A fussy writes itself, and can't.
type fussy struct{ Parent *fussy }

func (fussy) MarshalMsgpack() ([]byte, error) { return nil, errors.New("not today") }

// What contains itself is refused by each way in which the library packs values. The connection is as good as before.
func TestValuesThatContainThemselves(t *testing.T) {
	p, ctx := pool(t), soon(t)
	a := &ring{Value: 1}
	a.Next = a
	list, object, branch, nested := []any{0}, map[string]any{}, tree{}, inList{nil}
	list[0], object["o"], branch["b"], nested[0] = list, object, branch, nested
	held := struct{ Held any }{}
	held.Held = &held
	var pointer loop
	pointer = &pointer
	for _, value := range []any{a, *a, []*ring{a}, map[int]*ring{1: a}, list, object, branch, nested, held, [1]any{a}, &list, pointer} {
		_, err := p.Call(ctx, "echo", value)
		e := asError(t, err)
		equal(t, []any{e.Code, e.Ran}, []any{objpool.BadValue, objpool.RanNo})
	}
	_, err := p.Call(ctx, "echo", 0, a)
	equal(t, asError(t, err).Message, "p.echo: argument 1 can't be sent: "+
		"at next.next.next.next.next.next.next.next…: the value is nested too deeply")
	results := objpool.Stream[any](ctx, p.Map(), "echo", []any{a})
	for results.Next() {
	}
	equal(t, results.Err().Error(), "objpool: item 0: FAILED: the input failed: "+
		"at next.next.next.next.next.next.next.next…: the value is nested too deeply")
	chain := &ring{}
	for i := 1; i < 20; i++ {
		chain = &ring{i, chain}
	}
	came := must[*ring](t)(objpool.Call[*ring](ctx, p, "echo", chain))
	for ; chain != nil; chain, came = chain.Next, came.Next {
		equal(t, came.Value, chain.Value)
	}
	equal(t, came == nil, true)
}

// What can't be sent is found wherever it is, and the error says where.
func TestErrorsOfArgumentsSayWhere(t *testing.T) {
	p, ctx := pool(t), soon(t)
	kept := objpool.Options{Kwargs: map[string]any{"k": []any{1, make(chan int)}}}
	bound := objpool.Options{Bind: []any{0, func() {}}, BindKwargs: map[string]any{}}
	const noChan = "msgpack: Encode(unsupported chan int)"
	type inner struct {
		C    chan int `msgpack:"c"`
		Left chan int `msgpack:"-"`
	}
	for _, test := range []struct {
		on   objpool.Callable
		args []any
		want string
	}{
		{p, []any{make(chan int)}, "argument 0 can't be sent: " + noChan},
		{p, []any{1, map[string]any{"a": make(chan int)}}, `argument 1 can't be sent: at ["a"]: ` + noChan},
		{p, []any{[]any{0, []any{make(chan int)}}}, "argument 0 can't be sent: at [1][0]: " + noChan},
		{p, []any{map[int][]inner{7: {{}}}}, "argument 0 can't be sent: at [7][0].c: " + noChan},
		{p, []any{[]any{&inner{}}}, "argument 0 can't be sent: at [0].c: " + noChan},
		{p, []any{[]fussy{{}}}, "argument 0 can't be sent: at [0]: not today"},
		{p, []any{[]uintptr{1}}, "argument 0 can't be sent: at [0]: a uintptr has no form"},
		{p, []any{[]any{objpool.Raw{1, 2}}}, "argument 0 can't be sent: at [0]: a Raw must hold one value"},
		{p.With(kept), nil, `Kwargs["k"] can't be sent: at [1]: ` + noChan},
		{p.Map().With(bound), []any{[]int{1}}, "Bind[1] can't be sent: msgpack: Encode(unsupported func())"},
		{p.Map().With(objpool.Options{ArgsAs: "single"}), []any{[]any{1, make(chan int)}}, "argument 0 can't be sent: at [1]: " + noChan},
	} {
		_, err := objpool.Call[any](ctx, test.on, "echo", test.args...)
		e := asError(t, err)
		equal(t, []any{e.Code, e.Ran, e.Message}, []any{objpool.BadValue, objpool.RanNo, fmt.Sprintf("%v.echo: %s", test.on, test.want)})
	}
}
