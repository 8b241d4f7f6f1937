/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/host.h"

#include "daemon/worker/crash.h"
#include "daemon/worker/deferred.h"
#include "daemon/worker/inbox.h"
#include "daemon/worker/invoke.h"
#include "daemon/worker/nudge.h"
#include "daemon/worker/task.h"
#include "daemon/worker/yield.h"
#include "proto/pack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { FLUSH_BYTES = 64 << 10, NAME_MOST = 256 };
#define FLUSH_AFTER 200000 /* nanoseconds that a finished answer may wait for the next */
#define TIDY_EVERY 500000000 /* nanoseconds */
#define SHORT_METHOD 50000 /* nanoseconds: answers may wait while such a method runs */
#define LOOK_STRIDE 16 /* items of a map, the most between two looks at the clock */

/* What a call or map has bound for all of its items. */
struct binding {
	struct binding *next;
	uint64_t id;
	struct files *files;      /* NULL: none came with them */
	bool lost;                /* the files can't be mapped */
	struct span args, kwargs; /* in `bytes` or the files */
	uint8_t bytes[];
};

struct host {
	pid_t parent;              /* 0: the supervisor */
	struct board *board;
	struct inbox inbox;
	struct reply reply;
	struct task task;
	struct task_method method; /* the last one called */
	char method_name[NAME_MOST];
	uint64_t method_cost;      /* nanoseconds, the worst of late; decays */
	struct binding *bindings;
	struct deferrals deferrals;
	struct invoker invoker;
	uint64_t now;              /* when the last task ended */
	uint64_t flushed;          /* when the replies were last sent */
	bool ended;
	enum host_end end;
	bool reply_keeps;          /* payloads, for results */
	uint64_t tidied;           /* when what is kept was last looked at */
};

static uint64_t clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- one batch: its place on the board, and in time ---- */

/* [PASSED, id]: the supervisor, which has taken back the batch, or the rest of it, sees that this worker reacts. */
static void put_passed(struct host *host, uint32_t id)
{
	uint8_t message[2 + PACK_UINT] = {0x92, FROM_PASSED};
	const uint8_t *end = pack_uint(message + 2, id);

	reply_messages(&host->reply, message, (size_t)(end - message));
}

/* Claims the batch on the board. False: the supervisor has taken it back. */
static bool begin_batch(struct host *host, uint32_t id)
{
	if (!board_move(host->board, id, BOARD_HANDED, BOARD_STARTED)) {
		put_passed(host, id);
		return false;
	}
	atomic_store_explicit(&host->board->running, id, memory_order_relaxed);
	atomic_store_explicit(&host->board->since, host->now, memory_order_release);
	host->task.id = id;
	return true;
}

static void end_batch(struct host *host, uint32_t id, uint32_t count)
{
	const uint64_t before = host->now;

	host->now = clock_now();
	const uint64_t spent = host->now - before;
	host->method_cost = spent > host->method_cost ? spent : host->method_cost - host->method_cost / 64;
	const uint64_t each = spent / (count ? count : 1);
	atomic_store_explicit(&board_entry(host->board, id)->spent, board_spent(each), memory_order_relaxed);
	atomic_store_explicit(&host->board->since, 0, memory_order_release);
}

static void flush(struct host *host)
{
	reply_flush(&host->reply);
	host->flushed = host->now;
}

/* Before something that may take long: nobody's finished answer should wait for it. */
static void flush_before(struct host *host, const char *name, struct span wanted)
{
	const bool same = span_is(wanted, name) && host->method.method.name;
	if (!same)
		host->method_cost = SHORT_METHOD;
	if (host->method_cost >= SHORT_METHOD && host->reply.sealed > 0)
		flush(host);
}

static void flush_when_due(struct host *host)
{
	if (host->reply.size > FLUSH_BYTES || host->now - host->flushed > FLUSH_AFTER)
		flush(host);
}

