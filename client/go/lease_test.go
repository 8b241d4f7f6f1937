// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

func TestLease(t *testing.T) {
	s := start(t, "", usualPools)
	p, ctx := s.client(objpool.Config{}).Pool("p"), soon(t)
	lease := must[*objpool.Lease](t)(p.Slot(1).Lease(ctx))
	equal(t, []int{lease.Slot(), lease.Generation()}, []int{1, 1})
	equal(t, must[int](t)(objpool.Call[int](ctx, lease, "slot")), 1)
	if err := lease.Notify(ctx, "set", 7); err != nil {
		t.Fatal(err)
	}
	equal(t, must[any](t)(lease.Call(ctx, "get")), int64(7))

	other := s.client(objpool.Config{}).Pool("p")
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err := other.Slot(1).Lease(short)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}

	equal(t, must[bool](t)(lease.Release(ctx)), true)
	equal(t, must[bool](t)(lease.Release(ctx)), false)
	_, err = lease.Call(ctx, "slot")
	equal(t, asError(t, err).Ran, objpool.RanNo)
	err = other.Slot(1).WithLease(ctx, func(lease *objpool.Lease) error {
		equal(t, lease.Slot(), 1)
		return errInput
	})
	equal(t, err, errInput)
	must[*objpool.Lease](t)(p.Slot(1).Lease(ctx)) // it was given back
}

func TestLeaseThatIsOver(t *testing.T) {
	p, ctx := pool(t), soon(t)
	lease := must[*objpool.Lease](t)(p.LeaseFor(ctx, 20*time.Millisecond))
	waitUntil(t, func() bool {
		_, err := lease.Call(ctx, "echo", 1)
		return errors.Is(err, objpool.WorkerLost)
	})
	equal(t, must[bool](t)(lease.Release(ctx)), false)

	lease = must[*objpool.Lease](t)(p.Slot(0).Lease(ctx))
	_, err := lease.Call(ctx, "crash", 9)
	equal(t, asError(t, err).Code, objpool.WorkerLost)
	_, err = lease.Call(ctx, "echo", 1)
	equal(t, asError(t, err).Code, objpool.WorkerLost)
	equal(t, lease.Close(), nil)
}

// A lease that nobody waits for any more is given back, whenever it is granted.
func TestLeaseThatIsGivenUp(t *testing.T) {
	s := start(t, "", usualPools)
	p, ctx := s.client(objpool.Config{}).Pool("p"), soon(t)
	other := s.client(objpool.Config{}).Pool("p")
	held := must[*objpool.Lease](t)(other.Slot(0).Lease(ctx))
	given, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := p.Slot(0).Lease(given)
		ended <- err
	}()
	waitUntil(t, func() bool {
		return must[objpool.Status](t)(p.Client().Status(ctx, "p")).Pools[0].LeasesWaiting == 1
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	equal(t, held.Close(), nil)
	equal(t, must[*objpool.Lease](t)(other.Slot(0).Lease(ctx)).Slot(), 0)
}
