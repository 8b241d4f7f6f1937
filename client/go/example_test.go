// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// TestMain starts the daemon of the examples: a pool `dice` of two Samplers, at $OBJPOOL_ADDRESS.
func TestMain(m *testing.M) {
	s := &exampleServer{}
	s.start()
	code := m.Run()
	s.stop()
	os.Exit(code)
}

func ExampleConnect() {
	ctx := context.Background()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sum, err := objpool.Call[float64](ctx, client.Pool("dice").Slot(0), "add_and_get_property", 2)
	fmt.Println(sum, err)
	// Output: 2 <nil>
}

func ExampleConfig_Connect() {
	config := objpool.Config{Address: "tls:sim.example.org:7118", TLSCA: "ca.pem", TokenFile: "ci.token"}
	client, err := config.Connect(context.Background())
	if err != nil {
		fmt.Println(errors.Is(err, objpool.BadArgument)) // there are no such files here
		return
	}
	defer client.Close()
	// Output: true
}

func ExampleCall() {
	ctx := context.Background()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	dice := client.Pool("dice").All()
	if _, err := objpool.Call[[]any](ctx, dice, "set_property", 40); err != nil {
		log.Fatal(err)
	}
	values, err := objpool.Call[[]int](ctx, dice, "get_property")
	fmt.Println(values, err)
	// Output: [40 40] <nil>
}

func ExampleError() {
	ctx := context.Background()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.Pool("dice").Call(ctx, "roll")
	var e *objpool.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code, e.Ran, errors.Is(err, objpool.NoSuchMethod))
	}
	// Output: NO_SUCH_METHOD no true
}

func ExampleBegin() {
	ctx := context.Background()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var futures []*objpool.Future[[]float64]
	for i := 0; i < 3; i++ {
		futures = append(futures, objpool.Begin[[]float64](ctx, client.Pool("dice"), "get_normal_sample", 100))
	}
	for _, future := range futures {
		sample, err := future.Wait()
		fmt.Println(len(sample), err)
	}
	// Output:
	// 100 <nil>
	// 100 <nil>
	// 100 <nil>
}

func ExampleStream() {
	ctx := context.Background()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sizes := make(chan int)
	go func() {
		defer close(sizes)
		for n := 1; n <= 3; n++ {
			sizes <- n
		}
	}()
	results := objpool.Stream[[]float64](ctx, client.Pool("dice").Map(), "get_normal_sample", sizes)
	defer results.Close()
	for results.Next() {
		sample, err := results.Value()
		fmt.Println(len(sample), err)
	}
	fmt.Println(results.Err())
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// <nil>
}

func ExampleTarget_Lease() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Pool("dice").Lease(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Close()
	if _, err := lease.Call(ctx, "set_property", 7); err != nil {
		log.Fatal(err)
	}
	value, err := objpool.Call[int](ctx, lease, "get_property")
	fmt.Println(value, err)
	// Output: 7 <nil>
}
