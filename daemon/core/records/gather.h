/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: the results of a call of many tasks, as they come, until they go out as one array in task order. Keeps spans of
 * values that follow each other as one piece: a map of a million items is some hundred pieces.
 */
#ifndef CORE_GATHER_H
#define CORE_GATHER_H

#include "daemon/core/records/client.h"

struct piece {
	uint64_t first;        /* task */
	uint32_t count;        /* tasks */
	struct sendq bytes;    /* their values */
};

struct gather {
	struct piece *pieces;
	uint32_t count, room;
	uint64_t size;         /* bytes in all pieces */
	struct account *account; /* the results are charged to it */
	struct sendq failure;  /* of the lowest task that failed, packed */
	int64_t failed;        /* its number; -1: none */
};

void gather_init(struct gather *gather, struct account *account);
void gather_free(struct gather *gather);

/* Adds the values of `count` tasks for the client; with `collect` each becomes [nil, value]. Drops the values when a failure has
 * been kept. 0 or -ENOMEM. */
int gather_values(struct gather *gather, uint64_t first, uint32_t count, struct span values, struct block *block,
		  bool collect, struct client *client);

/* Adds a failure: with `collect` as [error, nil] in its place, else it is kept if it is the first in task order. */
int gather_failure(struct gather *gather, uint64_t index, const struct error *error, bool as_map, bool collect);

/* Writes the array of `total` values, each of which has been added. Empties the gather. */
void gather_write(struct gather *gather, uint32_t total, struct sendq *to);

#endif
