/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: class Probe, for tests and for operators who want to see what a pool does when a method is slow, fails, crashes
 * or lies; and class Echo, the smallest one that has `dispatch` in place of a table of methods.
 *
 * A pool of Probes lets every caller kill its workers, fill memory and burn CPU. Don't leave one in production.
 *
 * The order here: arguments, the constructor, then methods that answer, wait, keep, fail, and harm; last what the plugin
 * exports. Every method of Probe begins with probe_called(), so that calls() can tell how many there were.
 */
#include <objpool/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define SLICE         5000000u /* nanoseconds between two looks at whether the call was cancelled */
#define SECONDS_MOST  1e6
#define BLOB_MOST     (1u << 30)
#define ALLOCATE_MOST (UINT64_C(64) << 30)

enum { PATTERN = 4096, TOO_DEEP = 33, PAGE = 4096, PRELOAD_BYTE = 0x5a };

/* Memory that allocate() took: a chain, freed as a whole. */
struct chunk {
	struct chunk *next;
	uint64_t size;
};

struct probe {
	uint64_t calls;
	uint64_t allocated;
	struct chunk *chunks;
	msgpack_sbuffer kept; /* what set() was given, packed; empty: nothing */
	msgpack_sbuffer tag;
};

/* What the constructor was told. Strings are borrowed from the arguments. */
struct orders {
	const msgpack_object *fail, *fail_slots, *fail_times_file, *sleep, *crash, *exit, *preload_bytes, *preload_fail, *tag;
};

/* Filled in the template, then only read. */
static uint8_t *preloaded;
static uint64_t preloaded_size;

/* ---- arguments ---- */

static uint32_t find_name(const char *const *names, const msgpack_object_str *key)
{
	uint32_t i = 0;
	while (names[i] && (strlen(names[i]) != key->size || memcmp(names[i], key->ptr, key->size) != 0))
		i++;
	return i;
}

/* Sorts arguments into `values`, in the order of `names`, the first `places` of which need no name; absent: NULL. */
static int take(struct objpool_call *call, const struct objpool_args *args, const char *const *names, uint32_t places,
		const msgpack_object **values)
{
	if (args->count > places)
		return objpool_bad_argument(call, "at most %u positional arguments, not %u", places, args->count);
	for (uint32_t i = 0; names[i]; i++)
		values[i] = i < args->count ? &args->values[i] : NULL;
	for (uint32_t k = 0; k < args->kwcount; k++) {
		const msgpack_object_str *key = &args->kwargs[k].key.via.str;
		const uint32_t i = find_name(names, key);
		if (!names[i])
			return objpool_bad_argument(call, "unknown keyword argument \"%.*s\"",
						    (int)(key->size < 80 ? key->size : 80), key->ptr);
		if (values[i])
			return objpool_bad_argument(call, "%s is given twice", names[i]);
		values[i] = &args->kwargs[k].val;
	}
	for (uint32_t i = 0; names[i]; i++)
		if (values[i] && values[i]->type == MSGPACK_OBJECT_NIL)
			values[i] = NULL;
	return 0;
}

static int take_one(struct objpool_call *call, const struct objpool_args *args, const char *name,
		    const msgpack_object **value)
{
	const char *const names[] = {name, NULL};
	return take(call, args, names, 1, value);
}

