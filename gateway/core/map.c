/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/map.h"

#include "gateway/core/items.h"
#include "gateway/core/lane.h"
#include "gateway/core/results.h"
#include "gateway/core/route.h"
#include "gateway/core/slices.h"

#include <errno.h>
#include <stdlib.h>

enum {
	WINDOW_MIN = 16,
	HAS_MAX =
		1 << 20, /* numbers between the first item that a host has and the last: behind a slow one, others go on so far */
	FEED_MAX = 4096, /* items in a message */
};

struct map;

/* What one host has of it. */
struct stint {
	struct sub sub;
	struct map *map;
	struct host *host;
	struct items has; /* by the host's numbers */
	uint32_t slots;
	uint64_t credit; /* items that it still takes */
	uint32_t open;   /* that it owes */
	bool over;
};

struct map {
	struct call call;
	struct results results;
	struct block *block;  /* holds the request's items; NULL: it is fed */
	struct slices slices; /* likewise */
	struct items waiting; /* items that were fed, or that lost hosts had */
	bool fed, input_over, idempotent, timed, window_is_fixed;
	bool may_have_run; /* of what lost hosts had, something is handed out again */
	uint64_t next;     /* index of the next new item */
	uint64_t window,
		granted;     /* items that the client may feed ahead of the results that have left; that it may feed in all */
	uint64_t open;       /* items that hosts have */
	struct span refusal; /* the last error with which a host refused the whole; owned */
	uint32_t total_slots, stint_count;
	struct stint stints[];
};

static struct map *of_call(struct call *call)
{
	return container_of(call, struct map, call);
}

static void free_call(struct call *call)
{
	struct map *map = of_call(call);

	for (uint32_t i = 0; i < map->stint_count; i++) {
		items_close(&map->stints[i].has);
		map->stints[i].host->users--;
	}
	items_close(&map->waiting);
	results_close(&map->results);
	slices_close(&map->slices);
	block_unref(map->block);
	free((void *)(uintptr_t)map->refusal.bytes);
	free(map);
}

static bool is_nil(struct span value)
{
	return value.size == 1 && value.bytes[0] == BYTE_NIL;
}

/* ---- items to the hosts ---- */

static uint64_t waiting(const struct map *map)
{
	return map->waiting.count + (map->fed ? 0 : map->slices.count - map->slices.taken);
}

static void no_memory(struct map *map)
{
	struct error error;

	error_no_memory(&error, RAN_MAYBE);
	results_fail(&map->results, &error);
}

static struct span copy_of(struct sendq *queue)
{
	uint8_t *bytes = queue->failed ? NULL : malloc(queue->bytes);
	size_t size = 0;

	for (struct iovec iov[1]; bytes && sendq_iov(queue, iov, 1) == 1; sendq_sent(queue, iov[0].iov_len)) {
		memcpy(bytes + size, iov[0].iov_base, iov[0].iov_len);
		size += iov[0].iov_len;
	}
	sendq_clear(queue);
	return (struct span){.bytes = bytes, .size = size};
}

/* The next item; its value has size 0 if there is no memory for it. */
static struct item next_item(struct map *map)
{
	struct sendq made = {0};
	struct item item = {.index = map->next};

	if (map->waiting.count > 0)
		return items_pop(&map->waiting);
	map->next++;
	slices_next(&map->slices, &made, &item.value);
	if (made.bytes == 0)
		return item;
	item.value = copy_of(&made);
	item.owned = item.value.size > 0;
	return item;
}

/* How many of the items that wait this host gets now: what its slots are among all, but one at least. Else the first that gives
 * credit would get all of a short map. */
static uint64_t share_of(const struct map *map, const struct stint *stint, uint64_t wait)
{
	uint64_t share = (wait * stint->slots + map->total_slots - 1) / map->total_slots;

	share = share < stint->credit ? share : stint->credit;
	return share < FEED_MAX ? share : FEED_MAX;
}

