// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// taken are all results of a stream that ends.
func taken[T any](t *testing.T, results *objpool.Results[T]) (all []T) {
	t.Helper()
	for results.Next() {
		value, err := results.Value()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, value)
	}
	if err := results.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEvents(t *testing.T) {
	p, ctx := pool(t), soon(t)
	client := p.Client()
	kept := taken(t, client.Events(ctx, objpool.EventOptions{Once: true}))
	for i, event := range kept {
		equal(t, event.Number, int64(i+1))
	}
	last := kept[len(kept)-1]
	equal(t, []any{last.Kind, last.Pool, last.Slot == nil, last.PID > 0}, []any{"daemon.started", "", true, true})
	ready := taken(t, client.Events(ctx, objpool.EventOptions{Pool: "p", Kinds: []string{"slot.ready"}, Last: 1, Once: true}))
	equal(t, []any{len(ready), ready[0].Pool, *ready[0].Slot, ready[0].Generation}, []any{1, "p", 1, 1})
	equal(t, len(taken(t, client.Events(ctx, objpool.EventOptions{Since: time.Now().Add(time.Hour), Once: true}))), 0)
	equal(t, len(taken(t, client.Events(ctx, objpool.EventOptions{Since: time.Now().Add(-time.Hour), Once: true}))), len(kept))
	equal(t, len(taken(t, client.Events(ctx, objpool.EventOptions{After: last.Number - 1, Once: true}))), 1)

	results := client.Events(ctx, objpool.EventOptions{Kinds: []string{"slot.died"}, After: last.Number})
	defer results.Close()
	_, err := p.Slot(1).Call(ctx, "crash", 9)
	equal(t, asError(t, err).Code, objpool.WorkerLost)
	if !results.Next() {
		t.Fatal(results.Err())
	}
	died := must[objpool.Event](t)(results.Value())
	equal(t, []any{*died.Slot, died.Signal, died.ExitStatus == nil}, []any{1, 9, true})

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	none := client.Events(short, objpool.EventOptions{Kinds: []string{"config"}, Last: -1})
	if none.Next() || !errors.Is(none.Err(), context.DeadlineExceeded) {
		t.Fatal(none.Err())
	}
	wrong := client.Events(ctx, objpool.EventOptions{Kinds: []string{"slo"}})
	equal(t, wrong.Next(), false)
	equal(t, asError(t, wrong.Err()).Code, objpool.BadArgument)
}

func TestLogsAndChangedCode(t *testing.T) {
	p, ctx := pool(t), soon(t)
	client := p.Client()
	must[any](t)(p.Slot(1).Call(ctx, "print", "one\ntwo"))
	logs := must[objpool.Logs](t)(client.Logs(ctx, "p", 0))
	for logs.Last < 2 {
		logs = must[objpool.Logs](t)(client.Logs(ctx, "p", 0))
	}
	equal(t, []any{logs.Lines[1].Text, *logs.Lines[1].Slot, logs.Lines[1].Stream, logs.Missed}, []any{"two", 1, "stdout", int64(0)})
	equal(t, len(must[objpool.Logs](t)(client.Logs(ctx, "p", 1)).Lines), 1)
	equal(t, must[objpool.Changes](t)(client.ReloadCode(ctx, "p")).Restarted, []string{"p"})
	equal(t, must[objpool.Changes](t)(client.Reload(ctx)).Unchanged, []string{"p"})
	_, err := client.ReloadCode(ctx, "none")
	equal(t, asError(t, err).Code, objpool.NoSuchPool)
}
