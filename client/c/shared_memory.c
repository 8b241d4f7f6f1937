/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/shared_memory.h"

#include "proto/payload.h"

#include <stdatomic.h>
#include <stdlib.h>

struct shared_memory {
	struct shared_memory *next;
	atomic_uint users; /* the packer, and requests. 0: the bytes are unmapped */
	atomic_uint refs;  /* of this structure: the list has one, all users together have one */
	struct payload_pool pool;
	struct block *block;
	const uint8_t *begin, *end;
};

/* A request's use of the memory. */
struct use {
	struct block block; /* must be first. It has the descriptor, and no bytes */
	struct shared_memory *memory;
};

static void shared_memory_unref(struct shared_memory *memory)
{
	if (atomic_fetch_sub_explicit(&memory->refs, 1, memory_order_acq_rel) == 1)
		free(memory);
}

void shared_memory_drop(struct shared_memory *memory)
{
	if (atomic_fetch_sub_explicit(&memory->users, 1, memory_order_acq_rel) > 1)
		return;
	memory->block->spoilt = true;
	memory->block = block_unref(memory->block);
	shared_memory_unref(memory);
}

/* Is called by block_unref when the request drops its reference. */
static void use_on_drop(struct block *block)
{
	struct use *use = (struct use *)block;

	shared_memory_drop(use->memory);
	free(use);
}

/* The packer uses the memory while its bytes are packed into a request, so `users` is not 0 here. */
static struct block *use_new(struct shared_memory *memory)
{
	struct use *use = malloc(sizeof *use);

	if (!use)
		return NULL;
	atomic_fetch_add_explicit(&memory->users, 1, memory_order_relaxed);
	*use = (struct use){.block = {.refs = 1, .fd = memory->block->fd, .drop = use_on_drop}, .memory = memory};
	return &use->block;
}

static bool has_ended(const struct shared_memory *memory)
{
	return atomic_load_explicit(&memory->users, memory_order_acquire) == 0;
}

static bool contains(const struct shared_memory *memory, const uint8_t *bytes, size_t size)
{
	return bytes >= memory->begin && bytes < memory->end && (size_t)(memory->end - bytes) >= size;
}

struct block *shared_memory_find(struct shared_memory *list, const uint8_t *bytes, size_t size, uint64_t *offset)
{
	for (struct shared_memory *memory = list; memory; memory = memory->next)
		if (!has_ended(memory) && contains(memory, bytes, size)) {
			*offset = (uint64_t)(bytes - memory->begin);
			return use_new(memory);
		}
	return NULL;
}

unsigned char *shared_memory_new(struct shared_memory **list, size_t size, struct shared_memory **out)
{
	struct shared_memory *memory = calloc(1, sizeof *memory);

	if (!memory)
		return NULL;
	payload_pool_init(&memory->pool, NULL);
	memory->block = payload_new(&memory->pool, size, 0);
	if (!memory->block) {
		free(memory);
		return NULL;
	}
	atomic_init(&memory->users, 1);
	atomic_init(&memory->refs, 2);
	memory->begin = memory->block->bytes;
	memory->end = memory->begin + memory->block->capacity;
	memory->next = *list;
	*list = *out = memory;
	return memory->block->bytes;
}

void shared_memory_sweep(struct shared_memory **list)
{
	struct shared_memory *memory;

	for (struct shared_memory **link = list; (memory = *link);) {
		if (!has_ended(memory)) {
			link = &memory->next;
			continue;
		}
		*link = memory->next;
		shared_memory_unref(memory);
	}
}

void shared_memory_forget(struct shared_memory **list)
{
	struct shared_memory *memory;

	while ((memory = *list)) {
		*list = memory->next;
		shared_memory_unref(memory);
	}
}