/* An ordered stream does not run further ahead of what has left than its window. */
static uint64_t may_begin(const struct map *map)
{
	const uint64_t wait = waiting(map);
	if (map->fed || !map->results.streams || !map->results.ordered)
		return wait;
	const uint64_t limit = map->results.base + map->window, ahead = map->next < limit ? limit - map->next : 0;
	const uint64_t fresh = wait - map->waiting.count;
	return map->waiting.count + (fresh < ahead ? fresh : ahead);
}

static void put_feed(struct stint *stint, struct sendq *to, uint32_t count)
{
	struct map *map = stint->map;

	put_array(to, 3);
	put_uint(to, RPC_NOTIFICATION);
	put_text(to, "objpool.feed");
	put_array(to, 2);
	put_uint(to, stint->sub.id);
	put_array(to, count);
	for (; count > 0; count--) {
		struct item item = next_item(map);
		item.end = UINT64_MAX; /* until the message is whole */
		if (item.value.size == 0 || items_push(&stint->has, &item) < 0) {
			to->failed = true;
			if (item.owned)
				free((void *)(uintptr_t)item.value.bytes);
			return;
		}
		stint->open++;
		map->open++;
		sendq_span(to, item.owned ? NULL : map->block, item.value.bytes, item.value.size);
	}
}

static void feed_host(struct stint *stint, uint32_t count)
{
	struct lane *lane = stint->sub.lane;
	const uint64_t first = stint->has.base + stint->has.count;

	put_feed(stint, lane_begin(lane), count);
	stint->credit -= count;
	if (lane_end(lane, NULL, 0, NULL) < 0)
		return; /* the lane is lost, and the stint was told */
	for (uint64_t number = first; number < stint->has.base + stint->has.count; number++)
		items_at(&stint->has, number)->end = lane->written;
}

static void fail_rest(struct map *map);

/* Hands out what may be handed out. */
static void pump(struct map *map)
{
	bool alive = false;

	for (uint32_t i = 0; i < map->stint_count && !map->call.over; i++) {
		struct stint *stint = &map->stints[i];
		if (stint->over)
			continue;
		alive = true;
		const uint64_t wait = may_begin(map);
		if (wait == 0 || stint->credit == 0 || (map->results.streams && map->call.session->full) ||
		    stint->has.count > HAS_MAX)
			continue;
		feed_host(stint, (uint32_t)share_of(map, stint, wait));
	}
	if (!alive && !map->call.over)
		fail_rest(map);
}

/* ---- credit for the client ---- */

static void grant(struct map *map)
{
	uint64_t window = map->window;

	if (!map->fed || map->call.session->full || map->input_over || map->call.over)
		return;
	const uint64_t limit = map->results.left + window, more = limit > map->granted ? limit - map->granted : 0;
	if (more == 0 || (more < window / 8 && map->granted > 0))
		return;
	struct sendq *to = call_notice_begin(&map->call, "credit", 1);
	if (!to)
		return;
	map->granted = limit;
	put_uint(to, more);
	session_end(map->call.session);
}

/* The window follows what the hosts take, unless the client has named one. */
static void widen(struct map *map)
{
	uint64_t window = 0;

	if (map->window_is_fixed)
		return;
	for (uint32_t i = 0; i < map->stint_count; i++)
		window += map->stints[i].credit + map->stints[i].open;
	if (window > map->window)
		map->window = window;
}

/* Something has changed: ends the call if it is done, else goes on. */
static void go_on(struct map *map)
{
	if (map->call.over)
		return;
	if (map->input_over && waiting(map) == 0 && map->open == 0) {
		results_answer(&map->results);
		return;
	}
	pump(map);
	grant(map);
}

/* ---- results ---- */

static void trim(struct items *items)
{
	while (items->count > 0 && items->item[items->start].answered)
		(void)items_pop(items);
}

