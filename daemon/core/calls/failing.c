/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/failing.h"

#include "daemon/core/calls/call_answer.h"

#include <stdlib.h>

enum { TOLD_AT_ONCE = 200 };

static void tell(struct batch *batch, const struct error *cause)
{
	struct error error;

	error_copy(&error, cause);
	call_on_failure(batch, batch->first, &error);
	batch_end(batch);
}

static void tell_some(struct batch_list *batches, const struct error *cause, uint32_t most)
{
	struct batch *batch;

	for (; most > 0 && (batch = TAILQ_FIRST(batches)); most--) {
		TAILQ_REMOVE(batches, batch, link);
		tell(batch, cause);
	}
}

void failing_add(struct pool *pool, struct batch_list *batches, const struct error *cause)
{
	tell_some(batches, cause, TOLD_AT_ONCE);
	if (TAILQ_EMPTY(batches))
		return;
	struct failing *failing = malloc(sizeof *failing);
	if (!failing) {
		tell_some(batches, cause, UINT32_MAX);
		return;
	}
	TAILQ_INIT(&failing->batches);
	TAILQ_CONCAT(&failing->batches, batches, link);
	error_copy(&failing->error, cause);
	TAILQ_INSERT_TAIL(&pool->failing, failing, link);
	timer_set(&pool->core->timers, &pool->tell, pool->core->now + 1); /* in the next turn of the loop */
}

void failing_on_timer(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, tell);
	struct failing *failing = TAILQ_FIRST(&pool->failing);

	tell_some(&failing->batches, &failing->error, TOLD_AT_ONCE);
	if (TAILQ_EMPTY(&failing->batches)) {
		TAILQ_REMOVE(&pool->failing, failing, link);
		free(failing);
	}
	if (!TAILQ_EMPTY(&pool->failing))
		timer_set(&pool->core->timers, timer, pool->core->now + 1);
}
