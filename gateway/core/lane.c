/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/lane.h"

#include "gateway/core/flat.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	HELLO = 0,
	RUN_MAX = 1 << 16, /* results in a message that is too large. A daemon ends a message behind a large result */
};

#define DRY_AFTER SECOND
#define NO_ROOM "could not be heard: the gateway is out of memory"

static struct sendq *out_of(const struct lane *lane)
{
	return lane->channel ? &lane->channel->out : &lane->local->out;
}

/* ---- its end ---- */

static void reap(struct gateway_ending *ending)
{
	struct lane *lane = container_of(ending, struct lane, ending);

	idmap_free(&lane->subs);
	free(lane);
}

static void set_thirsty(struct lane *lane, bool thirsty)
{
	struct thirsty_lanes *list = &lane->session->gateway->clients->thirsty;

	if (lane->thirsty == thirsty)
		return;
	lane->thirsty = thirsty;
	if (thirsty)
		TAILQ_INSERT_TAIL(list, lane, thirsty_entry);
	else
		TAILQ_REMOVE(list, lane, thirsty_entry);
}

static void forget(struct lane *lane)
{
	lane->over = true;
	set_thirsty(lane, false);
	lane->channel = NULL;
	lane->local = NULL;
	inlet_close(&lane->inlet);
	lane->host->users--;
	TAILQ_REMOVE(&lane->session->lanes, lane, entry);
	gateway_end(lane->session->gateway, &lane->ending);
}

static void sub_over(struct sub *sub)
{
	sub->lane->host->unanswered--;
	sub->lane = NULL;
}

/* Tells each sub. It may do anything, also ask the same host again: that is another lane. */
static void lose_subs(struct lane *lane, uint64_t left, bool refused, const char *text)
{
	for (uint32_t i = 0; lane->subs.mask && i <= lane->subs.mask;) {
		struct sub *sub = lane->subs.entries[i].value;
		struct error error;
		if (!sub) {
			i++;
			continue;
		}
		(void)idmap_remove(&lane->subs, lane->subs.entries[i].key);
		if (sub == (struct sub *)lane) /* see sub_forget */
			continue;
		const bool not_run = refused || sub->end > left;
		error_say(&error, refused ? ERROR_UNREACHABLE : ERROR_HOST_LOST, not_run ? RAN_NO : RAN_MAYBE, "host %s %s%s",
			  lane->host->name, text, not_run ? "; the call has not run there" : "; the call may have run there");
		error.host = lane->host->name;
		lane->host->lost++;
		sub->left = refused ? 0 : left;
		sub_over(sub);
		sub->ops->lost(sub, &error);
	}
}

static void lose(struct lane *lane, uint64_t left, bool refused, const char *text)
{
	struct session *session = lane->session;
	char complaint[sizeof lane->complaint + 40];

	(void)snprintf(complaint, sizeof complaint, "has ended the session: %s", lane->complaint);
	leases_lose(&session->leases, lane->host->name);
	forget(lane);
	lose_subs(lane, left, refused, lane->complained ? complaint : text);
	session_free_if_over(session);
}

/* The lane is of no use any more, though the host is there. */
static void break_off(struct lane *lane, const char *text)
{
	struct channel *channel = lane->channel;
	struct local *local = lane->local;
	const uint64_t left = channel ? channel->left : lane->written - local->out.bytes;

	if (channel)
		channel_close(channel, CHANNEL_ENDED, "");
	else
		local_close(local);
	lose(lane, left, false, text);
}

void lane_close(struct lane *lane)
{
	if (lane->over)
		return;
	if (lane->channel)
		channel_close(lane->channel, CHANNEL_ENDED, "");
	else
		local_close(lane->local);
	forget(lane);
}

/* ---- what comes ---- */

