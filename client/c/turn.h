/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn: all that a connection does happens in turns: of the program's own loop (objpool_dispatch), or of a function that waits.
 * A turn receives, and so runs callbacks; fails calls whose time is over; feeds streams; sends; ends streams that are over. A
 * turn that finds the connection lost or closing fails all calls.
 */
#ifndef CLIENT_C_TURN_H
#define CLIENT_C_TURN_H

#include "client/c/connection.h"

/*
 * Runs one turn. `readable`: there may be something to read; `wait_ms`: waits so long for it, negative: for ever (only with
 * direct channels is there anything between). 0; -ENOTCONN: the connection is lost; -ESHUTDOWN: it was closing, and is freed.
 */
int turn_run(struct objpool_client *client, bool readable, int wait_ms);

#endif