/* Makes host->method the one that the message names. */
static int find_method(struct host *host, struct span name)
{
	flush_before(host, host->method_name, name);
	if (host->method.method.name && span_is(name, host->method_name))
		return 0;
	host->method.method.name = NULL;
	if (name.size >= sizeof host->method_name || memchr(name.bytes, '\0', name.size))
		return task_fail(&host->task, "NO_SUCH_METHOD", "no", "class %s has no method of %zu characters",
				 host->task.plugin->class.name, name.size);
	memcpy(host->method_name, name.bytes, name.size);
	host->method_name[name.size] = '\0';
	task_find(&host->task, host->method_name, &host->method);
	return 0;
}

/* Writes the first fields of a message of four. */
static void put_head(struct host *host, uint8_t type, uint32_t id, bool nil)
{
	uint8_t head[3 + PACK_UINT], *p = head;
	*p++ = 0x94;
	*p++ = type;
	p = pack_uint(p, id);
	if (nil)
		p = pack_nil(p);
	reply_put(&host->reply, head, (size_t)(p - head));
}

static void put_nil(struct host *host)
{
	reply_put(&host->reply, &(const uint8_t){0xc0}, 1);
}

/* What the task has answered of others' deferred calls goes out behind its own answer. */
static void put_answers(struct host *host)
{
	const struct span answers = deferred_answers(&host->deferrals);
	if (answers.size == 0)
		return;
	reply_end_results(&host->reply);
	reply_messages(&host->reply, answers.bytes, answers.size);
}

/* [DEFERRED, id, item, tag] */
static void put_deferred(struct host *host, uint64_t id, uint64_t item)
{
	uint8_t message[2 + 3 * PACK_UINT], *p = message;

	*p++ = 0x94;
	*p++ = FROM_DEFERRED;
	p = pack_uint(pack_uint(p, id), item);
	p = pack_uint(p, deferred_take(&host->task));
	reply_messages(&host->reply, message, (size_t)(p - message));
}

/* ---- CALL ---- */

static int read_call_args(struct host *host, struct reader *reader, uint32_t fields)
{
	struct task *task = &host->task;
	struct span args, kwargs = {0};

	task->handle.call.deadline = 0;
	uint64_t flags = 0;

	task->wants_progress = task->wants_values = false;
	task->yielded = 0;
	task->progress_at = 0;
	task->progress_ended = false;
	if (read_value(reader, &args) < 0 ||
	    (fields == 8 && (read_uint(reader, &task->handle.call.deadline) < 0 || read_value(reader, &kwargs) < 0 ||
			     read_uint(reader, &flags) < 0)))
		return task_fail(task, "INTERNAL", "no", "the worker did not understand the call");
	task->single = true;
	task->wants_progress = flags & CALL_PROGRESS;
	task->wants_values = flags & CALL_YIELDS;
	task->files = host->inbox.files;
	if (files_values(task->files, &args) < 0 || files_values(task->files, &kwargs) < 0)
		return task_no_map(task);
	return task_add_array(task, args) < 0 || task_add_map(task, kwargs) < 0 ? -1 : 0;
}

/* The supervisor asks for a sign of life: the class knows nothing of it. */
static void on_probe(struct host *host, uint32_t id)
{
	if (!begin_batch(host, id))
		return;
	(void)reply_begin(&host->reply);
	put_head(host, FROM_REPLY, id, true);
	put_nil(host);
	reply_seal(&host->reply);
	end_batch(host, id, 1);
}

