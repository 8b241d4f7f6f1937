/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/payload.h"

#include "proto/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { CAPACITY_MIN = 64 << 10 };

struct payload {
	struct block block; /* must be first: others refer to it */
	TAILQ_ENTRY(payload) link;
	struct payload_pool *pool;
	unsigned age;       /* calls of payload_trim since it was used */
};

void payload_pool_init(struct payload_pool *pool, struct account *account)
{
	*pool = (struct payload_pool){.max = PAYLOAD_KEPT, .account = account};
	TAILQ_INIT(&pool->idle);
}

static void close_by(void (*closes)(struct account *, int), struct account *account, int fd)
{
	if (closes)
		closes(account, fd);
	else
		(void)close(fd);
}

static void payload_free(struct payload *payload)
{
	const struct payload_pool *pool = payload->pool;

	account_remove_file(pool->account);
	block_charge(&payload->block, NULL, 0);
	(void)munmap(payload->block.bytes, payload->block.capacity);
	close_by(payload->block.touched >= PAYLOAD_LARGE ? pool->close : NULL, pool->account, payload->block.fd);
	free(payload);
}

static void take_out(struct payload_pool *pool, struct payload *payload)
{
	TAILQ_REMOVE(&pool->idle, payload, link);
	pool->count--;
	pool->held -= payload->block.touched;
}

static void drop_oldest(struct payload_pool *pool)
{
	struct payload *oldest = TAILQ_LAST(&pool->idle, payload_list);
	take_out(pool, oldest);
	payload_free(oldest);
}

/* block->drop */
static void on_dropped(struct block *block)
{
	struct payload *payload = (struct payload *)block;
	struct payload_pool *pool = payload->pool;

	if (payload->block.spoilt) {
		payload_free(payload);
		return;
	}
	payload->age = 0;
	block_charge(block, pool->account, block->touched);
	TAILQ_INSERT_HEAD(&pool->idle, payload, link);
	pool->count++;
	pool->held += payload->block.touched;
	while (pool->count > PAYLOAD_IDLE || pool->held > pool->max)
		drop_oldest(pool);
}

/* ---- making ---- */

static struct block *make(struct payload_pool *pool, size_t capacity)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	struct payload *payload = calloc(1, sizeof *payload);
	const int fd = payload && account_has_room_for_file(pool->account) ? memory_file("objpool-payload", capacity) : -1;
	void *bytes = fd < 0 ? MAP_FAILED : mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED || fcntl(fd, F_ADD_SEALS, seals) < 0) {
		if (bytes != MAP_FAILED)
			(void)munmap(bytes, capacity);
		if (fd >= 0)
			(void)close(fd);
		free(payload);
		return NULL;
	}
	payload->pool = pool;
	account_add_file(pool->account);
	payload->block =
		(struct block){.refs = 1, .mapped = 1, .capacity = capacity, .bytes = bytes, .fd = fd, .drop = on_dropped};
	block_charge(&payload->block, pool->account, 0);
	return &payload->block;
}

/* Rounds up to a power of two, so that the next value fits. Bytes that are not filled take only address space. */
static size_t capacity_for(size_t size)
{
	size_t capacity = CAPACITY_MIN;
	while (capacity < size)
		capacity *= 2;
	return capacity;
}

struct block *payload_new(struct payload_pool *pool, size_t size, uint64_t session)
{
	const size_t capacity = capacity_for(size);
	struct payload *payload;

	TAILQ_FOREACH(payload, &pool->idle, link)
		if (payload->block.capacity == capacity && (!payload->block.shown_to || payload->block.shown_to == session)) {
			take_out(pool, payload);
			payload->block.refs = 1;
			if (payload->block.filled_for != session)
				payload->block.filled_for = BLOCK_MANY;
			return &payload->block;
		}
	struct block *block = make(pool, capacity);
	if (block)
		block->filled_for = session;
	else
		pool->shortage = PAYLOAD_PATIENCE;
	return block;
}

void payload_filled(struct block *block, size_t size)
{
	if (size <= block->touched)
		return;
	block->touched = size;
	block_charge(block, block->account, size);
}

void payload_trim(struct payload_pool *pool)
{
	struct payload *payload;

	pool->shortage -= pool->shortage > 0;
	TAILQ_FOREACH(payload, &pool->idle, link)
		payload->age++;
	while ((payload = TAILQ_LAST(&pool->idle, payload_list)) && payload->age > PAYLOAD_PATIENCE)
		drop_oldest(pool);
}

void payload_pool_clear(struct payload_pool *pool)
{
	while (!TAILQ_EMPTY(&pool->idle))
		drop_oldest(pool);
}

/* ---- what others made ---- */

struct foreign {
	struct block block; /* first: what others refer to */
	struct account *account; /* counts its descriptor */
	void (*closes)(struct account *account, int fd);
	bool large;
};

/* block->drop */
static void close_file(struct block *block)
{
	struct foreign *foreign = (struct foreign *)block;

	close_by(foreign->large ? foreign->closes : NULL, foreign->account, block->fd);
	account_remove_file(foreign->account);
	free(foreign);
}

struct block *payload_of(int fd, struct account *account, void (*closes)(struct account *account, int fd))
{
	struct foreign *foreign = malloc(sizeof *foreign);
	struct stat st;

	if (!foreign || fstat(fd, &st) < 0) {
		free(foreign);
		(void)close(fd);
		return NULL;
	}
	*foreign = (struct foreign){.block = {.refs = 1, .fd = fd, .drop = close_file}, .account = account, .closes = closes};
	foreign->large = st.st_size >= PAYLOAD_LARGE;
	account_add_file(account);
	block_charge(&foreign->block, account, (uint64_t)st.st_size);
	return &foreign->block;
}

int payload_check(int fd, uint64_t offset, uint64_t length)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC) /* with huge pages, want of memory is a signal */
		return -EINVAL;
	const uint64_t size = (uint64_t)st.st_size;
	if (size > PTRDIFF_MAX) /* with addresses of 32 bits */
		return -EINVAL;
	return offset <= size && length <= size - offset ? 0 : -EINVAL;
}
