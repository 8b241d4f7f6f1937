/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss: tasks that have failed all at once, for one reason, in their pool's list until their calls are told. Very many may have been
 * put off by one instance, so they are told in portions: what others ask is done between.
 */
#ifndef CORE_LOSS_H
#define CORE_LOSS_H

#include "daemon/core/error.h"
#include "daemon/core/pool.h"

struct loss {
	TAILQ_ENTRY(loss) link; /* in pool->losses */
	struct batch_list batches; /* of one task each; in no slot and no queue */
	struct error why;
};

/* Takes the batches. A few fail at once. */
void loss_add(struct pool *pool, struct batch_list *batches, const struct error *why);

/* The pool's timer. */
void loss_on_timer(struct timer *timer);

#endif
