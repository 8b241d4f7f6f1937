// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"sync"
)

// Call calls a method and returns its result as a T: a plain type, a slice, a map, a struct with tags `msgpack:"name"`,
// [NdArray], time.Time, Raw, or any (see [Target.Call]). A nil result is T's zero value. A value that T can't hold, such as a
// number for which a field has no room, is a BadValue that names the field. Where the result is of no use, take struct{}.
//
//	sum, err := objpool.Call[float64](ctx, client.Pool("dice"), "add_and_get_property", 2)
//	all, err := objpool.Call[[]float64](ctx, client.Pool("dice").All(), "get_property")
//
// Arguments are what the msgpack library encodes. When the context ends the call is cancelled.
func Call[T any](ctx context.Context, on Callable, method string, args ...any) (T, error) {
	var value T
	client, r := on.request(method, args)
	err := client.do(ctx, &r, &value)
	return value, err
}

// A Future is a call that has been made and is waited for later. Calls that are begun one after the other leave together.
type Future[T any] struct {
	ctx  context.Context
	conn *conn

	mu    sync.Mutex
	p     *pending // nil: it is over
	value T
	err   error
}

// Begin makes a call, and does not wait for its answer. The context is that of the whole call: it ends when Wait is called. Every
// Future is to be waited for, or cancelled.
func Begin[T any](ctx context.Context, on Callable, method string, args ...any) *Future[T] {
	client, r := on.request(method, args)
	f := &Future[T]{ctx: ctx}
	f.err = plainError(f.begin(client, &r))
	return f
}

func (f *Future[T]) begin(client *Client, r *Request) *Error {
	if err := client.enter(r.lease); err != nil {
		return err
	}
	defer client.work.leave()
	if f.ctx.Err() != nil {
		return fromContext(f.ctx, RanNo)
	}
	var err *Error
	if f.conn, err = client.connectionFor(f.ctx, r); err != nil {
		return err
	}
	f.p, err = f.conn.begin(f.ctx, r, true)
	return err
}

// Wait waits for the answer. It may be called again, and by several goroutines.
func (f *Future[T]) Wait() (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.p != nil {
		f.err = plainError(f.conn.end(f.ctx, f.p, &f.value))
		f.p = nil
	}
	return f.value, f.err
}

// Cancel gives the call up, if it has not been answered. Wait then returns Cancelled.
func (f *Future[T]) Cancel() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.p == nil {
		return
	}
	if f.conn.cancel(f.p) {
		f.err = newError(Cancelled, RanMaybe, "the call was cancelled by its caller")
	} else {
		f.p.wait()
		f.err = newError(Cancelled, RanMaybe, "the call was cancelled when it had been answered")
		f.p.free()
	}
	f.p = nil
}
