// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"sync"
	"sync/atomic"
)

// A pending is a request whose answer has not come. The connection's lock guards it until it is answered; from then on it
// belongs to whoever waits.
type pending struct {
	id     uint32
	state  atomic.Int32  // unanswered, awaited or isAnswered
	done   chan struct{} // has room for one: what was awaited is answered
	reads  bool          // its caller reads: see turns
	at     uint64        // how many bytes had been queued on the connection before it
	number uint64        // of the message, on a direct channel

	result []byte // the result, in msgpack
	owned  bool   // the bytes of the result are nobody else's
	err    *Error

	stream   *flow            // of a stream: where its results go
	progress *progressQueue   // of a call that asked for progress
	socket   func(fd int)     // of objpool.attach: takes the socket that comes with the answer. -1: none has
	given    func(raw []byte) // called with the result when nobody waits for it any more
	gone     bool             // nobody waits for it any more
}

var pendings = sync.Pool{New: func() any { return &pending{done: make(chan struct{}, 1)} }}

func newPending() *pending { return pendings.Get().(*pending) }

// What becomes of a pending. To wait on a channel costs more than to look whether the answer is there, as it is with begun calls.
const (
	unanswered = iota
	awaited    // somebody waits on done
	isAnswered
)

// isOver reports whether the answer is there. False: it will be signalled on done.
func (p *pending) isOver() bool {
	return !p.state.CompareAndSwap(unanswered, awaited) && p.state.Load() == isAnswered
}

// wait waits until the answer is there.
func (p *pending) wait() {
	if !p.isOver() {
		<-p.done
	}
}

// answered tells whoever waits that the answer is there.
func (p *pending) answered() {
	if p.state.Swap(isAnswered) == awaited {
		p.done <- struct{}{}
	}
}

// free keeps it for another call. It has been answered, and whoever waited has taken the result.
func (p *pending) free() {
	buffer := p.result[:0]
	if p.owned || cap(buffer) > keptPacker {
		buffer = nil
	}
	*p = pending{done: p.done, result: buffer}
	pendings.Put(p)
}

// Progress is what a method says of how far it is. Done and Total are nil where it does not say. Of an all, map or scatter Done
// is how many of its Total tasks have ended.
type Progress struct {
	Done, Total any
	Text        string
}

const maxSteps = 256 // of progress that nobody has looked at; the oldest are dropped

// A progressQueue holds the progress that has come until the goroutine that waits for the call tells it.
type progressQueue struct {
	mu    sync.Mutex
	steps []Progress
	news  chan struct{} // has room for one
	tell  func(Progress)
}

func newProgressQueue(tell func(Progress)) *progressQueue {
	if tell == nil {
		return nil
	}
	return &progressQueue{tell: tell, news: make(chan struct{}, 1)}
}

// add takes [msgid, done, total, text] without the msgid.
func (q *progressQueue) add(raw []byte) {
	var step Progress
	var err error
	if step.Done, raw, err = decodeAny(raw); err != nil {
		return
	}
	if step.Total, raw, err = decodeAny(raw); err != nil {
		return
	}
	text, _, _ := readBytes(raw)
	step.Text = string(text)
	q.mu.Lock()
	if len(q.steps) == maxSteps {
		q.steps = append(q.steps[:0], q.steps[1:]...)
	}
	q.steps = append(q.steps, step)
	q.mu.Unlock()
	signal(q.news)
}

// comes is the channel to wait on. It may be asked of nil.
func (q *progressQueue) comes() <-chan struct{} {
	if q == nil {
		return nil
	}
	return q.news
}

// flush tells all that has come.
func (q *progressQueue) flush() {
	if q == nil {
		return
	}
	q.mu.Lock()
	steps := q.steps
	q.steps = nil
	q.mu.Unlock()
	for _, step := range steps {
		q.tell(step)
	}
}

// signal wakes whoever waits on a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
