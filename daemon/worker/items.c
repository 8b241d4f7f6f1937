/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/items.h"

#include "daemon/worker/many.h"
#include "daemon/worker/quit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	struct many many;
	uint64_t binding, shape;
	uint32_t columns, kwcolumns;
	struct reader *at;   /* [columns + kwcolumns]: the next item of each */
	struct reader *here; /* likewise: this item */
	struct span *keys;   /* [kwcolumns] */
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

/* Makes room for so many columns more, which are to be read: each has a byte at least. */
static int add_columns(struct items *items, const struct reader *reader, uint32_t more)
{
	const size_t n = (size_t)items->columns + more;

	if (more > reader_rest(reader).size)
		return -EINVAL;
	struct reader *grown = reallocarray(items->at, 2 * n + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	items->at = grown;
	items->here = grown + n;
	return 0;
}

static int read_columns(struct reader *reader, struct worker_files *files, struct items *items)
{
	uint32_t n;
	int r;

	if (read_array(reader, &n) < 0)
		return -EINVAL;
	if ((r = add_columns(items, reader, n)) < 0)
		return r;
	for (; items->columns < n; items->columns++)
		if ((r = begin_column(reader, files, &items->at[items->columns])) < 0)
			return r;
	if (read_map(reader, &n) < 0)
		return -EINVAL;
	if ((r = add_columns(items, reader, n)) < 0 || !(items->keys = calloc((size_t)n + 1, sizeof *items->keys)))
		return -ENOMEM;
	for (; items->kwcolumns < n; items->kwcolumns++)
		if (read_text(reader, &items->keys[items->kwcolumns]) < 0 ||
		    (r = begin_column(reader, files, &items->at[items->columns + items->kwcolumns])) < 0)
			return r < 0 ? r : -EINVAL;
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

/* [arguments, keywords] */
static int add_both(struct task *task, struct span item)
{
	struct reader reader = reader_of(item), look;
	struct span args, kwargs;
	uint32_t n;
	bool fits =
		read_array(&reader, &n) == 0 && n == 2 && read_value(&reader, &args) == 0 && read_value(&reader, &kwargs) == 0;

	if (fits) {
		look = reader_of(args);
		fits = read_array(&look, &n) == 0;
		look = reader_of(kwargs);
		fits = fits && read_map(&look, &n) == 0;
	}
	if (!fits)
		return task_fail(task, "BAD_ARGUMENT", "no", "with args_as both each item must be [arguments, keywords]");
	return task_add_array(task, args) < 0 ? -1 : task_add_map(task, kwargs);
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
	case SHAPE_BOTH:
		break;
	}
	if (read_value(&items->at[0], &item) < 0)
		return task_fail(task, "INTERNAL", "no", "an item is missing");
	if (items->shape == SHAPE_BOTH)
		return add_both(task, item);
	struct reader look = reader_of(item);
	if (items->shape == SHAPE_POSITIONAL)
		return read_array(&look, &n) < 0
			       ? task_fail(task, "BAD_ARGUMENT", "no", "with args_as positional each item must be an array")
			       : task_add_array(task, item);
	return read_map(&look, &n) < 0
		       ? task_fail(task, "BAD_ARGUMENT", "no", "with args_as keyword each item must be a map")
		       : task_add_map(task, item);
}

/* Passes what is left of an item whose arguments have failed. */
static void pass_item(const struct items *items)
{
	struct span passed;

	for (uint32_t c = 0; c < items->columns + items->kwcolumns; c++) {
		items->at[c] = items->here[c];
		if (read_value(&items->at[c], &passed) < 0)
			break;
	}
}

/* Adds the arguments of the next item. Each column moves on by one item also if an argument has failed. */
static int read_item(struct many *many)
{
	const struct items *items = container_of(many, struct items, many);
	struct task *task = &many->host->task;

	task->handle.call.index = many_task(many);
	for (uint32_t c = 0; c < items->columns + items->kwcolumns; c++)
		items->here[c] = items->at[c];
	int r = add_bound(many->host, items->binding);
	task->files = many->host->inbox.files;
	if (r == 0)
		r = add_item(task, items);
	for (uint32_t k = 0; r == 0 && k < items->kwcolumns; k++)
		r = task_add_keyword(task, items->keys[k], &items->at[items->columns + k]);
	if (r < 0)
		pass_item(items);
	return r;
}

static const struct many_kind items_kind = {
	.read = read_item, .one_call = true, .patience = 10 * HOST_FLUSH_AFTER, .look_every = 64};

/* Answers all items with an error: there is no memory for their columns. */
static uint32_t lose_items(struct many *many)
{
	for (; many->done < many->count && board_begin_item(many->host->board, (uint32_t)many->id); many->done++) {
		task_no_map(&many->host->task);
		host_put_item_error(many->host, (uint32_t)many->id, many_task(many));
	}
	return (uint32_t)many->done;
}

static int read_trace(struct reader *reader, struct task *task)
{
	struct span text;

	return read_text(reader, &text) < 0 ? -1 : task_trace_by(task, text);
}

void items_on_message(struct host *host, struct reader *reader, uint32_t fields)
{
	struct items items = {.many = {.host = host, .kind = &items_kind}};
	struct many *many = &items.many;
	struct span name;

	if (read_uint(reader, &many->id) < 0 || read_uint(reader, &host->task.handle.call.session) < 0 ||
	    read_text(reader, &name) < 0 || read_uint(reader, &host->task.handle.call.deadline) < 0 ||
	    read_uint(reader, &items.binding) < 0 || read_uint(reader, &items.shape) < 0 ||
	    read_uint(reader, &many->first) < 0 || read_uint(reader, &many->count) < 0)
		quit_protocol();
	many->found = host_find_method(host, name) == 0;
	if (!host_begin_batch(host, (uint32_t)many->id))
		return;
	task_begin(&host->task, false); /* without progress: a map tells how many of its items are done */
	const int r = read_columns(reader, host->inbox.files, &items);
	if (r == -EINVAL || (r == 0 && fields == 12 && read_trace(reader, &host->task) < 0))
		quit_protocol();
	const uint32_t ran = r < 0 ? lose_items(many) : many_run(many);
	if (ran < many->count)
		host_put_passed(host, (uint32_t)many->id);
	host_end_batch(host, (uint32_t)many->id, ran);
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
