/* SPDX-License-Identifier: Apache-2.0 */
/* player: the clients of a world. They send requests of every kind, read or don't read, cancel, and leave. */
#ifndef SIM_PLAYER_H
#define SIM_PLAYER_H

#include "tests/sim/world.h"

void player_send(struct world *world);
void player_lease(struct world *world);
void player_attach(struct world *world); /* opens a direct channel, or cancels a message of one */
void player_release(struct world *world);
void player_release_all(struct world *world); /* all clients release all leases */
void player_read(struct world *world); /* a client, chosen by the dice, reads its answers */
void player_feed(struct world *world); /* all clients feed their streams as far as credit allows */
void player_give_back(struct world *world);
void player_cancel(struct world *world);
void player_end_input(struct world *world);
void player_vanish(struct world *world);
void player_reload_users(struct world *world); /* all clients get other rights and limits */

/* All clients read, feed, and release their leases. */
void player_go_on_all(struct world *world);

/* Closes the clients whose connection can't go on, as the daemon closes them. Called after each event. */
void player_mind(struct world *world);

void player_say_waiting(const struct world *world); /* prints what the clients wait for */
bool player_waits(const struct world *world);
void player_end(struct world *world);

struct client *player_client(struct player *player);

/* One client after the other, also those that have left and whose notifications have not ended; *at begins with 0. NULL: there are no
 * more. */
const struct client *player_next(const struct world *world, uint32_t *at);

/* Has the client, or the instance that calls methods, with the session of this number gone? */
bool player_session_has_gone(const struct world *world, uint64_t session);

#endif
