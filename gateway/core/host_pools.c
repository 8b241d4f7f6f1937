/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/host_pools.h"

#include "gateway/core/put.h"

#include <errno.h>
#include <stdlib.h>

enum {
	POOL_FIELDS = 8,  /* [name, class, slots, ready, queued, running, unpickle, trust], as POOLS has them, and `finished` */
	BRIEF_FIELDS = 7, /* in HOSTS */
};

struct host_pool *host_pools_find(const struct host_pools *pools, struct span name)
{
	for (uint32_t i = 0; i < pools->count; i++)
		if (span_is(name, pools->list[i].name))
			return &pools->list[i];
	return NULL;
}

void host_pool_lacks(struct host_pool *pool, uint32_t slot)
{
	pool->slots = slot < pool->slots ? slot : pool->slots;
	pool->ready = slot < pool->ready ? slot : pool->ready;
}

void host_pools_free(struct host_pools *pools)
{
	for (uint32_t i = 0; i < pools->count; i++) {
		free(pools->list[i].name);
		free(pools->list[i].class);
		free(pools->list[i].trust_kept);
	}
	free(pools->list);
	*pools = (struct host_pools){0};
}

/* The number of ready slots: a count, or the list of the slots. */
static int read_ready(struct reader *reader, uint64_t *ready)
{
	struct span slots;
	uint32_t count;

	if (read_uint(reader, ready) == 0)
		return 0;
	if (read_array(reader, &count) < 0 || read_values(reader, count, &slots) < 0)
		return -EBADMSG;
	*ready = count;
	return 0;
}

bool host_list_has(struct span list, const char *name)
{
	struct reader reader = reader_of(list);
	struct span text;
	uint32_t count;

	if (read_text(&reader, &text) == 0)
		return span_is(text, "*");
	for (count = read_array(&reader, &count) < 0 ? 0 : count; count > 0 && read_text(&reader, &text) == 0; count--)
		if (span_is(text, name))
			return true;
	return false;
}

bool host_pool_is_for(const struct host_pool *pool, const char *host)
{
	return !pool->unpickle || host_list_has(pool->trust, host);
}

/* The pool keeps a copy of the value: the own pools' are said to others. */
static int keep_trust(struct host_pool *pool)
{
	uint8_t *copy = malloc(pool->trust.size);

	if (copy) {
		memcpy(copy, pool->trust.bytes, pool->trust.size);
		pool->trust.bytes = pool->trust_kept = copy;
		return 0;
	}
	free(pool->name);
	free(pool->class);
	return -ENOMEM;
}

static int read_pool(struct reader *reader, const char *own_name, struct host_pool *pool)
{
	struct span name, class;
	uint64_t slots, ready;
	uint32_t count;

	if (read_array(reader, &count) < 0 || count < POOL_FIELDS || read_text(reader, &name) < 0 ||
	    read_text(reader, &class) < 0 || read_uint(reader, &slots) < 0 || read_ready(reader, &ready) < 0 ||
	    read_uint(reader, &pool->queued) < 0 || read_uint(reader, &pool->running) < 0 ||
	    read_bool(reader, &pool->unpickle) < 0 || read_value(reader, &pool->trust) < 0)
		return -EBADMSG;
	pool->finished = 0;
	if (count > POOL_FIELDS && read_uint(reader, &pool->finished) < 0)
		return -EBADMSG;
	for (; count > POOL_FIELDS + 1; count--) {
		struct span later;
		if (read_value(reader, &later) < 0)
			return -EBADMSG;
	}
	if (slots > UINT32_MAX || ready > UINT32_MAX || name.size > ACCOUNT_SMALL || class.size > ACCOUNT_SMALL)
		return -EBADMSG;
	pool->open = host_pool_is_for(pool, own_name);
	pool->slots = (uint32_t)slots;
	pool->ready = (uint32_t)ready;
	pool->name = strndup((const char *)name.bytes, name.size);
	pool->class = strndup((const char *)class.bytes, class.size);
	if (pool->name && pool->class)
		return keep_trust(pool);
	free(pool->name);
	free(pool->class);
	return -ENOMEM;
}

static bool same_ready(const struct host_pools *a, const struct host_pools *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (strcmp(a->list[i].name, b->list[i].name) != 0 || a->list[i].slots != b->list[i].slots ||
		    a->list[i].ready != b->list[i].ready)
			return false;
	return true;
}

/* The pool of that name; mostly it is at the same place. */
static const struct host_pool *find_at(const struct host_pools *pools, const char *name, uint32_t place)
{
	const struct span span = {.bytes = (const uint8_t *)name, .size = strlen(name)};

	if (place < pools->count && span_is(span, pools->list[place].name))
		return &pools->list[place];
	return host_pools_find(pools, span);
}

static void note_move(struct host_pool *pool, const struct host_pools *before, uint32_t place, uint64_t now)
{
	const struct host_pool *old = find_at(before, pool->name, place);
	const bool moves = !old || old->finished != pool->finished || pool->running < pool->ready;

	pool->moved_at = moves ? now : old->moved_at;
}

/* It follows what has been read. */
static int make_room(struct host_pools *pools, uint32_t *room)
{
	const uint32_t more = 2 * *room + 8;
	struct host_pool *list = realloc(pools->list, more * sizeof *list);

	if (!list)
		return -ENOMEM;
	pools->list = list;
	*room = more;
	return 0;
}

int host_pools_read(struct host_pools *pools, struct reader *reader, const char *own_name, uint64_t now, bool *changed)
{
	struct host_pools read = {0};
	uint32_t count = 0;

	if (read_nil(reader) < 0 && (read_array(reader, &count) < 0 || count > HOST_POOLS_MAX))
		return -EBADMSG;
	uint32_t room = 0;
	int r = 0;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		r = i < room ? 0 : make_room(&read, &room);
		if (r == 0)
			r = read_pool(reader, own_name, &read.list[i]);
		if (r < 0)
			break;
		note_move(&read.list[i], pools, i, now);
		read.count++;
	}
	if (r == 0) {
		const struct host_pools before = *pools;
		*changed = !same_ready(pools, &read);
		*pools = read;
		read = before;
	}
	host_pools_free(&read);
	return r;
}

void host_pools_put(const struct host_pools *pools, struct sendq *to, bool brief)
{
	put_array(to, pools->count);
	for (uint32_t i = 0; i < pools->count; i++) {
		const struct host_pool *pool = &pools->list[i];
		put_array(to, brief ? BRIEF_FIELDS : POOL_FIELDS + 1);
		put_text(to, pool->name);
		put_text(to, pool->class);
		put_uint(to, pool->slots);
		put_uint(to, pool->ready);
		put_uint(to, pool->queued);
		put_uint(to, pool->running);
		if (brief) {
			put_bool(to, pool->open);
			continue;
		}
		put_bool(to, pool->unpickle);
		sendq_copy(to, pool->trust.bytes, pool->trust.size);
		put_uint(to, pool->finished);
	}
}