static bool is_integer(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER || value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

static bool is_float(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32;
}

static __int128 integer_of(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? (__int128)value->via.i64 : (__int128)value->via.u64;
}

static double real_of(const msgpack_object *value)
{
	return is_float(value) ? value->via.f64 : (double)integer_of(value);
}

static int want_integer(struct objpool_call *call, const char *name, const msgpack_object *value, int64_t least,
			uint64_t most, int64_t *integer)
{
	if (!value || !is_integer(value) || integer_of(value) < least || integer_of(value) > most)
		return objpool_bad_argument(call, "%s must be an integer from %lld to %llu", name, (long long)least,
					    (unsigned long long)most);
	*integer = (int64_t)integer_of(value);
	return 0;
}

/* 0 when there is none. */
static int want_seconds(struct objpool_call *call, const msgpack_object *value, double *seconds)
{
	*seconds = 0;
	if (!value)
		return 0;
	if (is_integer(value) || is_float(value))
		*seconds = real_of(value);
	if ((!is_integer(value) && !is_float(value)) || !(*seconds >= 0 && *seconds <= SECONDS_MOST))
		return objpool_bad_argument(call, "seconds must be a number from 0 to %.0f", SECONDS_MOST);
	return 0;
}

/* A copy with a NUL at its end, to be freed; NULL when there is no value, which is not an error. */
static int want_text(struct objpool_call *call, const char *name, const msgpack_object *value, char **text)
{
	*text = NULL;
	if (!value)
		return 0;
	if (value->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "%s must be a string", name);
	*text = strndup(value->via.str.ptr, value->via.str.size);
	return *text ? 0 : objpool_fail(call, "MemoryError", "out of memory");
}

static void put_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

static void put_raw(msgpack_packer *packer, const void *bytes, size_t size)
{
	(void)packer->callback(packer->data, bytes, size);
}

static void put_array(msgpack_packer *packer, const struct objpool_args *args)
{
	msgpack_pack_array(packer, args->count);
	for (uint32_t i = 0; i < args->count; i++)
		msgpack_pack_object(packer, args->values[i]);
}

static void put_kwargs(msgpack_packer *packer, const struct objpool_args *args)
{
	msgpack_pack_map(packer, args->kwcount);
	for (uint32_t i = 0; i < args->kwcount; i++) {
		msgpack_pack_object(packer, args->kwargs[i].key);
		msgpack_pack_object(packer, args->kwargs[i].val);
	}
}

/* Keeps a value beyond the call that brought it: packed, it needs no zone to live in. */
static int keep(struct objpool_call *call, msgpack_sbuffer *kept, const msgpack_object *value)
{
	msgpack_packer packer;

	msgpack_sbuffer_clear(kept);
	msgpack_packer_init(&packer, kept, msgpack_sbuffer_write);
	if (msgpack_pack_object(&packer, *value) == 0)
		return 0;
	msgpack_sbuffer_clear(kept);
	return objpool_fail(call, "MemoryError", "out of memory");
}

static void put_kept(msgpack_packer *packer, const msgpack_sbuffer *kept)
{
	if (kept->size > 0)
		put_raw(packer, kept->data, kept->size);
	else
		msgpack_pack_nil(packer);
}

/* ---- time ---- */

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t end_of(double seconds)
{
	return now() + (uint64_t)(seconds * 1e9);
}

static void sleep_until(uint64_t when)
{
	const struct timespec t = {.tv_sec = (time_t)(when / 1000000000u), .tv_nsec = (long)(when % 1000000000u)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* ---- dying ---- */

/*
 * As a real crash would go: first whatever the host does about the signal, then its default action; so that neither a
 * handler that returns nor a mask keeps us alive.
 */
static void die_of(int signal_number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(signal_number);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

/* ---- the constructor, and preload ---- */

static int read_orders(struct objpool_call *call, const struct objpool_args *args, struct orders *orders)
{
	static const char *const names[] = {"fail",	     "fail_slots",   "fail_times_file", "sleep", "crash", "exit",
					    "preload_bytes", "preload_fail", "tag",		NULL};
	const msgpack_object *v[9] = {NULL};

	if (take(call, args, names, 0, v) < 0)
		return -1;
	*orders = (struct orders){.fail = v[0], .fail_slots = v[1], .fail_times_file = v[2], .sleep = v[3], .crash = v[4],
				  .exit = v[5], .preload_bytes = v[6], .preload_fail = v[7], .tag = v[8]};
	return 0;
}

/* Does `fail_slots` leave this slot in peace? 1, 0, or -1 when it is no array of slots. */
static int is_spared(struct objpool_call *call, const msgpack_object *slots)
{
	int64_t slot = 0;
	int spared = 1;

	if (!slots)
		return 0;
	if (slots->type != MSGPACK_OBJECT_ARRAY)
		return objpool_bad_argument(call, "fail_slots must be an array of slot numbers");
	for (uint32_t i = 0; i < slots->via.array.size; i++) {
		if (want_integer(call, "a slot of fail_slots", &slots->via.array.ptr[i], 0, UINT32_MAX, &slot) < 0)
			return -1;
		if (slot == call->place->slot)
			spared = 0;
	}
	return spared;
}

/* Takes one from the number in the file, which all slots share. False when it was 0 already, or there is no such file. */
static bool count_down(const char *path)
{
	char text[32] = "";
	const int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)flock(fd, LOCK_EX);
	const ssize_t n = pread(fd, text, sizeof text - 1, 0);
	const long left = n > 0 ? strtol(text, NULL, 10) : 0;
	if (left > 0 && ftruncate(fd, 0) == 0)
		(void)pwrite(fd, text, (size_t)snprintf(text, sizeof text, "%ld\n", left - 1), 0);
	(void)close(fd);
	return left > 0;
}

/* Has the file's number of failures been used up? 1, 0, or -1 when the argument is wrong. */
static int is_over(struct objpool_call *call, const msgpack_object *file)
{
	char *path;

	if (want_text(call, "fail_times_file", file, &path) < 0)
		return -1;
	const bool over = path && !count_down(path);
	free(path);
	return over;
}

static int fail_text(struct objpool_call *call, const char *name, const msgpack_object *message)
{
	char *text;

	if (want_text(call, name, message, &text) < 0 || !text)
		return message ? -1 : 0;
	objpool_fail(call, "ProbeError", "%s", text);
	free(text);
	return -1;
}

/* The signal that `crash` asks for, 0: none, or -1. */
static int want_crash(struct objpool_call *call, const msgpack_object *crash)
{
	int64_t number = 0;

	if (!crash)
		return 0;
	if (crash->type == MSGPACK_OBJECT_BOOLEAN)
		return crash->via.boolean ? SIGSEGV : 0;
	return want_integer(call, "crash", crash, 1, (uint64_t)SIGRTMAX, &number) < 0 ? -1 : (int)number;
}

/* What the constructor was told to do to itself. */
static int obey(struct objpool_call *call, const struct orders *orders)
{
	int64_t status = 0;
	int r;

	if ((r = is_spared(call, orders->fail_slots)) != 0 || (r = is_over(call, orders->fail_times_file)) != 0)
		return r < 0 ? -1 : 0;
	if (orders->exit && want_integer(call, "exit", orders->exit, 0, 255, &status) < 0)
		return -1;
	if (orders->exit)
		exit((int)status);
	const int signal_number = want_crash(call, orders->crash);
	if (signal_number < 0)
		return -1;
	if (signal_number > 0)
		die_of(signal_number);
	return fail_text(call, "fail", orders->fail);
}

static struct probe *probe_free(struct probe *probe)
{
	while (probe && probe->chunks) {
		struct chunk *gone = probe->chunks;
		probe->chunks = gone->next;
		free(gone);
	}
	if (probe) {
		msgpack_sbuffer_destroy(&probe->kept);
		msgpack_sbuffer_destroy(&probe->tag);
	}
	free(probe);
	return NULL;
}

static int probe_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	struct orders orders;
	double seconds;

	if (read_orders(call, args, &orders) < 0 || want_seconds(call, orders.sleep, &seconds) < 0)
		return -1;
	if (seconds > 0)
		sleep_until(end_of(seconds));
	if (obey(call, &orders) < 0)
		return -1;
	struct probe *probe = calloc(1, sizeof *probe);
	if (!probe)
		return objpool_fail(call, "MemoryError", "out of memory");
	msgpack_sbuffer_init(&probe->kept);
	msgpack_sbuffer_init(&probe->tag);
	if (orders.tag && keep(call, &probe->tag, orders.tag) < 0)
		probe = probe_free(probe);
	*self = probe;
	return probe ? 0 : -1;
}

static void probe_destroy(void *self)
{
	probe_free(self);
}

/* The memory is filled, so that workers have it from the template and not from nowhere. */
static int probe_preload(struct objpool_call *call, const struct objpool_args *args)
{
	struct orders orders;
	int64_t size = 0;

	if (read_orders(call, args, &orders) < 0 || fail_text(call, "preload_fail", orders.preload_fail) < 0)
		return -1;
	if (orders.preload_bytes &&
	    want_integer(call, "preload_bytes", orders.preload_bytes, 0, ALLOCATE_MOST, &size) < 0)
		return -1;
	if (size == 0)
		return 0;
	preloaded = malloc((size_t)size);
	if (!preloaded)
		return objpool_fail(call, "MemoryError", "no memory for %lld bytes", (long long)size);
	memset(preloaded, PRELOAD_BYTE, (size_t)size);
	preloaded_size = (uint64_t)size;
	return 0;
}

/* ---- methods that answer ---- */

typedef const struct objpool_args probe_args;

static struct probe *probe_called(void *self)
{
	struct probe *probe = self;
	probe->calls++;
	return probe;
}

static int probe_echo(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	probe_called(self);
	if (args->kwcount > 0) {
		msgpack_pack_map(result, 2);
		put_text(result, "args");
		put_array(result, args);
		put_text(result, "kwargs");
		put_kwargs(result, args);
	} else if (args->count == 1) {
		msgpack_pack_object(result, args->values[0]);
	} else {
		put_array(result, args);
	}
	return 0;
}

static int probe_kwargs(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	probe_called(self);
	put_kwargs(result, args);
	return 0;
}

static int probe_add(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"a", "b", NULL};
	const msgpack_object *v[2] = {NULL};

	probe_called(self);
	if (take(call, args, names, 2, v) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (!v[i] || (!is_integer(v[i]) && !is_float(v[i])))
			return objpool_bad_argument(call, "%s must be a number", names[i]);
	const bool integers = is_integer(v[0]) && is_integer(v[1]);
	const __int128 sum = integers ? integer_of(v[0]) + integer_of(v[1]) : 0;
	if (!integers || sum < INT64_MIN || sum > UINT64_MAX)
		msgpack_pack_double(result, real_of(v[0]) + real_of(v[1]));
	else if (sum < 0)
		msgpack_pack_int64(result, (int64_t)sum);
	else
		msgpack_pack_uint64(result, (uint64_t)sum);
	return 0;
}

static int probe_blob(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	uint8_t pattern[PATTERN];
	const msgpack_object *n = NULL;
	int64_t left = 0;

	probe_called(self);
	if (take_one(call, args, "n", &n) < 0 || want_integer(call, "n", n, 0, BLOB_MOST, &left) < 0)
		return -1;
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)i;
	msgpack_pack_bin(result, (size_t)left);
	for (; left > 0; left -= PATTERN)
		msgpack_pack_bin_body(result, pattern, left < PATTERN ? (size_t)left : PATTERN);
	return 0;
}

/* Eight bytes at a time, in lanes of 16 bits that hold the sums of 128 words. */
static uint64_t sum_of(const char *bytes, size_t size)
{
	const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
	uint64_t sum = 0, word;

	for (; size >= 128 * sizeof word; size -= 128 * sizeof word) {
		uint64_t lanes = 0;
		for (int i = 0; i < 128; i++, bytes += sizeof word) {
			memcpy(&word, bytes, sizeof word);
			lanes += (word & even) + (word >> 8 & even);
		}
		sum += (lanes & 0xffff) + (lanes >> 16 & 0xffff) + (lanes >> 32 & 0xffff) + (lanes >> 48);
	}
	for (; size > 0; size--)
		sum += (uint8_t)*bytes++;
	return sum;
}

static int probe_sum(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *bytes = NULL;

	probe_called(self);
	if (take_one(call, args, "bytes", &bytes) < 0)
		return -1;
	if (!bytes || bytes->type != MSGPACK_OBJECT_BIN)
		return objpool_bad_argument(call, "bytes must be a bin");
	msgpack_pack_uint64(result, sum_of(bytes->via.bin.ptr, bytes->via.bin.size));
	return 0;
}

static int put_u64(void *self, msgpack_packer *result, uint64_t value)
{
	probe_called(self);
	msgpack_pack_uint64(result, value);
	return 0;
}

static int probe_pid(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	return put_u64(self, result, (uint64_t)getpid());
}

static int probe_slot(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->place->slot);
}

