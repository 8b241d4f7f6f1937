/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/attach.h"
#include "tests/sim/player.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/entry/request.h"
#include "daemon/core/entry/request_train.h"
#include "proto/pack.h"
#include "proto/payload_ref.h"
#include "proto/scan.h"
#include "tests/sim/question.h"
#include "tests/sim/users.h"

#include <assert.h>
#include <stdlib.h>

enum { KEPT = 64 };

struct player {
	struct player *next; /* in world->left */
	struct client client;
	struct listener listener;
	struct question *asked;
	uint32_t last_msgid;
	uint32_t grant; /* see users.h */
	bool input_ended;
	uint8_t *bytes; /* answers, read so far */
	size_t size;
	int fds[KEPT];  /* descriptors that have come, whose values are still to be read */
	uint32_t fd_count;
	uint64_t fds_come; /* in all */
	uint64_t kept[KEPT]; /* numbers of those to be given back */
	uint32_t kept_count;
};

struct client *player_client(struct player *player)
{
	return &player->client;
}

const struct client *player_next(const struct world *world, uint32_t *at)
{
	const struct player *player = world->left;

	while (*at < WORLD_CLIENTS)
		if (world->players[(*at)++])
			return &world->players[*at - 1]->client;
	for (uint32_t i = WORLD_CLIENTS; player && i < *at; i++)
		player = player->next;
	++*at;
	return player ? &player->client : NULL;
}

bool player_session_has_gone(const struct world *world, uint64_t session)
{
	const struct pool *pool;
	const struct slot *slot;

	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i] && world->players[i]->client.id == session)
			return false;
	TAILQ_FOREACH(pool, &world->core.pools, link) {
		SLOT_FOREACH(slot, pool)
			if (slot->nested.on && slot->nested.client.id == session)
				return false;
	}
	return true;
}

/* ---- descriptors that come ---- */

/* What it is shown must be its own, to the last byte that was ever filled. */
static void look_at(const struct player *player, const struct file *file)
{
	const struct world *world = player->listener.world;

	if (file->first != player->client.id ||
	    (file->block.touched > LOAN_HALF && file->rest && file->rest != player->client.id))
		world_fail(world, "client %llu sees what is another's", (unsigned long long)player->client.id);
}

static bool read_value_of(struct listener *listener, struct reader *reader, uint32_t *token)
{
	struct player *player = container_of(listener, struct player, listener);
	struct payload_ref ref;

	if (!value_is_ref(reader, &ref))
		return value_read(listener->world, reader, NULL, token);
	if (!player->client.fds || ref.file != player->client.fds_mark || player->fd_count == 0)
		world_fail(listener->world, "a value stands for a descriptor that has not come");
	const struct arrived files = {.count = 1, .number[0] = ref.file, .fd[0] = player->fds[0]};
	look_at(player, file_find(listener->world, player->fds[0]));
	memmove(player->fds, player->fds + 1, --player->fd_count * sizeof *player->fds);
	return value_read(listener->world, reader, &files, token);
}

static void take_fds(struct player *player, const int *fds, unsigned count)
{
	assert(player->fd_count + count <= KEPT && player->kept_count + count <= KEPT);
	for (unsigned i = 0; i < count; i++) {
		player->fds[player->fd_count++] = fds[i];
		player->kept[player->kept_count++] = player->fds_come++;
	}
}

void player_give_back(struct world *world)
{
	struct player *player = world->players[world_dice(world, WORLD_CLIENTS)];

	if (!player || player->kept_count == 0)
		return;
	const uint32_t i = world_dice(world, player->kept_count);
	if (player->kept[i] >= player->fds_come - player->fd_count) /* the value that lies there has not been looked at */
		return;
	if (sendq_given_back(&player->client.kept, player->kept[i]) < 0)
		world_fail(world, "a descriptor is not taken back");
	player->kept[i] = player->kept[--player->kept_count];
}

/* ---- coming and going ---- */

