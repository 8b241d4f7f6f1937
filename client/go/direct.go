// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Direct channels (docs/PROTOCOL.md, "The direct channel"): sockets to the workers of instances. A call goes there if its
// options allow it. What does not go there, or had not begun when a channel ended, goes the ordinary way, on the connection.

const (
	directRequest = 128 << 10        // a request of so many bytes goes the ordinary way: large values go beside the socket there
	directResult  = 256 << 10        // so do calls of a method whose last result had so many bytes
	pauseDenied   = 10 * time.Second // the pool has no channels, until a reload gives it some
	pauseSpread   = time.Second      // the daemon has offered an instance that has a channel already
	detachedWait  = 10 * time.Second // for the daemon's word about a channel that has ended
)

var errShut = newError(Unavailable, RanNo, "the direct channel takes no more calls")

// ---- routes ----

// A route is the channels for the calls of one target on one connection.
type route struct {
	key routeKey

	mu        sync.Mutex
	channels  []*channel // those that are open
	attaching bool
	retryAt   time.Time // none is asked for before
	spreadAt  time.Time // no second one is asked for before
	pauses    backoff
	large     map[string]bool // methods whose last result was large
}

type routeKey struct {
	conn   *conn
	target string
	lease  *Lease
}

// routes are those of a client.
type routes struct {
	mu  sync.Mutex
	all map[routeKey]*route
}

// find returns the route for a key; a new one, if there is none.
func (r *routes) find(key routeKey) *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.all[key]; found != nil {
		return found
	}
	for other := range r.all {
		if other.conn.isLost() {
			delete(r.all, other)
		}
	}
	if r.all == nil {
		r.all = map[routeKey]*route{}
	}
	made := &route{key: key, pauses: backoff{first: 20 * time.Millisecond, most: 2 * time.Second}, large: map[string]bool{}}
	r.all[key] = made
	return made
}

// leave ends the channels of a lease.
func (r *routes) leave(lease *Lease) {
	r.endWhere(func(key routeKey) bool { return key.lease == lease })
}

func (r *routes) close() {
	r.endWhere(func(routeKey) bool { return true })
}

func (r *routes) endWhere(which func(routeKey) bool) {
	r.mu.Lock()
	var ended []*route
	for key, found := range r.all {
		if which(key) {
			ended = append(ended, found)
			delete(r.all, key)
		}
	}
	r.mu.Unlock()
	for _, found := range ended {
		found.mu.Lock()
		channels := found.channels
		found.channels = nil
		found.mu.Unlock()
		for _, each := range channels {
			each.shut()
		}
	}
}

// ---- calls ----

// goesDirect reports whether a call can go on a channel.
func (r *Request) goesDirect() bool {
	o := r.Options
	o.Kwargs, o.Progress, o.Traceparent = nil, nil, ""
	plain := Request{Target: r.Target, Options: o}
	_, selector, has := strings.Cut(r.Target, ":")
	if has {
		_, err := strconv.ParseUint(selector, 10, 31)
		has = err != nil
	}
	return plain.isPlain() && !has && r.Target != daemonTarget
}

// directly makes a call on a channel. False: it is to be made the ordinary way.
func (c *Client) directly(ctx context.Context, main *conn, r *Request, v any) (done bool, err *Error) {
	if !main.hasChannels() || !r.goesDirect() {
		return false, nil
	}
	route := c.routes.find(routeKey{main, r.Target, r.lease})
	channel := route.channel(ctx, r.Method)
	if channel == nil {
		return false, nil
	}
	return channel.call(ctx, route, r, v)
}

func (c *conn) hasChannels() bool {
	return c.arrived.on && len(c.hello.Protocol) == 2 && c.hello.Protocol[0] == 1 && c.hello.Protocol[1] >= 1
}

// channel is the channel for a call. Nil: there is none for it.
func (t *route) channel(ctx context.Context, method string) *channel {
	t.mu.Lock()
	if t.large[method] {
		t.mu.Unlock()
		return nil
	}
	best, busy := t.idlest()
	wanted := best == nil || busy && !strings.Contains(t.key.target, ":") && time.Now().After(t.spreadAt)
	if !wanted || t.attaching || time.Now().Before(t.retryAt) {
		t.mu.Unlock()
		return best
	}
	t.attaching = true
	t.mu.Unlock()
	made := t.attach(ctx)
	t.mu.Lock()
	t.attaching = false
	t.mu.Unlock()
	if made != nil {
		return made
	}
	return best
}

// idlest is the channel with the fewest calls, and whether it has any. Called with the lock held.
func (t *route) idlest() (best *channel, busy bool) {
	fewest := 0
	for _, each := range t.channels {
		if n := each.conn.inFlight(); best == nil || n < fewest {
			best, fewest = each, n
		}
	}
	return best, fewest > 0
}

func (c *conn) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending.count
}

// attach asks the daemon for a channel. Nil: it has none to give, or it is to an instance that has one already.
func (t *route) attach(ctx context.Context) *channel {
	pool, slot, _ := strings.Cut(t.key.target, ":")
	r := Request{Target: daemonTarget, Method: "attach", Args: []any{pool}}
	if n, err := strconv.Atoi(slot); err == nil {
		r.Args = append(r.Args, n)
	}
	fd := -1
	r.socket = func(got int) { fd = got }
	r.given = func([]byte) { closeSocket(fd) }
	var answer struct {
		Slot    int    `msgpack:"slot"`
		Channel uint64 `msgpack:"channel"`
	}
	main := t.key.conn
	main.arrived.await(1)
	if err := main.exchange(ctx, &r, &answer); err != nil {
		t.refused(err)
		return nil
	}
	transport, err := socketOf(fd)
	if err != nil {
		return nil
	}
	made := &channel{route: t, main: main, number: answer.Channel, slot: answer.Slot}
	made.conn = newConn(transport, "the instance in slot "+strconv.Itoa(answer.Slot)+" of "+pool, main.turns.habit)
	made.conn.direct = made
	made.conn.start()
	return t.add(made)
}

