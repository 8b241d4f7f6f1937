// SPDX-License-Identifier: Apache-2.0

//go:build go1.23

package objpool_test

import (
	"testing"

	objpool "objpool.dev/go"
)

func TestIterators(t *testing.T) {
	p, ctx := pool(t), soon(t)
	numbers := func(yield func(int) bool) {
		for i := 0; yield(i); i++ { // endless
		}
	}
	sum := 0
	for value, err := range objpool.Stream[int](ctx, p.Map(), "echo", objpool.FromSeq(numbers)).All() {
		if err != nil {
			t.Fatal(err)
		}
		if sum += value; value == 100 {
			break
		}
	}
	equal(t, sum, 5050)
	waitUntil(t, func() bool { return running(t, p) == 0 })

	failures := 0
	for _, err := range objpool.Stream[int](ctx, p.Map(), "echo", []any{1, "x"}).All() {
		if err != nil {
			failures++
		}
	}
	equal(t, failures, 1)
	failures = 0
	for _, err := range objpool.Stream[int](ctx, p, "series", 3, nil, true).All() { // it yields three, and fails
		if err != nil {
			failures++
		}
	}
	equal(t, failures, 1)
	for _, err := range objpool.Stream[int](ctx, p.Client().Pool("none").Map(), "echo", []int{1}).All() {
		equal(t, asError(t, err).Code, objpool.NoSuchPool)
	}
}
