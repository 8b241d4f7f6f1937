/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream: a call whose results come one by one; and, if it is a map, whose items are fed one by one.
 *
 *   next() --against credit--> items --> the connection's output --> daemon --objpool.result--> each()
 *                                                                          '--objpool.credit--> next() ...
 *
 * Items are taken when there is credit for them and the output is not full, so that neither grows, whichever side is the slow
 * one; what has come is read between two feeds, so that both sides never wait for each other.
 *
 * A stream that is over stays until its call has been answered.
 */
#include "client/stream.h"

#include "client/call.h"
#include "client/clock.h"
#include "client/connection.h"
#include "client/failure.h"
#include "client/gather.h"
#include "client/options.h"
#include "client/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STREAM_FEED = 64 << 10,     /* bytes of items from which on they are sent */
	STREAM_FEEDS = 16,          /* a turn, at most: then it is time to read */
	STREAM_UNSENT = 256 << 10,  /* bytes in the output from which on no items are taken */
	STREAM_KEEP = 1 << 20,      /* items' memory that grew beyond this for a large one is given back */
	STREAM_LINGER_NS = 1000000, /* items of a slow next() are sent after that time */
};

struct objpool_stream {
	struct objpool *pool;
	struct objpool_stream *next_stream;
	uint32_t id;
	objpool_next *next; /* NULL: the items have been given */
	objpool_each *each;
	objpool_stream_done *done;
	void *next_context, *each_context, *done_context;

	uint64_t credit;
	struct objpool_packer items; /* an array with a header of PACK_COUNT_SIZE: they are taken, and not in the output yet */
	struct objpool_packer fault; /* with which next() has ended the input */
	uint64_t fed;                /* items in the output, or beyond it */
	struct parcel *parcels;      /* what is in these, until their results come */

	bool large;    /* `items` has one that may have large values */
	bool failures; /* some result was one */

	bool dry;      /* next() said -EAGAIN */
	bool blocking; /* nobody would say that there are items again */
	bool ended;    /* next() is not asked any more */
	bool over;     /* nothing is delivered any more */
	bool told;     /* ... and done() has been called */
	bool answered; /* the call is not in flight any more */
	int status;
	const struct objpool_error *error;
};

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static void finish(struct objpool_stream *stream, int status, const struct objpool_error *error)
{
	if (stream->over)
		return;
	stream->over = true;
	stream->status = status;
	stream->error = failure_ref(error);
	if (!stream->answered)
		(void)objpool_cancel(stream->pool, stream->id);
}

static void on_answer(void *context, const struct objpool_result *result)
{
	struct objpool_stream *stream = context;

	stream->answered = true;
	parcels_done(&stream->pool->parcels, &stream->parcels, true);
	finish(stream, result->error ? -EREMOTEIO : 0, result->error);
}

static struct objpool_stream *stream_free(struct objpool_stream *stream)
{
	objpool_packer_free(&stream->items);
	objpool_packer_free(&stream->fault);
	(void)failure_unref(stream->error);
	free(stream);
	return NULL;
}

static void tell(struct objpool_stream *stream)
{
	stream->told = true;
	stream->done(stream->done_context, stream->status, stream->error);
}

/* done() may add streams, at the list's end. */
void stream_settle(struct objpool *pool)
{
	struct objpool_stream *stream;

	for (struct objpool_stream **link = &pool->streams; (stream = *link);) {
		if (stream->over && !stream->told)
			tell(stream);
		if (!stream->told || !stream->answered) {
			link = &stream->next_stream;
			continue;
		}
		*link = stream->next_stream;
		if (pool->streams_end == &stream->next_stream)
			pool->streams_end = link;
		(void)stream_free(stream);
	}
}

/* ---- results ------------------------------------------------------------------------------------------------------------- */

