/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fake.h"

#include "daemon/core/entry/from_worker.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/dispatch/sticky.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/sim/player.h"
#include "tests/sim/users.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- numbers ---- */

static uint64_t *find(const struct numbers *numbers, uint64_t number)
{
	for (uint32_t i = 0; i < numbers->count; i++)
		if (numbers->at[i] == number)
			return &numbers->at[i];
	return NULL;
}

static void add(struct numbers *numbers, uint64_t number)
{
	if (numbers->count == numbers->room) {
		numbers->room = numbers->room ? 2 * numbers->room : 8;
		numbers->at = realloc(numbers->at, numbers->room * sizeof *numbers->at);
	}
	numbers->at[numbers->count++] = number;
}

static void drop(struct numbers *numbers, uint64_t *at)
{
	*at = numbers->at[--numbers->count];
}

/* ---- coming and going ---- */

static bool read_arrived(struct listener *listener, struct reader *reader, uint32_t *token)
{
	const struct fake *fake = container_of(listener, struct fake, listener);
	return value_read(listener->world, reader, fake->files, token);
}

void fake_new(struct slot *slot)
{
	struct world *world = container_of(slot->pool->core, struct world, core);
	struct fake *fake = calloc(1, sizeof *fake);
	const bool fails = !world->flavour.calm && world_one_in(world, 12);

	*fake = (struct fake){.world = world, .slot = slot, .board = slot->board, .next = world->fakes, .failing = fails};
	fake->listener = (struct listener){.world = world, .read = read_arrived};
	for (unsigned i = 0; i < LENT_PLACES; i++) {
		atomic_store(&slot->board->lent[i], LENT_FREE);
		fake->loans[i].state = &slot->board->lent[i];
	}
	world->fakes = fake;
	slot->owner = fake;
}

static void drop_loans(struct fake *fake)
{
	for (unsigned i = 0; i < LENT_PLACES; i++)
		if (fake->loans[i].file)
			fake->loans[i].file->loan = NULL;
}

static void parcel_free(struct parcel *parcel)
{
	free(parcel);
}

static void fake_free(struct fake *fake)
{
	for (struct fake **at = &fake->world->fakes; *at; at = &(*at)->next)
		if (*at == fake) {
			*at = fake->next;
			break;
		}
	for (struct parcel *parcel; (parcel = fake->held);) {
		fake->held = parcel->next;
		parcel_free(parcel);
	}
	drop_loans(fake);
	sendq_clear(&fake->out);
	sendq_clear(&fake->results);
	parcel_free(fake->task);
	free(fake->asked);
	free(fake->in);
	free(fake->tokens);
	free(fake->msgids);
	free(fake->bound.at);
	free(fake->applied.at);
	free(fake->served.at);
	free(fake->ended.at);
	free(fake);
}

void fake_gone(struct fake *fake, int status, const char *reason)
{
	struct slot *slot = fake->slot;

	world_say(fake->world, "%s:%u: worker gone, status %x", slot->pool->name, slot->index, (unsigned)status);
	fake_free(fake);
	slot->owner = NULL;
	faults_arm(true);
	slot_on_gone(slot, status, reason);
	faults_arm(false);
}

static void die(struct fake *fake, bool flushed)
{
	if (flushed)
		fake_flush(fake);
	fake_gone(fake, world_one_in(fake->world, 2) ? SIGKILL : 7 << 8, NULL);
}

/* ---- saying ---- */

void fake_put(struct fake *fake, const uint8_t *bytes, const uint8_t *end)
{
	sendq_copy(&fake->out, bytes, (size_t)(end - bytes));
}

static uint8_t *pack_failure(uint8_t *p, const char *text, const char *ran)
{
	p = pack_array(p, 6);
	p = pack_str(p, "FAILED", 6);
	p = pack_str(p, text, (uint32_t)strlen(text));
	p = pack_nil(pack_nil(pack_nil(p)));
	return pack_str(p, ran, strlen(ran));
}

uint8_t *fake_pack_failure(uint8_t *p, const char *ran)
{
	return pack_failure(p, "bad", ran);
}

/* As loan.c does: the value lies in the file of that place. */
static struct block *lent_for(struct fake *fake, struct span message)
{
	struct reader reader = reader_of(message);
	uint64_t type, id, place;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || n != 6 || read_uint(&reader, &type) < 0 || type != FROM_PAYLOAD ||
	    read_uint(&reader, &id) < 0 || read_uint(&reader, &place) < 0 || place >= LENT_PLACES)
		return NULL;
	return loan_taken(&fake->loans[place]);
}

/* [RESULTS, id, item, [value, ...]]: the values that have not been told of. */
static void close_results(struct fake *fake)
{
	uint8_t room[64], *p = pack_uint(pack_uint(pack_array(room, 4), FROM_RESULTS), fake->results_id);

	if (fake->results_count == 0)
		return;
	p = pack_uint(p, fake->results_first);
	fake_put(fake, room, pack_array(p, fake->results_count));
	sendq_move(&fake->out, &fake->results);
	fake->results_count = 0;
}

/* The core gets a message. False: it does not want the worker any more. */
static bool give(struct fake *fake, struct span message, struct block *block)
{
	struct block *lent = lent_for(fake, message);

	faults_arm(true);
	const int r = slot_on_message(fake->slot, message, lent ? lent : block);
	block_unref(lent);
	faults_arm(false);
	return r == 0;
}

/* All bytes of a queue in a block: large values are referred to there. */
static struct block *join(const struct sendq *queue)
{
	struct block *block = block_new(NULL, queue->bytes + 1);
	uint8_t *p = block->bytes;

	for (const struct sendq_segment *s = queue->head; s; s = s->next)
		p = mempcpy(p, s->bytes + s->off, s->len - s->off);
	return block;
}

void fake_flush(struct fake *fake)
{
	close_results(fake);
	const size_t size = fake->out.bytes;
	struct block *block = join(&fake->out);
	size_t used = 0;

	sendq_clear(&fake->out);
	while (used < size) {
		const int64_t n = scan_length(block->bytes + used, size - used);
		if (n <= 0) {
			(void)give(fake, (struct span){0}, NULL); /* as worker.c says that it is garbage */
			break;
		}
		if (!give(fake, (struct span){.bytes = block->bytes + used, .size = (size_t)n},
			  world_one_in(fake->world, 2) ? block : NULL))
			break;
		used += (size_t)n;
	}
	block_unref(block);
}

/* ---- hearing ---- */

