/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inlet: messages of a daemon that come as bytes, cut anywhere. Whole messages are handed on from where they lie; only what has
 * come of an unfinished one is kept.
 *
 *   bytes --inlet_take--> | whole | whole | beginning |
 *                             v       v        '--> part, until the rest has come
 *                           ops->message
 */
#ifndef GATEWAY_INLET_H
#define GATEWAY_INLET_H

#include "proto/block.h"
#include "proto/read.h"
#include "proto/scan.h"

struct inlet;

struct inlet_ops {
	/* A whole message; what it is like stands in inlet->scan. `block` holds the bytes; NULL: they are gone when this returns.
	 * 0; negative: inlet_take returns it. It may close the inlet, and open it again. */
	int (*message)(struct inlet *inlet, struct span message, struct block *block);
	/* A message begins that is larger than `largest` or nested too deeply: it is passed over. NULL: inlet_take returns
	 * -EMSGSIZE for one that is too large. */
	void (*large)(struct inlet *inlet, struct span beginning);
};

struct inlet {
	const struct inlet_ops *ops;
	struct account *account; /* pays for the part */
	uint64_t largest;
	struct scan scan;
	struct block *part; /* NULL: no message has come in part */
	size_t part_size;
	bool passes;    /* the message that has come in part is passed over */
	unsigned turns; /* grows when it is opened and when it is closed: what was taken before is not handed on then */
};

void inlet_open(struct inlet *inlet, const struct inlet_ops *ops, struct account *account, uint64_t largest);
void inlet_close(struct inlet *inlet);

/* 0; -EBADMSG: what has come is no msgpack; -EMSGSIZE; -ENOMEM; or what ops->message returned. */
int inlet_take(struct inlet *inlet, struct span bytes);

#endif