static void on_call(struct host *host, struct reader *reader, uint32_t fields)
{
	struct task *task = &host->task;
	struct span name;
	uint64_t id;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &task->handle.call.session) < 0 || read_text(reader, &name) < 0)
		_exit(70);
	if (name.size == 0) {
		on_probe(host, (uint32_t)id);
		return;
	}
	const bool found = find_method(host, name) == 0;
	if (!begin_batch(host, (uint32_t)id))
		return;
	task_clear(task);
	task->handle.call.index = 0;
	(void)board_begin_item(
		host->board,
		(uint32_t)
			id); /* always true for a single item: the supervisor takes back such a batch as a whole or not at all */
	/* The head of the answer comes first; the value is written right behind it. */
	const size_t start = reply_begin(&host->reply);
	put_head(host, FROM_REPLY, (uint32_t)id, true);
	host->reply.alone = true;
	host->reply.session = task->handle.call.session;
	const int r = found && read_call_args(host, reader, fields) == 0 ? task_run(task, &host->method) : -1;
	host->reply.alone = false;
	if (r > 0) {
		host->reply.size = start;
		put_deferred(host, id, 0);
	} else if (r < 0) {
		host->reply.size = start;
		put_head(host, FROM_REPLY, (uint32_t)id, false);
		task_put_error(task);
		put_nil(host);
	} else if (host->reply.large) {
		reply_lend(&host->reply, start, (uint32_t)id);
		host->reply_keeps = true;
	}
	reply_seal(&host->reply);
	put_answers(host);
	end_batch(host, (uint32_t)id, 1);
}

/* ---- BIND ---- */

static void on_bind(struct host *host, struct reader *reader)
{
	struct span args, kwargs;
	uint64_t id;

	if (read_uint(reader, &id) < 0 || read_value(reader, &args) < 0 || read_value(reader, &kwargs) < 0)
		_exit(70);
	struct binding *binding = malloc(sizeof *binding + args.size + kwargs.size);
	if (!binding)
		return; /* the batches that need it will say so */
	binding->id = id;
	binding->files = host->inbox.files;
	host->inbox.files = NULL;
	memcpy(binding->bytes, args.bytes, args.size);
	memcpy(binding->bytes + args.size, kwargs.bytes, kwargs.size);
	binding->args = (struct span){.bytes = binding->bytes, .size = args.size};
	binding->kwargs = (struct span){.bytes = binding->bytes + args.size, .size = kwargs.size};
	binding->lost = files_values(binding->files, &binding->args) < 0 || files_values(binding->files, &binding->kwargs) < 0;
	binding->next = host->bindings;
	host->bindings = binding;
}

static void on_unbind(struct host *host, struct reader *reader)
{
	uint64_t id;

	if (read_uint(reader, &id) < 0)
		_exit(70);
	for (struct binding **at = &host->bindings; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct binding *gone = *at;
			*at = gone->next;
			files_free(gone->files);
			free(gone);
			return;
		}
}

/* ---- ITEMS ---- */

struct items {
	uint64_t id, binding, shape, first, count;
	uint32_t columns, kwcolumns;
	struct reader *at;   /* [columns + kwcolumns]: the next item of each */
	struct reader *here; /* likewise: this item */
	struct span *keys;   /* [kwcolumns] */
	uint32_t look_at;    /* the item before which the clock is read again */
	uint32_t stride;     /* how many items lie between two looks: fewer when they take long */
	uint64_t looked;
};

static int begin_column(struct reader *reader, struct files *files, struct reader *column)
{
	struct span whole;
	uint32_t n;
	if (read_value(reader, &whole) < 0)
		return -EINVAL;
	const int beside = files_values(files, &whole);
	*column = reader_of(whole);
	return beside ? beside < 0 ? -ENOMEM : 0 : read_array(column, &n);
}

