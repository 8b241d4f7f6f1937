/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/map.h"

#include "gateway/core/flat.h"
#include "gateway/core/many.h"
#include "gateway/core/share.h"

#include <stdlib.h>

enum {
	HAS_MAX =
		1 << 20, /* numbers between the first item that a host has and the last: behind a slow one, others go on so far */
	FEED_MAX = 4096, /* items in a message */
	STINTS_MAX = 3,  /* of an incarnation of a host that is lost and yet there: its conduit has died */
};

struct map;

/* A message with items that went to a host. */
struct sending {
	uint64_t behind; /* the number behind that of its last item */
	uint64_t end;    /* where it ends in the lane */
};

/* What one host has of it. A host that is lost, and comes back, begins another. */
struct stint {
	TAILQ_ENTRY(stint) entry;
	struct sub sub;
	struct map *map;
	struct host *host;
	uint64_t incarnation; /* of the host */
	struct items has;     /* by the host's numbers */
	struct sending *sent; /* from sent[sent_start] on; of items that it has */
	uint32_t sent_start, sent_count, sent_room;
	uint32_t slots;
	uint64_t credit; /* items that it still takes */
	uint32_t open;   /* that it owes */
	bool ready;      /* the host has instances that are: else it only keeps what it is given, as its pool is paused */
	bool refused;    /* the host has said no: it is not asked again */
	bool over;
};

struct map {
	struct many many;
	TAILQ_HEAD(stint_list, stint) stints;
	uint32_t live; /* stints that are not over */
	bool joins;    /* hosts are being asked */
};

static struct map *of_many(struct many *many)
{
	return container_of(many, struct map, many);
}

static void free_map(struct many *many)
{
	struct map *map = of_many(many);
	struct stint *stint;

	while ((stint = TAILQ_FIRST(&map->stints))) {
		TAILQ_REMOVE(&map->stints, stint, entry);
		items_close(&stint->has);
		free(stint->sent);
		stint->host->users--;
		free(stint);
	}
	free(map);
}

/* ---- items to the hosts ---- */

/* How many of the items that wait this host gets now: what its slots are among `slots`, but one at least. Else the first that
 * gives credit would get all of a short map. */
static uint32_t share_of(const struct stint *stint, uint64_t slots, uint64_t wait)
{
	uint64_t share = (wait * stint->slots + slots - 1) / slots;

	share = share < stint->credit ? share : stint->credit;
	return (uint32_t)(share < FEED_MAX ? share : FEED_MAX);
}

/* An ordered stream does not run further ahead of what has left than its window. */
static uint64_t may_begin(const struct map *map)
{
	const struct input *input = &map->many.input;
	const struct results *results = &map->many.results;
	const uint64_t wait = input_waiting(input);

	if (input->is_fed || !results->streams || !results->ordered)
		return wait;
	const uint64_t limit = results->base + input->window, ahead = input->next < limit ? limit - input->next : 0;
	const uint64_t fresh = wait - input->waiting.count;
	return input->waiting.count + (fresh < ahead ? fresh : ahead);
}

/* Values that lie behind each other are written in one piece. */
static void put_values(struct sendq *to, const struct items *items, uint64_t number, uint32_t count)
{
	const struct item *item = items_at(items, number), *end = item + count;

	while (item < end) {
		const uint8_t *bytes = item->bytes;
		size_t size = item->size;
		struct block *block = item->block;
		for (item++; item < end && item->block == block && item->bytes == bytes + size; item++)
			size += item->size;
		sendq_span(to, block, bytes, size);
	}
}

/* Room for one more; those whose items are answered are dropped. 0 or -1: no memory. */
static int reserve_sending(struct stint *stint)
{
	for (; stint->sent_count > 0 && stint->sent[stint->sent_start].behind <= stint->has.base; stint->sent_count--)
		stint->sent_start++;
	if (stint->sent_start + stint->sent_count < stint->sent_room)
		return 0;
	if (stint->sent_start > stint->sent_count) {
		memcpy(stint->sent, stint->sent + stint->sent_start, stint->sent_count * sizeof *stint->sent);
		stint->sent_start = 0;
		return 0;
	}
	const uint32_t room = 2 * stint->sent_room + 8; /* few: each has an item that is not answered behind it */
	struct sending *sent = realloc(stint->sent, room * sizeof *sent);
	if (!sent)
		return -1;
	stint->sent = sent;
	stint->sent_room = room;
	return 0;
}

/* The number behind the last item that had left this host, when so many bytes of the lane had. */
static uint64_t number_that_left(const struct stint *stint, uint64_t left)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < stint->sent_count && stint->sent[stint->sent_start + i].end <= left; i++)
		number = stint->sent[stint->sent_start + i].behind;
	return number;
}

