/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: class Queue, which many clients share: items that clients put, other clients get, first in, first out.
 *
 * get() on an empty queue and put() on a full one wait. They defer their answers, so that the instance serves others meanwhile. A
 * waiter is found by its deferred call (call->own). Waiters stand in a line, and can leave it from the middle.
 *
 * Between two calls this always holds: while getters wait there is no item; while putters wait the queue is full. So a later call
 * never overtakes a waiter.
 *
 * No item is lost, and none is given twice: an item stays at the front until the host says that its getter has got it, and it is
 * in the queue only once its putter has been told so.
 */
#include <objpool/plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define TIMEOUT_MAX 1e9 /* seconds */

/* A value, packed. */
struct item {
	TAILQ_ENTRY(item) link;
	size_t size;
	char packed[];
};

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct line *line;
	struct objpool_call *call;
	struct item *item; /* the item of a putter; NULL: the waiter is a getter */
};

/* The first has waited longest. */
struct line {
	TAILQ_HEAD(, waiter) waiters;
	uint64_t length;
};

struct queue {
	TAILQ_HEAD(, item) items;
	uint64_t size, maxsize; /* maxsize 0: no limit */
	struct line getters, putters;
};

/* How long a call may wait. */
struct patience {
	bool waits;
	uint64_t until; /* CLOCK_MONOTONIC, nanoseconds; 0: for ever */
};

static const struct patience none = {.waits = false};

typedef const struct objpool_args queue_args;

/* ---- items ---- */

/* NULL: out of memory. */
static struct item *item_new(const msgpack_object *value)
{
	struct item *item = NULL;
	struct objpool_buffer packed = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &packed, objpool_buffer_write);
	if (msgpack_pack_object(&packer, *value) == 0 && (item = malloc(sizeof *item + packed.size))) {
		item->size = packed.size;
		memcpy(item->packed, packed.data, packed.size);
	}
	objpool_buffer_free(&packed);
	return item;
}

static int put_item(msgpack_packer *packer, const struct item *item)
{
	return packer->callback(packer->data, item->packed, item->size);
}

static bool is_full(const struct queue *queue)
{
	return queue->maxsize > 0 && queue->size >= queue->maxsize;
}

static void append(struct queue *queue, struct item *item)
{
	TAILQ_INSERT_TAIL(&queue->items, item, link);
	queue->size++;
}

static void drop_first(struct queue *queue)
{
	struct item *item = TAILQ_FIRST(&queue->items);
	TAILQ_REMOVE(&queue->items, item, link);
	queue->size--;
	free(item);
}

/* ---- waiters ---- */

static void waiter_free(struct waiter *waiter)
{
	free(waiter->item);
	free(waiter);
}

static void leave(struct waiter *waiter)
{
	TAILQ_REMOVE(&waiter->line->waiters, waiter, link);
	waiter->line->length--;
}

/* Takes out the one who has waited longest; NULL: nobody waits. */
static struct waiter *take_first(struct line *line)
{
	struct waiter *waiter = TAILQ_FIRST(&line->waiters);
	if (waiter)
		leave(waiter);
	return waiter;
}

static int no_memory(struct objpool_call *call)
{
	return objpool_fail(call, "MemoryError", "out of memory");
}

static int too_many(struct objpool_call *call, const struct line *line, const char *state)
{
	return objpool_fail(call, "TooManyWaiters", "the queue is %s, and no more calls can wait for it: %llu do already", state,
			    (unsigned long long)line->length);
}

/* Has the call wait at the end of the line. Owns the item from now on, also when it fails. */
static int wait_in(struct line *line, struct objpool_call *call, const struct patience *patience, struct item *item)
{
	struct waiter *waiter = malloc(sizeof *waiter);

	if (!waiter) {
		free(item);
		return no_memory(call);
	}
	*waiter = (struct waiter){.line = line, .item = item, .call = objpool_defer(call, patience->until)};
	if (!waiter->call) {
		waiter_free(waiter);
		return too_many(call, line, item ? "full" : "empty");
	}
	waiter->call->own = waiter;
	TAILQ_INSERT_TAIL(&line->waiters, waiter, link);
	line->length++;
	return 0;
}

