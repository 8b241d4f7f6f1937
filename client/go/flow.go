// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"sync"
)

const (
	muchUntaken = 4 << 20   // bytes of results from which on the connection is not read, unless somebody waits for something else
	maxUntaken  = 256 << 20 // over that the stream fails
	sparesOf    = 4         // buffers that a flow keeps
)

// A run is some results of items that follow each other, or the failure of one.
type run struct {
	first  int64
	count  int
	values []byte // one after the other
	err    *Error
}

// A flow is a stream on its way: the reader puts results in, a consumer takes them out, and a feeder sends input.
type flow struct {
	conn *conn
	p    *pending

	mu      sync.Mutex
	runs    []run
	size    int      // bytes of all runs
	spares  [][]byte // buffers for runs
	isFull  bool
	over    bool // no more results will come
	closed  bool // nobody takes any
	err     *Error
	summary []byte
	news    chan struct{} // has room for one
	done    chan struct{} // closed when it is over, or closed

	// of a stream that is fed: counts of items
	granted int64         // that may have been sent
	arrived int64         // results that have come
	taken   int64         // results that have been used up
	pulled  int64         // items that were read from the input
	ahead   int64         // how many may be pulled and not taken
	fixed   bool          // ahead was given
	credit  chan struct{} // has room for one
	tail    *packer       // items that wait to be sent
	items   int           // how many these are
	ended   bool          // the input
	failure error         // of the input
	toSend  chan struct{} // has room for one
}

func newFlow(c *conn, window int) *flow {
	return &flow{conn: c, ahead: int64(window), fixed: window > 0, news: make(chan struct{}, 1), done: make(chan struct{}),
		credit: make(chan struct{}, 1), toSend: make(chan struct{}, 1)}
}

// ---- the reader's side ----

// addOne takes index, error, value.
func (f *flow) addOne(b []byte) error {
	index, b, ok := readUint(b)
	if !ok || len(b) == 0 {
		return errNoMessage
	}
	r := run{first: int64(index), count: 1}
	if b[0] == wireNil {
		return f.add(r, b[1:])
	}
	failure, _, ok := readRaw(b)
	if !ok {
		return errNoMessage
	}
	r.err = readError(failure)
	if r.err.Index < 0 {
		r.err.Index = int(index)
	}
	return f.add(r, nil)
}

// addRun takes first index, [value, …].
func (f *flow) addRun(b []byte) error {
	first, b, ok := readUint(b)
	if !ok {
		return errNoMessage
	}
	n, b, ok := readArrayHead(b)
	if !ok {
		return errNoMessage
	}
	if n == 0 {
		return nil
	}
	return f.add(run{first: int64(first), count: n}, b)
}

func (f *flow) add(r run, values []byte) error {
	f.mu.Lock()
	if f.over || f.closed {
		f.mu.Unlock()
		return nil
	}
	r.values = append(f.spare(), values...)
	f.runs = append(f.runs, r)
	f.size += len(values)
	f.arrived += int64(r.count)
	fills := f.size >= muchUntaken && !f.isFull
	f.isFull = f.isFull || fills
	overflows := f.size > maxUntaken
	f.mu.Unlock()
	if fills {
		f.conn.setFull(1)
	}
	if overflows {
		f.overflow()
	}
	signal(f.news)
	return nil
}

func (f *flow) spare() []byte {
	n := len(f.spares)
	if n == 0 {
		return nil
	}
	buffer := f.spares[n-1]
	f.spares = f.spares[:n-1]
	return buffer
}

// overflow ends a stream whose consumer does not keep up while others of the connection must be served.
func (f *flow) overflow() {
	f.conn.cancel(f.p)
	f.end(nil, newError(Overloaded, RanYes, "results that were not taken have over %d MiB", maxUntaken>>20))
}

// addCredit takes what the daemon says of how many more items it takes.
func (f *flow) addCredit(n int64) {
	f.mu.Lock()
	f.granted += n
	if window := f.granted - f.arrived; !f.fixed && window > f.ahead {
		f.ahead = window
	}
	f.mu.Unlock()
	signal(f.credit)
}

// end takes the answer of the call: no more results come.
func (f *flow) end(summary []byte, err *Error) {
	f.mu.Lock()
	if !f.over {
		f.over, f.err, f.summary = true, err, append([]byte(nil), summary...)
		if !f.closed {
			close(f.done)
		}
	}
	f.mu.Unlock()
	signal(f.news)
}

// ---- the consumer's side ----

// next waits for results. False: there are no more. `last` is what next has returned before: it is used up.
func (f *flow) next(ctx context.Context, last *run) (run, bool) {
	f.useUp(last)
	for {
		r, over, ok := f.take()
		if ok || over {
			return r, ok
		}
		f.conn.waits(1)
		select {
		case <-f.news:
		case <-f.p.progress.comes():
		case <-ctx.Done():
			f.giveUp(ctx)
		}
		f.conn.waits(-1)
		f.p.progress.flush()
	}
}

func (f *flow) useUp(last *run) {
	if last.count == 0 {
		return
	}
	f.mu.Lock()
	f.taken += int64(last.count)
	if len(f.spares) < sparesOf && cap(last.values) <= keptPacker {
		f.spares = append(f.spares, last.values[:0])
	}
	f.mu.Unlock()
	signal(f.credit)
}

func (f *flow) take() (r run, over, ok bool) {
	f.mu.Lock()
	if len(f.runs) == 0 || f.closed {
		over = f.over || f.closed
		f.mu.Unlock()
		return run{}, over, false
	}
	r = f.runs[0]
	f.runs[0] = run{}
	if f.runs = f.runs[1:]; len(f.runs) == 0 {
		f.runs = nil
	}
	f.size -= len(r.values)
	empties := f.isFull && f.size < muchUntaken/2
	f.isFull = f.isFull && !empties
	f.mu.Unlock()
	if empties {
		f.conn.setFull(-1)
	}
	return r, false, true
}

// giveUp ends the stream because its context has ended.
func (f *flow) giveUp(ctx context.Context) {
	if f.close() {
		f.mu.Lock()
		f.err = fromContext(ctx, RanMaybe)
		f.mu.Unlock()
	}
}

// close gives up what has not been taken, and cancels the call. False: all had come.
func (f *flow) close() bool {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return false
	}
	f.closed = true
	over, full := f.over, f.isFull
	f.runs, f.size, f.isFull = nil, 0, false
	if !over {
		close(f.done)
	}
	f.mu.Unlock()
	if full {
		f.conn.setFull(-1)
	}
	return !over && f.conn.cancel(f.p)
}

// ---- of the connection ----

// setFull counts streams whose consumers are far behind.
func (c *conn) setFull(n int) {
	c.mu.Lock()
	c.full += n
	c.mu.Unlock()
	signal(c.resume)
}

// waits counts consumers that wait.
func (c *conn) waits(n int) {
	c.mu.Lock()
	c.waiting += n
	c.mu.Unlock()
	signal(c.resume)
}
