// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"strings"
	"testing"

	objpool "objpool.dev/go"
)

func TestDaemonMethods(t *testing.T) {
	p, ctx := pool(t), soon(t)
	client := p.Client()
	pools := must[[]objpool.PoolInfo](t)(client.Pools(ctx))
	equal(t, []any{pools[0].Name, pools[0].Workers, pools[0].State}, []any{"p", 2, "ready"})
	class := must[objpool.Description](t)(client.Describe(ctx, "p"))
	equal(t, []any{class.Class, class.Methods[0].Name}, []any{"Probe", "echo"})
	equal(t, client.Scale(ctx, "p", 3), nil)
	must[[]int](t)(objpool.Call[[]int](ctx, p.All(), "add", 1, 2))
	status := must[objpool.Status](t)(client.Status(ctx, "p"))
	equal(t, []any{len(status.Pools[0].Slots), status.Pools[0].Methods["add"].Calls > 0}, []any{3, true})
	equal(t, must[int](t)(client.Restart(ctx, "p", 0, 2)), 2)
	equal(t, must[int](t)(client.Restart(ctx, "p")), 3)
	equal(t, client.Pause(ctx, "p"), nil)
	equal(t, must[bool](t)(client.Resume(ctx, "p")), true)
	if metrics := must[string](t)(client.Metrics(ctx)); !strings.Contains(metrics, "objpool_") {
		t.Fatal(metrics)
	}
	equal(t, must[objpool.Identity](t)(client.WhoAmI(ctx)).By != "", true)
	equal(t, must[string](t)(objpool.Daemon[string](ctx, client, "log_level")), "info")

	made := must[objpool.Target](t)(client.Create(ctx, "made", map[string]any{"plugin": "probe", "class": "Probe", "workers": 1,
		"kwargs": map[string]any{"tag": "mine"}}))
	equal(t, must[string](t)(objpool.Call[string](ctx, made, "tag")), "mine")
	must[[]any](t)(objpool.Call[[]any](ctx, made.All().With(objpool.Options{Sticky: "append"}), "set", 1))
	equal(t, must[int](t)(client.Forget(ctx, "made", "")), 1)
	equal(t, client.Drop(ctx, "made"), nil)
	_, err := made.Call(ctx, "tag")
	equal(t, asError(t, err).Code, objpool.NoSuchPool)
	_, err = client.Create(ctx, "bad", map[string]any{"plugin": "probe", "class": "Probe", "kwargs": map[string]any{"fail": "no luck"}})
	if err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Fatal(err)
	}
}
