/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables: what the plugin exports. Class Probe is for tests and for operators who want to see what a pool does when a method is
 * slow, fails, crashes or lies; class Echo (echo.c) is an example; class Types (types.c) has all types.
 *
 * A pool of Probes lets every caller kill its workers, fill memory and burn CPU. Don't leave one in production.
 *
 * create.c has the constructor, clients.c the methods about leases and sessions; answer.c, wait.c, keep.c, fail.c and harm.c have
 * the other methods; each.c makes some of them take runs of items.
 */
#include "plugins/probe/echo.h"
#include "plugins/probe/probe.h"
#include "plugins/probe/types.h"

/* A method without keyword arguments, and one with. `max`: how many positional arguments it takes at most. */
#define PLAIN(method, function, text, ...) \
	{.name = method, .signature = text, .call = function, .doc = __VA_ARGS__}
#define NAMED(method, function, max, text, ...) \
	{.name = method, .signature = text, .call = function, .max_args = max, .flags = OBJPOOL_METHOD_KWARGS, \
	 .doc = __VA_ARGS__}

/* Behind the text of either: the method takes runs of items, too. */
#define EACH(name) .many = probe_each_##name

static const struct objpool_method probe_methods[] = {
	NAMED("echo", probe_echo, -1, "(*args: any, **kwargs: any) -> any",
	      "Its one argument; several, or none: an array of them; with keywords: {args, kwargs}.", EACH(echo)),
	NAMED("relay", probe_relay, -1, "(target: str, *args: any) -> any",
	      "Calls target (\"pool:2.method\") through the host, and answers what it answers.", EACH(relay)),
	NAMED("kwargs", probe_kwargs, 0, "(**kwargs: any) -> dict[str, any]", "Its keyword arguments."),
	NAMED("add", probe_add, 2, "(a: int | float, b: int | float) -> int | float", "The sum: of integers an integer while it fits.",
	      EACH(add)),
	NAMED("blob", probe_blob, 1, "(n: int) -> bytes", "n bytes, counting up from 0 and over."),
	NAMED("sum", probe_sum, 1, "(bytes: bytes) -> int", "The sum of the bytes."),
	PLAIN("pid", probe_pid, "() -> int", "The worker's process."),
	PLAIN("pool", probe_pool, "() -> str", "The pool's name."),
	PLAIN("slot", probe_slot, "() -> int", "The instance's slot."),
	PLAIN("generation", probe_generation, "() -> int", "How often the slot has been built."),
	PLAIN("session", probe_session, "() -> int", "The session that calls."),
	PLAIN("index", probe_index, "() -> int", "The item's number in a map or scatter.", EACH(index)),
	PLAIN("traceparent", probe_traceparent, "() -> str | None", "The trace that its call belongs to.", EACH(traceparent)),
	PLAIN("deadline", probe_deadline, "() -> float | None", "Seconds until the caller stops waiting."),
	PLAIN("calls", probe_calls, "() -> int", "How many methods of this instance were called, this one included."),
	PLAIN("tag", probe_tag, "() -> any", "What the constructor was given as tag."),
	PLAIN("preloaded", probe_preloaded, "() -> int", "How many bytes the template has preloaded, and are intact."),
	NAMED("print", probe_print, 2, "(text: str, stream: str = \"stdout\") -> None",
	      "Prints a line to stdout or stderr: it goes to the log."),
	NAMED("sleep", probe_sleep, 1, "(seconds: float) -> float", "Waits; fails within 5 ms when the call is cancelled.",
	      EACH(sleep)),
	NAMED("sleep_hard", probe_sleep_hard, 1, "(seconds: float) -> float", "Waits, cancelled or not."),
	NAMED("spin", probe_spin, 1, "(seconds: float) -> float", "Burns CPU, cancelled or not."),
	NAMED("progress", probe_progress, 3, "(n: int, seconds: float = 0, text: str | None = None) -> int",
	      "Tells of n steps, which take so many seconds together; fails within 5 ms when the call is cancelled."),
	NAMED("series", probe_series, 4,
	      "(n: int = ..., value: any = None, fail: bool = False, asks: str | None = None) -> Iterator[any]",
	      "Yields 0 .. n - 1, or n times the value, and calls that method after each; then fails, or doesn't."),
	NAMED("hold", probe_hold, 1, "(bytes: bytes) -> bool", "Keeps bytes where they lie; false: in a copy."),
	NAMED("hold_changed", probe_hold_changed, 1, "(bytes: bytes) -> bool",
	      "Keeps a private view of bytes, in which it inverts the first; false: there is none."),
	PLAIN("held", probe_held, "() -> bytes | None", "What was last held."),
	NAMED("set", probe_set, 1, "(value: any) -> None", "Keeps any value."),
	PLAIN("get", probe_get, "() -> any", "What was last set."),
	PLAIN("count", probe_count, "() -> int", "Counts its calls."),
	NAMED("append", probe_append, 1, "(value: any) -> int", "Appends to a list, and says how long that is."),
	PLAIN("list", probe_list, "() -> list[any]", "What was appended."),
	NAMED("allocate", probe_allocate, 1, "(bytes: int) -> int", "Takes memory and keeps it."),
	PLAIN("free", probe_release, "() -> int", "Frees what was allocated, and says how many bytes that was."),
	PLAIN("leases", probe_leases, "() -> Leases",
	      "{leased, released, session}: how often it was, and the session that the last of them was for."),
	PLAIN("ended", probe_ended, "() -> list[int]", "The sessions that it was told have ended."),
	NAMED("fail", probe_fail, 4,
	      "(message: str | None = \"failed\", type: str | None = \"ProbeError\", traceback: str | None = None, "
	      "data: bytes | None = None) -> None",
	      "Fails.", EACH(fail)),
	NAMED("garbage", probe_garbage, 1, "(kind: str = \"two\") -> any",
	      "Writes what is not one value: two, half, text (cut short), invalid, or deep (33 levels)."),
	NAMED("crash", probe_crash, 1, "(signal: int = 11) -> None", "Dies of a signal.", EACH(crash)),
	NAMED("exit", probe_exit, 1, "(status: int = 0) -> None", "Calls exit()."),
	PLAIN("abort", probe_abort, "() -> None", "Calls abort()."),
	PLAIN("close_fds", probe_close_fds, "() -> None", "Closes every descriptor from 3 on: the worker's channel with them."),
	PLAIN("close_std", probe_close_std, "() -> None", "Closes descriptors 0, 1 and 2."),
	{.name = NULL},
};

static const char *const probe_records[] = {"Leases(leased: int, released: int, session: int)", NULL};

static const struct objpool_class probe_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Probe",
	.doc = "Does what it is told, bad things too: for tests, not for production.",
	.signature = "(*, fail: str | None = None, fail_slots: list[int] | None = None, fail_times_file: str | None = None, "
		     "sleep: float = 0, crash: bool | int = False, exit: int | None = None, preload_bytes: int = 0, "
		     "preload_fail: str | None = None, tag: any = None, snapshot_fail: bool = False, snapshot_sleep: float = 0, "
		     "lease_fail: str | None = None, destroy_file: str | None = None)",
	.preload = probe_preload,
	.create = probe_create,
	.check = probe_check,
	.destroy = probe_destroy,
	.methods = probe_methods,
	.types = probe_records,
	.session_end = probe_session_end,
	.snapshot = probe_snapshot,
	.restore = probe_restore,
	.leased = probe_leased,
	.released = probe_released,
};

static const struct objpool_class *const classes[] = {&probe_class, &echo_class, &types_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "probe",
	.version = "1.0",
	.classes = classes,
};
