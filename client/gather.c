/* SPDX-License-Identifier: Apache-2.0 */
/* gather: calls that have many results and are waited for: streams, map, and all. */
#include "client/gather.h"

#include "client/connection.h"
#include "client/options.h"
#include "client/stream.h"

#include <errno.h>
#include <string.h>

int gather_target(char *target, size_t size, const char *method, const char *selector)
{
	const char *dot = strchr(method, '.');
	const size_t n = dot ? (size_t)(dot - method) : 0;
	const size_t m = strlen(selector);

	if (n == 0 || n + m >= size)
		return -EINVAL;
	memcpy(target, method, n);
	target[n] = '\0';
	if (!strchr(target, ':'))
		memcpy(target + n, selector, m + 1);
	return strcmp(strchr(target, ':'), selector) == 0 ? 0 : -EINVAL;
}

struct outcome {
	struct objpool_result *result;
	int status;
	bool done;
};

static void on_done(void *context, int status, const struct objpool_error *error)
{
	struct outcome *outcome = context;
	const struct objpool_result failed = {.error = error};

	outcome->done = true;
	outcome->status = status;
	if (error && outcome->result)
		(void)objpool_result_copy(outcome->result, &failed);
}

/* -EDEADLK: in a callback. */
static int begin(const struct objpool *pool, struct objpool_result *result)
{
	if (result)
		*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	return pool->dispatching ? -EDEADLK : 0;
}

/* What the stream comes to. Lent arguments may not all have been sent by then. */
static int wait_for(struct objpool *pool, const struct outcome *outcome)
{
	int state = 0;

	while (!outcome->done)
		state = objpool_wait(pool, -1);
	if (state != -ESHUTDOWN)
		connection_keep_lent(pool);
	return outcome->status;
}

int objpool_call_each(struct objpool *pool, const char *method, struct objpool_bytes args,
		      const struct objpool_call_options *options, objpool_each *each, void *context, struct objpool_result *result)
{
	struct outcome outcome = {.result = result};
	int rc = begin(pool, result);

	if (rc == 0)
		rc = stream_call(pool, method, args, options, each, context, on_done, &outcome, true, NULL);
	return rc < 0 ? rc : wait_for(pool, &outcome);
}

int objpool_all(struct objpool *pool, const char *method, struct objpool_bytes args,
		const struct objpool_call_options *given, objpool_each *each, void *context, struct objpool_result *result)
{
	struct objpool_call_options options;
	const char *dot = strchr(method, '.');
	char target[256];
	const int rc = begin(pool, result);

	if (rc < 0)
		return rc;
	if (OPTIONS_TAKE(&options, given) < 0 || !dot || gather_target(target, sizeof target, method, ":all") < 0)
		return -EINVAL;
	options.size = sizeof options;
	options.target = target;
	options.errors = "collect";
	options.unordered = false;
	return objpool_call_each(pool, dot + 1, args, &options, each, context, result);
}

int objpool_map(struct objpool *pool, const char *method, objpool_next *next, void *next_context, objpool_each *each,
		void *each_context, const struct objpool_map_options *options, struct objpool_result *result)
{
	struct outcome outcome = {.result = result};
	struct objpool_stream *stream;
	int rc = begin(pool, result);

	if (rc == 0)
		rc = objpool_map_async(pool, method, next, next_context, each, each_context, options, on_done, &outcome, &stream);
	if (rc < 0)
		return rc;
	stream_set_blocking(stream);
	return wait_for(pool, &outcome);
}
