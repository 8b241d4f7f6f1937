/* SPDX-License-Identifier: Apache-2.0 */
/* items: [ITEMS, ...], a run of a map's items; and [BIND, ...], the arguments that all items of a call have. */
#ifndef WORKER_ITEMS_H
#define WORKER_ITEMS_H

#include "daemon/worker/host.h"

void items_on_message(struct host *host, struct reader *reader, uint32_t fields);
void items_on_bind(struct host *host, struct reader *reader);
void items_on_unbind(struct host *host, struct reader *reader);
void items_free_bindings(struct host *host);

#endif
