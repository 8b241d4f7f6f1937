// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"errors"
	"os"
	"time"
)

// Who reads a connection. As a rule its own goroutine does, the keeper: it blocks in the socket, and wakes the callers whose
// answers have come. A program that makes one call after the other would pay for two goroutines to wake for each. So when calls
// come one by one, and fast, the keeper steps aside: nobody reads, until a call is made while there is no other. Its caller
// reads then, until the answer has come. The keeper reads again when another request is made or waits too, and when no call has
// been made for a soloTick. It interrupts a caller that has read for a soloTick: the call waits as others do then, and sees the
// end of its context.
//
// The connection's lock guards the fields.
type turns struct {
	who     turn
	solo    uint64        // calls that have read
	wanted  bool          // the caller that reads is to leave that to the keeper
	lone    int           // answers in a row that left nothing in flight
	since   time.Time     // when the first of these came
	knock   chan struct{} // has room for one: the keeper is to look who reads
	canSolo bool          // of a socket whose reading can be interrupted
	habit   habit
}

type turn byte

const (
	keeperReads turn = iota
	nobodyReads
	callerReads
)

const soloTick = 5 * time.Millisecond

// A habit is when the keeper steps aside: after so many calls alone, within that time.
type habit struct {
	calls int
	most  time.Duration
}

var usualHabit = habit{16, 4 * time.Millisecond}

// takeTurn is called with the lock held, when a request has been queued: its caller reads, if it `can` and it is alone. When
// nobody reads otherwise, the keeper does.
func (c *conn) takeTurn(can bool) (mine bool) {
	switch {
	case c.turns.who != nobodyReads:
	case can && c.pending.count == 1:
		c.turns.who = callerReads
		c.turns.solo++
		return true
	default:
		c.turns.who = keeperReads
		signal(c.turns.knock)
	}
	return false
}

// readFor reads until a request is answered, or the keeper takes over.
func (c *conn) readFor(p *pending) {
	for p.state.Load() != isAnswered {
		err := c.readSome()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			c.fail(err)
			break
		}
	}
	c.mu.Lock()
	c.turns.who = nobodyReads
	if c.turns.wanted || c.pending.count > 0 || c.err != nil {
		c.turns.who = keeperReads
		signal(c.turns.knock)
	}
	c.mu.Unlock()
}

// readSome reads once, and handles what is whole.
func (c *conn) readSome() error {
	n, err := c.receive(c.in.room(), &c.arrived)
	if n > 0 {
		c.in.end += n
		if err := c.messages(&c.in); err != nil {
			return err
		}
	}
	return err
}

// readLoop is the keeper.
func (c *conn) readLoop() {
	defer c.arrived.close()
	for {
		c.holdBack()
		if err := c.readSome(); err != nil {
			c.fail(err)
			return
		}
		if c.stepAside() && !c.lookOn() {
			return
		}
	}
}

// stepAside reports whether calls come one by one, and fast: the socket is nobody's then.
func (c *conn) stepAside() bool {
	if !c.turns.canSolo {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.turns
	if c.pending.count > 0 || c.err != nil {
		t.lone = 0
		return false
	}
	if t.lone == 0 {
		t.since = time.Now()
	}
	if t.lone++; t.lone < t.habit.calls {
		return false
	}
	t.lone = 0
	if time.Since(t.since) > t.habit.most {
		return false
	}
	t.who = nobodyReads
	return true
}

// lookOn waits until the keeper is to read again. False: the connection is lost, and nobody reads.
func (c *conn) lookOn() bool {
	tick := time.NewTicker(soloTick)
	defer tick.Stop()
	seen := c.soloCalls()
	for {
		select {
		case <-c.turns.knock:
		case <-c.lost:
			c.awaitCaller()
			return false
		case <-tick.C:
			seen = c.lookAfter(seen)
		}
		if c.keeperIsNext() {
			return true
		}
	}
}

func (c *conn) soloCalls() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns.solo
}

// lookAfter has the keeper read again, if no call has been made since it looked before: `seen` calls had been made then. A call
// that has been reading since then is interrupted.
func (c *conn) lookAfter(seen uint64) (now uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.turns
	switch {
	case t.solo != seen || t.wanted:
	case t.who == nobodyReads:
		t.who = keeperReads
	case t.who == callerReads:
		t.wanted = true
		_ = c.SetReadDeadline(time.Unix(1, 0)) // it fails when the connection is lost: so does reading
	}
	return t.solo
}

// keeperIsNext reports whether the keeper is to read. What has interrupted a caller is taken back.
func (c *conn) keeperIsNext() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turns.who != keeperReads {
		return false
	}
	if c.turns.wanted {
		c.turns.wanted = false
		_ = c.SetReadDeadline(time.Time{}) // as above
	}
	return true
}

// awaitCaller waits until no caller reads a connection that is lost.
func (c *conn) awaitCaller() {
	for {
		c.mu.Lock()
		reads := c.turns.who == callerReads
		c.mu.Unlock()
		if !reads {
			return
		}
		<-c.turns.knock
	}
}
