// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says how to connect to a daemon. The zero value does for most: what is not given is looked for in the environment
// whenever a connection is made.
type Config struct {
	// Address is unix:PATH, tcp:HOST:PORT or tls:HOST:PORT. "": $OBJPOOL_ADDRESS, or else the daemon of the user
	// ($XDG_RUNTIME_DIR/objpool.sock), or else that of the system (/run/objpool/objpool.sock).
	Address string
	// Name is the client's name, which the daemon shows in its log and in `objpool clients`.
	Name string

	// TLSCA is a file with the CAs that are trusted ($OBJPOOL_TLS_CA; else those of the system), TLSCert one with the client's
	// certificate ($OBJPOOL_TLS_CERT), TLSKey one with its key ($OBJPOOL_TLS_KEY; else that of the certificate), TLSName the name
	// that the daemon's certificate must have ($OBJPOOL_TLS_NAME; else the host of the address).
	TLSCA, TLSCert, TLSKey, TLSName string
	// TLS is the base of the TLS settings, for programs that have certificates elsewhere than in files.
	TLS *tls.Config
	// TokenFile is a file with a token, which others can't read ($OBJPOOL_TOKEN_FILE). Token is the token itself.
	TokenFile, Token string

	// ConnectTimeout is how long one attempt to connect may take. By default 10 s.
	ConnectTimeout time.Duration
	// ReconnectTimeout is how long a call waits for a new connection when the old one was lost: it is tried again and again, with
	// pauses that grow to a second. By default 5 s; below 0: it is tried once.
	ReconnectTimeout time.Duration
	// StreamConnections is how many streams of methods that yield may have a connection of their own: they hold up nobody else
	// when they are read slowly. Others share the client's. By default 8; below 0: none.
	StreamConnections int
	// Retry is for all calls that have no Options.Retry. Nil: a call is made once.
	Retry *Retry
	// Trace is told of connections.
	Trace Trace

	habit habit // only tests have another than usual
}

// A Client is a connection to a daemon, which is made anew when it is lost. Any number of goroutines may use it.
type Client struct {
	config Config
	work   work
	done   chan struct{} // closed when the client is

	conn    atomic.Pointer[conn] // changed with the lock held. nil: there has been none
	mu      sync.Mutex
	routes  routes
	streams streamConnections
	dialing chan struct{} // closed when the attempt that is under way has ended. nil: there is none
	pauses  backoff
	nextTry time.Time
	closed  bool
}

// Connect connects to a daemon. The address is as in [Config]; "" is the usual one.
func Connect(ctx context.Context, address string) (*Client, error) {
	return (&Config{Address: address}).Connect(ctx)
}

// Connect connects to the daemon that the Config names. The context is for connecting alone.
func (g *Config) Connect(ctx context.Context) (*Client, error) {
	c := &Client{config: *g, work: work{none: make(chan struct{})}, done: make(chan struct{})}
	if c.config.habit.calls == 0 {
		c.config.habit = usualHabit
	}
	conn, err := c.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.conn.Store(conn)
	return c, nil
}

// Close closes the connection at once. Calls that are under way fail with ConnectionLost: [Client.Shutdown] waits for them.
// Notifications that were made are carried out.
func (c *Client) Close() error {
	c.work.end()
	c.mu.Lock()
	conn := c.conn.Load()
	if !c.closed {
		close(c.done)
	}
	c.closed = true
	c.mu.Unlock()
	c.routes.close()
	c.streams.close()
	if conn != nil {
		conn.finishWriting()
		conn.fail(errClientClosed)
	}
	return nil
}

var errClientClosed = newError(ConnectionLost, RanMaybe, "the client has been closed")

// Session is the number of the connection, as the daemon's log and `objpool clients` show it. It changes with each new
// connection. 0: there is none now.
func (c *Client) Session() int64 {
	conn := c.conn.Load()
	if conn == nil || conn.isLost() {
		return 0
	}
	return conn.hello.Session
}

// connection is the connection of now, or a new one.
func (c *Client) connection(ctx context.Context) (*conn, *Error) {
	if conn := c.conn.Load(); conn != nil && !conn.isLost() {
		return conn, nil
	}
	return c.reconnect(ctx)
}

