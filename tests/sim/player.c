/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/player.h"

#include "daemon/core/request.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <assert.h>
#include <stdlib.h>

enum { ITEMS_MOST = 60 };

enum kind { SINGLE, ALL, MAP, SCATTER };

/* What was asked, until it is answered. */
struct asked {
	struct asked *next;
	uint32_t msgid;
	enum kind kind;
	uint32_t token, count; /* the first, and how many follow */
	enum errors errors;
	bool idempotent;
	bool stream, ordered, fed;
	bool fed_up;          /* told that there is no more */
	bool input_failed;
	uint32_t window;      /* 0: not said */
	uint32_t granted, given; /* credit, and items fed against it */
	uint32_t results, failures;
	uint8_t seen[ITEMS_MOST + 1];
};

struct player {
	struct client client;
	struct asked *asked;
	uint32_t last_msgid;
	uint8_t *bytes; /* answers, read so far */
	size_t size;
	struct player *next; /* in world->left */
};

static struct player *some_player(struct world *world)
{
	struct player **at = &world->players[world_dice(world, WORLD_CLIENTS)];
	if (*at)
		return *at;
	*at = calloc(1, sizeof **at);
	client_init(&(*at)->client, &world->core);
	(*at)->client.error_maps = true;
	return *at;
}

/* ---- asking ---- */

static uint8_t *pack_text(uint8_t *p, const char *text)
{
	return pack_str(p, text, strlen(text));
}

static uint8_t *pack_target(struct world *world, uint8_t *p, struct asked *asked)
{
	static const char *const singles[] = {"p", "p", "p", "p", "p:0", "p:1", "p:key=a", "p:key=bc"};
	asked->kind = SINGLE;
	switch (world_dice(world, 8)) {
	case 0:
		asked->kind = ALL;
		return pack_text(p, "p:all");
	case 1 ... 2:
		asked->kind = MAP;
		return pack_text(p, "p:map");
	case 3:
		asked->kind = SCATTER;
		return pack_text(p, "p:scatter");
	default:
		return pack_text(p, singles[world_dice(world, sizeof singles / sizeof *singles)]);
	}
}

static uint8_t *pack_tokens(uint8_t *p, const struct asked *asked)
{
	const bool items = asked->kind == MAP || asked->kind == SCATTER;
	if (asked->fed)
		return pack_nil(p);
	p = pack_array(p, 1);
	if (items)
		p = pack_array(p, asked->count);
	for (uint32_t i = 0; i < (items ? asked->count : 1); i++)
		p = pack_uint(p, asked->token + i);
	return p;
}

static uint8_t *pack_options(struct world *world, uint8_t *p, struct asked *asked)
{
	static const char *const modes[] = {"wait", "first", "collect"};
	const bool timeout = world_dice(world, 6) == 0;

	asked->errors = (enum errors)world_dice(world, 3);
	asked->idempotent = world_dice(world, 5) == 0;
	const bool sync = asked->kind == MAP && world_dice(world, 4) == 0;
	const bool sticky = asked->kind == ALL && world_dice(world, 3) == 0;
	world->sticky[asked->token] = sticky;
	p = pack_map(p, 3u + timeout + sticky + 2u * asked->stream + (asked->window > 0) + sync);
	if (asked->stream) {
		p = pack_bool(pack_text(p, "stream"), true);
		p = pack_bool(pack_text(p, "ordered"), asked->ordered);
	}
	if (sticky)
		p = pack_text(pack_text(p, "sticky"), world_dice(world, 4) ? "append" : "replace");
	if (asked->window)
		p = pack_uint(pack_text(p, "window"), asked->window);
	if (sync)
		p = pack_bool(pack_text(p, "sync"), true);
	p = pack_text(pack_text(p, "errors"), modes[asked->errors]);
	p = pack_bool(pack_text(p, "idempotent"), asked->idempotent);
	p = pack_uint(pack_text(p, "chunk"), world_dice(world, 2) ? 0 : 1 + world_dice(world, 9));
	if (timeout)
		p = pack_uint(pack_text(p, "timeout_ms"), world_dice(world, 200));
	return p;
}

