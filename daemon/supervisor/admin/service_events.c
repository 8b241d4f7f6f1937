/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/admin/event_reader.h"
#include "daemon/supervisor/base/packtext.h"

#include <errno.h>

#define OPTIONS "a map of options: pool, kinds, after, since, last, follow"

/* What is asked for. */
struct wish {
	struct event_stream stream;
	uint64_t last; /* so many at most of those that are there; UINT64_MAX: all */
};

static int refuse_kind(struct request *request, struct span word)
{
	char room[ERROR_SHOWN];

	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO,
		  "there is no kind of event \"%s\": kinds are daemon, config, pool, template, slot, call, lease, client, or "
		  "one of theirs, such as slot.died",
		  error_shown(word, room));
	return -1;
}

/* A word, or an array of words. */
static int read_kinds(struct request *request, struct reader *value, uint64_t *kinds)
{
	struct reader look = *value;
	struct span word;
	uint32_t n = 1;

	*kinds = 0;
	if (read_array(&look, &n) == 0)
		*value = look;
	for (; n > 0; n--) {
		if (read_text(value, &word) < 0)
			return admin_refuse_params(request, "kinds as a string, or an array of strings");
		if (!events_add_kinds(kinds, word))
			return refuse_kind(request, word);
	}
	return 0;
}

static int read_pool(struct request *request, struct reader *value, struct events_wish *wish)
{
	struct span name;

	if (read_text(value, &name) < 0 || name.size == 0 || name.size >= sizeof wish->pool)
		return admin_refuse_params(request, "pool as the name of a pool");
	if (admin_check_sight(request, name) < 0)
		return -1;
	memcpy(wish->pool, name.bytes, name.size);
	wish->pool[name.size] = '\0';
	return 0;
}

static int read_since(struct request *request, struct reader *value, int64_t *since)
{
	double seconds;

	if (read_number(value, &seconds) < 0 || !(seconds >= 0 && seconds < 1e15))
		return admin_refuse_params(request, "since as seconds since 1970");
	*since = (int64_t)(seconds * 1000);
	return 0;
}

static int read_option(struct request *request, struct wish *wish, struct span key, struct reader *value)
{
	struct events_wish *events = &wish->stream.wish;

	if (read_nil(value) == 0)
		return 0; /* it is not given */
	if (span_is(key, "pool"))
		return read_pool(request, value, events);
	if (span_is(key, "kinds"))
		return read_kinds(request, value, &events->kinds);
	if (span_is(key, "since"))
		return read_since(request, value, &events->since);
	if (span_is(key, "after"))
		return read_whole(value, &events->after) < 0 ? admin_refuse_params(request, "after as the number of an event")
							     : 0;
	if (span_is(key, "last"))
		return read_whole(value, &wish->last) < 0 ? admin_refuse_params(request, "last as a number of events") : 0;
	if (span_is(key, "follow"))
		return read_bool(value, &wish->stream.follow) < 0 ? admin_refuse_params(request, "follow as true or false") : 0;
	return admin_refuse_params(request, OPTIONS);
}

static int read_wish(struct request *request, struct wish *wish)
{
	struct span key, value;
	uint32_t n;

	if (request->count == 0 || read_nil(&request->args) == 0)
		return 0;
	if (request->count > 1 || read_map(&request->args, &n) < 0)
		return admin_refuse_params(request, OPTIONS);
	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return admin_refuse_params(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0 || read_option(request, wish, key, &look) < 0)
			return -1;
	}
	return 0;
}

/* ---- all at once ---- */

static uint32_t count_shown(const struct session *session, const struct events_wish *wish)
{
	const bool all = event_reader_sees_all(session);
	const struct happened_event *event;
	struct happened_place place;
	uint64_t lost = 0;
	uint32_t n = 0;

	happened_enter(&place, false);
	while ((event = happened_next(&place, &lost)))
		n += events_show(wish, session->client.rights, all, event);
	return n;
}

static void pack_all(const struct session *session, const struct events_wish *wish, msgpack_packer *result)
{
	const bool all = event_reader_sees_all(session);
	const struct happened_event *event;
	struct happened_place place;
	uint64_t lost = 0;

	msgpack_pack_map(result, 2);
	pair_number(result, "last", happened_last());
	pack_text(result, "events");
	msgpack_pack_array(result, count_shown(session, wish));
	happened_enter(&place, false);
	while ((event = happened_next(&place, &lost)))
		if (events_show(wish, session->client.rights, all, event))
			events_pack(event, result);
}

/* ---- the method ---- */

static int begin(struct request *request, struct event_stream *stream)
{
	if (request->rpc->type == RPC_NOTIFICATION)
		return 1; /* nobody would get them */
	stream->timeout = request->timeout;
	const int r = event_reader_new(request->session, request->rpc, stream);
	if (r == 0)
		return 1;
	if (r != -EBUSY)
		return admin_no_memory(request);
	error_say(&request->error, ERROR_OVERLOADED, RAN_NO, "there are too many streams of events: %d, or %d of one user",
		  EVENT_READERS_MAX, EVENT_READERS_OF_USER);
	return -1;
}

int admin_events(struct request *request)
{
	struct wish wish = {.stream = {.wish = {.kinds = events_usual_kinds()}, .follow = request->streams}, .last = UINT64_MAX};
	struct events_wish *events = &wish.stream.wish;

	if (admin_check_sight(request, (struct span){0}) < 0 || read_wish(request, &wish) < 0)
		return -1;
	if (events->after > happened_last())
		events->after = 0; /* a number of an earlier daemon */
	if (wish.last != UINT64_MAX)
		event_reader_begin_late(request->session, events, wish.last);
	wish.stream.bare = !request->streams;
	if (request->streams || wish.stream.follow)
		return begin(request, &wish.stream);
	pack_all(request->session, events, request->result);
	return 0;
}
