// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// alone returns a client whose last call has read the connection itself.
func alone(t *testing.T) (*server, *objpool.Client) {
	s := start(t, "", usualPools)
	client := s.client(objpool.Alone())
	readsAlone(t, client)
	return s, client
}

func readsAlone(t *testing.T, client *objpool.Client) {
	t.Helper()
	before := objpool.Solo(client)
	waitUntil(t, func() bool {
		equal(t, must[int](t)(objpool.Call[int](soon(t), client.Pool("p"), "add", 1, 2)), 3)
		return objpool.Solo(client) > before
	})
}

// A call that takes long is given up when its context ends, and others are answered meanwhile, although its caller began to read.
func TestCallerThatReads(t *testing.T) {
	_, client := alone(t)
	p, ctx := client.Pool("p"), soon(t)
	for i := 0; i < 3; i++ {
		short, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := p.Call(short, "sleep", 60)
			ended <- err
		}()
		waitUntil(t, func() bool { return running(t, p) == 1 })
		equal(t, must[int](t)(objpool.Call[int](ctx, p, "add", 3, i)), 3+i)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		readsAlone(t, client)
	}
	quick, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := p.Call(quick, "sleep", 60)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	readsAlone(t, client)
	equal(t, all(t, objpool.Stream[int](ctx, p.Map(), "echo", []int{1, 2, 3})), []int{1, 2, 3})
	readsAlone(t, client)
	equal(t, must[int](t)(objpool.Begin[int](ctx, p, "add", 1, 2).Wait()), 3)
	blob := make([]byte, 1<<20)
	equal(t, len(must[[]byte](t)(objpool.Call[[]byte](ctx, p, "echo", blob))), len(blob))
}

// The connection is lost, or closed, while a caller reads it.
func TestCallerThatReadsIsCutOff(t *testing.T) {
	for _, cut := range []string{"kill", "close", "later"} {
		s, client := alone(t)
		p, ended := client.Pool("p"), make(chan error, 1)
		watcher := s.client(objpool.Config{}).Pool("p")
		if cut != "later" {
			go func() {
				_, err := p.Call(context.Background(), "sleep", 60)
				ended <- err
			}()
			waitUntil(t, func() bool { return running(t, watcher) == 1 })
		}
		if cut == "close" {
			equal(t, client.Close(), nil)
		} else {
			s.kill()
		}
		if cut != "later" {
			equal(t, asError(t, <-ended).Code, objpool.ConnectionLost)
		}
		waitUntil(t, func() bool { return client.Session() == 0 })
	}
}

// Calls of all kinds at once, while who reads changes all the time.
func TestTurns(t *testing.T) {
	_, client := alone(t)
	p, ctx := client.Pool("p"), soon(t)
	var running sync.WaitGroup
	failures := make(chan error, 8)
	for g := 0; g < cap(failures); g++ {
		running.Add(1)
		go func(g int) {
			defer running.Done()
			for i := 0; i < 150; i++ {
				if err := oneOfMany(ctx, p, g, i); err != nil {
					failures <- err
					return
				}
			}
		}(g)
	}
	running.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	readsAlone(t, client)
}

func oneOfMany(ctx context.Context, p objpool.Target, g, i int) error {
	var got int
	var err error
	switch (g + i) % 5 {
	case 0:
		got, err = objpool.Begin[int](ctx, p, "add", i, g).Wait()
	case 1:
		results := objpool.Stream[int](ctx, p.Slot(0), "add", i, g)
		defer results.Close()
		if results.Next() {
			got, err = results.Value()
		} else {
			err = results.Err()
		}
	case 2:
		short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Microsecond)
		defer cancel()
		if got, err = objpool.Call[int](short, p, "add", i, g); errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
	case 3:
		got, err = objpool.Call[int](ctx, p.With(objpool.Options{Direct: true}), "add", i, g)
	default:
		got, err = objpool.Call[int](ctx, p, "add", i, g)
	}
	if err == nil && got != i+g {
		err = fmt.Errorf("%d, and not %d", got, i+g)
	}
	return err
}