static void choose_stream(struct world *world, struct asked *asked, bool notification)
{
	asked->stream = !notification && world_dice(world, 3) == 0;
	asked->ordered = world_dice(world, 2);
	asked->window = asked->stream && world_dice(world, 2) ? 1 + world_dice(world, 12) : 0;
	asked->fed = asked->stream && asked->kind == MAP && world_dice(world, 2);
}

static void choose_tokens(struct world *world, struct asked *asked)
{
	const bool items = asked->kind == MAP || asked->kind == SCATTER;
	asked->count = asked->kind == MAP ? world_dice(world, ITEMS_MOST) : items || asked->kind == ALL ? world->pool->size : 1;
	asked->token = world->tokens;
	world->tokens += items ? asked->count : 1;
	if (world->tokens >= WORLD_TOKENS)
		world_fail(world, "too few tokens for so long a game");
}

void player_send(struct world *world)
{
	struct player *player = some_player(world);
	struct asked *asked = calloc(1, sizeof *asked);
	uint8_t room[2048], *p = room;
	struct rpc rpc;

	if (!client_accepts(&player->client)) { /* then a session doesn't read */
		free(asked);
		return;
	}
	const bool notification = world_dice(world, 20) == 0;
	asked->msgid = ++player->last_msgid;
	p = pack_array(p, notification ? 3 : 4);
	p = pack_uint(p, notification ? RPC_NOTIFICATION : RPC_REQUEST);
	if (!notification)
		p = pack_uint(p, asked->msgid);
	p = pack_text(p, "objpool.call");
	p = pack_array(p, 4);
	p = pack_target(world, p, asked);
	choose_stream(world, asked, notification);
	choose_tokens(world, asked);
	p = pack_text(p, "echo");
	p = pack_tokens(p, asked);
	p = pack_options(world, p, asked);
	assert(scan_length(room, (size_t)(p - room)) == p - room);
	if (rpc_parse((struct span){.bytes = room, .size = (size_t)(p - room)}, &rpc) < 0)
		world_fail(world, "a request that is none");
	world_say(world, "client %llu: asks %u (kind %d, %u from %u)", (unsigned long long)player->client.id, asked->msgid,
		  asked->kind, asked->count, asked->token);
	if (notification) {
		free(asked);
	} else {
		asked->next = player->asked;
		player->asked = asked;
	}
	if (request_full_call(&player->client, &rpc, NULL) < 0)
		world_fail(world, "a fresh msgid was refused");
}

/* ---- answers ---- */

static uint32_t times_ran(const struct world *world, const struct asked *asked)
{
	const uint32_t n = asked->kind == MAP || asked->kind == SCATTER ? asked->count : 1;
	uint32_t times = 0;
	for (uint32_t i = 0; i < n; i++)
		times += world->ran[asked->token + i];
	return times;
}

/* An error: a map with a code, and the truth about `ran`. */
static void check_error(struct world *world, const struct asked *asked, struct span error, uint32_t token, uint32_t tokens)
{
	struct reader reader = reader_of(error);
	struct span key, value, code = {0}, ran = {0};
	uint32_t n, times = 0;

	if (read_map(&reader, &n) < 0)
		world_fail(world, "an error that is no map");
	for (; n > 0; n--) {
		struct reader look;
		(void)read_text(&reader, &key);
		look = reader;
		(void)read_value(&reader, &value);
		if (span_is(key, "code"))
			(void)read_text(&look, &code);
		if (span_is(key, "ran"))
			(void)read_text(&look, &ran);
	}
	for (uint32_t i = 0; i < tokens; i++)
		times += world->ran[token + i];
	world_say(world, "   %.*s, ran %.*s", (int)code.size, (const char *)code.bytes, (int)ran.size, (const char *)ran.bytes);
	if (span_is(code, "INTERNAL") || span_is(code, "BAD_REQUEST") || code.size == 0)
		world_fail(world, "an error that should not be");
	if (span_is(code, "FAILED") && tokens == 1 && !world_is_bad(token))
		world_fail(world, "a good token failed");
	if (tokens == 1 && asked->kind != ALL && span_is(ran, "no") && times > 0)
		world_fail(world, "told that it did not run, but it did");
	if (tokens == 1 && asked->kind != ALL && span_is(ran, "yes") && times == 0)
		world_fail(world, "told that it ran, but it did not");
}