/* Takes some of the bytes that wait for the worker, and the descriptors that belong to them, as outlet.c sends them. */
static void receive(struct fake *fake)
{
	struct sendq *queue = &fake->slot->out;
	struct iovec iov;
	int fds[SENDQ_PASS];

	if (queue->failed) { /* then it is killed: half a message may be there */
		fake->dead = true;
		return;
	}
	if (sendq_iov(queue, &iov, 1) < 1)
		return;
	const size_t before = queue->bytes;
	size_t n = iov.iov_len;
	if (world_one_in(fake->world, 3))
		n = 1 + world_dice(fake->world, (uint32_t)n);
	fake->in = realloc(fake->in, fake->in_size + n);
	memcpy(fake->in + fake->in_size, iov.iov_base, n);
	fake->in_size += n;
	const unsigned count = sendq_descriptors(queue, 1, fds);
	assert(fake->fd_count + count <= sizeof fake->fds / sizeof *fake->fds);
	for (unsigned i = 0; i < count; i++)
		fake->fds[fake->fd_count++] = fds[i];
	if (count > 0)
		sendq_passed(queue, count);
	sendq_sent(queue, n);
	if (queue->bytes == 0)
		sendq_sent(queue, 0);
	slot_on_sent(fake->slot, before);
}

static uint64_t type_of(struct span message, struct reader *reader, uint32_t *fields)
{
	uint64_t type = UINT64_MAX;

	*reader = reader_of(message);
	if (read_array(reader, fields) < 0 || read_uint(reader, &type) < 0)
		abort();
	return type;
}

/* FILES [numbers]: of the next message. */
static void announce(struct fake *fake, struct reader *reader)
{
	struct arrived *files = &fake->announced;

	if (read_array(reader, &files->count) < 0 || files->count > fake->fd_count)
		world_fail(fake->world, "fewer descriptors came than were announced");
	for (uint32_t i = 0; i < files->count; i++) {
		(void)read_uint(reader, &files->number[i]);
		files->fd[i] = fake->fds[i];
	}
	fake->fd_count -= files->count;
	memmove(fake->fds, fake->fds + files->count, fake->fd_count * sizeof *fake->fds);
}

static struct parcel *arrive(struct fake *fake)
{
	struct reader reader;
	struct parcel *parcel = NULL;
	uint32_t fields;
	int64_t n;

	while (!parcel && fake->in_size > 0 && (n = scan_length(fake->in, fake->in_size)) > 0) {
		if (type_of((struct span){fake->in, (size_t)n}, &reader, &fields) == TO_FILES) {
			announce(fake, &reader);
		} else {
			parcel = calloc(1, sizeof *parcel + (size_t)n);
			parcel->files = fake->announced;
			parcel->size = (size_t)n;
			memcpy(parcel->bytes, fake->in, (size_t)n);
			fake->announced.count = 0;
		}
		memmove(fake->in, fake->in + n, fake->in_size - (size_t)n);
		fake->in_size -= (size_t)n;
	}
	return parcel;
}

static struct span bytes_of(const struct parcel *parcel)
{
	return (struct span){.bytes = parcel->bytes, .size = parcel->size};
}

static struct parcel *next_parcel(struct fake *fake)
{
	struct parcel *parcel = fake->held;

	if (!parcel)
		return arrive(fake);
	fake->held = parcel->next;
	return parcel;
}

static void on_taken(struct fake *fake, struct reader *reader)
{
	uint64_t id, bytes;

	if (read_uint(reader, &id) < 0 || read_uint(reader, &bytes) < 0)
		world_fail(fake->world, "what was taken can't be read");
	for (int i = 0; i < FAKE_PUT_OFF; i++) /* it may also tell of what was yielded before the task was put off */
		if (id == TASK_DEFERRED + fake->put_off[i].tag)
			fake->put_off[i].ahead -= bytes < fake->put_off[i].ahead ? bytes : fake->put_off[i].ahead;
	if (id != fake->id || !fake->yielding)
		return;
	if (bytes > fake->ahead)
		world_fail(fake->world, "more is taken than was yielded");
	fake->ahead -= bytes;
}

enum { NOTHING = 255 };

/* In the midst of a method: the next message of that type; TAKEN is looked at, what else comes before it is put aside. NULL: it
 * is not there. */
static struct parcel *await(struct fake *fake, uint64_t wanted)
{
	struct parcel *parcel, **last = &fake->held;
	struct reader reader;
	uint32_t fields;

	while ((parcel = arrive(fake))) {
		const uint64_t type = type_of(bytes_of(parcel), &reader, &fields);
		if (type == wanted)
			return parcel;
		if (type == TO_TAKEN) {
			on_taken(fake, &reader);
			parcel_free(parcel);
			continue;
		}
		while (*last)
			last = &(*last)->next;
		*last = parcel;
	}
	return NULL;
}

/* ---- sticky calls, state, sessions: what an instance has been told ---- */

static void apply(struct fake *fake, uint32_t token)
{
	if (find(&fake->applied, token))
		world_fail(fake->world, "an instance got the same sticky call twice");
	add(&fake->applied, token);
	world_say(fake->world, "%s:%u: has sticky %u", fake->slot->pool->name, fake->slot->index, token);
}

static void announce_replay(struct fake *fake, struct span method)
{
	uint8_t room[128];

	fake_put(fake, room, pack_str(pack_uint(pack_array(room, 2), FROM_REPLAYING), (const char *)method.bytes, method.size));
}

/* False: more will follow. */
static bool replay(struct fake *fake, struct reader *reader)
{
	struct span method, skip;
	uint32_t n, fields, token;
	bool more;

	(void)read_array(reader, &n);
	for (; n > 0; n--) { /* [method, [token], kwargs] */
		(void)read_array(reader, &fields);
		(void)read_text(reader, &method);
		announce_replay(fake, method);
		(void)read_array(reader, &fields);
		if (!value_read(fake->world, reader, NULL, &token))
			world_fail(fake->world, "a sticky call that can't be read");
		(void)read_value(reader, &skip);
		apply(fake, token);
	}
	(void)read_bool(reader, &more);
	return !more;
}

static void put_numbers(struct fake *fake, const struct numbers *numbers)
{
	uint8_t room[16];

	fake_put(fake, room, pack_array(room, numbers->count));
	for (uint32_t i = 0; i < numbers->count; i++)
		fake_put(fake, room, pack_uint(room, numbers->at[i]));
}