static void take(struct stint *stint, uint64_t number, struct span error, struct span value, struct block *block)
{
	struct map *map = stint->map;
	struct item *item = items_at(&stint->has, number);

	if (!item || item->answered)
		return;
	const uint64_t index = item->index;
	const bool may_have_run = item->may_have_run;
	item->answered = true;
	item_free(&stint->has, item);
	stint->open--;
	map->open--;
	if (error.size == 0 || is_nil(error)) {
		(void)results_take(&map->results, index, (struct span){0}, value, block);
		return;
	}
	const struct span map_error = results_error(error, stint->host->name, index, may_have_run);
	(void)results_take(&map->results, index, map_error, value, NULL);
	free((void *)(uintptr_t)map_error.bytes);
}

static void on_run(struct stint *stint, struct reader rest, struct block *block)
{
	struct span value;
	uint64_t first;
	uint32_t count;

	if (read_uint(&rest, &first) < 0 || read_array(&rest, &count) < 0)
		return;
	for (uint64_t number = first; count > 0 && read_value(&rest, &value) == 0; count--)
		take(stint, number++, (struct span){0}, value, block);
}

static void on_result(struct stint *stint, struct reader rest, struct block *block)
{
	struct span error, value;
	uint64_t number;

	if (read_uint(&rest, &number) == 0 && read_value(&rest, &error) == 0 && read_value(&rest, &value) == 0)
		take(stint, number, error, value, block);
}

static void on_credit(struct stint *stint, struct reader rest)
{
	uint64_t more;

	if (read_uint(&rest, &more) < 0 || more > UINT32_MAX)
		return;
	stint->credit += more;
	widen(stint->map);
}

static void on_notice(struct sub *sub, struct span name, struct reader rest, uint32_t count, struct block *block)
{
	struct stint *stint = container_of(sub, struct stint, sub);
	struct map *map = stint->map;

	if (span_is(name, "results") && count == 2)
		on_run(stint, rest, block);
	else if (span_is(name, "result") && count == 3)
		on_result(stint, rest, block);
	else if (span_is(name, "credit") && count == 1)
		on_credit(stint, rest);
	trim(&stint->has);
	go_on(map);
}

/* ---- hosts that end ---- */

/* No host is left: nothing more can run. */
static void fail_rest(struct map *map)
{
	struct error error;

	if (map->refusal.size && (map->fed || map->results.taken == 0)) {
		results_fail_with(&map->results, map->refusal, NULL, map->may_have_run || map->results.taken > 0);
		return;
	}
	error_say(&error, ERROR_UNREACHABLE, RAN_NO, "no host is left that could take it");
	if (map->fed) {
		error.ran = map->may_have_run || map->results.taken ? RAN_MAYBE : RAN_NO;
		results_fail(&map->results, &error);
		return;
	}
	while (waiting(map) > 0 && !map->call.over) {
		struct item item = next_item(map);
		error.ran = item.may_have_run ? RAN_MAYBE : RAN_NO;
		results_take_error(&map->results, item.index, &error);
		if (item.owned)
			free((void *)(uintptr_t)item.value.bytes);
	}
	if (!map->call.over)
		results_answer(&map->results);
}

static void remember_refusal(struct map *map, struct span error)
{
	free((void *)(uintptr_t)map->refusal.bytes);
	map->refusal = error;
}

static void say_failed(struct stint *stint, struct item *item, struct span error)
{
	const struct error_context context = {
		.host = stint->host->name, .index = (int64_t)item->index, .may_have_run = true, .items = -1};
	struct sendq to = {0};

	put_error(&to, error, ERRORS_AS_MAP, &context);
	const struct span said = copy_of(&to);
	if (said.size)
		(void)results_take(&stint->map->results, item->index, said, (struct span){0}, NULL);
	else
		no_memory(stint->map);
	free((void *)(uintptr_t)said.bytes);
}