static void check_value(struct world *world, struct reader *reader, uint32_t token)
{
	uint64_t value;
	if (read_uint(reader, &value) < 0 || value != token)
		world_fail(world, "a value of somebody else");
	if (world_is_bad(token))
		world_fail(world, "a bad token gave a value");
	if (world->ran[token] == 0)
		world_fail(world, "a value of what never ran");
}

static void check_collected(struct world *world, const struct asked *asked, struct reader *reader, uint32_t token)
{
	struct span error;
	uint32_t n;
	if (read_array(reader, &n) < 0 || n != 2)
		world_fail(world, "a collected item that is no pair");
	if (read_nil(reader) == 0) {
		check_value(world, reader, token);
		return;
	}
	if (read_value(reader, &error) < 0 || read_nil(reader) < 0)
		world_fail(world, "a collected error with a value");
	check_error(world, asked, error, token, 1);
}

static void check_result(struct world *world, const struct asked *asked, struct span result)
{
	struct reader reader = reader_of(result);
	uint32_t n;

	if (asked->kind == SINGLE) {
		check_value(world, &reader, asked->token);
	} else if (read_array(&reader, &n) < 0 || n != asked->count) {
		world_fail(world, "a gathered array of another length");
	} else {
		for (uint32_t i = 0; i < n; i++) {
			const uint32_t token = asked->kind == ALL ? asked->token : asked->token + i;
			if (asked->errors == ERRORS_COLLECT)
				check_collected(world, asked, &reader, token);
			else
				check_value(world, &reader, token);
		}
	}
	if (reader.p != reader.end)
		world_fail(world, "a result with something behind it");
}

static void check_runs(struct world *world, const struct asked *asked)
{
	const bool items = asked->kind == MAP || asked->kind == SCATTER;
	const uint32_t most = asked->kind == ALL ? asked->count : 1;
	for (uint32_t i = 0; i < (items ? asked->count : 1) && !asked->idempotent; i++)
		if (world->ran[asked->token + i] > most)
			world_fail(world, "a task ran twice");
}

/* ---- streams ---- */

static void check_summary(struct world *world, const struct asked *asked, struct span result)
{
	struct reader reader = reader_of(result);
	struct span key;
	uint64_t items = 0, failed = 0;
	uint32_t n;

	if (read_map(&reader, &n) < 0 || n != 2 || read_text(&reader, &key) < 0 || read_uint(&reader, &items) < 0 ||
	    read_text(&reader, &key) < 0 || read_uint(&reader, &failed) < 0)
		world_fail(world, "a stream without a summary");
	const uint32_t all = asked->fed ? asked->given + asked->input_failed : asked->kind == SINGLE ? 1 : asked->count;
	if (items != all || asked->results != all || failed != asked->failures)
		world_fail(world, "a summary that does not count what came");
}

static void on_result(struct world *world, struct asked *asked, struct reader *reader)
{
	const bool items = asked->kind == MAP || asked->kind == SCATTER;
	struct span error;
	uint64_t index;

	if (read_uint(reader, &index) < 0 || index > ITEMS_MOST || asked->seen[index]++ || !asked->stream)
		world_fail(world, "a result that should not be, or not twice");
	if (asked->ordered && index != asked->results)
		world_fail(world, "a result out of order");
	asked->results++;
	const uint32_t token = items ? asked->token + (uint32_t)index : asked->token;
	if (read_nil(reader) == 0) {
		check_value(world, reader, token);
		return;
	}
	asked->failures++;
	if (read_value(reader, &error) < 0)
		world_fail(world, "half a result");
	if (asked->fed && asked->input_failed && index == asked->given)
		return; /* the input's own */
	check_error(world, asked, error, token, 1);
}

