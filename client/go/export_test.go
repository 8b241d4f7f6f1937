// SPDX-License-Identifier: Apache-2.0

package objpool

import "time"

// SetGrace sets how long a call that was given up waits for the daemon's word.
func SetGrace(d time.Duration) { grace = d }

// Alone is a Config whose connections are left to callers after each call that was alone, however slow it was.
func Alone() Config { return Config{habit: habit{1, time.Hour}} }

// Solo is how many calls of the client's connection have read it themselves.
func Solo(c *Client) uint64 { return c.conn.Load().soloCalls() }

// Sent is how many messages the client's connection has queued.
func Sent(c *Client) uint64 {
	conn := c.conn.Load()
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.sentMessages
}

// Kept is how many bytes of results have come and were not taken.
func Kept[T any](s *Results[T]) int {
	s.flow.mu.Lock()
	defer s.flow.mu.Unlock()
	return s.flow.size
}

// Beside reports whether large values go beside the socket, and how many files have come. It is called when nothing is under way.
func Beside(c *Client) (agreed bool, came uint64) {
	return c.conn.Load().files != nil, filesCome(c.conn.Load())
}
