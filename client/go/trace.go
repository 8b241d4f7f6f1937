// SPDX-License-Identifier: Apache-2.0

package objpool

import "errors"

// A Trace has functions that are called when connections come and go, for logs and metrics. Those that are nil are not. They must
// return soon, and make no calls: all that is on the connection waits for them.
type Trace struct {
	// Connected is called for each connection that has been made.
	Connected func(Connection)
	// ConnectFailed is called for each attempt that has failed, with the address that was tried.
	ConnectFailed func(address string, err error)
	// Disconnected is called when a connection has ended. The error is nil if this client has closed it.
	Disconnected func(Connection, error)
}

// A Connection is one connection to a daemon, as a [Trace] is told of it.
type Connection struct {
	Address string
	// Session is its number in the daemon's log and in `objpool clients`.
	Session int64
	// Version is that of the daemon.
	Version string
}

func (t *Trace) failed(address string, err *Error) {
	if t.ConnectFailed != nil {
		t.ConnectFailed(address, err)
	}
}

// connected tells of a connection, and has its end told.
func (t *Trace) connected(c *conn) {
	made := Connection{Address: c.address, Session: c.hello.Session, Version: c.hello.Version}
	if t.Connected != nil {
		t.Connected(made)
	}
	if t.Disconnected != nil {
		c.tellEnd(func(err *Error) {
			if errors.Is(err, errClientClosed) {
				t.Disconnected(made, nil)
			} else {
				t.Disconnected(made, err)
			}
		})
	}
}

// tellEnd has a function called when the connection has ended: at once, if it has.
func (c *conn) tellEnd(ended func(*Error)) {
	c.mu.Lock()
	err := c.err
	c.ended = ended
	c.mu.Unlock()
	if err != nil {
		ended(err)
	}
}
