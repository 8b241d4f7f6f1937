/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct.h"

#include "daemon/worker/awake.h"
#include "daemon/worker/direct_call.h"
#include "daemon/worker/direct_deferred.h"
#include "daemon/worker/quit.h"
#include "proto/pack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { STILL_MAX = 16 /* messages that call no method, between two looks at the clock */ };

struct directs {
	struct direct_channel *at[DIRECT_MAX]; /* by place */
	uint64_t taken;                        /* a bit for each place that has one: mostly there are few */
	uint32_t first;                        /* the place whose turn is first */
	struct direct_counting counting;
	uint64_t tell_every; /* calls after which the supervisor is told that there are more counts; 0: never */
	uint64_t untold;
	uint64_t held, held_told; /* memory of all channels: now, and when the supervisor was last told to look */
	struct awake awake;
	bool busy; /* a message has been carried out since the last wait */
};

static_assert(DIRECT_MAX == 64, "the places are the bits of `taken`");

bool directs_any(const struct host *host)
{
	return host->directs && host->directs->taken != 0;
}

/* Takes the lowest place out of a set that is not empty. */
static uint32_t take_place(uint64_t *places)
{
	const uint32_t place = (uint32_t)__builtin_ctzll(*places);

	*places &= *places - 1;
	return place;
}

/* ---- the process dies, or forks ---- */

static void on_dying(struct reply *reply, bool forked)
{
	const struct directs *directs = container_of(reply, struct host, reply)->directs;

	for (uint32_t i = 0; directs && i < DIRECT_MAX; i++) {
		struct direct_channel *channel = directs->at[i];
		if (channel && forked)
			direct_channel_forget(channel);
		else if (channel && !channel->out_changes && channel->sent < channel->size)
			(void)direct_channel_send(channel);
	}
}

/* ---- they come and go ---- */

static void open_channel(struct host *host, uint32_t place, int fd)
{
	struct directs *directs = host->directs;

	directs->at[place] = direct_channel_new(fd, host->task.max_result);
	if (!directs->at[place])
		quit_memory();
	directs->at[place]->place = place;
	directs->taken |= UINT64_C(1) << place;
}

void directs_on_attach(struct host *host, struct reader *reader)
{
	const int fd = worker_files_take(host->inbox.files);
	uint64_t place, session, form, tell_every, grace, rings;

	if (fd < 0 || read_uint(reader, &place) < 0 || read_uint(reader, &session) < 0 || read_uint(reader, &form) < 0 ||
	    read_uint(reader, &tell_every) < 0 || read_uint(reader, &grace) < 0 || read_uint(reader, &rings) < 0 ||
	    place >= DIRECT_MAX || form >= ERROR_FORMS)
		quit_protocol();
	if (!host->directs && !(host->directs = calloc(1, sizeof *host->directs)))
		quit_memory();
	if (host->directs->at[place])
		quit_protocol();
	open_channel(host, (uint32_t)place, fd);
	struct direct_channel *channel = host->directs->at[place];
	channel->session = session;
	channel->error_form = (enum error_form)form;
	channel->grace = grace;
	host->directs->tell_every = tell_every;
	host->reply.beside = on_dying;
	if (rings)
		direct_channel_offer_rings(channel, host->now);
}

/* With an empty reason nobody is there to be told. */
void directs_on_detach(struct host *host, struct reader *reader)
{
	struct span reason;
	uint64_t place;

	if (read_uint(reader, &place) < 0 || read_text(reader, &reason) < 0 || place >= DIRECT_MAX)
		quit_protocol();
	struct direct_channel *channel = host->directs ? host->directs->at[place] : NULL;
	if (!channel)
		return; /* DETACHED is on its way */
	if (reason.size > 0) {
		direct_channel_tell_closing(channel, reason, host->now);
		direct_deferred_end_waiters(channel);
	} else {
		direct_channel_cut(channel);
		direct_deferred_drop_all(channel); /* before the class hears that the session has ended */
	}
	host_put_answers(host); /* that the class has given to others */
}

void directs_on_drop(struct host *host, struct reader *reader)
{
	uint64_t place, number;

	if (read_uint(reader, &place) < 0 || read_uint(reader, &number) < 0 || place >= DIRECT_MAX)
		quit_protocol();
	struct direct_channel *channel = host->directs ? host->directs->at[place] : NULL;
	if (!channel)
		return; /* DETACHED is on its way; the cell may be another channel's by now */
	direct_deferred_drop(channel, number);
	(void)board_direct_take_cancel(&host->board->direct.places[place], number);
	host_put_answers(host);
}

