/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/stream.h"

#include "daemon/core/records/label.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

struct stream_piece {
	TAILQ_ENTRY(stream_piece) link;
	uint64_t first, count; /* tasks */
	uint64_t failed;       /* errors among their results */
	struct sendq bytes;    /* the notifications of these tasks */
};

void stream_init(struct stream *stream, struct account *account, const struct core *labels)
{
	stream->account = account;
	stream->labels = labels;
	TAILQ_INIT(&stream->early);
}

static void drop_piece(struct stream *stream, struct stream_piece *piece)
{
	TAILQ_REMOVE(&stream->early, piece, link);
	sendq_clear(&piece->bytes);
	account_credit(stream->account, sizeof *piece);
	free(piece);
}

void stream_free(struct stream *stream)
{
	while (!TAILQ_EMPTY(&stream->early))
		drop_piece(stream, TAILQ_FIRST(&stream->early));
	stream->early_bytes = 0;
}

/* ---- notifications ---- */

/* [2, method, [msgid, ... of `count` values: with what follows. */
static uint8_t *put_head(uint8_t *p, const char *method, uint32_t count, uint32_t msgid)
{
	p = pack_array(p, 3);
	p = pack_uint(p, RPC_NOTIFICATION);
	p = pack_str(p, method, strlen(method));
	p = pack_array(p, count);
	return pack_uint(p, msgid);
}

enum { HEAD_MAX = 3 + 24 + 2 * PACK_UINT };

static void put_result(struct sendq *out, uint32_t msgid, uint64_t index, bool failed)
{
	uint8_t *p = sendq_reserve(out, HEAD_MAX);
	if (!p)
		return;
	uint8_t *end = pack_uint(put_head(p, "objpool.result", 4, msgid), index);
	if (!failed)
		end = pack_nil(end);
	sendq_commit(out, (size_t)(end - p));
}

static void put_run(struct sendq *out, uint32_t msgid, uint64_t first, uint32_t count)
{
	uint8_t *p = sendq_reserve(out, HEAD_MAX + PACK_HEAD);
	if (p)
		sendq_commit(out, (size_t)(pack_array(pack_uint(put_head(p, "objpool.results", 3, msgid), first), count) - p));
}

static void put_values(struct sendq *out, const struct stream *stream, const struct ticket *ticket, uint64_t first,
		       uint32_t count, struct span values, struct block *block)
{
	struct reader reader = reader_of(values);
	struct span value;

	if (stream->runs)
		put_run(out, ticket->msgid, first, count);
	for (uint32_t i = 0; i < count && read_value(&reader, &value) == 0; i++) {
		if (!stream->runs)
			put_result(out, ticket->msgid, first + i, false);
		if (stream->labels)
			label_put(out, stream->labels, first + i);
		client_put_value(ticket->client, out, block, value);
	}
}

static void put_failure(struct sendq *out, uint32_t msgid, uint64_t index, const struct error *error, enum error_form form)
{
	put_result(out, msgid, index, true);
	error_pack(error, form, out);
	sendq_copy(out, "\xc0", 1);
}

/* ---- turns ---- */

/* Sends the results whose turn has come. */
static void release(struct stream *stream, struct sendq *out)
{
	struct stream_piece *piece;

	while ((piece = TAILQ_FIRST(&stream->early)) && piece->first == stream->sent) {
		stream->sent += piece->count;
		stream->failed += piece->failed;
		stream->early_bytes -= piece->bytes.bytes;
		sendq_move(out, &piece->bytes);
		drop_piece(stream, piece);
	}
}

/* The piece that ends where `first` begins, or a new piece. Early results come nearly in order, so the search begins at the
 * end. */
static struct stream_piece *piece_for(struct stream *stream, uint64_t first)
{
	struct stream_piece *before = TAILQ_LAST(&stream->early, stream_piece_list), *piece;

	while (before && before->first > first)
		before = TAILQ_PREV(before, stream_piece_list, link);
	if (before && before->first + before->count == first)
		return before;
	piece = malloc(sizeof *piece);
	if (!piece)
		return NULL;
	*piece = (struct stream_piece){.first = first, .bytes = {.account = stream->account, .many = true}};
	account_charge(stream->account, sizeof *piece);
	if (before)
		TAILQ_INSERT_AFTER(&stream->early, before, piece, link);
	else
		TAILQ_INSERT_HEAD(&stream->early, piece, link);
	return piece;
}