static int probe_generation(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->place->generation);
}

static int probe_session(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->session);
}

static int probe_index(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->index);
}

static int probe_calls(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	return put_u64(self, result, ((struct probe *)self)->calls + 1);
}

static int probe_pool(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	probe_called(self);
	put_text(result, call->place->pool);
	return 0;
}

static int probe_deadline(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const uint64_t t = now();

	(void)args;
	probe_called(self);
	if (call->deadline == 0)
		msgpack_pack_nil(result);
	else
		msgpack_pack_double(result, call->deadline > t ? (double)(call->deadline - t) / 1e9 : 0);
	return 0;
}

/* How many of the preloaded bytes are what preload made them. */
static int probe_preloaded(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	uint64_t good = 0;

	(void)call;
	(void)args;
	for (uint64_t i = 0; i < preloaded_size; i++)
		good += preloaded[i] == PRELOAD_BYTE;
	return put_u64(self, result, good);
}

static int probe_print(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"text", "stream", NULL};
	const msgpack_object *v[2] = {NULL};
	char *stream;

	(void)result;
	probe_called(self);
	if (take(call, args, names, 2, v) < 0 || want_text(call, "stream", v[1], &stream) < 0)
		return -1;
	FILE *file = !stream || strcmp(stream, "stdout") == 0 ? stdout : strcmp(stream, "stderr") == 0 ? stderr : NULL;
	free(stream);
	if (!file)
		return objpool_bad_argument(call, "stream must be stdout or stderr");
	if (!v[0] || v[0]->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "text must be a string");
	(void)fwrite(v[0]->via.str.ptr, 1, v[0]->via.str.size, file);
	(void)fputc('\n', file);
	(void)fflush(file);
	return 0;
}

