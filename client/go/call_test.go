// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

func TestSelectors(t *testing.T) {
	p, ctx := pool(t), soon(t)
	ints := must[[]int](t)
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "add", 1, 2)), 3)
	equal(t, must[int](t)(objpool.Call[int](ctx, p.Slot(1), "slot")), 1)
	equal(t, ints(objpool.Call[[]int](ctx, p.All(), "slot")), []int{0, 1})
	equal(t, ints(objpool.Call[[]int](ctx, p.Map(), "add", []int{1, 2, 3}, []int{10, 20, 30, 40})), []int{11, 22, 33})
	equal(t, ints(objpool.Call[[]int](ctx, p.Scatter(), "add", []int{1, 2}, []int{5, 5})), []int{6, 7})
	first := must[int](t)(objpool.Call[int](ctx, p.Key("a.b"), "pid"))
	for i := 0; i < 5; i++ {
		equal(t, must[int](t)(objpool.Call[int](ctx, p.Key("a.b"), "pid")), first)
	}
	equal(t, p.Slot(1).String(), "p:1")
}

// They are one map, however many they are: the daemon finds that some exclude each other.
func TestAllOptionsAtOnce(t *testing.T) {
	p, ctx := pool(t), soon(t)
	options := objpool.Options{
		Kwargs: map[string]any{}, Bind: []any{}, BindKwargs: map[string]any{}, ArgsAs: "single", Errors: "wait", Timeout: time.Minute,
		Chunk: 1, Idempotent: true, Unordered: true, Window: 5, Sync: true, Labels: true, Progress: func(objpool.Progress) {},
		Sticky: "append", Priority: 1, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	results := objpool.Stream[int](ctx, p.Map().With(options), "echo", []int{1})
	for results.Next() {
	}
	err := asError(t, results.Err())
	equal(t, err.Code, objpool.BadRequest)
	equal(t, err.Message, "option sticky is for a target with :all only")
}

func TestOptions(t *testing.T) {
	p, ctx := pool(t), soon(t)
	bound := p.Map().With(objpool.Options{Bind: []any{100}, ArgsAs: "single", Chunk: 2, Idempotent: true})
	equal(t, must[[]int](t)(objpool.Call[[]int](ctx, bound, "add", []int{1, 2})), []int{101, 102})
	pairs := p.Map().With(objpool.Options{ArgsAs: "positional"})
	equal(t, must[[]int](t)(objpool.Call[[]int](ctx, pairs, "add", [][2]int{{1, 2}, {3, 4}})), []int{3, 7})
	_, err := objpool.Call[[]int](ctx, pairs, "add", []int{1}, []int{2})
	equal(t, asError(t, err).Code, objpool.BadValue)
	named := p.With(objpool.Options{Kwargs: map[string]any{"a": 1, "b": 2.5}})
	equal(t, must[float64](t)(objpool.Call[float64](ctx, named, "add")), 3.5)
	keywords := p.Map().With(objpool.Options{ArgsAs: "keyword", BindKwargs: map[string]any{"b": 5}})
	equal(t, must[[]int](t)(objpool.Call[[]int](ctx, keywords, "add", []map[string]any{{"a": 1}, {"a": 2}})), []int{6, 7})
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	equal(t, must[string](t)(objpool.Call[string](ctx, p.With(objpool.Options{Traceparent: trace}), "traceparent")), trace)
	equal(t, must[int](t)(objpool.Call[int](ctx, p.With(objpool.Options{Priority: -10}), "echo", 1)), 1)
	_, err = objpool.Call[int](ctx, p.With(objpool.Options{Priority: 11}), "echo", 1)
	equal(t, asError(t, err).Code, objpool.BadRequest)
	left := must[float64](t)(objpool.Call[float64](ctx, p.With(objpool.Options{Timeout: 10 * time.Second}), "deadline"))
	if left <= 5 || left > 10 {
		t.Fatalf("the method has %v seconds", left)
	}
	left = must[float64](t)(objpool.Call[float64](ctx, p, "deadline"))
	if left <= 5 || left > deadline.Seconds() {
		t.Fatalf("by the context the method has %v seconds", left)
	}
	_, err = objpool.Call[any](ctx, p.With(objpool.Options{Sync: true}), "echo", 1)
	equal(t, asError(t, err).Code, objpool.BadRequest)
}

func TestCollectedOutcomes(t *testing.T) {
	p, ctx := pool(t), soon(t)
	collect := p.Map().With(objpool.Options{Errors: "collect"})
	got := must[[]objpool.Outcome[int]](t)(objpool.Call[[]objpool.Outcome[int]](ctx, collect, "add", []any{1, "x", 3}, []int{1, 1, 1}))
	equal(t, len(got), 3)
	equal(t, got[0].Value+got[2].Value, 6)
	if !errors.Is(got[1].Err, objpool.BadArgument) {
		t.Fatal(got[1].Err)
	}
	equal(t, asError(t, got[1].Err).Index, 1)
}

func TestValues(t *testing.T) {
	p, ctx := pool(t), soon(t)
	for _, value := range []any{nil, true, false, int64(0), int64(-1), int64(-33), int64(200), int64(-200), int64(70000), int64(-70000),
		int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), 1.5, math.Inf(1), "", "text", strings.Repeat("ä", 200),
		[]byte{}, []byte{1, 2}, []any{int64(1), "a", []any{}}, map[string]any{"k": int64(1)}, map[any]any{int64(1): "x"},
		objpool.Ext{Type: 5, Data: []byte{1, 2, 3}}, objpool.Ext{Type: 112, Data: make([]byte, 16)}, strings.Repeat("s", 70000)} {
		equal(t, must[any](t)(p.Call(ctx, "echo", value)), value)
	}
	type point struct {
		X    int               `msgpack:"x"`
		Y    float64           `msgpack:"y"`
		Tags map[string]string `msgpack:"tags"`
		Any  any               `msgpack:"any"`
	}
	want := point{3, 0.5, map[string]string{"a": "b"}, map[string]any{"n": int64(7)}}
	equal(t, must[point](t)(objpool.Call[point](ctx, p, "echo", want)), want)
	equal(t, must[[]point](t)(objpool.Call[[]point](ctx, p, "echo", []point{want, want})), []point{want, want})
	equal(t, must[objpool.Raw](t)(objpool.Call[objpool.Raw](ctx, p, "echo", objpool.Raw{0x92, 1, 2})), objpool.Raw{0x92, 1, 2})
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "echo", 5.0)), 5)
	equal(t, must[float64](t)(objpool.Call[float64](ctx, p, "echo", 5)), 5.0)
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "echo", nil)), 0)
	must[struct{}](t)(objpool.Call[struct{}](ctx, p, "echo", "not looked at"))

	_, err := objpool.Call[int](ctx, p, "echo", "text")
	equal(t, asError(t, err).Code, objpool.BadValue)
	_, err = objpool.Call[int](ctx, p, "echo", func() {})
	equal(t, asError(t, err).Ran, objpool.RanNo)
	_, err = objpool.Call[int](ctx, p, "echo", objpool.Raw{1, 2})
	equal(t, asError(t, err).Code, objpool.BadValue)
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "echo", 1)), 1) // the connection is as good as before
}

