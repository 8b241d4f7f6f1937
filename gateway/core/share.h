/* SPDX-License-Identifier: Apache-2.0 */
/* share: what one host is asked of a call that several hosts carry out together (gather.c, map.c): the call of the client, with a
 * target, arguments and options that are the host's. Failures come as pairs or notices: what they mean for the call is decided
 * here, and not there. */
#ifndef GATEWAY_SHARE_H
#define GATEWAY_SHARE_H

#include "gateway/core/lane.h"
#include "gateway/core/slices.h"

enum share_results { SHARE_GATHERED, SHARE_STREAM, SHARE_RUNS }; /* all in the answer; one by one; or in runs */

struct share {
	const char *selector;   /* ":all" */
	enum share_results how; /* streams are not ordered */
	bool is_fed;            /* its items follow */
	const char *args_as;    /* of items that follow */
	uint64_t window;        /* likewise; 0: the host's own */
	/* The next `count` items are its arguments. NULL: it gets the arguments of the client. */
	const struct slices *slices;
	uint32_t count;
	uint64_t time_left; /* milliseconds; UINT64_MAX: any */
};

/* 0; or -ENOMEM: the lane is lost, and the sub has not begun. */
int share_ask(const struct share *share, const struct ask *ask, struct lane *lane, struct sub *sub, const struct sub_ops *ops);

#endif
