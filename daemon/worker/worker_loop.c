/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/worker_loop.h"

#include "daemon/worker/worker_call.h"
#include "daemon/worker/crash.h"
#include "daemon/worker/direct.h"
#include "daemon/worker/items.h"
#include "daemon/worker/life.h"
#include "daemon/worker/nudge.h"
#include "daemon/worker/quit.h"
#include "daemon/worker/services.h"
#include "daemon/worker/train.h"
#include "daemon/worker/worker_yield.h"

#include <errno.h>
#include <stdlib.h>

enum { FLUSH_BYTES = 64 << 10 };
#define TIDY_EVERY 500000000 /* nanoseconds */

/* ---- memory that is kept to be used again ---- */

static bool keeps(const struct host *host)
{
	return host->inbox.mappings.count > 0 || host->reply_keeps || host->reply.payloads.count > 0;
}

static uint64_t wake_at(const struct host *host)
{
	const uint64_t timer = timers_next(&host->deferrals.timers), tidy = host->tidied + TIDY_EVERY;
	const uint64_t closing = directs_wake_at(host), ready = host->watch.at;
	const uint64_t soonest = timer < closing ? timer : closing, next = ready < soonest ? ready : soonest;
	return keeps(host) && tidy < next ? tidy : next;
}

static void tidy(struct host *host)
{
	if (!keeps(host) || host->now < host->tidied + TIDY_EVERY)
		return;
	host->tidied = host->now;
	mappings_tidy(&host->inbox.mappings, host->now);
	host->reply_keeps = reply_tidy(&host->reply);
}

/* ---- messages ---- */

static void on_gone(struct host *host, struct reader *reader)
{
	uint64_t tag;
	if (read_uint(reader, &tag) < 0)
		quit_protocol();
	deferred_gone(&host->deferrals, tag);
	host_put_answers(host);
}

static void on_message(struct host *host, struct span message)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t type;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0)
		quit_protocol();
	switch (type) {
	case TO_START:
		life_on_start(host, &reader);
		break;
	case TO_CALL:
		worker_call_on_message(host, &reader, count);
		break;
	case TO_CALLS:
		train_on_message(host, &reader);
		break;
	case TO_BIND:
		items_on_bind(host, &reader);
		break;
	case TO_UNBIND:
		items_on_unbind(host, &reader);
		break;
	case TO_ITEMS:
		items_on_message(host, &reader, count);
		break;
	case TO_REPLAY:
		life_on_replay(host, &reader);
		break;
	case TO_TAKEN:
		worker_yield_on_taken(&host->task, &reader);
		break;
	case TO_GONE:
		on_gone(host, &reader);
		break;
	case TO_SESSION_END:
		life_on_session_end(host, &reader);
		break;
	case TO_STOP:
		life_on_stop(host, &reader);
		break;
	case TO_LEASE:
		life_on_lease(host, &reader);
		break;
	case TO_RELEASE:
		life_on_release(host, &reader);
		break;
	case TO_RESTORE:
		life_on_restore(host, &reader);
		break;
	case TO_ATTACH:
		directs_on_attach(host, &reader);
		break;
	case TO_DETACH:
		directs_on_detach(host, &reader);
		break;
	case TO_DROP:
		directs_on_drop(host, &reader);
		break;
	default:
		quit_protocol();
	}
}

static int set_up(struct host *host, const struct plugin *plugin, struct board *board, int fd)
{
	host->board = board;
	inbox_init(&host->inbox, fd);
	if (reply_init(&host->reply, fd, board) < 0 || task_init(&host->task, plugin, &services, &host->reply, board) < 0)
		return -ENOMEM;
	watch_set(&host->watch, -1, 0);
	host->task.watch = &host->watch;
	deferrals_init(&host->deferrals, &host->task, board);
	host->task.deferrals = &host->deferrals;
	host->task.inbox = &host->inbox;
	host->task.invoker = &host->invoker;
	host->task.mappings = &host->inbox.mappings;
	return 0;
}

