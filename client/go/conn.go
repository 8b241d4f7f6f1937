// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

const (
	maxQueued   = 1 << 20 // bytes that wait to be written: a caller with more waits for room
	usualFlight = 16384   // requests without an answer, where the daemon has not said how many
)

// A conn is one connection. It is never mended: when it is lost, the Client makes another.
//
//	callers --send--> out --write--> socket --> readLoop --> pending, flow --> callers
//
// Requests that are made while another is being written leave together with one write.
type conn struct {
	transport
	address string
	direct  *channel // the direct channel that this is. nil: it leads to the daemon
	files   *fileStore
	arrived arrivals
	in      reader // of whoever reads

	mu           sync.Mutex
	turns        turns // who reads
	pending      table
	flight       int    // how many requests there may be without an answer
	calls        int    // how many of pending are no streams
	out          []byte // what waits to be written
	marks        []fileMark
	queued       uint64        // bytes that were ever queued
	spare        []byte        // a buffer for what is queued next
	writing      bool          // somebody writes
	shut         bool          // of a direct channel: no more calls are made
	idle         chan struct{} // closed when nothing is left to write. nil: nobody waits
	empty        chan struct{} // closed when pending is empty. nil: nobody waits
	ended        func(*Error)  // called when the connection is lost. nil: nobody is told
	handed       bool          // it is the writer, or the writer has been told to
	room         chan struct{} // closed when there is room again. nil: nobody waits
	resume       chan struct{} // has room for one: the reader may go on
	waiting      int           // consumers of streams that wait for results
	full         int           // streams whose consumers are far behind
	err          *Error        // why the connection is lost
	refusal      *Error        // what the daemon said before it closed
	rest         []byte        // of the writer: what the last write has left
	kick         chan struct{} // has room for one: wakes the writer
	lost         chan struct{} // closed when err is set
	gone         atomic.Bool   // err is set
	written      atomic.Uint64 // bytes that have gone to the socket
	sentMessages uint64        // of a direct channel: how many messages were sent

	hello hello
}

// A hello is what the daemon has answered to objpool.hello.
type hello struct {
	Version  string         `msgpack:"version"`
	Protocol []int          `msgpack:"protocol"`
	Session  int64          `msgpack:"session"`
	Fds      bool           `msgpack:"fds"`
	Mark     int64          `msgpack:"fds_mark"`
	Limits   map[string]int `msgpack:"limits"`
}

func newConn(t transport, address string, habit habit) *conn {
	c := &conn{transport: t, address: address, flight: usualFlight,
		resume: make(chan struct{}, 1), kick: make(chan struct{}, 1), lost: make(chan struct{})}
	c.turns = turns{knock: make(chan struct{}, 1), canSolo: t.canInterrupt(), habit: habit}
	c.in.buf = make([]byte, readBuffer)
	c.in.scan.begin(0)
	return c
}

// start lets the connection run.
func (c *conn) start() {
	go c.readLoop()
	go c.writeLoop()
}

// isLost reports whether nothing will come any more.
func (c *conn) isLost() bool { return c.gone.Load() }

// send queues a request, and writes it unless somebody else does so, or `later`. p.id is set. When it fails nothing was queued.
func (c *conn) send(ctx context.Context, p *pending, body *packer, later bool) *Error {
	c.mu.Lock()
	if err := c.awaitRoom(ctx); err != nil {
		c.mu.Unlock()
		return err
	}
	p.at, p.number = c.queued, c.sentMessages
	c.pending.add(p)
	if p.stream == nil {
		c.calls++
		if c.full > 0 {
			signal(c.resume)
		}
	}
	before := len(c.out)
	c.out = appendUint(append(c.out, 0x94, kindRequest), uint64(p.id))
	c.queue(before, body)
	p.reads = c.takeTurn(!later && p.stream == nil && p.progress == nil)
	c.flush(later)
	return nil
}

// notify queues a notification: all after its kind.
func (c *conn) notify(ctx context.Context, body *packer) *Error {
	c.mu.Lock()
	if err := c.awaitRoom(ctx); err != nil {
		c.mu.Unlock()
		return err
	}
	before := len(c.out)
	c.out = append(c.out, 0x93, kindNotification)
	c.queue(before, body)
	c.flush(false)
	return nil
}

