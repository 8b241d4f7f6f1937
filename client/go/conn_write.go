// SPDX-License-Identifier: Apache-2.0

package objpool

import "time"

const writerRounds = 4 // how often a caller writes what others have queued meanwhile, before the writer takes over

// flush sees to it that what is queued is written. Called with the lock held, which it gives up.
func (c *conn) flush(later bool) {
	if c.writing {
		c.mu.Unlock() // whoever writes takes it along
		return
	}
	if later || len(c.marks) > 0 {
		c.mu.Unlock()
		signal(c.kick)
		return
	}
	c.writing = true
	c.writeHere()
}

// lastWords is how long what has come is read when nothing can be written any more.
const lastWords = time.Second

// writeFailed ends the connection. The reader usually does so first, when it has read all that has come before: answers, and
// maybe why the daemon has closed the connection.
func (c *conn) writeFailed(err error) {
	time.AfterFunc(lastWords, func() { c.fail(err) })
}

// writeHere writes without waiting, in the caller's goroutine. Called with the lock held, which it gives up.
func (c *conn) writeHere() {
	for round := 0; len(c.out) > 0; round++ {
		if round == writerRounds || len(c.marks) > 0 {
			c.handOver()
			return
		}
		batch := c.take()
		c.mu.Unlock()
		n, err := c.tryWrite(batch)
		c.written.Add(uint64(n))
		if err != nil {
			c.writeFailed(err)
			return
		}
		c.mu.Lock()
		if n < len(batch) {
			c.rest = batch[n:]
			c.handOver()
			return
		}
		c.keep(batch)
	}
	c.rests()
	c.mu.Unlock()
}

// rests is called with the lock held, when all has been written.
func (c *conn) rests() {
	c.writing, c.handed = false, false
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// handOver leaves the writing to the writer. Called with the lock held, which it gives up.
func (c *conn) handOver() {
	c.handed = true
	c.mu.Unlock()
	signal(c.kick)
}

// take takes all that is queued.
func (c *conn) take() []byte {
	batch := c.out
	c.out, c.spare = c.spare, nil
	c.wakeSenders()
	return batch
}

// keep keeps a buffer for what is queued next.
func (c *conn) keep(buffer []byte) {
	if c.spare == nil && cap(buffer) <= maxQueued {
		c.spare = buffer[:0]
	}
}

// writeLoop writes what callers could not write without waiting.
func (c *conn) writeLoop() {
	for {
		select {
		case <-c.kick:
		case <-c.lost:
			return
		}
		if err := c.writeAll(); err != nil {
			c.writeFailed(err)
			return
		}
	}
}

func (c *conn) writeAll() error {
	c.mu.Lock()
	if c.writing && !c.handed {
		c.mu.Unlock() // a caller writes, and hands over what it can't
		return nil
	}
	c.writing, c.handed = true, true
	for len(c.rest) > 0 || len(c.out) > 0 {
		batch, marks := c.rest, []fileMark(nil)
		if c.rest = nil; len(batch) == 0 {
			marks, c.marks = c.marks, nil
			batch = c.take()
		}
		c.mu.Unlock()
		if err := c.writeMarked(batch, marks); err != nil {
			return err
		}
		c.mu.Lock()
		c.keep(batch)
	}
	c.rests()
	c.mu.Unlock()
	return nil
}

// writeMarked writes a batch; descriptors go with the first bytes of their messages.
func (c *conn) writeMarked(batch []byte, marks []fileMark) error {
	defer closeMarks(marks)
	at := 0
	for i, mark := range marks {
		if err := c.writeBytes(batch[at:mark.at]); err != nil {
			return err
		}
		end := len(batch)
		if i+1 < len(marks) {
			end = marks[i+1].at
		}
		n, err := c.writeFiles(batch[mark.at:end], mark.files)
		c.written.Add(uint64(n))
		if err != nil {
			return err
		}
		at = mark.at + n
	}
	return c.writeBytes(batch[at:])
}

func (c *conn) writeBytes(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := c.Write(b)
	c.written.Add(uint64(n))
	return err
}
