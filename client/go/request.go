// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

var errNotOneValue = errors.New("a Raw must hold one value")

// Options are the options of a call. The zero value has the daemon's defaults. docs/PROTOCOL.md says more of each.
type Options struct {
	// Kwargs are keyword arguments. In a map or scatter each value is an array.
	Kwargs map[string]any
	// Bind and BindKwargs are arguments that are the same for all tasks of a map or scatter: they are sent once.
	Bind       []any
	BindKwargs map[string]any
	// ArgsAs says what the arguments of a map or scatter are: "zip" (arrays; the default), or one array of items: "single" (each
	// is the one argument), "positional" (each is an array of arguments), "keyword" (each is a map of keyword arguments).
	ArgsAs string
	// Errors says what happens when a task of an all, map or scatter fails: "wait" (the default; all finish, then the call fails
	// with the first failure), "first" (it fails at once) or "collect" (it succeeds; results are Outcomes).
	Errors string
	// Timeout is how long the call may take. The context's deadline counts as well; the daemon is told the nearer one.
	Timeout time.Duration
	// Chunk is, of a map, how many items a worker is handed at once.
	Chunk int
	// Idempotent calls may be run again when their worker dies.
	Idempotent bool
	// Unordered streams give results as they come, instead of in the order of the items.
	Unordered bool
	// Window is, of a streamed map, how many items may be accepted and not yet taken as results.
	Window int
	// Sync has a map run in rounds of one item per slot.
	Sync bool
	// Labels makes each result of an all or scatter an array: host, slot, result. The host is nil where the daemon is in no cluster.
	Labels bool
	// Progress is called with what the method says of how far it is, by the goroutine that waits for the call.
	Progress func(Progress)
	// Sticky calls of all are replayed on instances that are built later: "append" or "replace".
	Sticky string
	// Priority is from -10 to 10: where calls wait, those of higher priority are next.
	Priority int
	// Traceparent is the trace to which the call belongs, as in W3C Trace Context.
	Traceparent string
	// Retry makes the call again when it has failed with an error that may pass, and has not run (or is Idempotent). Nil: as
	// Config.Retry says.
	Retry *Retry
	// Direct calls of one instance go straight to its worker, on Unix sockets, where that is possible. Else they go the ordinary
	// way, and give the same.
	Direct bool
}

// A Request is a call in full. Most programs use [Call], [Begin], [Stream] and the methods of [Target] instead.
type Request struct {
	// Target is a pool with or without a selector: "sim", "sim:2", "sim:all", "sim:map", "sim:scatter", "sim:key=abc". The
	// daemon's own methods have "objpool".
	Target  string
	Method  string
	Args    []any
	Options Options

	lease  *Lease           // whose connection it needs
	stream string           // the option `stream`: "" or "runs"
	fed    bool             // its items follow
	given  func(raw []byte) // see pending
	socket func(fd int)
}

const daemonTarget = "objpool"

// deadlines are when a call must have ended: by its option, and by its context.
func (r *Request) deadlines(ctx context.Context) (left time.Duration, has bool) {
	left, has = r.Options.Timeout, r.Options.Timeout > 0
	if deadline, ok := ctx.Deadline(); ok {
		if until := time.Until(deadline); !has || until < left {
			left, has = until, true
		}
	}
	return left, has
}

// isPlain reports whether the short form "target.method" says it all.
func (r *Request) isPlain() bool {
	o := &r.Options
	return r.stream == "" && o.Kwargs == nil && o.Bind == nil && o.BindKwargs == nil && o.ArgsAs == "" && o.Errors == "" && o.Chunk == 0 &&
		!o.Idempotent && !o.Unordered && o.Window == 0 && !o.Sync && !o.Labels && o.Progress == nil && o.Sticky == "" &&
		o.Priority == 0 && o.Traceparent == "" && !strings.Contains(r.Target, ".")
}

// packFor writes method and params as they go on a connection.
func (r *Request) packFor(ctx context.Context, c *conn, p *packer) *Error {
	if c.direct != nil {
		return r.packDirect(ctx, p)
	}
	return r.pack(ctx, p)
}

// pack writes method and params.
func (r *Request) pack(ctx context.Context, p *packer) *Error {
	left, timed := r.deadlines(ctx)
	var err error
	switch {
	case r.Target == daemonTarget && r.stream == "", r.isPlain() && !timed:
		err = r.packPlain(p, r.Target)
	default:
		err = r.packFull(p, r.Target, left, timed)
	}
	return r.failed(err)
}

// packDirect writes them without the target, as they go on a direct channel.
func (r *Request) packDirect(ctx context.Context, p *packer) *Error {
	if left, timed := r.deadlines(ctx); timed || !r.isPlain() {
		return r.failed(r.packFull(p, "", left, timed))
	}
	return r.failed(r.packPlain(p, ""))
}

func (r *Request) failed(err error) *Error {
	if err != nil {
		return newError(BadValue, RanNo, "%s.%s: %v", r.Target, r.Method, err).because(err)
	}
	return nil
}