/* An item's arguments can be written over, unless it failed: an instance may still be at work on them. */
static void finish_item(struct objpool_stream *stream, uint64_t index, bool failed)
{
	struct parcel *finished = NULL, *parcel;

	for (struct parcel **link = &stream->parcels; (parcel = *link);) {
		if (parcel->item != index) {
			link = &parcel->next;
			continue;
		}
		*link = parcel->next;
		parcel->next = finished;
		finished = parcel;
	}
	parcels_done(&stream->pool->parcels, &finished, failed);
}

/* index, error, value */
int stream_on_result(struct objpool_stream *stream, struct objpool_reader *params)
{
	struct objpool_bytes bytes, value = {NULL, 0};
	uint64_t index;

	if (objpool_read_uint(params, &index) < 0)
		return -EBADMSG;
	const bool failed = objpool_read_nil(params) < 0;
	if ((failed && objpool_read_value(params, &bytes) < 0) || params->next == params->end)
		return -EBADMSG;
	stream->failures = stream->failures || failed;
	finish_item(stream, index, failed);
	if (stream->over)
		return 0;
	if (!failed)
		value = (struct objpool_bytes){params->next, (size_t)(params->end - params->next)};
	const int known = failed ? 0 : receipts_value(&stream->pool->receipts, &value);
	if (known < 0)
		return known;
	const struct objpool_error *error = failed ? failure_parse(bytes) : NULL;
	const int rc = stream->each(stream->each_context, index, value, error);
	(void)failure_unref(error);
	if (rc != 0)
		finish(stream, rc, NULL);
	return 0;
}

int stream_on_credit(struct objpool_stream *stream, struct objpool_reader *params)
{
	uint64_t credit;

	if (objpool_read_uint(params, &credit) < 0)
		return -EBADMSG;
	stream->credit += credit;
	return 0;
}

/* ---- items ---------------------------------------------------------------------------------------------------------------- */

static bool wants_items(const struct objpool_stream *stream)
{
	return stream->next && stream->credit > 0 && !stream->ended && !stream->dry && !stream->over &&
	       objpool_unsent(stream->pool) < STREAM_UNSENT;
}

/* What next() has packed behind `before` as the input's own failure. */
static int take_fault(struct objpool_stream *stream, size_t before)
{
	const struct objpool_bytes fault = {stream->items.data + before, stream->items.size - before};
	const struct objpool_reader reader = objpool_reader(fault);
	const enum objpool_type type = objpool_read_type(&reader);

	if ((type != OBJPOOL_STR && type != OBJPOOL_MAP) || scan_length(fault.data, fault.size) != (int64_t)fault.size)
		return -EINVAL;
	objpool_pack_raw(&stream->fault, fault);
	return stream->fault.error;
}

/* next() has packed no item. 0, or what ends the stream. */
static int stop_taking(struct objpool_stream *stream, int said, size_t before)
{
	int rc = 0;

	if (said == OBJPOOL_NEXT_FAILED)
		rc = take_fault(stream, before);
	else if (said != OBJPOOL_NEXT_END && (said != -EAGAIN || stream->blocking))
		rc = said < 0 ? said : -EINVAL;
	stream->items.size = before;
	stream->dry = said == -EAGAIN;
	stream->ended = !stream->dry;
	return rc;
}

/* Takes items, as many as there is credit for and a feed should have. How many, or what ends the stream. */
static int64_t take_items(struct objpool_stream *stream)
{
	struct objpool_packer *items = &stream->items;
	const int64_t until = clock_now() + STREAM_LINGER_NS;
	const int64_t most = stream->credit < UINT32_MAX ? (int64_t)stream->credit : UINT32_MAX;
	int64_t count = 0;

	items->size = 0;
	stream->large = false;
	if (pack_room(items, PACK_COUNT_SIZE))
		items->size = PACK_COUNT_SIZE;
	while (!items->error && count < most && items->size < STREAM_FEED && !stream->over) {
		const size_t before = items->size;
		const int said = stream->next(stream->next_context, items);
		if (items->error)
			break;
		if (said != OBJPOOL_NEXT_ITEM) {
			const int rc = stop_taking(stream, said, before);
			return rc < 0 ? rc : count;
		}
		stream->large = stream->large || items->size - before >= PARCELS_LEAST;
		count++;
		if (clock_now() > until)
			break;
	}
	return items->error ? items->error : count;
}

