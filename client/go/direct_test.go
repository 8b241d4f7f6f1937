// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package objpool_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// Large values go beside the socket both ways, and leave no descriptor behind.
func TestDescriptors(t *testing.T) {
	p, ctx := pool(t), soon(t)
	before := descriptors(t)
	for i := 0; i < 40; i++ {
		blob := must[[]byte](t)(objpool.Call[[]byte](ctx, p, "blob", 1<<20))
		must[int](t)(objpool.Call[int](ctx, p, "sum", blob))
		equal(t, len(all(t, objpool.Stream[int](ctx, p.Map(), "sum", [][]byte{blob, blob, blob}))), 3)
	}
	agreed, came := objpool.Beside(p.Client())
	equal(t, []any{agreed, came}, []any{true, uint64(40)})
	waitUntil(t, func() bool { return descriptors(t) <= before })
}

func descriptors(t testing.TB) int {
	t.Helper()
	return len(must[[]os.DirEntry](t)(os.ReadDir("/proc/self/fd")))
}

// channels is how many direct channels the pool's instances have.
func channels(t testing.TB, p objpool.Target) int {
	t.Helper()
	n := 0
	for _, slot := range must[objpool.Status](t)(p.Client().Status(soon(t), "p")).Pools[0].Slots {
		n += slot.Direct
	}
	return n
}

func TestDirect(t *testing.T) {
	pool, ctx := pool(t), soon(t)
	p := pool.With(objpool.Options{Direct: true})
	for i := 0; i < 10; i++ {
		equal(t, must[int](t)(objpool.Call[int](ctx, p, "add", i, 1)), i+1)
		equal(t, must[int](t)(objpool.Call[int](ctx, p.Slot(1), "slot")), 1)
	}
	equal(t, channels(t, p), 2)
	equal(t, must[[]int](t)(objpool.Call[[]int](ctx, p.All(), "slot")), []int{0, 1}) // the ordinary way
	_, err := p.Call(ctx, "fail", "out of paper")
	equal(t, []any{asError(t, err).Message, asError(t, err).Pool}, []any{"out of paper", "p"})
	equal(t, len(must[[]byte](t)(objpool.Call[[]byte](ctx, p, "blob", 1<<20))), 1<<20)
	equal(t, len(must[[]byte](t)(objpool.Call[[]byte](ctx, p, "blob", 1<<20))), 1<<20)
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "sum", make([]byte, 1<<20))), 0)

	_, err = pool.With(objpool.Options{Direct: true, Timeout: 20 * time.Millisecond}).Slot(1).Call(ctx, "sleep", 60)
	if !errors.Is(err, objpool.Timeout) {
		t.Fatal(err)
	}
	steps := 0
	told := pool.With(objpool.Options{Direct: true, Progress: func(objpool.Progress) { steps++ }})
	must[any](t)(told.Call(ctx, "progress", 3, 0.2))
	if steps == 0 {
		t.Fatal("no progress has come")
	}
}

func TestDirectLease(t *testing.T) {
	pool, ctx := pool(t), soon(t)
	lease := must[*objpool.Lease](t)(pool.Lease(ctx))
	p := lease.With(objpool.Options{Direct: true})
	for i := 0; i < 10; i++ {
		equal(t, must[int](t)(objpool.Call[int](ctx, p, "slot")), lease.Slot())
	}
	equal(t, channels(t, pool), 1)
	equal(t, must[bool](t)(lease.Release(ctx)), true)
	waitUntil(t, func() bool { return channels(t, pool) == 0 })
}

// Instances that are replaced, and workers that die, cost no call that they had not begun.
func TestDirectAcrossRestarts(t *testing.T) {
	pool, ctx := pool(t), soon(t)
	p := pool.With(objpool.Options{Direct: true})
	stop := make(chan struct{})
	failed := make(chan error, 8)
	var callers sync.WaitGroup
	for g := 0; g < 4; g++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if got, err := objpool.Call[int](ctx, p, "add", i, 1); err != nil || got != i+1 {
					failed <- fmt.Errorf("%d: %w", got, err)
					return
				}
			}
		}()
	}
	for i := 0; i < 3; i++ {
		equal(t, must[int](t)(pool.Client().Restart(ctx, "p")), 2)
	}
	close(stop)
	callers.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	_, err := p.Call(ctx, "crash", 9)
	equal(t, []any{asError(t, err).Code, asError(t, err).Signal}, []any{objpool.WorkerLost, 9})
	waitUntil(t, func() bool {
		got, err := objpool.Call[int](ctx, p, "add", 1, 2)
		return err == nil && got == 3
	})
}