/* ---- methods that wait ---- */

static int probe_sleep(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	double seconds;

	probe_called(self);
	if (take_one(call, args, "seconds", &value) < 0 || want_seconds(call, value, &seconds) < 0)
		return -1;
	const uint64_t begin = now(), end = end_of(seconds);
	for (uint64_t t = begin; t < end; t = now()) {
		if (objpool_cancelled(call))
			return objpool_fail(call, "Cancelled", "cancelled after %.3f s", (double)(t - begin) / 1e9);
		sleep_until(end - t < SLICE ? end : t + SLICE);
	}
	msgpack_pack_double(result, seconds);
	return 0;
}

static int probe_sleep_hard(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	double seconds;

	probe_called(self);
	if (take_one(call, args, "seconds", &value) < 0 || want_seconds(call, value, &seconds) < 0)
		return -1;
	sleep_until(end_of(seconds));
	msgpack_pack_double(result, seconds);
	return 0;
}

static int probe_spin(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	double seconds;

	probe_called(self);
	if (take_one(call, args, "seconds", &value) < 0 || want_seconds(call, value, &seconds) < 0)
		return -1;
	for (const uint64_t end = end_of(seconds); now() < end;)
		;
	msgpack_pack_double(result, seconds);
	return 0;
}

/* ---- methods that keep something ---- */