static struct player *some_player(struct world *world)
{
	struct player **at = &world->players[world_dice(world, WORLD_CLIENTS)];

	if (*at)
		return *at;
	*at = calloc(1, sizeof **at);
	client_init(&(*at)->client, &world->core);
	(*at)->grant = users_enter(world, &(*at)->client);
	(*at)->client.error_form = ERRORS_AS_MAP;
	(*at)->client.arriving = !world->core.draining;
	(*at)->listener = (struct listener){.world = world, .read = read_value_of};
	if (world->flavour.files && world_one_in(world, 2)) { /* as client_files_offer */
		(*at)->client.fds = true;
		(*at)->client.fds_mark = 77;
		(*at)->client.out.kept = &(*at)->client.kept;
	}
	return *at;
}

static void leave(struct world *world, int i)
{
	struct player *player = world->players[i];
	struct question *asked;

	if (!player)
		return;
	world_say(world, "client %llu: gone", (unsigned long long)player->client.id);
	world->players[i] = NULL;
	faults_arm(true);
	const bool over = client_leave(&player->client);
	faults_arm(false);
	core_end_event(&world->core);
	while ((asked = player->asked)) {
		player->asked = asked->next;
		question_check_runs(world, asked);
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

/* Those that have left, and whose notifications have ended. */
static void tidy(struct world *world)
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
		core_end_event(&world->core);
		free(player);
	}
}

/* ---- asking ---- */

/* The message where the core finds it: gone when it returns, in a block, in a file, or with files of its own. */
static struct block *place(struct world *world, const struct player *player, struct span *message, struct block_files *files)
{
	struct block *block = NULL;

	if (files) {
		block = block_new(player->client.account, message->size);
		block->files = files;
	} else if (world->flavour.files && world_one_in(world, 3)) {
		block = &file_new(world, NULL, message->size, true)->block;
	} else if (world_one_in(world, 2)) {
		block = block_new(&world->core.memory, message->size);
	}
	if (block)
		message->bytes = memcpy(block->bytes, message->bytes, message->size);
	return block;
}

static struct block_files *own_files(struct world *world, const struct player *player, const struct question *question)
{
	if (!player->client.fds || question->sticky || world_one_in(world, 2))
		return NULL;
	return calloc(1, sizeof(struct block_files) + PAYLOAD_FILES * sizeof(struct block *));
}

static void request(struct world *world, struct player *player, const struct question *question, struct span message,
		    struct block *block)
{
	struct rpc rpc;

	assert(scan_length(message.bytes, message.size) == (int64_t)message.size);
	if (rpc_parse(message, &rpc) < 0)
		world_fail(world, "a request that is none");
	faults_arm(true);
	const int r =
		question->plain ? request_call(&player->client, &rpc, block) : request_full_call(&player->client, &rpc, block);
	faults_arm(false);
	player->client.arriving = false;
	if (r < 0)
		world_fail(world, "a request with a fresh msgid is not taken in");
}

static void write_request(const struct question *question, struct writing *writing)
{
	char text[32];
	const struct span method = question_method(question, text);

	writing->p = pack_array(writing->p, question->notification ? 3 : 4);
	writing->p = pack_uint(writing->p, question->notification ? RPC_NOTIFICATION : RPC_REQUEST);
	if (!question->notification)
		writing->p = pack_uint(writing->p, question->msgid);
	writing->p = pack_str(writing->p, (const char *)method.bytes, method.size);
	question_write(question, writing);
}

/* Will all that the notification asks for be done? Its holder's calls of a slot end with the lease. */
static bool is_promise(const struct question *question)
{
	const bool slot = question->kind == KIND_SINGLE && strchr(question->target, ':');
	return !slot && !question->timeout && question->errors != ERRORS_FIRST;
}

/* It is on its way. */
static void note_asked(struct world *world, struct player *player, struct question *question)
{
	question->msgid = ++player->last_msgid;
	world_say(world, "client %llu: asks %u: %s (%u from %u)", (unsigned long long)player->client.id, question->msgid,
		  question->target, question->count, question->token);
	if (question->notification)
		return;
	question->next = player->asked;
	player->asked = question;
}

