// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"reflect"
	"time"
)

const slack = time.Second // how much later than the daemon a client gives up at Options.Timeout

// grace is how long a call that was given up waits for the daemon's word whether the method ran. Only tests change it.
var grace = 20 * time.Millisecond

// Do makes a call and returns its result as it stands on the wire. All other ways to call lead here. When the context ends the
// call is cancelled; the error is a Timeout or Cancelled then, and wraps the context's.
func (c *Client) Do(ctx context.Context, r *Request) (Raw, error) {
	var raw Raw
	if err := c.do(ctx, r, &raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// do makes a call and reads its result into v, a pointer.
func (c *Client) do(ctx context.Context, r *Request, v any) error {
	if err := c.enter(r.lease); err != nil {
		return err
	}
	defer c.work.leave()
	retry := r.Options.Retry
	if retry == nil {
		retry = c.config.Retry
	}
	if retry == nil || r.lease != nil {
		return plainError(c.attempt(ctx, r, v))
	}
	return retry.do(ctx, r, func() *Error { return c.attempt(ctx, r, v) })
}

// plainError keeps a nil *Error from becoming an error.
func plainError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// attempt makes a call once.
func (c *Client) attempt(ctx context.Context, r *Request, v any) *Error {
	if ctx.Err() != nil {
		return fromContext(ctx, RanNo)
	}
	conn, err := c.connectionFor(ctx, r)
	if err != nil {
		return err
	}
	if r.Options.Direct {
		if done, err := c.directly(ctx, conn, r, v); done {
			return err
		}
	}
	return conn.exchange(ctx, r, v)
}

// connectionFor is the connection that a request goes on.
func (c *Client) connectionFor(ctx context.Context, r *Request) (*conn, *Error) {
	if r.lease != nil {
		return r.lease.connection()
	}
	return c.connection(ctx)
}

// exchange sends a request and waits for its answer.
func (c *conn) exchange(ctx context.Context, r *Request, v any) *Error {
	p, err := c.begin(ctx, r, false)
	if err != nil {
		return err
	}
	if r.Options.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.Options.Timeout+slack)
		defer stop()
	}
	return c.end(ctx, p, v)
}

// begin sends a request.
func (c *conn) begin(ctx context.Context, r *Request, later bool) (*pending, *Error) {
	body := newPacker(c.files)
	if err := r.packFor(ctx, c, body); err != nil {
		body.drop()
		return nil, err
	}
	p := newPending()
	p.progress, p.given, p.socket = newProgressQueue(r.Options.Progress), r.given, r.socket
	if err := c.send(ctx, p, body, later); err != nil {
		body.drop()
		p.free()
		return nil, err
	}
	body.free()
	return p, nil
}

// end waits for the answer and reads the result into v. The pending is gone then.
func (c *conn) end(ctx context.Context, p *pending, v any) *Error {
	if err := c.await(ctx, p); err != nil {
		return err
	}
	err := p.err
	if err == nil {
		err = readResult(p.result, p.owned, v)
	}
	p.free()
	return givenUp(ctx, err)
}

// givenUp makes the daemon's Cancelled or Timeout of a call whose context has ended the context's.
func givenUp(ctx context.Context, err *Error) *Error {
	if err == nil || ctx.Err() == nil || err.cause != nil || err.Code != Cancelled && err.Code != Timeout {
		return err
	}
	ended := fromContext(ctx, err.Ran)
	err.Code, err.Message, err.cause = ended.Code, ended.Message, ended.cause
	return err
}

func readResult(raw []byte, owned bool, v any) *Error {
	if err := decodeFrom(raw, owned, v); err != nil {
		return newError(BadValue, RanYes, "the result can't be read as %v: %v", reflect.TypeOf(v).Elem(), err).because(err)
	}
	return nil
}

// await waits until the request is answered. An error: the context has ended, and the request is given up.
func (c *conn) await(ctx context.Context, p *pending) *Error {
	if p.reads {
		p.reads = false
		c.readFor(p)
	}
	if p.isOver() {
		p.progress.flush()
		return nil
	}
	if p.progress == nil && ctx.Done() == nil { // what takes the least time
		<-p.done
		return nil
	}
	for {
		select {
		case <-p.done:
			p.progress.flush()
			return nil
		case <-p.progress.comes():
			p.progress.flush()
		case <-ctx.Done():
			return c.giveUp(ctx, p)
		}
	}
}

// giveUp cancels a request whose context has ended. The daemon answers a cancel at once, and says whether the method ran: so it
// waits a moment for that.
func (c *conn) giveUp(ctx context.Context, p *pending) *Error {
	c.askToCancel(p)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if c.forget(p) {
		return fromContext(ctx, RanMaybe)
	}
	<-p.done // it has come just now
	return nil
}