static int probe_set(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
	struct probe *probe = probe_called(self);
	const msgpack_object *value = NULL;

	(void)result;
	if (take_one(call, args, "value", &value) < 0)
		return -1;
	return keep(call, &probe->kept, value ? value : &nil);
}

static int probe_get(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_kept(result, &probe_called(self)->kept);
	return 0;
}

static int probe_tag(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_kept(result, &probe_called(self)->tag);
	return 0;
}

static int probe_allocate(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *value = NULL;
	int64_t size = 0;

	if (take_one(call, args, "bytes", &value) < 0 || want_integer(call, "bytes", value, 0, ALLOCATE_MOST, &size) < 0)
		return -1;
	struct chunk *chunk = probe->allocated + (uint64_t)size <= ALLOCATE_MOST ? malloc(sizeof *chunk + (size_t)size) : NULL;
	if (!chunk)
		return objpool_fail(call, "MemoryError", "no memory for %lld bytes beside %llu", (long long)size,
				    (unsigned long long)probe->allocated);
	*chunk = (struct chunk){.next = probe->chunks, .size = (uint64_t)size};
	probe->chunks = chunk;
	probe->allocated += (uint64_t)size;
	for (int64_t i = 0; i < size; i += PAGE) /* memory that nobody has written to isn't there yet */
		((volatile uint8_t *)(chunk + 1))[i] = 1;
	msgpack_pack_int64(result, size);
	return 0;
}

