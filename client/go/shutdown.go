// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"sync"
	"sync/atomic"
)

// noMore is added to a count when nothing more may begin.
const noMore = 1 << 62

// work counts what must end before a client that shuts down closes its connections: calls with their retries, and leases.
type work struct {
	count atomic.Int64
	once  sync.Once
	none  chan struct{} // closed when there is none, and no more may begin
}

// enter counts one more. False: no more may begin. `held`: it may nevertheless, as it is part of a lease.
func (w *work) enter(held bool) bool {
	if w.count.Add(1) < noMore || held {
		return true
	}
	w.leave()
	return false
}

func (w *work) leave() {
	if w.count.Add(-1) == noMore {
		w.once.Do(func() { close(w.none) })
	}
}

// end lets nothing more begin.
func (w *work) end() {
	if w.count.Add(1) < noMore {
		w.count.Add(noMore)
	}
	w.leave()
}

// enter is called when something begins. An error: the client has been closed, or shuts down.
func (c *Client) enter(lease *Lease) *Error {
	if c.work.enter(lease != nil) {
		return nil
	}
	return errClientClosed.withRan(RanNo)
}

// Shutdown lets no more calls begin, waits until what is under way has ended, and closes the client: calls with their retries,
// begun calls, streams, and leases, whose calls are still made. When the context ends first it returns an error, and closes
// nothing: what is under way goes on until Close is called.
func (c *Client) Shutdown(ctx context.Context) error {
	c.work.end()
	select {
	case <-c.work.none:
	case <-c.done:
		return nil
	case <-ctx.Done():
		return notAllHasEnded(ctx)
	}
	for _, conn := range c.connections() {
		select {
		case <-conn.whenEmpty():
		case <-conn.lost:
		case <-ctx.Done():
			return notAllHasEnded(ctx)
		}
	}
	return c.Close()
}

func notAllHasEnded(ctx context.Context) *Error {
	e := fromContext(ctx, RanMaybe)
	e.Message = "not all that was under way has ended"
	return e
}

// connections are those to the daemon that there are now.
func (c *Client) connections() []*conn {
	all := c.streams.connections()
	if conn := c.conn.Load(); conn != nil {
		all = append(all, conn)
	}
	return all
}

// whenEmpty is closed when no request is without an answer.
func (c *conn) whenEmpty() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.tellEmpty()
	return empty
}

// tellEmpty is called with the lock held, when a request has been answered.
func (c *conn) tellEmpty() {
	if c.empty != nil && c.pending.count == 0 {
		close(c.empty)
		c.empty = nil
	}
}