static int read_columns(struct reader *reader, struct files *files, struct items *items)
{
	struct span map;
	int r = -EINVAL;
	if (read_array(reader, &items->columns) < 0)
		return -EINVAL;
	struct reader ahead = *reader;
	for (uint32_t c = 0; c < items->columns; c++)
		if (read_value(&ahead, &map) < 0)
			return -EINVAL;
	if (read_map(&ahead, &items->kwcolumns) < 0)
		return -EINVAL;
	items->at = calloc(2 * (items->columns + items->kwcolumns), sizeof *items->at);
	items->here = items->at + items->columns + items->kwcolumns;
	items->keys = calloc(items->kwcolumns + 1, sizeof *items->keys);
	if (!items->at || !items->keys)
		return -ENOMEM;
	for (uint32_t c = 0; c < items->columns; c++)
		if ((r = begin_column(reader, files, &items->at[c])) < 0)
			return r;
	if (read_map(reader, &items->kwcolumns) < 0)
		return -EINVAL;
	for (uint32_t k = 0; k < items->kwcolumns; k++)
		if (read_text(reader, &items->keys[k]) < 0 || (r = begin_column(reader, files, &items->at[items->columns + k])) < 0)
			return r;
	return 0;
}

static int add_bound(struct host *host, uint64_t id)
{
	if (id == 0)
		return 0;
	for (const struct binding *b = host->bindings; b; b = b->next)
		if (b->id == id) {
			host->task.files = b->files;
			if (b->lost)
				return task_no_map(&host->task);
			return task_add_array(&host->task, b->args) < 0 || task_add_map(&host->task, b->kwargs) < 0 ? -1 : 0;
		}
	return task_fail(&host->task, "FAILED", "no", "out of memory in the worker");
}

static int add_item(struct task *task, const struct items *items)
{
	struct span item;
	uint32_t n;

	switch ((enum shape)items->shape) {
	case SHAPE_ZIP:
	case SHAPE_SINGLE:
		for (uint32_t c = 0; c < items->columns; c++)
			if (task_add_value(task, &items->at[c]) < 0)
				return -1;
		return 0;
	case SHAPE_POSITIONAL:
	case SHAPE_KEYWORD:
		break;
	}
	if (read_value(&items->at[0], &item) < 0)
		return task_fail(task, "INTERNAL", "no", "an item is missing");
	struct reader look = reader_of(item);
	if (items->shape == SHAPE_POSITIONAL)
		return read_array(&look, &n) < 0
			       ? task_fail(task, "BAD_ARGUMENT", "no", "with args_as positional each item must be an array")
			       : task_add_array(task, item);
	return read_map(&look, &n) < 0
		       ? task_fail(task, "BAD_ARGUMENT", "no", "with args_as keyword each item must be a map")
		       : task_add_map(task, item);
}

/* All columns move on by one item even when the first has failed: the next item begins where it begins. */
static int add_item_args(struct host *host, const struct items *items)
{
	struct task *task = &host->task;
	struct span passed;
	int r = 0;

	memcpy(items->here, items->at, (items->columns + items->kwcolumns) * sizeof *items->at);
	if (add_bound(host, items->binding) < 0)
		r = -1;
	task->files = host->inbox.files;
	if (r == 0 && add_item(task, items) < 0)
		r = -1;
	for (uint32_t k = 0; r == 0 && k < items->kwcolumns; k++)
		r = task_add_keyword(task, items->keys[k], &items->at[items->columns + k]);
	if (r == 0)
		return 0;
	for (uint32_t c = 0; c < items->columns + items->kwcolumns; c++) {
		items->at[c] = items->here[c];
		if (read_value(&items->at[c], &passed) < 0)
			break;
	}
	return -1;
}

static void put_item_error(struct host *host, const struct items *items, uint64_t item)
{
	uint8_t index[PACK_UINT];
	const uint8_t *end = pack_uint(index, item);

	reply_end_results(&host->reply);
	(void)reply_begin(&host->reply);
	put_head(host, FROM_ITEM_ERROR, (uint32_t)items->id, false);
	reply_put(&host->reply, index, (size_t)(end - index));
	task_put_error(&host->task);
	reply_seal(&host->reply);
}