/* [COUNTED]: the supervisor shall look at the board. */
static void tell_counted(struct host *host)
{
	uint8_t message[REPLY_TYPE];

	(void)reply_pack_type(message, 1, FROM_COUNTED);
	reply_messages(&host->reply, message, sizeof message);
}

/* Writes on the board how much memory the channel takes. */
static void note_held(struct host *host, struct direct_channel *channel, size_t held)
{
	struct directs *directs = host->directs;

	if (held == channel->held)
		return;
	directs->held += held - channel->held;
	channel->held = held;
	atomic_store_explicit(&host->board->direct.places[channel->place].held, held, memory_order_relaxed);
	const uint64_t changed =
		directs->held > directs->held_told ? directs->held - directs->held_told : directs->held_told - directs->held;
	if (changed < DIRECT_HELD_TOLD)
		return;
	directs->held_told = directs->held;
	tell_counted(host);
}

/* [DETACHED, place, protocol error?] */
static void close_channel(struct host *host, uint32_t place)
{
	struct directs *directs = host->directs;
	uint8_t message[REPLY_TYPE + PACK_UINT + 1], *p = reply_pack_type(message, 3, FROM_DETACHED);

	direct_deferred_drop_all(directs->at[place]);
	host_put_answers(host);
	note_held(host, directs->at[place], 0);
	p = pack_bool(pack_uint(p, place), directs->at[place]->protocol_error);
	reply_messages(&host->reply, message, (size_t)(p - message));
	directs->at[place] = direct_channel_free(directs->at[place]);
	directs->taken &= ~(UINT64_C(1) << place);
}

void directs_free(struct host *host)
{
	host->reply.beside = NULL;
	for (uint32_t i = 0; host->directs && i < DIRECT_MAX; i++)
		(void)direct_channel_free(host->directs->at[i]);
	free(host->directs);
	host->directs = NULL;
}

/* ---- turns ---- */

/* After some calls of an instance that is recycled the supervisor is told to look at the counts. */
static void note_call(struct host *host)
{
	struct directs *directs = host->directs;

	if (directs->tell_every == 0 || ++directs->untold < directs->tell_every)
		return;
	directs->untold = 0;
	tell_counted(host);
}

static void carry_out_one(struct host *host, struct direct_channel *channel, int got, struct span message)
{
	if (got == -EBADMSG)
		direct_call_garbage(host, channel, "bytes that are no msgpack");
	else if (got == -EPROTO)
		direct_call_garbage(host, channel, channel->rings ? "bytes on the socket of a channel that has rings"
								  : "descriptors, which a direct channel does not take");
	else if (got == -EMSGSIZE)
		direct_call_too_large(host, channel, message);
	else
		direct_call_run(host, channel, &host->directs->counting, message);
	note_call(host);
	host->directs->busy = true;
}

/* Only a method that is called moves the clock on. So that a turn ends all the same, some other messages do so together. */
static void keep_clock(struct host *host, uint64_t before, unsigned *still)
{
	*still = host->now == before ? *still + 1 : 0;
	if (*still < STILL_MAX)
		return;
	host->now = host_clock();
	*still = 0;
}

static void take_turn(struct host *host, struct direct_channel *channel)
{
	const uint64_t until = host->now + DIRECT_TURN;
	struct span message = {0};
	unsigned still = 0;
	int got;

	while (!channel->protocol_error && direct_channel_may_begin(channel) &&
	       (got = direct_channel_next(channel, &message)) != 0) {
		const uint64_t before = host->now;
		carry_out_one(host, channel, got, message);
		keep_clock(host, before, &still);
		if (host->now - channel->flushed > HOST_FLUSH_AFTER)
			direct_channel_flush(channel, host->now);
		if (host->now >= until)
			break;
	}
	direct_channel_flush(channel, host->now);
}

/* Returns whether more of its messages have arrived. */
static bool take_turn_at(struct host *host, uint32_t place)
{
	struct direct_channel *channel = host->directs->at[place];

	direct_channel_keep_time(channel, host->now);
	take_turn(host, channel);
	if (channel->dead && !TAILQ_EMPTY(&channel->deferred)) {
		direct_deferred_drop_all(channel);
		host_put_answers(host);
	}
	note_held(host, channel, direct_channel_memory(channel));
	if (!direct_channel_is_done(channel))
		return direct_channel_may_begin(channel);
	close_channel(host, place);
	return false;
}

