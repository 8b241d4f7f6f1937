/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that answer their arguments, or what they know of the call, the instance and the process. */
#include "plugins/probe/arguments.h"
#include "plugins/probe/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOB_MAX (1u << 30)

enum { PATTERN = 4096 };

int probe_echo(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
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

int probe_kwargs(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	probe_called(self);
	put_kwargs(result, args);
	return 0;
}

/* Packs the sum of two integers. False: msgpack has no room for it. */
static bool put_sum(msgpack_packer *result, const msgpack_object *a, const msgpack_object *b)
{
	const uint64_t sum = (uint64_t)a->via.i64 + (uint64_t)b->via.i64; /* modulo 2^64 */
	const msgpack_object *positive = is_negative(a) ? b : a, *other = is_negative(a) ? a : b;

	if (is_negative(positive) ? (int64_t)sum >= 0 : !is_negative(other) && sum < positive->via.u64)
		return false;
	if (is_negative(positive) || (is_negative(other) && positive->via.u64 < -(uint64_t)other->via.i64))
		msgpack_pack_int64(result, (int64_t)sum);
	else
		msgpack_pack_uint64(result, sum);
	return true;
}

int probe_add(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"a", "b", NULL};
	const msgpack_object *v[2] = {NULL};

	probe_called(self);
	if (objpool_take(call, args, names, 2, v) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (!v[i] || (!is_integer(v[i]) && !is_float(v[i])))
			return objpool_bad_argument(call, "%s must be a number", names[i]);
	if (!is_integer(v[0]) || !is_integer(v[1]) || !put_sum(result, v[0], v[1]))
		msgpack_pack_double(result, real_of(v[0]) + real_of(v[1]));
	return 0;
}

int probe_blob(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	uint8_t pattern[PATTERN];
	const msgpack_object *n = NULL;
	int64_t left = 0;

	probe_called(self);
	if (take_one(call, args, "n", &n) < 0 || want_integer(call, "n", n, 0, BLOB_MAX, &left) < 0)
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

int probe_sum(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"bytes", NULL};
	const msgpack_object *bytes = NULL;

	probe_called(self);
	if (objpool_take(call, args, names, 1, &bytes) < 0)
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

int probe_pid(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	return put_u64(self, result, (uint64_t)getpid());
}

int probe_slot(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->place->slot);
}

int probe_generation(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->place->generation);
}

int probe_session(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->session);
}

int probe_index(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	return put_u64(self, result, call->index);
}

int probe_calls(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	return put_u64(self, result, ((struct probe *)self)->calls + 1);
}

int probe_pool(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)args;
	probe_called(self);
	put_text(result, call->place->pool);
	return 0;
}

int probe_traceparent(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const char *text = objpool_traceparent(call);

	(void)args;
	probe_called(self);
	if (text) {
		msgpack_pack_str(result, strlen(text));
		msgpack_pack_str_body(result, text, strlen(text));
	} else {
		msgpack_pack_nil(result);
	}
	return 0;
}

int probe_deadline(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
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

int probe_print(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"text", "stream", NULL};
	const msgpack_object *v[2] = {NULL};
	char *stream;

	(void)result;
	probe_called(self);
	if (objpool_take(call, args, names, 2, v) < 0 || want_text(call, "stream", v[1], &stream) < 0)
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

/* Calls another method, and gives its answer. */
int probe_relay(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct objpool_outcome got;
	struct objpool_buffer packed = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;
	char target[256];

	probe_called(self);
	if (args->count < 1 || args->values[0].type != MSGPACK_OBJECT_STR || args->values[0].via.str.size >= sizeof target)
		return objpool_bad_argument(call, "relay takes a target, and then its arguments");
	snprintf(target, sizeof target, "%.*s", (int)args->values[0].via.str.size, args->values[0].via.str.ptr);
	msgpack_packer_init(&packer, &packed, objpool_buffer_write);
	msgpack_pack_array(&packer, args->count - 1);
	for (uint32_t i = 1; i < args->count; i++)
		msgpack_pack_object(&packer, args->values[i]);
	const int r = packed.failed ? -ENOMEM : objpool_invoke(call, target, packed.data, packed.size, &got);
	objpool_buffer_free(&packed);
	if (r == -EREMOTEIO)
		return objpool_fail(call, got.error.code, "%s", got.error.message); /* so that a test sees the code */
	if (r < 0)
		return objpool_fail(call, "RelayError", "objpool_invoke: %s", strerror(-r));
	msgpack_pack_object(result, got.value);
	return 0;
}