static void run_item(struct host *host, const struct items *items, uint32_t i, bool found)
{
	struct task *task = &host->task;
	const uint64_t item = items->first + i;

	task_clear(task);
	task->single = task->wants_values = false;
	task->wants_progress = false; /* a map tells how many of its items are done */
	task->handle.call.index = item;
	const bool args = add_item_args(host, items) == 0;
	if (!found)
		task_fail(task, "NO_SUCH_METHOD", "no", "class %s has no such method", task->plugin->class.name);
	if (found && args) {
		if (!reply_in_results(&host->reply))
			reply_begin_results(&host->reply, (uint32_t)items->id, item);
		const int r = task_run(task, &host->method);
		if (r == 0)
			reply_value_done(&host->reply);
		if (r > 0) {
			reply_end_results(&host->reply);
			put_deferred(host, items->id, item);
		}
		if (r >= 0) {
			put_answers(host);
			return;
		}
	}
	put_item_error(host, items, item);
	put_answers(host);
}

/* A batch of long items sends what it has; and one whose caller has gone stops. */
static bool between_items(struct host *host, struct items *items, uint32_t i)
{
	if (board_state(host->board, (uint32_t)items->id) == BOARD_CANCELLED)
		return false;
	if (i % 64 != 63 && (host->method_cost < SHORT_METHOD || i < items->look_at))
		return true;
	const uint64_t now = clock_now(), spent = now - items->looked;
	items->stride = spent > SHORT_METHOD ? 1 : items->stride < LOOK_STRIDE ? 2 * items->stride : LOOK_STRIDE;
	items->look_at = i + items->stride;
	items->looked = now;
	if (now - host->flushed > 10 * FLUSH_AFTER) {
		reply_end_results(&host->reply);
		flush(host);
		host->flushed = now;
	}
	return true;
}

/* Nobody waits for the rest of the batch, but the supervisor wants an answer for each item: answers nil. Returns the item at
 * which the batch ends. */
static uint32_t skip_items(struct host *host, const struct items *items, uint32_t i)
{
	for (; i < items->count && board_begin_item(host->board, (uint32_t)items->id); i++) {
		task_fail(&host->task, "CANCELLED", "no", "the call was cancelled");
		put_item_error(host, items, items->first + i);
	}
	return i;
}

/* There is no memory to have them in. */
static uint32_t lose_items(struct host *host, const struct items *items)
{
	uint32_t i = 0;

	for (; i < items->count && board_begin_item(host->board, (uint32_t)items->id); i++) {
		task_no_map(&host->task);
		put_item_error(host, items, items->first + i);
	}
	return i;
}

/* Returns the item at which the batch has ended: the supervisor may have taken back the rest. */
static uint32_t run_items(struct host *host, struct items *items, bool found)
{
	uint32_t i = 0;

	for (; i < items->count; i++) {
		if (i > 0 && !between_items(host, items, i)) {
			i = skip_items(host, items, i);
			break;
		}
		if (!board_begin_item(host->board, (uint32_t)items->id))
			break;
		run_item(host, items, i, found);
	}
	reply_end_results(&host->reply);
	return i;
}

static void on_items(struct host *host, struct reader *reader)
{
	struct items items = {.stride = 1, .looked = host->now};
	struct span name;

	if (read_uint(reader, &items.id) < 0 || read_uint(reader, &host->task.handle.call.session) < 0 ||
	    read_text(reader, &name) < 0 || read_uint(reader, &host->task.handle.call.deadline) < 0 ||
	    read_uint(reader, &items.binding) < 0 || read_uint(reader, &items.shape) < 0 ||
	    read_uint(reader, &items.first) < 0 || read_uint(reader, &items.count) < 0)
		_exit(70);
	const bool found = find_method(host, name) == 0;
	if (!begin_batch(host, (uint32_t)items.id))
		return;
	const int r = read_columns(reader, host->inbox.files, &items);
	if (r == -EINVAL)
		_exit(70);
	const uint32_t ran = r < 0 ? lose_items(host, &items) : run_items(host, &items, found);
	if (ran < items.count)
		put_passed(host, (uint32_t)items.id);
	end_batch(host, (uint32_t)items.id, ran);
	free(items.at);
	free(items.keys);
}