func TestErrors(t *testing.T) {
	p, ctx := pool(t), soon(t)
	_, err := p.Slot(1).Call(ctx, "fail", "out of paper", "PrinterError", "line 1\nline 2", []byte{7})
	e := asError(t, err)
	equal(t, *e, objpool.Error{Code: objpool.Failed, Message: "out of paper", Ran: objpool.RanYes, Type: "PrinterError",
		Traceback: "line 1\nline 2", Pool: "p", Slot: 1, Generation: 1, Index: -1, ExitStatus: -1, Data: []byte{7}})
	equal(t, e.Error(), "objpool: FAILED: PrinterError: out of paper")
	equal(t, fmt.Sprintf("%+v", e), "objpool: FAILED: PrinterError: out of paper\nline 1\nline 2")

	_, err = p.Slot(0).Call(ctx, "crash", 9)
	e = asError(t, err)
	equal(t, []any{e.Code, e.Signal, e.Ran, e.Slot}, []any{objpool.WorkerLost, 9, objpool.RanMaybe, 0})

	_, err = p.Slot(9).Call(ctx, "echo")
	if !errors.Is(err, objpool.NoSuchSlot) || errors.Is(err, objpool.Failed) {
		t.Fatal(err)
	}
	_, err = p.Call(ctx, "no_such")
	equal(t, asError(t, err).Code, objpool.NoSuchMethod)
	wrapped := fmt.Errorf("a program's own words: %w", err)
	if !errors.As(wrapped, &e) || !errors.Is(wrapped, objpool.NoSuchMethod) {
		t.Fatal(wrapped)
	}
	_, err = p.Slot(0).Call(ctx, "relay", "p:1.fail", "deep down")
	if !strings.Contains(err.Error(), "deep down") {
		t.Fatal(err)
	}
}

