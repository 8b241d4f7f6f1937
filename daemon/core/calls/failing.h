/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing: tasks that have failed all at once, for one reason. One instance may have put off very many tasks. To fail them all
 * in one event would hold up everybody else. So they stay in a list of their pool, and each turn of the loop fails a portion
 * of them.
 */
#ifndef CORE_FAILING_H
#define CORE_FAILING_H

#include "daemon/core/base/error.h"
#include "daemon/core/records/pool.h"

struct failing {
	TAILQ_ENTRY(failing) link; /* in pool->failing */
	struct batch_list batches; /* of one task each; they are in no slot and no queue */
	struct error error;
};

/* Takes the batches over. The first of them fail at once, the others in later turns. */
void failing_add(struct pool *pool, struct batch_list *batches, const struct error *cause);

/* pool->tell fires: fails the next portion. */
void failing_on_timer(struct timer *timer);

#endif
