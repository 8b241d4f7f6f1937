// SPDX-License-Identifier: Apache-2.0

package objpool

import "context"

// Daemon calls one of the daemon's own methods, such as "ping" or "status" (docs/PROTOCOL.md, "The daemon's methods"). The methods of
// Client that are named after them do it with types.
func Daemon[T any](ctx context.Context, c *Client, method string, args ...any) (T, error) {
	var value T
	r := Request{Target: daemonTarget, Method: method, Args: args}
	err := c.do(ctx, &r, &value)
	return value, err
}

// Client is the client that the target belongs to.
func (t Target) Client() *Client { return t.client }

// Name is the pool's name.
func (t Target) Name() string { return t.pool }

// ---- what there is, and how it is ----

// Ping asks for nothing but an answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := Daemon[struct{}](ctx, c, "ping")
	return err
}

// A PoolInfo says of a pool what it is, and how it is.
type PoolInfo struct {
	Name    string `msgpack:"name"`
	Plugin  string `msgpack:"plugin"`
	Class   string `msgpack:"class"`
	Workers int    `msgpack:"workers"`
	Ready   int    `msgpack:"ready"`
	State   string `msgpack:"state"` // ready, starting, degraded, unavailable, asleep or paused
	Queue   int    `msgpack:"queue"`
	Paused  bool   `msgpack:"paused"`
	Error   string `msgpack:"error"` // "" when all is well
}

// Pools lists the pools.
func (c *Client) Pools(ctx context.Context) ([]PoolInfo, error) {
	return Daemon[[]PoolInfo](ctx, c, "pools")
}

// A Description says what the class of a pool offers.
type Description struct {
	Pool       string              `msgpack:"pool"`
	Plugin     string              `msgpack:"plugin"`
	Version    string              `msgpack:"version"`
	Class      string              `msgpack:"class"`
	Doc        string              `msgpack:"doc"`
	Signature  string              `msgpack:"signature"`
	Open       bool                `msgpack:"open"`        // it takes methods beyond those listed
	SessionEnd bool                `msgpack:"session_end"` // it is told when a client that has called it goes
	Leased     bool                `msgpack:"leased"`      // it is told of leases
	Snapshot   bool                `msgpack:"snapshot"`    // its instances can hand their state to a successor
	Methods    []MethodDescription `msgpack:"methods"`
}

// A MethodDescription is one method of a class.
type MethodDescription struct {
	Name      string `msgpack:"name"`
	Signature string `msgpack:"signature"`
	Doc       string `msgpack:"doc"`
}

// Describe says what the class of a pool offers.
func (c *Client) Describe(ctx context.Context, pool string) (Description, error) {
	return Daemon[Description](ctx, c, "describe", pool)
}

// A Status says how the daemon is. docs/PROTOCOL.md describes each field, and has some that are not here: Daemon[any] gives them.
type Status struct {
	Server   string       `msgpack:"server"`
	Version  string       `msgpack:"version"`
	PID      int          `msgpack:"pid"`
	Uptime   float64      `msgpack:"uptime_s"`
	Sessions int          `msgpack:"sessions"`
	State    string       `msgpack:"state"`
	Listen   []string     `msgpack:"listen"`
	Pools    []PoolStatus `msgpack:"pools"`
}

// A PoolStatus says how a pool is.
type PoolStatus struct {
	PoolInfo
	WorkersMin    int                     `msgpack:"workers_min"`
	WorkersMax    int                     `msgpack:"workers_max"`
	LeasesWaiting int                     `msgpack:"leases_waiting"`
	Running       int                     `msgpack:"running"`
	Calls         int64                   `msgpack:"calls"`
	Failures      int64                   `msgpack:"failures"`
	Lost          int64                   `msgpack:"lost"`
	Rejected      int64                   `msgpack:"rejected"`
	Restarts      int64                   `msgpack:"restarts"`
	Latency       Latency                 `msgpack:"latency"`
	Methods       map[string]MethodStatus `msgpack:"methods"`
	Slots         []SlotStatus            `msgpack:"slots"`
}

// A Latency says how long calls took, in seconds.
type Latency struct {
	P50 float64 `msgpack:"p50_s"`
	P99 float64 `msgpack:"p99_s"`
	Max float64 `msgpack:"max_s"`
}

// A MethodStatus says how often a method was called, and how long that took.
type MethodStatus struct {
	Calls    int64 `msgpack:"calls"`
	Failures int64 `msgpack:"failures"`
	Latency
}