static void hear_hello(struct lane *lane, const struct rpc *rpc)
{
	const struct span message = flat_error_text(rpc->error, "message");
	char room[ERROR_SHOWN];

	if (span_is_nil(rpc->error) || message.size == 0)
		return;
	lane->complained = true;
	(void)snprintf(lane->complaint, sizeof lane->complaint, "%s", error_shown(message, room));
}

static void hear_response(struct lane *lane, const struct rpc *rpc, struct block *block)
{
	if (rpc->msgid == HELLO) {
		hear_hello(lane, rpc);
		return;
	}
	struct sub *sub = idmap_remove(&lane->subs, rpc->msgid);
	if (!sub || sub == (struct sub *)lane) {
		lane->host->late += !sub;
		return;
	}
	sub_over(sub);
	sub->ops->response(sub, rpc, block);
}

/* NULL: it has ended, or nobody waits for it any more. */
static struct sub *sub_of(const struct lane *lane, uint64_t number)
{
	struct sub *sub = idmap_get(&lane->subs, number);
	return sub == (const struct sub *)lane ? NULL : sub;
}

static void hear_notification(struct lane *lane, const struct rpc *rpc, struct block *block)
{
	static const char prefix[] = "objpool.";
	const size_t size = sizeof prefix - 1;
	struct reader reader = reader_of(rpc->params);
	uint32_t count;
	uint64_t id;

	if (rpc->method.size <= size || memcmp(rpc->method.bytes, prefix, size) != 0 || read_array(&reader, &count) < 0 ||
	    count < 1 || read_uint(&reader, &id) < 0)
		return;
	struct sub *sub = sub_of(lane, id);
	if (!sub)
		return;
	const struct span name = {.bytes = rpc->method.bytes + size, .size = rpc->method.size - size};
	sub->ops->notice(sub, name, reader, count - 1, block);
}

/* How many levels there are at most around a value, or an error, in what a daemon says. */
static uint32_t levels_around(const struct rpc *rpc)
{
	struct reader error = reader_of(rpc->error);

	if (rpc->type == RPC_RESPONSE)
		return read_nil(&error) == 0 ? 3 : 1; /* [1, msgid, nil, [[nil, VALUE], ...]], [1, msgid, ERROR, nil] */
	/* [2, name, [id, i, nil, VALUE]], [2, name, [id, i, [VALUE, ...]]] */
	return span_is(rpc->method, "objpool.result") ? 2 : 3;
}

/* A value that is nested deeper than values may be would be too deep for the supervisor, where the gateway puts more around it.
 * One that stands for a descriptor would be given that of another message. A daemon sends neither. */
static bool is_fit(const struct scan *scan, const struct rpc *rpc)
{
	return !scan->deep && scan->refs == 0 && scan->deepest <= SCAN_LEVELS + levels_around(rpc);
}

static int hear(struct inlet *inlet, struct span message, struct block *block)
{
	struct lane *lane = container_of(inlet, struct lane, inlet);
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0 || !is_fit(&inlet->scan, &rpc))
		return -EBADMSG;
	if (rpc.type == RPC_RESPONSE)
		hear_response(lane, &rpc, block);
	else if (rpc.type == RPC_NOTIFICATION)
		hear_notification(lane, &rpc, block);
	return 0;
}

/* ---- what comes, and is too large ---- */

static void say_too_large(const struct lane *lane, enum ran ran, struct error *error)
{
	error_say(error, ERROR_TOO_LARGE, ran, "the answer of host %s is over max_message of this host, %llu bytes",
		  lane->host->name, (unsigned long long)lane->session->gateway->max_message);
	error->host = lane->host->name;
}

static void refuse_response(struct lane *lane, struct reader beginning)
{
	struct rpc rpc = {.type = RPC_RESPONSE};
	struct error error;
	uint64_t number;

	if (read_uint(&beginning, &number) < 0 || number > UINT32_MAX || number == HELLO)
		return;
	rpc.msgid = (uint32_t)number;
	say_too_large(lane, read_nil(&beginning) == 0 ? RAN_YES : RAN_MAYBE, &error);
	const struct span map = flat_error(&error);
	if (!map.size) {
		break_off(lane, NO_ROOM);
		return;
	}
	rpc.error = map;
	hear_response(lane, &rpc, NULL);
	flat_free(map);
}

