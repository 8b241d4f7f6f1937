/* SPDX-License-Identifier: Apache-2.0 */
/* holding: what an owned result's bytes lie in, whatever that is. Who has the result drops it, on any thread. */
#ifndef CLIENT_HOLDING_H
#define CLIENT_HOLDING_H

#include "objpool/client.h"

struct holding {
	void (*drop)(struct holding *holding);
};

/* New memory for `size` bytes, at `*bytes`. NULL: there is none. */
struct holding *holding_new(size_t size, unsigned char **bytes);

/* Takes memory that came from malloc, to go with one that holding_new made. */
void holding_keep(struct holding *holding, void *memory);

/* Accepts NULL; returns NULL. */
static inline struct holding *holding_drop(struct holding *holding)
{
	if (holding)
		holding->drop(holding);
	return NULL;
}

#endif
