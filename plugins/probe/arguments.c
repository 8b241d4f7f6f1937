/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/probe/arguments.h"

#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 1e6

int no_memory(struct objpool_call *call)
{
	return objpool_fail(call, "MemoryError", "out of memory");
}

int take_one(struct objpool_call *call, probe_args *args, const char *name, const msgpack_object **value)
{
	const char *const names[] = {name, NULL};
	return objpool_take(call, args, names, 1, value);
}

bool is_integer(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER || value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

bool is_negative(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

bool is_float(const msgpack_object *value)
{
	return value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32;
}

double real_of(const msgpack_object *value)
{
	if (is_float(value))
		return value->via.f64;
	return is_negative(value) ? (double)value->via.i64 : (double)value->via.u64;
}

static bool is_from_to(const msgpack_object *value, int64_t min, uint64_t max)
{
	if (is_negative(value))
		return value->via.i64 >= min;
	return value->via.u64 <= max && (min <= 0 || value->via.u64 >= (uint64_t)min);
}

int want_integer(struct objpool_call *call, const char *name, const msgpack_object *value, int64_t min, uint64_t max,
		 int64_t *integer)
{
	if (!value || !is_integer(value) || !is_from_to(value, min, max))
		return objpool_bad_argument(call, "%s must be an integer from %lld to %llu", name, (long long)min,
					    (unsigned long long)max);
	*integer = is_negative(value) ? value->via.i64 : (int64_t)value->via.u64;
	return 0;
}

int want_seconds(struct objpool_call *call, const msgpack_object *value, double *seconds)
{
	*seconds = 0;
	if (!value)
		return 0;
	if (is_integer(value) || is_float(value))
		*seconds = real_of(value);
	if ((!is_integer(value) && !is_float(value)) || !(*seconds >= 0 && *seconds <= SECONDS_MAX))
		return objpool_bad_argument(call, "seconds must be a number from 0 to %.0f", SECONDS_MAX);
	return 0;
}

int want_bool(struct objpool_call *call, const char *name, const msgpack_object *value, bool *yes)
{
	*yes = value && value->via.boolean;
	return !value || value->type == MSGPACK_OBJECT_BOOLEAN ? 0 : objpool_bad_argument(call, "%s must be true or false", name);
}

int want_text(struct objpool_call *call, const char *name, const msgpack_object *value, char **text)
{
	*text = NULL;
	if (!value)
		return 0;
	if (value->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "%s must be a string", name);
	*text = strndup(value->via.str.ptr, value->via.str.size);
	return *text ? 0 : no_memory(call);
}

void put_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

void put_raw(msgpack_packer *packer, const void *bytes, size_t size)
{
	(void)packer->callback(packer->data, bytes, size);
}

void put_array(msgpack_packer *packer, probe_args *args)
{
	msgpack_pack_array(packer, args->count);
	for (uint32_t i = 0; i < args->count; i++)
		msgpack_pack_object(packer, args->values[i]);
}

void put_kwargs(msgpack_packer *packer, probe_args *args)
{
	msgpack_pack_map(packer, args->kwcount);
	for (uint32_t i = 0; i < args->kwcount; i++) {
		msgpack_pack_object(packer, args->kwargs[i].key);
		msgpack_pack_object(packer, args->kwargs[i].val);
	}
}

int keep(struct objpool_call *call, msgpack_sbuffer *kept, const msgpack_object *value)
{
	msgpack_packer packer;

	msgpack_sbuffer_clear(kept);
	msgpack_packer_init(&packer, kept, msgpack_sbuffer_write);
	if (msgpack_pack_object(&packer, *value) == 0)
		return 0;
	msgpack_sbuffer_clear(kept);
	return no_memory(call);
}

void put_kept(msgpack_packer *packer, const msgpack_sbuffer *kept)
{
	if (kept->size > 0)
		put_raw(packer, kept->data, kept->size);
	else
		msgpack_pack_nil(packer);
}

int series_add(struct series *series, const msgpack_object *value)
{
	const size_t before = series->packed.size;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &series->packed, msgpack_sbuffer_write);
	if (msgpack_pack_object(&packer, *value) != 0) {
		series->packed.size = before;
		return -1;
	}
	series->count++;
	return 0;
}

void put_series(msgpack_packer *packer, const struct series *series)
{
	msgpack_pack_array(packer, series->count);
	if (series->count > 0)
		put_raw(packer, series->packed.data, series->packed.size);
}
