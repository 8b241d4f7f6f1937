/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loan: a large result that lies in the memory of the worker that made it. It is a block like any other. With its last
 * reference it is given back to the worker, which the board tells (`lent` in proto/channel.h).
 *
 * A worker fills the same few payloads again and again. So each place keeps its mapping, which is found by the file. The value
 * was scanned when it came, and is not read again: a worker that changes it spoils only its own answer.
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

/* The worker has gone: unmaps its loans. A loan that is still used stays until its last reference goes. May be called again. */
void loans_close(struct loans *loans);

/* Is the message [PAYLOAD, …]? */
bool loan_is_spoken_of(struct span message);

/* The loan that the message names, with one reference. It holds one whole value of at most `limit` bytes. NULL: the message
 * names no such loan. */
struct block *loan_take(struct loans *loans, struct span message, struct arrivals *arrivals, uint64_t limit);

/* Called now and then: unmaps loans that have not been used for long. */
void loans_trim(struct loan_list *all);

#endif