/* Its state is which sticky calls it has had, and whom it has served. Sometimes it can't tell. */
static void put_state(struct fake *fake)
{
	const bool fails = world_one_in(fake->world, 4);
	uint8_t room[128], *p = pack_uint(pack_array(room, fails ? 3 : 2), FROM_STATE);

	if (fails) {
		fake_put(fake, room, fake_pack_failure(pack_nil(p), "no"));
		return;
	}
	fake_put(fake, room, pack_array(p, 2));
	put_numbers(fake, &fake->applied);
	put_numbers(fake, &fake->served);
	struct fake *successor = fake->slot->successor ? fake_of(fake->slot->successor) : NULL;
	if (successor)
		successor->owed_state = true;
}

static void restore(struct fake *fake, struct reader *reader)
{
	const bool fails = world_one_in(fake->world, 4);
	uint8_t room[128], *p = pack_uint(pack_array(room, fails ? 2 : 1), FROM_RESTORED);
	struct span state;
	uint64_t number;
	uint32_t n, two;

	(void)read_value(reader, &state);
	fake->owed_state = false;
	fake_put(fake, room, fails ? fake_pack_failure(p, "no") : p);
	if (fails)
		return;
	struct reader all = reader_of(state);
	(void)read_array(&all, &two);
	for ((void)read_array(&all, &n); n > 0; n--) {
		(void)read_uint(&all, &number);
		apply(fake, (uint32_t)number);
	}
	for ((void)read_array(&all, &n); n > 0; n--)
		if (read_uint(&all, &number) == 0 && !find(&fake->served, number))
			add(&fake->served, number);
}

static void on_session_end(struct fake *fake, uint64_t session)
{
	uint64_t *served = find(&fake->served, session);

	if (!player_session_has_gone(fake->world, session))
		world_fail(fake->world, "an instance is told of the end of session %llu, which lives",
			   (unsigned long long)session);
	if (find(&fake->ended, session))
		world_fail(fake->world, "an instance is told twice of the end of session %llu", (unsigned long long)session);
	add(&fake->ended, session);
	if (served)
		drop(&fake->served, served);
}

static void serve(struct fake *fake, bool sticky)
{
	if (fake->slot->pool->tells_sessions && !sticky && find(&fake->ended, fake->session))
		world_fail(fake->world, "a call of session %llu, whose end was told", (unsigned long long)fake->session);
	if (!sticky && !find(&fake->served, fake->session))
		add(&fake->served, fake->session);
}

/* ---- leases ---- */

static void on_lease(struct fake *fake, uint64_t session)
{
	uint8_t room[128], *p = room;
	const bool refuses = world_one_in(fake->world, 5);

	for (uint32_t i = 0; i < DIRECT_MAX; i++)
		if (fake->channels[i].open && fake->channels[i].session != session)
			world_fail(fake->world, "an instance is leased while another session has a direct channel to it");

	if (fake->leased)
		world_fail(fake->world, "an instance is leased twice");
	world_say(fake->world, "%s:%u: leased to %llu%s", fake->slot->pool->name, fake->slot->index, (unsigned long long)session,
		  refuses ? ", and refuses" : "");
	p = pack_uint(pack_array(p, refuses ? 2 : 1), FROM_LEASED);
	if (refuses)
		p = fake_pack_failure(p, "no");
	else
		fake->leased = session;
	fake_put(fake, room, p);
}

static void on_release(struct fake *fake, uint64_t session)
{
	if (fake->leased && fake->leased != session)
		world_fail(fake->world, "an instance is released by session %llu, which has not leased it",
			   (unsigned long long)session);
	fake->leased = 0;
}

static void check_lease(const struct fake *fake, uint32_t token)
{
	if (fake->leased && fake->leased != fake->session && !fake->world->tokens[token].sticky)
		world_fail(fake->world, "%s:%u is leased to %llu and gets a call of %llu", fake->slot->pool->name,
			   fake->slot->index, (unsigned long long)fake->leased, (unsigned long long)fake->session);
}

/* ---- beginning ---- */

/* Has START come, with all that is to be replayed? Then it has been obeyed. */
static bool has_start(struct fake *fake)
{
	struct parcel *parcel = arrive(fake);
	struct reader reader;
	struct span skip;
	uint32_t fields;

	if (!parcel)
		return false;
	const uint64_t type = type_of(bytes_of(parcel), &reader, &fields);
	if (fake->started && type == TO_SESSION_END) { /* may come between portions: no session has called this instance */
		parcel_free(parcel);
		return false;
	}
	if (type != (fake->started ? TO_REPLAY : TO_START))
		world_fail(fake->world, "a worker gets something before it has started");
	for (uint32_t i = 3; i < fields; i++)
		(void)read_value(&reader, &skip);
	fake->started = true;
	const bool whole = fake->failing || replay(fake, &reader);
	parcel_free(parcel);
	fake_flush(fake);
	return whole;
}

static void say_ready(struct fake *fake)
{
	uint8_t room[128], *p = pack_array(room, fake->failing ? 2 : 1);

	p = pack_uint(p, FROM_READY);
	if (fake->failing)
		p = fake_pack_failure(p, "no");
	fake->ready = !fake->failing;
	fake_put(fake, room, p);
	fake_flush(fake);
	if (fake->failing)
		fake_gone(fake, 1 << 8, NULL);
}

static void read_args(struct fake *fake, struct reader *reader)
{
	struct reader values;
	uint32_t n;

	fake->first = 0;
	fake->count = 1;
	fake->tokens = malloc(sizeof *fake->tokens);
	if (!values_read(fake->world, reader, fake->files, &values) || read_array(&values, &n) < 0)
		world_fail(fake->world, "args that can't be read");
	fake->tokens[0] = UINT32_MAX; /* the daemon's own probe has none */
	if (n == 2 && read_nil(&values) == 0) /* what is bound comes first */
		n--;
	if (n == 1 && !value_read(fake->world, &values, fake->files, fake->tokens))
		world_fail(fake->world, "an argument that can't be read");
}

/* deadline, binding, shape, first, count, columns */
static void read_items(struct fake *fake, struct reader *reader)
{
	struct reader values;
	uint64_t number[5];
	uint32_t n;

	for (int i = 0; i < 5; i++)
		(void)read_uint(reader, &number[i]);
	if (number[1] > 0 && !find(&fake->bound, number[1]))
		world_fail(fake->world, "items of a binding that has not come, or is over");
	fake->first = (uint32_t)number[3];
	fake->count = (uint32_t)number[4];
	fake->tokens = malloc(fake->count * sizeof *fake->tokens);
	if (read_array(reader, &n) < 0 || n != 1)
		world_fail(fake->world, "items of more than one column");
	const bool beside = *reader->p == 0xd8; /* an ext: without the array's head */
	if (!values_read(fake->world, reader, fake->files, &values) || (!beside && read_array(&values, &n) < 0))
		world_fail(fake->world, "a column that can't be read");
	for (uint32_t i = 0; i < fake->count; i++)
		if (!value_read(fake->world, &values, fake->files, &fake->tokens[i]))
			world_fail(fake->world, "an item that can't be read");
	if (read_map(reader, &n) < 0 || n != 0)
		world_fail(fake->world, "items with keywords");
}

