/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class Queue, with a host made here: calls of it are answered at once or deferred, and the test decides which of those
 * that wait are cancelled, go away or are woken. A deferred call is freed as soon as a real host would free it.
 */
#include "tests/unit/values.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = 10000, ROUNDS = 300, STEPS = 2000, NOBODY = -1 };

enum fate {
	WAITS,    /* deferred, and not answered yet */
	DONE,     /* answered with a value */
	FAILED,   /* answered with an error */
	GONE,     /* nobody waits for it any more, and the class was told so */
	CANCELED, /* nobody waits for it any more: the class was told so when it answered */
};

/* What has become of a call; the test keeps its number. */
struct outcome {
	enum fate fate;
	char type[32], message[200];
	char value[64]; /* as printed, or as much as fits */
	struct deferred *deferred; /* NULL: it doesn't wait */
};

struct deferred {
	struct objpool_call call; /* first: the host's functions find it by this */
	TAILQ_ENTRY(deferred) link;
	struct world *world;
	int number;
	bool putter, cancelled, failed;
	uint64_t wake_at;
};

struct world {
	struct objpool_call call; /* of the method that runs; first, too */
	struct objpool_place place;
	const struct objpool_class *class;
	void *self;
	int number;               /* of the call that runs */
	bool defers, failed, cancelled, putter;
	int count, room;
	struct outcome *outcomes;
	int limit;                /* how many calls may be deferred */
	int getters, putters;     /* how many are */
	TAILQ_HEAD(, deferred) deferred; /* in the order in which they came */
	void (*on_answer)(struct world *world, int number, bool putter);
};

/* ---- the host ---- */

static bool is_deferred(const struct objpool_call *call)
{
	return call->method == NULL;
}

static struct world *world_of(struct objpool_call *call)
{
	return is_deferred(call) ? ((struct deferred *)call)->world : (struct world *)call;
}

static void host_fail(struct objpool_call *call, const struct objpool_failure *error)
{
	struct world *world = world_of(call);
	struct outcome *outcome = &world->outcomes[is_deferred(call) ? ((struct deferred *)call)->number : world->number];

	*(is_deferred(call) ? &((struct deferred *)call)->failed : &world->failed) = true;
	snprintf(outcome->type, sizeof outcome->type, "%s", error->type ? error->type : error->code ? error->code : "FAILED");
	snprintf(outcome->message, sizeof outcome->message, "%s", error->message);
}

static bool host_cancelled(const struct objpool_call *call)
{
	return ((const struct world *)call)->cancelled;
}

static struct objpool_call *host_defer(struct objpool_call *call, uint64_t wake_at)
{
	struct world *world = (struct world *)call;

	assert_false(world->defers);
	if (world->getters + world->putters == world->limit)
		return NULL;
	struct deferred *deferred = calloc(1, sizeof *deferred);
	assert_non_null(deferred);
	deferred->call = *call;
	deferred->call.method = NULL;
	deferred->world = world;
	deferred->number = world->number;
	deferred->putter = world->putter;
	deferred->wake_at = wake_at;
	TAILQ_INSERT_TAIL(&world->deferred, deferred, link);
	*(deferred->putter ? &world->putters : &world->getters) += 1;
	world->outcomes[world->number].deferred = deferred;
	world->defers = true;
	return &deferred->call;
}

/* Whoever uses it once more will notice. */
static void end(struct deferred *deferred, enum fate fate)
{
	struct world *world = deferred->world;

	world->outcomes[deferred->number].fate = fate;
	world->outcomes[deferred->number].deferred = NULL;
	TAILQ_REMOVE(&world->deferred, deferred, link);
	*(deferred->putter ? &world->putters : &world->getters) -= 1;
	memset(deferred, 0xdd, sizeof *deferred);
	free(deferred);
}

