/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that wait. */
#include "plugins/probe/arguments.h"
#include "plugins/probe/clock.h"

#include <string.h>
#include <stdlib.h>

#define SLICE     5000000u /* nanoseconds between two looks at whether the call was cancelled */
#define STEPS_MAX 1000000000u

/* Waits until `end`. False: the call was cancelled before. */
static bool wait_until(const struct objpool_call *call, uint64_t end)
{
	for (uint64_t t = now(); t < end; t = now()) {
		if (objpool_cancelled(call))
			return false;
		sleep_until(end - t < SLICE ? end : t + SLICE);
	}
	return true;
}

int probe_sleep(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	double seconds;

	probe_called(self);
	if (take_one(call, args, "seconds", &value) < 0 || want_seconds(call, value, &seconds) < 0)
		return -1;
	const uint64_t begin = now();
	if (!wait_until(call, end_of(seconds)))
		return objpool_fail(call, "Cancelled", "cancelled after %.3f s", (double)(now() - begin) / 1e9);
	msgpack_pack_double(result, seconds);
	return 0;
}

int probe_sleep_hard(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
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

int probe_spin(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
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

struct steps {
	int64_t n;
	double seconds;
	char *text;
};

static int read_steps(struct objpool_call *call, probe_args *args, struct steps *steps)
{
	static const char *const names[] = {"n", "seconds", "text", NULL};
	const msgpack_object *v[3] = {NULL};

	if (objpool_take(call, args, names, 3, v) < 0 || want_integer(call, "n", v[0], 0, STEPS_MAX, &steps->n) < 0 ||
	    want_seconds(call, v[1], &steps->seconds) < 0)
		return -1;
	return want_text(call, "text", v[2], &steps->text);
}

/* Answers how many steps were done: all, unless the call was cancelled. */
static int64_t take_steps(struct objpool_call *call, const struct steps *steps)
{
	const uint64_t begin = now();

	for (int64_t i = 1; i <= steps->n; i++) {
		const double until = steps->seconds * (double)i / (double)steps->n;
		if (objpool_cancelled(call) || !wait_until(call, begin + (uint64_t)(until * 1e9)))
			return i - 1;
		(void)objpool_progress(call, (uint64_t)i, (uint64_t)steps->n, steps->text);
	}
	return steps->n;
}

int probe_progress(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct steps steps = {0};

	probe_called(self);
	if (read_steps(call, args, &steps) < 0)
		return -1;
	const int64_t done = take_steps(call, &steps);
	free(steps.text);
	if (done < steps.n)
		return objpool_fail(call, "Cancelled", "cancelled after %lld of %lld steps", (long long)done, (long long)steps.n);
	msgpack_pack_int64(result, done);
	return 0;
}

/* ---- a series ---- */

/* 0, or the error of objpool_yield. */
static int give(struct objpool_call *call, int64_t i, const msgpack_object *value)
{
	struct objpool_buffer bytes = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &bytes, objpool_buffer_write);
	(void)(value ? msgpack_pack_object(&packer, *value) : msgpack_pack_int64(&packer, i));
	const int r = bytes.failed ? -ENOMEM : objpool_yield(call, bytes.data, bytes.size);
	objpool_buffer_free(&bytes);
	return r;
}

/* Calls the method `target` without arguments. */
static int ask(struct objpool_call *call, const char *target)
{
	struct objpool_outcome got;
	return objpool_invoke(call, target, "\x90", 1, &got);
}

int probe_series(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	static const char *const names[] = {"n", "value", "fail", "asks", NULL};
	const msgpack_object *v[4] = {NULL};
	int64_t n = INT64_MAX, i = 0;
	char *asks;
	int r = 0;

	(void)result;
	probe_called(self);
	if (objpool_take(call, args, names, 4, v) < 0 || (v[0] && want_integer(call, "n", v[0], 0, INT64_MAX, &n) < 0) ||
	    want_text(call, "asks", v[3], &asks) < 0)
		return -1;
	r = objpool_yield(call, NULL, 0);
	while (r == 0 && i < n) {
		r = give(call, i++, v[1]);
		if (r == 0 && asks)
			r = ask(call, asks);
	}
	free(asks);
	if (r == -ENOTSUP)
		return objpool_bad_argument(call, "series wants a call that streams");
	if (r < 0)
		return objpool_fail(call, "Cancelled", "stopped at %lld: %s", (long long)i - 1, strerror(-r));
	const bool fails = v[2] && !(v[2]->type == MSGPACK_OBJECT_BOOLEAN && !v[2]->via.boolean);
	return fails ? objpool_fail(call, "ProbeError", "failed after %lld", (long long)n) : 0;
}
