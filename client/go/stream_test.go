// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	objpool "objpool.dev/go"
)

// all takes all results of a stream that does not fail.
func all[T any](t testing.TB, results *objpool.Results[T]) []T {
	t.Helper()
	defer results.Close()
	var values []T
	for results.Next() {
		value, err := results.Value()
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := results.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

func TestStreams(t *testing.T) {
	p, ctx := pool(t), soon(t)
	numbers, sums := []int{}, []int{}
	for i := 0; i < 3000; i++ {
		numbers, sums = append(numbers, i), append(sums, i+10)
	}
	results := objpool.Stream[int](ctx, p.Map().With(objpool.Options{Bind: []any{10}}), "add", numbers)
	equal(t, all(t, results), sums)
	equal(t, results.Summary().Items, 3000)

	equal(t, all(t, objpool.Stream[int](ctx, p, "series", 5)), []int{0, 1, 2, 3, 4})
	equal(t, all(t, objpool.Stream[int](ctx, p.All(), "slot")), []int{0, 1})
	equal(t, all(t, objpool.Stream[int](ctx, p.Scatter(), "add", []int{1, 2}, []int{3, 4})), []int{4, 6})
	equal(t, all(t, objpool.Stream[int](ctx, p, "add", 1, 2)), []int{3})
	equal(t, len(all(t, objpool.Stream[int](ctx, p.Map(), "echo", []int{}))), 0)
}

func TestInputs(t *testing.T) {
	p, ctx := pool(t), soon(t)
	channel := make(chan int)
	go func() {
		for i := 0; i < 100; i++ {
			channel <- i
		}
		close(channel)
	}()
	n := 0
	count := func() (int, error) {
		if n++; n > 100 {
			return 0, io.EOF
		}
		return n, nil
	}
	got := all(t, objpool.Stream[int](ctx, p.Map(), "add", channel, objpool.FromFunc(count)))
	equal(t, len(got), 100)
	for i, value := range got {
		equal(t, value, 2*i+1)
	}
	type pair struct{ A, B int }
	equal(t, len(all(t, objpool.Stream[any](ctx, p.Map(), "echo", [3]pair{}))), 3)
	keywords := p.Map().With(objpool.Options{ArgsAs: "keyword"})
	equal(t, all(t, objpool.Stream[int](ctx, keywords, "add", []map[string]int{{"a": 1, "b": 2}})), []int{3})

	results := objpool.Stream[int](ctx, p.Map(), "echo", 5)
	equal(t, results.Next(), false)
	equal(t, asError(t, results.Err()).Code, objpool.BadValue)
}

func TestInputThatWaitsForResults(t *testing.T) {
	p, ctx := pool(t), soon(t)
	numbers := make(chan int, 1)
	numbers <- 0
	results := objpool.Stream[int](ctx, p.Map(), "echo", numbers)
	defer results.Close()
	for i := 0; i < 50; i++ { // each item is made of the result before
		if !results.Next() {
			t.Fatal(results.Err())
		}
		numbers <- must[int](t)(results.Value()) + 1
	}
	close(numbers)
	equal(t, all(t, results), []int{50})
}

func TestFailuresOfItems(t *testing.T) {
	p, ctx := pool(t), soon(t)
	input := []any{1, "x", 3}
	for _, errorsAs := range []string{"", "collect"} {
		target := p.Map().With(objpool.Options{Bind: []any{1}, Errors: errorsAs})
		results := objpool.Stream[int](ctx, target, "add", input)
		sum, failed := 0, 0
		for results.Next() {
			value, err := results.Value()
			if err != nil {
				equal(t, []any{results.Index(), asError(t, err).Index, asError(t, err).Code}, []any{1, 1, objpool.BadArgument})
				failed++
			}
			sum += value
		}
		equal(t, []int{sum, failed}, []int{6, 1})
		if errorsAs == "" {
			equal(t, asError(t, results.Err()).Index, 1)
			equal(t, []int{results.Summary().Items, results.Summary().Failed}, []int{3, 1})
		} else {
			equal(t, []any{results.Err(), results.Summary().Failed}, []any{nil, 1})
		}
	}
	results := objpool.Stream[int](ctx, p, "series", 3, nil, true)
	for results.Next() {
	}
	equal(t, asError(t, results.Err()).Code, objpool.Failed)
}

var errInput = errors.New("the disk is gone")

func TestInputThatFails(t *testing.T) {
	p, ctx := pool(t), soon(t)
	n := 0
	results := objpool.Stream[int](ctx, p.Map(), "echo", objpool.FromFunc(func() (int, error) {
		if n++; n > 2 {
			return 0, errInput
		}
		return n, nil
	}))
	var last error
	sum := 0
	for results.Next() {
		value, err := results.Value()
		sum, last = sum+value, err
	}
	equal(t, sum, 3)
	if !errors.Is(last, errInput) || !errors.Is(results.Err(), errInput) {
		t.Fatal(last, results.Err())
	}
}

func TestStreamThatIsClosed(t *testing.T) {
	p, ctx := pool(t), soon(t)
	results := objpool.Stream[int](ctx, p, "series") // endless
	for i := 0; i < 10; i++ {
		equal(t, results.Next(), true)
	}
	results.Close()
	equal(t, results.Next(), false)
	results.Close()
	waitUntil(t, func() bool { return running(t, p) == 0 })

	ctx, cancel := context.WithCancel(ctx)
	results = objpool.Stream[int](ctx, p.Map(), "sleep", make(chan int))
	cancel()
	equal(t, results.Next(), false)
	if !errors.Is(results.Err(), context.Canceled) {
		t.Fatal(results.Err())
	}
}

// An endless input is read no further ahead than results are taken, and no further than the window.
func TestBackPressureOfInput(t *testing.T) {
	p, ctx := pool(t), soon(t)
	var read atomic.Int64
	input := objpool.FromFunc(func() (int64, error) { return read.Add(1), nil })
	results := objpool.Stream[int64](ctx, p.Map().With(objpool.Options{Window: 10}), "echo", input)
	defer results.Close()
	for i := int64(1); i <= 200; i++ {
		equal(t, results.Next(), true)
		equal(t, must[int64](t)(results.Value()), i)
		if ahead := read.Load() - i; ahead > 11 {
			t.Fatalf("the input is read %d items ahead", ahead)
		}
	}
}

// A method that yields waits for a consumer that does not take its values, while other calls of the client go on.
func TestBackPressureOfResults(t *testing.T) {
	p, ctx := pool(t), soon(t)
	results := objpool.Stream[[]byte](ctx, p.Slot(0), "series", nil, make([]byte, 1000))
	for i := 0; i < 2000; i++ {
		equal(t, results.Next(), true)
		equal(t, len(must[[]byte](t)(results.Value())), 1000)
		equal(t, must[int](t)(objpool.Call[int](ctx, p.Slot(1), "add", 1, i)), 1+i)
	}
	if kept := objpool.Kept(results); kept > 8<<20 {
		t.Fatalf("the client keeps %d bytes", kept)
	}
	results.Close()
	// another stream has the same connection
	first := must[int64](t)(sessions(objpool.Stream[int64](ctx, p, "session")))
	equal(t, must[int64](t)(sessions(objpool.Stream[int64](ctx, p, "session"))), first)
	equal(t, first != p.Client().Session(), true)
}

func sessions(results *objpool.Results[int64]) (int64, error) {
	defer results.Close()
	if !results.Next() {
		return 0, results.Err()
	}
	return results.Value()
}

// On a shared connection, too, two streams are read in step, and other calls are answered, although one is far ahead.
func TestStreamsInStep(t *testing.T) {
	p, ctx := start(t, "", usualPools).client(objpool.Config{StreamConnections: -1}).Pool("p"), soon(t)
	large := objpool.Stream[[]byte](ctx, p.Slot(0), "series", nil, make([]byte, 30000))
	defer large.Close()
	small := objpool.Stream[int](ctx, p.Slot(1), "series", 2000)
	defer small.Close()
	for small.Next() {
		equal(t, large.Next(), true)
	}
	equal(t, small.Err(), nil)
	equal(t, must[int](t)(objpool.Call[int](ctx, p.Slot(1), "add", 1, 2)), 3)
}
