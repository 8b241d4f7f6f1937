/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loan: a large result that lies in the memory of the worker that made it. It is a block like any other, and given back
 * to the worker with its last reference; the board says so (`lent` in proto/channel.h).
 *
 * A worker fills the same few payloads again and again: each place keeps its mapping, which is looked up by the file.
 * What lies there was scanned when it came and is opaque from then on: a worker that changes it spoils its own caller's answer.
 */
#ifndef SUPERVISOR_LOAN_H
#define SUPERVISOR_LOAN_H

#include "proto/arrivals.h"
#include "proto/block.h"
#include "proto/channel.h"
#include "proto/read.h"

#include <sys/queue.h>

TAILQ_HEAD(loan_list, loan);

struct loans {
	struct board *board;          /* NULL: closed */
	struct loan_list *all;        /* of all workers */
	struct account *account;      /* loans are charged to it until block_move moves the charge */
	struct loan *at[LENT_PLACES]; /* NULL: nothing is mapped there */
};

void loans_open(struct loans *loans, struct board *board, struct loan_list *all, struct account *account);

/* The worker has gone: what is still used stays until it isn't. Can be called more than once. */
void loans_close(struct loans *loans);

/* Is the message [PAYLOAD, …]? */
bool loan_is_spoken_of(struct span message);

/* What the message speaks of: one whole value of at most `limit` bytes. One reference; NULL: it isn't there, or is no such
 * thing. */
struct block *loan_take(struct loans *loans, struct span message, struct arrivals *arrivals, uint64_t limit);

/* Now and then: unmaps what has not been used for long. */
void loans_trim(struct loan_list *all);

#endif
