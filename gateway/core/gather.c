/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/gather.h"

#include "gateway/core/flat.h"
#include "gateway/core/results.h"
#include "gateway/core/route.h"
#include "gateway/core/share.h"

#include <errno.h>
#include <stdlib.h>

enum { SLOTS_MAX = 1 << 16 };

#define REPLAY_TIMEOUT (5 * SECOND)

struct gather;

/* What one host has of it. */
struct part {
	struct sub sub;
	struct gather *gather;
	struct host *host;
	uint32_t first, count; /* places of its slots */
	bool over;
};

struct gather {
	struct call call;
	struct results results;
	bool timed, scatters;
	bool subs_stream;            /* results come from the hosts one by one */
	struct sticky *sticky;       /* NULL: it is none */
	void (*done)(void *context); /* of a replay; NULL: it is none */
	void *context;
	bool *seen;           /* of each place: it has its result */
	uint32_t slots, open; /* open: parts that have not ended */
	uint32_t part_count;
	struct part parts[];
};

static struct gather *of_call(struct call *call)
{
	return container_of(call, struct gather, call);
}

static void free_call(struct call *call)
{
	struct gather *gather = of_call(call);

	for (uint32_t i = 0; i < gather->part_count; i++)
		gather->parts[i].host->users--;
	results_close(&gather->results);
	(void)sticky_unref(gather->sticky);
	free(gather->seen);
	free(gather);
}

static void label(const struct results *results, uint64_t index, const char **host, uint32_t *slot)
{
	const struct gather *gather = container_of(results, struct gather, results);

	for (uint32_t i = 0; i < gather->part_count; i++) {
		const struct part *part = &gather->parts[i];
		if (index < part->first || index >= part->first + part->count)
			continue;
		*host = part->host->name;
		*slot = (uint32_t)index - part->first;
	}
}

/* ---- what hosts say ---- */

/* One result of a host. */
static void take(struct part *part, uint64_t at, struct span error, struct span value, struct block *block)
{
	struct results *results = &part->gather->results;
	const uint64_t index = part->first + at;

	if (at >= part->count || part->gather->seen[index])
		return; /* the pool has grown since, and that slot is not on the list; or it is told what is missing */
	part->gather->seen[index] = true;
	if (span_is_nil(error)) {
		(void)results_take(results, index, (struct span){0}, value, block);
		return;
	}
	const struct error_context context = {.host = part->host->name, NO_CONTEXT};
	results_take_failure(results, index, error, &context);
}

static void part_over(struct part *part)
{
	struct gather *gather = part->gather;

	if (part->over)
		return;
	part->over = true;
	gather->open--;
	if (gather->open > 0 || gather->call.over)
		return;
	if (gather->sticky && !gather->done && gather->results.failed == gather->slots)
		sticky_drop(gather->sticky); /* every instance has failed */
	results_answer(&gather->results);
}

/* Places of the host that have no result get this error; those that have one keep it. */
static void fill(struct part *part, struct span map)
{
	struct gather *gather = part->gather;
	struct error_context context = {.host = part->host->name, .pool = gather->results.pool, NO_CONTEXT};

	for (uint32_t i = 0; i < part->count && !gather->call.over; i++) {
		if (gather->seen[part->first + i])
			continue;
		gather->seen[part->first + i] = true;
		context.slot = i;
		results_take_failure(&gather->results, part->first + i, map, &context);
	}
	part_over(part);
}

static void fill_with(struct part *part, const struct error *error)
{
	const struct span map = flat_error(error);

	if (map.size)
		fill(part, map);
	else
		results_fail_for_memory(&part->gather->results);
	flat_free(map);
}

static void fill_missing(struct part *part)
{
	struct error error;

	error_say(&error, ERROR_NO_SUCH_SLOT, RAN_NO, "the pool of host %s has fewer slots than when the call came",
		  part->host->name);
	fill_with(part, &error);
}

static void take_pairs(struct part *part, struct span result, struct block *block)
{
	struct reader reader = reader_of(result);
	struct span error, value;
	uint32_t count, two;

	if (read_array(&reader, &count) < 0)
		return;
	for (uint32_t i = 0; i < count && !part->gather->call.over; i++) {
		if (read_array(&reader, &two) < 0 || two != 2 || read_value(&reader, &error) < 0 ||
		    read_value(&reader, &value) < 0)
			return;
		take(part, i, error, value, block);
	}
}