static int probe_release(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);

	(void)call;
	(void)args;
	while (probe->chunks) {
		struct chunk *gone = probe->chunks;
		probe->chunks = gone->next;
		free(gone);
	}
	msgpack_pack_uint64(result, probe->allocated);
	probe->allocated = 0;
	return 0;
}

/* ---- methods that fail ---- */

struct failure {
	char *message, *type, *traceback;
	const msgpack_object *data;
};

static int read_failure(struct objpool_call *call, probe_args *args, struct failure *failure)
{
	static const char *const names[] = {"message", "type", "traceback", "data", NULL};
	const msgpack_object *v[4] = {NULL};

	if (take(call, args, names, 4, v) < 0 || want_text(call, "message", v[0], &failure->message) < 0 ||
	    want_text(call, "type", v[1], &failure->type) < 0 ||
	    want_text(call, "traceback", v[2], &failure->traceback) < 0)
		return -1;
	failure->data = v[3];
	if (v[3] && v[3]->type != MSGPACK_OBJECT_BIN && v[3]->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "data must be bytes");
	return 0;
}

static int probe_fail(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct failure failure = {0};

	(void)result;
	probe_called(self);
	if (read_failure(call, args, &failure) == 0) {
		struct objpool_error error = {.message = failure.message ? failure.message : "failed",
					      .type = failure.type ? failure.type : "ProbeError",
					      .traceback = failure.traceback};
		if (failure.data) { /* str and bin have one layout in msgpack-c */
			error.data = failure.data->via.bin.ptr;
			error.data_size = failure.data->via.bin.size;
		}
		objpool_fail_with(call, &error);
	}
	free(failure.message);
	free(failure.type);
	free(failure.traceback);
	return -1;
}

static void put_deep(msgpack_packer *result)
{
	for (int i = 0; i < TOO_DEEP; i++)
		msgpack_pack_array(result, 1);
	msgpack_pack_nil(result);
}

/* What a method must not write: the caller gets an error, and the worker lives on. */
static int probe_garbage(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	char *kind;
	int r = 0;

	probe_called(self);
	if (take_one(call, args, "kind", &value) < 0 || want_text(call, "kind", value, &kind) < 0)
		return -1;
	if (!kind || strcmp(kind, "two") == 0)
		put_raw(result, "\x01\x02", 2);
	else if (strcmp(kind, "half") == 0)
		put_raw(result, "\x92\x01", 2);
	else if (strcmp(kind, "text") == 0)
		put_raw(result, "\xaashort", 6);
	else if (strcmp(kind, "invalid") == 0)
		put_raw(result, "\xc1", 1);
	else if (strcmp(kind, "deep") == 0)
		put_deep(result);
	else
		r = objpool_bad_argument(call, "kind must be two, half, text, invalid or deep");
	free(kind);
	return r;
}

/* ---- methods that harm ---- */

static int probe_crash(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	int64_t number = SIGSEGV;

	(void)result;
	probe_called(self);
	if (take_one(call, args, "signal", &value) < 0 ||
	    (value && want_integer(call, "signal", value, 1, (uint64_t)SIGRTMAX, &number) < 0))
		return -1;
	die_of((int)number);
	return objpool_fail(call, "ProbeError", "signal %d does not kill", (int)number);
}

