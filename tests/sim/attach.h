/* SPDX-License-Identifier: Apache-2.0 */
/* attach: clients that have direct channels. fake.c plays the worker's side of them. */
#ifndef SIM_ATTACH_H
#define SIM_ATTACH_H

#include "daemon/core/records/client.h"
#include "tests/sim/world.h"

/* As admin_attach and on_cancel do it. */
void attach_open(struct world *world, struct client *client);
void attach_cancel(struct world *world, struct client *client);

void attach_audit_slot(const struct world *world, const struct slot *slot);
void attach_audit_client(const struct world *world, const struct client *client);

#endif