bool directs_take_turns(struct host *host)
{
	struct directs *directs = host->directs;
	bool more = false;

	if (!directs_any(host))
		return false;
	directs->first = (directs->first + 1) % DIRECT_MAX;
	const uint64_t before = (UINT64_C(1) << directs->first) - 1;
	uint64_t first = directs->taken & ~before, then = directs->taken & before;
	while (first)
		more |= take_turn_at(host, take_place(&first));
	while (then)
		more |= take_turn_at(host, take_place(&then));
	return more;
}

/* ---- waiting ---- */

uint64_t directs_wake_at(const struct host *host)
{
	uint64_t at = UINT64_MAX;

	for (uint64_t places = host->directs ? host->directs->taken : 0; places;) {
		const struct direct_channel *channel = host->directs->at[take_place(&places)];
		if (channel->close_at < at)
			at = channel->close_at;
		if (channel->deaf_at < at)
			at = channel->deaf_at;
	}
	return at;
}

/* What the worker waits for: its inbox, what the class watches, then for each channel the socket, and the pipe of its rings. */
enum { INBOX, WATCH, CHANNELS };
struct waits {
	struct pollfd polled[CHANNELS + 2 * DIRECT_MAX];
	struct direct_channel *channels[CHANNELS + 2 * DIRECT_MAX];
	nfds_t count;
};

static void add(struct waits *waits, struct direct_channel *channel, int fd, short events)
{
	waits->polled[waits->count] = (struct pollfd){.fd = fd, .events = events};
	waits->channels[waits->count++] = channel;
}

/* True: there is something in a ring, and the worker must not sleep. */
static bool prepare(struct host *host, struct waits *waits)
{
	bool have = false;

	add(waits, NULL, host->inbox.fd, POLLIN);
	add(waits, NULL, host->watch.fd, POLLIN);
	for (uint64_t places = host->directs ? host->directs->taken : 0; places;) {
		struct direct_channel *channel = host->directs->at[take_place(&places)];
		add(waits, channel, channel->fd, direct_channel_events(channel));
		if (!channel->rings)
			continue;
		add(waits, channel, channel->rings->wakes_us, POLLIN);
		have |= direct_channel_wants_input(channel) && (channel->hung_up || !rings_fall_asleep(channel->rings));
	}
	return have;
}

static void on_pipe(struct host *host, struct direct_channel *channel, const struct pollfd *polled)
{
	rings_wake(channel->rings, polled->revents & POLLIN);
	if (polled->revents & (POLLHUP | POLLERR))
		direct_channel_cut(channel); /* its client can't wake the worker any more */
	if (direct_channel_wants_input(channel) && (channel->hung_up || rings_have(channel->rings)))
		direct_channel_read(channel, host->now);
}

static void on_polled(struct host *host, struct direct_channel *channel, const struct pollfd *polled)
{
	if (polled->fd == channel->fd)
		direct_channel_on_polled(channel, polled->revents, host->now);
	else
		on_pipe(host, channel, polled);
	note_held(host, channel, direct_channel_memory(channel));
}

/* After a message of a channel the next one may come at once. */
static int await(struct directs *directs, struct pollfd *polled, nfds_t count, uint64_t until)
{
	const bool busy = directs && directs->busy;

	if (busy)
		directs->busy = false;
	const int ready = busy && until > 0 ? awake_poll(&directs->awake, polled, count) : 0;
	return ready != 0 ? ready : inbox_poll(polled, count, until);
}

int directs_fill(struct host *host, uint64_t until)
{
	struct waits waits = {.count = 0};
	const bool have = prepare(host, &waits);
	const int ready = await(host->directs, waits.polled, waits.count, have ? 0 : until);

	if (ready < 0 && errno != EINTR)
		return -errno;
	if (ready <= 0 && !have)
		return -ETIMEDOUT;
	host->now = host_clock();
	host->watch.can_read = host->watch.can_read || waits.polled[WATCH].revents;
	for (nfds_t i = CHANNELS; i < waits.count; i++)
		on_polled(host, waits.channels[i], &waits.polled[i]);
	return waits.polled[INBOX].revents ? inbox_read(&host->inbox) : 1;
}
