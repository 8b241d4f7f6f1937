/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abroad: a client that asks other hosts. The gateway knows it by a number, and by its user's name. When its user changes (the
 * configuration was read again; another caller's method makes the call), it goes on under another number; what was asked
 * under the old number is answered there.
 *
 * An errand is a request that the gateway has. It is answered exactly once: by the gateway, or with HOST_LOST when that has died.
 *
 *   client -> abroad 17 (user ci) -> abroad 5 (user guest), until its errands are over
 */
#ifndef SUPERVISOR_CLUSTER_ABROAD_H
#define SUPERVISOR_CLUSTER_ABROAD_H

#include "daemon/supervisor/cluster/state.h"

struct abroad {
	TAILQ_ENTRY(abroad) link; /* in cluster->abroads */
	TAILQ_ENTRY(abroad) held_link, reading_link;
	struct client *client;
	struct abroad *older;     /* of the same client */
	uint64_t number;          /* never used twice */
	uint64_t start;           /* the start of the gateway that has been told of it; 0: none */
	char *user;               /* as it was told; NULL: none */
	enum error_form form;
	char name[CLIENT_NAME];
	uint32_t errands;
	uint64_t unread;          /* bytes that were given to the client since the last TAKEN */
	bool reading, held;       /* it is in the cluster's list */
};

/* The functions of struct remote. */
int abroad_send(struct remote *remote, struct client *client, const struct rpc *rpc, struct block *block, bool fed,
		struct error *error);
void abroad_tell(struct remote *remote, struct ticket *ticket, const struct rpc *rpc, struct block *block);
void abroad_leave(struct client *client);

/* Its caller cancels a request that the gateway has, which answers it. */
void abroad_cancel(struct ticket *ticket);

/* The gateway has sent this response or notification, which lies in `block` (NULL: it is copied), for the client of that
 * number. 0, or -EBADMSG. */
int abroad_on_message(struct cluster *cluster, uint64_t number, struct span message, struct block *block);

/* The gateway has gone, and `how`: all its errands are answered with HOST_LOST. */
void abroad_on_gateway_gone(struct cluster *cluster, const char *how);

/* The end of the turn: tells the gateway what clients have read, and lets clients go on that were held. */
void abroad_end_turn(struct cluster *cluster);

/* Forgets all clients: there is no errand any more. */
void abroad_forget_all(struct cluster *cluster);

/* Who the client of that number is: daemon_ops.find_abroad. */
int abroad_find(const struct cluster *cluster, uint64_t number, struct users *users, struct known *known, struct rights **rights);

#endif
