/* SPDX-License-Identifier: Apache-2.0 */
/* items: a queue of a map's items: those that wait to be handed to a host, or those that a host has, by the number that it knows
 * them by. The first number is `base`. */
#ifndef GATEWAY_ITEMS_H
#define GATEWAY_ITEMS_H

#include "proto/account.h"
#include "proto/block.h"
#include "proto/read.h"

struct item {
	uint64_t index;       /* in the map */
	const uint8_t *bytes; /* its value */
	struct block *block;  /* holds the bytes; a reference of the item's own. NULL: it has been given up */
	uint32_t size;
	bool answered;
	bool may_have_run; /* on a host that was lost */
};

struct items {
	struct account *account;
	struct item *item;
	uint32_t start, count, room;
	uint64_t base;
};

/* Makes room for so many more. 0 or -ENOMEM. */
int items_reserve(struct items *items, uint32_t more);

/* Adds one; takes its reference. There must be room. */
static inline void items_add(struct items *items, struct item item)
{
	items->item[items->start + items->count++] = item;
}

/* The same; makes room. 0 or -ENOMEM: then the reference is still the caller's. */
int items_push(struct items *items, struct item item);

/* NULL: there is none of that number. */
static inline struct item *items_at(const struct items *items, uint64_t number)
{
	const uint64_t place = number - items->base;
	return number >= items->base && place < items->count ? &items->item[items->start + place] : NULL;
}

/* Takes the first one out. Its reference is the caller's. */
struct item items_pop(struct items *items);

/* Drops the first ones, as far as they are answered. */
void items_trim(struct items *items);

void items_close(struct items *items);

#endif
