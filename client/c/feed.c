/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/feed.h"

#include "client/c/packer.h"
#include "proto/clock.h"
#include "proto/scan.h"

#include <errno.h>

enum {
	FEED_SIZE = 64 << 10,     /* with so many bytes of items a feed is sent */
	FEED_TURN = 16,           /* feeds in one turn: then it is time to read */
	FEED_UNSENT = 256 << 10,  /* with so many bytes in the output no items are taken */
	FEED_KEEP = 1 << 20,      /* the memory of `items` is freed if a large item has made it grow beyond this */
	FEED_LINGER_NS = 1000000, /* items of a slow next() are sent after this time */
};

bool feed_wants_items(const struct feed *feed, const struct objpool_client *client)
{
	return feed->next && feed->credit > 0 && !feed->ended && !feed->paused && !feed->stopped &&
	       wire_unsent(&client->wire) < FEED_UNSENT;
}

/* ---- taking items ---------------------------------------------------------------------------------------------------- */

/* Takes the failure of the input, which next() has packed behind `before`. */
static int take_failure(struct feed *feed, size_t before)
{
	const struct objpool_bytes failure = {feed->items.data + before, feed->items.size - before};
	const struct objpool_reader reader = objpool_reader(failure);
	const enum objpool_type type = objpool_read_type(&reader);

	if ((type != OBJPOOL_STR && type != OBJPOOL_MAP) || scan_length(failure.data, failure.size) != (int64_t)failure.size)
		return -EINVAL;
	objpool_pack_raw(&feed->failure, failure);
	return feed->failure.error;
}

/* next() has returned `said`, and packed no item. 0, or what ends the stream. */
static int stop_taking(struct feed *feed, int said, size_t before)
{
	int rc = 0;

	if (said == OBJPOOL_NEXT_FAILED)
		rc = take_failure(feed, before);
	else if (said != OBJPOOL_NEXT_END && (said != -EAGAIN || feed->blocking))
		rc = said < 0 ? said : -EINVAL;
	feed->items.size = before;
	feed->paused = said == -EAGAIN;
	feed->ended = !feed->paused;
	return rc;
}

/* Takes as many items as there is credit for, and as one feed should have. Returns how many, or what ends the stream. */
static int64_t take_items(struct feed *feed)
{
	struct objpool_packer *items = &feed->items;
	const int64_t until = clock_now() + FEED_LINGER_NS;
	const int64_t max = feed->credit < UINT32_MAX ? (int64_t)feed->credit : UINT32_MAX;
	int64_t count = 0;

	items->size = 0;
	feed->has_large = false;
	if (packer_room(items, PACKER_COUNT))
		items->size = PACKER_COUNT;
	while (!items->error && count < max && items->size < FEED_SIZE && !feed->stopped) {
		const size_t before = items->size;
		const int said = feed->next(feed->next_context, items);
		if (items->error)
			break;
		if (said != OBJPOOL_NEXT_ITEM) {
			const int rc = stop_taking(feed, said, before);
			return rc < 0 ? rc : count;
		}
		feed->has_large = feed->has_large || items->size - before >= SENT_PAYLOAD_MIN;
		count++;
		if (clock_now() > until)
			break;
	}
	return items->error ? items->error : count;
}

/* ---- sending them ---------------------------------------------------------------------------------------------------- */

/* Packs the array of items. Each item's payloads are marked with its number. */
static void pack_items(struct feed *feed, struct objpool_client *client, size_t mark, struct objpool_bytes items)
{
	struct objpool_reader reader = objpool_reader(items);
	struct objpool_bytes item = {items.data, PACKER_COUNT};

	objpool_pack_raw(&client->wire.output, item);
	reader.next += PACKER_COUNT;
	for (uint64_t i = 0; objpool_read_value(&reader, &item) == 0; i++) {
		struct sent_payload *before = feed->payloads;
		sent_payloads_pack(&client->sent, &client->wire, mark, item, &feed->payloads);
		for (struct sent_payload *payload = feed->payloads; payload != before; payload = payload->next)
			payload->item = feed->fed + i;
	}
}

/* [2, method, [msgid, value]]; `value` may be none. */
static int send_notification(struct feed *feed, struct objpool_client *client, uint32_t msgid, const char *method,
			     struct objpool_bytes value)
{
	struct objpool_packer *output = &client->wire.output;
	size_t mark;
	const int rc = connection_begin(client, &mark);

	if (rc < 0)
		return rc;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, method);
	objpool_pack_array(output, value.data ? 2 : 1);
	objpool_pack_uint(output, msgid);
	if (value.data && feed->has_large && sent_payloads_find(&client->sent, value) == SENT_LARGE)
		pack_items(feed, client, mark, value);
	else if (value.data)
		connection_pack_values(client, mark, value);
	return connection_commit(client, mark);
}

static int send_items(struct feed *feed, struct objpool_client *client, uint32_t msgid, uint32_t count)
{
	packer_set_count(feed->items.data, count);
	if (scan_length(feed->items.data, feed->items.size) != (int64_t)feed->items.size)
		return -EINVAL;
	feed->credit -= count;
	const int rc = send_notification(feed, client, msgid, "objpool.feed", objpool_packed(&feed->items));
	feed->fed += count;
	return rc;
}

/* Frees memory that a large item has made grow. True: the feed was full, so there may be more items at once. */
static bool tidy_items(struct feed *feed)
{
	const bool full = feed->items.size >= FEED_SIZE;

	if (feed->items.capacity > FEED_KEEP)
		objpool_packer_free(&feed->items);
	return full;
}

/* Sends one feed. `*more`: there may be more items at once. 0, or what ends the stream. */
static int send_feed(struct feed *feed, struct objpool_client *client, uint32_t msgid, bool *more)
{
	const int64_t count = take_items(feed);
	int rc = 0;

	*more = false;
	if (count < 0 || feed->stopped)
		return feed->stopped ? 0 : (int)count;
	if (count > 0)
		rc = send_items(feed, client, msgid, (uint32_t)count);
	if (rc == 0 && feed->ended)
		rc = send_notification(feed, client, msgid, "objpool.feed_end", objpool_packed(&feed->failure));
	*more = tidy_items(feed) && rc == 0;
	return rc == -ENOTCONN ? 0 : rc; /* when the connection is lost, the answer of the call says so */
}

int feed_turn(struct feed *feed, struct objpool_client *client, uint32_t msgid)
{
	bool more = true;
	int rc = 0;

	for (int i = 0; i < FEED_TURN && rc == 0 && more && feed_wants_items(feed, client); i++)
		rc = send_feed(feed, client, msgid, &more);
	return rc;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

void feed_release_item(struct feed *feed, struct objpool_client *client, uint64_t item, bool failed)
{
	struct sent_payload *released = NULL, *payload;

	for (struct sent_payload **link = &feed->payloads; (payload = *link);) {
		if (payload->item != item) {
			link = &payload->next;
			continue;
		}
		*link = payload->next;
		payload->next = released;
		released = payload;
	}
	sent_payloads_release(&client->sent, &released, failed);
}

void feed_release_all(struct feed *feed, struct objpool_client *client)
{
	sent_payloads_release(&client->sent, &feed->payloads, true);
}

void feed_free(struct feed *feed)
{
	objpool_packer_free(&feed->items);
	objpool_packer_free(&feed->failure);
}
