/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct.h"

#include "daemon/worker/direct_call.h"
#include "daemon/worker/quit.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct directs {
	struct direct *at[DIRECT_MAX]; /* by place */
	uint32_t count;
	uint32_t first;                /* the place whose turn is first */
	struct direct_counting counting;
	uint64_t tell_every;           /* calls after which the supervisor is told that there are more counts; 0: never */
	uint64_t untold;
};

bool directs_any(const struct host *host)
{
	return host->directs && host->directs->count > 0;
}

/* ---- the process dies, or forks ---- */

static void on_dying(struct reply *reply, bool forked)
{
	const struct directs *directs = container_of(reply, struct host, reply)->directs;

	for (uint32_t i = 0; directs && i < DIRECT_MAX; i++) {
		struct direct *channel = directs->at[i];
		if (channel && forked)
			(void)close(channel->fd);
		else if (channel && channel->sent < channel->size)
			(void)send(channel->fd, channel->out + channel->sent, channel->size - channel->sent,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* ---- they come and go ---- */

static void open_channel(struct host *host, uint32_t place, int fd)
{
	struct directs *directs = host->directs;

	directs->at[place] = direct_new(fd, host->task.max_result);
	if (!directs->at[place])
		quit_memory();
	directs->at[place]->place = place;
	directs->count++;
}

void directs_on_attach(struct host *host, struct reader *reader)
{
	const int fd = worker_files_take(host->inbox.files);
	uint64_t place, session, maps, tell_every, grace;

	if (fd < 0 || read_uint(reader, &place) < 0 || read_uint(reader, &session) < 0 || read_uint(reader, &maps) < 0 ||
	    read_uint(reader, &tell_every) < 0 || read_uint(reader, &grace) < 0 || place >= DIRECT_MAX)
		quit_protocol();
	if (!host->directs && !(host->directs = calloc(1, sizeof *host->directs)))
		quit_memory();
	if (host->directs->at[place])
		quit_protocol();
	open_channel(host, (uint32_t)place, fd);
	struct direct *channel = host->directs->at[place];
	channel->session = session;
	channel->error_maps = maps;
	channel->grace = grace;
	host->directs->tell_every = tell_every;
	host->reply.beside = on_dying;
}

/* With an empty reason nobody is there to be told. */
void directs_on_detach(struct host *host, struct reader *reader)
{
	struct span reason;
	uint64_t place;

	if (read_uint(reader, &place) < 0 || read_text(reader, &reason) < 0 || place >= DIRECT_MAX)
		quit_protocol();
	struct direct *channel = host->directs ? host->directs->at[place] : NULL;
	if (!channel)
		return; /* DETACHED is on its way */
	if (reason.size > 0)
		direct_tell_closing(channel, reason, host->now);
	else
		direct_cut(channel);
}

/* [DETACHED, place, protocol error?] */
static void close_channel(struct host *host, uint32_t place)
{
	struct directs *directs = host->directs;
	uint8_t message[REPLY_TYPE + PACK_UINT + 1], *p = reply_pack_type(message, 3, FROM_DETACHED);

	p = pack_bool(pack_uint(p, place), directs->at[place]->broken);
	reply_messages(&host->reply, message, (size_t)(p - message));
	directs->at[place] = direct_free(directs->at[place]);
	directs->count--;
}

void directs_free(struct host *host)
{
	host->reply.beside = NULL;
	for (uint32_t i = 0; host->directs && i < DIRECT_MAX; i++)
		(void)direct_free(host->directs->at[i]);
	free(host->directs);
	host->directs = NULL;
}

/* ---- turns ---- */

/* After some calls of an instance that is recycled the supervisor is told to look at the counts. */
static void note_call(struct host *host)
{
	struct directs *directs = host->directs;
	uint8_t message[REPLY_TYPE];

	if (directs->tell_every == 0 || ++directs->untold < directs->tell_every)
		return;
	directs->untold = 0;
	(void)reply_pack_type(message, 1, FROM_COUNTED);
	reply_messages(&host->reply, message, sizeof message);
}

static void take_one(struct host *host, struct direct *channel, int got, struct span message)
{
	if (got == -EBADMSG)
		direct_call_garbage(host, channel, "bytes that are no msgpack");
	else if (got == -EMSGSIZE)
		direct_call_too_large(host, channel, message);
	else
		direct_call_run(host, channel, &host->directs->counting, message);
	note_call(host);
}

static void take_turn(struct host *host, struct direct *channel)
{
	const uint64_t until = host->now + DIRECT_TURN;
	struct span message;
	int got;

	while (!channel->broken && direct_may_begin(channel) && (got = direct_next(channel, &message)) != 0) {
		take_one(host, channel, got, message);
		if (host->now - channel->flushed > HOST_FLUSH_AFTER)
			direct_flush(channel, host->now);
		if (host->now >= until)
			break;
	}
	direct_flush(channel, host->now);
}

bool directs_take_turns(struct host *host)
{
	struct directs *directs = host->directs;
	bool more = false;

	if (!directs_any(host))
		return false;
	directs->first = (directs->first + 1) % DIRECT_MAX;
	for (uint32_t i = 0; i < DIRECT_MAX; i++) {
		const uint32_t place = (directs->first + i) % DIRECT_MAX;
		struct direct *channel = directs->at[place];
		if (!channel)
			continue;
		direct_keep_time(channel, host->now);
		take_turn(host, channel);
		if (direct_is_done(channel))
			close_channel(host, place);
		else
			more = more || direct_may_begin(channel);
	}
	return more;
}

/* ---- waiting ---- */

uint64_t directs_wake_at(const struct host *host)
{
	uint64_t at = UINT64_MAX;

	for (uint32_t i = 0; directs_any(host) && i < DIRECT_MAX; i++) {
		const struct direct *channel = host->directs->at[i];
		if (channel && channel->close_at < at)
			at = channel->close_at;
		if (channel && channel->deaf_at < at)
			at = channel->deaf_at;
	}
	return at;
}

static void on_polled(struct host *host, struct direct *channel, const struct pollfd *polled)
{
	if (polled->revents & POLLIN)
		direct_read(channel, host->now);
	else if (polled->revents & (POLLHUP | POLLERR))
		direct_cut(channel); /* its client has gone, and what waits here is not read, or written, any more */
}

int directs_fill(struct host *host, uint64_t until)
{
	struct directs *directs = host->directs;
	struct pollfd polled[1 + DIRECT_MAX] = {{.fd = host->inbox.fd, .events = POLLIN}};
	struct direct *channels[1 + DIRECT_MAX];
	nfds_t n = 1;

	for (uint32_t i = 0; i < DIRECT_MAX; i++)
		if (directs->at[i]) {
			channels[n] = directs->at[i];
			polled[n++] = (struct pollfd){.fd = directs->at[i]->fd, .events = direct_events(directs->at[i])};
		}
	const int ready = inbox_poll(polled, n, until);
	if (ready < 0 && errno != EINTR)
		return -errno;
	if (ready <= 0)
		return -ETIMEDOUT;
	host->now = host_clock();
	for (nfds_t i = 1; i < n; i++)
		on_polled(host, channels[i], &polled[i]);
	return polled[0].revents ? inbox_read(&host->inbox) : 1;
}
