// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	objpool "objpool.dev/go"
)

// What is under way ends as if nothing were, also what a lease has yet to do; nothing else begins.
func TestShutdown(t *testing.T) {
	s := start(t, "", usualPools)
	client, ctx := s.client(objpool.Config{}), soon(t)
	p := client.Pool("p")
	lease := must[*objpool.Lease](t)(p.Slot(0).Lease(ctx))
	numbers := make(chan int)
	results := objpool.Stream[int](ctx, p.Map(), "echo", numbers)
	ended, over := context.WithCancel(ctx)
	over()
	equal(t, asError(t, client.Shutdown(ended)).Code, objpool.Cancelled)
	down := make(chan error, 1)
	go func() { down <- client.Shutdown(ctx) }()

	_, err := p.Call(ctx, "echo", 1)
	equal(t, []any{asError(t, err).Code, asError(t, err).Ran}, []any{objpool.ConnectionLost, objpool.RanNo})
	_, err = objpool.Begin[int](ctx, p, "echo", 1).Wait()
	equal(t, asError(t, err).Ran, objpool.RanNo)
	equal(t, asError(t, p.Notify(ctx, "echo", 1)).Ran, objpool.RanNo)
	_, err = p.Lease(ctx)
	equal(t, asError(t, err).Ran, objpool.RanNo)
	refused := objpool.Stream[int](ctx, p, "series", 1)
	equal(t, []any{refused.Next(), asError(t, refused.Err()).Ran}, []any{false, objpool.RanNo})

	numbers <- 5
	equal(t, must[int](t)(objpool.Call[int](ctx, lease, "add", 1, 2)), 3)
	begun := objpool.Begin[int](ctx, lease, "add", 3, 4)
	equal(t, lease.Close(), nil)
	select {
	case err := <-down:
		t.Fatal("it has not waited for the stream: ", err)
	default:
	}
	close(numbers)
	equal(t, all(t, results), []int{5})
	equal(t, <-down, nil)
	equal(t, must[int](t)(begun.Wait()), 7)
	equal(t, client.Session(), int64(0))
	equal(t, client.Shutdown(ctx), nil)
}

// Close ends a shutdown that waits for what does not end.
func TestCloseEndsShutdown(t *testing.T) {
	client, ctx := start(t, "", usualPools).client(objpool.Config{}), soon(t)
	lease := must[*objpool.Lease](t)(client.Pool("p").Lease(ctx))
	down := make(chan error, 1)
	go func() { down <- client.Shutdown(ctx) }()
	equal(t, client.Close(), nil)
	equal(t, <-down, nil)
	equal(t, lease.Close(), nil)
}

func TestTrace(t *testing.T) {
	s, ctx := start(t, "", usualPools), soon(t)
	var mu sync.Mutex
	var told []string
	tell := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, args...))
	}
	told2 := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(told, "; ")
	}
	var config objpool.Config
	config.Trace.Connected = func(c objpool.Connection) { tell("%d connected", c.Session) }
	config.Trace.ConnectFailed = func(address string, err error) {
		tell("failed %v %v", address == s.address, errors.Is(err, objpool.NoDaemon))
	}
	config.Trace.Disconnected = func(c objpool.Connection, err error) {
		if c.Address != s.address || c.Version == "" {
			t.Error(c)
		}
		tell("%d disconnected %v", c.Session, errors.Is(err, objpool.ConnectionLost))
	}
	client := s.client(config)
	first := client.Session()
	s.kill()
	lost := fmt.Sprintf("%d connected; %d disconnected true", first, first)
	waitUntil(t, func() bool { return told2() == lost })
	_ = os.Remove(strings.TrimPrefix(s.address, "unix:"))
	pinged := make(chan error, 1)
	go func() { pinged <- client.Ping(ctx) }()
	waitUntil(t, func() bool { return strings.HasPrefix(told2(), lost+"; failed true true") })
	s.run()
	equal(t, <-pinged, nil)
	second := client.Session()
	equal(t, client.Close(), nil)
	waitUntil(t, func() bool {
		return strings.HasSuffix(told2(), fmt.Sprintf("%d connected; %d disconnected false", second, second))
	})
}