static int probe_exit(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	int64_t status = 0;

	(void)result;
	probe_called(self);
	if (take_one(call, args, "status", &value) < 0 ||
	    (value && want_integer(call, "status", value, 0, 255, &status) < 0))
		return -1;
	exit((int)status);
}

static int probe_abort(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	abort();
}

static int probe_close_fds(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	closefrom(3);
	return 0;
}

static int probe_close_std(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	for (int fd = 0; fd < 3; fd++)
		(void)close(fd);
	return 0;
}

/* ---- Echo ---- */

static int echo_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	*self = NULL; /* it has no state */
	return args->count + args->kwcount == 0 ? 0 : objpool_bad_argument(call, "Echo takes no arguments");
}

static void upper(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'a' && text[i] <= 'z')
			text[i] = (char)(text[i] - 'a' + 'A');
}

static void lower(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
}

static void reverse_bytes(char *text, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		const char c = text[i];
		text[i] = text[size - 1 - i];
		text[size - 1 - i] = c;
	}
}

/* By characters: all bytes, and then each character, whose lead byte has come last, back again. */
static void reverse(char *text, size_t size)
{
	reverse_bytes(text, size);
	for (size_t begin = 0, i = 0; i < size; i++)
		if (((uint8_t)text[i] & 0xc0) != 0x80) {
			reverse_bytes(text + begin, i + 1 - begin);
			begin = i + 1;
		}
}

static const struct {
	const char *name, *signature, *doc;
	void (*change)(char *text, size_t size);
} echo_methods[] = {
	{"upper", "(text: str) -> str", "The text with a-z made A-Z.", upper},
	{"lower", "(text: str) -> str", "The text with A-Z made a-z.", lower},
	{"reverse", "(text: str) -> str", "The text's characters from last to first.", reverse},
};

enum { ECHO_METHODS = sizeof echo_methods / sizeof *echo_methods };

static int echo_no_method(struct objpool_call *call)
{
	char text[128];
	const struct objpool_error error = {.code = "NO_SUCH_METHOD", .message = text};
	snprintf(text, sizeof text, "Echo has no method \"%.80s\"", call->method);
	return objpool_fail_with(call, &error);
}

static int echo_dispatch(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	size_t i = 0;

	(void)self;
	while (i < ECHO_METHODS && strcmp(echo_methods[i].name, call->method) != 0)
		i++;
	if (i == ECHO_METHODS)
		return echo_no_method(call);
	if (args->count != 1 || args->kwcount != 0 || args->values[0].type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "%s takes one string", call->method);
	const size_t size = args->values[0].via.str.size;
	char *text = malloc(size + 1); /* arguments are not ours to change */
	if (!text)
		return objpool_fail(call, "MemoryError", "out of memory");
	memcpy(text, args->values[0].via.str.ptr, size);
	echo_methods[i].change(text, size);
	msgpack_pack_str(result, size);
	msgpack_pack_str_body(result, text, size);
	free(text);
	return 0;
}

static int echo_list_methods(struct objpool_call *call, msgpack_packer *result)
{
	(void)call;
	msgpack_pack_array(result, ECHO_METHODS);
	for (size_t i = 0; i < ECHO_METHODS; i++) {
		msgpack_pack_map(result, 3);
		put_text(result, "name");
		put_text(result, echo_methods[i].name);
		put_text(result, "signature");
		put_text(result, echo_methods[i].signature);
		put_text(result, "doc");
		put_text(result, echo_methods[i].doc);
	}
	return 0;
}

/* ---- what the plugin exports ---- */

/* Without keyword arguments, and with; the last column: how many positional ones at most. */
#define PLAIN(method, function, text, about) \
	{.name = method, .signature = text, .doc = about, .call = function}
#define NAMED(method, function, most, text, about) \
	{.name = method, .signature = text, .doc = about, .call = function, .max_args = most, .flags = OBJPOOL_METHOD_KWARGS}