static void send_one(struct world *world, struct player *player, struct question *question)
{
	uint8_t *room = malloc(question_size(question) + 64);
	struct writing writing = {.world = world, .p = room, .files = own_files(world, player, question)};

	note_asked(world, player, question);
	users_judge(world, question, player->grant, writing.files != NULL);
	write_request(question, &writing);
	struct span message = {.bytes = room, .size = (size_t)(writing.p - room)};
	struct block *block = place(world, player, &message, writing.files);
	const uint32_t notified = player->client.notified;
	request(world, player, question, message, block);
	if (player->client.notified > notified && is_promise(question))
		world_promise(world, (struct promise){.token = question->token, .tokens = question_tasks(question),
						      .times = question->kind == KIND_ALL ? question->count : 1});
	block_unref(block);
	free(room);
	if (question->notification)
		free(question);
}

enum { MANY = 80 };

/* Takes in requests as session.c does. Those that it would not read are not asked. */
static void take_in(struct world *world, struct player *player, struct question **questions, uint32_t count, struct span bytes)
{
	for (uint32_t i = 0, taken = 0; i < count; i += taken) {
		if (!client_accepts(&player->client)) {
			for (; i < count; i++)
				free(questions[i]);
			return;
		}
		const uint32_t before = player->last_msgid;
		const struct question *first = questions[i];
		for (uint32_t k = i; k < count; k++) /* none is answered before its request has been taken in */
			note_asked(world, player, questions[k]);
		faults_arm(true);
		taken = 0;
		size_t size = request_train(&player->client, bytes, &taken);
		faults_arm(false);
		for (uint32_t k = count; k > i + (taken > 0 ? taken : 1); k--) { /* these have not */
			if (player->asked != questions[k - 1])
				world_fail(world, "an answer to what has not been asked");
			player->asked = questions[k - 1]->next;
		}
		player->last_msgid = before + (taken > 0 ? taken : 1);
		if (size == 0) {
			size = (size_t)scan_length(bytes.bytes, bytes.size);
			request(world, player, first, (struct span){.bytes = bytes.bytes, .size = size}, NULL);
			taken = 1;
		}
		bytes.bytes += size;
		bytes.size -= size;
	}
}

/* Several plain calls of one method at once; sometimes the last is not whole. */
static void send_many(struct world *world, struct player *player, struct question *first)
{
	const uint32_t count = 2 + world_dice(world, world_one_in(world, 4) ? MANY - 2 : 8);
	struct question *questions[MANY] = {first};
	size_t size = question_size(first) + 64;

	for (uint32_t i = 1; i < count; i++) {
		questions[i] = question_like(world, first);
		size += question_size(questions[i]) + 64;
	}
	uint8_t *room = malloc(size);
	struct writing writing = {.world = world, .p = room};
	for (uint32_t i = 0; i < count; i++) {
		users_judge(world, questions[i], player->grant, false);
		questions[i]->msgid = player->last_msgid + 1 + i;
		write_request(questions[i], &writing);
	}
	take_in(world, player, questions, count, (struct span){.bytes = room, .size = (size_t)(writing.p - room)});
	free(room);
}

void player_send(struct world *world)
{
	struct player *player = some_player(world);

	if (!client_accepts(&player->client) || player->input_ended) /* then a session doesn't read */
		return;
	struct question *question = question_new(world, false);
	question->early = !world->core.draining || player->client.arriving;
	const bool last = world->core.draining && player->client.arriving; /* only its first call is taken */
	struct question *like = !last && world_one_in(world, 2) ? question_like(world, question) : NULL;
	if (like)
		send_many(world, player, question);
	else
		send_one(world, player, question);
	free(like);
}

/* ---- leases ---- */