/* Tells the sub (NULL: it has ended), as if the host had said [2, objpool.NAME, [number, ...`rest`]]. */
static void tell_instead(struct lane *lane, struct sub *sub, const char *name, struct sendq *rest, uint32_t count)
{
	const struct span said = flat_take(rest);

	if (!said.size)
		break_off(lane, NO_ROOM);
	else if (sub)
		sub->ops->notice(sub, (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)}, reader_of(said), count,
				 NULL);
	flat_free(said);
}

/* In the place of a result. */
static void tell_too_large(struct lane *lane, uint64_t number, uint64_t index)
{
	struct sub *sub = sub_of(lane, number);
	struct sendq rest = {0};
	struct error error;

	say_too_large(lane, RAN_YES, &error);
	if (sub)
		sub->too_large++;
	put_uint(&rest, index);
	error_pack(&error, ERRORS_AS_MAP, &rest);
	put_nil(&rest);
	tell_instead(lane, sub, "result", &rest, 3);
}

/* Several results: those that have come whole are told. */
static void refuse_run(struct lane *lane, uint64_t number, struct reader beginning)
{
	struct sendq rest = {0};
	uint32_t count, whole = 0;
	uint64_t first;
	int64_t size;

	if (read_uint(&beginning, &first) < 0 || read_array(&beginning, &count) < 0 || count > RUN_MAX) {
		break_off(lane, "has sent what is no message");
		return;
	}
	const uint8_t *end = beginning.p;
	for (; whole < count && (size = scan_length(end, (size_t)(beginning.end - end))) > 0; whole++)
		end += size;
	put_uint(&rest, first);
	put_array(&rest, whole);
	sendq_copy(&rest, beginning.p, (size_t)(end - beginning.p));
	if (whole > 0)
		tell_instead(lane, sub_of(lane, number), "results", &rest, 2);
	sendq_clear(&rest);
	for (; whole < count && !lane->over; whole++)
		tell_too_large(lane, number, first + whole);
}

/* Progress that is too large is not told. */
static void refuse_notification(struct lane *lane, struct reader beginning)
{
	struct span name;
	uint64_t number, index;
	uint32_t count;

	if (read_text(&beginning, &name) < 0 || read_array(&beginning, &count) < 0 || read_uint(&beginning, &number) < 0)
		return;
	if (span_is(name, "objpool.results"))
		refuse_run(lane, number, beginning);
	else if (span_is(name, "objpool.result") && read_uint(&beginning, &index) == 0)
		tell_too_large(lane, number, index);
}

/* Only what it answers fails: all else that the session has there goes on. */
static void refuse_large(struct inlet *inlet, struct span bytes)
{
	struct lane *lane = container_of(inlet, struct lane, inlet);
	struct reader beginning = reader_of(bytes);
	uint32_t count;
	uint64_t type;

	if (inlet->scan.deep || read_array(&beginning, &count) < 0 || read_uint(&beginning, &type) < 0)
		break_off(lane, "has sent what is no message");
	else if (type == RPC_RESPONSE)
		refuse_response(lane, beginning);
	else if (type == RPC_NOTIFICATION)
		refuse_notification(lane, beginning);
}

static void come(struct lane *lane, struct span bytes)
{
	const int r = inlet_take(&lane->inlet, bytes);

	if (lane->over)
		return;
	if (r < 0)
		break_off(lane, r == -ENOMEM ? NO_ROOM : "has sent what is no message");
}

/* ---- how much may come ---- */

static void drink(struct lane *lane)
{
	const size_t bytes = lane->withheld;

	lane->withheld = 0;
	if (lane->channel && bytes)
		channel_taken(lane->channel, bytes);
	if (lane->local)
		local_read(lane->local, true);
}