/* What the host had is handed to others if it may be; else it gets the error. `left`: bytes of the lane that had left this
 * host. */
static void give_back(struct stint *stint, struct span error, uint64_t left)
{
	struct map *map = stint->map;

	stint->over = true;
	map->total_slots -= map->total_slots > stint->slots ? stint->slots : 0;
	while (stint->has.count > 0 && !map->call.over) {
		struct item item = items_pop(&stint->has);
		if (item.answered)
			continue;
		stint->open--;
		map->open--;
		if (item.end <= left)
			item.may_have_run = map->may_have_run = true;
		if (item.end <= left && !map->idempotent)
			say_failed(stint, &item, error);
		else if (items_push(&map->waiting, &item) == 0)
			continue;
		else
			no_memory(map);
		if (item.owned)
			free((void *)(uintptr_t)item.value.bytes);
	}
}

static void on_lost(struct sub *sub, const struct error *error)
{
	struct stint *stint = container_of(sub, struct stint, sub);
	struct sendq to = {0};

	error_pack(error, ERRORS_AS_MAP, &to);
	const struct span packed = copy_of(&to);
	if (!packed.size) {
		no_memory(stint->map);
		return;
	}
	give_back(stint, packed, sub->left);
	remember_refusal(stint->map, packed);
	go_on(stint->map);
}

/* The host's map has ended before its input: it was refused, or has failed as a whole. */
static void on_response(struct sub *sub, const struct rpc *rpc, struct block *block)
{
	struct stint *stint = container_of(sub, struct stint, sub);
	struct map *map = stint->map;
	struct error error;

	(void)block;
	if (is_nil(rpc->error)) {
		error_say(&error, ERROR_INTERNAL, RAN_MAYBE, "host %s has ended the map before its input", stint->host->name);
		error.host = stint->host->name;
		sub->left = UINT64_MAX;
		on_lost(sub, &error);
		return;
	}
	if (map->timed && call_time_left(&map->call) == 0) {
		results_fail_with(&map->results, rpc->error, stint->host->name, true);
		return;
	}
	const struct error_context context = {.host = stint->host->name, .index = -1, .items = -1};
	struct sendq to = {0};
	put_error(&to, rpc->error, ERRORS_AS_MAP, &context);
	give_back(stint, rpc->error, UINT64_MAX);
	remember_refusal(map, copy_of(&to));
	go_on(map);
}

/* ---- what the client says ---- */

static void put_feed_end(struct sub *sub)
{
	struct sendq *to = lane_begin(sub->lane);

	put_array(to, 3);
	put_uint(to, RPC_NOTIFICATION);
	put_text(to, "objpool.feed_end");
	put_array(to, 1);
	put_uint(to, sub->id);
	(void)lane_end(sub->lane, NULL, 0, NULL);
}

static void give_up(struct call *call)
{
	struct map *map = of_call(call);

	for (uint32_t i = 0; i < map->stint_count; i++) {
		struct stint *stint = &map->stints[i];
		struct sub sub = stint->sub;
		sub_forget(&stint->sub); /* first: else a lane that is lost meanwhile would tell it */
		stint->over = true;
		if (!sub.lane || call->session->closed)
			continue;
		if (map->open > 0 || stint->open > 0)
			sub_cancel(&sub);
		else
			put_feed_end(&sub);
	}
}

static void cancel(struct call *call)
{
	struct error error;

	error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "the call was cancelled by its caller");
	results_fail(&of_call(call)->results, &error);
}

static void overdue(struct call *call)
{
	struct error error;

	error_say(&error, ERROR_TIMEOUT, RAN_MAYBE, "the call's time is over");
	results_fail(&of_call(call)->results, &error);
}

static void resumed(struct call *call)
{
	go_on(of_call(call));
}