/* As method_lease does it. */
void player_lease(struct world *world)
{
	struct player *player = some_player(world);
	const unsigned number = world_dice(world, WORLD_POOLS);
	struct pool *pool = world->pools[number];
	struct lease_options options = {.slot = -1};
	struct error error;

	if (!pool || player->input_ended || world->core.draining || pool->size == 0)
		return;
	if (world_one_in(world, 3))
		options.slot = world_dice(world, pool->size);
	if (!users_may_lease(&player->client, pool) || lease_check_place(pool, options.slot, &error) < 0)
		return;
	if (world_one_in(world, 2))
		options.patience = 1 + world_dice(world, 100) * MILLISECOND;
	if (world_one_in(world, 2))
		options.time = world_dice(world, 1000) * MILLISECOND;
	struct question *question = calloc(1, sizeof *question);
	*question = (struct question){.kind = KIND_LEASE, .msgid = ++player->last_msgid, .next = player->asked, .pool = number};
	player->asked = question;
	world_say(world, "client %llu: wants to lease %s:%d, %u", (unsigned long long)player->client.id, pool->name,
		  (int)options.slot, question->msgid);
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = question->msgid};
	faults_arm(true);
	if (lease_begin(&player->client, &rpc, pool, &options) < 0) {
		error_no_memory(&error, RAN_NO);
		client_answer_error(&player->client, question->msgid, &error);
	}
	faults_arm(false);
}

static void release(struct world *world, struct player *player)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];
	struct lease *lease = pool ? lease_find(&player->client, pool, -1) : NULL;

	if (!lease)
		return;
	world_say(world, "client %llu: releases %s:%u", (unsigned long long)player->client.id, pool->name, lease->index);
	faults_arm(true);
	lease_release(lease);
	faults_arm(false);
}

void player_release(struct world *world)
{
	release(world, some_player(world));
}

void player_release_all(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		while (world->players[i] && !TAILQ_EMPTY(&world->players[i]->client.leases))
			lease_release(TAILQ_FIRST(&world->players[i]->client.leases));
}

/* ---- feeding ---- */

static void notify(struct world *world, struct player *player, struct span message, struct block *block)
{
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0)
		abort();
	(void)world;
	faults_arm(true);
	if (span_is(rpc.method, "objpool.feed"))
		request_feed(&player->client, &rpc, block);
	else
		request_feed_end(&player->client, &rpc);
	faults_arm(false);
}

static uint8_t *pack_text(uint8_t *p, const char *text)
{
	return pack_str(p, text, strlen(text));
}

static void end_feed(struct world *world, struct player *player, struct question *asked)
{
	uint8_t room[128], *p = pack_uint(pack_array(room, 3), RPC_NOTIFICATION);

	asked->fed_up = true;
	asked->input_failed = world_one_in(world, 4);
	p = pack_array(pack_text(p, "objpool.feed_end"), 1u + asked->input_failed);
	p = pack_uint(p, asked->msgid);
	if (asked->input_failed)
		p = pack_text(p, "no more of that");
	notify(world, player, (struct span){.bytes = room, .size = (size_t)(p - room)}, NULL);
}

static void feed_some(struct world *world, struct player *player, struct question *asked, uint32_t n)
{
	uint8_t *room = malloc(question_size(asked));
	struct writing writing = {.world = world, .p = room, .files = own_files(world, player, asked)};

	writing.p = pack_text(pack_uint(pack_array(writing.p, 3), RPC_NOTIFICATION), "objpool.feed");
	writing.p = pack_array(pack_uint(pack_array(writing.p, 2), asked->msgid), n);
	for (uint32_t i = 0; i < n; i++)
		value_write(&writing, asked->token + asked->given + i);
	asked->given += n;
	struct span message = {.bytes = room, .size = (size_t)(writing.p - room)};
	struct block *block = place(world, player, &message, writing.files);
	notify(world, player, message, block);
	block_unref(block);
	free(room);
}