static void print_value(char *text, size_t size, const void *bytes, size_t n)
{
	msgpack_unpacked unpacked;
	size_t used = 0;

	msgpack_unpacked_init(&unpacked);
	assert_int_equal(msgpack_unpack_next(&unpacked, bytes, n, &used), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(used, n);
	text[msgpack_object_print_buffer(text, size - 1, unpacked.data)] = '\0';
	msgpack_unpacked_destroy(&unpacked);
}

static int host_answer(struct objpool_call *call, const void *bytes, size_t size)
{
	struct deferred *deferred = (struct deferred *)call;
	struct world *world = deferred->world;
	struct outcome *outcome = &world->outcomes[deferred->number];
	const int number = deferred->number;
	const bool failed = deferred->failed, cancelled = deferred->cancelled, putter = deferred->putter;

	assert_ptr_equal(outcome->deferred, deferred);
	if (!failed && !cancelled)
		print_value(outcome->value, sizeof outcome->value, bytes, size);
	if (!failed && world->on_answer) /* it must be the one of its kind that has waited longest */
		world->on_answer(world, number, putter);
	end(deferred, cancelled ? CANCELED : failed ? FAILED : DONE);
	return cancelled ? -ECANCELED : 0;
}

static const struct objpool_host host = {.size = sizeof(struct objpool_host), .fail = host_fail, .cancelled = host_cancelled,
					 .defer = host_defer, .answer = host_answer};

/* ---- the world ---- */

static const struct objpool_class *queue_class(void)
{
	const char *directory = getenv("OBJPOOL_PLUGINS");
	char path[512];

	snprintf(path, sizeof path, "%s/queue.so", directory ? directory : "build/plugins");
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	const struct objpool_plugin *plugin = dlsym(library, "objpool_plugin");
	assert_non_null(plugin);
	assert_string_equal(plugin->classes[0]->name, "Queue");
	return plugin->classes[0];
}

/* The number of a new call. */
static int next_number(struct world *world)
{
	if (world->count == world->room) {
		world->room = world->room ? 2 * world->room : 64;
		world->outcomes = realloc(world->outcomes, (size_t)world->room * sizeof *world->outcomes);
		assert_non_null(world->outcomes);
	}
	world->outcomes[world->count] = (struct outcome){.fate = WAITS};
	world->failed = world->defers = false;
	return world->number = world->count++;
}

static struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof *world);

	assert_non_null(world);
	world->place = (struct objpool_place){.pool = "tests", .slots = 1, .generation = 1};
	world->call = (struct objpool_call){.host = &host, .place = &world->place, .session = 1, .method = "create"};
	world->class = queue_class();
	world->limit = 1 << 30;
	TAILQ_INIT(&world->deferred);
	return world;
}

static int create(struct world *world, struct objpool_args args)
{
	(void)next_number(world);
	return world->class->create(&world->call, &args, &world->self);
}

static struct world *queue_of(int64_t maxsize)
{
	struct world *world = world_new();
	assert_int_equal(create(world, ARGS(POS(integer(maxsize)))), 0);
	return world;
}

static void world_free(struct world *world)
{
	if (world->self)
		world->class->destroy(world->self);
	while (!TAILQ_EMPTY(&world->deferred))
		end(TAILQ_FIRST(&world->deferred), GONE);
	free(world->outcomes);
	free(world);
}

static const struct objpool_method *find(const struct world *world, const char *name)
{
	const struct objpool_method *m = world->class->methods;
	while (m->name && strcmp(m->name, name) != 0)
		m++;
	if (!m->name)
		fail_msg("Queue has no method %s", name);
	return m;
}

