// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"math/rand"
	"time"
)

// A Retry says when a call is made again: after Overloaded, Unavailable, WorkerLost, HostLost, Unreachable and ConnectionLost (NoDaemon
// too), if its method has not run (Error.Ran is RanNo), or if the call is Idempotent. It is for calls that wait: not for futures, streams and leases.
type Retry struct {
	// Attempts is how often the call is made at most.
	Attempts int
	// Delay and MaxDelay are how long to wait before the second attempt, and at most: each pause is twice as long as the one
	// before. A random part of it, up to a half, is left out. By default 50 ms and 2 s.
	Delay, MaxDelay time.Duration
}

// do makes attempts until one succeeds, or there is no point in another.
func (t *Retry) do(ctx context.Context, r *Request, attempt func() *Error) error {
	deadline, has := r.deadlines(ctx)
	until := time.Now().Add(deadline)
	pauses := backoff{first: orElse(t.Delay, 50*time.Millisecond), most: orElse(t.MaxDelay, 2*time.Second)}
	for n := 1; ; n++ {
		err := attempt()
		if err == nil {
			return nil
		}
		if n >= t.Attempts || !err.mayPass(r.Options.Idempotent) {
			return err
		}
		pause := pauses.next()
		if pause < err.RetryAfter {
			pause = err.RetryAfter + time.Duration(rand.Int63n(int64(err.RetryAfter)/4+1))
		}
		if has && time.Now().Add(pause).After(until) || !sleep(ctx, pause) {
			return err
		}
	}
}

// A backoff gives pauses, each about twice as long as the one before.
type backoff struct{ first, most, last time.Duration }

func (b *backoff) next() time.Duration {
	switch {
	case b.last == 0:
		b.last = b.first
	case b.last < b.most:
		b.last *= 2
	}
	if b.last > b.most {
		b.last = b.most
	}
	return b.last - time.Duration(rand.Int63n(int64(b.last)/2+1))
}

func orElse(d, usual time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return usual
}

// sleep waits. False: the context has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