static void on_credit(struct world *world, struct asked *asked, struct reader *reader)
{
	uint64_t n;

	if (!asked->fed || read_uint(reader, &n) < 0 || n == 0)
		world_fail(world, "a credit that should not be");
	asked->granted += (uint32_t)n;
	if (asked->window && asked->granted != asked->results + asked->window)
		world_fail(world, "credit for more, or less, than the window");
}

static void on_notification(struct world *world, struct player *player, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	struct asked *asked = player->asked;
	uint64_t msgid;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || read_uint(&reader, &msgid) < 0)
		world_fail(world, "a notification about nothing");
	while (asked && asked->msgid != msgid)
		asked = asked->next;
	if (!asked)
		world_fail(world, "a notification after the answer");
	if (span_is(rpc->method, "objpool.result") && n == 4)
		on_result(world, asked, &reader);
	else if (span_is(rpc->method, "objpool.credit") && n == 2)
		on_credit(world, asked, &reader);
	else
		world_fail(world, "a notification that nobody asked for");
}

static void notify(struct player *player, const uint8_t *bytes, const uint8_t *end)
{
	struct rpc rpc;
	if (rpc_parse((struct span){.bytes = bytes, .size = (size_t)(end - bytes)}, &rpc) < 0)
		abort();
	if (span_is(rpc.method, "objpool.feed"))
		request_feed(&player->client, &rpc, NULL);
	else
		request_feed_end(&player->client, &rpc);
}

static void feed(struct world *world, struct player *player, struct asked *asked)
{
	uint8_t room[1024], *p = pack_uint(pack_array(room, 3), RPC_NOTIFICATION);
	const uint32_t left = asked->count - asked->given, most = asked->granted - asked->given;

	if (left == 0 || world_dice(world, 40) == 0) {
		asked->fed_up = true;
		asked->input_failed = world_dice(world, 4) == 0;
		p = pack_array(pack_text(p, "objpool.feed_end"), 1u + asked->input_failed);
		p = pack_uint(p, asked->msgid);
		if (asked->input_failed)
			p = pack_text(p, "no more of that");
	} else {
		uint32_t n = 1 + world_dice(world, left);
		n = n < most ? n : most;
		if (n == 0)
			return;
		p = pack_array(pack_uint(pack_array(pack_text(p, "objpool.feed"), 2), asked->msgid), n);
		for (uint32_t i = 0; i < n; i++)
			p = pack_uint(p, asked->token + asked->given + i);
		asked->given += n;
	}
	world_say(world, "client %llu: has fed %u of %u to %u", (unsigned long long)player->client.id, asked->given, asked->count,
		  asked->msgid);
	notify(player, room, p);
}

void player_feed(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		for (struct asked *asked = world->players[i] ? world->players[i]->asked : NULL; asked; asked = asked->next)
			if (asked->fed && !asked->fed_up)
				feed(world, world->players[i], asked);
}

/* ---- all that comes ---- */