/* Calls a method; the number of the call. */
static int begin(struct world *world, const char *name, struct objpool_args args)
{
	const int number = next_number(world);
	const struct objpool_method *method = find(world, name);
	msgpack_sbuffer out;
	msgpack_packer packer;

	assert_true(args.kwcount == 0 || method->flags & OBJPOOL_METHOD_KWARGS);
	assert_true(args.count <= (uint32_t)method->max_args);
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	world->call.method = name;
	world->putter = strncmp(name, "put", 3) == 0;
	const int r = method->call(world->self, &world->call, &args, &packer);
	assert_true((r != 0) == world->failed); /* who fails says why */
	if (r == 0 && !world->defers) {
		print_value(world->outcomes[number].value, sizeof world->outcomes[number].value, out.size ? out.data : "\xc0",
			    out.size ? out.size : 1);
		world->outcomes[number].fate = DONE;
	} else if (r != 0) {
		world->outcomes[number].fate = FAILED;
	} else {
		assert_int_equal(out.size, 0);
	}
	msgpack_sbuffer_destroy(&out);
	return number;
}

static void expect_fate(const struct world *world, int number, enum fate fate, const char *what)
{
	const struct outcome *outcome = &world->outcomes[number];
	if (outcome->fate != fate)
		fail_msg("call %d has fate %d, not %d (%s %s)", number, outcome->fate, fate, outcome->type, outcome->message);
	if (what)
		assert_string_equal(fate == FAILED ? outcome->type : outcome->value, what);
}

static void expect(struct world *world, const char *name, struct objpool_args args, const char *value)
{
	expect_fate(world, begin(world, name, args), DONE, value);
}

static void expect_failure(struct world *world, const char *name, struct objpool_args args, const char *type,
			   const char *message)
{
	const int number = begin(world, name, args);
	expect_fate(world, number, FAILED, type);
	if (!strstr(world->outcomes[number].message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, world->outcomes[number].message);
}

static int begin_to_wait(struct world *world, const char *name, struct objpool_args args)
{
	const int number = begin(world, name, args);
	expect_fate(world, number, WAITS, NULL);
	return number;
}

static int put(struct world *world, int64_t value)
{
	return begin(world, "put", ARGS(POS(integer(value))));
}

static void expect_number(struct world *world, const char *name, int64_t number)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)number);
	expect(world, name, NONE, text);
}

static void expect_waiting(struct world *world, int getters, int putters)
{
	char text[64];
	snprintf(text, sizeof text, "{\"getters\"=>%d, \"putters\"=>%d}", getters, putters);
	expect(world, "waiting", NONE, text);
}

static struct deferred *deferred_of(struct world *world, int number)
{
	struct deferred *deferred = world->outcomes[number].deferred;
	assert_non_null(deferred);
	return deferred;
}

/* Nobody waits for it any more, and the class is told. */
static void go(struct world *world, int number)
{
	struct deferred *deferred = deferred_of(world, number);
	world->class->deferred(world->self, &deferred->call, OBJPOOL_GONE);
	assert_ptr_equal(world->outcomes[number].deferred, deferred); /* it must not be answered */
	end(deferred, GONE);
}

/* The same, but the class has not been told yet. */
static void cancel(struct world *world, int number)
{
	deferred_of(world, number)->cancelled = true;
}

static void wake(struct world *world, int number)
{
	struct deferred *deferred = deferred_of(world, number);
	world->class->deferred(world->self, &deferred->call, OBJPOOL_WAKE);
}

static double seconds_until_wake(struct world *world, int number)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)deferred_of(world, number)->wake_at / 1e9 - ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

/* ---- items ---- */

static void items_come_out_as_they_went_in(void **state)
{
	struct world *world = queue_of(0);
	char name[] = "deep";
	msgpack_object inner[] = {text(name), integer(-1)};

	(void)state;
	expect(world, "empty", NONE, "true");
	expect(world, "put", ARGS(POS(array(inner, 2))), "nil");
	memset(name, 'x', sizeof name - 1); /* what was put must be a copy */
	inner[1] = integer(2);
	expect(world, "put", ARGS(KEY({text("value"), text("two")})), "nil");
	expect(world, "put_nowait", ARGS(POS({.type = MSGPACK_OBJECT_NIL})), "nil");
	expect(world, "put", ARGS(POS(real(0.5))), "nil");
	expect(world, "size", NONE, "4");
	expect(world, "empty", NONE, "false");
	expect(world, "full", NONE, "false");
	expect(world, "peek", NONE, "[\"deep\", -1]");
	expect(world, "peek", NONE, "[\"deep\", -1]");
	expect(world, "get", NONE, "[\"deep\", -1]");
	expect(world, "get_nowait", NONE, "\"two\"");
	expect(world, "get", ARGS(POS(integer(1))), "nil");
	expect(world, "get", ARGS(KEY({text("block"), yes()})), "0.500000");
	expect(world, "size", NONE, "0");
	world_free(world);
}

