/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/loss.h"

#include "daemon/core/call_answer.h"

#include <stdlib.h>

enum { TOLD_AT_ONCE = 200 };

static void tell(struct batch *batch, const struct error *why)
{
	struct error error;

	error_copy(&error, why);
	call_on_failure(batch, batch->first, &error);
	batch_end(batch);
}

static void tell_some(struct batch_list *batches, const struct error *why, uint32_t most)
{
	struct batch *batch;

	for (; most > 0 && (batch = TAILQ_FIRST(batches)); most--) {
		TAILQ_REMOVE(batches, batch, link);
		tell(batch, why);
	}
}

void loss_add(struct pool *pool, struct batch_list *batches, const struct error *why)
{
	tell_some(batches, why, TOLD_AT_ONCE);
	if (TAILQ_EMPTY(batches))
		return;
	struct loss *loss = malloc(sizeof *loss);
	if (!loss) {
		tell_some(batches, why, UINT32_MAX);
		return;
	}
	TAILQ_INIT(&loss->batches);
	TAILQ_CONCAT(&loss->batches, batches, link);
	error_copy(&loss->why, why);
	TAILQ_INSERT_TAIL(&pool->losses, loss, link);
	timer_set(&pool->core->timers, &pool->tell, pool->core->now + 1); /* in the next turn */
}

void loss_on_timer(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, tell);
	struct loss *loss = TAILQ_FIRST(&pool->losses);

	tell_some(&loss->batches, &loss->why, TOLD_AT_ONCE);
	if (TAILQ_EMPTY(&loss->batches)) {
		TAILQ_REMOVE(&pool->losses, loss, link);
		free(loss);
	}
	if (!TAILQ_EMPTY(&pool->losses))
		timer_set(&pool->core->timers, timer, pool->core->now + 1);
}
