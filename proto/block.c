/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/block.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t round_up(size_t n)
{
	const size_t huge = (size_t)2 << 20;
	return (n + huge - 1) / huge * huge;
}

static int map_new(struct block *block, size_t capacity)
{
	capacity = round_up(capacity);
	void *p = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	/* The first touch of fresh small pages costs five times the copy. It is fine if the kernel has no huge pages. */
	(void)madvise(p, capacity, MADV_HUGEPAGE);
	block->bytes = p;
	block->capacity = capacity;
	block->mapped = 1;
	return 0;
}

void block_charge(struct block *block, struct account *account, uint64_t bytes)
{
	struct account *before = block->account;
	const uint64_t credit = block->charged;

	block->account = account;
	block->charged = account ? sizeof *block + bytes : 0;
	account_charge(account, block->charged);
	account_credit(before, credit);
}

void block_move(struct block *block, struct account *account)
{
	if (block->account && account && block->account != account)
		block_charge(block, account, block->charged - sizeof *block);
}

struct block *block_new(struct account *account, size_t capacity)
{
	struct block *block;

	if (capacity >= BLOCK_LARGE) {
		block = calloc(1, sizeof *block);
		if (block && map_new(block, capacity) < 0) {
			free(block);
			return NULL;
		}
	} else {
		block = malloc(sizeof *block + capacity);
		if (block) {
			block->mapped = 0;
			block->capacity = capacity;
			block->bytes = (uint8_t *)(block + 1);
		}
	}
	if (block) {
		block->refs = 1;
		block->fd = -1;
		block->files = NULL;
		block->drop = NULL;
		block->spoilt = false;
		block->shown_to = 0;
		block->touched = SIZE_MAX;
		block->account = NULL;
		block->charged = 0;
		block_charge(block, account, block->capacity);
	}
	return block;
}

int block_grow(struct block *block, size_t capacity)
{
	/* Only a mapped block can keep its header while its bytes move. */
	capacity = round_up(capacity);
	void *p = mremap(block->bytes, block->capacity, capacity, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(p, capacity, MADV_HUGEPAGE);
	block->bytes = p;
	block->capacity = capacity;
	block_charge(block, block->account, capacity);
	return 0;
}

static void drop_files(struct block *block)
{
	for (uint32_t i = 0; block->files && i < block->files->count; i++)
		block_unref(block->files->file[i]);
	free(block->files);
	block->files = NULL;
}

struct block *block_unref(struct block *block)
{
	if (!block || --block->refs > 0)
		return NULL;
	drop_files(block);
	block_charge(block, NULL, 0);
	if (block->drop) {
		block->drop(block);
		return NULL;
	}
	if (block->mapped)
		(void)munmap(block->bytes, block->capacity);
	free(block);
	return NULL;
}