/* Gives items to the getters that wait. */
static void give_out(struct queue *queue)
{
	struct waiter *getter;

	while (queue->size > 0 && (getter = take_first(&queue->getters))) {
		const struct item *item = TAILQ_FIRST(&queue->items);
		if (objpool_answer(getter->call, item->packed, item->size) == 0)
			drop_first(queue);
		waiter_free(getter);
	}
}

/* Takes in the items of the putters that wait. A putter that has given up was told that its item is not in: the item stays
 * out. */
static void let_in(struct queue *queue)
{
	static const char nil[] = {(char)0xc0};
	struct waiter *putter;

	while (!is_full(queue) && (putter = take_first(&queue->putters))) {
		if (objpool_answer(putter->call, nil, sizeof nil) == 0) {
			append(queue, putter->item);
			putter->item = NULL;
		}
		waiter_free(putter);
	}
}

static int fail_empty(struct objpool_call *call)
{
	return objpool_fail(call, "Empty", "the queue is empty");
}

static int fail_full(struct objpool_call *call)
{
	return objpool_fail(call, "Full", "the queue is full");
}

/* The host calls it: a waiter's time is over, or nobody waits for its answer any more. */
static void queue_deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	struct waiter *waiter = call->own;

	(void)self;
	leave(waiter);
	if (event == OBJPOOL_WAKE) {
		(void)(waiter->item ? fail_full(call) : fail_empty(call));
		(void)objpool_answer(call, NULL, 0);
	}
	waiter_free(waiter);
}

/* ---- arguments ---- */

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* NAN: it is no number. */
static double number_of(const msgpack_object *value)
{
	switch (value->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return (double)value->via.u64;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return value->via.f64;
	default:
		return NAN;
	}
}

/* Reads the arguments `timeout` and `block`; NULL: not given. */
static int read_patience(struct objpool_call *call, const msgpack_object *timeout, const msgpack_object *block,
			 struct patience *patience)
{
	const double seconds = timeout ? number_of(timeout) : TIMEOUT_MAX;

	if (!(seconds >= 0 && seconds <= TIMEOUT_MAX))
		return objpool_bad_argument(call, "timeout must be a number of seconds from 0 to %.0f", TIMEOUT_MAX);
	if (block && block->type != MSGPACK_OBJECT_BOOLEAN)
		return objpool_bad_argument(call, "block must be true or false");
	patience->waits = seconds > 0 && (!block || block->via.boolean);
	patience->until = timeout ? now() + (uint64_t)(seconds * 1e9) : 0;
	return 0;
}

/* The argument `value`, which may be nil but must be there. */
static int read_value(struct objpool_call *call, queue_args *args, const msgpack_object *taken, msgpack_object *value)
{
	if (args->count == 0 && !objpool_kwarg(args, "value"))
		return objpool_bad_argument(call, "value is missing");
	*value = taken ? *taken : (msgpack_object){.type = MSGPACK_OBJECT_NIL};
	return 0;
}

/* ---- put and get ---- */

static int gave_up(struct objpool_call *call)
{
	return objpool_fail(call, "Cancelled", "cancelled before it began");
}

static int put(struct queue *queue, struct objpool_call *call, const msgpack_object *value, const struct patience *patience)
{
	if (objpool_cancelled(call))
		return gave_up(call);
	if (is_full(queue) && !patience->waits)
		return fail_full(call);
	struct item *item = item_new(value);
	if (!item)
		return no_memory(call);
	if (is_full(queue))
		return wait_in(&queue->putters, call, patience, item);
	append(queue, item);
	give_out(queue);
	return 0;
}

static int get(struct queue *queue, struct objpool_call *call, const struct patience *patience, msgpack_packer *result)
{
	if (objpool_cancelled(call))
		return gave_up(call);
	if (queue->size == 0 && !patience->waits)
		return fail_empty(call);
	if (queue->size == 0)
		return wait_in(&queue->getters, call, patience, NULL);
	if (put_item(result, TAILQ_FIRST(&queue->items)) != 0)
		return no_memory(call);
	if (objpool_commit(call) < 0)
		return gave_up(call);
	drop_first(queue);
	let_in(queue);
	return 0;
}