/* Packs the items, each with its own parcels. */
static void pack_items(struct objpool_stream *stream, size_t mark, struct objpool_bytes items)
{
	struct objpool_reader reader = objpool_reader(items);
	struct objpool_bytes item = {items.data, PACK_COUNT_SIZE};

	objpool_pack_raw(&stream->pool->wire.output, item);
	reader.next += PACK_COUNT_SIZE;
	for (uint64_t i = 0; objpool_read_value(&reader, &item) == 0; i++) {
		struct parcel *before = stream->parcels;
		parcels_pack(&stream->pool->parcels, &stream->pool->wire, mark, item, &stream->parcels);
		for (struct parcel *parcel = stream->parcels; parcel != before; parcel = parcel->next)
			parcel->item = stream->fed + i;
	}
}

/* [2, method, [msgid, value]]; `value` may be none. */
static int send_notification(struct objpool_stream *stream, const char *method, struct objpool_bytes value)
{
	struct objpool_packer *output = &stream->pool->wire.output;
	size_t mark;
	const int rc = connection_begin(stream->pool, &mark);

	if (rc < 0)
		return rc;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, method);
	objpool_pack_array(output, value.data ? 2 : 1);
	objpool_pack_uint(output, stream->id);
	if (value.data && stream->large && parcels_find(&stream->pool->parcels, value) == PARCELS_LARGE)
		pack_items(stream, mark, value);
	else if (value.data)
		connection_pack_bytes(stream->pool, mark, value);
	return connection_commit(stream->pool, mark);
}

static int send_items(struct objpool_stream *stream, uint32_t count)
{
	pack_count_set(stream->items.data, count);
	if (scan_length(stream->items.data, stream->items.size) != (int64_t)stream->items.size)
		return -EINVAL;
	stream->credit -= count;
	const int rc = send_notification(stream, "objpool.feed", objpool_packed(&stream->items));
	stream->fed += count;
	return rc;
}

/* Large items are not kept. True: there may be more, and at once. */
static bool tidy_items(struct objpool_stream *stream)
{
	const bool full = stream->items.size >= STREAM_FEED;

	if (stream->items.capacity > STREAM_KEEP)
		objpool_packer_free(&stream->items);
	return full;
}

/* False: that's all for now. A lost connection is told with the answers of all calls, not here. */
static bool feed(struct objpool_stream *stream)
{
	const int64_t count = take_items(stream);
	int rc = count < 0 ? (int)count : 0;

	if (stream->over)
		return false;
	if (count > 0)
		rc = send_items(stream, (uint32_t)count);
	if (rc == 0 && stream->ended)
		rc = send_notification(stream, "objpool.feed_end", objpool_packed(&stream->fault));
	if (rc < 0 && rc != -ENOTCONN)
		finish(stream, rc, NULL);
	return tidy_items(stream) && rc == 0;
}

bool stream_due(const struct objpool *pool)
{
	for (const struct objpool_stream *stream = pool->streams; stream; stream = stream->next_stream)
		if (wants_items(stream) || (stream->over && !stream->told))
			return true;
	return false;
}

void stream_turn(struct objpool *pool)
{
	for (struct objpool_stream *stream = pool->streams; stream; stream = stream->next_stream)
		for (int i = 0; i < STREAM_FEEDS && wants_items(stream); i++)
			if (!feed(stream))
				break;
}

/* ---- the beginning ----------------------------------------------------------------------------------------------------------- */

