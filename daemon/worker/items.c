/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/items.h"

#include "daemon/worker/quit.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_STRIDE 16 /* items, at most, between two looks at the clock */

/* The arguments that a call has bound for all of its items. */
struct binding {
	struct binding *next;
	uint64_t id;
	struct worker_files *files; /* NULL: none came with them */
	bool lost;                /* the files can't be mapped */
	struct span args, kwargs; /* in `bytes` or the files */
	uint8_t bytes[];
};

void items_on_bind(struct host *host, struct reader *reader)
{
	struct span args, kwargs;
	uint64_t id;

	if (read_uint(reader, &id) < 0 || read_value(reader, &args) < 0 || read_value(reader, &kwargs) < 0)
		quit_protocol();
	struct binding *binding = malloc(sizeof *binding + args.size + kwargs.size);
	if (!binding)
		return; /* add_bound fails the batches that need it */
	binding->id = id;
	binding->files = host->inbox.files;
	host->inbox.files = NULL;
	memcpy(binding->bytes, args.bytes, args.size);
	memcpy(binding->bytes + args.size, kwargs.bytes, kwargs.size);
	binding->args = (struct span){.bytes = binding->bytes, .size = args.size};
	binding->kwargs = (struct span){.bytes = binding->bytes + args.size, .size = kwargs.size};
	binding->lost = worker_files_values(binding->files, &binding->args) < 0 ||
			worker_files_values(binding->files, &binding->kwargs) < 0;
	binding->next = host->bindings;
	host->bindings = binding;
}

void items_on_unbind(struct host *host, struct reader *reader)
{
	uint64_t id;

	if (read_uint(reader, &id) < 0)
		quit_protocol();
	for (struct binding **at = &host->bindings; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct binding *gone = *at;
			*at = gone->next;
			worker_files_free(gone->files);
			free(gone);
			return;
		}
}

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

static int begin_column(struct reader *reader, struct worker_files *files, struct reader *column)
{
	struct span whole;
	uint32_t n;
	if (read_value(reader, &whole) < 0)
		return -EINVAL;
	const int beside = worker_files_values(files, &whole);
	*column = reader_of(whole);
	return beside ? beside < 0 ? -ENOMEM : 0 : read_array(column, &n);
}

static int read_columns(struct reader *reader, struct worker_files *files, struct items *items)
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
		if (read_text(reader, &items->keys[k]) < 0 ||
		    (r = begin_column(reader, files, &items->at[items->columns + k])) < 0)
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
	return task_no_memory(&host->task, "no");
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

/* Adds the arguments of the next item. Each column moves on by one item also if an argument has failed. 0, or -1 with the error
 * set. */
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
		const int r = run_method(task, &host->method);
		if (r == 0)
			reply_value_done(&host->reply);
		if (r > 0) {
			reply_end_results(&host->reply);
			host_put_deferred(host, items->id, item);
		}
		if (r >= 0) {
			host_put_answers(host);
			return;
		}
	}
	host_put_item_error(host, (uint32_t)items->id, item);
	host_put_answers(host);
}

/* Between two items: sends the finished answers if they have waited for long. False: the caller has gone, the batch shall
 * stop. */
static bool between_items(struct host *host, struct items *items, uint32_t i)
{
	if (board_state(host->board, (uint32_t)items->id) == BOARD_CANCELLED)
		return false;
	if (i % 64 != 63 && (host->method_cost < HOST_SHORT_METHOD || i < items->look_at))
		return true;
	const uint64_t now = host_clock(), spent = now - items->looked;
	items->stride = spent > HOST_SHORT_METHOD ? 1 : items->stride < LOOK_STRIDE ? 2 * items->stride : LOOK_STRIDE;
	items->look_at = i + items->stride;
	items->looked = now;
	if (now - host->flushed > 10 * HOST_FLUSH_AFTER) {
		reply_end_results(&host->reply);
		host_flush(host);
		host->flushed = now;
	}
	return true;
}

/* Answers the rest of the batch with the error CANCELLED: nobody waits for these items any more, but the supervisor counts an
 * answer for each. Returns the item at which the batch ends. */
static uint32_t skip_items(struct host *host, const struct items *items, uint32_t i)
{
	for (; i < items->count && board_begin_item(host->board, (uint32_t)items->id); i++) {
		task_fail(&host->task, "CANCELLED", "no", "the call was cancelled");
		host_put_item_error(host, (uint32_t)items->id, items->first + i);
	}
	return i;
}

/* Answers all items with an error: there is no memory for their columns. Returns the item at which the batch ends. */
static uint32_t lose_items(struct host *host, const struct items *items)
{
	uint32_t i = 0;

	for (; i < items->count && board_begin_item(host->board, (uint32_t)items->id); i++) {
		task_no_map(&host->task);
		host_put_item_error(host, (uint32_t)items->id, items->first + i);
	}
	return i;
}

/* Returns the item at which the batch has ended. The supervisor may have taken back the items from there on. */
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
		if (reply_results_size(&host->reply) > RESULTS_AHEAD) {
			reply_end_results(&host->reply);
			host_flush(host);
		}
	}
	reply_end_results(&host->reply);
	return i;
}

void items_on_message(struct host *host, struct reader *reader)
{
	struct items items = {.stride = 1, .looked = host->now};
	struct span name;

	if (read_uint(reader, &items.id) < 0 || read_uint(reader, &host->task.handle.call.session) < 0 ||
	    read_text(reader, &name) < 0 || read_uint(reader, &host->task.handle.call.deadline) < 0 ||
	    read_uint(reader, &items.binding) < 0 || read_uint(reader, &items.shape) < 0 ||
	    read_uint(reader, &items.first) < 0 || read_uint(reader, &items.count) < 0)
		quit_protocol();
	const bool found = host_find_method(host, name) == 0;
	if (!host_begin_batch(host, (uint32_t)items.id))
		return;
	const int r = read_columns(reader, host->inbox.files, &items);
	if (r == -EINVAL)
		quit_protocol();
	const uint32_t ran = r < 0 ? lose_items(host, &items) : run_items(host, &items, found);
	if (ran < items.count)
		host_put_passed(host, (uint32_t)items.id);
	host_end_batch(host, (uint32_t)items.id, ran);
	free(items.at);
	free(items.keys);
}

void items_free_bindings(struct host *host)
{
	struct binding *binding;

	while ((binding = host->bindings)) {
		host->bindings = binding->next;
		worker_files_free(binding->files);
		free(binding);
	}
}
