/* SPDX-License-Identifier: Apache-2.0 */
/* A class whose calls are at work between methods: an epoll descriptor and a time tell it to go on. */
#include <objpool/plugin.h>

#include <sys/epoll.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

enum { VALUE = 100000 /* bytes of a value that is yielded */ };

struct work {
	TAILQ_ENTRY(work) link;
	struct objpool_call *call;
	uint64_t left; /* values to be yielded, then the call is answered; 0: it waits for the pipe */
	bool full;     /* it may not yield more */
	int fd;        /* a pipe's end: it is answered once that can be read; -1: none */
};

static struct {
	TAILQ_HEAD(, work) list;
	int epoll, pipe[2];
	uint64_t rooms, gone, steps, late;
} own;

static uint64_t now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Anything that can be yielded now makes it want to be called at once. */
static int watch(struct objpool_call *call)
{
	const struct work *work;
	bool busy = false;

	TAILQ_FOREACH(work, &own.list, link)
		busy = busy || (work->fd < 0 && !work->full);
	return objpool_watch(call, own.epoll, busy ? now() : 0);
}

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	struct epoll_event event = {.events = EPOLLIN};

	(void)args;
	(void)self;
	TAILQ_INIT(&own.list);
	own.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (own.epoll < 0 || pipe(own.pipe) < 0 || epoll_ctl(own.epoll, EPOLL_CTL_ADD, own.pipe[0], &event) < 0)
		return objpool_fail(call, "OSError", "no descriptors");
	return 0;
}

static struct work *begin(struct objpool_call *call, uint64_t left, int fd)
{
	struct work *work = calloc(1, sizeof *work);

	if (!work || !(work->call = objpool_defer(call, 0))) {
		free(work);
		return NULL;
	}
	(void)objpool_at_work(work->call);
	work->call->own = work;
	work->left = left;
	work->fd = fd;
	TAILQ_INSERT_TAIL(&own.list, work, link);
	return work;
}

static void forget(struct work *work)
{
	TAILQ_REMOVE(&own.list, work, link);
	free(work);
}

/* Waits until `write` writes to the pipe. */
static int read_pipe(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	return begin(call, 0, own.pipe[0]) ? watch(call) : objpool_fail(call, NULL, "it can't be put off");
}

static int write_pipe(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	return write(own.pipe[1], "x", 1) == 1 ? 0 : objpool_fail(call, NULL, "the pipe is full");
}

static int values(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)result;
	return begin(call, args->values[0].via.u64, -1) ? watch(call) : objpool_fail(call, NULL, "it can't be put off");
}

static int counts(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const uint64_t counted[] = {own.rooms, own.gone, own.steps, own.late};

	(void)self, (void)call, (void)args;
	msgpack_pack_array(result, 4);
	for (int i = 0; i < 4; i++)
		msgpack_pack_uint64(result, counted[i]);
	return 0;
}

/* One value, or the answer. */
static void yield_one(struct work *work)
{
	static char value[5 + VALUE] = {(char)0xc6, 0, VALUE >> 16, (char)(VALUE >> 8 & 0xff), (char)(VALUE & 0xff)};

	if (work->left == 0) {
		(void)objpool_answer(work->call, "\xc0", 1);
		forget(work);
		return;
	}
	const int r = objpool_yield(work->call, value, sizeof value);
	work->full = r == -EAGAIN;
	work->left -= r == 0;
	if (r == 0 || r == -EAGAIN || r == -ECANCELED)
		return;
	objpool_fail(work->call, NULL, "%s", strerror(-r));
	(void)objpool_answer(work->call, NULL, 0);
	forget(work);
}

static void answer_reader(struct work *work)
{
	char byte;

	if (read(own.pipe[0], &byte, 1) != 1)
		return;
	(void)objpool_answer(work->call, "\xa1x", 2);
	forget(work);
}

static void ready(void *self, struct objpool_call *call)
{
	struct epoll_event event;
	struct work *work, *next;
	bool can_read = epoll_wait(own.epoll, &event, 1, 0) == 1;

	(void)self;
	own.steps++;
	for (work = TAILQ_FIRST(&own.list); work; work = next) {
		next = TAILQ_NEXT(work, link);
		if (work->fd < 0 && !work->full) {
			yield_one(work);
		} else if (work->fd >= 0 && can_read) {
			answer_reader(work);
			can_read = false;
		}
	}
	(void)watch(call);
}

static void deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	struct work *work = call->own;

	(void)self;
	own.rooms += event == OBJPOOL_ROOM;
	own.gone += event == OBJPOOL_GONE;
	work->full = false;
	(void)watch(call);
	if (event != OBJPOOL_GONE)
		return;
	own.late += objpool_answer(call, "\xc0", 1) == -ECANCELED; /* nobody waits for that */
	forget(work);
}

/* The same, and begins in the method. */
static int values_at_once(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct work *work = begin(call, args->values[0].via.u64, -1);

	(void)self, (void)result;
	if (!work)
		return objpool_fail(call, NULL, "it can't be put off");
	for (int i = 0; i < 20 && !work->full; i++) /* more than the caller may be ahead */
		yield_one(work);
	return watch(call);
}

static const struct objpool_method methods[] = {
	{.name = "read", .call = read_pipe},
	{.name = "write", .call = write_pipe},
	{.name = "values", .call = values, .min_args = 1, .max_args = 1},
	{.name = "values_at_once", .call = values_at_once, .min_args = 1, .max_args = 1},
	{.name = "counts", .call = counts},
	{.name = NULL},
};

static const struct objpool_class ticker = {
	OBJPOOL_CLASS_HEAD,
	.name = "Ticker",
	.create = create,
	.methods = methods,
	.deferred = deferred,
	.ready = ready,
};

static const struct objpool_class *const classes[] = {&ticker, NULL};

const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "ticker", .version = "1", .classes = classes};
