/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/rounds.h"

#include "gateway/core/flat.h"
#include "gateway/core/lane.h"
#include "gateway/core/many.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	SEATS_MAX = 1 << 16,
	VAIN_MAX = 3, /* rounds behind each other in which no slot had a result */
};

/* A slot in the round. */
struct seat {
	struct sub sub;
	struct rounds *rounds;
	struct host *host;
	uint32_t slot;
	struct item item;
};

struct rounds {
	struct many many;
	struct items dealt; /* the items of a round, on their way to their seats */
	struct seat *seats;
	uint32_t seat_count;
	uint64_t taken; /* results before the round */
	unsigned vain;  /* rounds in which no item had a result */
	bool deals;     /* a round is being dealt out */
	bool lacked;    /* a slot of the round was gone, which is known now */
};

static struct rounds *of_many(struct many *many)
{
	return container_of(many, struct rounds, many);
}

static void free_seats(struct rounds *rounds)
{
	for (uint32_t i = 0; i < rounds->seat_count; i++) {
		rounds->seats[i].host->users--;
		block_unref(rounds->seats[i].item.block);
	}
	account_credit(rounds->dealt.account, rounds->seat_count * sizeof *rounds->seats);
	free(rounds->seats);
	rounds->seats = NULL;
	rounds->seat_count = 0;
}

static void free_rounds(struct many *many)
{
	struct rounds *rounds = of_many(many);

	items_close(&rounds->dealt);
	free_seats(rounds);
	free(rounds);
}

/* ---- who has a seat ---- */

/* `ready`: only with instances that are ready. */
static bool takes_part(const struct many *many, const struct host *host, bool ready)
{
	return many_has(many, host) && (!ready || host_pool(host, many->ask.target.pool)->ready > 0);
}

static uint64_t count_slots(const struct many *many, bool ready)
{
	const struct host *host;
	uint64_t slots = 0;

	TAILQ_FOREACH(host, &many->call.session->gateway->hosts->list, entry)
		slots += takes_part(many, host, ready) ? host_pool(host, many->ask.target.pool)->slots : 0;
	return slots;
}

/* Seats for the next `count` items. 0 or -1: no memory. */
static int set_seats(struct rounds *rounds, uint32_t count, bool ready)
{
	struct many *many = &rounds->many;
	struct gateway *gateway = many->call.session->gateway;
	struct host *host;

	free_seats(rounds);
	rounds->dealt.account = rounds->many.call.session->memory;
	rounds->seats = calloc(count, sizeof *rounds->seats);
	if (!rounds->seats || input_hand(&many->input, &rounds->dealt, count) < 0)
		return -1;
	account_charge(rounds->dealt.account, count * sizeof *rounds->seats);
	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		const uint32_t slots = takes_part(many, host, ready) ? host_pool(host, many->ask.target.pool)->slots : 0;
		for (uint32_t slot = 0; slot < slots && rounds->seat_count < count; slot++) {
			rounds->seats[rounds->seat_count++] =
				(struct seat){.rounds = rounds, .host = host, .slot = slot, .item = items_pop(&rounds->dealt)};
			host->users++;
		}
	}
	return 0;
}

/* ---- what hosts say ---- */

/* Takes the item out of the seat. */
static struct item leave_seat(struct seat *seat)
{
	const struct item item = seat->item;

	seat->item.block = NULL;
	seat->item.answered = true;
	return item;
}

/* The pool has fewer slots by now, of which no beat has told yet: the item goes into another round. */
static void give_up_slot(struct seat *seat, struct span error)
{
	const struct error_context context = {.host = seat->host->name, NO_CONTEXT};
	struct many *many = &seat->rounds->many;
	struct host_pool *pool = host_pool(seat->host, many->ask.target.pool);
	struct sendq to = {0};

	if (pool)
		host_pool_lacks(pool, seat->slot);
	seat->rounds->lacked = true;
	put_error(&to, error, ERRORS_AS_MAP, &context);
	many_lose(many, leave_seat(seat), seat->host, error, false);
	many_refused(many, flat_take(&to));
}

static void on_response(struct sub *sub, const struct rpc *rpc, struct block *block)
{
	struct seat *seat = container_of(sub, struct seat, sub);
	struct many *many = &seat->rounds->many;
	const bool lacks = span_is(flat_error_text(rpc->error, "code"), "NO_SUCH_SLOT");

	if (many_time_left(many) == 0 && !span_is_nil(rpc->error) && !lacks) {
		results_fail_with(&many->results, rpc->error, seat->host->name, true);
		return;
	}
	if (lacks)
		give_up_slot(seat, rpc->error);
	else
		many_take(many, &seat->item, seat->host, rpc->error, rpc->result, block);
	results_flush(&many->results);
	many_go_on(many);
}

