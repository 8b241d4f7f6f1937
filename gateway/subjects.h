/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subjects: the gateway on the bus: what it subscribes to, and where it publishes.
 *
 *   objpool.DOMAIN.beat.FROM      beats of host FROM, for all
 *   objpool.DOMAIN.to.TO.FROM     packets of host FROM for host TO
 *
 * FROM is the sender because the bus's permissions let nobody else publish there: what a message says of itself is not believed.
 */
#ifndef GATEWAY_SUBJECTS_H
#define GATEWAY_SUBJECTS_H

#include "gateway/program.h"

/* gateway_ops.publish, publish_beat and has_room. */
int subjects_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size);
int subjects_publish_beat(struct gateway *gateway, const void *bytes, size_t size);
bool subjects_have_room(struct gateway *gateway);

/* A CONFIG has come: opens the bus if none is open, or anew if what concerns it has changed. 0, -EBADMSG or -ENOMEM. */
int subjects_configure(struct program *program, struct span message);

void subjects_close(struct program *program);

/* Tells the core what the bus has counted. */
void subjects_count(struct program *program);

#endif