func (t *route) refused(err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pause := t.pauses.next()
	if err.Code == Denied {
		pause = pauseDenied
	}
	t.retryAt = time.Now().Add(pause)
}

// add takes a new channel. Nil: there is one to that instance.
func (t *route) add(made *channel) *channel {
	t.mu.Lock()
	for _, each := range t.channels {
		if each.slot == made.slot {
			t.spreadAt = time.Now().Add(pauseSpread)
			t.mu.Unlock()
			made.shut()
			return nil
		}
	}
	t.channels = append(t.channels, made)
	t.pauses.last = 0
	t.mu.Unlock()
	return made
}

func (t *route) remove(gone *channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, each := range t.channels {
		if each == gone {
			t.channels = append(t.channels[:i:i], t.channels[i+1:]...)
			return
		}
	}
}

// ---- a channel ----

// A channel is a connection to a worker.
type channel struct {
	route  *route
	main   *conn // the connection that it was asked for on
	conn   *conn // the channel's own
	number uint64
	slot   int

	asking sync.Mutex
	told   bool // end is set
	end    detached
}

// detached is what the daemon says of a channel that has ended.
type detached struct {
	Reason string `msgpack:"reason"`
	Begun  uint64 `msgpack:"begun"`
	Error  Raw    `msgpack:"error"`
}

// call makes a call. False: it has not begun, and is to be made the ordinary way.
func (h *channel) call(ctx context.Context, route *route, r *Request, v any) (bool, *Error) {
	outer := ctx
	if r.Options.Timeout > 0 { // a worker that runs another method can't say Timeout
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.Options.Timeout)
		defer stop()
	}
	p, err := h.begin(ctx, r)
	if err != nil {
		return err.Code == BadValue || outer.Err() != nil, err
	}
	number := p.number
	if err = h.conn.await(ctx, p); err != nil {
		return true, err
	}
	if p.err != nil && p.err.Code == ConnectionLost {
		p.free()
		h.route.remove(h)
		return h.explain(r, number)
	}
	if p.err != nil && p.err.Code == Failed && ctx.Err() != nil { // it has seen that it was cancelled
		p.err = fromContext(ctx, p.err.Ran)
	}
	route.note(r.Method, len(p.result) >= directResult)
	return true, h.conn.end(ctx, p, v)
}

// begin sends a request that is small enough.
func (h *channel) begin(ctx context.Context, r *Request) (*pending, *Error) {
	body := newPacker(nil)
	if err := r.packDirect(ctx, body); err != nil {
		body.drop()
		return nil, err
	}
	p := newPending()
	p.progress = newProgressQueue(r.Options.Progress)
	err := errShut
	if len(body.b) < directRequest {
		err = h.conn.send(ctx, p, body, false)
	}
	body.free()
	if err != nil {
		p.free()
		return nil, err
	}
	return p, nil
}

func (t *route) note(method string, large bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if large {
		t.large[method] = true
	}
}

// explain says what became of a call that was in flight when the channel ended.
func (h *channel) explain(r *Request, number uint64) (bool, *Error) {
	end, err := h.ask()
	if err != nil {
		return true, newError(ConnectionLost, RanMaybe, "the direct channel has ended: %v", err).because(err)
	}
	ran := RanYes
	switch {
	case number >= end.Begun && r.lease == nil:
		return false, nil
	case number >= end.Begun:
		ran = RanNo
	case number+1 == end.Begun:
		ran = RanMaybe
	}
	if len(end.Error) > 0 && end.Error[0] != wireNil {
		failure := readError(end.Error)
		failure.Ran = ran
		return true, failure
	}
	return true, newError(ConnectionLost, ran, "the direct channel to the instance has ended: %s", end.Reason)
}

// ask asks the daemon how the channel has ended, once.
func (h *channel) ask() (detached, *Error) {
	h.asking.Lock()
	defer h.asking.Unlock()
	if h.told {
		return h.end, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), detachedWait)
	defer cancel()
	r := Request{Target: daemonTarget, Method: "detached", Args: []any{h.number}}
	if err := h.main.exchange(ctx, &r, &h.end); err != nil {
		return h.end, err
	}
	h.told = true
	return h.end, nil
}

// cancel has the daemon cancel a call of the channel.
func (h *channel) cancel(p *pending) {
	h.main.order("objpool.cancel", func(b []byte) []byte {
		return appendUint(appendUint(appendArrayHead(b, 2), h.number), p.number)
	})
}

// closing is called by the reader when the worker takes no more calls.
func (h *channel) closing() {
	go h.shut()
}

// shut makes no more calls on the channel. What was sent is answered.
func (h *channel) shut() {
	h.conn.mu.Lock()
	again := h.conn.shut
	h.conn.shut = true
	h.conn.mu.Unlock()
	if again {
		return
	}
	h.route.remove(h)
	h.conn.finishWriting()
	h.conn.closeWrite()
}