static void on_notice(struct sub *sub, struct span name, struct reader rest, uint32_t count, struct block *block)
{
	(void)sub, (void)name, (void)rest, (void)count, (void)block;
}

static void lose_seat(struct seat *seat, const struct error *error, bool left)
{
	struct many *many = &seat->rounds->many;
	const struct item item = leave_seat(seat);
	const struct span map = many_flat_error(many, error);

	if (!map.size) {
		block_unref(item.block);
		many_fail_for_memory(many);
		return;
	}
	many_lose(many, item, seat->host, map, left);
	many_refused(many, map);
	many_go_on(many);
}

static void on_lost(struct sub *sub, const struct error *error)
{
	lose_seat(container_of(sub, struct seat, sub), error, error->ran != RAN_NO);
}

/* ---- asking ---- */

/* What the method is given: an array, and a map or nothing. */
struct arguments {
	struct span args, kwargs; /* size 0: none */
	bool is_one;              /* args is the one argument, and no array of them */
};

static bool is_array(struct span value)
{
	struct reader reader = reader_of(value);
	uint32_t count;
	return read_array(&reader, &count) == 0;
}

static bool is_map(struct span value)
{
	struct reader reader = reader_of(value);
	uint32_t count;
	return read_map(&reader, &count) == 0;
}

static const char *read_both(struct span value, struct arguments *arguments)
{
	struct reader reader = reader_of(value);
	uint32_t two;

	if (read_array(&reader, &two) < 0 || two != 2 || read_value(&reader, &arguments->args) < 0 ||
	    read_value(&reader, &arguments->kwargs) < 0 || !is_array(arguments->args) || !is_map(arguments->kwargs))
		return "with args_as both each item must be [arguments, keywords]";
	return NULL;
}

/* NULL; or what is wrong with the item. */
static const char *read_arguments(enum ask_args args_as, struct span value, struct arguments *arguments)
{
	*arguments = (struct arguments){.args = value};
	switch (args_as) {
	case ASK_ZIP:
	case ASK_SINGLE:
		arguments->is_one = true;
		return NULL;
	case ASK_POSITIONAL:
		return is_array(value) ? NULL : "with args_as positional each item must be an array";
	case ASK_KEYWORD:
		*arguments = (struct arguments){.kwargs = value};
		return is_map(value) ? NULL : "with args_as keyword each item must be a map";
	case ASK_BOTH:
		return read_both(value, arguments);
	}
	return "it is of no kind";
}

static void put_call(const struct seat *seat, const struct arguments *arguments, struct sendq *to, uint32_t number)
{
	enum {
		OWN = OPTION_KWARGS | OPTION_ARGS_AS | OPTION_ERRORS | OPTION_TIMEOUT | OPTION_STREAM | OPTION_ORDERED |
		      OPTION_WINDOW | OPTION_SYNC | OPTION_PROGRESS | OPTION_STICKY | OPTION_LABELS | OPTION_CHUNK
	};
	const struct many *many = &seat->rounds->many;
	const uint64_t time_left = many_time_left(many);
	const bool timed = time_left != UINT64_MAX;
	char selector[16];

	(void)snprintf(selector, sizeof selector, ":%u", seat->slot);
	ask_put_call(&many->ask, to, number, seat->host->name, selector);
	if (arguments->is_one || !arguments->args.size)
		put_array(to, arguments->is_one ? 1u : 0u);
	sendq_span(to, seat->item.block, arguments->args.bytes, arguments->args.size);
	ask_put_options(&many->ask, to, OWN, 0u + (arguments->kwargs.size > 0) + timed);
	if (arguments->kwargs.size) {
		put_text(to, "kwargs");
		sendq_span(to, seat->item.block, arguments->kwargs.bytes, arguments->kwargs.size);
	}
	if (timed)
		put_pair(to, "timeout_ms", time_left);
}

static void refuse_item(struct seat *seat, const char *why)
{
	struct many *many = &seat->rounds->many;
	struct error error;

	error_say(&error, ERROR_BAD_ARGUMENT, RAN_NO, "%s", why);
	const struct span map = flat_error(&error);
	if (map.size)
		many_take(many, &seat->item, seat->host, map, (struct span){0}, NULL);
	else
		many_fail_for_memory(many);
	flat_free(map);
}

