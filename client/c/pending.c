/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/pending.h"

#include <errno.h>
#include <stdlib.h>

enum { PENDING_FIRST = 64 }; /* the table's first size, a power of two like the others */

static struct pending_call *place_of(const struct pending *pending, uint32_t msgid)
{
	return &pending->table[msgid & (pending->size - 1)];
}

static int grow_table(struct pending *pending)
{
	const uint32_t size = pending->size ? 2 * pending->size : PENDING_FIRST;
	struct pending grown = *pending;

	if (size == 0)
		return -ENOMEM;
	grown.table = calloc(size, sizeof *grown.table);
	grown.size = size;
	if (!grown.table)
		return -ENOMEM;
	for (uint32_t i = 0; i < pending->size; i++)
		if (pending->table[i].msgid != 0)
			*place_of(&grown, pending->table[i].msgid) = pending->table[i];
	free(pending->table);
	*pending = grown;
	return 0;
}

static int grow_deadlines(struct pending *pending)
{
	const uint32_t capacity = pending->deadline_capacity ? 2 * pending->deadline_capacity : PENDING_FIRST;
	uint32_t *deadlines = reallocarray(pending->deadlines, capacity, sizeof *deadlines);

	if (!deadlines)
		return -ENOMEM;
	pending->deadlines = deadlines;
	pending->deadline_capacity = capacity;
	return 0;
}

static int64_t deadline_at(const struct pending *pending, uint32_t rank)
{
	return place_of(pending, pending->deadlines[rank])->deadline;
}

static void set_rank(struct pending *pending, uint32_t rank, uint32_t msgid)
{
	pending->deadlines[rank] = msgid;
	place_of(pending, msgid)->rank = rank;
}

static void sift_up(struct pending *pending, uint32_t rank)
{
	const uint32_t msgid = pending->deadlines[rank];
	const int64_t deadline = deadline_at(pending, rank);

	while (rank > 0 && deadline_at(pending, (rank - 1) / 2) > deadline) {
		set_rank(pending, rank, pending->deadlines[(rank - 1) / 2]);
		rank = (rank - 1) / 2;
	}
	set_rank(pending, rank, msgid);
}

static void sift_down(struct pending *pending, uint32_t rank)
{
	const uint32_t msgid = pending->deadlines[rank], count = pending->deadline_count;
	const int64_t deadline = deadline_at(pending, rank);

	for (uint32_t child; (child = 2 * rank + 1) < count; rank = child) {
		if (child + 1 < count && deadline_at(pending, child + 1) < deadline_at(pending, child))
			child++;
		if (deadline_at(pending, child) >= deadline)
			break;
		set_rank(pending, rank, pending->deadlines[child]);
	}
	set_rank(pending, rank, msgid);
}

static void remove_deadline(struct pending *pending, uint32_t rank)
{
	const uint32_t last = --pending->deadline_count;

	if (rank == last)
		return;
	set_rank(pending, rank, pending->deadlines[last]);
	sift_down(pending, rank);
	sift_up(pending, rank);
}

int pending_add(struct pending *pending, struct pending_call *call)
{
	if (2 * (uint64_t)pending->count >= pending->size && grow_table(pending) < 0)
		return -ENOMEM;
	if (call->deadline && pending->deadline_count == pending->deadline_capacity && grow_deadlines(pending) < 0)
		return -ENOMEM;
	do
		pending->last_id++;
	while (pending->last_id == 0 || place_of(pending, pending->last_id)->msgid != 0);
	call->msgid = pending->last_id;
	*place_of(pending, call->msgid) = *call;
	pending->count++;
	if (call->deadline) {
		set_rank(pending, pending->deadline_count, call->msgid);
		sift_up(pending, pending->deadline_count++);
	}
	return 0;
}

struct pending_call *pending_find(const struct pending *pending, uint32_t msgid)
{
	if (msgid == 0 || pending->size == 0 || place_of(pending, msgid)->msgid != msgid)
		return NULL;
	return place_of(pending, msgid);
}

bool pending_take(struct pending *pending, uint32_t msgid, struct pending_call *call)
{
	const struct pending_call *found = pending_find(pending, msgid);

	if (!found)
		return false;
	*call = *found;
	if (call->deadline)
		remove_deadline(pending, call->rank);
	place_of(pending, msgid)->msgid = 0;
	pending->count--;
	return true;
}

bool pending_take_expired(struct pending *pending, int64_t now, struct pending_call *call)
{
	const int64_t earliest = pending_deadline(pending);

	return earliest != 0 && earliest <= now && pending_take(pending, pending->deadlines[0], call);
}

bool pending_take_any(struct pending *pending, uint32_t *place, struct pending_call *call)
{
	for (; pending->count > 0; *place = (*place + 1) % pending->size)
		if (pending->table[*place].msgid != 0)
			return pending_take(pending, pending->table[*place].msgid, call);
	return false;
}

int64_t pending_deadline(const struct pending *pending)
{
	return pending->deadline_count ? deadline_at(pending, 0) : 0;
}

void pending_free(struct pending *pending)
{
	free(pending->table);
	free(pending->deadlines);
	*pending = (struct pending){0};
}