static bool add_fed(struct map *map, struct span value)
{
	uint8_t *copy = malloc(value.size);
	const struct item item = {.index = map->next, .value = {.bytes = copy, .size = value.size}, .owned = true};

	if (!copy)
		return false;
	memcpy(copy, value.bytes, value.size);
	if (items_push(&map->waiting, &item) < 0) {
		free(copy);
		return false;
	}
	map->next++;
	return true;
}

static void feed(struct call *call, struct span items, struct block *block)
{
	struct map *map = of_call(call);
	struct reader reader = reader_of(items);
	struct error error;
	struct span value;
	uint32_t count;

	(void)block;
	if (!map->fed || map->input_over || read_array(&reader, &count) < 0)
		return;
	if (count > map->granted - map->next) {
		error_say(&error, ERROR_OVERLOADED, RAN_MAYBE, "%u items were fed, and there was credit for %llu", count,
			  (unsigned long long)(map->granted - map->next));
		results_fail(&map->results, &error);
		return;
	}
	for (; count > 0 && read_value(&reader, &value) == 0; count--)
		if (!add_fed(map, value)) {
			no_memory(map);
			return;
		}
	go_on(map);
}

static struct span message_of(struct span error)
{
	struct reader reader = reader_of(error), inside;
	struct span key, value, text = {0};
	uint32_t count;

	if (read_text(&reader, &text) == 0 || read_map(&reader, &count) < 0)
		return text;
	for (; count > 0 && read_text(&reader, &key) == 0 && read_value(&reader, &value) == 0; count--) {
		inside = reader_of(value);
		if (span_is(key, "message"))
			(void)read_text(&inside, &text);
	}
	return text;
}

static void feed_end(struct call *call, struct span error)
{
	struct map *map = of_call(call);
	struct error failed;

	if (!map->fed || map->input_over)
		return;
	map->input_over = true;
	if (error.size && !is_nil(error)) {
		error_say(&failed, ERROR_FAILED, RAN_NO, "the input failed: %.*s", SPAN_TEXT(message_of(error), 200));
		results_take_error(&map->results, map->next++, &failed);
	}
	map->results.total = map->next;
	go_on(map);
}

/* ---- its beginning ---- */

enum {
	OWN = OPTION_ERRORS | OPTION_LABELS | OPTION_ORDERED | OPTION_WINDOW | OPTION_PROGRESS | OPTION_TIMEOUT | OPTION_STREAM |
	      OPTION_ARGS_AS | OPTION_SYNC | OPTION_STICKY,
};

static void put_options(const struct map *map, const struct ask *ask, struct sendq *to)
{
	static const char *const args_as[] = {"single", "single", "positional", "keyword"}; /* as enum ask_args; fed items */

	ask_put_options(ask, to, OWN | (map->fed ? 0 : OPTION_KWARGS), 4u + map->timed + (ask->window > 0));
	put_text(to, "stream");
	put_text(to, "runs");
	put_text(to, "ordered");
	put_bool(to, false);
	put_text(to, "errors");
	put_text(to, "collect");
	put_text(to, "args_as");
	put_text(to, map->fed ? args_as[ask->args_as] : slices_args_as(&map->slices, ask));
	if (map->timed)
		put_pair(to, "timeout_ms", call_time_left(&map->call));
	if (ask->window > 0)
		put_pair(to, "window", (ask->window + map->stint_count - 1) / map->stint_count);
}

static void begin_stint(struct stint *stint, const struct ask *ask)
{
	static const struct sub_ops ops = {.response = on_response, .notice = on_notice, .lost = on_lost};
	struct map *map = stint->map;
	struct error error;
	struct lane *lane = lane_to(map->call.session, stint->host, &error);

	if (!lane) {
		stint->sub.left = 0;
		on_lost(&stint->sub, &error);
		return;
	}
	const uint32_t number = lane_number(lane);
	struct sendq *to = lane_begin(lane);
	ask_put_call(ask, to, number, stint->host->name, ":map");
	put_nil(to);
	put_options(map, ask, to);
	if (lane_end(lane, &stint->sub, number, &ops) < 0)
		no_memory(map);
}