// A SlotStatus says how an instance is.
type SlotStatus struct {
	Slot        int     `msgpack:"slot"`
	State       string  `msgpack:"state"`
	Generation  int     `msgpack:"generation"`
	PID         int     `msgpack:"pid"`
	Calls       int64   `msgpack:"calls"`
	Failures    int64   `msgpack:"failures"`
	Lost        int64   `msgpack:"lost"`
	Restarts    int64   `msgpack:"restarts"`
	Queue       int     `msgpack:"queue"`
	Deferred    int     `msgpack:"deferred"`
	Direct      int     `msgpack:"direct"`
	Leased      int64   `msgpack:"leased"`  // the session that has it for itself. 0: none
	Running     string  `msgpack:"running"` // the method that runs. "": none
	RunningFor  float64 `msgpack:"running_s"`
	RSS         int64   `msgpack:"rss"`
	CPU         float64 `msgpack:"cpu_s"`
	LastFailure string  `msgpack:"last_failure"`
}

// Status says how the daemon and its pools are, or one pool. "" stands for all.
func (c *Client) Status(ctx context.Context, pool string) (Status, error) {
	if pool == "" {
		return Daemon[Status](ctx, c, "status")
	}
	return Daemon[Status](ctx, c, "status", pool)
}

// Metrics returns the daemon's metrics as OpenMetrics text.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	return Daemon[string](ctx, c, "metrics")
}

// ---- who the client is ----

// An Identity says who the client is to the daemon.
type Identity struct {
	User   string              `msgpack:"user"` // "": nobody's
	By     string              `msgpack:"by"`   // root, cert, token, uid, gid, anyone or none
	Roles  []string            `msgpack:"roles"`
	Rights map[string][]string `msgpack:"rights"`
	Limits map[string]float64  `msgpack:"limits"`
}

// WhoAmI says who the client is.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	return Daemon[Identity](ctx, c, "whoami")
}

// ---- pools, and their sizes ----

// Create makes a pool, and returns when every constructor has run. The keys are those of a [pool] section of objpoold.conf(5), as
// "plugin", "class", "workers", "args" and "kwargs", and "owner": the pool goes with this client's connection ("session", the
// default), or stays ("daemon").
func (c *Client) Create(ctx context.Context, pool string, keys map[string]any) (Target, error) {
	all := map[string]any{"pool": pool}
	for key, value := range keys {
		all[key] = value
	}
	_, err := Daemon[struct{}](ctx, c, "create", all)
	return c.Pool(pool), err
}

// Drop removes a pool, and returns when all of it has gone. Its calls fail with Cancelled.
func (c *Client) Drop(ctx context.Context, pool string) error {
	_, err := Daemon[struct{}](ctx, c, "drop", pool)
	return err
}

// Scale sets how many instances a pool has, and returns when every constructor has run.
func (c *Client) Scale(ctx context.Context, pool string, workers int) error {
	_, err := Daemon[struct{}](ctx, c, "scale", pool, workers)
	return err
}

// Restart gives all slots of a pool new instances, one after the other, or the slots that are named. It returns how many that were.
func (c *Client) Restart(ctx context.Context, pool string, slots ...int) (int, error) {
	if len(slots) == 0 {
		return c.restart(ctx, pool)
	}
	total := 0
	for _, slot := range slots {
		n, err := c.restart(ctx, pool, slot)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (c *Client) restart(ctx context.Context, args ...any) (int, error) {
	answer, err := Daemon[struct {
		Restarted int `msgpack:"restarted"`
	}](ctx, c, "restart", args...)
	return answer.Restarted, err
}

// Pause has a pool's instances get nothing more, and returns when nothing runs in them.
func (c *Client) Pause(ctx context.Context, pool string) error {
	_, err := Daemon[struct{}](ctx, c, "pause", pool)
	return err
}

// Resume has a pool's calls go on. False: it was not paused.
func (c *Client) Resume(ctx context.Context, pool string) (bool, error) {
	return Daemon[bool](ctx, c, "resume", pool)
}

// Forget forgets the sticky calls of a method of a pool (of all methods: ""), and says how many.
func (c *Client) Forget(ctx context.Context, pool, method string) (int, error) {
	if method == "" {
		return Daemon[int](ctx, c, "forget", pool)
	}
	return Daemon[int](ctx, c, "forget", pool, method)
}