// cantSend says of which argument an error is.
func cantSend(which string, err error) error {
	if err != nil {
		return fmt.Errorf("%s can't be sent: %w", which, err)
	}
	return nil
}

// arguments packs an array of them. `name` is one's name, for its number.
func (p *packer) arguments(name string, values []any) error {
	p.b = appendArrayHead(p.b, len(values))
	for i, value := range values {
		if err := p.value(value); err != nil {
			return cantSend(fmt.Sprintf(name, i), err)
		}
	}
	return nil
}

// keywords packs a map of arguments.
func (p *packer) keywords(name string, m map[string]any) error {
	p.b = appendMapHead(p.b, len(m))
	for key, value := range m {
		p.b = appendString(p.b, key)
		if err := p.value(value); err != nil {
			return cantSend(fmt.Sprintf("%s[%q]", name, key), err)
		}
	}
	return nil
}

// packPlain writes "target.method", args; the method alone where there is no target.
func (r *Request) packPlain(p *packer, target string) error {
	if target == "" {
		p.b = appendString(p.b, r.Method)
	} else {
		p.b = append(appendStringHead(p.b, len(target)+1+len(r.Method)), target...)
		p.b = append(append(p.b, '.'), r.Method...)
	}
	return p.arguments("argument %d", r.Args)
}

// packFull writes "objpool.call", [target, method, args, options].
func (r *Request) packFull(p *packer, target string, left time.Duration, timed bool) error {
	p.b = appendArrayHead(appendString(p.b, "objpool.call"), 4)
	if target == "" {
		p.b = append(p.b, wireNil)
	} else {
		p.b = appendString(p.b, target)
	}
	p.b = appendString(p.b, r.Method)
	if err := r.packArgs(p); err != nil {
		return err
	}
	return r.packOptions(p, left, timed)
}

// packArgs writes the arguments. Those of a map may be one array of items, which stands in their place.
func (r *Request) packArgs(p *packer) error {
	switch {
	case r.fed:
		p.b = append(p.b, wireNil)
		return nil
	case r.Options.ArgsAs == "" || r.Options.ArgsAs == "zip":
		return p.arguments("argument %d", r.Args)
	case len(r.Args) != 1:
		return fmt.Errorf("with ArgsAs %q there is one, the array of items, and not %d", r.Options.ArgsAs, len(r.Args))
	}
	return cantSend("argument 0", p.value(r.Args[0]))
}

// packOptions writes those options that are given.
func (r *Request) packOptions(p *packer, left time.Duration, timed bool) error {
	at, n := len(p.b), 0
	p.b = append(p.b, 0x80) // a map: how many there are is written at the end
	key := func(name string, given bool) bool {
		if given {
			p.b = appendString(p.b, name)
			n++
		}
		return given
	}
	o := &r.Options
	text := func(name, value string) {
		if key(name, value != "") {
			p.b = appendString(p.b, value)
		}
	}
	yes := func(name string, value bool) {
		if key(name, value) {
			p.b = appendBool(p.b, true)
		}
	}
	text("stream", r.stream)
	text("args_as", o.ArgsAs)
	text("errors", o.Errors)
	text("sticky", o.Sticky)
	text("traceparent", o.Traceparent)
	yes("idempotent", o.Idempotent)
	yes("sync", o.Sync)
	yes("labels", o.Labels)
	yes("progress", o.Progress != nil)
	if key("ordered", o.Unordered) {
		p.b = appendBool(p.b, false)
	}
	if key("timeout_ms", timed) {
		p.b = appendUint(p.b, milliseconds(left))
	}
	if key("chunk", o.Chunk != 0) {
		p.b = appendInt(p.b, int64(o.Chunk))
	}
	if key("window", o.Window != 0) {
		p.b = appendInt(p.b, int64(o.Window))
	}
	if key("priority", o.Priority != 0) {
		p.b = appendInt(p.b, int64(o.Priority))
	}
	if key("kwargs", o.Kwargs != nil) {
		if err := p.keywords("Kwargs", o.Kwargs); err != nil {
			return err
		}
	}
	if key("bind", o.Bind != nil) {
		if err := p.arguments("Bind[%d]", o.Bind); err != nil {
			return err
		}
	}
	if key("bind_kwargs", o.BindKwargs != nil) {
		if err := p.keywords("BindKwargs", o.BindKwargs); err != nil {
			return err
		}
	}
	p.b = resizeMap(p.b, at, n)
	return nil
}

// resizeMap writes how many pairs the map has that begins at b[at], as an empty one, and goes on to the end.
func resizeMap(b []byte, at, n int) []byte {
	if n < 16 {
		b[at] |= byte(n)
		return b
	}
	pairs := append([]byte(nil), b[at+1:]...)
	return append(appendMapHead(b[:at], n), pairs...)
}

// milliseconds rounds up, so that the daemon does not give up before the context does.
func milliseconds(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}
