/* SPDX-License-Identifier: Apache-2.0 */
/* gather: calls that have many results and are waited for: all, and map. */
#include "client/gather.h"

#include "client/connection.h"
#include "client/failure.h"
#include "client/mapping.h"
#include "client/options.h"

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

int gather_each(struct objpool_bytes collected, objpool_each *item, void *context)
{
	struct objpool_reader reader = objpool_reader(collected);
	struct objpool_bytes value, bytes;
	uint32_t count, pair;
	int rc = 0;

	if (objpool_read_array(&reader, &count) < 0)
		return -EPROTO;
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		if (objpool_read_array(&reader, &pair) < 0 || pair != 2)
			return -EPROTO;
		const bool failed = objpool_read_nil(&reader) < 0;
		if ((failed && objpool_read_value(&reader, &bytes) < 0) || objpool_read_value(&reader, &value) < 0)
			return -EPROTO;
		const struct objpool_error *error = failed ? failure_parse(bytes) : NULL;
		rc = item(context, i, value, error);
		(void)failure_unref(error);
	}
	return rc;
}

int objpool_all(struct objpool *pool, const char *method, struct objpool_bytes args,
		const struct objpool_call_options *given, objpool_each *each, void *context, struct objpool_result *result)
{
	struct objpool_call_options options;
	struct objpool_result own;
	const char *dot = strchr(method, '.');
	char target[256];

	if (result)
		*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (OPTIONS_TAKE(&options, given) < 0 || !dot || gather_target(target, sizeof target, method, ":all") < 0)
		return -EINVAL;
	options.size = sizeof options;
	options.target = target;
	options.errors = "collect";
	int rc = objpool_call(pool, dot + 1, args, &options, &own);
	if (rc == 0)
		rc = gather_each(own.value, each, context);
	if (rc == -EREMOTEIO && result && own.error)
		*result = own;
	else
		objpool_result_free(&own);
	return rc;
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

int objpool_map(struct objpool *pool, const char *method, objpool_next *next, void *next_context, objpool_each *each,
		void *each_context, const struct objpool_map_options *options, struct objpool_result *result)
{
	struct outcome outcome = {.result = result};
	struct objpool_map *map;

	if (result)
		*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (pool->dispatching)
		return -EDEADLK;
	const int rc = objpool_map_async(pool, method, next, next_context, each, each_context, options, on_done, &outcome, &map);
	if (rc < 0)
		return rc;
	mapping_set_blocking(map);
	while (!outcome.done)
		(void)objpool_wait(pool, -1);
	return outcome.status;
}
