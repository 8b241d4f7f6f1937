/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing: tasks that have failed all at once, for one reason, in their pool's list until their calls are told. Very many may have been
 * put off by one instance, so they are told in portions: what others ask is done between.
 */
#ifndef CORE_FAILING_H
#define CORE_FAILING_H

#include "daemon/core/base/error.h"
#include "daemon/core/records/pool.h"

struct failing {
	TAILQ_ENTRY(failing) link; /* in pool->failing */
	struct batch_list batches; /* of one task each; in no slot and no queue */
	struct error error;
};

/* Takes the batches. A few fail at once. */
void failing_add(struct pool *pool, struct batch_list *batches, const struct error *cause);

/* The pool's timer. */
void failing_on_timer(struct timer *timer);

#endif
