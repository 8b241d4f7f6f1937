/* SPDX-License-Identifier: Apache-2.0 */
/* items: a queue of a map's items: those that wait to be handed to a host, or those that a host has, by the number that it knows
 * them by. The first number is `base`. */
#ifndef GATEWAY_ITEMS_H
#define GATEWAY_ITEMS_H

#include "proto/account.h"
#include "proto/read.h"

struct item {
	uint64_t index; /* in the map */
	uint64_t end;   /* of those that a host has: where its message ends in the lane */
	struct span value;
	bool owned; /* the value's bytes are the item's own; else they lie in the request */
	bool answered;
	bool may_have_run; /* on a host that was lost */
};

struct items {
	struct account *account;
	struct item *item;
	uint32_t start, count, room;
	uint64_t base;
};

/* Adds one; takes what it owns. 0 or -ENOMEM: then it is still the caller's. */
int items_push(struct items *items, const struct item *item);

/* NULL: there is none of that number. */
struct item *items_at(const struct items *items, uint64_t number);

/* Takes the first one out. It is the caller's. */
struct item items_pop(struct items *items);

/* Frees what the item owns. */
void item_free(struct items *items, struct item *item);

void items_close(struct items *items);

#endif
