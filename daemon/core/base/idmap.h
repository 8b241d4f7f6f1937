/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap: from a 64-bit number to a pointer that isn't NULL. Open addressing with linear probing; empty, it has no memory.
 * Keys are mixed with a random salt, so that a client that chooses them can't choose where they fall.
 */
#ifndef CORE_IDMAP_H
#define CORE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_entry {
	uint64_t key;
	void *value; /* NULL: free */
};

struct idmap {
	struct idmap_entry *entries;
	uint32_t mask; /* capacity - 1; 0: none */
	uint32_t count;
};

/* The daemon sets it once when it starts. The simulation leaves it 0, so that a seed plays the same world each time. */
extern uint64_t idmap_salt;

/* The value, or NULL. */
void *idmap_get(const struct idmap *map, uint64_t key);

/* Adds the key. 0; -ENOMEM; or -EEXIST: the map has the key. */
int idmap_add(struct idmap *map, uint64_t key, void *value);

/* Removes the key; returns its value, or NULL. */
void *idmap_remove(struct idmap *map, uint64_t key);

void idmap_free(struct idmap *map);

/* FNV-1a, for keys that are names (http://www.isthe.com/chongo/tech/comp/fnv/). */
static inline uint64_t name_hash(const void *name, size_t size)
{
	const uint8_t *p = name;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