/* What has come is taken. May more come? A message that has begun takes memory until it is whole. */
static void taken(struct lane *lane)
{
	const bool waits = lane->inlet.part && session_is_greedy(lane->session);

	set_thirsty(lane, waits);
	if (!waits && !lane->session->full)
		drink(lane);
	else if (lane->local)
		local_read(lane->local, false);
}

void lane_resume(struct lane *lane)
{
	if (!lane->thirsty)
		drink(lane);
}

/* One lane that sends nothing must not hold up the others. */
static bool has_dried_up(const struct lane *lane)
{
	return lane->session->gateway->now - lane->heard > DRY_AFTER;
}

void lanes_hear(struct gateway *gateway)
{
	struct thirsty_lanes *list = &gateway->clients->thirsty;
	struct lane *lane, *next, *heard = NULL;

	for (lane = TAILQ_FIRST(list); lane; lane = next) {
		next = TAILQ_NEXT(lane, thirsty_entry);
		if (!lane->inlet.part || !session_is_greedy(lane->session))
			set_thirsty(lane, false);
		else if (heard || lane->session->full)
			continue;
		heard = lane->thirsty ? lane : heard;
		if (!lane->session->full)
			drink(lane);
	}
	if (!heard || !has_dried_up(heard))
		return;
	heard->heard = gateway->now;
	set_thirsty(heard, false);
	set_thirsty(heard, true);
}

/* ---- by channel ---- */

static void channel_data(struct channel *channel, struct span bytes)
{
	struct lane *lane = channel->owner;

	lane->heard = channel->conduit->gateway->now;
	come(lane, bytes);
	if (lane->over)
		return;
	lane->withheld += bytes.size;
	taken(lane);
}

static void channel_left(struct channel *channel)
{
	(void)channel;
}

static void channel_closed(struct channel *channel, enum channel_end end, struct span text)
{
	struct lane *lane = channel->owner;
	char room[ERROR_SHOWN], said[ERROR_SHOWN + 40];

	(void)snprintf(said, sizeof said, end == CHANNEL_REFUSED ? "has refused the session: %s" : "has ended the session: %s",
		       error_shown(text, room));
	lose(lane, channel->left, end == CHANNEL_REFUSED, end == CHANNEL_LOST ? "is gone, or does not answer" : said);
}

/* ---- by a session of the own daemon ---- */

static void local_bytes(struct local *local, struct span bytes)
{
	struct lane *lane = local->user_side;

	lane->heard = local->gateway->now;
	come(lane, bytes);
	if (!lane->over)
		taken(lane);
}

static void local_sent(struct local *local)
{
	(void)local;
}

static void local_gone(struct local *local)
{
	struct lane *lane = local->user_side;
	lose(lane, lane->written - local->out.bytes, false, "has ended the session");
}

/* ---- its beginning ---- */

static bool connect(struct lane *lane)
{
	static const struct channel_ops channel_ops = {.data = channel_data, .left = channel_left, .closed = channel_closed};
	static const struct local_ops local_ops = {.bytes = local_bytes, .sent = local_sent, .gone = local_gone};
	const struct session *session = lane->session;

	if (lane->host->self)
		lane->local = local_open(session->gateway, NULL, session->user, session->sid, &local_ops, lane);
	else
		lane->channel = channel_open(lane->host, session->user, &channel_ops, lane);
	return lane->local || lane->channel;
}

static int say_hello(struct lane *lane)
{
	struct sendq *to = lane_begin(lane);

	put_array(to, 4);
	put_uint(to, RPC_REQUEST);
	put_uint(to, HELLO);
	put_text(to, "objpool.hello");
	put_array(to, 1);
	put_map(to, 2);
	put_text(to, "errors");
	put_text(to, "map");
	put_text(to, "client");
	put_text(to, lane->session->client);
	return lane_end(lane, NULL, HELLO, NULL);
}