// awaitRoom waits until a message may be queued. Called, and returns, with the lock held.
func (c *conn) awaitRoom(ctx context.Context) *Error {
	for c.err == nil && (len(c.out) >= maxQueued || c.pending.count >= c.flight) {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		var err *Error
		select {
		case <-room:
		case <-c.lost:
		case <-ctx.Done():
			err = fromContext(ctx, RanNo)
		}
		c.mu.Lock()
		if err != nil {
			return err
		}
	}
	switch {
	case c.err != nil:
		return c.lostError(RanNo)
	case c.shut:
		return errShut
	}
	return nil
}

func (c *conn) lostError(ran string) *Error {
	return c.err.withRan(ran)
}

// wakeSenders is called with the lock held, when there may be room again.
func (c *conn) wakeSenders() {
	if c.room != nil && len(c.out) < maxQueued && c.pending.count < c.flight {
		close(c.room)
		c.room = nil
	}
}

// queue adds a message, whose head is in c.out from `before` on.
func (c *conn) queue(before int, body *packer) {
	if len(body.sent) > 0 {
		c.marks = append(c.marks, fileMark{before, body.sent})
	}
	c.out = append(c.out, body.b...)
	c.queued += uint64(len(c.out) - before)
	c.sentMessages++
}

// forget gives up a request: what comes for it is dropped. True: it had not been answered.
func (c *conn) forget(p *pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending.find(uint64(p.id)) != p {
		return false
	}
	p.gone = true
	return true
}

// cancel gives up a request and tells the daemon. It does not wait. Returns false if the answer is there already.
func (c *conn) cancel(p *pending) bool {
	if !c.forget(p) {
		return false
	}
	c.askToCancel(p)
	return true
}

// askToCancel tells the daemon to cancel a request, which is answered then.
func (c *conn) askToCancel(p *pending) {
	if c.direct != nil {
		c.direct.cancel(p)
		return
	}
	c.order("objpool.cancel", func(b []byte) []byte {
		return appendUint(appendArrayHead(b, 1), uint64(p.id))
	})
}

// order sends a notification to the daemon, even where there is no room: small ones, that give something back.
func (c *conn) order(method string, params func([]byte) []byte) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	before := len(c.out)
	c.out = params(appendString(append(c.out, 0x93, kindNotification), method))
	c.queued += uint64(len(c.out) - before)
	c.flush(true)
}

// fail ends the connection. All that is in flight fails with ConnectionLost.
func (c *conn) fail(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = c.why(cause)
	c.gone.Store(true)
	close(c.lost)
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	inFlight := c.pending.clear()
	closeMarks(c.marks)
	c.marks = nil
	ended := c.ended
	c.mu.Unlock()
	_ = c.transport.Close()
	if ended != nil {
		ended(c.err)
	}
	written := c.written.Load()
	for _, p := range inFlight {
		p.err = c.lostError(RanMaybe)
		if p.at >= written {
			p.err.Ran = RanNo
		}
		p.finish()
	}
}

// finish tells whoever waits that the answer is there.
func (p *pending) finish() {
	switch {
	case p.stream != nil:
		p.stream.end(p.result, p.err)
	case !p.gone:
		p.answered()
	}
}

func (c *conn) why(cause error) *Error {
	if c.refusal != nil {
		e := *c.refusal
		e.cause = cause
		return &e
	}
	if e, ok := cause.(*Error); ok {
		return e
	}
	return newError(ConnectionLost, RanMaybe, "the connection to %s is lost: %s", c.address, netWords(cause)).because(cause)
}

// A transport is a socket, with TLS or without.
type transport interface {
	net.Conn
	// tryWrite writes what there is room for, and never waits; nothing, where it can't do that.
	tryWrite(b []byte) (n int, err error)
	// writeFiles writes some of the bytes, with descriptors.
	writeFiles(b []byte, files []*sentFile) (n int, err error)
	// canInterrupt reports whether reading goes on well after it was interrupted by a deadline.
	canInterrupt() bool
	// receive reads bytes, and takes in the descriptors that come with them.
	receive(b []byte, arrived *arrivals) (n int, err error)
}

// A stream of bytes that is a transport without descriptors.
type plainTransport struct{ net.Conn }

func (t plainTransport) canInterrupt() bool { return false }

func (t plainTransport) tryWrite([]byte) (int, error) { return 0, nil }

func (t plainTransport) writeFiles([]byte, []*sentFile) (int, error) {
	return 0, errors.New("descriptors go over Unix sockets only")
}

func (t plainTransport) receive(b []byte, _ *arrivals) (int, error) { return t.Read(b) }