/* The queue for the notifications of `count` tasks from `first` on: the client's if they leave now, else that of a piece. */
static struct sendq *place_for(struct stream *stream, const struct ticket *ticket, uint64_t first, uint32_t count)
{
	struct stream_piece *piece;

	if (!stream->ordered || first == stream->sent) {
		stream->sent += count;
		return &ticket->client->out;
	}
	piece = piece_for(stream, first);
	if (!piece)
		return NULL;
	piece->count += count;
	return &piece->bytes;
}

static int placed(struct stream *stream, const struct ticket *ticket, const struct sendq *to, size_t before)
{
	struct client *client = ticket->client;

	if (to == &client->out) {
		release(stream, &client->out);
		client_wrote(client);
		return 0;
	}
	stream->early_bytes += to->bytes - before;
	return to->failed ? -ENOMEM : 0;
}

int stream_values(struct stream *stream, const struct ticket *ticket, uint64_t first, uint32_t count, struct span values,
		  struct block *block)
{
	struct sendq *to = place_for(stream, ticket, first, count);
	if (!to)
		return -ENOMEM;
	const size_t before = to->bytes;
	stream->bytes += values.size;
	stream->values += count;
	put_values(to, stream, ticket, first, count, values, block);
	return placed(stream, ticket, to, before);
}

int stream_failure(struct stream *stream, const struct ticket *ticket, uint64_t index, const struct error *error)
{
	struct sendq *to = place_for(stream, ticket, index, 1);
	if (!to)
		return -ENOMEM;
	const size_t before = to->bytes;
	put_failure(to, ticket->msgid, index, error, ticket->client->error_form);
	if (to == &ticket->client->out)
		stream->failed++;
	else
		container_of(to, struct stream_piece, bytes)->failed++;
	return placed(stream, ticket, to, before);
}

void stream_put_counts(const struct stream *stream, struct sendq *out)
{
	uint8_t room[STREAM_COUNTS * (PACK_HEAD + 6 + PACK_UINT)], *p = room;

	p = pack_uint(pack_str(p, "items", 5), stream->sent);
	p = pack_uint(pack_str(p, "failed", 6), stream->failed);
	sendq_copy(out, room, (size_t)(p - room));
}

static void put_map(struct sendq *out, uint32_t count)
{
	uint8_t room[PACK_HEAD];

	sendq_copy(out, room, (size_t)(pack_map(room, count) - room));
}

static void put_item_ns(struct sendq *out, uint64_t item_ns)
{
	uint8_t room[PACK_HEAD + 7 + PACK_UINT];

	sendq_copy(out, room, (size_t)(pack_uint(pack_str(room, "item_ns", 7), item_ns) - room));
}

void stream_close(const struct stream *stream, struct ticket *ticket, uint64_t item_ns)
{
	struct sendq *out = ticket_value(ticket);

	if (out) {
		put_map(out, stream->runs ? STREAM_COUNTS + 1 : STREAM_COUNTS);
		stream_put_counts(stream, out);
		if (stream->runs)
			put_item_ns(out, item_ns);
	}
	ticket_close(ticket);
}

/* ---- the other notifications ---- */

void stream_progress(const struct ticket *ticket, struct span values)
{
	uint8_t room[HEAD_MAX];

	if (!ticket->client || ticket->notification)
		return;
	struct sendq *out = &ticket->client->out;
	const uint8_t *end = put_head(room, "objpool.progress", 4, ticket->msgid);
	sendq_copy(out, room, (size_t)(end - room));
	sendq_copy(out, values.bytes, values.size);
	client_wrote(ticket->client);
}

void stream_credit(const struct ticket *ticket, uint64_t n)
{
	uint8_t room[HEAD_MAX];

	if (!ticket->client)
		return;
	const uint8_t *end = pack_uint(put_head(room, "objpool.credit", 2, ticket->msgid), n);
	sendq_copy(&ticket->client->out, room, (size_t)(end - room));
	client_wrote(ticket->client);
}