/* ---- START and STOP ---- */

static void put_ready(struct host *host, bool failed)
{
	(void)reply_begin(&host->reply);
	reply_put(&host->reply, (const uint8_t[]){failed ? 0x92 : 0x91, FROM_READY}, 2);
	if (failed)
		task_put_error(&host->task);
	reply_seal(&host->reply);
	reply_flush(&host->reply);
}

/* The parent's death must be ours. The template's child is adopted by the supervisor before it is told to start. */
static void follow(pid_t parent, pid_t supervisor)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	/* Where Yama lets only ancestors trace: the supervisor's child objpool-backtrace is a sibling of this process. */
	(void)prctl(PR_SET_PTRACER, (unsigned long)supervisor, 0, 0, 0);
}

/* One remembered call. A failure is for the log: the instances that were there when it came had it too. */
static void replay(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;
	struct task_method method;
	struct span name, args, kwargs;
	char text[NAME_MOST];
	uint32_t n;

	if (read_array(reader, &n) < 0 || n != 3 || read_text(reader, &name) < 0 || read_value(reader, &args) < 0 ||
	    read_value(reader, &kwargs) < 0)
		_exit(70);
	snprintf(text, sizeof text, "%.*s", (int)(name.size < sizeof text ? name.size : sizeof text - 1), (const char *)name.bytes);
	task_find(task, text, &method);
	task_clear(task);
	task->handle.call.session = task->handle.call.deadline = task->handle.call.index = 0;
	const size_t start = reply_begin(&host->reply);
	const bool given = task_add_array(task, args) == 0 && task_add_map(task, kwargs) == 0;
	task->single = false;
	task->deferrals = NULL; /* there is nobody to answer later, */
	task->invoker = NULL;   /* and no batch to call from */
	const int r = given ? task_run(task, &method) : -1;
	task->deferrals = &host->deferrals;
	task->invoker = &host->invoker;
	if (r < 0)
		(void)fprintf(stderr, "the sticky call of %s failed when it was replayed: %s\n", text,
			      task_message(&task->handle.error));
	task_forget_error(&task->handle.error);
	host->reply.size = start;
	put_answers(host);
}

/* Writes [REPLAYING, method], so that the supervisor gives each replayed call a time of its own. */
static void announce_replay(struct host *host, struct reader reader)
{
	uint8_t head[PACK_HEAD];
	struct span name;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || read_text(&reader, &name) < 0)
		_exit(70);
	name.size = name.size < NAME_MOST ? name.size : NAME_MOST;
	(void)reply_begin(&host->reply);
	reply_put(&host->reply, (const uint8_t[]){0x92, FROM_REPLAYING}, 2);
	reply_put(&host->reply, head, (size_t)(pack_str_head(head, (uint32_t)name.size) - head));
	if (reply_append(&host->reply, (const char *)name.bytes, name.size) < 0)
		_exit(71);
	reply_seal(&host->reply);
	reply_flush(&host->reply);
}

static void on_replay(struct host *host, struct reader *reader, bool starting)
{
	uint32_t n;

	if (read_array(reader, &n) < 0)
		_exit(70);
	for (; n > 0; n--) {
		if (starting)
			announce_replay(host, *reader);
		replay(host, reader);
	}
}

