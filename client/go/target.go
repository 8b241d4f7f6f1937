// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"strconv"
)

// A Target is a pool, or some of its instances, with the options of calls. It is a value: its methods return others. [Call],
// [Begin] and [Stream] call its methods.
type Target struct{ *target } // one pointer: to make a Callable of it takes no memory

// A target never changes.
type target struct {
	client  *Client
	lease   *Lease
	pool    string
	address string // the pool with its selector
	options Options
}

// changed returns another target.
func (t Target) changed(change func(*target)) Target {
	other := *t.target
	change(&other)
	return Target{&other}
}

// A Callable is what calls can be made of: a [Target] or a [*Lease].
type Callable interface {
	request(method string, args []any) (*Client, Request)
}

func (t Target) request(method string, args []any) (*Client, Request) {
	return t.client, Request{Target: t.address, Method: method, Args: args, Options: t.options, lease: t.lease}
}

// Pool is any instance of a pool: the first that is free.
func (c *Client) Pool(name string) Target {
	return Target{&target{client: c, pool: name, address: name}}
}

func (t Target) at(selector string) Target {
	return t.changed(func(t *target) { t.address = t.pool + ":" + selector })
}

// Slot is the instance in a slot. Slots count from 0.
func (t Target) Slot(slot int) Target { return t.at(strconv.Itoa(slot)) }

// All is every instance. The result of a call is an array, in slot order.
func (t Target) All() Target { return t.at("all") }

// Map is a task for each item, on whichever instance is free. Arguments are arrays, zipped to the shortest; the result is an
// array, in item order.
func (t Target) Map() Target { return t.at("map") }

// Scatter is like Map, but item i goes to slot i, and there are as many items as slots.
func (t Target) Scatter() Target { return t.at("scatter") }

// Key is the same instance for the same key, for as long as it lives and the pool keeps its size.
func (t Target) Key(key string) Target { return t.at("key=" + key) }

// Options returns the options of the target's calls: change what you want of them, and pass them to [Target.With].
func (t Target) Options() Options { return t.options }

// With returns the target with these options, in place of those that it had.
func (t Target) With(options Options) Target {
	return t.changed(func(t *target) { t.options = options })
}

// String returns the target as it is written: "sim", "sim:2", "sim:all".
func (t Target) String() string { return t.address }

// Call calls a method and returns its result as the Go value that it is: nil, bool, int64 (uint64 above its range), float64,
// string, []byte, []any, map[string]any (map[any]any where a key is no string), time.Time, NdArray, Ext. The function [Call]
// returns a type of your choice.
func (t Target) Call(ctx context.Context, method string, args ...any) (any, error) {
	return Call[any](ctx, t, method, args...)
}

// Notify calls a method that nothing answers, not even an error. It returns when the call is on its way: the context counts until
// then, and Options.Timeout for the call.
func (t Target) Notify(ctx context.Context, method string, args ...any) error {
	client, r := t.request(method, args)
	if err := client.enter(r.lease); err != nil {
		return err
	}
	defer client.work.leave()
	conn, err := client.connectionFor(ctx, &r)
	if err != nil {
		return err
	}
	body := newPacker(conn.files)
	if err = r.pack(context.Background(), body); err == nil {
		err = conn.notify(ctx, body)
	}
	if err != nil {
		body.drop()
		return err
	}
	body.free()
	return nil
}
