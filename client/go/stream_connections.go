// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"strings"
	"sync"
)

const usualStreamConnections = 8

// streamConnections are connections for streams of methods that yield. What such a method gives is held up by nothing but its
// connection: on one of its own it waits for its consumer, and holds up nobody else.
type streamConnections struct {
	mu     sync.Mutex
	all    map[*conn]bool // true: idle
	making int
	closed bool
}

// streamConnection is the connection for a stream, and whether it has that for itself.
func (c *Client) streamConnection(ctx context.Context, r *Request) (conn *conn, own bool, err *Error) {
	if r.mayYield() {
		if conn := c.streams.take(ctx, &c.config); conn != nil {
			return conn, true, nil
		}
	}
	conn, err = c.connectionFor(ctx, r)
	return conn, false, err
}

// mayYield reports whether a stream has results that nothing bounds but its consumer: those of one instance. Under a lease it
// must go on the connection that has the lease.
func (r *Request) mayYield() bool {
	_, selector, _ := strings.Cut(r.Target, ":")
	return r.lease == nil && selector != "map" && selector != "all" && selector != "scatter"
}

// take takes a connection that is idle, or makes one. Nil: there are enough, or there can't be one; the stream goes on the
// connection that all others use.
func (s *streamConnections) take(ctx context.Context, config *Config) *conn {
	found, mayMake := s.idle(config.StreamConnections)
	if found != nil || !mayMake {
		return found
	}
	made, err := config.connect(ctx)
	s.mu.Lock()
	s.making--
	closed := s.closed
	if err == nil && !closed {
		s.all[made] = false
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil
	case closed:
		made.fail(errClientClosed)
		return nil
	}
	return made
}

func (s *streamConnections) idle(most int) (found *conn, mayMake bool) {
	if most == 0 {
		most = usualStreamConnections
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*conn]bool{}
	}
	for each, isIdle := range s.all {
		switch {
		case each.isLost():
			delete(s.all, each)
		case isIdle:
			s.all[each] = false
			return each, false
		}
	}
	mayMake = len(s.all)+s.making < most && !s.closed
	if mayMake {
		s.making++
	}
	return nil, mayMake
}

// give gives a connection back whose stream has ended.
func (s *streamConnections) give(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[c]; known {
		s.all[c] = true
	}
}

func (s *streamConnections) connections() (all []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for each := range s.all {
		all = append(all, each)
	}
	return all
}

func (s *streamConnections) close() {
	s.mu.Lock()
	all := s.all
	s.all, s.closed = nil, true
	s.mu.Unlock()
	for each := range all {
		each.fail(errClientClosed)
	}
}
