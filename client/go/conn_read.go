// SPDX-License-Identifier: Apache-2.0

package objpool

import "errors"

const (
	readBuffer = 64 << 10
	keptReader = 1 << 20  // a larger buffer is given up when it is empty
	ownedSize  = 32 << 10 // a message of so many bytes is not copied: the reader takes a new buffer
)

var errClosedByPeer = errors.New("the daemon has closed it")

// A reader holds the bytes that have come and are no whole message yet.
type reader struct {
	buf        []byte
	begin, end int // where the message under way begins, and where the bytes end
	scan       scanner
}

// room makes room for more bytes.
func (r *reader) room() []byte {
	switch {
	case r.begin == r.end && len(r.buf) > keptReader:
		r.moveTo(make([]byte, readBuffer))
	case r.begin == r.end:
		r.moveTo(r.buf)
	case len(r.buf)-r.end >= len(r.buf)/4:
	case r.begin >= len(r.buf)/2:
		r.moveTo(r.buf)
	default:
		r.moveTo(make([]byte, 2*len(r.buf)))
	}
	return r.buf[r.end:]
}

// moveTo moves the message under way to the beginning of a buffer.
func (r *reader) moveTo(buf []byte) {
	copy(buf, r.buf[r.begin:r.end])
	for i := range r.scan.refs {
		r.scan.refs[i] -= r.begin
	}
	r.scan.pos -= r.begin
	r.buf, r.begin, r.end = buf, 0, r.end-r.begin
}

// next finds the end of the message under way.
func (r *reader) next() (msg []byte, whole bool, err error) {
	if r.begin == r.end {
		return nil, false, nil
	}
	whole, err = r.scan.run(r.buf[:r.end])
	if !whole || err != nil {
		return nil, false, err
	}
	return r.buf[r.begin:r.scan.pos:r.scan.pos], true, nil
}

// skip goes on behind the message. `kept`: its bytes must stay as they are.
func (r *reader) skip(kept bool) {
	r.begin = r.scan.pos
	r.scan.begin(r.begin)
	if kept {
		size := readBuffer
		for size < 2*(r.end-r.begin) {
			size *= 2
		}
		r.moveTo(make([]byte, size))
	}
}

// holdBack waits while streams have more results than their consumers take, and nobody else waits for anything.
func (c *conn) holdBack() {
	for {
		c.mu.Lock()
		hold := c.full > 0 && c.calls == 0 && c.waiting == 0 && c.err == nil
		c.mu.Unlock()
		if !hold {
			return
		}
		select {
		case <-c.resume:
		case <-c.lost:
			return
		}
	}
}

// messages handles all messages that are whole.
func (c *conn) messages(r *reader) error {
	for {
		msg, whole, err := r.next()
		if !whole || err != nil {
			return err
		}
		own := false
		if len(r.scan.refs) > 0 {
			before := &msg[0]
			var numbers []uint64
			if msg, numbers, err = c.arrived.replace(msg, r.scan.refs, r.begin); err != nil {
				return err
			}
			own = &msg[0] != before
			c.giveBack(numbers)
		}
		kept, err := c.handle(msg, own || len(msg) >= ownedSize)
		if err != nil {
			return err
		}
		r.skip(kept && !own)
	}
}

// giveBack tells the daemon that nobody looks at these files any more.
func (c *conn) giveBack(numbers []uint64) {
	if len(numbers) == 0 {
		return
	}
	c.order("objpool.give_back", func(b []byte) []byte {
		b = appendArrayHead(b, len(numbers))
		for _, number := range numbers {
			b = appendUint(b, number)
		}
		return b
	})
}

var errNoMessage = errors.New("the daemon has sent what is no message")

// handle takes a message. `own`: its bytes may be kept; it tells whether it has kept them.
func (c *conn) handle(msg []byte, own bool) (kept bool, err error) {
	n, b, ok := readArrayHead(msg)
	if !ok || len(b) == 0 {
		return false, errNoMessage
	}
	switch {
	case n == 4 && b[0] == kindResponse:
		return c.response(b[1:], own)
	case n == 3 && b[0] == kindNotification:
		return false, c.notification(b[1:])
	}
	return false, errNoMessage
}

// response takes msgid, error, result.
func (c *conn) response(b []byte, own bool) (kept bool, err error) {
	id, b, ok := readUint(b)
	if !ok || len(b) < 2 {
		return false, errNoMessage
	}
	failure := []byte(nil)
	if b[0] == wireNil {
		b = b[1:]
	} else if failure, b, ok = readRaw(b); !ok {
		return false, errNoMessage
	}
	p := c.answered(id)
	if p == nil {
		if id == 0 && failure != nil {
			c.refused(readError(failure))
		}
		return false, nil
	}
	c.settle(p, failure, b, own)
	return own && failure == nil, nil
}

// settle gives a request its answer.
func (c *conn) settle(p *pending, failure, result []byte, own bool) {
	switch {
	case failure != nil:
		p.err = readError(failure)
		p.result = p.result[:0]
	case own:
		p.result, p.owned = result, true
	default:
		p.result = append(p.result[:0], result...)
	}
	if p.socket != nil {
		p.socket(c.takeSocket(p.err == nil))
	}
	if !p.gone || p.stream != nil {
		p.finish()
		return
	}
	if p.given != nil && p.err == nil {
		p.given(p.result)
	}
	p.free()
}

// answered takes a request out of those in flight.
func (c *conn) answered(id uint64) *pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending.find(id)
	if p == nil {
		return nil
	}
	c.pending.remove(p)
	if p.stream == nil {
		c.calls--
	}
	c.wakeSenders()
	c.tellEmpty()
	return p
}

// refused keeps what the daemon says of the connection itself: it closes it then.
func (c *conn) refused(e *Error) {
	c.mu.Lock()
	c.refusal = e
	c.mu.Unlock()
}

// notification takes method and params.
func (c *conn) notification(b []byte) error {
	method, b, ok := readBytes(b)
	if !ok {
		return errNoMessage
	}
	n, params, ok := readArrayHead(b)
	if !ok {
		return errNoMessage
	}
	if string(method) == "objpool.closing" && c.direct != nil {
		c.direct.closing()
		return nil
	}
	if n < 2 {
		return nil // some that is not known
	}
	id, params, ok := readUint(params)
	if !ok {
		return nil
	}
	c.mu.Lock()
	p := c.pending.find(id)
	c.mu.Unlock()
	if p == nil {
		return nil
	}
	return c.news(p, string(method), n-1, params)
}

// news takes what comes for a request before its answer: n values.
func (c *conn) news(p *pending, method string, n int, params []byte) error {
	switch {
	case method == "objpool.progress" && n == 3 && p.progress != nil:
		p.progress.add(params)
	case p.stream == nil:
	case method == "objpool.result" && n == 3:
		return p.stream.addOne(params)
	case method == "objpool.results" && n == 2:
		return p.stream.addRun(params)
	case method == "objpool.credit" && n == 1:
		credit, _, ok := readUint(params)
		if !ok {
			return errNoMessage
		}
		p.stream.addCredit(int64(credit))
	}
	return nil
}