/* All of the host's part has failed. If that is because the call's time is over, the call has failed. */
static void on_failure(struct part *part, struct span error)
{
	struct gather *gather = part->gather;

	if (gather->timed && call_time_left(&gather->call) == 0)
		results_fail_with(&gather->results, error, part->host->name, gather->part_count > 1);
	else
		fill(part, error);
}

static void on_response(struct sub *sub, const struct rpc *rpc, struct block *block)
{
	struct part *part = container_of(sub, struct part, sub);

	if (!span_is_nil(rpc->error)) {
		on_failure(part, rpc->error);
		return;
	}
	if (!part->gather->subs_stream)
		take_pairs(part, rpc->result, block);
	if (!part->gather->call.over)
		fill_missing(part);
}

static void on_notice(struct sub *sub, struct span name, struct reader rest, uint32_t count, struct block *block)
{
	struct part *part = container_of(sub, struct part, sub);
	struct span error, value;
	uint64_t index;

	if (span_is(name, "result") && count == 3 && read_uint(&rest, &index) == 0 && read_value(&rest, &error) == 0 &&
	    read_value(&rest, &value) == 0)
		take(part, index, error, value, block);
}

static void lose_part(struct part *part, const struct error *error)
{
	if (part->gather->sticky)
		sticky_lost(part->gather->sticky, part->host, error->ran != RAN_NO);
	fill_with(part, error);
}

static void on_lost(struct sub *sub, const struct error *error)
{
	lose_part(container_of(sub, struct part, sub), error);
}

/* ---- what the client says ---- */

static void cancel(struct call *call)
{
	results_fail_for_cancel(&of_call(call)->results);
}

static void overdue(struct call *call)
{
	results_fail_for_time(&of_call(call)->results);
}

static void give_up(struct call *call)
{
	struct gather *gather = of_call(call);

	for (uint32_t i = 0; i < gather->part_count; i++) {
		if (gather->sticky && !gather->parts[i].over) /* nobody will hear whether the host has had it */
			sticky_lost(gather->sticky, gather->parts[i].host, true);
		sub_give_up(&gather->parts[i].sub, !call->session->closed);
	}
	if (gather->done)
		gather->done(gather->context);
}

/* ---- its beginning ---- */

static void ask_part(struct part *part, const struct ask *ask, const struct slices *slices)
{
	static const struct sub_ops ops = {.response = on_response, .notice = on_notice, .lost = on_lost};
	const struct gather *gather = part->gather;
	const struct share share = {.selector = gather->scatters ? ":scatter" : ":all",
				    .how = gather->subs_stream ? SHARE_STREAM : SHARE_GATHERED,
				    .slices = gather->scatters ? slices : NULL,
				    .count = part->count,
				    .time_left = gather->timed ? call_time_left(&gather->call) : UINT64_MAX};
	struct error error;
	struct lane *lane = lane_to(gather->call.session, part->host, &error);

	if (!lane) {
		lose_part(part, &error);
		return;
	}
	if (share_ask(&share, ask, lane, &part->sub, &ops) == 0)
		return;
	error_no_memory(&error, RAN_NO);
	lose_part(part, &error);
}

static bool is_asked(const struct gateway *gateway, const struct ask *ask, const struct host *host)
{
	const struct host_pool *pool = host_pool(host, ask->target.pool);
	return pool && pool->ready > 0 && route_has(gateway, ask, host);
}

/* The list of slots. NULL: there are none, or too many, and *error says so. */
static struct gather *gather_new(struct gateway *gateway, const struct ask *ask, struct error *error)
{
	struct host *host;
	uint64_t slots = 0;
	uint32_t parts = 0;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (is_asked(gateway, ask, host)) {
			slots += host_pool(host, ask->target.pool)->slots;
			parts++;
		}
	if (parts == 0) {
		route_say_none(gateway, ask, error);
		return NULL;
	}
	if (slots > SLOTS_MAX) {
		error_say(error, ERROR_TOO_LARGE, RAN_NO, "the hosts have %llu slots together: a call to all may have %d",
			  (unsigned long long)slots, SLOTS_MAX);
		return NULL;
	}
	struct gather *gather = calloc(1, sizeof *gather + parts * sizeof *gather->parts);
	if (gather)
		gather->seen = calloc(slots + 1, sizeof *gather->seen);
	if (!gather || !gather->seen) {
		free(gather);
		error_no_memory(error, RAN_NO);
		return NULL;
	}
	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!is_asked(gateway, ask, host))
			continue;
		struct part *part = &gather->parts[gather->part_count++];
		*part = (struct part){.gather = gather,
				      .host = host,
				      .first = gather->slots,
				      .count = host_pool(host, ask->target.pool)->slots};
		gather->slots += part->count;
		host->users++;
	}
	return gather;
}