/* first, count, [[0, msgid, method, [token]], ...] */
static void read_calls(struct fake *fake, struct reader *reader)
{
	uint64_t first, count, type, msgid;
	struct span method;
	uint32_t n, fields;

	if (read_uint(reader, &first) < 0 || read_uint(reader, &count) < 0 || read_array(reader, &n) < 0 || n != count || n == 0)
		world_fail(fake->world, "a train that can't be read");
	fake->first = (uint32_t)first;
	fake->count = n;
	fake->tokens = malloc(n * sizeof *fake->tokens);
	fake->msgids = malloc(n * sizeof *fake->msgids);
	for (uint32_t i = 0; i < n; i++) {
		if (read_array(reader, &fields) < 0 || fields != 4 || read_uint(reader, &type) < 0 || type != RPC_REQUEST ||
		    read_uint(reader, &msgid) < 0 || read_text(reader, &method) < 0 || read_array(reader, &fields) < 0 ||
		    fields != 1 || !value_read(fake->world, reader, fake->files, &fake->tokens[i]))
			world_fail(fake->world, "a call in a train that can't be read");
		fake->msgids[i] = (uint32_t)msgid;
	}
	if (reader->p != reader->end)
		world_fail(fake->world, "a train with something behind it");
}

/* The trace tells of the first token of the call, or of one that came before and whose method has made this call: question.c. */
static void read_trace(struct fake *fake, struct reader *reader)
{
	struct span text;
	unsigned token, again;

	if (read_text(reader, &text) < 0 || !traceparent_is_one(text.bytes, text.size))
		world_fail(fake->world, "a trace that is none");
	snprintf(fake->trace, sizeof fake->trace, "%.*s", (int)text.size, (const char *)text.bytes);
	if (sscanf(fake->trace, "00-%32x-%16x-01", &token, &again) != 2 || token != again)
		world_fail(fake->world, "a trace that nobody has named");
	if (token - 1 > fake->tokens[0] - (fake->items ? fake->first : 0))
		world_fail(fake->world, "the trace of a later call");
}

/* Begins the batch, unless it has been taken back. */
static bool claim(struct fake *fake, struct parcel *parcel, uint64_t type, struct reader *reader, uint32_t fields)
{
	uint64_t id, flags = 0;
	struct span name, skip;

	(void)read_uint(reader, &id);
	(void)read_uint(reader, &fake->session);
	(void)read_text(reader, &name);
	fake->id = (uint32_t)id;
	fake->train = type == TO_CALLS;
	fake->items = type == TO_ITEMS || fake->train;
	if (!board_move(fake->board, fake->id, BOARD_HANDED, BOARD_STARTED))
		return false;
	fake->files = &parcel->files;
	if (fake->train)
		read_calls(fake, reader);
	else if (fake->items)
		read_items(fake, reader);
	else
		read_args(fake, reader);
	if (!fake->items && fields >= 8) {
		(void)read_value(reader, &skip);
		(void)read_value(reader, &skip);
		(void)read_uint(reader, &flags);
	}
	fake->trace[0] = '\0';
	if (!fake->train && fields == (fake->items ? 12 : 9))
		read_trace(fake, reader);
	fake->takes_yields = flags & CALL_YIELDS;
	fake->named_gen = span_is(name, "gen");
	fake->task = parcel;
	fake->item = 0;
	fake->board->since = fake->world->core.now;
	return true;
}

static void forget_put_off(struct fake *fake, uint64_t tag)
{
	for (int i = 0; i < FAKE_PUT_OFF; i++)
		if (fake->put_off[i].tag == tag) {
			fake->put_off[i].tag = 0;
			return;
		}
	world_fail(fake->world, "told to forget what was not deferred");
}

static void stop(struct fake *fake, struct reader *reader)
{
	uint64_t want_state = 0;

	for (int i = 0; i < FAKE_PUT_OFF; i++)
		if (fake->put_off[i].tag && fake->put_off[i].at_work &&
		    ledger_is(fake->board, fake->put_off[i].tag, LEDGER_DEFERRED))
			world_fail(fake->world, "an instance is to stop that is at work");
	(void)read_uint(reader, &want_state);
	if (want_state)
		put_state(fake);
	fake_flush(fake);
	fake_gone(fake, 0, NULL);
}

static void unbind(struct fake *fake, uint64_t binding)
{
	uint64_t *at = find(&fake->bound, binding);

	if (!at)
		world_fail(fake->world, "told to forget a binding that has not come");
	drop(&fake->bound, at);
}

/* ---- direct channels ---- */

static void on_attach(struct fake *fake, uint64_t place, struct reader *reader)
{
	struct fake_channel *channel = &fake->channels[place];

	if (place >= DIRECT_MAX || channel->open || board_direct_begun(&fake->board->direct, (uint32_t)place) != 0)
		world_fail(fake->world, "a direct channel comes to a place that is taken");
	*channel = (struct fake_channel){.open = true};
	(void)read_uint(reader, &channel->session);
}

static void on_detach(struct fake *fake, uint64_t place)
{
	fake->channels[place].told = fake->channels[place].open;
}

static void set_put_off(struct fake *fake, struct fake_channel *channel, uint64_t put_off)
{
	channel->put_off = put_off;
	atomic_store(&fake->board->direct.places[channel - fake->channels].put_off, put_off != 0);
}

/* A message is cancelled that has ended. It may have been answered long ago. */
static void on_drop(struct fake *fake, uint64_t place, struct reader *reader)
{
	struct fake_channel *channel = &fake->channels[place];
	uint64_t number = 0;

	(void)read_uint(reader, &number);
	if (place < DIRECT_MAX && !channel->open)
		return; /* it has been closed meanwhile */
	if (place >= DIRECT_MAX || number >= channel->number)
		world_fail(fake->world, "told to forget what has not come on a direct channel");
	if (channel->put_off == number + 1)
		set_put_off(fake, channel, 0);
	(void)board_direct_take_cancel(&fake->board->direct.places[place], number);
}

static void close_channel(struct fake *fake, struct fake_channel *channel)
{
	set_put_off(fake, channel, 0);
	uint8_t room[16], *p = pack_uint(pack_array(room, 3), FROM_DETACHED);

	p = pack_bool(pack_uint(p, (uint64_t)(channel - fake->channels)), world_one_in(fake->world, 4));
	fake_put(fake, room, p);
	channel->open = channel->told = false;
}