static int queue_put(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"value", "timeout", "block", NULL};
	const msgpack_object *v[3] = {NULL};
	struct patience patience;
	msgpack_object value;

	(void)result;
	if (objpool_take(call, args, names, 3, v) < 0 || read_value(call, args, v[0], &value) < 0 ||
	    read_patience(call, v[1], v[2], &patience) < 0)
		return -1;
	return put(self, call, &value, &patience);
}

static int queue_put_nowait(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"value", NULL};
	const msgpack_object *v = NULL;
	msgpack_object value;

	(void)result;
	if (objpool_take(call, args, names, 1, &v) < 0 || read_value(call, args, v, &value) < 0)
		return -1;
	return put(self, call, &value, &none);
}

static int queue_get(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"timeout", "block", NULL};
	const msgpack_object *v[2] = {NULL};
	struct patience patience;

	if (objpool_take(call, args, names, 2, v) < 0 || read_patience(call, v[0], v[1], &patience) < 0)
		return -1;
	return get(self, call, &patience, result);
}

static int queue_get_nowait(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	(void)args;
	return get(self, call, &none, result);
}

/* ---- the other methods ---- */

static int queue_peek(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	const struct queue *queue = self;

	(void)args;
	if (queue->size == 0)
		return fail_empty(call);
	return put_item(result, TAILQ_FIRST(&queue->items)) == 0 ? 0 : no_memory(call);
}

static int queue_size(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	msgpack_pack_uint64(result, ((struct queue *)self)->size);
	return 0;
}

static void put_bool(msgpack_packer *result, bool yes)
{
	(void)(yes ? msgpack_pack_true(result) : msgpack_pack_false(result));
}

static int queue_empty(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_bool(result, ((struct queue *)self)->size == 0);
	return 0;
}

static int queue_full(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_bool(result, is_full(self));
	return 0;
}

static void put_count(msgpack_packer *result, const char *name, uint64_t count)
{
	msgpack_pack_str(result, strlen(name));
	msgpack_pack_str_body(result, name, strlen(name));
	msgpack_pack_uint64(result, count);
}

static int queue_waiting(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	const struct queue *queue = self;

	(void)call;
	(void)args;
	msgpack_pack_map(result, 2);
	put_count(result, "getters", queue->getters.length);
	put_count(result, "putters", queue->putters.length);
	return 0;
}

static int queue_clear(void *self, struct objpool_call *call, queue_args *args, msgpack_packer *result)
{
	struct queue *queue = self;

	(void)call;
	(void)args;
	msgpack_pack_uint64(result, queue->size);
	while (queue->size > 0)
		drop_first(queue);
	let_in(queue);
	return 0;
}

/* ---- life ---- */

static void line_init(struct line *line)
{
	TAILQ_INIT(&line->waiters);
	line->length = 0;
}

