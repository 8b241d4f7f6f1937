/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sendq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static struct sendq_segment *append(struct sendq *queue, size_t room)
{
	struct sendq_segment *segment = malloc(sizeof *segment + room);
	if (!segment) {
		queue->failed = true;
		return NULL;
	}
	*segment = (struct sendq_segment){.bytes = (uint8_t *)(segment + 1), .room = room, .account = queue->account};
	account_charge(segment->account, sizeof *segment + room);
	if (queue->tail)
		queue->tail->next = segment;
	else
		queue->head = segment;
	queue->tail = segment;
	return segment;
}

/* So small that malloc keeps such pieces for the next time (glibc: up to 1032 bytes). */
enum { FIRST_ROOM = 1024 - sizeof(struct sendq_segment) };

/* Begins small, since a single answer should not need 16 KiB. */
static size_t next_room(const struct sendq *queue)
{
	if (!queue->tail)
		return queue->many ? 0 : FIRST_ROOM;
	return queue->many && queue->bytes < SENDQ_SEGMENT ? queue->bytes : SENDQ_SEGMENT;
}

uint8_t *sendq_reserve_slow(struct sendq *queue, size_t size)
{
	assert(size <= SENDQ_SEGMENT);
	const size_t room = next_room(queue);
	struct sendq_segment *segment = append(queue, size > room ? size : room);
	return segment ? segment->bytes : NULL;
}

void sendq_copy(struct sendq *queue, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	if (queue->failed || size == 0)
		return;
	struct sendq_segment *tail = queue->tail;
	size_t fits = tail ? tail->room - tail->len : 0;
	if (fits < size && size - fits > SENDQ_SEGMENT / 2) {
		if (!append(queue, size))
			return;
	} else if (fits > 0) {
		fits = fits < size ? fits : size;
		memcpy(tail->bytes + tail->len, p, fits);
		sendq_commit(queue, fits);
		p += fits;
		size -= fits;
	}
	if (size == 0)
		return;
	uint8_t *to = sendq_reserve(queue, size);
	if (!to)
		return;
	memcpy(to, p, size);
	sendq_commit(queue, size);
}

int sendq_write(void *queue, const char *bytes, size_t size)
{
	struct sendq *to = queue;

	sendq_copy(to, bytes, size);
	return to->failed ? -1 : 0;
}

void sendq_span(struct sendq *queue, struct block *block, const uint8_t *bytes, size_t size)
{
	if (!block || size < SENDQ_SHARE) {
		sendq_copy(queue, bytes, size);
		return;
	}
	if (queue->failed)
		return;
	struct sendq_segment *segment = append(queue, 0);
	if (!segment)
		return;
	segment->block = block_ref(block);
	segment->bytes = (uint8_t *)bytes; /* only ever read: room is 0 */
	segment->len = size;
	segment->room = size;
	queue->bytes += size;
}

void sendq_pass(struct sendq *queue, struct block *block)
{
	struct sendq_segment *segment = queue->failed ? NULL : append(queue, 0);
	if (!segment)
		return;
	segment->block = block_ref(block);
	segment->passes = true;
	queue->descriptors++;
	if (queue->kept)
		queue->kept->waiting++;
}

unsigned sendq_descriptors(const struct sendq *queue, int count, int *fds)
{
	unsigned n = 0;
	for (const struct sendq_segment *s = queue->head; s && n < SENDQ_PASS && queue->descriptors > 0; s = s->next) {
		if (s->len > s->off && count-- == 0)
			break;
		if (s->passes)
			fds[n++] = s->block->fd;
	}
	return n;
}

/* Takes the reference. */
static void keep(struct sendq *queue, struct block *block)
{
	struct sendq_kept *kept = block->given_away ? NULL : queue->kept;

	if (kept && kept->count == kept->room) {
		const uint32_t room = kept->room ? 2 * kept->room : 8;
		struct block **blocks = realloc(kept->blocks, room * sizeof *blocks);
		queue->failed = queue->failed || !blocks;
		kept->blocks = blocks ? blocks : kept->blocks;
		kept->room = blocks ? room : kept->room;
	}
	if (!kept || kept->count == kept->room) {
		block->spoilt = block->spoilt || kept;
		block_unref(block);
		return;
	}
	kept->blocks[kept->count++] = block;
	kept->bytes += block->capacity;
}

int sendq_given_back(struct sendq_kept *kept, uint64_t number)
{
	if (number < kept->first || number - kept->first >= kept->count || !kept->blocks[number - kept->first])
		return -EINVAL;
	struct block **place = &kept->blocks[number - kept->first];
	uint32_t gone = 0;

	kept->bytes -= (*place)->capacity;
	*place = block_unref(*place);
	while (gone < kept->count && !kept->blocks[gone])
		gone++;
	kept->count -= gone;
	kept->first += gone;
	if (gone > 0)
		memmove(kept->blocks, kept->blocks + gone, kept->count * sizeof *kept->blocks);
	return 0;
}

void sendq_lose_kept(struct sendq_kept *kept)
{
	for (uint32_t i = 0; i < kept->count; i++)
		if (kept->blocks[i]) {
			kept->blocks[i]->spoilt = true;
			block_unref(kept->blocks[i]);
		}
	free(kept->blocks);
	*kept = (struct sendq_kept){.waiting = kept->waiting};
}

void sendq_passed(struct sendq *queue, unsigned count)
{
	queue->descriptors -= count;
	if (queue->kept)
		queue->kept->waiting -= count;
	for (struct sendq_segment *s = queue->head; s && count > 0; s = s->next)
		if (s->passes) {
			s->passes = false;
			keep(queue, s->block);
			s->block = NULL;
			count--;
		}
}

void sendq_move(struct sendq *to, struct sendq *from)
{
	if (from->head) {
		if (to->tail)
			to->tail->next = from->head;
		else
			to->head = from->head;
		to->tail = from->tail;
		to->bytes += from->bytes;
		to->descriptors += from->descriptors;
	}
	if (to->kept)
		to->kept->waiting += from->descriptors;
	if (from->kept)
		from->kept->waiting -= from->descriptors;
	to->failed = to->failed || from->failed;
	*from = (struct sendq){.kept = from->kept, .account = from->account, .many = from->many};
}

int sendq_iov(const struct sendq *queue, struct iovec *iov, int max)
{
	unsigned passes = 0;
	int n = 0;
	for (const struct sendq_segment *s = queue->head; s && n < max && passes + s->passes <= SENDQ_PASS; s = s->next)
		if (s->passes)
			passes++;
		else if (s->len > s->off)
			iov[n++] = (struct iovec){.iov_base = s->bytes + s->off, .iov_len = s->len - s->off};
	return n;
}

static void drop_head(struct sendq *queue)
{
	struct sendq_segment *head = queue->head;
	queue->head = head->next;
	if (!queue->head)
		queue->tail = NULL;
	account_credit(head->account, sizeof *head + (head->block ? 0 : head->room));
	block_unref(head->block);
	free(head);
}

void sendq_sent(struct sendq *queue, size_t size)
{
	queue->bytes -= size;
	while (queue->head) {
		struct sendq_segment *head = queue->head;
		const size_t here = head->len - head->off;
		if (head->passes)
			break;
		if (size < here) {
			head->off += size;
			return;
		}
		size -= here;
		drop_head(queue);
	}
	assert(size == 0);
}

void sendq_clear(struct sendq *queue)
{
	while (queue->head)
		drop_head(queue);
	if (queue->kept)
		queue->kept->waiting -= queue->descriptors;
	*queue = (struct sendq){.kept = queue->kept, .account = queue->account, .many = queue->many};
}
