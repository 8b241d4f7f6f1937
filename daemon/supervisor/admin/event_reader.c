/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/event_reader.h"

#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/base/packtext.h"

#include <errno.h>
#include <stdlib.h>

enum { UNREAD_MAX = 64 << 10 /* bytes: a client that has so many to read gets no more events */ };

struct event_reader {
	TAILQ_ENTRY(event_reader) link; /* in daemon->event_readers */
	struct session *session;
	struct ticket ticket;
	struct timer timer; /* its time is over */
	struct event_stream stream;
	struct happened_place place;
	uint64_t until; /* of one that doesn't follow: the number of the last event that it gets */
	uint64_t sent;  /* events */
};

bool event_reader_sees_all(const struct session *session)
{
	const struct rights *rights = session->client.rights;

	if (rights)
		return rights_have_any(rights, RIGHT_WATCH);
	return session->daemon->users || admin_is_allowed(session, session->daemon->config.admin);
}

static bool shows(const struct session *session, const struct events_wish *wish, const struct happened_event *event)
{
	return events_show(wish, session->client.rights, event_reader_sees_all(session), event);
}

void event_reader_begin_late(const struct session *session, struct events_wish *wish, uint64_t most)
{
	const struct happened_event *event;
	struct happened_place place;
	uint64_t count = 0, lost = 0;

	if (most == 0) {
		wish->after = happened_last();
		return;
	}
	happened_enter(&place, false);
	while ((event = happened_next(&place, &lost)))
		count += shows(session, wish, event);
	happened_enter(&place, false);
	while (count > most && (event = happened_next(&place, &lost))) {
		if (!shows(session, wish, event))
			continue;
		wish->after = event->number;
		count--;
	}
}

/* ---- its end ---- */

static void end(struct event_reader *reader)
{
	struct daemon *daemon = reader->session->daemon;

	TAILQ_REMOVE(&daemon->event_readers, reader, link);
	happened_leave(&reader->place);
	timer_close(&daemon->core.timers, &reader->timer);
	free(reader);
}

/* Answers the request: all has been sent. */
static void finish(struct event_reader *reader)
{
	struct sendq *out = ticket_value(&reader->ticket);
	msgpack_packer packer;

	if (out) {
		msgpack_packer_init(&packer, out, sendq_write);
		msgpack_pack_map(&packer, 2);
		pair_number(&packer, "items", reader->sent);
		pair_number(&packer, "failed", 0);
	}
	ticket_close(&reader->ticket);
	end(reader);
}

/* The client has cancelled, or has gone. */
static void on_abandoned(struct ticket *ticket, const struct error *cause)
{
	struct event_reader *reader = container_of(ticket, struct event_reader, ticket);

	if (cause)
		ticket_answer_error(ticket, cause);
	end(reader);
}

static void on_timer(struct timer *timer)
{
	struct event_reader *reader = container_of(timer, struct event_reader, timer);
	struct error error;

	error_say(&error, ERROR_TIMEOUT, RAN_YES, "the call's time is over");
	ticket_answer_error(&reader->ticket, &error);
	end(reader);
}

/* ---- its beginning ---- */

static bool has_room(const struct session *session)
{
	const struct event_reader *reader;
	uint32_t count = 0, of_user = 0;

	TAILQ_FOREACH(reader, &session->daemon->event_readers, link) {
		count++;
		of_user += reader->session->client.rights == session->client.rights;
	}
	return count < EVENT_READERS_MAX && (!session->client.rights || of_user < EVENT_READERS_OF_USER);
}

int event_reader_new(struct session *session, const struct rpc *rpc, const struct event_stream *stream)
{
	struct core *core = &session->daemon->core;
	struct event_reader *reader;

	if (!has_room(session))
		return -EBUSY;
	reader = calloc(1, sizeof *reader);
	if (!reader || timer_open(&core->timers, &reader->timer, on_timer) < 0) {
		free(reader);
		return -ENOMEM;
	}
	if (ticket_open(&reader->ticket, &session->client, rpc, on_abandoned) < 0) {
		timer_close(&core->timers, &reader->timer);
		free(reader);
		return -ENOMEM;
	}
	reader->session = session;
	reader->stream = *stream;
	reader->until = stream->follow ? UINT64_MAX : happened_last();
	happened_enter(&reader->place, events_want_comings(&stream->wish));
	if (stream->timeout)
		timer_set(&core->timers, &reader->timer, core->now + stream->timeout);
	TAILQ_INSERT_TAIL(&session->daemon->event_readers, reader, link);
	return 0;
}

/* ---- sending ---- */

static bool has_room_to_send(const struct event_reader *reader)
{
	return reader->session->client.out.bytes < UNREAD_MAX;
}

static void put_head(struct event_reader *reader, msgpack_packer *packer)
{
	msgpack_packer_init(packer, &reader->session->client.out, sendq_write);
	msgpack_pack_array(packer, 3);
	msgpack_pack_uint8(packer, RPC_NOTIFICATION);
	pack_text(packer, reader->stream.bare ? "objpool.event" : "objpool.result");
	msgpack_pack_array(packer, reader->stream.bare ? 2 : 4);
	msgpack_pack_uint32(packer, reader->ticket.msgid);
	if (!reader->stream.bare) {
		msgpack_pack_uint64(packer, reader->sent);
		msgpack_pack_nil(packer);
	}
	reader->sent++;
}

static void put_event(struct event_reader *reader, const struct happened_event *event, uint64_t lost)
{
	msgpack_packer packer;

	if (lost > 0) {
		put_head(reader, &packer);
		events_pack_lost(event, lost, &packer);
	}
	if (event->number > reader->until || !shows(reader->session, &reader->stream.wish, event))
		return;
	put_head(reader, &packer);
	events_pack(event, &packer);
}

static bool is_over(const struct event_reader *reader)
{
	return !reader->stream.follow && !happened_has_more(&reader->place);
}

static void run(struct event_reader *reader)
{
	const struct happened_event *event;
	const uint64_t before = reader->sent;
	uint64_t lost = 0;

	while (has_room_to_send(reader) && (event = happened_next(&reader->place, &lost))) {
		put_event(reader, event, lost);
		lost = 0;
	}
	if (reader->sent > before)
		client_wrote(&reader->session->client);
	if (is_over(reader))
		finish(reader);
}

void event_readers_run(struct daemon *daemon)
{
	struct event_reader *reader, *next;

	for (reader = TAILQ_FIRST(&daemon->event_readers); reader; reader = next) {
		next = TAILQ_NEXT(reader, link);
		run(reader);
	}
}

bool event_readers_have_work(const struct daemon *daemon)
{
	const struct event_reader *reader;

	TAILQ_FOREACH(reader, &daemon->event_readers, link)
		if (has_room_to_send(reader) && happened_has_more(&reader->place))
			return true;
	return false;
}

void event_readers_end_all(struct daemon *daemon)
{
	event_readers_run(daemon);
	while (!TAILQ_EMPTY(&daemon->event_readers))
		finish(TAILQ_FIRST(&daemon->event_readers));
}
