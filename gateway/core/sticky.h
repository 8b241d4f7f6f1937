/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky: the calls of `all` over hosts that are to hold for hosts that come later, too (option `sticky`): for those that their
 * target stands for. A call that names its host is none: that host's daemon remembers it. Each remembers which
 * incarnations of which hosts have had it. They are kept in memory: a gateway that starts anew knows none. replay.c sends them.
 */
#ifndef GATEWAY_STICKY_H
#define GATEWAY_STICKY_H

#include "gateway/core/ask.h"
#include "gateway/core/hosts.h"

enum {
	STICKY_CALLS = 16384,
	STICKY_BYTES = 64 << 20, /* of all together */
};

struct sticky {
	TAILQ_ENTRY(sticky) entry;
	struct gateway *gateway;
	uint32_t refs;
	bool listed;         /* it is remembered */
	struct block *block; /* holds what `ask` points into */
	struct ask ask;
	char *user;
	uint64_t *had; /* incarnations of hosts that have had it, or are asked just now */
	uint32_t had_count;
};

/* Remembers the call of this user; one that replaces drops earlier ones of the target and method. The caller gets a reference.
 * NULL: there is no room, and *error says so. */
struct sticky *sticky_add(struct gateway *gateway, const struct ask *ask, const char *user, struct error *error);

/* Is not remembered any more: every instance has failed. */
void sticky_drop(struct sticky *sticky);
struct sticky *sticky_unref(struct sticky *sticky);

bool sticky_has_had(const struct sticky *sticky, const struct host *host);
int sticky_set_had(struct sticky *sticky, const struct host *host);
/* The host was lost: it has not had it; or, if it may have run there, only a call that replaces is sent again. */
void sticky_lost(struct sticky *sticky, const struct host *host, bool may_have_run);

/* Forgets the calls of the pool, or those of one method (size 0: all). How many. */
uint32_t sticky_forget(struct gateway *gateway, struct span pool, struct span method);

/* The first that the host has not had, and whose target it is among. NULL: there is none. */
struct sticky *sticky_due(const struct gateway *gateway, const struct host *host);

/* Must the host have had sticky calls before it gets other calls of clients? Then these wait, or go to other hosts. If it has not
 * taken the sticky calls several times, they fail. */
enum sticky_first { STICKY_FIRST_NONE, STICKY_FIRST_WAITS, STICKY_FIRST_FAILS };
enum sticky_first sticky_comes_first(const struct host *host);

void stickies_close(struct gateway *gateway);

#endif