static void feed(struct world *world, struct player *player, struct question *asked)
{
	const uint32_t left = asked->count - asked->given, most = asked->granted - asked->given;

	if (left == 0 || world_one_in(world, 40)) {
		end_feed(world, player, asked);
	} else if (most > 0) {
		const uint32_t n = 1 + world_dice(world, left);
		feed_some(world, player, asked, n < most ? n : most);
	}
	world_say(world, "client %llu: has fed %u of %u to %u", (unsigned long long)player->client.id, asked->given, asked->count,
		  asked->msgid);
}

void player_feed(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++) {
		struct player *player = world->players[i];
		for (struct question *asked = player && !player->input_ended ? player->asked : NULL; asked; asked = asked->next)
			if (asked->fed && !asked->fed_up)
				feed(world, player, asked);
	}
}

/* ---- reading ---- */

static void on_notification(struct player *player, const struct rpc *rpc)
{
	struct question *asked = player->asked;
	struct reader reader = reader_of(rpc->params);
	uint64_t msgid;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || read_uint(&reader, &msgid) < 0)
		world_fail(player->listener.world, "a notification about nothing");
	while (asked && asked->msgid != msgid)
		asked = asked->next;
	if (!asked)
		world_fail(player->listener.world, "a notification after the answer");
	question_on_notification(&player->listener, asked, rpc);
}

static void on_message(struct player *player, struct span message)
{
	struct question **at = &player->asked, *asked;
	const struct world *world = player->listener.world;
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_REQUEST)
		world_fail(world, "an answer that is none");
	if (rpc.type == RPC_NOTIFICATION) {
		on_notification(player, &rpc);
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
	world_say(world, "client %llu: answer to %u", (unsigned long long)player->client.id, asked->msgid);
	question_on_answer(&player->listener, asked, &rpc);
	free(asked);
}

/* As outlet.c sends: descriptors leave with the bytes before or around them. */
static void receive(struct player *player, size_t most)
{
	struct sendq *queue = &player->client.out;
	struct iovec iov;
	int fds[SENDQ_PASS];

	while (most > 0 && !queue->failed && sendq_iov(queue, &iov, 1) == 1) {
		const size_t take = iov.iov_len < most ? iov.iov_len : most;
		player->bytes = realloc(player->bytes, player->size + take);
		memcpy(player->bytes + player->size, iov.iov_base, take);
		player->size += take;
		most -= take;
		const unsigned count = sendq_descriptors(queue, 1, fds);
		take_fds(player, fds, count);
		faults_arm(true);
		if (count > 0)
			sendq_passed(queue, count);
		faults_arm(false);
		sendq_sent(queue, take);
	}
	if (queue->bytes == 0 && !queue->failed)
		sendq_sent(queue, 0);
}

static void read_answers(struct player *player, size_t most)
{
	size_t used = 0;
	int64_t n;

	receive(player, most);
	faults_arm(true);
	client_on_sent(&player->client);
	faults_arm(false);
	while (used < player->size && (n = scan_length(player->bytes + used, player->size - used)) > 0) {
		on_message(player, (struct span){.bytes = player->bytes + used, .size = (size_t)n});
		used += (size_t)n;
	}
	if (used > 0)
		memmove(player->bytes, player->bytes + used, player->size - used);
	player->size -= used;
}

void player_read(struct world *world)
{
	read_answers(some_player(world), world_one_in(world, 2) ? SIZE_MAX : 1 + world_dice(world, 3000));
}

void player_go_on_all(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i]) {
			read_answers(world->players[i], SIZE_MAX);
			release(world, world->players[i]);
		}
	player_feed(world);
	player_give_back(world);
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

void player_say_waiting(const struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++)
		for (const struct question *asked = world->players[i] ? world->players[i]->asked : NULL; asked;
		     asked = asked->next)
			world_say(world, "client %llu waits for %u: %s (%u from %u), %u results, fed %u of %u",
				  (unsigned long long)world->players[i]->client.id, asked->msgid, asked->target, asked->count,
				  asked->token, asked->results, asked->given, asked->granted);
}