struct lane *lane_to(struct session *session, struct host *host, struct error *error)
{
	static const struct inlet_ops inlet_ops = {.message = hear, .large = refuse_large};
	struct lane *lane;

	if (!host->self && !session->gateway->bus_is_up) {
		error_say(error, ERROR_UNREACHABLE, RAN_NO, "host %s can't be asked: this host is not connected with the bus",
			  host->name);
		error->host = host->name;
		return NULL;
	}
	TAILQ_FOREACH(lane, &session->lanes, entry)
		if (lane->host == host)
			return lane;
	lane = calloc(1, sizeof *lane);
	if (!lane) {
		error_no_memory(error, RAN_NO);
		return NULL;
	}
	lane->ending.reap = reap;
	lane->session = session;
	lane->host = host;
	inlet_open(&lane->inlet, &inlet_ops, session->memory, session->gateway->max_message + BLOCK_LARGE);
	if (!connect(lane)) {
		error_say(error, ERROR_UNREACHABLE, RAN_NO, "host %s can't be asked: %s", host->name,
			  host->self ? "its daemon takes no session" : "it is gone");
		error->host = host->name;
		free(lane);
		return NULL;
	}
	out_of(lane)->account = session->memory;
	host->users++;
	TAILQ_INSERT_TAIL(&session->lanes, lane, entry);
	if (say_hello(lane) == 0)
		return lane;
	error_no_memory(error, RAN_NO);
	return NULL;
}

/* ---- what goes ---- */

struct sendq *lane_begin(struct lane *lane)
{
	struct sendq *out = out_of(lane);
	lane->begun = out->bytes;
	return out;
}

uint32_t lane_number(struct lane *lane)
{
	do
		lane->last_id++;
	while (lane->last_id == HELLO || idmap_get(&lane->subs, lane->last_id));
	return lane->last_id;
}

int lane_end(struct lane *lane, struct sub *sub, uint32_t number, const struct sub_ops *ops)
{
	struct sendq *out = out_of(lane);
	const bool whole = !out->failed;

	lane->written += whole ? out->bytes - lane->begun : 0;
	if (!whole || (sub && idmap_add(&lane->subs, number, sub) < 0)) {
		break_off(lane, "could not be asked: the gateway is out of memory");
		return -ENOMEM;
	}
	if (sub) {
		*sub = (struct sub){.ops = ops, .lane = lane, .id = number, .end = lane->written};
		lane->host->unanswered++;
		lane->host->calls++;
	}
	if (lane->channel)
		channel_wrote(lane->channel);
	else
		local_wrote(lane->local, lane->begun);
	return 0;
}

/* The number stays in use until the answer comes: the lane itself stands in its place. */
void sub_forget(struct sub *sub)
{
	struct lane *lane = sub->lane;

	if (!lane)
		return;
	(void)idmap_remove(&lane->subs, sub->id);
	(void)idmap_add(&lane->subs, sub->id, lane); /* there is room: one was removed */
	sub_over(sub);
}

struct sendq *sub_notice_begin(struct sub *sub, const char *method, uint32_t more)
{
	struct sendq *to = lane_begin(sub->lane);

	put_array(to, 3);
	put_uint(to, RPC_NOTIFICATION);
	put_text(to, method);
	put_array(to, 1 + more);
	put_uint(to, sub->id);
	return to;
}

void sub_notice_end(struct sub *sub)
{
	(void)lane_end(sub->lane, NULL, 0, NULL); /* without memory the sub is told */
}

void sub_cancel(struct sub *sub)
{
	if (!sub->lane || sub->lane->over)
		return;
	(void)sub_notice_begin(sub, "objpool.cancel", 0);
	sub_notice_end(sub);
}

void sub_give_up(struct sub *sub, bool tell)
{
	struct sub given_up = *sub;

	sub_forget(sub);
	if (tell)
		sub_cancel(&given_up);
}
