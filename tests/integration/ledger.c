/* SPDX-License-Identifier: Apache-2.0 */
/* A class that writes each call into a file, which outlives its worker: what has run, where, and how often. */
#include <objpool/plugin.h>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

struct ledger {
	int fd;
	char host[32];
	int64_t kept;
};

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	static const char *const names[] = {"file", "host", NULL};
	const msgpack_object *v[2];
	struct ledger *ledger = calloc(1, sizeof *ledger);
	char path[4096];

	if (!ledger || objpool_take(call, args, names, 2, v) < 0)
		return -1;
	(void)snprintf(path, sizeof path, "%.*s", (int)v[0]->via.str.size, v[0]->via.str.ptr);
	(void)snprintf(ledger->host, sizeof ledger->host, "%.*s", (int)v[1]->via.str.size, v[1]->via.str.ptr);
	ledger->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (ledger->fd < 0)
		return objpool_fail(call, "OSError", "can't open %s", path);
	*self = ledger;
	return 0;
}

/* One write of one line: lines of several processes do not mix. */
static int record(struct ledger *ledger, struct objpool_call *call, int64_t token)
{
	char line[96];
	const int n = snprintf(line, sizeof line, "%lld %s %u\n", (long long)token, ledger->host, call->place->slot);

	return write(ledger->fd, line, (size_t)n) == n ? 0 : objpool_fail(call, "OSError", "can't write");
}

static int64_t integer(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? value->via.i64 : (int64_t)value->via.u64;
}

static int rest(struct objpool_call *call, double seconds)
{
	const struct timespec step = {.tv_nsec = 2000000};
	const uint64_t steps = (uint64_t)(seconds * 500);

	for (uint64_t i = 0; i < steps; i++) {
		if (objpool_cancelled(call))
			return objpool_fail(call, "Cancelled", "cancelled");
		(void)objpool_progress(call, i, steps, NULL);
		(void)nanosleep(&step, NULL);
	}
	return 0;
}

/* mark(token, seconds, data): writes the token down, waits; the token, or [token, data] */
static int mark(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const int64_t token = integer(&args->values[0]);

	if (record(self, call, token) < 0 || (args->count > 1 && rest(call, args->values[1].via.f64) < 0))
		return -1;
	if (args->count > 2)
		msgpack_pack_array(result, 2);
	msgpack_pack_int64(result, token);
	if (args->count > 2)
		msgpack_pack_object(result, args->values[2]);
	return 0;
}

/* keep(n): kept() is n; where() is [host, slot, n] */
static int keep(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct ledger *ledger = self;

	ledger->kept = integer(&args->values[0]);
	if (record(ledger, call, ledger->kept) < 0)
		return -1;
	msgpack_pack_int64(result, ledger->kept);
	return 0;
}

static int where(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const struct ledger *ledger = self;

	(void)args;
	msgpack_pack_array(result, 3);
	msgpack_pack_str_with_body(result, ledger->host, strlen(ledger->host));
	msgpack_pack_uint32(result, call->place->slot);
	msgpack_pack_int64(result, ledger->kept);
	return 0;
}

static const struct objpool_method methods[] = {
	{.name = "mark", .call = mark, .min_args = 1, .max_args = 3},
	{.name = "keep", .call = keep, .min_args = 1, .max_args = 1},
	{.name = "where", .call = where},
	{.name = NULL},
};

static const struct objpool_class ledger_class = {
	OBJPOOL_CLASS_HEAD,
	.name = "Ledger",
	.create = create,
	.methods = methods,
};

static const struct objpool_class *const classes[] = {&ledger_class, NULL};

const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "ledger", .version = "1", .classes = classes};
