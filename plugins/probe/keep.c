/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that keep something: a value, a count, a list, memory; and the state that an instance gives to its successor. */
#include "plugins/probe/arguments.h"
#include "plugins/probe/clock.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, STATE_PARTS = 4 };

static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};

int probe_set(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *value = NULL;

	(void)result;
	if (take_one(call, args, "value", &value) < 0)
		return -1;
	return keep(call, &probe->kept, value ? value : &nil);
}

int probe_get(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_kept(result, &probe_called(self)->kept);
	return 0;
}

/* ---- arguments that outlive their call ---- */

void probe_drop_held(struct probe *probe)
{
	if (probe->held.kept)
		objpool_let_go(probe->held.host, probe->held.kept);
	else
		free((void *)(uintptr_t)probe->held.bytes);
	probe->held = (struct held){0};
}

static char *copy(const char *bytes, uint32_t size)
{
	char *room = malloc((size_t)size + 1);
	return room ? memcpy(room, bytes, size) : NULL;
}

int probe_hold(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *bytes = NULL;
	struct held held = {.host = call->host};

	if (take_one(call, args, "bytes", &bytes) < 0)
		return -1;
	if (!bytes || bytes->type != MSGPACK_OBJECT_BIN)
		return objpool_bad_argument(call, "bytes must be a bin");
	held.bytes = bytes->via.bin.ptr;
	held.size = bytes->via.bin.size;
	held.kept = objpool_keep(call, held.bytes, held.size);
	if (!held.kept && !(held.bytes = copy(held.bytes, held.size)))
		return no_memory(call);
	probe_drop_held(probe);
	probe->held = held;
	(held.kept ? msgpack_pack_true : msgpack_pack_false)(result);
	return 0;
}

int probe_hold_changed(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *bytes = NULL;
	struct held held = {.host = call->host};
	void *view = NULL;

	if (take_one(call, args, "bytes", &bytes) < 0)
		return -1;
	if (!bytes || bytes->type != MSGPACK_OBJECT_BIN)
		return objpool_bad_argument(call, "bytes must be a bin");
	struct objpool_kept *private = objpool_private(call, bytes->via.bin.ptr, bytes->via.bin.size, &view);
	if (private) {
		*(uint8_t *)view ^= 0xff;
		held.bytes = view;
		held.size = bytes->via.bin.size;
		held.kept = objpool_keep(call, view, held.size);
		objpool_let_go(call->host, private);
		if (!held.kept)
			return no_memory(call);
		probe_drop_held(probe);
		probe->held = held;
	}
	(private ? msgpack_pack_true : msgpack_pack_false)(result);
	return 0;
}

int probe_held(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const struct held *held = &probe_called(self)->held;

	(void)call;
	(void)args;
	if (held->bytes)
		msgpack_pack_bin_with_body(result, held->bytes, held->size);
	return 0;
}

/* ---- what it was told when it was built ---- */

int probe_tag(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_kept(result, &probe_called(self)->tag);
	return 0;
}

int probe_count(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	msgpack_pack_uint64(result, ++probe_called(self)->counter);
	return 0;
}

int probe_append(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *value = NULL;

	if (take_one(call, args, "value", &value) < 0)
		return -1;
	if (series_add(&probe->list, value ? value : &nil) < 0)
		return no_memory(call);
	msgpack_pack_uint32(result, probe->list.count);
	return 0;
}

int probe_list(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_series(result, &probe_called(self)->list);
	return 0;
}

int probe_allocate(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct probe *probe = probe_called(self);
	const msgpack_object *value = NULL;
	int64_t size = 0;

	if (take_one(call, args, "bytes", &value) < 0 || want_integer(call, "bytes", value, 0, ALLOCATE_MAX, &size) < 0)
		return -1;
	struct chunk *chunk = probe->allocated + (uint64_t)size <= ALLOCATE_MAX ? malloc(sizeof *chunk + (size_t)size) : NULL;
	if (!chunk)
		return objpool_fail(call, "MemoryError", "no memory for %lld bytes beside %llu", (long long)size,
				    (unsigned long long)probe->allocated);
	*chunk = (struct chunk){.next = probe->chunks, .size = (uint64_t)size};
	probe->chunks = chunk;
	probe->allocated += (uint64_t)size;
	for (int64_t i = 0; i < size; i += PAGE) /* memory takes no room before it is written to */
		((volatile uint8_t *)(chunk + 1))[i] = 1;
	msgpack_pack_int64(result, size);
	return 0;
}

int probe_release(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
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

/* ---- the state: [what set() keeps, the counter, the list] ---- */

int probe_snapshot(void *self, struct objpool_call *call, msgpack_packer *state)
{
	const struct probe *probe = self;

	sleep_until(end_of(probe->snapshot_sleep));
	if (probe->snapshot_fail)
		return objpool_fail(call, "ProbeError", "told to fail by snapshot_fail");
	msgpack_pack_array(state, STATE_PARTS);
	put_kept(state, &probe->kept);
	msgpack_pack_uint64(state, probe->counter);
	put_series(state, &probe->list);
	put_series(state, &probe->ended);
	return 0;
}

static bool is_state(const msgpack_object *state)
{
	const msgpack_object *parts = state->via.array.ptr;
	return state->type == MSGPACK_OBJECT_ARRAY && state->via.array.size == STATE_PARTS &&
	       parts[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER && parts[2].type == MSGPACK_OBJECT_ARRAY &&
	       parts[3].type == MSGPACK_OBJECT_ARRAY;
}

static int add_all(struct series *series, const msgpack_object_array *array)
{
	for (uint32_t i = 0; i < array->size; i++)
		if (series_add(series, &array->ptr[i]) < 0)
			return -1;
	return 0;
}

int probe_restore(void *self, struct objpool_call *call, const msgpack_object *state)
{
	struct probe *probe = self;

	if (!is_state(state))
		return objpool_fail(call, "ProbeError", "the state is not [value, count, list, ended]");
	const msgpack_object *parts = state->via.array.ptr;
	probe->counter = parts[1].via.u64;
	if (add_all(&probe->list, &parts[2].via.array) < 0 || add_all(&probe->ended, &parts[3].via.array) < 0)
		return no_memory(call);
	return keep(call, &probe->kept, &parts[0]);
}