static void on_answer(struct world *world, struct player *player, struct span message)
{
	struct asked **at = &player->asked, *asked;
	struct reader error;
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_REQUEST)
		world_fail(world, "an answer that is none");
	if (rpc.type == RPC_NOTIFICATION) {
		on_notification(world, player, &rpc);
		return;
	}
	if (message.bytes[0] != 0x94)
		world_fail(world, "an answer with another first byte");
	while (*at && (*at)->msgid != rpc.msgid)
		at = &(*at)->next;
	if (!*at)
		world_fail(world, "an answer that nobody asked for, or a second one");
	asked = *at;
	*at = asked->next;
	error = reader_of(rpc.error);
	world_say(world, "client %llu: answer to %u", (unsigned long long)player->client.id, asked->msgid);
	const bool failed = read_nil(&error) < 0;
	if (!failed && asked->stream)
		check_summary(world, asked, rpc.result);
	else if (!failed)
		check_result(world, asked, rpc.result);
	else if (!asked->input_failed) /* then it may be the input's */
		check_error(world, asked, rpc.error, asked->token, asked->kind == SINGLE || asked->kind == ALL ? 1 : asked->count);
	check_runs(world, asked);
	(void)times_ran(world, asked);
	free(asked);
}

static void read_answers(struct world *world, struct player *player, size_t most)
{
	struct iovec iov;
	size_t used = 0;
	int64_t n;

	while (most > 0 && sendq_iov(&player->client.out, &iov, 1) == 1) {
		const size_t take = iov.iov_len < most ? iov.iov_len : most;
		player->bytes = realloc(player->bytes, player->size + take);
		memcpy(player->bytes + player->size, iov.iov_base, take);
		player->size += take;
		most -= take;
		sendq_sent(&player->client.out, take);
	}
	client_on_sent(&player->client);
	while (used < player->size && (n = scan_length(player->bytes + used, player->size - used)) > 0) {
		on_answer(world, player, (struct span){.bytes = player->bytes + used, .size = (size_t)n});
		used += (size_t)n;
	}
	if (used > 0)
		memmove(player->bytes, player->bytes + used, player->size - used);
	player->size -= used;
}

void player_read(struct world *world)
{
	read_answers(world, some_player(world), world_dice(world, 2) ? SIZE_MAX : 1 + world_dice(world, 3000));
}

void player_read_all(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i])
			read_answers(world, world->players[i], SIZE_MAX);
}

bool player_waits(const struct world *world)
{
	if (world->left)
		return true;
	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i] && world->players[i]->asked)
			return true;
	return false;
}

/* ---- changing one's mind ---- */

void player_cancel(struct world *world)
{
	struct player *player = some_player(world);
	struct error why;

	if (!player->asked)
		return;
	struct ticket *ticket = idmap_get(&player->client.inflight, player->asked->msgid);
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	world_say(world, "client %llu: cancels %u", (unsigned long long)player->client.id, player->asked->msgid);
	if (ticket)
		ticket->abandoned(ticket, &why);
}

static void leave(struct world *world, int i)
{
	struct player *player = world->players[i];
	struct asked *asked;

	if (!player)
		return;
	world_say(world, "client %llu: gone", (unsigned long long)player->client.id);
	world->players[i] = NULL;
	const bool over = client_leave(&player->client);
	while ((asked = player->asked)) {
		player->asked = asked->next;
		check_runs(world, asked);
		free(asked);
	}
	free(player->bytes);
	player->bytes = NULL;
	if (over) {
		free(player);
		return;
	}
	player->next = world->left;
	world->left = player;
}

void player_tidy(struct world *world)
{
	struct player **at = &world->left, *player;

	while ((player = *at)) {
		if (!TAILQ_EMPTY(&player->client.tickets) || player->client.out.bytes > 0)
			world_fail(world, "a client that has gone is answered");
		if (!TAILQ_EMPTY(&player->client.notifications)) {
			at = &player->next;
			continue;
		}
		*at = player->next;
		if (!client_leave(&player->client))
			world_fail(world, "a client without notifications does not end");
		free(player);
	}
}

void player_vanish(struct world *world)
{
	if (world_dice(world, 3) == 0)
		leave(world, (int)world_dice(world, WORLD_CLIENTS));
}

void player_end(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i]) {
			client_gone(&world->players[i]->client); /* as when the daemon ends */
			leave(world, i);
		}
	player_tidy(world);
	core_end_event(&world->core);
}
