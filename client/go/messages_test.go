// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A conn that is given bytes, and writes nowhere: a call, a stream and a call with progress are under way.
func deaf() *conn {
	c := newConn(plainTransport{nowhere{}}, "nowhere", usualHabit)
	flow := newFlow(c, 0)
	flow.p = &pending{stream: flow}
	c.pending.add(newPending())
	c.pending.add(newPending())
	c.pending.add(flow.p)
	c.pending.find(2).progress = newProgressQueue(func(Progress) {})
	c.calls = 2
	return c
}

type nowhere struct{ net.Conn }

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

func (nowhere) Close() error { return nil }

// take gives a connection bytes, in pieces of that size.
func take(c *conn, data []byte, piece int) error {
	r := reader{buf: make([]byte, 64)}
	r.scan.begin(0)
	for len(data) > 0 {
		n := copy(r.room(), data[:atMost(piece, len(data))])
		r.end, data = r.end+n, data[n:]
		if err := c.messages(&r); err != nil {
			return err
		}
	}
	return nil
}

// Whatever comes is taken, or is an error: it harms nobody.
func FuzzMessages(f *testing.F) {
	files, err := filepath.Glob("../../tests/wire/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		for _, data := range bytesFromDaemon(f, file) {
			f.Add(data, 5)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		if piece <= 0 {
			piece = 1
		}
		c := deaf()
		call, stepped, flow := c.pending.find(1), c.pending.find(2), c.pending.find(3).stream
		err := take(c, data, piece)
		if whole := take(deaf(), data, len(data)+1); !errors.Is(err, whole) {
			t.Fatalf("in pieces: %v; at once: %v", err, whole)
		}
		c.fail(errClosedByPeer)
		call.wait()
		stepped.wait()
		if call.err == nil {
			var value any
			_ = readResult(call.result, false, &value)
			var number int
			_ = readResult(call.result, false, &number)
			var text string
			_ = readResult(call.result, false, &text)
			var record struct {
				A int8
				B []NdArray
				C map[any][2]uint8
				D *Outcome[[]string]
			}
			_ = readResult(call.result, false, &record)
			var array NdArray
			if readResult(call.result, false, &array) == nil {
				_, _ = Elements[float64](array)
			}
		}
		for {
			r, _, ok := flow.take()
			if !ok {
				return
			}
			for rest := r.values; len(rest) > 0; {
				if _, rest, ok = readRaw(rest); !ok {
					break
				}
			}
		}
	})
}

// bytesFromDaemon are the messages of the daemon in a dialogue, as they stand there.
func bytesFromDaemon(t testing.TB, file string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var dialogue struct {
		Steps []struct {
			Daemon any
			Bytes  string
		}
	}
	if err := json.Unmarshal(text, &dialogue); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, step := range dialogue.Steps {
		if data, err := hex.DecodeString(strings.ReplaceAll(step.Bytes, " ", "")); err == nil && step.Daemon != nil && len(data) > 0 {
			all = append(all, data)
		}
	}
	return all
}
