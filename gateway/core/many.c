/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/many.h"

#include "gateway/core/flat.h"
#include "gateway/core/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct many *of_call(struct call *call)
{
	return container_of(call, struct many, call);
}

static void free_call(struct call *call)
{
	struct many *many = of_call(call);

	input_close(&many->input);
	results_close(&many->results);
	block_unref(many->block);
	flat_free(many->refusal);
	many->ops->free(many);
}

uint64_t many_time_left(const struct many *many)
{
	return many->timed ? call_time_left(&many->call) : UINT64_MAX;
}

bool many_has(const struct many *many, const struct host *host)
{
	return route_has(many->call.session->gateway, &many->ask, host);
}

void many_go_on(struct many *many)
{
	if (many->call.over)
		return;
	if (many->input.is_over && many->open == 0 && input_waiting(&many->input) == 0) {
		results_answer(&many->results);
		return;
	}
	many->ops->go_on(many);
	if (!many->call.over)
		input_grant(&many->input, &many->call, many->results.left);
}

void many_fail_for_memory(struct many *many)
{
	results_fail_for_memory(&many->results);
}

/* ---- results ---- */

void many_take(struct many *many, struct item *item, const struct host *host, struct span error, struct span value,
	       struct block *block)
{
	const uint64_t index = item->index;
	const bool may_have_run = item->may_have_run;

	item->answered = true;
	item->block = block_unref(item->block);
	many->open--;
	if (error.size == 0 || span_is_nil(error)) {
		(void)results_take(&many->results, index, (struct span){0}, value, block);
		return;
	}
	const struct error_context context = {.host = host->name, .may_have_run = may_have_run, NO_CONTEXT};
	results_take_failure(&many->results, index, error, &context);
}

/* ---- hosts that end ---- */

void many_lose(struct many *many, struct item item, const struct host *host, struct span error, bool left)
{
	many->open--;
	if (left)
		item.may_have_run = many->may_have_run = true;
	if (!left || many->ask.idempotent) {
		if (input_give_back(&many->input, item) == 0)
			return;
		many_fail_for_memory(many);
	} else {
		const struct error_context context = {
			.host = host->name, .pool = many->results.pool, .may_have_run = true, NO_CONTEXT};
		results_take_failure(&many->results, item.index, error, &context);
	}
	block_unref(item.block);
}

void many_refused(struct many *many, struct span error)
{
	const struct span host = flat_error_text(error, "host");

	(void)snprintf(many->lost, sizeof many->lost, "%.*s", SPAN_TEXT(host, GATEWAY_NAME_MAX));
	flat_free(many->refusal);
	many->refusal = error;
}

struct span many_flat_error(const struct many *many, const struct error *error)
{
	struct error said;

	error_copy(&said, error);
	said.pool = many->results.pool;
	return flat_error(&said);
}

/* `ran`: on a host that is lost, maybe. */
static void say_none_left(const struct many *many, bool ran, struct error *error)
{
	if (!ran) {
		error_say(error, ERROR_UNREACHABLE, RAN_NO, "no host is left that could take it");
		return;
	}
	error_say(error, ERROR_HOST_LOST, RAN_MAYBE, "host %s is gone, where it may have run, and no other is left", many->lost);
	error->host = many->lost;
}

static void fail_waiting(struct many *many)
{
	struct items rest = {.account = many->input.account};
	struct error error;

	while (input_waiting(&many->input) > 0 && !many->call.over) {
		if (input_hand(&many->input, &rest, 1) < 0) {
			many_fail_for_memory(many);
			break;
		}
		const struct item item = items_pop(&rest);
		say_none_left(many, item.may_have_run, &error);
		results_take_error(&many->results, item.index, &error);
		block_unref(item.block);
	}
	items_close(&rest);
}