static void ask_seat(struct seat *seat)
{
	static const struct sub_ops ops = {.response = on_response, .notice = on_notice, .lost = on_lost};
	struct many *many = &seat->rounds->many;
	struct arguments arguments;
	struct error error;
	const struct span value = {.bytes = seat->item.bytes, .size = seat->item.size};
	const char *why = read_arguments(many->input.args_as, value, &arguments);

	if (why) {
		refuse_item(seat, why);
		return;
	}
	struct lane *lane = lane_to(many->call.session, seat->host, &error);
	if (!lane) {
		lose_seat(seat, &error, false);
		return;
	}
	const uint32_t number = lane_number(lane);
	put_call(seat, &arguments, lane_begin(lane), number);
	if (lane_end(lane, &seat->sub, number, &ops) == 0)
		return;
	error_no_memory(&error, RAN_NO);
	lose_seat(seat, &error, false);
}

/* ---- rounds ---- */

/* A round is short only at the end of the items, or when the client may not feed more before it has run. */
static bool is_due(struct many *many, uint64_t slots)
{
	const uint64_t wait = input_waiting(&many->input);

	input_widen(&many->input, 2 * slots);
	input_grant(&many->input, &many->call, many->results.left);
	return wait > 0 && (wait >= slots || many->input.is_over || many->input.next == many->input.granted);
}

static void deal(struct rounds *rounds, uint32_t count, bool ready)
{
	struct many *many = &rounds->many;

	if (set_seats(rounds, count, ready) < 0) {
		many_fail_for_memory(many);
		return;
	}
	rounds->taken = many->results.taken;
	rounds->deals = true;
	rounds->lacked = false;
	many->open += count;
	for (uint32_t i = 0; i < count && !many->call.over; i++)
		ask_seat(&rounds->seats[i]);
	rounds->deals = false;
	results_flush(&many->results);
}

/* Hosts that are there, and yet can't be asked, are not asked for ever. */
static bool is_in_vain(struct rounds *rounds)
{
	const bool vain = rounds->seat_count > 0 && rounds->many.results.taken == rounds->taken;

	if (!vain || !rounds->lacked)
		rounds->vain = vain ? rounds->vain + 1 : 0;
	return rounds->vain >= VAIN_MAX;
}

/* A round waits until all hosts have had their sticky calls: `came` is called then. Not if they may wait for a lease of this
 * client's. */
static bool must_wait(const struct many *many)
{
	const struct session *session = many->call.session;
	const struct host *host;

	if (session->gateway->replays == 0 || leases_hold(&session->leases, session->gateway->now))
		return false;
	TAILQ_FOREACH(host, &session->gateway->hosts->list, entry)
		if (host->replays && many_has(many, host))
			return true;
	return false;
}

/* True: one has begun. */
static bool begin_round(struct rounds *rounds)
{
	struct many *many = &rounds->many;
	const bool ready = count_slots(many, true) > 0;
	const uint64_t slots = count_slots(many, ready), seats = slots < SEATS_MAX ? slots : SEATS_MAX;
	const uint64_t wait = input_waiting(&many->input);

	if (seats > 0 && (!is_due(many, seats) || must_wait(many)))
		return false;
	if (seats == 0 || is_in_vain(rounds)) {
		many_fail_rest(many);
		return false;
	}
	deal(rounds, (uint32_t)(wait < seats ? wait : seats), ready);
	return true;
}

static void go_on(struct many *many)
{
	struct rounds *rounds = of_many(many);
	bool begun = false;

	while (!many->call.over && many->open == 0 && !rounds->deals && !(many->results.streams && many->call.session->full) &&
	       begin_round(rounds))
		begun = true;
	if (begun && many->open == 0)
		many_go_on(many); /* that was the last round: the hosts were asked nothing */
}

static void came(struct many *many, struct host *host)
{
	(void)host;
	many_go_on(many);
}

static void give_up(struct many *many, bool tell)
{
	struct rounds *rounds = of_many(many);

	for (uint32_t i = 0; i < rounds->seat_count; i++)
		sub_give_up(&rounds->seats[i].sub, tell);
}

/* ---- its beginning ---- */

int rounds_begin(struct session *session, const struct ask *ask, struct block *block)
{
	static const struct many_ops ops = {.go_on = go_on, .came = came, .give_up = give_up, .free = free_rounds};
	struct rounds *rounds = calloc(1, sizeof *rounds);

	/* cppcheck-suppress memleak ; many_begin takes it */
	return many_begin(rounds ? &rounds->many : NULL, &ops, session, ask, block);
}
