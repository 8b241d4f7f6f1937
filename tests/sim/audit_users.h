/* SPDX-License-Identifier: Apache-2.0 */
/* audit_users: the books of quotas: what counts for a user is what its clients have, and what they have left behind. */
#ifndef SIM_AUDIT_USERS_H
#define SIM_AUDIT_USERS_H

#include "tests/sim/world.h"

/* `quiet`: nothing may be in flight. */
void audit_users(const struct world *world, bool quiet);

#endif