static const struct objpool_method probe_methods[] = {
	NAMED("echo", probe_echo, -1, "(*args, **kwargs) -> value",
	      "Its one argument; several, or none: an array of them; with keywords: {args, kwargs}."),
	NAMED("kwargs", probe_kwargs, 0, "(**kwargs) -> map", "Its keyword arguments."),
	NAMED("add", probe_add, 2, "(a: number, b: number) -> number", "The sum: of integers an integer while it fits."),
	NAMED("blob", probe_blob, 1, "(n: int) -> bin", "n bytes, counting up from 0 and over."),
	NAMED("sum", probe_sum, 1, "(bytes: bin) -> int", "The sum of the bytes."),
	PLAIN("pid", probe_pid, "() -> int", "The worker's process."),
	PLAIN("pool", probe_pool, "() -> str", "The pool's name."),
	PLAIN("slot", probe_slot, "() -> int", "The instance's slot."),
	PLAIN("generation", probe_generation, "() -> int", "How often the slot has been built."),
	PLAIN("session", probe_session, "() -> int", "The session that calls."),
	PLAIN("index", probe_index, "() -> int", "The item's number in a map or scatter."),
	PLAIN("deadline", probe_deadline, "() -> float | nil", "Seconds until the caller stops waiting."),
	PLAIN("calls", probe_calls, "() -> int", "How many methods of this instance were called, this one included."),
	PLAIN("tag", probe_tag, "() -> value", "What the constructor was given as tag."),
	PLAIN("preloaded", probe_preloaded, "() -> int", "How many bytes the template has preloaded, and are intact."),
	NAMED("print", probe_print, 2, "(text: str, stream: str = \"stdout\") -> nil",
	      "Prints a line to stdout or stderr: it goes to the log."),
	NAMED("sleep", probe_sleep, 1, "(seconds: float) -> float", "Waits; fails within 5 ms when the call is cancelled."),
	NAMED("sleep_hard", probe_sleep_hard, 1, "(seconds: float) -> float", "Waits, cancelled or not."),
	NAMED("spin", probe_spin, 1, "(seconds: float) -> float", "Burns CPU, cancelled or not."),
	NAMED("set", probe_set, 1, "(value) -> nil", "Keeps any value."),
	PLAIN("get", probe_get, "() -> value", "What was last set."),
	NAMED("allocate", probe_allocate, 1, "(bytes: int) -> int", "Takes memory and keeps it."),
	PLAIN("free", probe_release, "() -> int", "Frees what was allocated, and says how many bytes that was."),
	NAMED("fail", probe_fail, 4,
	      "(message = \"failed\", type = \"ProbeError\", traceback = None, data: bin = None)", "Fails."),
	NAMED("garbage", probe_garbage, 1, "(kind: str = \"two\")",
	      "Writes what is not one value: two, half, text (cut short), invalid, or deep (33 levels)."),
	NAMED("crash", probe_crash, 1, "(signal: int = 11)", "Dies of a signal."),
	NAMED("exit", probe_exit, 1, "(status: int = 0)", "Calls exit()."),
	PLAIN("abort", probe_abort, "()", "Calls abort()."),
	PLAIN("close_fds", probe_close_fds, "() -> nil", "Closes every descriptor from 3 on: the worker's channel with them."),
	PLAIN("close_std", probe_close_std, "() -> nil", "Closes descriptors 0, 1 and 2."),
	{.name = NULL},
};

static const struct objpool_class probe_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Probe",
	.doc = "Does what it is told, bad things too: for tests, not for production.",
	.signature = "(*, fail: str = None, fail_slots: [int] = None, fail_times_file: str = None, sleep: float = 0, "
		     "crash: bool | int = False, exit: int = None, preload_bytes: int = 0, preload_fail: str = None, tag = None)",
	.preload = probe_preload,
	.create = probe_create,
	.destroy = probe_destroy,
	.methods = probe_methods,
};

static const struct objpool_class echo_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Echo",
	.doc = "Changes text; an example of a class without a table of methods.",
	.signature = "()",
	.create = echo_create,
	.dispatch = echo_dispatch,
	.list_methods = echo_list_methods,
};

static const struct objpool_class *const classes[] = {&probe_class, &echo_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "probe",
	.version = "1.0",
	.classes = classes,
};
