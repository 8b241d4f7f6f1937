/* SPDX-License-Identifier: Apache-2.0 */
#include "client/shared.h"

#include "proto/payload.h"

#include <stdatomic.h>
#include <stdlib.h>

struct shared {
	struct shared *next;
	atomic_uint users; /* the packer, and requests: without any, the memory is gone */
	atomic_uint refs;  /* of this: the list's, and the users' one */
	struct payload_pool pool;
	struct block *block;
	const uint8_t *begin, *end;
};

/* What a request refers to. */
struct use {
	struct block block; /* first: the file, and no bytes */
	struct shared *shared;
};

static void shared_unref(struct shared *shared)
{
	if (atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) == 1)
		free(shared);
}

void shared_drop(struct shared *shared)
{
	if (atomic_fetch_sub_explicit(&shared->users, 1, memory_order_acq_rel) > 1)
		return;
	shared->block->spoilt = true;
	shared->block = block_unref(shared->block);
	shared_unref(shared);
}

/* block->drop */
static void on_used(struct block *block)
{
	struct use *use = (struct use *)block;

	shared_drop(use->shared);
	free(use);
}

/* The packer is there as long as its bytes are packed, so that a user more can be added. */
static struct block *use_new(struct shared *shared)
{
	struct use *use = malloc(sizeof *use);

	if (!use)
		return NULL;
	atomic_fetch_add_explicit(&shared->users, 1, memory_order_relaxed);
	*use = (struct use){.block = {.refs = 1, .fd = shared->block->fd, .drop = on_used}, .shared = shared};
	return &use->block;
}

static bool is_gone(const struct shared *shared)
{
	return atomic_load_explicit(&shared->users, memory_order_acquire) == 0;
}

struct block *shared_find(struct shared *list, const uint8_t *bytes, size_t size, uint64_t *offset)
{
	for (struct shared *shared = list; shared; shared = shared->next)
		if (!is_gone(shared) && bytes >= shared->begin && bytes < shared->end && (size_t)(shared->end - bytes) >= size) {
			*offset = (uint64_t)(bytes - shared->begin);
			return use_new(shared);
		}
	return NULL;
}

unsigned char *shared_new(struct shared **list, size_t size, struct shared **out)
{
	struct shared *shared = calloc(1, sizeof *shared);

	if (!shared)
		return NULL;
	payload_pool_init(&shared->pool, NULL);
	shared->block = payload_new(&shared->pool, size, 0);
	if (!shared->block) {
		free(shared);
		return NULL;
	}
	atomic_init(&shared->users, 1);
	atomic_init(&shared->refs, 2);
	shared->begin = shared->block->bytes;
	shared->end = shared->begin + shared->block->capacity;
	shared->next = *list;
	*list = *out = shared;
	return shared->block->bytes;
}

void shared_sweep(struct shared **list)
{
	struct shared *shared;

	for (struct shared **link = list; (shared = *link);) {
		if (!is_gone(shared)) {
			link = &shared->next;
			continue;
		}
		*link = shared->next;
		shared_unref(shared);
	}
}

void shared_leave(struct shared **list)
{
	struct shared *shared;

	while ((shared = *list)) {
		*list = shared->next;
		shared_unref(shared);
	}
}
