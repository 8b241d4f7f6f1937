/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote: what the core knows of other hosts: which requests are for them, and who carries these there. The supervisor fills the
 * structure while the host is in a cluster (daemon/supervisor/cluster); else core->remote is NULL. The core has checked a request,
 * and its client's rights, before it gives it away; from then on whoever carries it owes the answer.
 */
#ifndef CORE_REMOTE_H
#define CORE_REMOTE_H

#include "daemon/core/records/client.h"
#include "daemon/core/records/target.h"

struct pool;

struct remote {
	struct span self; /* the name of this host */
	/* Has the configuration a pool of that name on other hosts? */
	bool (*offers)(const struct remote *remote, struct span pool);
	/* Is a call of that target, which names no host, for other hosts? `pool` is the local pool; NULL: there is none. */
	bool (*takes)(const struct remote *remote, const struct target *target, const struct pool *pool);
	/*
	 * Takes the request or notification. `block` holds the bytes of its params; NULL: they are gone when this returns. `fed`: its
	 * caller will feed it. 0; -EEXIST: the msgid is in use; -EINVAL with *error made.
	 */
	int (*send)(struct remote *remote, struct client *client, const struct rpc *rpc, struct block *block, bool fed,
		    struct error *error);
	/* A notification about a request that it has: objpool.feed or feed_end. */
	void (*tell)(struct remote *remote, struct ticket *ticket, const struct rpc *rpc, struct block *block);
	/* The caller of a request that it has cancels it. It stays owed an answer. */
	void (*cancel)(struct ticket *ticket);
	/* The client sends nothing more, and can't be answered: forgets it. */
	void (*leave)(struct client *client);
};

/* Is a request with that target for other hosts? `pool` is the local pool of the target's name, or NULL. 1: yes; 0: no; -EHOSTUNREACH:
 * there is no way to the host that it names, and *error is made. */
int remote_is_for_others(const struct core *core, const struct target *target, const struct pool *pool, struct error *error);

/* May the client's request, which is for other hosts, be given to them? Those of a host that asks this one may not: they would have
 * this host's rights there. What methods call for them may. 0, or -EACCES with *error made. */
int remote_check_client(const struct client *client, const struct target *target, struct error *error);

#endif