// reconnect makes a new connection. One goroutine does so at a time; others wait for it.
func (c *Client) reconnect(ctx context.Context) (*conn, *Error) {
	patience := orElse(c.config.ReconnectTimeout, 5*time.Second)
	if c.config.ReconnectTimeout < 0 {
		patience = 0
	}
	until := time.Now().Add(patience)
	for {
		conn, mine, wait, err := c.turn()
		if conn != nil || err != nil {
			return conn, err
		}
		if mine {
			if conn, err = c.tryConnect(ctx); err == nil || !mayComeBack(err) || !time.Now().Before(until) {
				return conn, err
			}
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fromContext(ctx, RanNo)
		}
	}
}

// mayComeBack reports whether another attempt may succeed.
func mayComeBack(err *Error) bool {
	return err.Code == NoDaemon || err.Code == ConnectionLost || err.Code == Overloaded
}

// turn says what a goroutine that needs a connection does: takes the one that there is, makes one (mine), or waits.
func (c *Client) turn() (conn *conn, mine bool, wait chan struct{}, err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	current := c.conn.Load()
	switch {
	case c.closed:
		return nil, false, nil, errClientClosed.withRan(RanNo)
	case current != nil && !current.isLost():
		return current, false, nil, nil
	case c.dialing != nil:
		return nil, false, c.dialing, nil
	}
	c.dialing = make(chan struct{})
	return nil, true, nil, nil
}

// tryConnect makes one attempt, after the pause that is due.
func (c *Client) tryConnect(ctx context.Context) (*conn, *Error) {
	var conn *conn
	err := fromContextOr(ctx, sleep(ctx, time.Until(c.nextTry)))
	if err == nil {
		conn, err = c.config.connect(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.dialing)
	c.dialing = nil
	switch {
	case err != nil:
		if c.pauses.first == 0 {
			c.pauses = backoff{first: 20 * time.Millisecond, most: time.Second}
		}
		c.nextTry = time.Now().Add(c.pauses.next())
		return nil, err
	case c.closed:
		conn.fail(errClientClosed)
		return nil, errClientClosed
	}
	c.conn.Store(conn)
	c.pauses, c.nextTry = backoff{}, time.Time{}
	return conn, nil
}

func fromContextOr(ctx context.Context, fine bool) *Error {
	if fine {
		return nil
	}
	return fromContext(ctx, RanNo)
}

// connect makes a connection to the first of the addresses where somebody answers.
func (g *Config) connect(ctx context.Context) (*conn, *Error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, orElse(g.ConnectTimeout, 10*time.Second))
	defer cancel()
	var first *Error
	for _, written := range addresses(g.Address) {
		address := addressForm(written)
		conn, err := g.connectTo(ctx, address)
		if err == nil {
			g.Trace.connected(conn)
			return conn, nil
		}
		g.Trace.failed(address, err)
		if first == nil {
			first = err
		}
		if err.Code != NoDaemon {
			break
		}
	}
	if outer.Err() != nil {
		return nil, fromContext(outer, RanNo)
	}
	return nil, first
}

// connectTo makes a connection, and greets.
func (g *Config) connectTo(ctx context.Context, address string) (*conn, *Error) {
	token, err := g.token(address)
	if err != nil {
		return nil, err
	}
	t, err := g.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c := newConn(t, address, g.habit)
	c.expectFiles()
	c.start()
	if err := c.greet(ctx, g.Name, token); err != nil {
		err = greetingFailed(t, address, err)
		c.fail(err)
		return nil, err
	}
	return c, nil
}

// greet says hello.
func (c *conn) greet(ctx context.Context, name, token string) *Error {
	said := map[string]any{"errors": "map"}
	if name != "" {
		said["client"] = name
	}
	if token != "" {
		said["token"] = token
	}
	if c.arrived.on {
		said["fds"] = true
	}
	r := &Request{Target: daemonTarget, Method: "hello", Args: []any{said}}
	if err := c.exchange(ctx, r, &c.hello); err != nil {
		if err.Code == Timeout || err.Code == Cancelled {
			return newError(NoDaemon, RanNo, "can't connect to %s: the server does not answer", c.address).because(ctx.Err())
		}
		return err
	}
	c.mu.Lock()
	if most := c.hello.Limits["max_inflight"]; most > 0 {
		c.flight = most
	}
	c.mu.Unlock()
	c.useFiles()
	return nil
}

// finishWriting waits a moment until what is queued has been written.
func (c *conn) finishWriting() {
	deadline := time.NewTimer(time.Second)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		busy := c.err == nil && (c.writing || len(c.out) > 0)
		if busy && c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-idle:
		case <-c.lost:
			return
		case <-deadline.C:
			return
		}
	}
}
