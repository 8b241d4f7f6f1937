// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"strings"
	"sync"
)

// Results are the results of a [Stream], one after the other.
//
//	for results.Next() {
//		value, err := results.Value()   // err: this item has failed; others follow
//		...
//	}
//	if err := results.Err(); err != nil { ... }
//
// One goroutine uses them at a time; Close may be called by another.
type Results[T any] struct {
	ctx   context.Context
	flow  *flow
	input Input

	run   run
	left  int    // results of the run that were not taken
	rest  []byte // their bytes
	index int64
	value T
	fault *Error // of the item
	first *Error // of all items' failures, the one with the lowest index
	err   *Error // of the stream

	giveBack func() // gives back the connection that the stream has for itself. nil: it shares one
	given    sync.Once
}

// Stream calls a method and gets results one by one, as they come: of a Map, a Scatter or All each item's; of one instance each
// value that its method yields.
//
// The arguments of a Map are its input, zipped to the shortest: slices, channels, or an [Input]. They are read as results are
// taken: never further ahead than the daemon takes items, nor than Options.Window items beyond the results that were taken. So
// an input may be endless. What is the same for all items goes in Options.Bind.
//
// The context is that of the whole stream. Close the results, unless all were taken.
func Stream[T any](ctx context.Context, on Callable, method string, args ...any) *Results[T] {
	client, r := on.request(method, args)
	s := &Results[T]{ctx: ctx}
	s.err = s.begin(client, &r)
	return s
}

func (s *Results[T]) begin(client *Client, r *Request) *Error {
	if err := client.enter(r.lease); err != nil {
		return err
	}
	defer client.work.leave()
	if s.ctx.Err() != nil {
		return fromContext(s.ctx, RanNo)
	}
	r.stream = "runs"
	input, err := r.feed()
	if err != nil {
		return err
	}
	conn, own, err := client.streamConnection(s.ctx, r)
	if err != nil {
		return err
	}
	if own {
		s.giveBack = func() { client.streams.give(conn) }
	}
	flow := newFlow(conn, r.Options.Window)
	flow.p = &pending{stream: flow, progress: newProgressQueue(r.Options.Progress)}
	body := newPacker(conn.files)
	if err = r.pack(s.ctx, body); err == nil {
		err = conn.send(s.ctx, flow.p, body, false)
	}
	if err != nil {
		body.drop()
		s.leave()
		return err
	}
	body.free()
	s.flow = flow
	if input != nil {
		s.input = input
		flow.feed(s.ctx, input)
	}
	return nil
}

// feed makes the arguments of a map its input. Nil: they go with the request.
func (r *Request) feed() (Input, *Error) {
	if !strings.HasSuffix(r.Target, ":map") || len(r.Args) == 0 || r.Options.Kwargs != nil {
		return nil, nil
	}
	inputs := make([]Input, len(r.Args))
	for i, arg := range r.Args {
		input, err := inputOf(arg)
		if err != nil {
			return nil, newError(BadValue, RanNo, "%s.%s: argument %d: %v", r.Target, r.Method, i, err).because(err)
		}
		inputs[i] = input
	}
	r.fed, r.Args = true, nil
	zipped := r.Options.ArgsAs == "" || r.Options.ArgsAs == "zip"
	switch {
	case zipped && len(inputs) > 1:
		r.Options.ArgsAs = "positional"
		return zip(inputs), nil
	case zipped:
		r.Options.ArgsAs = "single"
	case len(inputs) > 1:
		return nil, newError(BadValue, RanNo, "%s.%s: with ArgsAs %q a map has one argument", r.Target, r.Method, r.Options.ArgsAs)
	}
	return inputs[0], nil
}

// Next waits for the next result. False: there are no more, or the stream has failed: Err tells.
func (s *Results[T]) Next() bool {
	if s.flow == nil {
		return false
	}
	if s.left == 0 && !s.nextRun() {
		return false
	}
	s.left--
	s.index = s.run.first + int64(s.run.count-1-s.left)
	var zero T
	s.value, s.fault = zero, s.run.err
	if s.fault != nil {
		s.failed()
		return true
	}
	value, rest, ok := readRaw(s.rest)
	if s.rest = rest; !ok {
		s.fault = newError(BadValue, RanYes, "the daemon has sent less than a value")
		s.left = 0
		return true
	}
	if s.fault = readResult(value, false, &s.value); s.fault != nil {
		s.fault.Index = int(s.index)
	}
	return true
}

func (s *Results[T]) nextRun() bool {
	r, ok := s.flow.next(s.ctx, &s.run)
	s.run, s.left, s.rest = r, r.count, r.values
	if !ok {
		s.finish()
	}
	return ok
}

// failed notes the failure of an item.
func (s *Results[T]) failed() {
	if cause := s.flow.inputFailure(s.index); cause != nil {
		_ = s.fault.because(cause)
	}
	if s.first == nil || s.fault.Index < s.first.Index {
		s.first = s.fault
	}
}

// leave gives back what the stream has for itself.
func (s *Results[T]) leave() {
	if s.giveBack != nil {
		s.given.Do(s.giveBack)
	}
}

// finish takes the answer of the call.
func (s *Results[T]) finish() {
	s.leave()
	s.flow.mu.Lock()
	s.err = s.flow.err
	s.flow.mu.Unlock()
	if s.err != nil && s.first != nil && s.err.cause == nil {
		_ = s.err.because(s.first.cause)
	}
}

// repeats reports whether the stream's error is that of an item that has failed. That of a value that a method yields has no
// index.
func (s *Results[T]) repeats() bool {
	return s.first != nil && s.err.Code == s.first.Code && s.err.Message == s.first.Message &&
		(s.err.Index < 0 || s.err.Index == s.first.Index)
}

// Value returns the result that Next has found, or the error of its item.
func (s *Results[T]) Value() (T, error) {
	return s.value, plainError(s.fault)
}

// Index returns the number of the item whose result Next has found.
func (s *Results[T]) Index() int { return int(s.index) }

// Err returns why the stream has failed, once Next has returned false. Nil: it has not, or was closed. Where an item has failed
// it is the first such failure, unless Options.Errors is "collect".
func (s *Results[T]) Err() error {
	return plainError(s.err)
}

// A Summary is what the daemon says at the end of a stream.
type Summary struct {
	Items  int `msgpack:"items"`   // how many results there were
	Failed int `msgpack:"failed"`  // how many of them were failures
	ItemNS int `msgpack:"item_ns"` // how many nanoseconds the daemon expects one item to take
}

// Summary returns the daemon's summary. It is zero until Next has returned false.
func (s *Results[T]) Summary() Summary {
	var summary Summary
	if s.flow == nil {
		return summary
	}
	s.flow.mu.Lock()
	defer s.flow.mu.Unlock()
	switch {
	case s.flow.err != nil:
		summary.Items, summary.Failed = s.flow.err.Items, s.flow.err.Failed
	case len(s.flow.summary) > 0:
		_ = decode(s.flow.summary, &summary) // one that can't be read says nothing
	}
	return summary
}

// Close cancels what has not been done. Next returns false then. It may be called when all is over.
func (s *Results[T]) Close() {
	if s.flow != nil {
		s.flow.close()
		s.leave()
	}
}
