/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes: what a reload makes of each pool. The log, and whoever asked for the reload, are told once all of it is known: a
 * change of which only constructors can say whether it works stays open until then.
 */
#ifndef SUPERVISOR_CHANGES_H
#define SUPERVISOR_CHANGES_H

#include "daemon/core/records/client.h"

enum change_kind { CHANGE_STARTED, CHANGE_STOPPED, CHANGE_RESIZED, CHANGE_RESTARTED, CHANGE_UNCHANGED };

struct changes;
struct change;

/* The caller holds it: changes_release, or changes_answer_to, lets go of it. It is freed when all its changes are closed. NULL:
 * out of memory. */
struct changes *changes_new(void);

/* Adds a change of the pool `name`. The functions below take NULL, too: it means that there was no memory for the change, and
 * that nothing will be said of it. */
struct change *change_add(struct changes *changes, enum change_kind kind, const char *name);

/* The pool keeps a size that objpool.scale has set, and not the one of the configuration. */
void change_keeps_size(struct change *change, uint32_t size, uint32_t configured);

/* Nobody knows yet what comes of it: change_close says. `reason` is NULL, or says in a sentence why it has failed. The change may
 * be freed with that. */
void change_open(struct change *change);
void change_close(struct change *change, const char *reason);

/* The answer to the request will be what has changed. Lets go of `changes`. */
void changes_answer_to(struct changes *changes, struct client *client, const struct rpc *rpc);
void changes_release(struct changes *changes);

#endif
