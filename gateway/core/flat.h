/* SPDX-License-Identifier: Apache-2.0 */
/* flat: what a queue holds, as one piece of memory that the caller frees; errors in that form. */
#ifndef GATEWAY_FLAT_H
#define GATEWAY_FLAT_H

#include "daemon/core/base/error.h"
#include "proto/read.h"
#include "proto/sendq.h"

/* Empties the queue. Size 0: the queue has failed, or there is no memory. */
struct span flat_take(struct sendq *queue);

/* The error as a map. Size 0: no memory. */
struct span flat_error(const struct error *error);

void flat_free(struct span flat);

/* What an error says under the key ("code", "message"). An error that is a text is its own message. Size 0: nothing. */
struct span flat_error_text(struct span error, const char *key);

#endif
