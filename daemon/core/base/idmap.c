/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/idmap.h"

#include <errno.h>
#include <stdlib.h>

uint64_t idmap_salt;

/* Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4), with a secret multiplier. */
static uint32_t home(const struct idmap *map, uint64_t key)
{
	const uint64_t hash = key * (UINT64_C(0x9e3779b97f4a7c15) ^ (idmap_salt << 1));
	return (uint32_t)(hash >> 32) & map->mask;
}

/* The entry that has the key, or the free entry where it would be added. */
static struct idmap_entry *find(const struct idmap *map, uint64_t key)
{
	uint32_t i = home(map, key);
	while (map->entries[i].value && map->entries[i].key != key)
		i = (i + 1) & map->mask;
	return &map->entries[i];
}

void *idmap_get(const struct idmap *map, uint64_t key)
{
	return map->count ? find(map, key)->value : NULL;
}

static int grow(struct idmap *map)
{
	const struct idmap old = *map;
	const uint32_t capacity = old.mask ? 2 * (old.mask + 1) : 8;
	struct idmap_entry *entries = calloc(capacity, sizeof *entries);
	if (!entries)
		return -ENOMEM;
	map->entries = entries;
	map->mask = capacity - 1;
	for (uint32_t i = 0; old.mask && i <= old.mask; i++)
		if (old.entries[i].value)
			*find(map, old.entries[i].key) = old.entries[i];
	free(old.entries);
	return 0;
}

int idmap_add(struct idmap *map, uint64_t key, void *value)
{
	if ((!map->mask || map->count > map->mask - map->mask / 4) && grow(map) < 0)
		return -ENOMEM;
	struct idmap_entry *entry = find(map, key);
	if (entry->value)
		return -EEXIST;
	*entry = (struct idmap_entry){.key = key, .value = value};
	map->count++;
	return 0;
}

void *idmap_remove(struct idmap *map, uint64_t key)
{
	if (!map->count)
		return NULL;
	struct idmap_entry *entry = find(map, key);
	void *value = entry->value;
	if (!value)
		return NULL;
	/* Close the gap: move up entries that would not be found across it. */
	uint32_t gap = (uint32_t)(entry - map->entries);
	for (uint32_t i = (gap + 1) & map->mask; map->entries[i].value; i = (i + 1) & map->mask) {
		const uint32_t from_home = (i - home(map, map->entries[i].key)) & map->mask;
		if (from_home >= ((i - gap) & map->mask)) {
			map->entries[gap] = map->entries[i];
			gap = i;
		}
	}
	map->entries[gap] = (struct idmap_entry){0};
	map->count--;
	return value;
}

void idmap_free(struct idmap *map)
{
	free(map->entries);
	*map = (struct idmap){0};
}