void many_fail_rest(struct many *many)
{
	const bool ran = many->may_have_run || many->results.taken > 0;
	const bool is_unreachable = span_is(flat_error_text(many->refusal, "code"), "UNREACHABLE");
	struct error error;

	if (many->refusal.size && (many->input.is_fed || many->results.taken == 0) && !(ran && is_unreachable)) {
		results_fail_with(&many->results, many->refusal, NULL, ran);
		return;
	}
	if (many->input.is_fed) {
		say_none_left(many, ran, &error);
		results_fail(&many->results, &error);
		return;
	}
	fail_waiting(many);
	if (!many->call.over && many->open == 0)
		results_answer(&many->results);
}

/* ---- what the client says ---- */

static void give_up(struct call *call)
{
	struct many *many = of_call(call);
	many->ops->give_up(many, !call->session->closed); /* else the lanes end, and with them all that they had */
}

static void cancel(struct call *call)
{
	results_fail_for_cancel(&of_call(call)->results);
}

static void overdue(struct call *call)
{
	results_fail_for_time(&of_call(call)->results);
}

static void resumed(struct call *call)
{
	many_go_on(of_call(call));
}

static void came(struct call *call, struct host *host)
{
	struct many *many = of_call(call);

	if (!many->call.over && !host->replays && many_has(many, host))
		many->ops->came(many, host);
}

static void feed(struct call *call, struct span items, struct block *block)
{
	struct many *many = of_call(call);
	struct error error;

	if (!many->input.is_fed || many->input.is_over)
		return;
	if (input_feed(&many->input, items, block, &error) < 0)
		results_fail(&many->results, &error);
	else
		many_go_on(many);
}

static void feed_end(struct call *call, struct span error)
{
	struct many *many = of_call(call);
	struct error failed;

	if (!many->input.is_fed || many->input.is_over)
		return;
	many->input.is_over = true;
	if (error.size && !span_is_nil(error)) {
		error_say(&failed, ERROR_FAILED, RAN_NO, "the input failed: %.*s",
			  SPAN_TEXT(flat_error_text(error, "message"), 200));
		results_take_error(&many->results, many->input.next++, &failed);
	}
	many->results.total = many->input.next;
	many_go_on(many);
}

/* ---- its beginning ---- */

static bool has_hosts(const struct many *many)
{
	const struct host *host;

	TAILQ_FOREACH(host, &many->call.session->gateway->hosts->list, entry)
		if (many_has(many, host))
			return true;
	return false;
}

/* 0; -EEXIST; or -EINVAL with *error made. */
static int open_call(struct many *many, struct session *session, const struct ask *ask, struct error *error)
{
	static const struct call_ops ops = {.cancel = cancel,
					    .feed = feed,
					    .feed_end = feed_end,
					    .overdue = overdue,
					    .resumed = resumed,
					    .came = came,
					    .give_up = give_up,
					    .free = free_call};

	if (ask->sticky) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option sticky is for a target with :all only");
		return -EINVAL;
	}
	if (!has_hosts(many)) {
		route_say_none(session->gateway, ask, error);
		return -EINVAL;
	}
	if (input_open(&many->input, session->memory, ask, many->block, error) < 0)
		return -EINVAL;
	const int r = call_begin(&many->call, session, &ask->rpc, &ops);
	if (r == -ENOMEM)
		error_no_memory(error, RAN_NO);
	return r;
}

int many_begin(struct many *many, const struct many_ops *ops, struct session *session, const struct ask *ask, struct block *block)
{
	struct error error;

	if (!many) {
		error_no_memory(&error, RAN_NO);
		refuse_request(session, &ask->rpc, &error);
		return 0;
	}
	many->ops = ops;
	many->ask = *ask;
	many->ask.rpc.type = RPC_REQUEST;
	many->block = block_ref(block);
	many->call.session = session;
	results_open(&many->results, &many->call, ask);
	const int r = open_call(many, session, ask, &error);
	if (r < 0) {
		free_call(&many->call);
		if (r != -EEXIST)
			refuse_request(session, &ask->rpc, &error);
		return r == -EEXIST ? r : 0;
	}
	many->timed = ask->timeout != UINT64_MAX;
	call_set_deadline(&many->call, ask->timeout);
	if (!many->input.is_fed)
		many->results.total = many->input.slices.count;
	many_go_on(many);
	return 0;
}