static void feed_host(struct stint *stint, uint32_t count)
{
	struct many *many = &stint->map->many;
	struct lane *lane = stint->sub.lane;
	const uint64_t first = stint->has.base + stint->has.count;

	if (reserve_sending(stint) < 0 || input_hand(&many->input, &stint->has, count) < 0) {
		many_fail_for_memory(many);
		return;
	}
	struct sending *sending = &stint->sent[stint->sent_start + stint->sent_count++];
	*sending = (struct sending){.behind = first + count, .end = UINT64_MAX}; /* until the message is whole */
	stint->open += count;
	stint->credit -= count;
	many->open += count;
	struct sendq *to = sub_notice_begin(&stint->sub, "objpool.feed", 1);
	put_array(to, count);
	put_values(to, &stint->has, first, count);
	sub_notice_end(&stint->sub);
	if (!stint->over && !lane->over) /* else the lane is lost, and the stint was told */
		sending->end = lane->written;
}

static bool join_hosts(struct map *map);

/* The slots of hosts that take items. `ready`: only of those where instances are ready. */
static uint64_t count_slots(const struct map *map, bool ready)
{
	const struct stint *stint;
	uint64_t slots = 0;

	TAILQ_FOREACH(stint, &map->stints, entry)
		slots += stint->over || (ready && !stint->ready) ? 0 : stint->slots;
	return slots;
}

static bool wants_hosts(const struct map *map)
{
	return map->live == 0 || (count_slots(map, true) == 0 && input_waiting(&map->many.input) > 0);
}

static void go_on(struct many *many)
{
	struct map *map = of_many(many);
	struct stint *stint, *next;

	while (!many->call.over && wants_hosts(map) && join_hosts(map))
		;
	const uint64_t slots_ready = count_slots(map, true), slots = slots_ready > 0 ? slots_ready : count_slots(map, false);
	for (stint = TAILQ_FIRST(&map->stints); stint && !many->call.over; stint = next) {
		next = TAILQ_NEXT(stint, entry);
		const bool takes = !stint->over && stint->credit > 0 && (stint->ready || slots_ready == 0);
		const uint64_t wait = takes ? may_begin(map) : 0;
		if (wait == 0 || (many->results.streams && many->call.session->full) || stint->has.count > HAS_MAX)
			continue;
		feed_host(stint, share_of(stint, slots, wait));
	}
	if (map->live == 0 && !map->joins && !many->call.over)
		many_fail_rest(many);
}

/* The window follows what the hosts take. */
static void widen(struct map *map)
{
	const struct stint *stint;
	uint64_t window = 0;

	TAILQ_FOREACH(stint, &map->stints, entry)
		window += stint->over ? 0 : stint->credit + stint->open;
	input_widen(&map->many.input, window);
}

/* ---- what hosts say ---- */

static void take(struct stint *stint, uint64_t number, struct span error, struct span value, struct block *block)
{
	struct item *item = items_at(&stint->has, number);

	if (!item || item->answered)
		return;
	stint->open--;
	many_take(&stint->map->many, item, stint->host, error, value, block);
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
	struct many *many = &stint->map->many;

	if (span_is(name, "results") && count == 2)
		on_run(stint, rest, block);
	else if (span_is(name, "result") && count == 3)
		on_result(stint, rest, block);
	else if (span_is(name, "credit") && count == 1)
		on_credit(stint, rest);
	items_trim(&stint->has);
	results_flush(&many->results);
	many_go_on(many);
}

/* What the host had is handed to others if it may be; else it gets the error. `left`: bytes of the lane that had left this
 * host. */
static void give_back(struct stint *stint, struct span error, uint64_t left)
{
	struct map *map = stint->map;
	const uint64_t gone = number_that_left(stint, left);

	stint->over = true;
	map->live--;
	while (stint->has.count > 0) {
		const bool has_left = stint->has.base < gone;
		const struct item item = items_pop(&stint->has);
		if (item.answered)
			continue;
		stint->open--;
		many_lose(&map->many, item, stint->host, error, has_left);
	}
}

static void on_lost(struct sub *sub, const struct error *error)
{
	struct stint *stint = container_of(sub, struct stint, sub);
	struct many *many = &stint->map->many;
	const struct span map = many_flat_error(many, error);

	if (!map.size) {
		many_fail_for_memory(many);
		return;
	}
	give_back(stint, map, sub->left);
	many_refused(many, map);
	many_go_on(many);
}

/* The host's map has ended before its input: it was refused, or has failed as a whole. */
static void on_response(struct sub *sub, const struct rpc *rpc, struct block *block)
{
	struct stint *stint = container_of(sub, struct stint, sub);
	struct many *many = &stint->map->many;
	struct error error;

	(void)block;
	stint->refused = true;
	if (span_is_nil(rpc->error)) {
		error_say(&error, ERROR_INTERNAL, RAN_MAYBE, "host %s has ended the map before its input", stint->host->name);
		error.host = stint->host->name;
		sub->left = UINT64_MAX;
		on_lost(sub, &error);
		return;
	}
	if (many_time_left(many) == 0) {
		results_fail_with(&many->results, rpc->error, stint->host->name, true);
		return;
	}
	const struct error_context context = {.host = stint->host->name, NO_CONTEXT};
	struct sendq to = {0};
	put_error(&to, rpc->error, ERRORS_AS_MAP, &context);
	give_back(stint, rpc->error, UINT64_MAX);
	many_refused(many, flat_take(&to));
	many_go_on(many);
}