static int start(struct objpool_stream *stream, const char *method, struct objpool_bytes args,
		 const struct objpool_call_options *options, bool lend, struct objpool_stream **out)
{
	struct objpool *pool = stream->pool;
	struct pending_call call = {.callback = on_answer, .context = stream, .stream = stream};
	const int rc = call_start(pool, method, args, options, &call, lend);

	if (rc < 0) {
		(void)stream_free(stream);
		return rc;
	}
	stream->id = call.msgid;
	*pool->streams_end = stream;
	pool->streams_end = &stream->next_stream;
	if (out)
		*out = stream;
	return 0;
}

static struct objpool_stream *stream_new(struct objpool *pool, objpool_each *each, void *each_context, objpool_stream_done *done,
					 void *done_context)
{
	struct objpool_stream *stream = calloc(1, sizeof *stream);

	if (stream)
		*stream = (struct objpool_stream){.pool = pool, .each = each, .each_context = each_context, .done = done,
						  .done_context = done_context};
	return stream;
}

int stream_call(struct objpool *pool, const char *method, struct objpool_bytes args, const struct objpool_call_options *options,
		objpool_each *each, void *each_context, objpool_stream_done *done, void *done_context, bool lend,
		struct objpool_stream **out)
{
	struct objpool_stream *stream = stream_new(pool, each, each_context, done, done_context);

	return stream ? start(stream, method, args, options, lend, out) : -ENOMEM;
}

int objpool_call_each_async(struct objpool *pool, const char *method, struct objpool_bytes args,
			    const struct objpool_call_options *options, objpool_each *each, void *each_context,
			    objpool_stream_done *done, void *done_context, struct objpool_stream **stream)
{
	return stream_call(pool, method, args, options, each, each_context, done, done_context, false, stream);
}

static bool is_among(const char *word, const char *a, const char *b, const char *c)
{
	return !word || strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

int objpool_map_async(struct objpool *pool, const char *method, objpool_next *next, void *next_context, objpool_each *each,
		      void *each_context, const struct objpool_map_options *given, objpool_stream_done *done, void *done_context,
		      struct objpool_stream **out)
{
	struct objpool_map_options o;
	const char *dot = strchr(method, '.');
	char target[256];

	if (OPTIONS_TAKE(&o, given) < 0 || !dot || gather_target(target, sizeof target, method, ":map") < 0 ||
	    !is_among(o.args_as, "single", "positional", "keyword") || !is_among(o.errors, "wait", "first", "collect"))
		return -EINVAL;
	const struct objpool_call_options options = {
		.size = sizeof options,
		.target = target,
		.bind = o.bind,
		.bind_kwargs = o.bind_kwargs,
		.args_as = o.args_as ? o.args_as : "single",
		.errors = o.errors,
		.timeout_ms = o.timeout_ms,
		.chunk = o.chunk,
		.window = o.window,
		.idempotent = o.idempotent,
		.sync = o.sync,
		.unordered = o.unordered,
		.on_progress = o.on_progress,
		.progress_context = o.progress_context,
	};
	struct objpool_stream *stream = stream_new(pool, each, each_context, done, done_context);

	if (!stream)
		return -ENOMEM;
	stream->next = next;
	stream->next_context = next_context;
	return start(stream, dot + 1, call_fed_arguments, &options, false, out);
}

bool stream_has_failures(const struct objpool_stream *stream)
{
	return stream->failures;
}

bool stream_is_over(const struct objpool_stream *stream)
{
	return stream->over;
}

void stream_end(struct objpool_stream *stream, int status)
{
	finish(stream, status, NULL);
}

void stream_set_blocking(struct objpool_stream *stream)
{
	stream->blocking = true;
}

void objpool_stream_more(struct objpool_stream *stream)
{
	stream->dry = false;
}

void objpool_stream_stop(struct objpool_stream *stream, int status)
{
	finish(stream, status < 0 ? status : -ECANCELED, NULL);
}
