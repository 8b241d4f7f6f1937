/* SPDX-License-Identifier: Apache-2.0 */
/* player: the clients of a world: send requests of every kind, and check each answer against what was asked. */
#ifndef SIM_PLAYER_H
#define SIM_PLAYER_H

#include "tests/sim/world.h"

void player_send(struct world *world);
void player_read(struct world *world); /* some client reads what there is */
void player_feed(struct world *world); /* all feed what their streams may be fed */
void player_read_all(struct world *world);
void player_cancel(struct world *world);
void player_vanish(struct world *world);
void player_tidy(struct world *world); /* those that have left, and whose notifications have ended */
bool player_waits(const struct world *world);
void player_end(struct world *world);

#endif