static void on_start(struct host *host, struct reader *reader)
{
	struct objpool_place *place = &host->task.place;
	struct span pool, args, kwargs, slot_kwargs;
	uint64_t supervisor, slot, slots;

	if (read_uint(reader, &supervisor) < 0 || read_text(reader, &pool) < 0 || read_uint(reader, &slot) < 0 ||
	    read_uint(reader, &slots) < 0 || read_uint(reader, &place->generation) < 0 || read_value(reader, &args) < 0 ||
	    read_value(reader, &kwargs) < 0 || read_value(reader, &slot_kwargs) < 0 ||
	    read_uint(reader, &host->task.max_result) < 0)
		_exit(70);
	follow(host->parent ? host->parent : (pid_t)supervisor, (pid_t)supervisor);
	if (!(place->pool = strndup((const char *)pool.bytes, pool.size)))
		_exit(71);
	place->slot = (uint32_t)slot;
	place->slots = (uint32_t)slots;
	task_clear(&host->task);
	if (task_add_array(&host->task, args) < 0 || task_add_map(&host->task, kwargs) < 0 ||
	    task_add_map(&host->task, slot_kwargs) < 0 || task_create(&host->task) < 0) {
		put_ready(host, true);
		host->ended = true;
		host->end = HOST_FAILED;
		return;
	}
	on_replay(host, reader, true);
	put_ready(host, false);
	host->now = host->flushed = clock_now();
}

/* ---- between tasks ---- */

static void on_gone(struct host *host, struct reader *reader)
{
	uint64_t tag;
	if (read_uint(reader, &tag) < 0)
		_exit(70);
	deferred_gone(&host->deferrals, tag);
	put_answers(host);
}

static void on_session_end(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	if (read_uint(reader, &task->handle.call.session) < 0)
		_exit(70);
	task->handle.call.method = NULL;
	if (task->plugin->class.session_end)
		task->plugin->class.session_end(task->self, &task->handle.call, task->handle.call.session);
	task_forget_error(&task->handle.error); /* there is nobody to tell */
	put_answers(host);
}

static void on_lease(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;
	const struct objpool_class *class = &task->plugin->class;

	if (read_uint(reader, &task->handle.call.session) < 0)
		_exit(70);
	task->handle.call.method = NULL;
	const bool agreed = !class->leased || task_outcome(task, "leased", class->leased(task->self, &task->handle.call)) == 0;
	(void)reply_begin(&host->reply);
	reply_put(&host->reply, (const uint8_t[]){agreed ? 0x91 : 0x92, FROM_LEASED}, 2);
	if (!agreed)
		task_put_error(task);
	reply_seal(&host->reply);
	put_answers(host);
}

static void on_release(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	if (read_uint(reader, &task->handle.call.session) < 0)
		_exit(70);
	task->handle.call.method = NULL;
	if (task->plugin->class.released)
		task->plugin->class.released(task->self, &task->handle.call);
	task_forget_error(&task->handle.error);
	put_answers(host);
}

static void wake(struct host *host)
{
	if (timers_next(&host->deferrals.timers) > host->now)
		return;
	deferred_wake(&host->deferrals, host->now);
	put_answers(host);
}

/* To the log. */
static void complain(const struct task *task, const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, task_message(&task->handle.error));
}

static void put_state(struct host *host)
{
	struct task *task = &host->task;
	const struct objpool_class *class = &task->plugin->class;
	const size_t start = reply_begin(&host->reply);

	task->handle.call.method = NULL;
	reply_put(&host->reply, (const uint8_t[]){0x92, FROM_STATE}, 2);
	if (task_write(task, class->snapshot) < 0) {
		complain(task, "its state could not be saved");
		host->reply.size = start;
		reply_put(&host->reply, (const uint8_t[]){0x93, FROM_STATE, 0xc0}, 3);
		task_put_error(task);
	}
	reply_seal(&host->reply);
}

static void on_restore(struct host *host, struct reader *reader)
{
	struct task *task = &host->task;

	task_clear(task);
	task->handle.call.method = NULL;
	if (task_add_value(task, reader) == 0 &&
	    task_outcome(task, "restore", task->plugin->class.restore(task->self, &task->handle.call, task->args.values)) == 0)
		return;
	complain(task, "its predecessor's state could not be restored");
	(void)reply_begin(&host->reply);
	reply_put(&host->reply, (const uint8_t[]){0x92, FROM_RESTORED}, 2);
	task_put_error(task);
	reply_seal(&host->reply);
	on_replay(host, reader, false);
}