static void end_direct(struct fake *fake)
{
	uint8_t room[2];

	board_direct_count(&fake->board->direct.measures[DIRECT_METHODS - 1], world_dice(fake->world, 100000), false);
	if (world_one_in(fake->world, 3))
		set_put_off(fake, fake->at, world_one_in(fake->world, 3) ? 0 : fake->at->number);
	fake->board->since = 0;
	board_direct_end(&fake->board->direct);
	fake->at = NULL;
	if (world_one_in(fake->world, 3))
		fake_put(fake, room, pack_uint(pack_array(room, 1), FROM_COUNTED));
}

static void begin_direct(struct fake *fake, struct fake_channel *channel)
{
	fake->at = channel;
	fake->board->direct.places[channel - fake->channels].held = world_dice(fake->world, 1 << world_dice(fake->world, 20));
	fake->board->since = fake->world->core.now;
	if (!board_direct_begin(&fake->board->direct, (uint32_t)(channel - fake->channels), channel->number++,
				world_one_in(fake->world, 3)))
		end_direct(fake);
}

/* It carries out what comes on a channel, or closes one. False: there is nothing to do. */
static bool step_direct(struct fake *fake)
{
	struct fake_channel *channel = &fake->channels[world_dice(fake->world, 4)];

	if (fake->at) {
		end_direct(fake);
		return true;
	}
	for (uint32_t i = 0; !channel->told && i < DIRECT_MAX; i++)
		channel = fake->channels[i].told ? &fake->channels[i] : channel;
	if (!channel->open)
		return false;
	if (channel->told || world_one_in(fake->world, 30))
		close_channel(fake, channel);
	else
		begin_direct(fake, channel);
	return true;
}

static bool has_channels(const struct fake *fake, bool told)
{
	for (uint32_t i = 0; i < DIRECT_MAX; i++)
		if (told ? fake->channels[i].told : fake->channels[i].open)
			return true;
	return false;
}

/* Everything but a call and STOP. */
static void obey(struct fake *fake, uint64_t type, struct reader *reader)
{
	uint64_t number = 0;

	if (type == TO_REPLAY)
		(void)replay(fake, reader);
	else if (type == TO_RESTORE)
		restore(fake, reader);
	else if (read_uint(reader, &number) < 0)
		return;
	if (type == TO_BIND)
		add(&fake->bound, number);
	else if (type == TO_UNBIND)
		unbind(fake, number);
	else if (type == TO_GONE)
		forget_put_off(fake, number);
	else if (type == TO_LEASE)
		on_lease(fake, number);
	else if (type == TO_RELEASE)
		on_release(fake, number);
	else if (type == TO_SESSION_END)
		on_session_end(fake, number);
	else if (type == TO_ATTACH)
		on_attach(fake, number, reader);
	else if (type == TO_DETACH)
		on_detach(fake, number);
	else if (type == TO_DROP)
		on_drop(fake, number, reader);
}

/* It was taken back: this tells how far the worker is. */
static void put_passed(struct fake *fake, uint64_t id)
{
	uint8_t room[16];

	close_results(fake);
	fake_put(fake, room, pack_uint(pack_uint(pack_array(room, 2), FROM_PASSED), id));
}

/* The next message, if it has come whole. */
static void begin(struct fake *fake)
{
	struct parcel *parcel = next_parcel(fake);
	struct reader reader;
	uint32_t fields;

	if (!parcel)
		return;
	const uint64_t type = type_of(bytes_of(parcel), &reader, &fields);
	if (type == TO_START || type == TO_RESULT || type > TO_DROP)
		world_fail(fake->world, "a message that no worker knows, or that comes late: %llu", (unsigned long long)type);
	if (type == TO_CALL || type == TO_ITEMS || type == TO_CALLS) {
		if (!claim(fake, parcel, type, &reader, fields)) {
			put_passed(fake, fake->id);
			parcel_free(parcel);
		}
		return;
	}
	if (type == TO_STOP && has_channels(fake, false))
		world_fail(fake->world, "an instance is to stop that has direct channels");
	if (type == TO_STOP)
		stop(fake, &reader);
	else
		obey(fake, type, &reader);
	parcel_free(parcel);
}

/* ---- deferring ---- */

static bool defer(struct fake *fake, uint32_t token)
{
	uint8_t room[64], *p = pack_uint(pack_array(room, 5), FROM_DEFERRED);
	struct put_off *at = &fake->put_off[world_dice(fake->world, FAKE_PUT_OFF)];

	if (at->tag || token == UINT32_MAX || board_state(fake->board, fake->id) == BOARD_COMMITTED || world_dice(fake->world, 6))
		return false;
	close_results(fake);
	*at = (struct put_off){.tag = ++fake->last_tag, .token = token, .yields_left = fake->yielding ? fake->yields_left : 0};
	at->at_work = world_one_in(fake->world, 2);
	at->waits = !at->at_work && !(fake->yielding && fake->yields_left < token % QUESTION_YIELDS);
	fake->world->tokens[token].waits += at->waits;
	ledger_open(fake->board, at->tag);
	world_say(fake->world, "%s:%u: defers %u as %llu", fake->slot->pool->name, fake->slot->index, token,
		  (unsigned long long)at->tag);
	p = pack_uint(p, fake->id);
	p = pack_uint(p, fake->items ? fake->first + fake->item : 0);
	fake_put(fake, room, pack_bool(pack_uint(p, at->tag), at->at_work));
	return true;
}

static void put_value(struct sendq *to, struct world *world, uint32_t token)
{
	struct writing writing = {.world = world};
	uint8_t *room = malloc(value_size(token));

	writing.p = room;
	value_write(&writing, token);
	sendq_copy(to, room, (size_t)(writing.p - room));
	free(room);
}

/* ---- finishing ---- */

static void end_batch(struct fake *fake)
{
	close_results(fake);
	fake->board->since = 0;
	parcel_free(fake->task);
	free(fake->tokens);
	free(fake->msgids);
	fake->task = NULL;
	fake->tokens = fake->msgids = NULL;
	fake->files = NULL;
}

static void end_item(struct fake *fake)
{
	struct board_entry *entry = board_entry(fake->board, fake->id);

	fake->running = fake->yielding = false;
	fake->item++;
	entry->spent = world_one_in(fake->world, 2) ? 300 : 3000000;
	if (fake->item == fake->count)
		end_batch(fake);
}