func TestContexts(t *testing.T) {
	p := pool(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err := p.Call(ctx, "sleep", 60)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, objpool.Timeout) {
		t.Fatal(err)
	}
	_, err = p.Call(ctx, "echo", 1)
	equal(t, asError(t, err).Ran, objpool.RanNo)

	_, err = p.With(objpool.Options{Timeout: 20 * time.Millisecond}).Call(soon(t), "sleep", 60)
	if !errors.Is(err, objpool.Timeout) {
		t.Fatal(err)
	}

	ctx, cancel = context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Slot(0).Call(ctx, "sleep", 60)
		ended <- err
	}()
	waitUntil(t, func() bool { return running(t, p) == 1 })
	cancel()
	err = <-ended
	if !errors.Is(err, context.Canceled) || !errors.Is(err, objpool.Cancelled) {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return running(t, p) == 0 }) // the daemon has been told
}

func TestFutures(t *testing.T) {
	p, ctx := pool(t), soon(t)
	var futures []*objpool.Future[int]
	for i := 0; i < 5000; i++ {
		futures = append(futures, objpool.Begin[int](ctx, p, "add", i, 1))
	}
	for i, future := range futures {
		equal(t, must[int](t)(future.Wait()), i+1)
	}
	equal(t, must[int](t)(futures[0].Wait()), 1) // again

	sleeping := objpool.Begin[any](ctx, p, "sleep", 60)
	sleeping.Cancel()
	_, err := sleeping.Wait()
	if !errors.Is(err, objpool.Cancelled) {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return running(t, p) == 0 })
}

func TestManyGoroutines(t *testing.T) {
	p, ctx := pool(t), soon(t)
	var all sync.WaitGroup
	failed := make(chan error, 64)
	for g := 0; g < 64; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			for i := 0; i < 200; i++ {
				got, err := objpool.Call[int](ctx, p, "add", g, i)
				if err != nil || got != g+i {
					failed <- fmt.Errorf("%d: %w", got, err)
					return
				}
			}
		}(g)
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}

func TestNotification(t *testing.T) {
	p, ctx := pool(t), soon(t)
	if err := p.Slot(0).Notify(ctx, "set", 42); err != nil {
		t.Fatal(err)
	}
	equal(t, must[int](t)(objpool.Call[int](ctx, p.Slot(0), "get")), 42)
	if err := p.All().With(objpool.Options{Sticky: "replace"}).Notify(ctx, "set", 43); err != nil {
		t.Fatal(err)
	}
	equal(t, must[[]int](t)(objpool.Call[[]int](ctx, p.All(), "get")), []int{43, 43})
}

func TestProgress(t *testing.T) {
	p, ctx := pool(t), soon(t)
	var steps []objpool.Progress
	told := p.With(objpool.Options{Progress: func(step objpool.Progress) { steps = append(steps, step) }})
	equal(t, must[int](t)(objpool.Call[int](ctx, told, "progress", 3, 0.3, "stepping")), 3)
	if len(steps) == 0 {
		t.Fatal("no progress has come")
	}
	last := steps[len(steps)-1]
	equal(t, []any{last.Total, last.Text}, []any{int64(3), "stepping"})
}

func TestLargeValues(t *testing.T) {
	p, ctx := pool(t), soon(t)
	for _, n := range []int{10, 63 << 10, 64 << 10, 1 << 20, 5<<20 + 3} {
		blob := make([]byte, n)
		sum := 0
		for i := range blob {
			blob[i] = byte(i)
			sum += i & 255
		}
		equal(t, must[int](t)(objpool.Call[int](ctx, p, "sum", blob)), sum)
		got := must[[]byte](t)(objpool.Call[[]byte](ctx, p, "blob", n))
		if string(got) != string(blob) {
			t.Fatalf("%d bytes are wrong", n)
		}
		all := must[[][]byte](t)(objpool.Call[[][]byte](ctx, p.All(), "echo", blob))
		if string(all[0]) != string(blob) || string(all[1]) != string(blob) {
			t.Fatalf("%d bytes of all are wrong", n)
		}
	}
}

// running is how many tasks workers of the pool have in hand.
func running(t testing.TB, p objpool.Target) int {
	t.Helper()
	status, err := p.Client().Status(soon(t), "p")
	if err != nil {
		t.Fatal(err)
	}
	return status.Pools[0].Running
}

// waitUntil waits for something that is asked of the daemon again and again.
func waitUntil(t testing.TB, is func() bool) {
	t.Helper()
	for until := time.Now().Add(deadline); !is(); {
		if time.Now().After(until) {
			t.Fatal("it does not come about")
		}
	}
}
