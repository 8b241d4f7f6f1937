/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: collects the results of a call of many tasks, which go out as one array in task order. Values of tasks that follow
 * each other are one piece: the results of a map of a million items are some hundred pieces.
 */
#ifndef CORE_GATHER_H
#define CORE_GATHER_H

#include "daemon/core/records/client.h"

struct piece {
	uint64_t first;        /* number of the first task */
	uint32_t count;        /* tasks */
	struct sendq bytes;    /* the values of these tasks */
};

struct gather {
	struct piece *pieces;
	uint32_t count, room;
	uint64_t size;         /* bytes in all pieces */
	struct account *account; /* the results are charged to it */
	struct sendq failure;  /* of the lowest task that failed, packed */
	int64_t failed;        /* its number; -1: none */
	uint32_t more;         /* how many fields are appended to the failure when it is answered, if it is a map */
	bool open;             /* it is one */
	const struct core *labels; /* each result has its host and slot before it, see label.h; NULL: it hasn't */
};

/* `labels` may be NULL. */
void gather_init(struct gather *gather, struct account *account, const struct core *labels);
void gather_free(struct gather *gather);

/* Adds the values of `count` tasks, for the client. With `collect` each becomes [nil, value]. Drops the values if a task has
 * failed and `collect` is false. 0 or -ENOMEM. */
int gather_values(struct gather *gather, uint64_t first, uint32_t count, struct span values, struct block *block,
		  bool collect, struct client *client);

/* Adds the failure of a task. With `collect` it becomes [error, nil] in the task's place. Else the failure of the lowest task
 * is kept. 0 or -ENOMEM. */
int gather_failure(struct gather *gather, uint64_t index, const struct error *error, enum error_form form, bool collect);

/* Writes the array of `total` values, which have all been added, and drops them from the gather. */
void gather_write(struct gather *gather, uint32_t total, struct sendq *to);

#endif
