// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	objpool "objpool.dev/go"
)

func callEcho(echo objpool.Target, i int) error {
	_, err := objpool.Call[int](ctx, echo, "echo", i)
	return err
}

func repeat(n int, do func(i int) error) (int, error) {
	for i := 0; i < n; i++ {
		if err := do(i); err != nil {
			return i, err
		}
	}
	return n, nil
}

// train keeps `depth` calls under way.
func train(echo objpool.Target, n int) (int, error) {
	var under [depth]*objpool.Future[int]
	for i := 0; i < n+depth; i++ {
		place := &under[i%depth]
		if *place != nil {
			if _, err := (*place).Wait(); err != nil {
				return i, err
			}
		}
		if i < n {
			*place = objpool.Begin[int](ctx, echo, "echo", i)
		}
	}
	return n, nil
}

func redisTrain(store *redis.Client, n int) (int, error) {
	for i := 0; i < n; i += depth {
		pipe := store.Pipeline()
		for j := 0; j < depth; j++ {
			pipe.Get(ctx, "key")
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return i, err
		}
	}
	return n, nil
}

// crowd has as many goroutines make calls.
func crowd(n int, do func(i int) error) (int, error) {
	var all sync.WaitGroup
	var next, failed atomic.Int64
	for g := 0; g < depth; g++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if do(int(i)) != nil {
					failed.Add(1)
				}
			}
		}()
	}
	all.Wait()
	if failed.Load() > 0 {
		return n, errors.New("calls have failed")
	}
	return n, nil
}

func redisCrowd(s *servers, n int) (int, error) {
	store := redis.NewClient(&redis.Options{Network: "unix", Addr: s.folder + "/redis", PoolSize: 10})
	defer func() { _ = store.Close() }()
	return crowd(n, func(int) error { return store.Get(ctx, "key").Err() })
}

func stream(echo objpool.Target, n int) (int, error) {
	i := 0
	results := objpool.Stream[int](ctx, echo.Map(), "echo", objpool.FromSeq(func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}))
	defer results.Close()
	for results.Next() {
		value, err := results.Value()
		if err != nil || value != i {
			return i, errors.New("a wrong result")
		}
		i++
	}
	return i, results.Err()
}

// natsStream sends items to a process that answers each by another message; at most so many are under way.
func natsStream(broker *nats.Conn, n, most int) (int, error) {
	room, taken := make(chan struct{}, most), make(chan struct{})
	got := 0
	results, err := broker.Subscribe("results", func(*nats.Msg) {
		<-room
		if got++; got == n {
			close(taken)
		}
	})
	if err != nil {
		return 0, err
	}
	if err := results.SetPendingLimits(-1, -1); err != nil {
		return 0, err
	}
	for i := 0; i < n; i++ {
		room <- struct{}{}
		if err := broker.Publish("items", []byte("1")); err != nil {
			return i, err
		}
	}
	<-taken
	return n, results.Unsubscribe()
}

// respond answers what the ways above ask of NATS.
func respond(server string) {
	broker, err := nats.Connect(server)
	if err != nil {
		log.Fatal(err)
	}
	for subject, answer := range map[string]func(*nats.Msg){
		"echo":  func(m *nats.Msg) { _ = m.Respond(m.Data) },
		"items": func(m *nats.Msg) { _ = broker.Publish("results", m.Data) },
	} {
		subscription, err := broker.Subscribe(subject, answer)
		if err == nil {
			err = subscription.SetPendingLimits(-1, -1)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	select {}
}