static void arguments_are_checked(void **state)
{
	struct world *world = queue_of(0), *none = world_new();

	(void)state;
	expect_failure(world, "put", NONE, "BAD_ARGUMENT", "value is missing");
	expect_failure(world, "put_nowait", NONE, "BAD_ARGUMENT", "value is missing");
	expect_failure(world, "put", ARGS(POS(integer(1), integer(-1))), "BAD_ARGUMENT", "timeout must be");
	expect_failure(world, "get", ARGS(POS(text("1"))), "BAD_ARGUMENT", "timeout must be");
	expect_failure(world, "get", ARGS(POS(real(1e300))), "BAD_ARGUMENT", "timeout must be");
	expect_failure(world, "get", ARGS(POS(real(0.0 / 0.0))), "BAD_ARGUMENT", "timeout must be");
	expect_failure(world, "get", ARGS(POS(integer(1), integer(1))), "BAD_ARGUMENT", "block must be");
	expect_failure(world, "get", ARGS(KEY({text("tiemout"), integer(1)})), "BAD_ARGUMENT", "\"tiemout\"");
	expect(world, "size", NONE, "0");
	world_free(world);
	assert_int_not_equal(create(none, ARGS(POS(integer(-1)))), 0);
	assert_int_not_equal(create(none, ARGS(KEY({text("maxsize"), text("1")}))), 0);
	assert_int_equal(create(none, ARGS(KEY({text("maxsize"), integer(1)}))), 0);
	world_free(none);
}

static void who_does_not_wait_fails_at_once(void **state)
{
	struct world *world = queue_of(1);
	msgpack_object no = {.type = MSGPACK_OBJECT_BOOLEAN};

	(void)state;
	expect_failure(world, "get", ARGS(POS(integer(0))), "Empty", "the queue is empty");
	expect_failure(world, "get", ARGS(POS(integer(9), no)), "Empty", "the queue is empty");
	expect_failure(world, "get_nowait", NONE, "Empty", "the queue is empty");
	expect_failure(world, "peek", NONE, "Empty", "the queue is empty");
	expect_fate(world, put(world, 1), DONE, "nil");
	expect(world, "full", NONE, "true");
	expect_failure(world, "put", ARGS(POS(integer(2), real(0))), "Full", "the queue is full");
	expect_failure(world, "put", ARGS(POS(integer(2)), KEY({text("block"), no})), "Full", "the queue is full");
	expect_failure(world, "put_nowait", ARGS(POS(integer(2))), "Full", "the queue is full");
	expect(world, "get", NONE, "1");
	expect(world, "size", NONE, "0");
	world_free(world);
}

/* Who has given up before it begins takes nothing and brings nothing. */
static void cancelled_calls_do_nothing(void **state)
{
	struct world *world = queue_of(0);

	(void)state;
	put(world, 1);
	world->cancelled = true;
	expect_failure(world, "get", NONE, "Cancelled", "cancelled");
	expect_failure(world, "put", ARGS(POS(integer(2))), "Cancelled", "cancelled");
	world->cancelled = false;
	expect(world, "get", NONE, "1");
	expect(world, "empty", NONE, "true");
	world_free(world);
}

/* ---- those who wait ---- */

