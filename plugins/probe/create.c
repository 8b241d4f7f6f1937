/* SPDX-License-Identifier: Apache-2.0 */
/* The constructor, which can be told to be slow, to fail and to crash; preload; the destructor. */
#include "plugins/probe/arguments.h"
#include "plugins/probe/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PRELOAD_BYTE = 0x5a };

/* The constructor's arguments. All borrowed. */
struct orders {
	const msgpack_object *fail, *fail_slots, *fail_times_file, *sleep, *crash, *exit, *preload_bytes, *preload_fail, *tag,
		*snapshot_fail, *lease_fail, *destroy_file, *snapshot_sleep;
};

/* The template fills it; workers only read it. */
static uint8_t *preloaded;
static uint64_t preloaded_size;

static int read_orders(struct objpool_call *call, probe_args *args, struct orders *orders)
{
	static const char *const names[] = {"fail",	     "fail_slots",   "fail_times_file", "sleep",
					    "crash",	     "exit",	     "preload_bytes",	"preload_fail",
					    "tag",	     "snapshot_fail", "lease_fail",	"destroy_file",
					    "snapshot_sleep",
					    NULL};
	const msgpack_object *v[13] = {NULL};

	if (objpool_take(call, args, names, 0, v) < 0)
		return -1;
	*orders = (struct orders){.fail = v[0], .fail_slots = v[1], .fail_times_file = v[2], .sleep = v[3], .crash = v[4],
				  .exit = v[5], .preload_bytes = v[6], .preload_fail = v[7], .tag = v[8],
				  .snapshot_fail = v[9], .lease_fail = v[10], .destroy_file = v[11], .snapshot_sleep = v[12]};
	return 0;
}

/* Reads `fail_slots`. 1: it does not name this slot; 0: it does, or was not given; -1: it has failed the call. */
static int read_fail_slots(struct objpool_call *call, const msgpack_object *slots)
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

/* Subtracts one from the number in the file, which all slots share. False: it was 0 already, or this failed. */
static bool count_down(const char *path)
{
	char text[32] = "";
	const int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)flock(fd, LOCK_EX);
	const ssize_t n = pread(fd, text, sizeof text - 1, 0);
	const long left = n > 0 ? strtol(text, NULL, 10) : 0;
	const int size = snprintf(text, sizeof text, "%ld\n", left - 1);
	const bool counted = left > 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) == size;
	(void)close(fd);
	return counted;
}

/* Takes one failure from the number in the file. 1: there is none left; 0; -1: the argument is wrong, and has failed the call. */
static int take_file_failure(struct objpool_call *call, const msgpack_object *file)
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

/* The signal that `crash` asks for; 0: none; -1: it has failed the call. */
static int want_crash(struct objpool_call *call, const msgpack_object *crash)
{
	int64_t number = 0;

	if (!crash)
		return 0;
	if (crash->type == MSGPACK_OBJECT_BOOLEAN)
		return crash->via.boolean ? SIGSEGV : 0;
	return want_integer(call, "crash", crash, 1, (uint64_t)SIGRTMAX, &number) < 0 ? -1 : (int)number;
}

/* Does what the constructor was told to do at once: sleep, fail, crash. */
static int obey(struct objpool_call *call, const struct orders *orders)
{
	int64_t status = 0;
	int r;

	if ((r = read_fail_slots(call, orders->fail_slots)) != 0 || (r = take_file_failure(call, orders->fail_times_file)) != 0)
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
	probe_drop_held(probe);
	if (!probe)
		return NULL;
	while (probe->chunks) {
		struct chunk *gone = probe->chunks;
		probe->chunks = gone->next;
		free(gone);
	}
	msgpack_sbuffer_destroy(&probe->kept);
	msgpack_sbuffer_destroy(&probe->list.packed);
	msgpack_sbuffer_destroy(&probe->ended.packed);
	msgpack_sbuffer_destroy(&probe->tag);
	free(probe->lease_fail);
	free(probe->destroy_file);
	free(probe);
	return NULL;
}

static struct probe *probe_new(struct objpool_call *call)
{
	struct probe *probe = calloc(1, sizeof *probe);

	if (!probe)
		return NULL;
	msgpack_sbuffer_init(&probe->kept);
	msgpack_sbuffer_init(&probe->list.packed);
	msgpack_sbuffer_init(&probe->ended.packed);
	msgpack_sbuffer_init(&probe->tag);
	probe->slot = call->place->slot;
	probe->generation = call->place->generation;
	return probe;
}

/* Keeps what the instance was told to do later. */
static int remember(struct objpool_call *call, const struct orders *orders, struct probe *probe)
{
	if (orders->tag && keep(call, &probe->tag, orders->tag) < 0)
		return -1;
	if (want_seconds(call, orders->snapshot_sleep, &probe->snapshot_sleep) < 0 ||
	    want_bool(call, "snapshot_fail", orders->snapshot_fail, &probe->snapshot_fail) < 0 ||
	    want_text(call, "lease_fail", orders->lease_fail, &probe->lease_fail) < 0)
		return -1;
	return want_text(call, "destroy_file", orders->destroy_file, &probe->destroy_file);
}

int probe_check(struct objpool_call *call, probe_args *args)
{
	struct orders orders;
	double seconds;

	return read_orders(call, args, &orders) < 0 ? -1 : want_seconds(call, orders.sleep, &seconds);
}

int probe_create(struct objpool_call *call, probe_args *args, void **self)
{
	struct orders orders;
	double seconds;

	if (read_orders(call, args, &orders) < 0 || want_seconds(call, orders.sleep, &seconds) < 0)
		return -1;
	if (seconds > 0)
		sleep_until(end_of(seconds));
	if (obey(call, &orders) < 0)
		return -1;
	struct probe *probe = probe_new(call);
	if (!probe)
		return no_memory(call);
	if (remember(call, &orders, probe) < 0)
		probe = probe_free(probe);
	*self = probe;
	return probe ? 0 : -1;
}

/* Writes "slot generation" to the file, so that a test sees that the destructor has run. All slots share the file. */
static void sign(const struct probe *probe)
{
	const int fd = open(probe->destroy_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char line[64];

	const int n = snprintf(line, sizeof line, "%u %llu\n", probe->slot, (unsigned long long)probe->generation);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		perror(probe->destroy_file);
	if (fd >= 0)
		(void)close(fd);
}

void probe_destroy(void *self)
{
	struct probe *probe = self;

	if (probe->destroy_file)
		sign(probe);
	probe_free(probe);
}

/* Fills the memory, so that workers share pages that the template has written. */
int probe_preload(struct objpool_call *call, probe_args *args)
{
	struct orders orders;
	int64_t size = 0;

	if (read_orders(call, args, &orders) < 0 || fail_text(call, "preload_fail", orders.preload_fail) < 0)
		return -1;
	if (orders.preload_bytes &&
	    want_integer(call, "preload_bytes", orders.preload_bytes, 0, ALLOCATE_MAX, &size) < 0)
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

/* How many of the preloaded bytes are unchanged. */
int probe_preloaded(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	uint64_t good = 0;

	(void)call;
	(void)args;
	for (uint64_t i = 0; i < preloaded_size; i++)
		good += preloaded[i] == PRELOAD_BYTE;
	probe_called(self);
	msgpack_pack_uint64(result, good);
	return 0;
}
