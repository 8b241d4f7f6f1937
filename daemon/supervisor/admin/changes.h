/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes: what a reload has changed, pool by pool. The log, and the client that asked for the reload, are told when all is
 * known. A change that needs new instances stays open until their constructors have succeeded or failed.
 */
#ifndef SUPERVISOR_CHANGES_H
#define SUPERVISOR_CHANGES_H

#include "daemon/core/records/client.h"

enum change_kind { CHANGE_STARTED, CHANGE_STOPPED, CHANGE_RESIZED, CHANGE_RESTARTED, CHANGE_UNCHANGED };

struct changes;
struct change;

/* The caller holds the result until it calls changes_release or changes_answer_to. Then it is freed when all its changes are
 * closed. NULL: out of memory. */
struct changes *changes_new(void);

/* Adds a change of the pool `name`. NULL: out of memory. The functions below accept NULL, and then do nothing. */
struct change *change_add(struct changes *changes, enum change_kind kind, const char *name);

/* The pool keeps a size that objpool.scale has set, and not the one of the configuration. */
void change_keeps_size(struct change *change, uint32_t size, uint32_t configured);

/* change_open: the outcome is not known yet. change_close: it is known; `reason` is NULL, or says in a sentence why the change
 * has failed. The change may be freed then. */
void change_open(struct change *change);
void change_close(struct change *change, const char *reason);

/* Answers the request with what has changed, when all is known. Releases `changes`. */
void changes_answer_to(struct changes *changes, struct client *client, const struct rpc *rpc);
void changes_release(struct changes *changes);

#endif