void player_attach(struct world *world)
{
	struct player *player = some_player(world);

	if (world_one_in(world, 3))
		attach_cancel(world, &player->client);
	else if (!player->input_ended)
		attach_open(world, &player->client);
}

/* ---- changing one's mind ---- */

/* A call that is put off, and that no answer is on its way to, has been cancelled. */
static void check_put_off(const struct world *world, const struct slot *slot, const struct ticket *ticket)
{
	const struct passenger *passenger = passenger_of(ticket);
	const struct batch *batch;

	TAILQ_FOREACH(batch, &slot->deferred, link)
		if (passenger && batch->call == passenger->call && batch->first == passenger_index(passenger) &&
		    ledger_is(slot->board, batch->tag, LEDGER_DEFERRED))
			world_fail(world, "a call that is put off is cancelled, and is not answered");
}

static void check_cancelled(const struct world *world, const struct player *player, const struct question *asked)
{
	const struct ticket *ticket = idmap_get(&player->client.inflight, asked->msgid);
	const struct pool *pool;
	const struct slot *slot;

	TAILQ_FOREACH(pool, &world->core.pools, link) {
		for (uint32_t i = 0; ticket && i < pool->size; i++)
			check_put_off(world, pool->slots[i], ticket);
		TAILQ_FOREACH(slot, &pool->detached, link)
			if (ticket)
				check_put_off(world, slot, ticket);
	}
}

void player_cancel(struct world *world)
{
	struct player *player = some_player(world);
	struct question *asked = player->asked;
	struct error error;

	for (uint32_t i = world_dice(world, world_one_in(world, 2) ? 4 : 60); i > 0 && asked && asked->next; i--)
		asked = asked->next;
	if (!asked)
		return;
	struct ticket *ticket = idmap_get(&player->client.inflight, asked->msgid);
	asked->too_late = asked->kind == KIND_SINGLE && world->tokens[asked->token].committed;
	asked->cancelled = true;
	error_say(&error, ERROR_CANCELLED, RAN_NO, "cancelled");
	world_say(world, "client %llu: cancels %u", (unsigned long long)player->client.id, asked->msgid);
	faults_arm(true);
	if (ticket)
		ticket->abandoned(ticket, &error);
	faults_arm(false);
	check_cancelled(world, player, asked);
}

void player_end_input(struct world *world)
{
	struct player *player = some_player(world);

	if (player->input_ended || world_dice(world, 3))
		return;
	world_say(world, "client %llu: sends no more", (unsigned long long)player->client.id);
	player->input_ended = true;
	faults_arm(true);
	client_on_input_end(&player->client);
	faults_arm(false);
}

void player_vanish(struct world *world)
{
	if (world_one_in(world, 3))
		leave(world, (int)world_dice(world, WORLD_CLIENTS));
}

/* As session_identity_change does it. */
void player_reload_users(struct world *world)
{
	if (!world->flavour.users)
		return;
	world_say(world, "users have other rights and limits");
	users_renew(world);
	faults_arm(true);
	for (int i = 0; i < WORLD_CLIENTS; i++) {
		struct player *player = world->players[i];
		if (!player)
			continue;
		player->grant = users_next(world, player->grant);
		client_set_rights(&player->client, world->grants[player->grant].rights);
		direct_settle_rights(&player->client, "refused");
	}
	faults_arm(false);
}

void player_mind(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++) {
		const struct player *player = world->players[i];
		if (!player)
			continue;
		const bool over = player->input_ended && TAILQ_EMPTY(&player->client.tickets) &&
				  TAILQ_EMPTY(&player->client.notifications) && player->client.out.bytes + player->size == 0;
		if (player->client.out.failed || over)
			leave(world, i);
	}
	tidy(world);
}

void player_end(struct world *world)
{
	for (int i = 0; i < WORLD_CLIENTS; i++) {
		if (world->players[i])
			client_gone(&world->players[i]->client); /* as when the daemon ends */
		leave(world, i);
	}
	tidy(world);
}
