/* SPDX-License-Identifier: Apache-2.0 */
/* A class whose hooks and methods fail where others don't, with rows of methods that are longer than the host's. */
#include <objpool/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 8 };

static int woken, gone, ended, kept_count;
static struct objpool_call *kept[KEPT];

/* With `memory`: the process may have so many bytes. */
static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	const msgpack_object *memory = objpool_kwarg(args, "memory");
	const struct rlimit limit = {memory ? memory->via.u64 : 0, RLIM_INFINITY};

	*self = NULL;
	return memory && setrlimit(RLIMIT_AS, &limit) < 0 ? objpool_fail(call, "Limit", "setrlimit: %s", strerror(errno)) : 0;
}

/* Says the bytes of its argument, a bin, on the channel to the supervisor, past the host. */
static int say(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const msgpack_object_bin *bytes = &args->values[0].via.bin;

	(void)self, (void)result;
	for (size_t said = 0; said < bytes->size;) {
		const ssize_t n = write(3, bytes->ptr + said, bytes->size - said);
		if (n < 0)
			return objpool_fail(call, "Unsaid", "write: %s", strerror(errno));
		said += (size_t)n;
	}
	return 0;
}

/* How many bytes its argument, a bin, has. */
static int size_of(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call;
	msgpack_pack_uint64(result, args->values[0].via.bin.size);
	return 0;
}

static uint64_t in_ms(uint64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + ms * 1000000u;
}

/* Defers the call, and fails all the same. */
static int defer_and_fail(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	if (!objpool_defer(call, in_ms(20)))
		return objpool_fail(call, "NotDeferred", "it can't be deferred");
	return objpool_fail(call, "Odd", "deferred and failed");
}

static int defer(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	if (kept_count == KEPT || !(kept[kept_count] = objpool_defer(call, 0)))
		return objpool_fail(call, "NotDeferred", "it can't be deferred");
	kept_count++;
	return 0;
}

/* Answers all that is deferred with a bin of so many bytes; how many still waited. */
static int answer(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	const size_t size = args->values[0].via.u64;
	char *bytes = calloc(size + 1, 1);
	msgpack_packer packer;
	int waited = 0;

	(void)self, (void)call;
	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	msgpack_pack_bin(&packer, size);
	msgpack_pack_bin_body(&packer, bytes, size);
	while (kept_count > 0)
		waited += objpool_answer(kept[--kept_count], buffer.data, buffer.size) == 0;
	objpool_buffer_free(&buffer);
	free(bytes);
	msgpack_pack_int(result, waited);
	return 0;
}

static int pause_ms(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const struct timespec t = {.tv_nsec = (long)(args->values[0].via.u64 * 1000000)};

	(void)self, (void)call, (void)result;
	(void)nanosleep(&t, NULL);
	return 0;
}

/* With a target: waits until it is cancelled, then calls that. What came of it, which the next call without a target tells. */
static int call_in_vain(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static char code[32] = "";
	const struct timespec t = {.tv_nsec = 1000000};
	struct objpool_outcome got;

	(void)self;
	while (args->count == 1 && !objpool_cancelled(call))
		(void)nanosleep(&t, NULL);
	if (args->count == 1) {
		const msgpack_object_str *target = &args->values[0].via.str;
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)target->size, target->ptr);
		const int r = objpool_invoke(call, name, "\x90", 1, &got);
		snprintf(code, sizeof code, "%s", r == -EREMOTEIO ? got.error.code : "");
	}
	msgpack_pack_str(result, strlen(code));
	msgpack_pack_str_body(result, code, strlen(code));
	return 0;
}

/* Waits so many ms, then fills what it shares with the supervisor with nonsense, as a wild pointer might. 0: does nothing. */
static int overwrite_board(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];

	(void)pause_ms(self, call, args, result);
	while (args->values[0].via.u64 > 0 && fgets(line, sizeof line, maps))
		if (strstr(line, "objpool-board") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			memset((void *)from, 0xe8, to - from);
	(void)fclose(maps);
	return 0;
}

/* An answer of so many zero bytes. */
static int large(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const size_t size = (size_t)args->values[0].via.u64;
	char *zeros = calloc(1, size);

	(void)self;
	if (!zeros)
		return objpool_fail(call, NULL, "out of memory");
	msgpack_pack_bin(result, size);
	msgpack_pack_bin_body(result, zeros, size);
	free(zeros);
	return 0;
}

/* Says of each large answer that this worker has sent from shared memory that it is 13 bytes shorter. Returns of how many. */
static int shorten_answers(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from;
	char line[512];
	int count = 0;

	(void)self, (void)args;
	if (!maps)
		return objpool_fail(call, NULL, "no maps");
	while (fgets(line, sizeof line, maps)) {
		if (!strstr(line, "objpool-payload") || !strstr(line, "rw") || sscanf(line, "%lx-", &from) != 1)
			continue;
		unsigned char *head = (unsigned char *)from;
		if (head[0] != 0xc6)
			continue;
		head[4] = (unsigned char)(head[4] - 13);
		count++;
	}
	fclose(maps);
	msgpack_pack_int(result, count);
	return 0;
}

/* [woken, gone, ended] */
static int events(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call, (void)args;
	msgpack_pack_array(result, 3);
	msgpack_pack_int(result, woken);
	msgpack_pack_int(result, gone);
	msgpack_pack_int(result, ended);
	return 0;
}

static void on_deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	(void)self, (void)call;
	woken += event == OBJPOOL_WAKE;
	gone += event == OBJPOOL_GONE;
	if (event == OBJPOOL_WAKE)
		objpool_fail(call, "Woken", "it was woken"), (void)objpool_answer(call, NULL, 0);
}

static void session_end(void *self, struct objpool_call *call, uint64_t session)
{
	(void)self, (void)session;
	ended++;
	objpool_fail(call, "Odd", "session_end has failed");
}

static void released(void *self, struct objpool_call *call)
{
	(void)self;
	objpool_fail(call, "Odd", "released has failed");
}

/* As a plugin of a later minor version has them. */
struct row {
	struct objpool_method method;
	const char *news;
};

static const struct row methods[] = {
	{{.name = "defer_and_fail", .call = defer_and_fail}, "news"},
	{{.name = "defer", .call = defer}, "news"},
	{{.name = "answer", .call = answer, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "pause", .call = pause_ms, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "events", .call = events}, "news"},
	{{.name = "overwrite_board", .call = overwrite_board, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "size_of", .call = size_of, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "large", .call = large, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "shorten_answers", .call = shorten_answers}, "news"},
	{{.name = "say", .call = say, .min_args = 1, .max_args = 1}, "news"},
	{{.name = "call_in_vain", .call = call_in_vain, .max_args = 1}, "news"},
	{{.name = NULL}, NULL},
};

static const struct objpool_class awkward = {
	OBJPOOL_CLASS_HEAD,      .name = "Awkward",          .create = create,     .methods = &methods[0].method,
	.deferred = on_deferred, .session_end = session_end, .released = released,
};

static const struct objpool_class *const classes[] = {&awkward, NULL};
const struct objpool_plugin objpool_plugin = {.abi = OBJPOOL_ABI,
					      .size = sizeof(struct objpool_plugin),
					      .method_size = sizeof(struct row),
					      .name = "awkward",
					      .classes = classes};