static void getters_are_served_in_turn(void **state)
{
	struct world *world = queue_of(0);
	char value[32];
	int *getters = calloc(MANY, sizeof *getters);

	(void)state;
	for (int i = 0; i < MANY; i++)
		getters[i] = begin_to_wait(world, "get", NONE);
	expect_waiting(world, MANY, 0);
	for (int i = 0; i < MANY; i++) {
		expect_fate(world, put(world, i), DONE, "nil");
		snprintf(value, sizeof value, "%d", i);
		expect_fate(world, getters[i], DONE, value);
		if (i + 1 < MANY) /* a new one doesn't overtake those that wait */
			expect_failure(world, "get_nowait", NONE, "Empty", "the queue is empty");
	}
	expect_waiting(world, 0, 0);
	expect(world, "empty", NONE, "true");
	free(getters);
	world_free(world);
}

static void shuffle(int *numbers, int n)
{
	for (int i = n - 1; i > 0; i--) {
		const int other = rand() % (i + 1), number = numbers[i];
		numbers[i] = numbers[other];
		numbers[other] = number;
	}
}

static void waiters_may_leave_from_anywhere(void **state)
{
	struct world *world = queue_of(0);
	int *getters = calloc(MANY, sizeof *getters);
	const int stay = 100;
	int left = MANY;

	(void)state;
	srand(1);
	for (int i = 0; i < MANY; i++)
		getters[i] = begin_to_wait(world, "get", NONE);
	shuffle(getters, MANY);
	while (left > stay)
		go(world, getters[--left]);
	expect_waiting(world, stay, 0);
	for (int i = 0; i < stay; i++)
		put(world, i);
	for (int i = 0; i < stay; i++) /* the older a call is, the smaller is what it got */
		for (int j = 0; j < stay; j++)
			assert_true((getters[i] < getters[j]) ==
				    (atoi(world->outcomes[getters[i]].value) < atoi(world->outcomes[getters[j]].value)));
	expect_waiting(world, 0, 0);
	expect(world, "empty", NONE, "true");
	free(getters);
	world_free(world);
}

