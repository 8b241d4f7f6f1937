// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"time"
)

// A LogLine is a line that a worker, or a template, has printed.
type LogLine struct {
	Number int64   `msgpack:"number"`
	At     float64 `msgpack:"at_s"`   // seconds since 1970
	Slot   *int    `msgpack:"slot"`   // nil: the template has printed it
	Stream string  `msgpack:"stream"` // stdout or stderr
	Text   string  `msgpack:"text"`
}

// Logs are the lines that a pool's workers and template have printed, as far as the daemon has kept them.
type Logs struct {
	Last   int64     `msgpack:"last"`   // the number of the newest line, for the next question
	Missed int64     `msgpack:"missed"` // lines that were not kept
	Lines  []LogLine `msgpack:"lines"`
}

// Logs returns the lines of a pool that have a greater number than after.
func (c *Client) Logs(ctx context.Context, pool string, after int64) (Logs, error) {
	return Daemon[Logs](ctx, c, "logs", pool, after)
}

// Changes are names of pools, and what a reload has made of them.
type Changes struct {
	Started   []string          `msgpack:"started"`
	Stopped   []string          `msgpack:"stopped"`
	Resized   []string          `msgpack:"resized"`
	Restarted []string          `msgpack:"restarted"`
	Unchanged []string          `msgpack:"unchanged"`
	Failed    map[string]string `msgpack:"failed"` // which could not be built, why, and what serves now
	Scaled    map[string]string `msgpack:"scaled"` // which keep a size that Scale has set
}

// Reload has the daemon read its configuration again, and returns when the new instances have been built.
func (c *Client) Reload(ctx context.Context) (Changes, error) {
	return Daemon[Changes](ctx, c, "reload")
}

// ReloadCode has a pool's changed code loaded by a new process, and its instances replaced one after the other.
func (c *Client) ReloadCode(ctx context.Context, pool string) (Changes, error) {
	return Daemon[Changes](ctx, c, "reload_code", pool)
}

// EventOptions say which events are wanted.
type EventOptions struct {
	Pool  string    // only what is about this pool
	Kinds []string  // such as slot.died, or slot for all of its kinds. Nil: all but comings and goings of clients and leases
	Since time.Time // only events of then or later
	After int64     // only events with a greater number
	Last  int       // begin with so many of the events that there are. 0: with all; below 0: only with what comes
	Once  bool      // end with the last event that there is
}

// An Event has happened in the daemon. docs/OPERATIONS.md lists the kinds.
type Event struct {
	Time       string  `msgpack:"time"` // in UTC, as 2026-11-29T16:38:38.285Z
	At         float64 `msgpack:"at_s"` // the same in seconds since 1970
	Number     int64   `msgpack:"number"`
	Kind       string  `msgpack:"kind"`
	Text       string  `msgpack:"text"`
	Pool       string  `msgpack:"pool"`
	Host       string  `msgpack:"host"` // another machine of the cluster
	Slot       *int    `msgpack:"slot"`
	Generation int     `msgpack:"generation"`
	PID        int     `msgpack:"pid"`
	Session    int64   `msgpack:"session"`
	Signal     int     `msgpack:"signal"`      // how the process ended
	ExitStatus *int    `msgpack:"exit_status"` // likewise
	LastWords  string  `msgpack:"last_words"`  // the last line that the process has printed on standard error
	Lost       int64   `msgpack:"lost"`        // of the kind events.lost: events that this reader was too slow for
}

func (o *EventOptions) wire() map[string]any {
	wire := map[string]any{"follow": !o.Once}
	if o.Pool != "" {
		wire["pool"] = o.Pool
	}
	if o.Kinds != nil {
		wire["kinds"] = o.Kinds
	}
	if !o.Since.IsZero() {
		wire["since"] = float64(o.Since.UnixMilli()) / 1000
	}
	if o.After != 0 {
		wire["after"] = o.After
	}
	switch {
	case o.Last > 0:
		wire["last"] = o.Last
	case o.Last < 0:
		wire["last"] = 0
	}
	return wire
}

// Events are what has happened in the daemon, as far as it is kept, and what happens, one by one. They end when the daemon stops.
//
//	for event, err := range client.Events(ctx, objpool.EventOptions{Kinds: []string{"slot.died"}, Last: -1}).All() { ... }
func (c *Client) Events(ctx context.Context, options EventOptions) *Results[Event] {
	return Stream[Event](ctx, c.Pool(daemonTarget), "events", options.wire())
}