/* ---- its hosts ---- */

static void ask_host(struct stint *stint)
{
	static const struct sub_ops ops = {.response = on_response, .notice = on_notice, .lost = on_lost};
	struct map *map = stint->map;
	struct many *many = &map->many;
	const uint64_t window = many->ask.window;
	const struct share share = {.selector = ":map",
				    .how = SHARE_RUNS,
				    .is_fed = true,
				    .args_as = ask_args_name(many->input.args_as),
				    .window = (window + map->live - 1) / map->live,
				    .time_left = many_time_left(many)};
	struct error error;
	struct lane *lane = lane_to(many->call.session, stint->host, &error);

	if (!lane) {
		stint->sub.left = 0;
		on_lost(&stint->sub, &error);
	} else if (share_ask(&share, &many->ask, lane, &stint->sub, &ops) < 0) {
		many_fail_for_memory(many);
	}
}

/* A pool that sleeps has no slots, and makes one when it is asked. */
static void look_at_pool(struct stint *stint)
{
	const struct host_pool *pool = host_pool(stint->host, stint->map->many.ask.target.pool);

	stint->slots = pool->slots > 0 ? pool->slots : 1;
	stint->ready = pool->ready > 0;
}

/* NULL: no memory; then the host does not take part. */
static struct stint *add_stint(struct map *map, struct host *host)
{
	struct stint *stint = calloc(1, sizeof *stint);

	if (!stint)
		return NULL;
	stint->map = map;
	stint->host = host;
	stint->incarnation = host_incarnation(host);
	look_at_pool(stint);
	stint->has.account = map->many.call.session->memory;
	TAILQ_INSERT_TAIL(&map->stints, stint, entry);
	map->live++;
	host->users++;
	return stint;
}

/* The host's stint that goes on, or that the host has refused. NULL: there is none. *lost: how many others it has had. */
static struct stint *find_stint(const struct map *map, const struct host *host, uint32_t *lost)
{
	struct stint *stint;

	*lost = 0;
	TAILQ_FOREACH(stint, &map->stints, entry) {
		if (stint->host != host || stint->incarnation != host_incarnation(host))
			continue;
		if (!stint->over || stint->refused)
			return stint;
		++*lost;
	}
	return NULL;
}

/* All hosts that have no part in it: those that have not been asked, and those that were lost and are there. All are counted
 * before the first is asked. False: there are none. */
static bool join_hosts(struct map *map)
{
	struct stint *last = TAILQ_LAST(&map->stints, stint_list), *stint, *next;
	struct host *host;
	uint32_t lost;

	if (map->joins)
		return false;
	TAILQ_FOREACH(host, &map->many.call.session->gateway->hosts->list, entry)
		if (many_has(&map->many, host) && !find_stint(map, host, &lost) && lost < STINTS_MAX && (!last || !host->replays))
			(void)add_stint(map, host);
	stint = last ? TAILQ_NEXT(last, entry) : TAILQ_FIRST(&map->stints);
	if (!stint)
		return false;
	map->joins = true;
	for (; stint && !map->many.call.over; stint = next) {
		next = TAILQ_NEXT(stint, entry);
		ask_host(stint);
	}
	map->joins = false;
	return true;
}

static void came(struct many *many, struct host *host)
{
	struct map *map = of_many(many);
	uint32_t lost;
	struct stint *stint = find_stint(map, host, &lost);

	if (stint && !stint->over) {
		look_at_pool(stint);
		many_go_on(many);
	}
	if (stint || (input_waiting(&many->input) == 0 && many->input.is_over))
		return;
	stint = add_stint(map, host);
	if (stint)
		ask_host(stint);
}

static void give_up(struct many *many, bool tell)
{
	struct map *map = of_many(many);
	struct stint *stint;

	TAILQ_FOREACH(stint, &map->stints, entry) {
		struct sub sub = stint->sub;
		sub_forget(&stint->sub); /* first: else a lane that is lost meanwhile would tell it */
		stint->over = true;
		if (!sub.lane || sub.lane->over || !tell)
			continue;
		if (many->open > 0) {
			sub_cancel(&sub);
		} else {
			(void)sub_notice_begin(&sub, "objpool.feed_end", 0);
			sub_notice_end(&sub);
		}
	}
}

/* ---- its beginning ---- */

int map_begin(struct session *session, const struct ask *ask, struct block *block)
{
	static const struct many_ops ops = {.go_on = go_on, .came = came, .give_up = give_up, .free = free_map};
	struct map *map = calloc(1, sizeof *map);

	if (map)
		TAILQ_INIT(&map->stints);
	return many_begin(map ? &map->many : NULL, &ops, session, ask, block);
}
