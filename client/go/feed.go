// SPDX-License-Identifier: Apache-2.0

package objpool

import "context"

const (
	feedItems = 512      // items of an input that never waits are packed together
	feedBytes = 64 << 10 // as far as they have no more bytes
	feedAhead = 1 << 20  // bytes that are packed and not sent
	feedFiles = maxFiles / 2
)

// feed sends the input in goroutines of its own: one reads it, and one sends what there is. So what has been read is on its way while
// the input waits for something.
func (f *flow) feed(ctx context.Context, input Input) {
	f.tail = newPacker(f.conn.files)
	go f.pull(input)
	go f.sendItems(ctx)
}

// pull reads items as there is credit for them.
func (f *flow) pull(input Input) {
	most := feedItems
	if input.blocks() {
		most = 1
	}
	p := newPacker(f.conn.files)
	defer func() {
		p.drop()
		if in, ok := input.(interface{ end() }); ok {
			in.end()
		}
	}()
	for {
		room, ok := f.awaitCredit()
		if !ok {
			return
		}
		n, more, err := f.pack(input, p, atMost(room, most))
		f.hand(p, n, more, err)
		p.b, p.sent = p.b[:0], nil
		if !more || err != nil {
			return
		}
	}
}

// pack packs up to n items.
func (f *flow) pack(input Input, p *packer, n int) (packed int, more bool, err error) {
	for packed < n && len(p.b) < feedBytes && len(p.sent) < feedFiles {
		before, files := len(p.b), len(p.sent)
		if more, err = input.next(f.done, p); !more || err != nil {
			for _, file := range p.sent[files:] {
				file.close()
			}
			p.b, p.sent = p.b[:before], p.sent[:files]
			return packed, false, err
		}
		packed++
	}
	return packed, true, nil
}

// awaitCredit waits until items may be read, and says how many. False: the stream is over.
func (f *flow) awaitCredit() (int, bool) {
	for {
		f.mu.Lock()
		room := f.granted - f.pulled
		if ahead := f.ahead - (f.pulled - f.taken); ahead < room {
			room = ahead
		}
		if f.tail == nil || len(f.tail.b) >= feedAhead || len(f.tail.sent) >= feedFiles {
			room = 0
		}
		f.mu.Unlock()
		if room > 0 {
			return int(room), true
		}
		select {
		case <-f.credit:
		case <-f.done:
			return 0, false
		}
	}
}

// hand gives items to the sender.
func (f *flow) hand(p *packer, n int, more bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tail == nil {
		p.closeFiles() // nothing is sent any more
		return
	}
	f.pulled += int64(n)
	f.tail.b = append(f.tail.b, p.b...)
	f.tail.sent = append(f.tail.sent, p.sent...)
	f.items += n
	f.ended, f.failure = !more || err != nil, err
	signal(f.toSend)
}

// sendItems sends what has been read.
func (f *flow) sendItems(ctx context.Context) {
	items := newPacker(f.conn.files)
	defer f.stopSending(&items)
	for {
		select {
		case <-f.toSend:
		case <-f.done:
			return
		}
		f.mu.Lock()
		items, f.tail = f.tail, items
		n, ended, failure := f.items, f.ended, f.failure
		f.items = 0
		f.mu.Unlock()
		signal(f.credit) // there is room for more
		if !f.sendFeed(ctx, items, n) || ended {
			f.sendEnd(ctx, ended, failure)
			return
		}
		items.b, items.sent = items.b[:0], nil
	}
}

// stopSending gives up what has not been sent.
func (f *flow) stopSending(items **packer) {
	f.mu.Lock()
	tail := f.tail
	f.tail = nil
	f.mu.Unlock()
	tail.drop()
	(*items).free()
}

func (f *flow) sendFeed(ctx context.Context, items *packer, n int) bool {
	if n == 0 {
		return true
	}
	body := newPacker(nil)
	body.sent = items.sent
	body.b = appendUint(appendArrayHead(appendString(body.b, "objpool.feed"), 2), uint64(f.p.id))
	body.b = append(appendArrayHead(body.b, n), items.b...)
	if f.conn.notify(ctx, body) != nil {
		body.drop()
		return false // the consumer is told by the connection, or the context
	}
	body.free()
	return true
}

func (f *flow) sendEnd(ctx context.Context, ended bool, failure error) {
	if !ended {
		return
	}
	body := newPacker(nil)
	defer body.free()
	body.b = appendString(body.b, "objpool.feed_end")
	if failure == nil {
		body.b = appendUint(appendArrayHead(body.b, 1), uint64(f.p.id))
	} else {
		body.b = appendString(appendUint(appendArrayHead(body.b, 2), uint64(f.p.id)), failure.Error())
	}
	_ = f.conn.notify(ctx, body) // that it fails the consumer is told by the connection, or the context
}

// inputFailure is the failure of the input, if it took the place of that item.
func (f *flow) inputFailure(index int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil && index == f.pulled {
		return f.failure
	}
	return nil
}