/* The same sentences as the daemon's, which says so of targets on one host. */
static int check_options(const struct ask *ask, struct error *error)
{
	const char *why = ask->sync ? "option sync is for a target with :map only"
			  : ask->args_as != ASK_ZIP && ask->target.select != SELECT_SCATTER
				  ? "option args_as goes with map and scatter only"
			  : ask->sticky != ASK_NOT_STICKY && ask->target.select != SELECT_ALL
				  ? "option sticky is for a target with :all only"
				  : NULL;

	if (!why)
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s", why);
	return -EINVAL;
}

/* The items of a scatter: as many as there are slots. */
static int open_items(const struct gather *gather, struct slices *slices, const struct ask *ask, struct error *error)
{
	if (!gather->scatters)
		return 0;
	if (slices_open(slices, ask, error) < 0)
		return -EINVAL;
	if (slices->count == gather->slots)
		return 0;
	error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "%u items were given, and the hosts have %u slots together", slices->count,
		  gather->slots);
	return -EINVAL;
}

static void begin(struct gather *gather, const struct ask *ask, struct slices *slices)
{
	struct ask each = *ask;

	each.rpc.type = RPC_REQUEST; /* also for a notification: its end is to be known */
	results_open(&gather->results, &gather->call, ask);
	gather->results.total = gather->slots;
	gather->results.label = ask->labels ? label : NULL;
	gather->timed = ask->timeout != UINT64_MAX;
	gather->subs_stream = ask->stream || ask->errors == ASK_FIRST || ask->progress;
	call_set_deadline(&gather->call, ask->timeout);
	gather->open = gather->part_count;
	for (uint32_t i = 0; i < gather->part_count && gather->sticky; i++)
		if (sticky_set_had(gather->sticky, gather->parts[i].host) < 0)
			gateway_log(gather->call.session->gateway, LOG_ERR, "%s: host %s may get a sticky call twice", NO_MEMORY,
				    gather->parts[i].host->name);
	for (uint32_t i = 0; i < gather->part_count && !gather->call.over; i++) {
		ask_part(&gather->parts[i], &each, slices);
		if (gather->scatters)
			slices_skip(slices, gather->parts[i].count);
	}
}

static int begin_with(struct session *session, const struct ask *ask, struct gather *gather, struct error *error)
{
	static const struct call_ops ops = {.cancel = cancel, .overdue = overdue, .give_up = give_up, .free = free_call};
	struct slices slices = {0};

	gather->scatters = ask->target.select == SELECT_SCATTER;
	gather->call.session = session;
	gather->results.account = session->memory;
	int r = open_items(gather, &slices, ask, error);
	if (r == 0 && ask->sticky && !gather->sticky && route_is_of_hosts(ask)) {
		gather->sticky = sticky_add(session->gateway, ask, session->user, error);
		r = gather->sticky ? 0 : -EINVAL;
	}
	if (r == 0) {
		r = call_begin(&gather->call, session, &ask->rpc, &ops);
		if (r == -ENOMEM)
			error_no_memory(error, RAN_NO);
	}
	if (r == 0)
		begin(gather, ask, &slices);
	else if (gather->sticky && !gather->done)
		sticky_drop(gather->sticky);
	slices_close(&slices);
	if (r < 0)
		free_call(&gather->call);
	return r;
}

int gather_replay(struct session *session, struct sticky *sticky, struct host *host, void (*done)(void *context), void *context)
{
	struct ask ask = sticky->ask;
	struct error error;

	ask.target.host = (struct span){.bytes = (const uint8_t *)host->name, .size = strlen(host->name)};
	ask.timeout = REPLAY_TIMEOUT;
	ask.stream = ask.progress = ask.labels = false;
	ask.errors = ASK_WAIT;
	struct gather *gather = gather_new(session->gateway, &ask, &error);
	if (!gather)
		return -EHOSTUNREACH;
	gather->sticky = sticky;
	sticky->refs++;
	gather->done = done;
	gather->context = context;
	return begin_with(session, &ask, gather, &error);
}

int gather_begin(struct session *session, const struct ask *ask)
{
	struct error error;
	struct gather *gather = check_options(ask, &error) == 0 ? gather_new(session->gateway, ask, &error) : NULL;
	const int r = gather ? begin_with(session, ask, gather, &error) : -EINVAL;

	if (r < 0 && r != -EEXIST)
		refuse_request(session, &ask->rpc, &error);
	return r == -EEXIST ? r : 0;
}
