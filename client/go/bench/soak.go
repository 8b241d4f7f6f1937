// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	objpool "objpool.dev/go"
)

const mostGrowth = 32 << 20

// soak has so many items go each way. False: the memory has grown.
func soak(client *objpool.Client, n int) bool {
	echo, probe := client.Pool("echo"), client.Pool("probe")
	flat := true
	for _, part := range []struct {
		name string
		do   func(n int) (int, error)
	}{
		{"a map with a lazy input", func(n int) (int, error) { return stream(echo, n) }},
		{"a method that yields, beside other calls", func(n int) (int, error) { return yields(probe, echo, n) }},
		{"single calls", func(n int) (int, error) { return train(echo, n) }},
	} {
		check(part.do(n / 20)) // what is made once
		before := memory()
		begun := time.Now()
		check(part.do(n))
		took := time.Since(begun)
		after := memory()
		fmt.Printf("%s: %d in %.1f s; %d MiB before, %d after\n", part.name, n, took.Seconds(), before>>20, after>>20)
		flat = flat && after-before < mostGrowth
	}
	return flat
}

func check(_ int, err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func yields(probe, echo objpool.Target, n int) (int, error) {
	results := objpool.Stream[int](ctx, probe, "series", n)
	defer results.Close()
	taken := 0
	for results.Next() {
		if value, err := results.Value(); err != nil || value != taken {
			return taken, errors.New("a wrong result")
		}
		if taken++; taken%1000 == 0 {
			if err := callEcho(echo, taken); err != nil {
				return taken, err
			}
		}
	}
	return taken, results.Err()
}

// memory is how much the process has, once it has given back what it does not need.
func memory() int {
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		log.Fatal(err)
	}
	return pages * os.Getpagesize()
}
