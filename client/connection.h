/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection: struct objpool, and its turn: receive, answer, timers, send. Everything that a connection does happens in one
 * such turn, whoever asked for it: a program's own loop, or a function here that waits.
 */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include "client/parcels.h"
#include "client/pending.h"
#include "client/receipts.h"
#include "client/wire.h"
#include "objpool/client.h"

struct objpool {
	struct wire wire;
	struct pending pending;
	struct parcels parcels;
	struct receipts receipts;
	int64_t trim_at;                      /* when to look whether warm memory is still of use; 0: there is none */
	struct objpool_result hello;
	objpool_notification *on_notification;
	void *notification_context;
	struct objpool_stream *streams, **streams_end; /* under way, the oldest first */
	char *farewell;                       /* what the daemon said before it closed, or NULL */
	int lost;                             /* 0, or why: a negative errno */
	bool unsendable;                      /* lost in a send: there may still be something to receive */
	bool dispatching;                     /* a turn is under way: no other may begin */
	bool closing;                         /* ... and the connection goes when it ends */
};

/*
 * Where requests are packed. connection_begin says -ENOTCONN when there is no connection any more; else `*mark` is for
 * connection_commit, which keeps what was packed since, or takes it back and returns the packer's error.
 */
int connection_begin(struct objpool *pool, size_t *mark);
int connection_commit(struct objpool *pool, size_t mark);

/* Packs values that a program has made, and no descriptors. */
void connection_pack_bytes(struct objpool *pool, size_t mark, struct objpool_bytes values);

/* The owner of lent bytes goes, and they may not all have been sent: the daemon has answered before it had read them. */
void connection_keep_lent(struct objpool *pool);

#endif