static bool is_asked(const struct gateway *gateway, const struct ask *ask, const struct host *host)
{
	return route_has(gateway, ask, host) && host_pool(host, ask->target.pool)->slots > 0;
}

static struct map *map_new(struct gateway *gateway, const struct ask *ask, struct error *error)
{
	struct host *host;
	uint32_t hosts = 0;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		hosts += is_asked(gateway, ask, host);
	if (hosts == 0) {
		route_say_none(gateway, ask, error);
		return NULL;
	}
	struct map *map = calloc(1, sizeof *map + hosts * sizeof *map->stints);
	if (!map) {
		error_no_memory(error, RAN_NO);
		return NULL;
	}
	map->waiting.account = &gateway->memory;
	map->results.account = &gateway->memory;
	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!is_asked(gateway, ask, host))
			continue;
		struct stint *stint = &map->stints[map->stint_count++];
		*stint = (struct stint){.map = map, .host = host, .slots = host_pool(host, ask->target.pool)->slots};
		stint->has.account = &gateway->memory;
		map->total_slots += stint->slots;
		host->users++;
	}
	return map;
}

static int check_options(const struct ask *ask, struct error *error)
{
	if (!ask->sync && !ask->sticky && !ask->labels)
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "option %s is not for a map over hosts",
		  ask->sync     ? "sync"
		  : ask->labels ? "labels"
				: "sticky");
	return -EINVAL;
}

static int open_items(struct map *map, const struct ask *ask, struct block *block, struct error *error)
{
	map->fed = ask->stream && !ask->args.size && !ask->kwargs.size;
	map->idempotent = ask->idempotent;
	map->window = ask->window;
	map->window_is_fixed = ask->window > 0;
	map->input_over = !map->fed;
	if (map->fed)
		return 0;
	if (slices_open(&map->slices, ask, error) < 0)
		return -EINVAL;
	if (!map->slices.keywords && (ask->given & OPTION_KWARGS)) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO,
			  "a map over hosts takes arrays of arguments, or kwargs, but not both: put the ones into "
			  "`args` as maps, with args_as \"keyword\"");
		return -EINVAL;
	}
	map->block = block_ref(block);
	return 0;
}

static void begin(struct map *map, const struct ask *ask)
{
	struct ask each = *ask;

	each.rpc.type = RPC_REQUEST; /* also for a notification: its end is to be known */
	results_open(&map->results, &map->call, ask);
	map->timed = ask->timeout != UINT64_MAX;
	call_set_deadline(&map->call, ask->timeout);
	if (!map->fed)
		map->results.total = map->slices.count;
	if (map->window == 0)
		map->window = WINDOW_MIN;
	for (uint32_t i = 0; i < map->stint_count && !map->call.over && (map->fed || map->slices.count > 0); i++)
		begin_stint(&map->stints[i], &each);
	go_on(map);
}

int map_begin(struct session *session, const struct ask *ask, struct block *block)
{
	static const struct call_ops ops = {.cancel = cancel,
					    .feed = feed,
					    .feed_end = feed_end,
					    .overdue = overdue,
					    .resumed = resumed,
					    .give_up = give_up,
					    .free = free_call};
	struct error error;
	struct map *map = check_options(ask, &error) == 0 ? map_new(session->gateway, ask, &error) : NULL;
	int r = map ? open_items(map, ask, block, &error) : -EINVAL;

	if (r == 0) {
		r = call_begin(&map->call, session, &ask->rpc, &ops);
		if (r == -ENOMEM)
			error_no_memory(&error, RAN_NO);
	}
	if (r == 0)
		begin(map, ask);
	else if (map)
		free_call(&map->call);
	if (r < 0 && r != -EEXIST)
		refuse_request(session, &ask->rpc, &error);
	return r == -EEXIST ? r : 0;
}