/* A place for a result of the session, which sees nothing of others there if it is shown the file. */
static struct loan *free_place(struct fake *fake)
{
	for (unsigned i = 0; i < LENT_PLACES; i++) {
		struct loan *loan = &fake->loans[i];
		const uint64_t state = atomic_load(loan->state);
		if (state == LENT_LOST) {
			loan->file->loan = NULL;
			loan->file = NULL;
			atomic_store(loan->state, LENT_FREE);
		}
		if (atomic_load(loan->state) == LENT_FREE || (state == LENT_SHOWN && loan->file->block.shown_to == fake->session))
			return loan;
	}
	return NULL;
}

/* [PAYLOAD, id, place, offset, length, touched]: the first half of the file, or all of it. */
static bool lend(struct fake *fake, uint32_t token)
{
	const bool fits = fake->world->flavour.files && (!fake->items || fake->train) && value_size(token) < LOAN_SIZE;
	struct loan *loan = fits && world_dice(fake->world, 3) ? free_place(fake) : NULL;
	uint8_t room[64], *p = pack_uint(pack_array(room, 6), FROM_PAYLOAD);

	if (!loan)
		return false;
	close_results(fake);
	struct file *file = loan_file(fake->world, loan);
	const size_t size = (size_t)(value_bin(file->bytes, token) - file->bytes);
	file->first = fake->session;
	if (file->block.touched < size)
		file->block.touched = size;
	if (file->block.touched < LOAN_SIZE && world_one_in(fake->world, 3)) { /* it wrote more, and took that back */
		file->rest = fake->session;
		file->block.touched = LOAN_SIZE;
	}
	p = pack_uint(pack_uint(p, fake->id), (uint64_t)(loan - fake->loans));
	p = pack_uint(pack_uint(pack_uint(p, 0), size), file->block.touched);
	fake_put(fake, room, p);
	return true;
}

/* Sometimes it is told of with those before it. */
static void add_result(struct fake *fake, uint32_t token)
{
	uint8_t room[32], *p = pack_uint(pack_array(room, 4), RPC_RESPONSE);

	if (fake->results_count == 0) {
		fake->results_id = fake->id;
		fake->results_first = fake->first + fake->item;
	}
	fake->results_count++;
	if (fake->train)
		sendq_copy(&fake->results, room, (size_t)(pack_nil(pack_uint(p, fake->msgids[fake->item])) - room));
	put_value(&fake->results, fake->world, token);
	if (world_one_in(fake->world, 3))
		close_results(fake);
}

static void reply(struct fake *fake, uint32_t token)
{
	const bool bad = world_is_bad(token);
	uint8_t room[160], *p = pack_array(room, 4);

	if (!bad && token != UINT32_MAX && lend(fake, token))
		return;
	if (!bad && fake->items) {
		add_result(fake, token);
		return;
	}
	close_results(fake);
	p = pack_uint(p, fake->items ? FROM_ITEM_ERROR : FROM_REPLY);
	p = pack_uint(p, fake->id);
	if (fake->items)
		p = pack_uint(p, fake->first + fake->item);
	if (bad) {
		p = fake_pack_failure(p, "yes");
		fake_put(fake, room, fake->items ? p : pack_nil(p));
		return;
	}
	fake_put(fake, room, pack_nil(p));
	if (token == UINT32_MAX || fake->yielding)
		fake_put(fake, room, pack_nil(room));
	else
		put_value(&fake->out, fake->world, token);
}

static void finish_item(struct fake *fake)
{
	const uint32_t token = fake->tokens[fake->item];

	if (!defer(fake, token))
		reply(fake, token);
	end_item(fake);
}

/* ---- asking in the midst of a method ---- */

/* Could some instance of the pool do it that waits for nobody? */
static bool somebody_is_free(const struct world *world, const struct question *question, const struct slot *asker)
{
	const struct pool *pool = world->pools[question->pool];

	if (question->sync || (strchr(question->target, ':') && question->kind != KIND_MAP))
		return false; /* an instance is named */
	for (uint32_t i = 0; pool && i < pool->size; i++) {
		const struct fake *fake = fake_of(pool->slots[i]);
		if (pool->slots[i] != asker && !(fake && fake->asked))
			return true;
	}
	return false;
}

static void ask(struct fake *fake, struct put_off *asker)
{
	struct question *question = question_new(fake->world, true);
	const bool traced = !asker && !fake->at && fake->trace[0];
	uint8_t *room = malloc(question_size(question) + 128), text[32],
		*p = pack_uint(pack_array(room, traced ? 5 : 4), FROM_INVOKE);
	struct writing writing = {.world = fake->world};
	const struct span method = question_method(question, (char *)text);

	close_results(fake);
	question->msgid = 1;
	question->may_go = somebody_is_free(fake->world, question, fake->slot);
	world_say(fake->world, "%s:%u: asks %s (kind %d, %u from %u)", fake->slot->pool->name, fake->slot->index,
		  question->target, question->kind, question->count, question->token);
	fake->asker = asker;
	users_judge(fake->world, question, fake->world->tokens[asker ? asker->token : fake->tokens[fake->item]].grant, false);
	p = pack_uint(p, asker ? TASK_DEFERRED + asker->tag : fake->id);
	writing.p = pack_str(p, (const char *)method.bytes, method.size);
	question_write(question, &writing);
	if (traced)
		writing.p = pack_str(writing.p, fake->trace, TRACEPARENT);
	fake_put(fake, room, writing.p);
	fake->asked = question;
	free(room);
	fake_flush(fake);
}

/* Has the answer come? */
static void hear(struct fake *fake)
{
	struct parcel *parcel = await(fake, TO_RESULT);
	struct reader reader;
	struct rpc rpc;
	uint32_t fields;

	if (!parcel)
		return;
	(void)type_of(bytes_of(parcel), &reader, &fields);
	if (rpc_parse((struct span){.bytes = reader.p, .size = (size_t)(reader.end - reader.p)}, &rpc) < 0 ||
	    rpc.type != RPC_RESPONSE || rpc.msgid != fake->asked->msgid)
		world_fail(fake->world, "an answer to a method that is none");
	world_say(fake->world, "%s:%u: is answered", fake->slot->pool->name, fake->slot->index);
	fake->files = &parcel->files;
	question_on_answer(&fake->listener, fake->asked, &rpc);
	fake->files = fake->task ? &fake->task->files : NULL;
	free(fake->asked);
	fake->asked = NULL;
	parcel_free(parcel);
}

/* ---- what was put off ---- */