static void on_stop(struct host *host, struct reader *reader)
{
	uint64_t want_state;

	if (read_uint(reader, &want_state) == 0 && want_state)
		put_state(host);
	reply_flush(&host->reply);
	if (host->task.plugin->class.destroy)
		host->task.plugin->class.destroy(host->task.self);
	host->ended = true;
	host->end = HOST_STOPPED;
}

/* ---- what was kept because it might be used again ---- */

static bool keeps(const struct host *host)
{
	return host->inbox.mappings.count > 0 || host->reply_keeps || host->reply.payloads.count > 0;
}

static uint64_t wake_at(const struct host *host)
{
	const uint64_t next = timers_next(&host->deferrals.timers), tidy = host->tidied + TIDY_EVERY;
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

/* ---- the loop ---- */

static void on_message(struct host *host, struct span message)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t type;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0)
		_exit(70);
	switch (type) {
	case TO_START:
		on_start(host, &reader);
		break;
	case TO_CALL:
		on_call(host, &reader, count);
		break;
	case TO_BIND:
		on_bind(host, &reader);
		break;
	case TO_UNBIND:
		on_unbind(host, &reader);
		break;
	case TO_ITEMS:
		on_items(host, &reader);
		break;
	case TO_REPLAY:
		on_replay(host, &reader, false);
		break;
	case TO_TAKEN:
		yield_on_taken(&host->task, &reader);
		break;
	case TO_GONE:
		on_gone(host, &reader);
		break;
	case TO_SESSION_END:
		on_session_end(host, &reader);
		break;
	case TO_STOP:
		on_stop(host, &reader);
		break;
	case TO_LEASE:
		on_lease(host, &reader);
		break;
	case TO_RELEASE:
		on_release(host, &reader);
		break;
	case TO_RESTORE:
		on_restore(host, &reader);
		break;
	default:
		_exit(70);
	}
}

static int set_up(struct host *host, const struct plugin *plugin, struct board *board, int fd)
{
	host->board = board;
	host->end = HOST_CUT_OFF;
	inbox_init(&host->inbox, fd);
	if (reply_init(&host->reply, fd, board) < 0 || task_init(&host->task, plugin, &host->reply, board) < 0)
		return -ENOMEM;
	deferrals_init(&host->deferrals, &host->task, board);
	host->task.deferrals = &host->deferrals;
	host->invoker = (struct invoker){.inbox = &host->inbox, .reply = &host->reply};
	host->task.invoker = &host->invoker;
	host->task.mappings = &host->inbox.mappings;
	return 0;
}

static void tear_down(struct host *host)
{
	struct binding *binding;

	while ((binding = host->bindings)) {
		host->bindings = binding->next;
		files_free(binding->files);
		free(binding);
	}
	deferrals_free(&host->deferrals);
	invoker_free(&host->invoker);
	task_free(&host->task);
	reply_free(&host->reply);
	inbox_free(&host->inbox);
	free(host);
}

static void loop(struct host *host)
{
	struct span message;

	for (;;) {
		while (!host->ended && inbox_next(&host->inbox, &message)) {
			on_message(host, message);
			flush_when_due(host);
			wake(host);
		}
		flush(host);
		if (host->ended)
			return;
		if (host->task.plugin->class.idle)
			host->task.plugin->class.idle(host->task.self);
		const int got = inbox_fill(&host->inbox, wake_at(host));
		if (got <= 0 && got != -ETIMEDOUT)
			return; /* the supervisor has gone, or speaks another language */
		host->now = clock_now();
		wake(host);
		tidy(host);
	}
}

enum host_end host_run(const struct plugin *plugin, struct board *board, int fd, pid_t parent)
{
	struct host *host = calloc(1, sizeof *host);

	if (!host || set_up(host, plugin, board, fd) < 0)
		_exit(71);
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
