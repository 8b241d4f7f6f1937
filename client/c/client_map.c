/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_map: the calls with many results: objpool_call_each, objpool_all, objpool_map, and their forms that do not wait. Each
 * starts a stream; those that wait run turns until its done() is called.
 */
#include "client/c/options.h"
#include "client/c/client_stream.h"
#include "client/c/client_target.h"

#include <errno.h>
#include <string.h>

/* ---- started --------------------------------------------------------------------------------------------------------- */

int objpool_call_each_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
			    const struct objpool_call_options *options, objpool_each *each, void *each_context,
			    objpool_stream_done *done, void *done_context, struct objpool_stream **stream)
{
	const struct client_stream_callbacks callbacks = {each, each_context, done, done_context, NULL, NULL};
	struct client_request request = {.method = method, .args = args};

	return client_stream_start(client, &request, options, &callbacks, stream);
}

static bool is_among(const char *word, const char *a, const char *b, const char *c)
{
	return !word || strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

/* The daemon would refuse other words with an error; here, nothing is asked of it. */
static bool are_sound(const struct objpool_map_options *options)
{
	return is_among(options->args_as, "single", "positional", "keyword") &&
	       is_among(options->errors, "wait", "first", "collect");
}

int objpool_map_async(struct objpool_client *client, const char *method, objpool_next *next, void *next_context,
		      objpool_each *each, void *each_context, const struct objpool_map_options *given, objpool_stream_done *done,
		      void *done_context, struct objpool_stream **stream)
{
	const struct client_stream_callbacks callbacks = {each, each_context, done, done_context, next, next_context};
	struct objpool_map_options o;
	char target[CLIENT_TARGET_SIZE];
	struct client_request request = {.method = client_target_select(target, method, ":map")};

	if (OPTIONS_TAKE(&o, given) < 0 || !request.method || !are_sound(&o))
		return -EINVAL;
	const struct objpool_call_options options = {
		.size = sizeof options,
		.target = target,
		.bind = o.bind,
		.bind_kwargs = o.bind_kwargs,
		.args_as = o.args_as ? o.args_as : "single",
		.errors = o.errors,
		.timeout_ms = o.timeout_ms,
		.chunk = o.chunk,
		.window = o.window,
		.idempotent = o.idempotent,
		.sync = o.sync,
		.unordered = o.unordered,
		.on_progress = o.on_progress,
		.progress_context = o.progress_context,
		.traceparent = o.traceparent,
		.priority = o.priority,
	};
	return client_stream_start(client, &request, &options, &callbacks, stream);
}

/* ---- waited for ------------------------------------------------------------------------------------------------------ */

struct outcome {
	struct objpool_result *result; /* or NULL */
	int status;
	bool done;
};

static void outcome_on_done(void *context, int status, const struct objpool_error *error)
{
	struct outcome *outcome = context;
	const struct objpool_result failed = {.error = error};

	outcome->done = true;
	outcome->status = status;
	if (error && outcome->result)
		(void)objpool_result_copy(outcome->result, &failed);
}

/* Empties the result. -EDEADLK: this is a callback, which must not wait. */
static int begin(const struct objpool_client *client, struct objpool_result *result)
{
	if (result)
		*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	return client->dispatching ? -EDEADLK : 0;
}

/* Returns the status of the stream. The daemon may have answered before lent arguments were sent. */
static int wait_for(struct objpool_client *client, const struct outcome *outcome)
{
	int state = 0;

	while (!outcome->done)
		state = objpool_wait(client, -1);
	if (state != -ESHUTDOWN)
		connection_keep_lent(client);
	return outcome->status;
}

int objpool_call_each(struct objpool_client *client, const char *method, struct objpool_bytes args,
		      const struct objpool_call_options *options, objpool_each *each, void *context,
		      struct objpool_result *result)
{
	struct outcome outcome = {.result = result};
	const struct client_stream_callbacks callbacks = {each, context, outcome_on_done, &outcome, NULL, NULL};
	struct client_request request = {.method = method, .args = args, .lend = true};
	int rc = begin(client, result);

	if (rc == 0)
		rc = client_stream_start(client, &request, options, &callbacks, NULL);
	return rc < 0 ? rc : wait_for(client, &outcome);
}

int objpool_all(struct objpool_client *client, const char *method, struct objpool_bytes args,
		const struct objpool_call_options *given, objpool_each *each, void *context, struct objpool_result *result)
{
	struct objpool_call_options options;
	char target[CLIENT_TARGET_SIZE];
	const char *name = client_target_select(target, method, ":all");
	const int rc = begin(client, result);

	if (rc < 0)
		return rc;
	if (OPTIONS_TAKE(&options, given) < 0 || !name)
		return -EINVAL;
	options.size = sizeof options;
	options.target = target;
	options.errors = "collect";
	options.unordered = false;
	return objpool_call_each(client, name, args, &options, each, context, result);
}

int objpool_map(struct objpool_client *client, const char *method, objpool_next *next, void *next_context, objpool_each *each,
		void *each_context, const struct objpool_map_options *options, struct objpool_result *result)
{
	struct outcome outcome = {.result = result};
	struct objpool_stream *stream;
	int rc = begin(client, result);

	if (rc == 0)
		rc = objpool_map_async(client, method, next, next_context, each, each_context, options, outcome_on_done, &outcome,
				       &stream);
	if (rc < 0)
		return rc;
	client_stream_set_blocking(stream);
	return wait_for(client, &outcome);
}
