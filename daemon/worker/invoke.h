/* SPDX-License-Identifier: Apache-2.0 */
/* invoke: a call that a method makes through its host. The method waits for the answer. Other messages are put aside
 * meanwhile. */
#ifndef WORKER_INVOKE_H
#define WORKER_INVOKE_H

#include "daemon/worker/deferred.h"

/* The answer to the last call that a method has made. The method's objpool_outcome points into it. */
struct invoker {
	uint8_t *response;
	char *texts[4]; /* of its error, with a NUL at their ends */
};

void invoker_free(struct invoker *invoker);

/* objpool_host.invoke */
int invoke(struct objpool_call *call, const char *target, const void *args, size_t size, struct objpool_outcome *result);

#endif
