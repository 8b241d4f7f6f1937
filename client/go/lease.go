// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Lease is one instance that this client has for itself alone, until it is released, its time is over, or the connection
// ends. Its calls go to that instance, and to no other: when it has gone they fail. Any number of goroutines may use it.
type Lease struct {
	target     Target
	conn       *conn
	slot       int
	generation int

	mu       sync.Mutex
	released bool
}

const releaseTimeout = 10 * time.Second

// Lease waits for an instance and takes it: the first of the pool that is free, or that of the target's Slot. The context, and
// Options.Timeout, say for how long it waits. Release the lease.
func (t Target) Lease(ctx context.Context) (*Lease, error) { return t.LeaseFor(ctx, 0) }

// LeaseFor does the same; the daemon ends the lease after that time. 0: never.
func (t Target) LeaseFor(ctx context.Context, most time.Duration) (*Lease, error) {
	if err := t.client.enter(nil); err != nil {
		return nil, err
	}
	l, err := t.takeLease(ctx, most)
	if err != nil {
		t.client.work.leave()
		return nil, err
	}
	return l, nil
}

func (t Target) takeLease(ctx context.Context, most time.Duration) (*Lease, *Error) {
	conn, err := t.client.connection(ctx)
	if err != nil {
		return nil, err
	}
	r := Request{Target: daemonTarget, Method: "lease"}
	r.Args = []any{t.pool, t.leaseOptions(ctx, &r, most)}
	l := &Lease{target: t, conn: conn}
	r.given = func(raw []byte) { // it was granted when nobody waited any more
		if l.read(raw) == nil {
			l.giveBack()
		}
	}
	var raw Raw
	if err := conn.exchange(ctx, &r, &raw); err != nil {
		return nil, err
	}
	if err := l.read(raw); err != nil {
		return nil, err
	}
	l.target = l.target.Slot(l.slot).changed(func(t *target) { t.lease = l })
	return l, nil
}

func (t Target) leaseOptions(ctx context.Context, r *Request, most time.Duration) map[string]any {
	options := map[string]any{}
	r.Options.Timeout = t.options.Timeout
	if left, has := r.deadlines(ctx); has {
		options["timeout_ms"] = milliseconds(left)
	}
	if most > 0 {
		options["lease_ms"] = milliseconds(most)
	}
	if slot, err := strconv.Atoi(t.address[atMost(len(t.pool)+1, len(t.address)):]); err == nil {
		options["slot"] = slot
	}
	return options
}

func (l *Lease) read(raw []byte) *Error {
	var got struct {
		Slot       int    `msgpack:"slot"`
		Generation int    `msgpack:"generation"`
		Host       string `msgpack:"host"`
	}
	if err := decode(raw, &got); err != nil {
		return newError(BadValue, RanYes, "the lease can't be read: %v", err).because(err)
	}
	l.slot, l.generation = got.Slot, got.Generation
	if got.Host != "" { // any host was asked (sim@*), or those of a section [remote]
		name, _, _ := strings.Cut(l.target.pool, "@")
		l.target = l.target.changed(func(t *target) { t.pool = name + "@" + got.Host })
	}
	return nil
}

// WithLease takes a lease, calls f, and releases it.
func (t Target) WithLease(ctx context.Context, f func(*Lease) error) error {
	lease, err := t.Lease(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lease.Close() }()
	return f(lease)
}

// Slot is the slot of the instance.
func (l *Lease) Slot() int { return l.slot }

// Generation says which instance of its slot it is.
func (l *Lease) Generation() int { return l.generation }

// With returns the leased instance as a Target with these options.
func (l *Lease) With(options Options) Target { return l.target.With(options) }

// Call calls a method of the instance: see [Target.Call].
func (l *Lease) Call(ctx context.Context, method string, args ...any) (any, error) {
	return l.target.Call(ctx, method, args...)
}

// Notify calls a method of the instance that nothing answers.
func (l *Lease) Notify(ctx context.Context, method string, args ...any) error {
	return l.target.Notify(ctx, method, args...)
}

func (l *Lease) request(method string, args []any) (*Client, Request) {
	return l.target.request(method, args)
}

// connection is the connection that the lease was granted on.
func (l *Lease) connection() (*conn, *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return nil, newError(Cancelled, RanNo, "the lease of %s has been released", l.target.address)
	}
	return l.conn, nil
}

// Release gives the instance back. False: the daemon had ended the lease before, as its time was over or its worker died. To
// release a lease again does nothing.
func (l *Lease) Release(ctx context.Context) (bool, error) {
	l.mu.Lock()
	again := l.released
	l.released = true
	l.mu.Unlock()
	if again {
		return false, nil
	}
	defer l.target.client.work.leave()
	if l.conn.isLost() {
		return false, nil
	}
	l.target.client.routes.leave(l)
	var held bool
	r := Request{Target: daemonTarget, Method: "release", Args: []any{l.target.pool, l.slot}}
	if err := l.conn.exchange(ctx, &r, &held); err != nil {
		return false, err
	}
	return held, nil
}

// Close releases the lease, for use with defer.
func (l *Lease) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	_, err := l.Release(ctx)
	return err
}

// giveBack releases it without waiting.
func (l *Lease) giveBack() {
	l.conn.order("objpool.release", func(b []byte) []byte {
		b = appendString(appendArrayHead(b, 2), l.target.pool)
		return appendInt(b, int64(l.slot))
	})
}