static void what_a_cancelled_getter_refuses_goes_to_the_next(void **state)
{
	struct world *world = queue_of(0);
	int getters[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		getters[i] = begin_to_wait(world, "get", NONE);
	cancel(world, getters[0]);
	cancel(world, getters[1]);
	cancel(world, getters[3]);
	put(world, 1);
	expect_fate(world, getters[0], CANCELED, NULL);
	expect_fate(world, getters[1], CANCELED, NULL);
	expect_fate(world, getters[2], DONE, "1");
	expect_fate(world, getters[3], WAITS, NULL);
	put(world, 2); /* nobody is left for it */
	put(world, 3);
	expect_fate(world, getters[3], CANCELED, NULL);
	expect_waiting(world, 0, 0);
	expect(world, "size", NONE, "2");
	expect(world, "get", NONE, "2");
	expect(world, "get", NONE, "3");
	world_free(world);
}

static void putters_come_in_in_turn(void **state)
{
	struct world *world = queue_of(2);
	int putters[4];

	(void)state;
	put(world, 1);
	put(world, 2);
	for (int i = 0; i < 4; i++)
		putters[i] = begin_to_wait(world, "put", ARGS(POS(integer(3 + i))));
	expect_waiting(world, 0, 4);
	expect(world, "size", NONE, "2");
	expect_failure(world, "put_nowait", ARGS(POS(integer(9))), "Full", "the queue is full");
	expect(world, "get", NONE, "1");
	expect_fate(world, putters[0], DONE, "nil");
	expect_fate(world, putters[1], WAITS, NULL);
	go(world, putters[1]);     /* what these two brought doesn't come in */
	cancel(world, putters[2]);
	expect(world, "get", NONE, "2");
	expect_fate(world, putters[2], CANCELED, NULL);
	expect_fate(world, putters[3], DONE, "nil");
	expect_waiting(world, 0, 0);
	expect(world, "get", NONE, "3");
	expect(world, "get", NONE, "6");
	expect(world, "empty", NONE, "true");
	world_free(world);
}

static void clear_lets_putters_in(void **state)
{
	struct world *world = queue_of(2);
	int putters[3];

	(void)state;
	put(world, 1);
	put(world, 2);
	for (int i = 0; i < 3; i++)
		putters[i] = begin_to_wait(world, "put", ARGS(POS(integer(3 + i))));
	expect_number(world, "clear", 2);
	expect_fate(world, putters[0], DONE, "nil");
	expect_fate(world, putters[1], DONE, "nil");
	expect_fate(world, putters[2], WAITS, NULL);
	expect(world, "size", NONE, "2");
	expect(world, "get", NONE, "3");
	expect_number(world, "clear", 2);
	expect_number(world, "clear", 0);
	expect_fate(world, putters[2], DONE, "nil");
	const int getter = begin_to_wait(world, "get", NONE);
	expect_number(world, "clear", 0); /* that is nothing to getters */
	put(world, 7);
	expect_fate(world, getter, DONE, "7");
	world_free(world);
}

static void waiting_ends_in_time(void **state)
{
	struct world *world = queue_of(1);

	(void)state;
	const int ever = begin_to_wait(world, "get", NONE);
	const int some = begin_to_wait(world, "get", ARGS(POS(real(1000.5))));
	const int last = begin_to_wait(world, "get", ARGS(KEY({text("timeout"), integer(5000)})));
	assert_true(deferred_of(world, ever)->wake_at == 0);
	assert_true(seconds_until_wake(world, some) > 990 && seconds_until_wake(world, some) <= 1000.5);
	assert_true(seconds_until_wake(world, last) > 4990 && seconds_until_wake(world, last) <= 5000);
	wake(world, some);
	expect_fate(world, some, FAILED, "Empty");
	assert_string_equal(world->outcomes[some].message, "the queue is empty");
	put(world, 1);
	put(world, 2);
	expect_fate(world, ever, DONE, "1");
	expect_fate(world, last, DONE, "2");
	put(world, 3);
	const int first = begin_to_wait(world, "put", ARGS(POS(integer(4), integer(2000))));
	const int second = begin_to_wait(world, "put", ARGS(POS(integer(5))));
	assert_true(seconds_until_wake(world, first) > 1990);
	cancel(world, first); /* and nobody hears that it failed */
	wake(world, first);
	expect_fate(world, first, CANCELED, NULL);
	expect(world, "get", NONE, "3");
	expect_fate(world, second, DONE, "nil");
	const int third = begin_to_wait(world, "put", ARGS(POS(integer(6), integer(2000))));
	wake(world, third);
	expect_fate(world, third, FAILED, "Full");
	expect(world, "get", NONE, "5");
	expect_waiting(world, 0, 0);
	expect(world, "empty", NONE, "true");
	world_free(world);
}

static void no_more_can_wait_than_the_host_keeps(void **state)
{
	struct world *world = queue_of(1);

	(void)state;
	world->limit = 2;
	const int first = begin_to_wait(world, "get", NONE), second = begin_to_wait(world, "get", NONE);
	expect_failure(world, "get", NONE, "TooManyWaiters",
		       "the queue is empty, and no more calls can wait for it: 2 do already");
	put(world, 1);
	put(world, 2);
	expect_fate(world, first, DONE, "1");
	expect_fate(world, second, DONE, "2");
	world->limit = 0;
	put(world, 3);
	expect_failure(world, "put", ARGS(POS(integer(4))), "TooManyWaiters", "the queue is full, and no more calls can wait");
	expect(world, "get", NONE, "3");
	expect(world, "empty", NONE, "true");
	world_free(world);
}

/* ---- the end ---- */

static void a_queue_hands_its_items_on(void **state)
{
	struct world *old = queue_of(3), *new = queue_of(2);
	msgpack_sbuffer out;
	msgpack_packer packer;
	msgpack_unpacked unpacked;
	size_t used = 0;

	(void)state;
	put(old, 1);
	begin(old, "put", ARGS(POS(text("two"))));
	put(old, 3);
	begin_to_wait(old, "put", ARGS(POS(integer(4)))); /* is told that the worker is gone: its item isn't in */
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_unpacked_init(&unpacked);
	assert_int_equal(old->class->snapshot(old->self, &old->call, &packer), 0);
	world_free(old);
	assert_int_equal(msgpack_unpack_next(&unpacked, out.data, out.size, &used), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(used, out.size);
	assert_int_equal(new->class->restore(new->self, &new->call, &unpacked.data), 0);
	msgpack_unpacked_destroy(&unpacked);
	msgpack_sbuffer_destroy(&out);
	expect(new, "size", NONE, "3");
	expect(new, "full", NONE, "true");
	const int putter = begin_to_wait(new, "put", ARGS(POS(integer(5))));
	expect(new, "get", NONE, "1");
	expect_fate(new, putter, WAITS, NULL); /* there are two still */
	expect(new, "get", NONE, "\"two\"");
	expect_fate(new, putter, DONE, "nil");
	expect(new, "get", NONE, "3");
	expect(new, "get", NONE, "5");
	msgpack_object wrong[] = {integer(1)};
	const msgpack_object no_bytes = array(wrong, 1);
	assert_int_not_equal(new->class->restore(new->self, &new->call, wrong), 0);
	assert_int_not_equal(new->class->restore(new->self, &new->call, &no_bytes), 0);
	world_free(new);
}

/* For the leak checker. */
static void a_queue_may_end_with_all_it_has(void **state)
{
	struct world *putters = queue_of(1), *getters = queue_of(1);

	(void)state;
	for (int i = 0; i < 3; i++)
		put(putters, i);
	begin_to_wait(getters, "get", NONE);
	begin_to_wait(getters, "get", NONE);
	expect_waiting(putters, 0, 2);
	world_free(putters);
	world_free(getters);
}

/* ---- at random ----
 *
 * The values that are put count up. `in` has those whose putters were told so, in the order in which they were; what comes
 * out must be just that.
 */

struct ledger {
	unsigned seed;             /* 0: all went well */
	int64_t maxsize;
	int64_t value;             /* the last that was brought */
	int64_t *of;               /* by number of call: what it brought */
	int64_t in[STEPS];
	int came_in, went_out;
} ledger;

static void note_out(int64_t value)
{
	assert_true(ledger.went_out < ledger.came_in);
	assert_int_equal(value, ledger.in[ledger.went_out]);
	ledger.went_out++;
}

static void note_in(int64_t value)
{
	ledger.in[ledger.came_in++] = value;
}

static int oldest(const struct world *world, bool putter)
{
	const struct deferred *deferred;
	TAILQ_FOREACH(deferred, &world->deferred, link)
		if (deferred->putter == putter)
			return deferred->number;
	return NOBODY;
}

static void note_answer(struct world *world, int number, bool putter)
{
	assert_int_equal(number, oldest(world, putter));
	if (world->outcomes[number].deferred->cancelled)
		return;
	if (putter)
		note_in(ledger.of[number]);
	else
		note_out(atoll(world->outcomes[number].value));
}

static void put_something(struct world *world)
{
	const int number = world->count;

	ledger.of[number] = ++ledger.value;
	note_in(ledger.value); /* before: it may go out at once */
	const int out = ledger.went_out;
	assert_int_equal(put(world, ledger.value), number);
	if (world->outcomes[number].fate == DONE) {
		assert_int_equal(world->putters, 0); /* nobody was overtaken */
		return;
	}
	assert_int_equal(ledger.went_out, out);
	ledger.came_in--;
	assert_int_equal(ledger.came_in - ledger.went_out, ledger.maxsize);
}

static void get_something(struct world *world)
{
	const int getters = world->getters;
	const int to_be = ledger.came_in - ledger.went_out;
	const int64_t first = to_be ? ledger.in[ledger.went_out] : 0;

	/* Those who wait with an item come in during the call, and behind it. */
	const int number = begin(world, "get", NONE);
	if (world->outcomes[number].fate != DONE) {
		assert_int_equal(to_be, 0);
		return;
	}
	assert_int_equal(getters, 0);
	assert_int_equal(atoll(world->outcomes[number].value), first);
	note_out(first);
}

static int any_waiter(struct world *world)
{
	const int waiters = world->getters + world->putters;
	struct deferred *deferred = TAILQ_FIRST(&world->deferred);

	for (int i = waiters ? rand() % waiters : 0; i > 0; i--)
		deferred = TAILQ_NEXT(deferred, link);
	return deferred ? deferred->number : NOBODY;
}

static void disturb_somebody(struct world *world)
{
	const int number = any_waiter(world);

	if (number == NOBODY)
		return;
	switch (rand() % 3) {
	case 0:
		cancel(world, number);
		break;
	case 1:
		go(world, number);
		break;
	default:
		wake(world, number);
	}
}

static void clear_all(struct world *world)
{
	const int before = ledger.came_in;
	const int to_be = before - ledger.went_out;

	expect_number(world, "clear", to_be);
	ledger.went_out += to_be;
}

static void do_something(struct world *world, int bias)
{
	const int chance = rand() % 100;

	if (chance < bias)
		put_something(world);
	else if (chance < 80)
		get_something(world);
	else if (chance < 98)
		disturb_somebody(world);
	else
		clear_all(world);
}

static void check_all(struct world *world)
{
	expect_number(world, "size", ledger.came_in - ledger.went_out);
	expect_waiting(world, world->getters, world->putters);
	assert_true(ledger.maxsize == 0 || ledger.came_in - ledger.went_out <= ledger.maxsize);
	assert_true(world->getters == 0 || ledger.came_in == ledger.went_out);
	assert_true(world->putters == 0 || ledger.came_in - ledger.went_out == ledger.maxsize);
}

static void no_item_is_lost_or_given_twice(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		srand(seed);
		ledger = (struct ledger){.seed = seed, .maxsize = rand() % 5, .of = calloc(4 * STEPS, sizeof *ledger.of)};
		struct world *world = queue_of(ledger.maxsize);
		world->on_answer = note_answer;
		for (int i = 0; i < STEPS; i++) {
			if (i % 100 == 0)
				world->limit = rand() % 4 ? 1 << 30 : 3;
			do_something(world, i / 200 % 2 ? 30 : 50);
			check_all(world);
		}
		while (ledger.went_out < ledger.came_in)
			get_something(world);
		world_free(world);
		free(ledger.of);
	}
	ledger.seed = 0;
}

static int tell_the_seed(void **state)
{
	(void)state;
	if (ledger.seed > 0)
		print_error("seed %u\n", ledger.seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_out_as_they_went_in),
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test(who_does_not_wait_fails_at_once),
		cmocka_unit_test(cancelled_calls_do_nothing),
		cmocka_unit_test(getters_are_served_in_turn),
		cmocka_unit_test(waiters_may_leave_from_anywhere),
		cmocka_unit_test(what_a_cancelled_getter_refuses_goes_to_the_next),
		cmocka_unit_test(putters_come_in_in_turn),
		cmocka_unit_test(clear_lets_putters_in),
		cmocka_unit_test(waiting_ends_in_time),
		cmocka_unit_test(no_more_can_wait_than_the_host_keeps),
		cmocka_unit_test(a_queue_hands_its_items_on),
		cmocka_unit_test(a_queue_may_end_with_all_it_has),
		cmocka_unit_test_teardown(no_item_is_lost_or_given_twice, tell_the_seed),
	};
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
