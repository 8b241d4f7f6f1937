/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/gather.h"

#include "daemon/core/records/label.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

void gather_init(struct gather *gather, struct account *account, const struct core *labels)
{
	*gather = (struct gather){.failed = -1, .account = account, .failure.account = account, .labels = labels};
}

static void drop_pieces(struct gather *gather)
{
	if (gather->room == 0)
		return;
	for (uint32_t i = 0; i < gather->count; i++)
		sendq_clear(&gather->pieces[i].bytes);
	account_credit(gather->account, gather->room * sizeof *gather->pieces);
	free(gather->pieces);
	gather->pieces = NULL;
	gather->count = gather->room = 0;
	gather->size = 0;
}

void gather_free(struct gather *gather)
{
	drop_pieces(gather);
	sendq_clear(&gather->failure);
	gather_init(gather, gather->account, gather->labels);
}

/* The piece to which task `first` can be added: the last one if it ends there, else a new one. */
static struct piece *piece_for(struct gather *gather, uint64_t first)
{
	struct piece *last = gather->count ? &gather->pieces[gather->count - 1] : NULL;
	if (last && last->first + last->count == first)
		return last;
	if (gather->count == gather->room) {
		const uint32_t room = gather->room ? 2 * gather->room : 4;
		struct piece *pieces = realloc(gather->pieces, room * sizeof *pieces);
		if (!pieces)
			return NULL;
		account_charge(gather->account, (room - gather->room) * sizeof *pieces);
		gather->pieces = pieces;
		gather->room = room;
	}
	last = &gather->pieces[gather->count++];
	*last = (struct piece){.first = first, .bytes = {.account = gather->account, .many = true}};
	return last;
}

/* Writes [nil, value] for each value, with `collect`, and its label, if it has one. */
static void wrap(const struct gather *gather, struct sendq *to, uint64_t first, uint32_t count, struct span values,
		 struct block *block, bool collect, struct client *client)
{
	struct reader reader = reader_of(values);
	struct span value;

	for (uint32_t i = 0; i < count && read_value(&reader, &value) == 0; i++) {
		if (gather->labels)
			label_put(to, gather->labels, first + i);
		if (collect)
			sendq_copy(to, "\x92\xc0", 2);
		client_put_value(client, to, block, value);
	}
}

int gather_values(struct gather *gather, uint64_t first, uint32_t count, struct span values, struct block *block,
		  bool collect, struct client *client)
{
	if (gather->failed >= 0)
		return 0; /* the failure that is kept will be the answer */
	struct piece *piece = piece_for(gather, first);
	if (!piece)
		return -ENOMEM;
	const size_t before = piece->bytes.bytes;
	if (collect || gather->labels)
		wrap(gather, &piece->bytes, first, count, values, block, collect, client);
	else if (count == 1)
		client_put_value(client, &piece->bytes, block, values);
	else
		sendq_span(&piece->bytes, block, values.bytes, values.size);
	piece->count += count;
	gather->size += piece->bytes.bytes - before;
	return piece->bytes.failed ? -ENOMEM : 0;
}

static int collect_failure(struct gather *gather, uint64_t index, const struct error *error, enum error_form form)
{
	struct piece *piece = piece_for(gather, index);
	if (!piece)
		return -ENOMEM;
	const size_t before = piece->bytes.bytes;
	if (gather->labels)
		label_put(&piece->bytes, gather->labels, index);
	sendq_copy(&piece->bytes, "\x92", 1);
	error_pack(error, form, &piece->bytes);
	sendq_copy(&piece->bytes, "\xc0", 1);
	piece->count++;
	gather->size += piece->bytes.bytes - before;
	return piece->bytes.failed ? -ENOMEM : 0;
}

int gather_failure(struct gather *gather, uint64_t index, const struct error *error, enum error_form form, bool collect)
{
	if (collect)
		return collect_failure(gather, index, error, form);
	if (gather->failed >= 0 && gather->failed <= (int64_t)index)
		return 0;
	drop_pieces(gather);
	sendq_clear(&gather->failure);
	gather->open = error_pack_open(error, form, gather->more, &gather->failure);
	gather->failed = (int64_t)index;
	return gather->failure.failed ? -ENOMEM : 0;
}

static int by_first(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	return (x->first > y->first) - (x->first < y->first);
}

void gather_write(struct gather *gather, uint32_t total, struct sendq *to)
{
	uint8_t *p = sendq_reserve(to, PACK_HEAD);
	if (p)
		sendq_commit(to, (size_t)(pack_array(p, total) - p));
	if (gather->count > 1)
		qsort(gather->pieces, gather->count, sizeof *gather->pieces, by_first);
	for (uint32_t i = 0; i < gather->count; i++) {
		struct sendq *bytes = &gather->pieces[i].bytes;
		/* Many small pieces: their bytes go into shared segments; large ones are handed over. */
		if (bytes->bytes >= SENDQ_SHARE || bytes->descriptors > 0) {
			sendq_move(to, bytes);
			continue;
		}
		for (const struct sendq_segment *s = bytes->head; s; s = s->next)
			sendq_span(to, s->block, s->bytes + s->off, s->len - s->off);
	}
	gather_free(gather);
}