static int read_maxsize(struct objpool_call *call, queue_args *args, uint64_t *size)
{
	static const char *const names[] = {"maxsize", NULL};
	const msgpack_object *maxsize = NULL;

	if (objpool_take(call, args, names, 1, &maxsize) < 0)
		return -1;
	if (maxsize && maxsize->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return objpool_bad_argument(call, "maxsize must be an integer, 0 or more");
	*size = maxsize ? maxsize->via.u64 : 0;
	return 0;
}

static int queue_check(struct objpool_call *call, queue_args *args)
{
	uint64_t unused;

	return read_maxsize(call, args, &unused);
}

static int queue_create(struct objpool_call *call, queue_args *args, void **self)
{
	uint64_t maxsize;

	if (read_maxsize(call, args, &maxsize) < 0)
		return -1;
	struct queue *queue = malloc(sizeof *queue);
	if (!queue)
		return no_memory(call);
	TAILQ_INIT(&queue->items);
	queue->size = 0;
	queue->maxsize = maxsize;
	line_init(&queue->getters);
	line_init(&queue->putters);
	*self = queue;
	return 0;
}

static void line_clear(struct line *line)
{
	struct waiter *waiter;
	while ((waiter = take_first(line)))
		waiter_free(waiter);
}

/* The daemon answers the calls that still wait. */
static void queue_destroy(void *self)
{
	struct queue *queue = self;

	while (queue->size > 0)
		drop_first(queue);
	line_clear(&queue->getters);
	line_clear(&queue->putters);
	free(queue);
}

/* Writes the items, each as its packed bytes. */
static int queue_snapshot(void *self, struct objpool_call *call, msgpack_packer *state)
{
	const struct queue *queue = self;
	const struct item *item;

	(void)call;
	msgpack_pack_array(state, (size_t)queue->size);
	TAILQ_FOREACH(item, &queue->items, link) {
		msgpack_pack_bin(state, item->size);
		msgpack_pack_bin_body(state, item->packed, item->size);
	}
	return 0;
}

static int restore_item(struct queue *queue, struct objpool_call *call, const msgpack_object *packed)
{
	if (packed->type != MSGPACK_OBJECT_BIN)
		return objpool_fail(call, NULL, "an item of the state is not bytes");
	struct item *item = malloc(sizeof *item + packed->via.bin.size);
	if (!item)
		return no_memory(call);
	item->size = packed->via.bin.size;
	memcpy(item->packed, packed->via.bin.ptr, item->size);
	append(queue, item);
	return 0;
}

/* There may be more items than maxsize, if it is smaller now. Then the queue is full until enough have been got. */
static int queue_restore(void *self, struct objpool_call *call, const msgpack_object *state)
{
	if (state->type != MSGPACK_OBJECT_ARRAY)
		return objpool_fail(call, NULL, "the state is not an array");
	for (uint32_t i = 0; i < state->via.array.size; i++)
		if (restore_item(self, call, &state->via.array.ptr[i]) < 0)
			return -1;
	return 0;
}

/* ---- what the plugin exports ---- */

static const struct objpool_method methods[] = {
	{.name = "put", .signature = "(value: any, timeout: float | None = None, block: bool = True) -> None",
	 .doc = "Puts a value in. While the queue is full it waits, and fails with Full after so many seconds, if at all.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = queue_put, .max_args = 3},
	{.name = "put_nowait", .signature = "(value: any) -> None", .doc = "The same, but fails with Full at once.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = queue_put_nowait, .max_args = 1},
	{.name = "get", .signature = "(timeout: float | None = None, block: bool = True) -> any",
	 .doc = "Takes the oldest value. While there is none it waits, and fails with Empty after so many seconds, if at all.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = queue_get, .max_args = 2},
	{.name = "get_nowait", .signature = "() -> any", .doc = "The same, but fails with Empty at once.",
	 .call = queue_get_nowait},
	{.name = "peek", .signature = "() -> any", .doc = "The oldest value, which stays there; fails with Empty at once.",
	 .flags = OBJPOOL_METHOD_READONLY, .call = queue_peek},
	{.name = "size", .signature = "() -> int", .doc = "How many values there are.",
	 .flags = OBJPOOL_METHOD_READONLY, .call = queue_size},
	{.name = "empty", .signature = "() -> bool", .doc = "Is there no value?",
	 .flags = OBJPOOL_METHOD_READONLY, .call = queue_empty},
	{.name = "full", .signature = "() -> bool", .doc = "Are there maxsize values?",
	 .flags = OBJPOOL_METHOD_READONLY, .call = queue_full},
	{.name = "waiting", .signature = "() -> Waiting", .doc = "How many calls wait to get a value, and to put one.",
	 .flags = OBJPOOL_METHOD_READONLY, .call = queue_waiting},
	{.name = "clear", .signature = "() -> int",
	 .doc = "Drops all values, and says how many; those that wait to be put come in then.", .call = queue_clear},
	{.name = NULL},
};

static const char *const types[] = {"Waiting(getters: int, putters: int)", NULL};

static const struct objpool_class queue_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Queue",
	.doc = "What one client puts, another gets: first in, first out, and who waits longest is served first.",
	.signature = "(maxsize: int = 0)",
	.create = queue_create,
	.check = queue_check,
	.destroy = queue_destroy,
	.methods = methods,
	.types = types,
	.snapshot = queue_snapshot,
	.restore = queue_restore,
	.deferred = queue_deferred,
};

static const struct objpool_class *const classes[] = {&queue_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "queue",
	.version = "1.0",
	.classes = classes,
};