static void tear_down(struct host *host)
{
	items_free_bindings(host);
	directs_free(host);
	deferrals_free(&host->deferrals);
	invoker_free(&host->invoker);
	task_free(&host->task);
	reply_free(&host->reply);
	inbox_free(&host->inbox);
	free(host);
}

/* ---- the loop ---- */

static void flush_when_due(struct host *host)
{
	if (host->reply.size > FLUSH_BYTES || host->now - host->flushed > HOST_FLUSH_AFTER)
		host_flush(host);
}

static void wake(struct host *host)
{
	if (timers_next(&host->deferrals.timers) > host->now && TAILQ_EMPTY(&host->deferrals.roomy))
		return;
	deferred_wake(&host->deferrals, host->now);
	deferred_tell_room(&host->deferrals);
	host_put_answers(host);
	host->now = host_clock(); /* the class may have taken its time */
}

/* Has the class go on with what it has under way. The board says so, as it says that a batch runs. */
static void go_on(struct host *host)
{
	struct objpool_call *call = &host->task.handle.call;

	watch_begin(&host->watch);
	call->method = NULL;
	call->session = call->caller = call->deadline = call->index = 0;
	host->task.traceparent[0] = '\0';
	atomic_store_explicit(&host->board->step, host->now, memory_order_release);
	atomic_store_explicit(&host->board->running, 0, memory_order_relaxed);
	atomic_store_explicit(&host->board->since, host->now, memory_order_release);
	host->task.plugin->class.ready(host->task.self, call);
	atomic_store_explicit(&host->board->since, 0, memory_order_release);
	atomic_store_explicit(&host->board->step, 0, memory_order_release);
	method_error_forget(&host->task.handle.error); /* there is nobody to tell */
	host->now = host_clock();
	host_put_answers(host);
}

static bool has_others(const struct host *host)
{
	return directs_any(host) || host->watch.fd >= 0;
}

/* Handles what has come from the supervisor; if there is more to look after, for one turn. True: there may be more. */
static bool take_messages(struct host *host)
{
	const uint64_t until = has_others(host) ? host->now + DIRECT_TURN : UINT64_MAX;
	struct span message;

	while (!host->ended && inbox_next(&host->inbox, &message)) {
		const uint64_t before = host->now;
		on_message(host, message);
		if (host->now == before) /* it was no task, but the class may have done something about it */
			host->now = host_clock();
		flush_when_due(host);
		wake(host);
		if (host->now >= until)
			return true;
	}
	return false;
}

/* A turn of the supervisor's messages, and one of each direct channel. True: there is more to do. */
static bool take_turns(struct host *host)
{
	const bool more = take_messages(host);

	if (directs_any(host))
		host_flush(host); /* finished answers don't wait for what comes on the channels */
	return (!host->ended && directs_take_turns(host)) || more;
}

static void loop(struct host *host)
{
	for (;;) {
		const bool more = take_turns(host);
		host_flush(host);
		if (host->ended)
			return;
		if (!more && host->task.plugin->class.idle)
			host->task.plugin->class.idle(host->task.self);
		const uint64_t due = more ? 0 : wake_at(host), until = due > host->now ? due : 0;
		const int got = has_others(host) ? directs_fill(host, until) : inbox_fill(&host->inbox, until);
		if (got <= 0 && got != -ETIMEDOUT)
			return; /* the supervisor has gone */
		host->now = host_clock();
		wake(host);
		if (watch_is_due(&host->watch, host->now))
			go_on(host);
		tidy(host);
	}
}

enum host_end worker_loop_run(const struct plugin *plugin, struct board *board, int fd, pid_t parent)
{
	struct host *host = calloc(1, sizeof *host);

	if (!host || set_up(host, plugin, board, fd) < 0)
		quit_memory();
	host->parent = parent;
	crash_arm(&host->reply);
	struct nudge *nudge = nudge_start(&host->reply, board);
	loop(host);
	const enum host_end end = host->end;
	crash_disarm();
	nudge_stop(nudge);
	tear_down(host);
	return end;
}
