// SPDX-License-Identifier: Apache-2.0

// Bench measures small calls and a stream through this library, beside those of redis and NATS, in one run. Rounds of all take
// turns; of each the best counts. With -soak it has ten million items go each way instead, and fails when its memory grows.
//
//	OBJPOOL_BUILD=/path/to/build go run . [-rounds 5] [-markdown FILE] [-soak] [-items 10000000]
//
// With -markdown FILE's section "Go" is written anew.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	objpool "objpool.dev/go"
)

const (
	oneByOne  = 3000
	pipelined = 200_000
	depth     = 1000
	items     = 1_000_000
)

var ctx = context.Background()

// A way does something so many times.
type way struct {
	name string
	do   func() (int, error)
}

func main() {
	rounds := flag.Int("rounds", 5, "how many rounds")
	soaks := flag.Bool("soak", false, "have many items go each way, and look at the memory")
	markdown := flag.String("markdown", "", "write the section Go of this file")
	count := flag.Int("items", 10_000_000, "how many items of a soak")
	responds := flag.String("respond", "", "answer requests of NATS at this address")
	flag.Parse()
	if *responds != "" {
		respond(*responds)
	}
	busy := others()
	s := newServers()
	defer s.stop()
	client, err := objpool.Connect(ctx, s.objpoold())
	if err != nil {
		log.Fatal(err)
	}
	if *soaks {
		if !soak(client, *count) {
			s.stop()
			os.Exit(1)
		}
		return
	}
	lines := compareAll(s, client, *rounds)
	if *markdown != "" {
		report(*markdown, lines, *rounds, busy)
	}
}

func compareAll(s *servers, client *objpool.Client, rounds int) (lines []line) {
	store := redis.NewClient(&redis.Options{Network: "unix", Addr: s.redis(), PoolSize: 1})
	if err := store.Set(ctx, "key", "value", 0).Err(); err != nil {
		log.Fatal(err)
	}
	server := s.nats()
	s.start(os.Args[0], "-respond", server)
	broker, err := nats.Connect(server)
	if err != nil {
		log.Fatal(err)
	}
	for _, err := broker.Request("echo", []byte("1"), time.Second); err != nil; _, err = broker.Request("echo", []byte("1"), time.Second) {
	}
	echo := client.Pool("echo")
	compare := func(name string, ways []way) { lines = append(lines, compare(name, rounds, ways)) }
	compare("a call after the other", []way{
		{"objpool", func() (int, error) { return repeat(oneByOne, func(i int) error { return callEcho(echo, i) }) }},
		{"redis (go-redis), GET", func() (int, error) { return repeat(oneByOne, func(int) error { return store.Get(ctx, "key").Err() }) }},
		{"NATS, request to a process", func() (int, error) {
			return repeat(oneByOne, func(int) error { _, err := broker.Request("echo", []byte("1"), time.Minute); return err })
		}},
	})
	compare("small calls, 1,000 under way", []way{
		{"objpool, Begin and Wait", func() (int, error) { return train(echo, pipelined) }},
		{"redis (go-redis), Pipeline of GETs", func() (int, error) { return redisTrain(store, pipelined) }},
		{"NATS, messages through a process", func() (int, error) { return natsStream(broker, pipelined, depth) }},
	})
	compare("small calls of 1,000 goroutines", []way{
		{"objpool", func() (int, error) { return crowd(pipelined, func(i int) error { return callEcho(echo, i) }) }},
		{"redis (go-redis), GET, 10 connections", func() (int, error) { return redisCrowd(s, pipelined) }},
		{"NATS, request to a process", func() (int, error) {
			return crowd(pipelined, func(int) error { _, err := broker.Request("echo", []byte("1"), time.Minute); return err })
		}},
	})
	compare("a stream of 1,000,000 items and their results", []way{
		{"objpool", func() (int, error) { return stream(echo, items) }},
		{"redis (go-redis), Pipeline of GETs", func() (int, error) { return redisTrain(store, items) }},
		{"NATS, messages through a process", func() (int, error) { return natsStream(broker, items, 20_000) }},
	})
	return lines
}

func compare(name string, rounds int, ways []way) line {
	best := make([]cost, len(ways))
	for i := range best {
		best[i] = cost{math.Inf(1), math.Inf(1)}
	}
	for round := 0; round < rounds; round++ {
		for i, each := range ways {
			got := measure(each)
			best[i] = cost{math.Min(best[i].time, got.time), math.Min(best[i].cpu, got.cpu)}
		}
	}
	fmt.Printf("\n%-50s time      CPU here\n", name)
	for i, each := range ways {
		fmt.Printf("  %-40s %8.2f µs %8.2f µs\n", each.name, best[i].time, best[i].cpu)
	}
	return line{name, best}
}

// A cost is microseconds for each of what was done, of time and of this process's CPU.
type cost struct{ time, cpu float64 }

func measure(w way) cost {
	begun, cpu := time.Now(), used()
	n, err := w.do()
	if err != nil {
		log.Fatal(w.name, ": ", err)
	}
	return cost{float64(time.Since(begun)) / 1000 / float64(n), float64(used()-cpu) / 1000 / float64(n)}
}

func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