/* A task that was put off runs, and nothing else does meanwhile. */
static void set_steps(struct fake *fake, bool steps)
{
	fake->steps = steps;
	fake->board->step = fake->board->since = steps ? fake->world->core.now : 0;
}

/* Something is done for the call. */
static void serve_put_off(struct fake *fake, struct put_off *at)
{
	fake->world->tokens[at->token].waits -= at->waits;
	at->waits = false;
}

/* Its caller may have given up: then the supervisor drops the value. */
static void yield_later(struct fake *fake, struct put_off *at)
{
	uint8_t room[64], *p = pack_uint(pack_array(room, 3), FROM_YIELD);

	if (at->ahead > YIELD_AHEAD)
		return;
	if (ledger_is(fake->board, at->tag, LEDGER_DEFERRED))
		serve_put_off(fake, at);
	fake_put(fake, room, pack_uint(p, TASK_DEFERRED + at->tag));
	const size_t before = fake->out.bytes;
	put_value(&fake->out, fake->world, at->token);
	at->ahead += fake->out.bytes - before;
	at->yields_left--;
}

/* Some deferred one is answered, unless its caller was quicker to give up. */
static void answer(struct fake *fake)
{
	struct put_off *at = &fake->put_off[world_dice(fake->world, FAKE_PUT_OFF)];
	uint8_t room[64], *p = pack_uint(pack_array(room, 4), FROM_ANSWER);

	if (!at->at_work && (fake->slot->pool->leaving || fake->world->core.draining))
		return; /* as one that waits for others' calls: nobody comes any more who would have it answered */
	if (at->tag && at->yields_left > 0) {
		yield_later(fake, at);
		return;
	}
	if (at->tag && world_one_in(fake->world, 8)) {
		ask(fake, at);
		return;
	}
	if (!at->tag || !ledger_move(fake->board, at->tag, LEDGER_DEFERRED, LEDGER_ANSWERED))
		return;
	serve_put_off(fake, at);
	p = pack_uint(p, at->tag);
	if (world_is_bad(at->token)) {
		fake_put(fake, room, pack_nil(fake_pack_failure(p, "yes")));
	} else {
		fake_put(fake, room, pack_nil(p));
		put_value(&fake->out, fake->world, at->token);
	}
	at->tag = 0;
}

/* ---- yielding ---- */

static void put_large_yield(struct fake *fake, uint32_t token)
{
	struct block *block = block_new(NULL, 300016);
	uint8_t *p = block->bytes;

	*p++ = 0xc6; /* bin 32 */
	p = pack_be32(p, 300000);
	memcpy(p, &token, sizeof token);
	sendq_span(&fake->out, block, block->bytes, 300005);
	block_unref(block);
}

static void yield(struct fake *fake)
{
	const uint32_t token = fake->tokens[fake->item];
	uint8_t room[64], *p = pack_uint(pack_array(room, 3), FROM_YIELD);
	const size_t before = fake->out.bytes;

	fake_put(fake, room, pack_uint(p, fake->id));
	const size_t head = fake->out.bytes - before;
	if (fake->world->flavour.large && world_one_in(fake->world, 2))
		put_large_yield(fake, token);
	else
		put_value(&fake->out, fake->world, token);
	fake->ahead += fake->out.bytes - before - head;
	fake->yields_left--;
}

static void begin_yields(struct fake *fake)
{
	uint8_t room[32], *p = pack_uint(pack_array(room, 2), FROM_YIELD);

	fake->yielding = true;
	fake->ahead = 0;
	fake->yields_left = fake->tokens[0] % QUESTION_YIELDS;
	if (fake->yields_left == 0)
		fake_put(fake, room, pack_uint(p, fake->id));
}

static void go_on_yielding(struct fake *fake)
{
	if (fake->ahead > YIELD_AHEAD) { /* it waits until more is taken */
		fake_flush(fake);
		receive(fake);
		(void)await(fake, NOTHING);
	} else if (world_one_in(fake->world, 6) && defer(fake, fake->tokens[fake->item])) {
		end_item(fake);
	} else if (fake->yields_left > 0) {
		yield(fake);
	} else {
		finish_item(fake);
	}
}

/* ---- running ---- */

/* The item begins. False: the worker has died of it. */
static bool begin_item(struct fake *fake)
{
	struct world *world = fake->world;
	const uint32_t token = fake->tokens[fake->item];

	if (token == UINT32_MAX)
		return true;
	if (world->tokens[token].denied)
		world_fail(world, "a call runs that was denied: token %u", token);
	world->tokens[token].ran++;
	check_lease(fake, token);
	serve(fake, world->tokens[token].sticky);
	if (world->tokens[token].sticky)
		apply(fake, token);
	world_say(world, "%s:%u: runs %u (batch %u, item %u of %u)", fake->slot->pool->name, fake->slot->index, token, fake->id,
		  fake->item, fake->count);
	if (!world->flavour.calm && world_one_in(world, 400)) {
		die(fake, world_one_in(world, 2));
		return false;
	}
	return true;
}

/* It has no memory for the item: it does not run. What all instances are to be told of is not refused. */
static bool refuse_item(struct fake *fake)
{
	const uint32_t token = fake->tokens[fake->item];
	uint8_t room[160], *p = pack_array(room, 4);

	if (!fake->cramped || !fake->world->flavour.cramped || token == UINT32_MAX || fake->world->tokens[token].sticky)
		return false;
	close_results(fake);
	p = pack_uint(pack_uint(p, fake->items ? FROM_ITEM_ERROR : FROM_REPLY), fake->id);
	if (fake->items)
		p = pack_uint(p, fake->first + fake->item);
	p = pack_failure(p, "it has no memory", "no");
	fake_put(fake, room, fake->items ? p : pack_nil(p));
	end_item(fake);
	return true;
}

/* Nobody waits for it any more, nor for those behind it. */
static void skip_call(struct fake *fake)
{
	uint8_t room[160], *p = pack_uint(pack_uint(pack_array(room, 4), FROM_ITEM_ERROR), fake->id);

	close_results(fake);
	p = pack_array(pack_uint(p, fake->first + fake->item), 6);
	p = pack_str(pack_str(p, "CANCELLED", 9), "skipped", 7);
	p = pack_nil(pack_nil(pack_nil(p)));
	fake_put(fake, room, pack_str(p, "no", 2));
	end_item(fake);
}

static void commit(struct fake *fake)
{
	const uint32_t token = fake->tokens[fake->item];

	if (board_move(fake->board, fake->id, BOARD_STARTED, BOARD_COMMITTED) && token != UINT32_MAX)
		fake->world->tokens[token].committed = true;
}

/* One step of the method. False: the worker has gone. */
static bool step(struct fake *fake)
{
	struct world *world = fake->world;

	if (!fake->running) {
		if (!board_begin_item(fake->board, fake->id)) { /* the rest was taken back */
			if (fake->items)
				put_passed(fake, fake->id);
			end_batch(fake);
			return true;
		}
		if (fake->train) {
			board_begin_call(fake->board, fake->id, fake->first + fake->item);
			if (fake->item > 0 && board_state(fake->board, fake->id) == BOARD_CANCELLED) {
				skip_call(fake);
				return true;
			}
		}
		if (refuse_item(fake))
			return true;
		fake->running = true;
		if (!begin_item(fake))
			return false;
		if ((!fake->items || fake->train) && world_one_in(world, 8))
			commit(fake);
		if (fake->named_gen && fake->takes_yields)
			begin_yields(fake);
		return true;
	}
	if (fake->tokens[fake->item] != UINT32_MAX && world_one_in(world, 12))
		ask(fake, NULL);
	else if (fake->yielding)
		go_on_yielding(fake);
	else
		finish_item(fake);
	return true;
}

static void run_some(struct fake *fake)
{
	struct world *world = fake->world;

	for (uint32_t n = 2 + world_dice(world, 16); n > 0 && fake->task && !fake->asked; n--)
		if (!step(fake))
			return;
	if (world_one_in(world, 3))
		fake_flush(fake);
}

/* A thread of its own has sent what was finished, when it was asked to. */
static void go_on(struct fake *fake)
{
	fake->stopped = false;
	fake->board->nudged = fake->board->nudge;
}

static void work(struct fake *fake)
{
	struct world *world = fake->world;

	if (fake->stopped && world_one_in(world, 60))
		go_on(fake);
	if (fake->dead || fake->slot->out.failed) {
		die(fake, !fake->stopped && world_one_in(world, 2));
	} else if (fake->stopped) {
		return;
	} else if (fake->steps) {
		if (world_one_in(world, 10))
			set_steps(fake, false);
	} else if (fake->slot->at_work > 0 && fake->ready && !fake->task && !fake->asked && !fake->at &&
		   world_one_in(world, 100)) {
		set_steps(fake, true);
	} else if (fake->ready && world_one_in(world, 300)) {
		fake->stopped = true;
	} else if (world->flavour.cramped && world_one_in(world, fake->cramped ? 20 : 100)) {
		fake->cramped = !fake->cramped;
	} else if (world->flavour.liars && world_one_in(world, 300)) {
		world->lie(fake);
	} else if (!fake->ready) {
		receive(fake);
		if (has_start(fake))
			say_ready(fake);
	} else if (fake->asked) {
		receive(fake);
		hear(fake);
	} else if (fake->task) {
		run_some(fake);
	} else if ((fake->at || world_one_in(world, 3)) && step_direct(fake)) {
		return;
	} else {
		answer(fake);
		if (world_one_in(world, 2))
			fake_flush(fake);
		receive(fake);
		begin(fake);
	}
}

void fake_work(struct world *world)
{
	uint32_t n = 0;
	for (const struct fake *f = world->fakes; f; f = f->next)
		n++;
	if (n == 0)
		return;
	struct fake *fake = world->fakes;
	for (uint32_t i = world_dice(world, n); i > 0; i--)
		fake = fake->next;
	work(fake);
}

void fake_kill_one(struct world *world)
{
	if (world->fakes && !world->flavour.calm && world_one_in(world, 2))
		world->fakes->dead = true;
}

void fake_lies_of_all(struct fake *fake)
{
	for (uint32_t i = 0; fake->task && i < fake->count; i++)
		if (fake->tokens[i] != UINT32_MAX)
			fake->world->tokens[fake->tokens[i]].lied = true;
}

/* ---- what holds when nothing goes on ---- */

bool fake_is_idle(const struct fake *fake)
{
	return fake->ready && !fake->dead && !fake->task && !fake->asked && !fake->held && !fake->at &&
	       !has_channels(fake, true) && fake->in_size + fake->out.bytes + fake->slot->out.bytes == 0;
}

void fake_say_all(const struct world *world)
{
	for (const struct fake *fake = world->fakes; fake; fake = fake->next) {
		const struct slot *slot = fake->slot;
		world_say(world,
			  "%s:%u: %s, plan %d%s%s, %u in hand, %u queued of %u; %s %u, asks %s (%u), %u held, %llu ahead%s",
			  slot->pool->name, slot->index, slot_state_name(slot->state), slot->plan, slot->leased ? ", leased" : "",
			  slot->listed ? "" : ", not listed", slot->handed_count, slot->queue.count, slot->pool->waiting,
			  fake->task ? "runs" : "idle", fake->task ? fake->tokens[fake->item] : 0,
			  fake->asked ? fake->asked->target : "nothing", fake->asked ? fake->asked->token : 0, fake->held != NULL,
			  (unsigned long long)fake->ahead, slot->pool->leaving ? ", its pool leaves" : "");
	}
}

static void check_sticky(const struct fake *fake)
{
	const struct sticky *sticky;

	TAILQ_FOREACH(sticky, &fake->slot->pool->stickies.list, link) {
		struct reader reader = reader_of(sticky->args);
		uint32_t n, token;
		(void)read_array(&reader, &n);
		if (!value_read(fake->world, &reader, NULL, &token) || find(&fake->applied, token))
			continue;
		world_fail(fake->world, "%s:%u, generation %llu, lacks the sticky call %u that its siblings have",
			   fake->slot->pool->name, fake->slot->index, (unsigned long long)fake->slot->generation, token);
	}
}

static void check_sessions(const struct fake *fake)
{
	for (uint32_t i = 0; fake->slot->pool->tells_sessions && i < fake->served.count; i++)
		if (player_session_has_gone(fake->world, fake->served.at[i]))
			world_fail(fake->world, "%s:%u has served session %llu, and is not told of its end",
				   fake->slot->pool->name, fake->slot->index, (unsigned long long)fake->served.at[i]);
}

void fake_check_all(struct world *world)
{
	for (const struct fake *fake = world->fakes; fake; fake = fake->next) {
		const struct slot *slot = fake->slot;
		if (!fake_is_idle(fake) || slot->state != SLOT_READY || slot->cut_off ||
		    slot->handed_count + slot->queue.count > 0)
			continue;
		if (faults_count() > 0)
			continue; /* without memory neither is promised */
		if (fake->owed_state)
			world_fail(world, "%s:%u: lacks its predecessor's state", slot->pool->name, slot->index);
		check_sticky(fake);
		check_sessions(fake);
	}
}
